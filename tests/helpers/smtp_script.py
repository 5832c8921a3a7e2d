#!/usr/bin/python3
"""A raw SMTP server that does at each step what it is told, wrong things above all.

    smtp_script.py [-e CAPABILITY]... [-s CAPABILITY]... [-t CERT-AND-KEY] [-i] [RULE]...

It listens on a free port of 127.0.0.1, prints "port N", then a line for all that happens:

    connect N               connection N was accepted
    tls N                   its TLS handshake is done
    N> LINE                 what the client said (the content of messages left out)
    message N BYTES FROM TO[,TO...] TEXT
                            the message is about to be answered 2xx; BYTES as they came between DATA's 354
                            and the final dot, unstuffed; TEXT is its last line
    end N                   connection N is gone

-e: what EHLO offers (PIPELINING SIZE 8BITMIME by default; "-e none" for nothing); -s: the same after
STARTTLS; -t: a PEM file for TLS, and STARTTLS is offered; -i: TLS from the first byte.

A rule is STEP[#WHICH]=ACTION.  Steps: connect, ehlo, helo, starttls, auth, mail, rcpt, data, body
(once its first bytes are there), dot, rset, quit, idle (after a message was answered).  WHICH is the
number of the occurrence, counted over all connections from 1 ("3"), or a range ("3-"); without it
all are meant.  Actions, several with a comma between:

    TEXT                    the reply, "|" between its lines
    cut, rst                closes, or resets, the connection
    hang                    says nothing, for ever
    slow TEXT               byte by byte
    late TEXT               after a fifth of a second
    gate FILE               nothing until FILE is there (the reply is the next action)
    meet N                  nothing until N connections stand here at once (likewise); where they do
                            not within a minute, the line "alone CONNECTION"
    flood                   "250-" and a line that never ends; lines: lines that never end
"""
import argparse
import os
import re
import socket
import ssl
import struct
import sys
import threading
import time

OK = {
    "connect": "220 script ready",
    "starttls": "220 go ahead",
    "auth": "235 2.7.0 welcome",
    "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok",
    "data": "354 go ahead",
    "dot": "250 2.0.0 queued",
    "rset": "250 2.0.0 ok",
    "quit": "221 2.0.0 bye",
    "helo": "250 script",
}


class Gone(Exception):
    pass


class Server:
    def __init__(self, options):
        self.options = options
        self.lock = threading.Lock()
        self.counts = {}
        self.meetings = {}
        self.rules = []
        for rule in options.rules:
            step, actions = rule.split("=", 1)
            step, _, which = step.partition("#")
            low, dash, high = which.partition("-")
            first = int(low) if low else 1
            last = int(high) if high else (first if which and not dash else sys.maxsize)
            self.rules.append((step, first, last, actions))
        self.context = None
        if options.tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(options.tls)

    def say(self, line):
        with self.lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def actions_due(self, step):
        return any(rule[0] == step for rule in self.rules)

    def actions(self, step):
        """What to do at this occurrence of a step, or None for the usual."""
        with self.lock:
            n = self.counts[step] = self.counts.get(step, 0) + 1
        for name, first, last, actions in self.rules:
            if name == step and first <= n <= last:
                return actions
        return None


