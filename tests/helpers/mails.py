#!/usr/bin/python3
"""Mail for the tests, and whether it arrived as it was.

mails.py lines COUNT			COUNT messages as JSON Lines
mails.py check-lines COUNT KEPT		each of them stands in KEPT (aiosmtpd_server.py's directory)
					once, whole and with its envelope
mails.py raw DIR			whole messages with all that makes transports stumble
mails.py check-raw DIR KEPT		each file DIR/NAME was sent to NAME@example.org and arrived
					once, byte for byte but for what mailq-add(1) says it changes
"""
import base64
import email
import email.policy
import glob
import hashlib
import json
import os
import random
import re
import sys

WORDS = ("invoice Grüße naïve 日本語 Ελληνικά привет emoji-🙂 a=b =?x?= <tag> \"quoted\" back\\slash "
         "comma, semi; colon: tab\there percent%20 &amp; .dot ..dots").split(" ")


def message(number):
    """What message number N says: its JSON object."""
    rng = random.Random(number)

    def words(low, high):
        return " ".join(rng.choices(WORDS, k=rng.randint(low, high)))

    body = []
    for _ in range(rng.randint(0, 40)):
        body.append(rng.choice(["", ".", "..", ". x", "From here", "-- ", words(1, 30),
                                "x" * rng.choice([76, 77, 78, 998, 999, 3000]), "trailing  "]))
    one = {"id": "M-%d" % number, "from": "Sender %d <from-%d@example.com>" % (number, number),
           "to": ["to-%d@example.org" % number],
           "subject": words(0, 12).replace("\t", " ").strip(), "body": "\n".join(body),
           "content_type": rng.choice(["plain", "html"])}
    if number % 3 == 0:
        one["cc"] = "Zoë <cc-%d@example.org>" % number
    if number % 4 == 0:
        one["bcc"] = ["bcc-%d@example.org" % number, "bcc2-%d@example.org" % number]
    if number % 5 == 0:
        one["return_path"] = "bounce-%d@example.com" % number
    if number % 10 == 0:
        content = rng.randbytes(rng.choice([0, 1, 57, 58, 10000]))
        one["attachments"] = [{"filename": rng.choice(["a.bin", "Übersicht für 日本.pdf"]),
                               "content": base64.b64encode(content).decode()}]
    return one


def kept(directory):
    for name in sorted(glob.glob(os.path.join(directory, "*.json"))):
        with open(name, encoding="utf-8") as file:
            envelope = json.load(file)
        with open(name[:-4] + "eml", "rb") as file:
            yield envelope, file.read()


def fault(what, *values):
    print(what, *[repr(value)[:600] for value in values], sep="\n  ")
    sys.exit(1)


def same(name, what, got, want):
    if got != want:
        fault("%s: %s: got, expected" % (name, what), got, want)


def check_line(one, envelope, data):
    name = one["id"]
    everybody = one["to"] + (["cc-%s@example.org" % name[2:]] if "cc" in one else []) + \
        one.get("bcc", [])
    same(name, "recipients", sorted(envelope["recipients"]), sorted(everybody))
    same(name, "sender", envelope["sender"],
         one.get("return_path") or one["from"].split("<")[1].rstrip(">"))
    for line in data.split(b"\r\n"):
        if len(line) > 998 or b"\n" in line or b"\r" in line or any(c > 127 for c in line):
            fault("%s: not a line for every server" % name, line)
    if re.search(rb"(?im)^(resent-)?bcc|bcc2?-\d", data):
        fault("%s: shows its Bcc" % name)
    parsed = email.message_from_bytes(data, policy=email.policy.default)
    if parsed.defects:
        fault("%s: defects" % name, parsed.defects)
    same(name, "subject", parsed["Subject"], one["subject"])
    same(name, "from", parsed["From"], one["from"])
    text = parsed.get_body()
    same(name, "type", text.get_content_subtype(), one["content_type"])
    same(name, "body", text.get_content().replace("\r\n", "\n").rstrip("\n"),
         one["body"].rstrip("\n"))
    files = [(part.get_filename(), part.get_payload(decode=True))
             for part in parsed.iter_attachments()]
    same(name, "attachments", files, [(a["filename"], base64.b64decode(a["content"]))
                                      for a in one.get("attachments", [])])


def check_lines(count, directory):
    wanted = {one["id"][2:]: one for one in map(message, range(count))}
    for envelope, data in kept(directory):
        number = re.search(r"to-(\d+)@", " ".join(envelope["recipients"]))[1]
        one = wanted.pop(number, None)
        if one is None:
            fault("message %s came twice" % number)
        check_line(one, envelope, data)
    if wanted:
        fault("%d messages did not come" % len(wanted), sorted(wanted))


HEADER = b"From: a@example.com\r\nTo: b@example.org\r\nSubject: %s\r\n" \
    b"Date: Sat, 21 Nov 2026 08:00:00 +0000\r\nMessage-ID: <%s@example.com>\r\n"


