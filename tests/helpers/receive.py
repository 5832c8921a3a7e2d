"""A small SMTP server that remembers what it took responsibility for.

It runs in a thread of the test's own process: what it acknowledged with 250 to the final dot is in
its memory before that reply leaves, and the test looks at it directly.  How it answers is said by
the local part of each recipient, before its first dot:

	ok		accepted
	later		its first RCPT is answered 450, later ones are accepted
	never		every RCPT is answered 550
	dotlater	the first dot of a message with this recipient is answered 451
	dotnever	every dot of a message with this recipient is answered 554

Offered are PIPELINING, 8BITMIME and SIZE.  Started as a program it prints its port and serves.
"""

import asyncio
import collections
import email
import hashlib
import random
import re
import sys
import threading

Receipt = collections.namedtuple("Receipt", "id recipients whole size")


def body_for(seed, size=300):
    """A body whose last line holds the checksum of all that is before it."""
    rng = random.Random(seed)
    lines = []
    while size > 0:
        line = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz ABCDEF0123456789.", k=min(size, 70)))
        lines.append(("." if rng.random() < 0.1 else "x") + line.strip())
        size -= 71
    text = "\n".join(lines) + "\n"
    return text + "sum " + hashlib.sha256(text.encode()).hexdigest() + "\n"


def is_whole(body):
    text = body.replace(b"\r\n", b"\n")
    match = re.fullmatch(rb"(?s)(.*\n)sum ([0-9a-f]{64})\n", text)
    return match is not None and hashlib.sha256(match[1]).hexdigest() == match[2].decode()


def read_message(data):
    """The test's own id of a message, and whether its body is just what was handed in."""
    message = email.message_from_bytes(data)
    leaves = [part for part in message.walk() if not part.is_multipart()]
    whole = all(is_whole(leaf.get_payload(decode=True) or b"") for leaf in leaves)
    return message["X-Test-Id"], whole and len(leaves) == int(message.get("X-Parts", 1))


class Server:
    """Server(delay) listens on a free port of 127.0.0.1 until close(); delay() gives the seconds
    that the reply to a dot takes."""

    def __init__(self, delay=None):
        self.delay = delay
        self.receipts = collections.defaultdict(list)  # by the test's id
        self.dots = 0
        self.seen = set()  # recipients that were put off once
        self.changed = threading.Condition()
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self.thread.start()
        started.wait()

    def _run(self, started):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(
            asyncio.start_server(self._session, "127.0.0.1", 0, limit=1 << 26, backlog=500)
        )
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def count(self, test_id):
        return len(self.receipts[test_id])

    def wait_for(self, condition, seconds=120):
        """Until condition() holds; it is looked at after each message."""
        with self.changed:
            if not self.changed.wait_for(condition, seconds):
                raise TimeoutError("the server never saw what was waited for")

    def wait_a_moment(self):
        """Until another message comes, at the most a tenth of a second."""
        with self.changed:
            self.changed.wait(0.1)

    def _once(self, recipient):
        if recipient in self.seen:
            return False
        self.seen.add(recipient)
        return True

    def _rcpt(self, recipient, accepted):
        kind = recipient.split(".", 1)[0]
        if kind == "never":
            return "550 5.1.1 no such user"
        if kind == "later" and self._once(recipient):
            return "450 4.2.1 come back later"
        accepted.append(recipient)
        return "250 2.1.5 ok"

    def _dot(self, recipients, data):
        self.dots += 1
        kinds = {recipient.split(".", 1)[0]: recipient for recipient in recipients}
        if "dotnever" in kinds:
            return "554 5.6.0 refused"
        if "dotlater" in kinds and self._once(kinds["dotlater"]):
            return "451 4.3.0 not now"
        test_id, whole = read_message(data)
        with self.changed:
            self.receipts[test_id].append(Receipt(test_id, tuple(recipients), whole, len(data)))
            self.changed.notify_all()
        return "250 2.0.0 ok: queued as " + hashlib.sha256(data).hexdigest()[:12]

    async def _session(self, reader, writer):
        try:
            await self._talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # killed in mid-sentence: no dot, no message
        finally:
            writer.close()

    async def _talk(self, reader, writer):
        recipients = []

        def say(line):
            writer.write(line.encode() + b"\r\n")

        say("220 127.0.0.1 ESMTP")
        while True:
            await writer.drain()
            line = (await reader.readuntil(b"\r\n"))[:-2].decode("utf-8", "replace")
            word = line.split(" ", 1)[0].upper()
            if word == "EHLO":
                writer.write(b"250-127.0.0.1\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0\r\n")
            elif word == "MAIL":
                recipients = []
                say("250 2.1.0 ok")
            elif word == "RCPT":
                say(self._rcpt(re.search(r"<([^>]*)>", line)[1], recipients))
            elif word == "DATA" and not recipients:
                say("554 5.5.1 no recipient")
            elif word == "DATA":
                say("354 go on")
                await writer.drain()
                data = await reader.readuntil(b"\r\n.\r\n")
                data = re.sub(rb"(?m)^\.", b"", data[:-3])
                reply = self._dot(recipients, data)
                delay = self.delay() if self.delay else 0
                if delay:
                    await asyncio.sleep(delay)
                say(reply)
            elif word in ("RSET", "NOOP"):
                say("250 2.0.0 ok")
            elif word == "QUIT":
                say("221 2.0.0 bye")
                await writer.drain()
                return
            else:
                say("500 5.5.2 what?")


if __name__ == "__main__":
    serving = Server()
    print(serving.port, flush=True)
    sys.stdin.read()
    for receipts in serving.receipts.values():
        for receipt in receipts:
            print(receipt.id, "whole" if receipt.whole else "torn", *receipt.recipients)
