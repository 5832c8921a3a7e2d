#!/usr/bin/python3
"""Attachments for the tests, and a look at those that arrived.

attachments.py content SIZE FILE        bytes that are not alike anywhere, the same each time
attachments.py json FILE... [OPTION]    a body for add-messages: a message with these files as base64
    --lines         in lines of 76, as the command base64 writes them
    --escaped       with JSON's escapes where there is one
    --messages N    N messages with the same attachments
    --member M      "content", or "storage_path" with its prefix
    --one           the message alone, as mailq-add takes it
attachments.py list MESSAGE             a line each: name, type, disposition, id, bytes, SHA-256
"""
import argparse
import base64
import email
import email.policy
import hashlib
import json
import random
import sys


def content(size, path):
    block = bytearray(random.Random(7).randbytes(1 << 20))
    with open(path, "wb") as file:
        for i in range(0, size, len(block)):
            block[:8] = i.to_bytes(8, "big")
            file.write(block[: size - i])


def text_of(path, lines, escaped):
    with open(path, "rb") as file:
        bytes_ = file.read()
    text = (base64.encodebytes(bytes_) if lines else base64.b64encode(bytes_)).decode()
    text = json.dumps(text)
    if escaped:
        text = text.replace("/", "\\/").replace("+", "\\u002b").replace("=", "\\u003D")
    return text


def write_json(options):
    out = sys.stdout
    parts = []
    for path in options.files:
        text = text_of(path, options.lines, options.escaped)
        if options.member == "storage_path":
            text = '"base64:' + text[1:]
        parts.append('{"filename":%s,"%s":%s}' % (json.dumps(path), options.member, text))
    head = '{"from":"app@example.com","to":["a@example.org"],"subject":"S","body":"B","attachments":['
    if not options.one:
        out.write('{"messages":[')
    for i in range(options.messages):
        out.write(("," if i else "") + head + ",".join(parts) + "]}")
    if not options.one:
        out.write("]}")


def list_of(path):
    with open(path, "rb") as file:
        message = email.message_from_binary_file(file, policy=email.policy.default)
    for part in message.walk():
        if part.get_filename() is None and part["Content-ID"] is None:
            continue
        bytes_ = part.get_payload(decode=True)
        print(
            part.get_filename(),
            part.get_content_type(),
            part.get_content_disposition(),
            part["Content-ID"] or "-",
            len(bytes_),
            hashlib.sha256(bytes_).hexdigest(),
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["content", "json", "list"])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--lines", action="store_true")
    parser.add_argument("--escaped", action="store_true")
    parser.add_argument("--one", action="store_true")
    parser.add_argument("--messages", type=int, default=1)
    parser.add_argument("--member", default="content")
    options = parser.parse_args()
    if options.what == "content":
        content(int(options.files[0]), options.files[1])
    elif options.what == "json":
        write_json(options)
    else:
        list_of(options.files[0])


main()