class Conversation:
    def __init__(self, server, sock, number):
        self.server, self.sock, self.number = server, sock, number
        self.pending = b""
        self.tls = False
        self.sender, self.recipients = None, []

    # ---- bytes

    def receive(self):
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            raise Gone
        self.pending += data

    def line(self):
        while b"\n" not in self.pending:
            self.receive()
        line, self.pending = self.pending.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            raise Gone from None

    # ---- actions

    def perform(self, action):
        word, _, rest = action.partition(" ")
        if word == "cut":
            self.sock.shutdown(socket.SHUT_RDWR)
            raise Gone
        if word == "rst":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Gone
        if word == "hang":
            while True:
                self.receive()
        if word == "gate":
            while not os.path.exists(rest):
                time.sleep(0.01)
            return
        if word == "meet":
            self.meet(int(rest))
            return
        if word == "flood":
            self.send(b"250-")
            while True:
                self.send(b"x" * 65536)
        if word == "lines":
            while True:
                self.send(b"250-x\r\n" * 1000)
        if word == "late":
            time.sleep(0.2)
            word, action = "", rest
        if word == "slow":
            for c in self.encode(rest):
                self.send(bytes([c]))
                time.sleep(0.002)
            return
        if action:
            self.send(self.encode(action))

    def meet(self, n):
        with self.server.lock:
            barrier = self.server.meetings.setdefault(n, threading.Barrier(n))
        try:
            barrier.wait(60)
        except threading.BrokenBarrierError:
            self.server.say("alone %d" % self.number)

    @staticmethod
    def encode(text):
        return "".join(part + "\r\n" for part in text.split("|")).encode("latin-1")

    def step(self, name, usual=None, before=None):
        """Does what is due at a step; returns the reply's first digit.  before is called with it
        when it is known, and not yet said."""
        actions = self.server.actions(name)
        if actions is None:
            actions = OK.get(name, "") if usual is None else usual
        # A comma alone parts actions: a reply's text may hold ", ".
        parts = re.split(r",(?! )", actions)
        while parts[0].startswith(("gate ", "meet ")):
            self.perform(parts.pop(0))
        code = re.match(r"(?:slow |late )?([2-5])\d\d", parts[0])
        digit = code.group(1) if code else ""
        if before:
            before(digit)
        for part in parts:
            if part:
                self.perform(part)
        return digit

    # ---- the conversation

    def capabilities(self):
        o = self.server.options
        offers = list(o.after_tls if self.tls and o.after_tls else o.ehlo)
        if offers == ["none"]:
            offers = []
        if self.server.context and not self.tls:
            offers.append("STARTTLS")
        lines = ["script"] + offers
        return "|".join("250-" + x for x in lines[:-1]) + ("|" if len(lines) > 1 else "") + \
            "250 " + lines[-1]

    def start_tls(self):
        self.sock = self.server.context.wrap_socket(self.sock, server_side=True)
        self.tls = True
        self.server.say("tls %d" % self.number)

    def content(self):
        """The lines up to the final dot, unstuffed."""
        while not self.pending:
            self.receive()
        if self.server.actions_due("body"):
            self.step("body", "")
        # Only CRLF ends a line: a bare LF must not be taken for one.
        raw = bytearray(b"\r\n" + self.pending)
        start = 0
        while (end := raw.find(b"\r\n.\r\n", start)) < 0:
            start = max(0, len(raw) - 4)
            self.pending = b""
            self.receive()
            raw += self.pending
        self.pending = bytes(raw[end + 5:])
        return bytes(raw[2:end + 2]).replace(b"\r\n.", b"\r\n").removeprefix(b".")

    def command(self, line):
        verb = line.split(" ")[0].split(":")[0].upper()
        if verb in ("EHLO", "HELO"):
            self.step(verb.lower(), self.capabilities() if verb == "EHLO" else None)
        elif verb == "STARTTLS":
            if self.step("starttls") == "2":
                self.start_tls()
        elif verb == "AUTH":
            if self.step("auth") == "3":
                self.server.say("%d> %s" % (self.number, self.line()))
                self.step("auth")
        elif verb == "MAIL":
            usual = OK["mail"] if self.sender is None else "503 5.5.1 nested MAIL command"
            if self.step("mail", usual) == "2" and self.sender is None:
                self.sender, self.recipients = line, []
        elif verb == "RCPT":
            usual = OK["rcpt"] if self.sender is not None else "503 5.5.1 need MAIL command"
            if self.step("rcpt", usual) == "2":
                self.recipients.append(re.search("<(.*?)>", line).group(1))
        elif verb == "DATA":
            usual = OK["data"] if self.recipients else "554 5.5.1 no valid recipients"
            if self.step("data", usual) == "3":
                self.data()
        elif verb == "RSET":
            self.step("rset")
            self.sender, self.recipients = None, []
        elif verb == "QUIT":
            self.step("quit")
            raise Gone
        else:
            self.send(b"500 5.5.2 what?\r\n")

    def data(self):
        body = self.content()
        sender = re.search("<(.*?)>", self.sender or "<>").group(1)
        told = (self.number, len(body), sender or "-", ",".join(self.recipients) or "-",
                (body.splitlines() or [b""])[-1].decode("utf-8", "replace"))
        self.sender, self.recipients = None, []
        self.step("dot", before=lambda digit: digit == "2" and
                  self.server.say("message %d %d %s %s %s" % told))
        if self.server.actions_due("idle"):
            self.step("idle", "")

    def run(self):
        try:
            if self.server.options.implicit:
                self.start_tls()
            self.step("connect")
            while True:
                line = self.line()
                self.server.say("%d> %s" % (self.number, line))
                self.command(line)
        except (Gone, OSError, ssl.SSLError):
            pass
        finally:
            self.sock.close()
            self.server.say("end %d" % self.number)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-e", dest="ehlo", action="append")
    parser.add_argument("-s", dest="after_tls", action="append")
    parser.add_argument("-t", dest="tls")
    parser.add_argument("-i", dest="implicit", action="store_true")
    parser.add_argument("rules", nargs="*")
    options = parser.parse_args()
    options.ehlo = options.ehlo or ["PIPELINING", "SIZE 100000000", "8BITMIME"]
    server = Server(options)
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    server.say("port %d" % listener.getsockname()[1])
    number = 0
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number += 1
        server.say("connect %d" % number)
        conversation = Conversation(server, sock, number)
        threading.Thread(target=conversation.run, daemon=True).start()


if __name__ == "__main__":
    main()
