#!/usr/bin/python3
"""mail_roundtrip.py COMPOSE DIR [SEED [COUNT]]: makes messages of random fields, has the program
COMPOSE write them, and reads them with Python's email package: every field must come back as it was
given.  Prints how many were compared, or what differs, and exits 1."""

import base64
import email
import email.policy
import email.utils
import json
import random
import subprocess
import sys

compose, directory = sys.argv[1:3]
seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
count = int(sys.argv[4]) if len(sys.argv) > 4 else 400
rng = random.Random(seed)

LETTERS = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789"
WIDE = "äöüßéñçøłžšпривет日本語中文العربيةעברית😀🎉ıİǅ\u0301\u200d"
PUNCTUATION = "!#$%&'*+-/=?^_`{|}~.,:;@\"\\()<>[]"


def word(alphabet, most=12):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(1, most)))


def phrase(words, most=12):
    """Words with single blanks; some ASCII, some not, some with any punctuation."""
    kinds = [LETTERS, LETTERS + WIDE, WIDE, LETTERS + PUNCTUATION]
    text = " ".join(word(rng.choice(kinds), most) for _ in range(words))
    return text.replace("=?", "=!").replace("?=", "!=")


def address():
    local = rng.choice([word(LETTERS), word(LETTERS) + "+" + word(LETTERS), '"' + word(LETTERS) + ' x"'])
    return local + "@" + word(LETTERS) + ".example"


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def body():
    kind = rng.randint(0, 5)
    lines = ["".join(rng.choice(LETTERS + " .=-") for _ in range(rng.randint(0, 90)))
             for _ in range(rng.randint(0, 30))]
    if kind == 1:
        lines.append(word(LETTERS, 3000) * 3)
    if kind == 2:
        lines += [phrase(30), "From here", ".", "..", "x \t", "--=_x"]
    if kind == 3:
        lines = ["".join(rng.choice(WIDE) for _ in range(rng.randint(0, 2000)))]
    if kind == 4:
        lines += ["\x1b[1m bold", "\x07"]
    end = rng.choice(["", "\n", "\n\n"])
    return rng.choice(["\n", "\r\n"]).join(lines) + end


def attachment(data):
    name = word(LETTERS) + rng.choice(["", " ", "ü", "日本", '"', ";", "'", "%"]) + word(LETTERS) + \
        rng.choice([".txt", ".pdf", ".bin", "", ".HTML"])
    data.append((name, content := rng.randbytes(rng.choice([0, 1, 2, 3, 56, 57, 58, 1000, 100000]))))
    return {"filename": name, "content": base64.b64encode(content).decode()}


def message(number):
    names = [(phrase(rng.randint(1, 4)), address()) for _ in range(rng.randint(1, 12))]
    data = []
    m = {
        "from": quoted(phrase(2)) + " <" + address() + ">",
        "to": [quoted(name) + " <" + a + ">" for name, a in names],
        "bcc": "hidden-%d@secret.example" % number,
        "subject": phrase(rng.randint(0, 30), rng.choice([12, 12, 200])),
        "body": body(),
        "headers": {"X-Note": phrase(rng.randint(1, 40)), "X-Plain": word(LETTERS, 700)},
        "attachments": [attachment(data) for _ in range(rng.choice([0, 0, 1, 3]))],
    }
    if rng.random() < 0.5:
        m["content_type"] = "html"
        if rng.random() < 0.5:
            m["alternative"] = body()
        m["content_ids"] = [rng.choice([None, "id%d@x" % i]) for i in range(len(data))]
    if rng.random() < 0.3:
        m["reply_to"] = address()
    if rng.random() < 0.3:
        m["message_id"] = "<%d@x>" % number
    return m, names, data


def lines_of(text):
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check(what, got, want):
    if got != want:
        raise AssertionError("%s is\n%r, expected\n%r" % (what, got, want))


def text_of(part):
    return lines_of(part.get_payload(decode=True).decode(part.get_content_charset()))


def same_text(what, got, want, alone):
    """A text that is the whole message ends with a line end, whether it had one or not."""
    if alone and not want.endswith("\n") and got == want + "\n":
        return
    check(what, got, want)


def compare(raw, m, names, data):
    if any(b >= 0x80 for b in raw) or b"\r" in raw.replace(b"\r\n", b"") or b"\n" in raw.replace(b"\r\n", b""):
        raise AssertionError("bytes that must not be there")
    if max(len(line) for line in raw.split(b"\r\n")) > 998 or not raw.endswith(b"\r\n"):
        raise AssertionError("a line too long, or no line end")
    if b"hidden-" in raw:
        raise AssertionError("a Bcc recipient is shown")
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    old = email.message_from_bytes(raw)  # the parser that leaves the header as it is
    unfolded = lambda name: "".join(old[name].splitlines())
    decoded = lambda text: str(email.header.make_header(email.header.decode_header(text)))
    plain = lambda name: decoded(unfolded(name))
    check("defects", [d for part in parsed.walk() for d in part.defects], [])
    check("subject", plain("Subject"), m["subject"])
    check("X-Note", plain("X-Note"), m["headers"]["X-Note"])
    check("X-Plain", old["X-Plain"], m["headers"]["X-Plain"])
    # (of two encoded words in a name, the newer parser makes two words)
    check("to", [(decoded(name), a) for name, a in email.utils.getaddresses([unfolded("To")])], names)
    check("from", len(parsed["From"].addresses), 1)
    if "reply_to" in m:
        check("reply_to", parsed["Reply-To"].addresses[0].addr_spec, m["reply_to"])
    if "message_id" in m:
        check("message_id", parsed["Message-ID"], m["message_id"])
    if email.utils.parsedate_to_datetime(parsed["Date"]).tzinfo is None or parsed["MIME-Version"] != "1.0":
        raise AssertionError("no date, or no MIME-Version")
    leaves = [part for part in parsed.walk() if not part.is_multipart()]
    texts = leaves[:2] if "alternative" in m else leaves[:1]
    wanted = ([m["alternative"]] if "alternative" in m else []) + [m["body"]]
    for part, want in zip(texts, wanted):
        same_text(part.get_content_type(), text_of(part), lines_of(want), len(leaves) == 1)
    check("body type", texts[-1].get_content_type(), "text/html" if "content_type" in m else "text/plain")
    ids = m.get("content_ids", [None] * len(data))
    in_order = [(d, i) for d, i in zip(data, ids) if i] + [(d, i) for d, i in zip(data, ids) if not i]
    check("attachments", len(leaves) - len(texts), len(data))
    for part, ((name, content), cid) in zip(leaves[len(texts):], in_order):
        check("file name", part.get_filename(), name)
        check("content of " + name, part.get_payload(decode=True), content)
        check("content id", part["Content-ID"], "<" + cid + ">" if cid else None)
        check("disposition", part.get_content_disposition(), "inline" if cid else "attachment")


made = [message(i) for i in range(count)]
subprocess.run([compose, directory], input=json.dumps([m for m, _, _ in made]).encode(), check=True)
for i, (m, names, data) in enumerate(made):
    path = "%s/%d.eml" % (directory, i)
    try:
        with open(path, "rb") as file:
            compare(file.read(), m, names, data)
    except AssertionError as error:
        print("%s (seed %d): %s" % (path, seed, error))
        sys.exit(1)
print("%d messages came back as they were" % count)
