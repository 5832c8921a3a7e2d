#!/usr/bin/python3
"""A web server that misbehaves as its paths say.

usage: http_play.py [--tls PEM] [--address ADDRESS] [--port PORT] [--root DIR]

Prints "port N" once it listens, then a line for each request: "CONNECTION METHOD PATH".  It ends with the
process that reads its standard input: at the end of that.

  /echo            what was asked, as text: request line, header fields, body
  /file/SIZE/...   SIZE bytes; ?chunked without a length, ?type=T, ?name=N (a Content-Disposition), ?etag=E
                   (304 where the client has it), ?key=K another content for each K, ?wait=S first
  /claims/N/SENT   Content-Length N, and SENT bytes; ?chunked: no last chunk
  /status/CODE     ?size=N of a body, ?retry=S or a date as Retry-After
  /to/CODE         a redirect to ?url=
  /loop            a redirect to itself
  /silent          never answers; /drip a byte each ?wait= (1) seconds, for ever
  /garbage         no HTTP; /fields header fields without end; /empty closes; /old HTTP/0.9
  /gzip/SIZE       packed: SIZE zeros
  /name            Content-Disposition: ?field=
  anything else    a file below DIR where one was given, else 404
"""

import argparse
import email.utils
import gzip
import os
import socketserver
import ssl
import sys
import threading
import time
import urllib.parse

OUT = threading.Lock()
COUNT = [0]
ROOT = [None]


def say(text):
    with OUT:
        print(text, flush=True)


def content(size, key=""):
    """The same bytes for a size and a key, in pieces."""
    block = (f"{key}:{size}:" * 4096)[:65536].encode()
    while size > 0:
        piece = block[: min(size, len(block))]
        yield piece
        size -= len(piece)


class Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def setup(self):
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()
        with OUT:
            COUNT[0] += 1
            self.number = COUNT[0]

    def handle(self):
        try:
            while self.one():
                pass
        except (OSError, ValueError):
            pass

    def one(self):
        line = self.rfile.readline(65536).decode("latin-1")
        if len(line.split()) < 3:
            return False
        method, target, _ = line.split()[:3]
        self.fields = []
        while True:
            field = self.rfile.readline(65536).decode("latin-1").rstrip("\r\n")
            if not field:
                break
            self.fields.append(field)
        body = self.rfile.read(int(self.field("content-length") or 0))
        say(f"{self.number} {method} {target}")
        url = urllib.parse.urlsplit(target)
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        self.query = {name: values[0] for name, values in query.items()}
        words = [urllib.parse.unquote(word) for word in url.path.split("/")[1:]]
        if words[0] == "echo":
            text = line.rstrip("\r\n") + "\n" + "".join(f + "\n" for f in self.fields)
            return self.answer(200, text.encode() + b"\n" + body)
        act = getattr(self, "do_" + words[0], None)
        if act is None:
            return self.from_root(words)
        return act(*words[1:])

    def field(self, name):
        for field in self.fields:
            key, _, value = field.partition(":")
            if key.lower() == name:
                return value.strip()
        return None

    def head(self, status, fields):
        text = f"HTTP/1.1 {status} said\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields)
        self.wfile.write(text.encode("utf-8", "surrogateescape") + b"\r\n")

    def answer(self, status, body, fields=()):
        self.head(status, [("Content-Length", len(body)), *fields])
        self.wfile.write(body)
        return True

    def from_root(self, words):
        path = os.path.join(ROOT[0] or "/nonexistent", *[w for w in words if w not in ("", "..")])
        if ROOT[0] is None or not os.path.isfile(path):
            return self.answer(404, b"there is no such thing\n")
        self.head(200, [("Content-Length", os.path.getsize(path))])
        with open(path, "rb") as file:
            while piece := file.read(65536):
                self.wfile.write(piece)
        return True

    def chunk(self, piece):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def do_file(self, size, *_):
        query, fields = self.query, []
        time.sleep(float(query.get("wait", 0)))
        if "type" in query:
            fields.append(("Content-Type", query["type"]))
        if "name" in query:
            fields.append(("Content-Disposition", f'attachment; filename="{query["name"]}"'))
        if "etag" in query:
            etag = f'"{query["etag"]}"'
            fields.append(("ETag", etag))
            if self.field("if-none-match") == etag:
                self.head(304, fields)
                return True
        if "chunked" in query:
            self.head(200, [("Transfer-Encoding", "chunked"), *fields])
            for piece in content(int(size), query.get("key", "")):
                self.chunk(piece)
            self.wfile.write(b"0\r\n\r\n")
            return True
        self.head(200, [("Content-Length", size), *fields])
        for piece in content(int(size), query.get("key", "")):
            self.wfile.write(piece)
        return True

    def do_claims(self, length, sent):
        if "chunked" in self.query:
            self.head(200, [("Transfer-Encoding", "chunked")])
            self.chunk(b"x" * int(sent))
        else:
            self.head(200, [("Content-Length", length)])
            self.wfile.write(b"x" * int(sent))
        return False

    def do_status(self, code):
        retry = self.query.get("retry")
        if retry == "date":
            retry = email.utils.formatdate(time.time() + 120, usegmt=True)
        return self.answer(int(code), b"e" * int(self.query.get("size", 0)),
                           [("Retry-After", retry)] if retry else [])

    def do_to(self, code):
        return self.answer(int(code), b"elsewhere", [("Location", self.query["url"])])

    def do_loop(self, *_):
        return self.answer(302, b"", [("Location", "/loop")])

    def do_silent(self):
        self.rfile.read(1)
        return False

    def do_drip(self):
        self.head(200, [("Content-Length", 10000)])
        while True:
            self.wfile.write(b".")
            time.sleep(float(self.query.get("wait", 1)))

    def do_garbage(self):
        self.wfile.write(b"\x00\x01\x02 this is no web server\r\n\r\n" * 10)
        return False

    def do_old(self):
        self.wfile.write(b"<p>as it was in 1991</p>")
        return False

    def do_empty(self):
        return False

    def do_fields(self):
        self.wfile.write(b"HTTP/1.1 200 fine\r\n")
        while True:
            self.wfile.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")

    def do_gzip(self, size):
        return self.answer(200, gzip.compress(bytes(int(size))), [("Content-Encoding", "gzip")])

    def do_name(self):
        return self.answer(200, b"named", [("Content-Disposition", self.query["field"])])


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True
    context = None

    def get_request(self):
        sock, address = super().get_request()
        if self.context is not None:
            sock = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return sock, address

    def handle_error(self, request, client_address):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--root")
    parser.add_argument("--stay", action="store_true", help="until it is killed, whatever its input")
    options = parser.parse_args()
    ROOT[0] = options.root
    Server.address_family = 10 if ":" in options.address else 2
    server = Server((options.address, options.port), Handler)
    if options.tls:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(options.tls)
    say(f"port {server.server_address[1]}")
    if options.stay:
        server.serve_forever()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


main()
