#!/usr/bin/python3
"""examples_relay.py PORT CERTIFICATE KEY: a relay on 127.0.0.1 that takes every message: STARTTLS, and AUTH
with any password.  Ends with SIGTERM."""
import asyncio
import signal
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Taker:
    async def handle_DATA(self, server, session, envelope):
        return "250 2.0.0 Ok: queued"


def accept(server, session, envelope, mechanism, data):
    return AuthResult(success=True)


async def main():
    port, certificate, key = sys.argv[1:]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    await loop.create_server(lambda: SMTP(Taker(), tls_context=context, authenticator=accept,
                                          hostname="smtp.example.com"), "127.0.0.1", int(port))
    await done.wait()


asyncio.run(main())
