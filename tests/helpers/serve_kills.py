"""serve_kills.py KIND: mailq-serve killed with -9 again and again, under 64 clients, while mail goes out.

A mailq-run --watch delivers to aiosmtpd all the while, and is killed now and then too.  In the end what
the clients were told is compared with what the server took: each message that was answered as queued (or
sent) arrived whole and once, or once more for each time that its journal calls it uncertain.  A client
that lost its connection knows nothing of its request; what it does then is KIND:

	batches	add-messages with ids of the client's own: every other client posts again
	keys	add-messages under an Idempotency-Key: posts again until it is answered
	form	the second service's form with a file, with such a key
	send	send-message, with such a key; half of the requests hang up before they are answered

"serve_kills.py clients KIND ..." is a process of some of the clients: it prints a line for what it hands
in, and one for what it was told.  KILL_SEED=N repeats the choices of another run (not its timing).
"""

import collections
import email
import hashlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from crash import one_json, program
from kills import SEED, Test
from receive import Receipt, is_whole

PROCESSES, CLIENTS = 4, 16  # of each process
KILLS = 8
ADD, SEND, FORM = "/commands/add-messages", "/commands/send-message", "/api/v1/send_email/"
LIMIT = 150  # seconds: only a run that fails takes so long
END = time.monotonic() + LIMIT

# kind: requests of each client, messages of each request
SIZES = {"batches": (12, 8), "keys": (12, 8), "form": (7, 8), "send": (6, 1)}


# ---- clients -------------------------------------------------------------------------------------


