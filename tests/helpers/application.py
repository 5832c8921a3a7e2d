"""The application at the other end of the exchange, which misbehaves on command.

	application.py DIR [PORT [CERTIFICATE KEY]]

Prints "port N" and serves on 127.0.0.1.  How it answers a POST (reports) is in DIR/sync, a GET (messages)
in DIR/fetch; each is read anew for each request.  The words, one a line, are taken in turn, and the last
goes on for ever:

	ok			200 {"ok":true}
	heard			200 {"status":"ok"}
	answer STATUS TEXT	this status, TEXT as the body
	deny STATUS TEXT	the same, but it has not taken what it was told
	reject KEY ID...	200, these ids in a list called KEY (of those that were posted, and others)
	choke WORD ID...	any other of these words (deny:500, close, deny:200:{"ok":false}), where one of
				these ids was posted; else ok
	answer-later STATUS S	this status, and Retry-After: S
	redirect STATUS URL	to elsewhere
	follow STATUS URL	the same for /sync; for any other path, ok
	reject-truncated ID...	200, a list of these ids that breaks off
	exec PATH		runs a program, then ok
	hang			takes the request and says nothing, until it is killed or the client goes
	drip			a byte of the answer a second
	truncated		less than Content-Length says
	oversized		2 MiB
	endless			a body without end
	close			hangs up instead of answering
	random			one of ok, 500, not ok, close, truncated, a rejection of some, by chance
	file PATH		200, what is in the file (for messages)

What it sees is in DIR: "accepts" a line a connection, "requests" a JSON object a request with its headers,
"heard" the reports that it has acknowledged, in order, "held" what it was told and did not acknowledge.
"""

import json
import os
import random
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

LOCK = threading.Lock()
DIR = sys.argv[1]


def note(name, line):
    with LOCK, open(os.path.join(DIR, name), "a", encoding="utf-8") as file:
        file.write(line + "\n")


def command(name):
    """The next word: the first of several lines is used up."""
    path = os.path.join(DIR, name)
    with LOCK:
        try:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            lines = []
        if len(lines) > 1:
            with open(path + ".new", "w", encoding="utf-8") as file:
                file.write("\n".join(lines[1:]) + "\n")
            os.rename(path + ".new", path)
    return lines[0] if lines else "ok"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        note("accepts", str(self.client_address[1]))
        super().setup()

    def log_message(self, *args):
        pass

    def answer(self, status, body, length=None, headers=()):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def hear(self, reports, rejected=()):
        for report in reports:
            note("held" if report["id"] in rejected else "heard", json.dumps(report))

    def obey(self, word, reports):
        verb, _, rest = word.partition(" ")
        if verb == "choke":
            inner, *ids = rest.split()
            word = inner.replace(":", " ", 2) if any(r["id"] in ids for r in reports) else "ok"
            verb, _, rest = word.partition(" ")
        if verb == "exec":
            subprocess.run([rest], check=True, stdout=subprocess.DEVNULL)
            verb = "ok"
        if verb == "random":
            some = [r["id"] for r in reports if random.random() < 0.2]
            word = random.choice(
                ["ok", "ok", "deny 500 no", 'deny 200 {"ok":false}', "close", "truncated"]
                + (["reject rejected " + " ".join(some)] if some else [])
            )
            verb, _, rest = word.partition(" ")
        if verb == "follow":
            verb = "redirect" if self.path == "/sync" else "ok"
        good = verb in ("ok", "heard", "reject", "reject-truncated", "answer", "truncated", "oversized", "endless")
        rejected = rest.split()[verb == "reject" :] if verb.startswith("reject") else []
        if good:
            self.hear(reports, rejected)
        else:
            self.hear(reports, {r["id"] for r in reports})
        if verb == "ok":
            self.answer(200, '{"ok":true}')
        elif verb == "heard":
            self.answer(200, json.dumps({"status": "ok", "processed": len(reports)}))
        elif verb in ("answer", "deny"):
            status, _, text = rest.partition(" ")
            self.answer(int(status), text)
        elif verb == "reject":
            self.answer(200, json.dumps({"ok": True, rest.split()[0]: rejected}))
        elif verb == "answer-later":
            status, _, seconds = rest.partition(" ")
            self.answer(int(status), "{}", headers=[("Retry-After", seconds)])
        elif verb == "reject-truncated":
            self.answer(200, json.dumps({"ok": True, "rejected": rejected})[:-2] + ', "', length=1000)
            self.close_connection = True
        elif verb == "redirect":
            status, _, url = rest.partition(" ")
            self.answer(int(status), "", headers=[("Location", url)])
        elif verb == "file":
            with open(rest, encoding="utf-8") as file:
                self.answer(200, file.read())
        elif verb == "truncated":
            self.answer(200, '{"ok":true', length=1000)
            self.close_connection = True
        elif verb == "oversized":
            self.answer(200, '{"ok":true,"x":"' + "x" * (2 << 20) + '"}')
        elif verb == "endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b" " * 65536)
        elif verb == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "11")
            self.end_headers()
            for byte in b'{"ok":true}':
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(1)
        elif verb == "hang":
            # Until the client has gone.
            self.connection.settimeout(300)
            self.connection.recv(1)
            self.close_connection = True
        else:
            self.close_connection = True

    def serve(self, name, reports, body):
        request = {"method": self.command, "path": self.path, "at": time.time()}
        request["headers"] = {k.lower(): v for k, v in self.headers.items()}
        request["body"] = body
        request["count"] = len(reports)
        note("requests", json.dumps(request))
        try:
            self.obey(command(name), reports)
        except OSError:
            self.close_connection = True

    def do_GET(self):
        self.serve("fetch", [], "")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        value = json.loads(body)
        assert value["delivery_report"] == value["reports"], body
        self.serve("sync", value["delivery_report"], body if len(body) < 100000 else "")


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, request, client_address):
        pass


def main():
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    server = Server(("127.0.0.1", port), Handler)
    if len(sys.argv) > 4:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3], sys.argv[4])
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("port", server.server_address[1], flush=True)
    server.serve_forever()


main()
