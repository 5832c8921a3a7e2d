"""http_slow PORT: clients that are slow in every way, against deadlines of 0.6 s for the head, 0.9 s for
the body and 0.4 s between requests.  Each must be cut in time, and not before; prints "ok NAME" for each."""

import socket
import sys
import time

PORT = int(sys.argv[1])
POST = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"


def drip(name, first, drop, least, most, want):
    """Sends first, then drop again and again, until the server ends it."""
    s = socket.create_connection(("127.0.0.1", PORT), timeout=10)
    s.setblocking(True)
    s.settimeout(0.05)
    started, got = time.monotonic(), b""
    s.sendall(first)
    while time.monotonic() - started < 10:
        try:
            data = s.recv(4096)
            if not data:
                break
            got += data
        except TimeoutError:
            try:
                s.sendall(drop)
            except OSError:
                break
        except OSError:
            break
    took = time.monotonic() - started
    if not least <= took <= most or want not in got:
        print(f"not ok {name}: ended after {took:.2f} s with {got[:80]}")
        return False
    print(f"ok {name}")
    return True


good = [
    drip("nothing at all", b"", b"", 0.5, 3, b""),
    drip("a target byte by byte", b"GET /", b"a", 0.5, 3, b""),
    drip("fields byte by byte", b"GET /hello HTTP/1.1\r\nHost: x\r\nX: ", b"a", 0.5, 3, b" 408 "),
    drip("a body byte by byte", POST, b"a", 0.8, 3, b" 408 "),
    drip("nothing after an answer", GET, b"", 0.3, 3, b" 200 "),
    drip("chunks without an end", POST.replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked"),
         b"1\r\na\r\n", 0.8, 3, b" 408 "),
]
sys.exit(not all(good))