class Client(threading.Thread):
    def __init__(self, kind, port, number):
        super().__init__()
        self.kind, self.port, self.number = kind, port, number
        self.rng = random.Random(f"{SEED} client {number}")
        self.connection = None
        self.pause = threading.Event()

    def attempt(self, path, body, headers, patience=60):
        """The status and the answer, or None twice: nobody there, or gone amid it."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            self.connection.timeout = patience
            if self.connection.sock is not None:
                self.connection.sock.settimeout(patience)
            self.connection.request("POST", path, body, headers)
            answer = self.connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            self.connection.close()
            self.connection = None
            return None, None

    def post(self, path, body, headers, again=True, hang_up=False):
        while time.monotonic() < END:
            patience = self.rng.choice([0.002, 0.02, 0.2]) if hang_up else 60
            status, answer = self.attempt(path, body, headers, patience)
            hang_up = False
            if status is None and not again:
                return None, None
            # 409: the try before this one is still at work.
            if status not in (None, 409):
                return status, answer
            self.pause.wait(0.02)
        return None, None

    def say(self, *words):
        os.write(1, (" ".join(words) + "\n").encode())

    def run(self):
        requests, size = SIZES[self.kind]
        for request in range(requests):
            ids = [f"{self.kind}-{self.number}-{request}-{i}" for i in range(size)]
            self.say("try", *ids)
            fault = getattr(self, self.kind)(ids)
            if fault:
                self.say("fault", fault[:500])
                return

    def batches(self, ids):
        body = json.dumps({"messages": [json.loads(one_json(i)) for i in ids]})
        first, _ = attempt = self.attempt(ADD, body, {})
        while first is None and time.monotonic() < END:
            # The next one to come up is waited for in any case.
            if self.number % 2:
                attempt = self.post(ADD, body, {})
            elif self.attempt("/health", None, {})[0] is None:
                self.pause.wait(0.02)
                continue
            break
        status, answer = attempt
        if status is None:
            return None
        if status != 200:
            return f"{status} {answer}"
        known = [r["id"] for r in answer["rejected"] if r["reason"] == "duplicate id"]
        if answer["ids"] + known and sorted(answer["ids"] + known) != sorted(ids):
            return f"{answer}"
        if known and first is not None:
            return f"known at the first try: {answer}"
        self.say("queued", *ids)
        return None

    def key(self, ids):
        return {"Idempotency-Key": ids[0]}

    def keys(self, ids):
        messages = [json.loads(one_json(i)) for i in ids]
        for message in messages:
            del message["id"]
        status, answer = self.post(ADD, json.dumps({"messages": messages}), self.key(ids))
        if status != 200 or answer["queued"] != len(ids) or len(set(answer["ids"])) != len(ids):
            return f"{status} {answer}"
        self.say("queued", *ids)
        return None

    def form(self, ids):
        file = random.Random(ids[0]).randbytes(20_000)
        fields = [("emails", f"ok.{i}@example.org") for i in ids]
        fields += [("subject", "Message"), ("body", hashlib.sha256(file).hexdigest())]
        # Another boundary each time, as a client chooses it.
        boundary = f"b{self.rng.random()}"
        body = b""
        for name, value in fields:
            disposition = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
            body += (disposition + value + "\r\n").encode()
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="f"\r\n\r\n'.encode()
        body += file + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", **self.key(ids)}
        status, answer = self.post(FORM, body, headers)
        if status != 201 or not answer["status"].endswith(f": {len(ids)}"):
            return f"{status} {answer}"
        self.say("queued", *ids)
        return None

    def send(self, ids):
        message = json.loads(one_json(ids[0]))
        del message["id"]
        hang_up = self.rng.random() < 0.5
        status, answer = self.post(SEND, json.dumps(message), self.key(ids), hang_up=hang_up)
        if status != 200:
            return f"{status} {answer}"
        if answer["ok"]:
            self.say("queued", *ids)
            return None
        # mailq-run may have been killed, or be unable to start: the message is in the queue anyway.
        self.say("queued", *ids)
        return None if answer.get("result", {}).get("status") == "deferred" else f"{answer}"


def run_clients(kind, port, first, count):
    clients = [Client(kind, int(port), int(first) + i) for i in range(int(count))]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return 0


# ---- the mail server -----------------------------------------------------------------------------


class Taker:
    """aiosmtpd, in threads of its own; what it took is known before it answers."""

    def __init__(self):
        from aiosmtpd.controller import Controller

        self.receipts = collections.defaultdict(list)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.controller = Controller(self, "127.0.0.1", self.port, data_size_limit=1 << 26)
        self.controller.start()

    def close(self):
        self.controller.stop()

    async def handle_DATA(self, server, session, envelope):
        content = envelope.original_content
        test_id = envelope.rcpt_tos[0].split("@")[0].split(".", 1)[1]
        receipt = Receipt(test_id, tuple(envelope.rcpt_tos), whole(content), len(content))
        self.receipts[test_id].append(receipt)
        return "250 2.0.0 taken"


def whole(content):
    message = email.message_from_bytes(content)
    if not message.is_multipart():
        return is_whole(message.get_payload(decode=True))
    text, file = message.get_payload()
    return text.get_payload(decode=True).strip().decode() == hashlib.sha256(file.get_payload(decode=True)).hexdigest()


# ---- the test ------------------------------------------------------------------------------------


class ServeTest(Test):
    def __init__(self, directory, kind):
        super().__init__(directory, server=Taker())
        self.kind = kind
        self.rng = random.Random(f"{SEED} {kind}")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = open(os.path.join(directory, "serve.log"), "wb")
        self.kills = collections.Counter()
        self.names = {}
        self.clients, self.listeners = [], []
        self.serve = self.watch = None

    # ---- what is killed --------------------------------------------------------------------------

    def start(self, name, *options):
        return subprocess.Popen([program(name), *options], env=self.spool.env, stdin=subprocess.DEVNULL,
                                stdout=self.log, stderr=self.log)  # fmt: skip

    def start_serve(self):
        self.serve = self.start("mailq-serve", "-q", "--listen", f"127.0.0.1:{self.port}")

    def start_watch(self):
        self.watch = self.start("mailq-run", "-q", "--watch")

    def kill(self, process, name):
        if process.poll() is not None:
            self.complain(f"{name} has ended: {process.returncode}: {self.said()}")
        process.kill()
        process.wait()
        self.kills[name] += 1

    def said(self):
        with open(self.log.name, "rb") as log:
            return log.read()[-2000:]

    # ---- the clients -----------------------------------------------------------------------------

    def hear(self, process):
        for line in process.stdout:
            word, *rest = line.split()
            with self.heard:
                if word == "fault":
                    self.complain(line)
                    rest = []
                (self.handed_in if word == "try" else self.acknowledged).update(rest)
                self.heard.notify()

    def start_clients(self):
        self.heard = threading.Condition()
        for number in range(PROCESSES):
            argv = [sys.executable, "-B", __file__, "clients", self.kind, str(self.port)]
            argv += [str(number * CLIENTS), str(CLIENTS)]
            env = {**os.environ, "KILL_SEED": str(SEED)}
            process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env)
            listener = threading.Thread(target=self.hear, args=(process,), daemon=True)
            listener.start()
            self.clients.append(process)
            self.listeners.append(listener)

    def kill_amid(self):
        """At moments that are spread over all that the clients will hand in."""
        requests, size = SIZES[self.kind]
        total = PROCESSES * CLIENTS * requests * size
        for moment in sorted(self.rng.sample(range(total // 50, total * 9 // 10), KILLS)):
            with self.heard:
                come = self.heard.wait_for(lambda m=moment: self.complaints or len(self.handed_in) >= m, LIMIT)
            if self.complaints or not come:
                self.complain("the clients came to nothing")
                return
            # Not only where a request has just been begun.
            threading.Event().wait(self.rng.random() * 0.02)
            self.kill(self.serve, "mailq-serve")
            if self.rng.random() < 0.4:
                self.kill(self.watch, "mailq-run")
                self.start_watch()
            self.start_serve()

    def end_clients(self):
        for process, listener in zip(self.clients, self.listeners):
            if self.complaints:
                process.kill()
            try:
                self.expect(process.wait(LIMIT) == 0, "clients came to grief")
            except subprocess.TimeoutExpired:
                process.kill()
                self.complain("the clients do not come to an end")
            listener.join()

    def stop(self):
        """Whatever still runs, also where the test was ended."""
        for process in [*self.clients, self.serve, self.watch]:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self.log.close()

    # ---- the end ---------------------------------------------------------------------------------

    def own_id(self, event, test_id):
        """By the recipient, which each message has of its own; ids may be made up."""
        if not self.names:
            for id_, events in self.spool.events().items():
                for one in events:
                    for recipient in one.get("recipients", []):
                        self.names[id_] = recipient["address"].split("@")[0].split(".", 1)[1]
        return self.names.get(test_id, test_id)

    def run(self):
        self.start_serve()
        self.start_watch()
        self.start_clients()
        self.kill_amid()
        self.end_clients()
        for process, name in ((self.serve, "mailq-serve"), (self.watch, "mailq-run")):
            process.terminate()
            self.expect(process.wait(60) == 0, f"{name}: exit status {process.returncode}")
        self.run_to_the_end()
        self.compare()
        self.expect(self.kills["mailq-serve"] == KILLS, f"killed {self.kills}")
        self.expect(self.acknowledged, "nothing was acknowledged at all")
        if self.kind != "batches":
            # Whoever posts until there is an answer hears of everything.
            self.expect(self.acknowledged == self.handed_in, "not all was answered")
        print(f"killed {dict(self.kills)}")
        if self.complaints:
            print(self.said().decode(errors="replace"))
        return self.finish()


def main(kind, *args):
    if kind == "clients":
        return run_clients(*args)
    with tempfile.TemporaryDirectory(prefix="mailq-serve-kills.") as directory:
        test = ServeTest(directory, kind)
        try:
            return 0 if test.run() else 1
        finally:
            test.stop()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that directories are removed
    sys.exit(main(*sys.argv[1:]))
