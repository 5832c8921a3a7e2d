"""Messages that share attachments, and what arrived of them.

parts.py lines COUNT FILE...     JSON Lines, each with all files
parts.py check DIR COUNT FILE... messages DIR/*.eml, or in a Maildir: so many, each with just these files
parts.py peak PROGRAM ARGUMENT...   runs it; prints how many KiB of memory it had at the most
"""

import base64
import email
import glob
import json
import os
import resource
import subprocess
import sys


def contents(files):
    found = {}
    for name in files:
        with open(name, "rb") as file:
            found[os.path.basename(name)] = file.read()
    return found


def print_lines(count, files):
    attachments = [
        {"filename": name, "content": base64.b64encode(content).decode()}
        for name, content in contents(files).items()
    ]
    for number in range(int(count)):
        message = {
            "id": f"m-{number}",
            "from": "app@example.com",
            "to": f"u{number}@example.org",
            "subject": f"Message {number}",
            "body": "a body",
            "attachments": attachments,
        }
        print(json.dumps(message))


def check(directory, count, files):
    wanted = contents(files)
    found = glob.glob(os.path.join(directory, "*.eml"))
    found += glob.glob(os.path.join(directory, "new", "*"))
    assert len(found) == int(count), f"{len(found)} messages"
    for path in found:
        with open(path, "rb") as file:
            message = email.message_from_binary_file(file)
        got = {
            part.get_filename(): part.get_payload(decode=True)
            for part in message.walk()
            if part.get_filename()
        }
        assert got.keys() == wanted.keys(), f"{path}: {got.keys()}"
        for name, content in wanted.items():
            assert got[name] == content, f"{path}: {name} is another"


def peak(argv):
    status = subprocess.run(argv, stdout=subprocess.DEVNULL, check=False).returncode
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    sys.exit(status)


if sys.argv[1] == "lines":
    print_lines(sys.argv[2], sys.argv[3:])
elif sys.argv[1] == "check":
    check(sys.argv[2], sys.argv[3], sys.argv[4:])
else:
    peak(sys.argv[2:])
