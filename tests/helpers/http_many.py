"""http_many PORT ALL EACH: opens connections from several addresses of this machine and asks on each,
until the server's bounds (ALL, and EACH of one address) are met; then room is made, and asked again."""

import socket
import sys

PORT, ALL, EACH = map(int, sys.argv[1:])
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


def ask(address):
    s = socket.create_connection(("127.0.0.1", PORT), timeout=10, source_address=(address, 0))
    s.sendall(GET)
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = s.recv(4096)
        if not data:
            break
        answer += data
    return s, int(answer.split()[1]) if answer else None, answer


first = [ask("127.0.0.1") for _ in range(EACH + 2)]
assert [x[1] for x in first] == [200] * EACH + [503] * 2, [x[1] for x in first]
assert b"Retry-After: 1" in first[-1][2] and b"Connection: close" in first[-1][2]
second = [ask("127.0.0.2") for _ in range(ALL - EACH + 2)]
assert [x[1] for x in second] == [200] * (ALL - EACH) + [503] * 2, [x[1] for x in second]
for s, _, _ in first + second:
    s.close()
for _ in range(200):  # the server sees them go in its own time
    s, status, _ = ask("127.0.0.1")
    s.close()
    if status == 200:
        break
assert status == 200, status