def raw_messages():
    def whole(name, body, extra=b""):
        return name, HEADER % (name.encode(), name.encode()) + extra + b"\r\n" + body

    mime = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" \
        b"Content-Transfer-Encoding: 8bit\r\n"
    rng = random.Random(7)
    yield whole("plain", b"hello\r\n")
    yield whole("lf-only", b"hello\nworld\n")
    yield whole("no-final-newline", b"hello\r\nno newline here")
    yield whole("empty-body", b"")
    yield whole("one-empty-line", b"\r\n")
    yield whole("many-empty-lines", b"\r\n" * 50)
    yield whole("dots", b".\r\n..\r\n...\r\n.x\r\n. \r\nx.\r\n.\r\n")
    yield whole("first-is-dot", b".leading\r\n")
    yield whole("ends-in-dot", b"x\r\n.")
    yield whole("dot-and-commands", b"x\r\n.\r\nMAIL FROM:<evil@example.com>\r\n"
                b"RCPT TO:<evil@example.org>\r\nDATA\r\nevil\r\n.\r\nQUIT\r\n")
    yield whole("smuggling", b"x\n.\nMAIL FROM:<evil@example.com>\n.\r\nx\r.\r\nx\r\n.\rx\r\n")
    yield whole("lone-cr", b"a\rb\r\nc\r\r\nd\r")
    yield whole("from-lines", b"From me\r\n>From me\r\n\r\nFrom me\r\n")
    for size in (998, 999, 1000, 2000, 65535, 65536, 200000):
        yield whole("line-%d" % size, b"x" * size + b"\r\n.y\r\n")
    yield whole("dotted-long", b"." * 70000 + b"\r\n" + b".\r\n" * 70000)
    yield whole("eight-bit", "Grüße, 日本語\r\n.ü\r\n".encode(), mime)
    yield whole("latin1", "Grüße\r\n".encode("latin-1"), mime.replace(b"utf-8", b"iso-8859-1"))
    yield whole("utf8-header", b"x\r\n", "X-Umlaut: Grüße 日本\r\n".encode())
    yield whole("folded", b"x\r\n", b"X-Folded: a\r\n\tb\r\n  c\r\nReferences: <1@a>\r\n <2@a>\r\n")
    yield whole("bcc-lines", b"x\r\n", b"Bcc: secret@example.org,\r\n\tmore@example.org\r\n")
    yield whole("long-header", b"x\r\n", b"X-Long: " + b"y" * 5000 + b"\r\n")
    yield whole("big", b"".join(base64.encodebytes(rng.randbytes(57)).replace(b"\n", b"\r\n")
                                for _ in range(50000)))
    yield "lf-all", (HEADER % (b"lf-all", b"lf-all")).replace(b"\r\n", b"\n") + b"\nx\n.\ny\n"
    yield "mbox-from", b"From joe Sat Nov 21 08:00:00 2026\n" + HEADER % (b"m", b"m") + b"\r\nx\r\n"
    yield "headers-missing", b"Subject: nothing else\n\nx\n"


def expected(data):
    """header (with its line ends), body and the fields that mailq-add has to add"""
    data = re.sub(rb"\AFrom [^\n]*\n", b"", data)
    data = re.sub(rb"\r+\n", b"\n", data)
    field = rb"[!-9;-~]+[ \t]*:[^\n]*(?:\n|\Z)(?:[ \t][^\n]*(?:\n|\Z))*"
    header = re.match(rb"(?:" + field + rb")*", data)[0]
    body = re.sub(rb"\A\n", b"", data[len(header):])
    header = header.replace(b"\r", b" ")
    if header and not header.endswith(b"\n"):
        header += b"\n"
    if body and not body.endswith((b"\n", b"\r")):
        body += b"\n"
    body = body.replace(b"\r", b"\n")
    header = re.sub(rb"(?im)^(?:resent-)?bcc[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*", b"", header)
    missing = {field for field in (b"from", b"date", b"message-id")
               if not re.search(rb"(?im)^" + field + rb"[ \t]*:", header)}
    return header.replace(b"\n", b"\r\n"), body.replace(b"\n", b"\r\n"), missing


def check_raw(directory, kept_directory):
    names = set(os.listdir(directory))
    for envelope, data in kept(kept_directory):
        name = envelope["recipients"][0].split("@")[0]
        if name not in names:
            fault("%s came twice, or was never sent" % name)
        names.remove(name)
        with open(os.path.join(directory, name), "rb") as file:
            header, body, missing = expected(file.read())
        if not data.startswith(header):
            fault("%s: header: got, expected" % name, data[:len(header) + 200], header)
        rest = data[len(header):]
        while not rest.startswith(b"\r\n"):
            field, _, rest = rest.partition(b"\r\n")
            key = field.split(b":")[0].lower()
            if key not in missing:
                fault("%s: a field that was not there" % name, field)
            missing.remove(key)
        if missing:
            fault("%s: fields that were to be added" % name, missing)
        if rest[2:] != body:
            fault("%s: body (%s): got, expected" %
                  (name, hashlib.sha256(body).hexdigest()), rest[2:], body)
    if names:
        fault("did not come", sorted(names))


def main():
    command, *arguments = sys.argv[1:]
    if command == "lines":
        for number in range(int(arguments[0])):
            print(json.dumps(message(number), ensure_ascii=number % 2 == 0))
    elif command == "check-lines":
        check_lines(int(arguments[0]), arguments[1])
    elif command == "raw":
        os.makedirs(arguments[0])
        for name, data in raw_messages():
            with open(os.path.join(arguments[0], name), "wb") as file:
                file.write(data)
    elif command == "check-raw":
        check_raw(*arguments)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
