#!/usr/bin/python3
"""A real SMTP server (aiosmtpd) that keeps what it takes.

aiosmtpd_server.py DIR HOST PORT [OPTION...]

Each message becomes DIR/NNNNN.eml, byte for byte as it came (CRLF, dots unstuffed), and
DIR/NNNNN.json, its envelope; numbers follow the order of arrival.  The .json appears last, by a
rename: where it stands, the message is whole.

  --smtputf8          offer SMTPUTF8
  --7bit              do not offer 8BITMIME, and refuse bytes above 127
  --login USER:PASS   demand AUTH (PLAIN or LOGIN), over a loopback without TLS
  --refuse ADDR=REPLY refuse this recipient with REPLY ("550 5.1.1 unknown"); may be repeated
  --refuse-once ...   the same for its first attempt only
  --slow SECONDS      take so long to answer a message

The envelope says when its first recipient was accepted ("begun"), when the message was there ("came"),
and when it was about to be answered ("done").
"""
import argparse
import asyncio
import json
import os
import signal
import time

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

LINE_LIMIT = 1 << 20  # the tests send lines longer than RFC 5321 allows


class Server(SMTP):
    line_length_limit = LINE_LIMIT

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__ident__ = "test"


class SevenBit:
    """What a server without 8BITMIME makes of EHLO."""

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return [line for line in responses if "8BITMIME" not in line]


class Keeper:
    def __init__(self, options):
        self.dir = options.dir
        self.count = 0
        self.refuse = dict(item.split("=", 1) for item in options.refuse)
        self.refuse_once = dict(item.split("=", 1) for item in options.refuse_once)
        self.seven_bit = options.seven_bit
        self.slow = options.slow

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        reply = self.refuse_once.pop(address, None) or self.refuse.get(address)
        if reply:
            return reply
        if not envelope.rcpt_tos:
            session.begun = time.time()
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        content = envelope.original_content
        if self.seven_bit and any(byte > 127 for byte in content):
            return "554 5.6.1 eight-bit text"
        came = time.time()
        self.count += 1
        count = self.count
        base = os.path.join(self.dir, "%05d" % count)
        await asyncio.sleep(self.slow)
        with open(base + ".eml", "wb") as file:
            file.write(content)
        with open(base + ".new", "w", encoding="utf-8") as file:
            json.dump({"sender": envelope.mail_from, "recipients": envelope.rcpt_tos,
                       "mail_options": envelope.mail_options, "peer": session.peer[0],
                       "port": session.peer[1], "helo": session.host_name,
                       "begun": session.begun, "came": came, "done": time.time(),
                       "login": getattr(session, "auth_data_kept", None)}, file,
                      ensure_ascii=False)
        os.rename(base + ".new", base + ".json")
        return "250 2.0.0 kept as %05d" % count


class SevenBitKeeper(SevenBit, Keeper):
    pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dir")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--smtputf8", action="store_true")
    parser.add_argument("--7bit", dest="seven_bit", action="store_true")
    parser.add_argument("--login")
    parser.add_argument("--refuse", action="append", default=[])
    parser.add_argument("--refuse-once", action="append", default=[])
    parser.add_argument("--slow", type=float, default=0)
    options = parser.parse_args()
    os.makedirs(options.dir, exist_ok=True)
    handler = (SevenBitKeeper if options.seven_bit else Keeper)(options)
    settings = {"hostname": "server.example", "enable_SMTPUTF8": options.smtputf8,
                "data_size_limit": 64 << 20}
    if options.login:
        user, password = options.login.split(":", 1)

        def authenticate(server, session, envelope, mechanism, data):
            good = isinstance(data, LoginPassword) and data.login == user.encode() and \
                data.password == password.encode()
            session.auth_data_kept = user if good else None
            return AuthResult(success=good, handled=False)

        settings.update(auth_required=True, auth_require_tls=False, authenticator=authenticate)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    loop.run_until_complete(loop.create_server(lambda: Server(handler, loop=loop, **settings),
                                               options.host, options.port, backlog=256))
    print("ready", flush=True)
    loop.run_forever()


if __name__ == "__main__":
    main()
