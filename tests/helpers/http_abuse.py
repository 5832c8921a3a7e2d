"""http_abuse PORT [NAME...]: sends requests as no client should, each on a connection of its own, and
holds the answer against what it must be.  Prints "ok NAME" or "not ok NAME: ..."; exits 1 if any
failed.  A row: the bytes to send, the statuses that must come back in order ("closed": and then the
end of the connection, "open": a further GET is answered; "any": not looked at)."""

import socket
import sys

GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"


def post(headers, body=b"", path=b"/echo", version=b"HTTP/1.1"):
    return b"POST " + path + b" " + version + b"\r\nHost: x\r\n" + headers + b"\r\n" + body


SMUGGLED = b"0\r\n\r\nGET /private HTTP/1.1\r\nHost: x\r\n\r\n"
ROWS = {
    # what must work
    "plain": (GET, [200], "open"),
    "two in one packet": (GET + GET, [200, 200], "open"),
    "a body and the next in one packet": (post(b"Content-Length: 2\r\n", b"hi") + GET, [200, 200], "open"),
    "many in one packet": (GET * 50, [200] * 50, "open"),
    "empty lines before it": (b"\r\n\r\n" + GET, [200], "open"),
    "http/1.0": (b"GET /hello HTTP/1.0\r\n\r\n", [200], "closed"),
    "http/1.0 kept": (b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", [200], "open"),
    "connection: close": (b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", [200], "closed"),
    "absolute form": (b"GET http://x:80/hello?a HTTP/1.1\r\nHost: x:80\r\n\r\n", [200], "open"),
    "absolute form without a path": (b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", [404], "open"),
    "chunks": (post(b"Transfer-Encoding: chunked\r\n", b"2\r\nhi\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n") + GET, [200, 200], "open"),
    "chunks with trailers": (post(b"Transfer-Encoding: chunked\r\n", b"2\r\nhi\r\n0\r\nX: y\r\n\r\n") + GET, [200, 200], "open"),
    "a blank behind a value": (b"GET /messages/1 HTTP/1.1\r\nHost: x \r\nX-Test: y \t\r\n\r\n", [200], "open"),
    "no blank before a value": (b"GET /hello HTTP/1.1\r\nHost:x\r\nX-Test:y\r\n\r\n", [200], "open"),
    "a small body nobody wants": (b"GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", [200], "open"),
    "a small body where nothing is": (post(b"Content-Length: 2\r\n", b"hi", b"/nope"), [404], "open"),
    "head": (b"HEAD /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", [200], "closed"),
    "options": (b"OPTIONS /hello HTTP/1.1\r\nHost: x\r\n\r\n", [204], "open"),
    "options *": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", [204], "open"),
    "a target of many bytes": (b"GET /messages/" + b"a" * 8000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", [200], "open"),
    "100 fields": (b"GET /hello HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 99 + b"\r\n", [200], "open"),
    # how long the body is (a length that is none is answered by the library, its head twice)
    "both lengths": (post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", SMUGGLED), [400], "closed"),
    "both lengths, the other way": (post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", SMUGGLED), [400], "closed"),
    "two lengths": (post(b"Content-Length: 2\r\nContent-Length: 40\r\n", b"hi" + GET), [400], "closed"),
    "the same length twice": (post(b"Content-Length: 2\r\nContent-Length: 2\r\n", b"hi" + GET), [400], "closed"),
    "a list of lengths": (post(b"Content-Length: 2, 2\r\n", b"hi"), [400], "any"),
    "a length with a sign": (post(b"Content-Length: +2\r\n", b"hi"), [400], "any"),
    "a negative length": (post(b"Content-Length: -2\r\n", b"hi"), [400], "any"),
    "a length in hex": (post(b"Content-Length: 0x2\r\n", b"hi"), [400], "any"),
    "an empty length": (post(b"Content-Length:\r\n", b"hi"), [400], "any"),
    "a length beyond 64 bits": (post(b"Content-Length: 99999999999999999999999\r\n"), [(400, 413)], "any"),
    "a length of 63 bits and more": (post(b"Content-Length: 9223372036854775808\r\n"), [(400, 413)], "closed"),
    "a coding that is not there": (post(b"Transfer-Encoding: gzip\r\n", b"hi"), [501], "closed"),
    "two codings": (post(b"Transfer-Encoding: gzip, chunked\r\n", SMUGGLED), [501], "closed"),
    "chunked twice": (post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", SMUGGLED), [400], "closed"),
    "identity": (post(b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n", b"hi"), [400], "closed"),
    "chunked with a blank": (post(b"Transfer-Encoding: chunked \r\n", SMUGGLED), [501], "closed"),
    "chunked after a tab": (post(b"Transfer-Encoding: \tchunked\r\n", b"0\r\n\r\n"), [(200, 400, 501)], "any"),
    "xchunked": (post(b"Transfer-Encoding: xchunked\r\n", SMUGGLED), [501], "closed"),
    "chunks in http/1.0": (post(b"Transfer-Encoding: chunked\r\n", SMUGGLED, version=b"HTTP/1.0"), [400], "closed"),
    "a blank before the colon": (post(b"Content-Length : 30\r\n", GET), [400], "closed"),
    "a blank before the colon of a coding": (post(b"Transfer-Encoding : chunked\r\n", SMUGGLED), [400], "closed"),
    "a folded length": (post(b"X: y\r\n Content-Length: 30\r\n", GET), [400], "closed"),
    "a folded coding": (post(b"Transfer-Encoding:\r\n chunked\r\n", SMUGGLED), [(400, 501)], "closed"),
    "a chunk's size that is none": (post(b"Transfer-Encoding: chunked\r\n", b"zz\r\nhi\r\n0\r\n\r\n"), [400], "closed"),
    "a chunk's negative size": (post(b"Transfer-Encoding: chunked\r\n", b"-1\r\nhi\r\n0\r\n\r\n"), [400], "closed"),
    "a chunk's size with 0x": (post(b"Transfer-Encoding: chunked\r\n", b"0x2\r\nhi\r\n0\r\n\r\n"), [400], "closed"),
    "a chunk's size beyond 64 bits": (post(b"Transfer-Encoding: chunked\r\n", b"fffffffffffffffff\r\nhi"), [(400, 413)], "closed"),
    "a chunk of 2^63": (post(b"Transfer-Encoding: chunked\r\n", b"7fffffffffffffff\r\nhi" + b"x" * 200000), [413], "closed"),
    "a chunk longer than it says": (post(b"Transfer-Encoding: chunked\r\n", b"2\r\nhixx\r\n0\r\n\r\n"), [400], "closed"),
    "a chunk's empty size": (post(b"Transfer-Encoding: chunked\r\n", b"\r\nhi\r\n0\r\n\r\n"), [400], "closed"),
    "a chunk's endless extension": (post(b"Transfer-Encoding: chunked\r\n", b"2;" + b"x" * 100000), [(400, 413, 500)], "closed"),
    "endless trailers": (post(b"Transfer-Encoding: chunked\r\n", b"0\r\n" + b"X: y\r\n" * 20000), [(400, 431)], "closed"),
    # too much
    "more than the route takes": (post(b"Content-Length: 100001\r\n"), [413], "closed"),
    "more than the route takes, sent whole": (post(b"Content-Length: 3000000\r\n", b"x" * 3000000), [413], "closed"),
    "more than the route takes, expecting": (post(b"Content-Length: 100001\r\nExpect: 100-continue\r\n"), [413], "closed"),
    "more than the route takes, in chunks": (post(b"Transfer-Encoding: chunked\r\n", b"4000\r\n" + b"x" * 16384 + b"\r\n" + (b"4000\r\n" + b"x" * 16384 + b"\r\n") * 100), [413], "closed"),
    "a large body nobody wants": (b"GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000000, [413], "closed"),
    "a large body where nothing is": (post(b"Content-Length: 1000000\r\n", b"x" * 1000000, b"/nope"), [404], "closed"),
    "a target that is too long": (b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", [(400, 414)], "closed"),
    "a field that is too long": (b"GET /hello HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100000 + b"\r\n\r\n", [431], "closed"),
    "fields that are too many": (b"GET /hello HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 101 + b"\r\n", [431], "closed"),
    "fields without an end": (b"GET /hello HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20000, [431], "closed"),
    "a head that just fits": (b"GET /hello HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 24000 + b"\r\n\r\n", [200], "open"),
    "a method that is too long": (b"A" * 100000 + b" / HTTP/1.1\r\nHost: x\r\n\r\n", [(400, 414)], "closed"),
    # targets
    "%00": (b"GET /messages/a%00b HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "%00 in a query": (b"GET /hello?a=%00 HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "%0d%0a": (b"GET /messages/a%0D%0Ab HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "%7f": (b"GET /messages/%7f HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "%c2%85": (b"GET /messages/%C2%85 HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "%ff": (b"GET /messages/%ff HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "an overlong form": (b"GET /messages/%c0%af HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "a surrogate": (b"GET /messages/%ed%a0%80 HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "% alone": (b"GET /messages/% HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "%4": (b"GET /messages/%4 HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "%zz": (b"GET /messages/%zz HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "decoded once": (b"GET /messages/%2500 HTTP/1.1\r\nHost: x\r\n\r\n", [200], "open"),
    "dots": (b"GET /messages/../hello HTTP/1.1\r\nHost: x\r\n\r\n", [404], "open"),
    "no slash": (b"GET hello HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "a fragment": (b"GET /hello#x HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "a blank in the target": (b"GET /hello x HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "a tab in the target": (b"GET /hel\tlo HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "raw bytes in the target": (b"GET /messages/\xc3\xbc HTTP/1.1\r\nHost: x\r\n\r\n", [200], "open"),
    "65 parameters": (b"GET /hello?" + b"a=b&" * 65 + b" HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "a nul in the target": (b"GET /hello\0x HTTP/1.1\r\nHost: x\r\n\r\n", [400], "closed"),
    # heads
    "no host": (b"GET /hello HTTP/1.1\r\n\r\n", [400], "closed"),
    "two hosts": (b"GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", [400], "closed"),
    "a host that is none": (b"GET /hello HTTP/1.1\r\nHost: x y\r\n\r\n", [400], "closed"),
    "a nul in a value": (b"GET /hello HTTP/1.1\r\nHost: x\r\nX: a\0bcdef\r\n\r\n", [400], "closed"),
    "a nul in a name": (b"GET /hello HTTP/1.1\r\nHost: x\r\nX\0abc: a\r\n\r\n", [400], "closed"),
    "a nul for a line": (b"GET /hello HTTP/1.1\r\nHost: x\r\n\0Content-Length: 9\r\n\r\n", [400], "closed"),
    "a return in a value": (b"GET /hello HTTP/1.1\r\nHost: x\r\nX: a\rY: b\r\n\r\n", [400], "closed"),
    "an escape in a value": (b"GET /hello HTTP/1.1\r\nHost: x\r\nX: a\x1b[1m\r\n\r\n", [400], "closed"),
    "no colon": (b"GET /hello HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", [400], "closed"),
    "no name": (b"GET /hello HTTP/1.1\r\nHost: x\r\n: x\r\n\r\n", [400], "closed"),
    "a name that is none": (b"GET /hello HTTP/1.1\r\nHost: x\r\nX(y): x\r\n\r\n", [400], "closed"),
    "a folded field": (b"GET /hello HTTP/1.1\r\nHost: x\r\nX: a\r\n  b\r\n\r\n", [400], "closed"),
    "a fold at the beginning": (b"GET /hello HTTP/1.1\r\n Host: x\r\n\r\n", [400], "closed"),
    "an expectation that is none": (b"GET /hello HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n", [417], "any"),
    "http/0.9": (b"GET /hello\r\n\r\n", [400], "closed"),
    "http/2.0": (b"GET /hello HTTP/2.0\r\nHost: x\r\n\r\n", [(400, 505)], "closed"),
    "the preface of http/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [(400, 505)], "closed"),
    "http/1.9": (b"GET /hello HTTP/1.9\r\nHost: x\r\n\r\n", [200], "open"),
    "no version that is one": (b"GET /hello XTTP/1.1\r\nHost: x\r\n\r\n", [400], "closed"),
    "a method that is none": (b"G\x01T /hello HTTP/1.1\r\nHost: x\r\n\r\n", [400], "closed"),
    "a method nobody knows": (b"BREW /hello HTTP/1.1\r\nHost: x\r\n\r\n", [405], "open"),
    "connect": (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", [400], "open"),
    "trace": (b"TRACE /hello HTTP/1.1\r\nHost: x\r\n\r\n", [405], "open"),
    "tls on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 500 + b"\r\n\r\n", [(400, None)], "closed"),
    "binary": (bytes(range(256)) * 10, [(400, None)], "any"),
}


class Gone(Exception):
    pass


class Peer:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.buffer = b""

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise Gone
        self.buffer += data

    def answer(self, head=False):
        """The status of the next answer that is final, None at the end of the connection."""
        try:
            while b"\r\n\r\n" not in self.buffer:
                self.more()
            first, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            status = int(first.split()[1])
            if status == 100:
                return self.answer(head)
            length = 0
            for line in first.split(b"\r\n")[1:]:
                name, value = line.split(b":", 1)
                if name.lower() == b"content-length" and not head:
                    length = int(value)
            while len(self.buffer) < length:
                self.more()
            self.buffer = self.buffer[length:]
            return status
        except Gone:
            return None
        except ConnectionResetError:
            return "reset"

    def closed(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return "reset"


def run(port, data, want, then):
    peer = Peer(port)
    peer.send(data)
    for expected in want:
        got = peer.answer(data.startswith(b"HEAD"))
        if got not in (expected if isinstance(expected, tuple) else (expected,)):
            return f"answered {got}, expected {expected}"
    if then == "closed" and got is not None:
        if peer.buffer:
            return f"went on with {peer.buffer[:60]}"
        if peer.closed() is not True:
            return f"the connection is {'reset' if peer.closed() else 'open'}, expected its end"
    if then == "open":
        peer.send(GET)
        got = peer.answer()
        if got != 200:
            return f"a further request: {got}, expected 200"
    return None


def main():
    failed = 0
    for name in sys.argv[2:] or ROWS:
        try:
            fault = run(int(sys.argv[1]), *ROWS[name])
        except OSError as error:
            fault = repr(error)
        print(f"not ok {name}: {fault}" if fault else f"ok {name}", flush=True)
        failed += fault is not None
    return failed > 0


sys.exit(main())
