"""http_refused PORT: again and again, in several threads, a body that is refused before it was sent whole, and a
plain request right behind it on another connection, which must be answered in time."""

import socket
import sys
import threading

PORT = int(sys.argv[1])
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
REFUSED = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 1000
faults = []


def work():
    for i in range(300):
        try:
            s = socket.create_connection(("127.0.0.1", PORT), timeout=10)
            s.sendall(REFUSED)
            if not s.recv(100).startswith(b"HTTP/1.1 413 "):
                faults.append(f"{i}: not refused")
            s.close()
            s = socket.create_connection(("127.0.0.1", PORT), timeout=10)
            s.sendall(GET)
            if not s.recv(100).startswith(b"HTTP/1.1 200 "):
                faults.append(f"{i}: no answer")
            s.close()
        except OSError as error:
            faults.append(f"{i}: {error!r}")
            return


threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(faults)
sys.exit(bool(faults))
