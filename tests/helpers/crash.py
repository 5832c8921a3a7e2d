"""What kills.py and faults.py share: programs, messages to add, and a look at a spool."""

import base64
import collections
import glob
import heapq
import json
import os
import signal
import subprocess
import time

from receive import body_for, read_message

BUILD = os.environ["MAILQ_BUILD"]


def program(name):
    return os.path.join(BUILD, "bin", name)


def exists(name):
    return os.access(program(name), os.X_OK)


def write_config(path, port=None, capture=False, connections=4, more=""):
    """One account, "main": to a server on this port, or into a Maildir in the spool."""
    where = (
        'transport = "capture";'
        if capture
        else f'host = "127.0.0.1"; port = {port}; starttls = "never"; '
        f"connections = {connections};"
    )
    with open(path, "w") as file:
        file.write(
            "queue: { min_free_space = 0; min_free_inodes = 0; };\n"
            'delivery: { hostname = "host.example"; };\n'
            f'accounts: ( {{ id = "main"; {where} {more} }} );\n'
        )
    return path


def one_json(test_id, to=None, size=300, **more):
    """A message as a line of JSON; its content follows from its id."""
    return json.dumps(
        {
            "id": test_id,
            "from": "app@example.com",
            "to": to or [f"ok.{test_id}@example.org"],
            "subject": f"Message {test_id}",
            "body": body_for(test_id, size),
            "headers": {"X-Test-Id": test_id},
            **more,
        }
    )


def with_files(test_id, seeds, **more):
    """The same with attachments, each large enough to be stored apart; the same seed, the same file."""
    files = [
        {
            "filename": f"{seed}.txt",
            "content": base64.b64encode(body_for(seed, 30000).encode()).decode(),
        }
        for seed in seeds
    ]
    headers = {"X-Test-Id": test_id, "X-Parts": str(1 + len(files))}
    return one_json(test_id, attachments=files, headers=headers, **more)


def one_raw(test_id, size=300):
    return (
        f"From: app@example.com\nTo: ok.{test_id}@example.org\nSubject: Message {test_id}\n"
        f"X-Test-Id: {test_id}\n\n{body_for(test_id, size)}"
    )


def flags_for(test_id, size=300):
    return [
        "--from", "app@example.com", "--to", f"ok.{test_id}@example.org",
        "--subject", f"Message {test_id}", "--body", body_for(test_id, size),
        "--header", f"X-Test-Id: {test_id}",
    ]  # fmt: skip


def begin_of(file):
    """Sorts journals by when they were begun, which their token says."""
    parts = file.split(os.sep)
    return parts[-2] if parts[-1] == "journal" else parts[-1]


def journal_lines(file):
    values = []
    with open(file, "rb") as lines:
        for line in lines:
            try:
                values.append(json.loads(line))
            except ValueError:
                continue  # torn by a kill: the next writer has ended the line
    return values


def merge_journals(journals):
    """One sequence of the lines of several journals.  Lines of one journal stay in the order of their
    file, whatever their times are: several may have the same microsecond, and a clock may be set back.
    Journals are told apart by time, and at the same time by their place in the list."""
    return list(heapq.merge(*journals, key=lambda value: value["t"]))


class Spool:
    def __init__(self, path, config):
        self.path = os.path.realpath(path)
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "MAILQ_SPOOL": self.path,
            "MAILQ_CONFIG": config,
        }

    def start(self, argv, env=None, wrapper=(), **more):
        return subprocess.Popen(
            [*wrapper, program(argv[0]), *argv[1:]],
            env={**self.env, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    def call(self, argv, text="", env=None, wrapper=(), seconds=200):
        """(exit status, stdout, stderr); a status of -9 is a kill."""
        process = self.start(argv, env, wrapper, stdin=subprocess.PIPE)
        try:
            out, errors = process.communicate(text, seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, errors = process.communicate()
            errors += f"\n{argv[0]} hung for {seconds} s"
        return process.returncode, out, errors

    def files(self, *parts):
        return glob.glob(os.path.join(self.path, *parts))

    def queued(self):
        """Names of messages that still wait, are deferred or in some runner's hands."""
        return [
            os.path.basename(file)
            for file in self.files("waiting", "*", "*", "*")
            + self.files("waiting", ".*", "*", "*")
            + self.files("waiting", "*", ".*", "*")
            + self.files("deferred", "*", "*", "*")
            + self.files("deferred", "*", ".*", "*")
            + self.files("cur", "*", "*", "*")
        ]

    def ids_in(self, state):
        return [name.split(".", 5)[5] for name in map(os.path.basename, self.files(state, *"***"))]

    def leftovers(self):
        """What a last mailq-run should have tidied away.  A bucket of the future that never got its
        name is not looked at before its time."""
        found = []
        failed = self.ids_in("failed")  # a retry by hand passes over who has it already
        for part in ("tmp", "cur", "partial"):
            for name in os.listdir(os.path.join(self.path, part)):
                if part != "partial" or name not in failed:
                    found.append(f"{part}/{name}")
        for state in ("waiting", "deferred", "held", "uncertain", "failed"):
            for file in self.files(state, ".*") + self.files(state, "*", ".*"):
                start = os.path.basename(file).split(".")[2:3]
                if "~" in file or not start or float(start[0]) < time.time():
                    found.append(os.path.relpath(file, self.path))
        if not failed:
            found += [os.path.relpath(file, self.path) for kept in ("blobs", "parts")
                      for file in self.files(kept, "*")]  # fmt: skip
        return found + [os.path.basename(file) for file in self.files(".*.tmp")]

    def events(self):
        """All lines of all journals, by id, in the order in which they happened.  Lines of "offered"
        and "dot" have a name only."""
        files = self.files("log", "*.log") + self.files("cur", "*", "journal")
        events = collections.defaultdict(list)
        for value in merge_journals([journal_lines(file) for file in sorted(files, key=begin_of)]):
            name = value.get("name")
            test_id = value.get("id") or (name.split(".", 5)[5] if name else None)
            events[test_id].append(value)
        return events

    def captured(self):
        """The test's ids of what stands in the Maildir, and whether each is whole."""
        found = collections.defaultdict(list)
        for file in self.files("captured", "new", "*"):
            with open(file, "rb") as text:
                test_id, whole = read_message(text.read())
            found[test_id].append(whole)
        return found

    def check(self):
        """Complaints of mailq-status check; None while there is no such program."""
        if not exists("mailq-status"):
            return None
        status, out, errors = self.call(["mailq-status", "check"])
        return [] if status == 0 else [f"mailq-status check: {status}: {out} {errors}"]


REPORTER = os.path.join("..", "tests", "tools", "reporter")
REPORTED = ("sent", "failed", "deferred", "uncertain", "corrupt", "bounced", "refused")


class Told:
    """What reporters have printed, one after the other."""

    def __init__(self):
        self.first = collections.defaultdict(list)  # by id: (instant, event), when first told
        self.heard = set()
        self.repeated = self.rejected = 0

    def add(self, out):
        """The output of one; a line that a kill has cut off is none."""
        batch = collections.defaultdict(list)
        for line in out[: out.rfind("\n") + 1].splitlines():
            words = line.split(" ")
            if words[0] == "heard":
                self.heard.update((words[1], *one) for one in batch.pop(words[1], ()))
            elif words[0] == "rejected":
                self.rejected += 1
                batch.pop(words[1], None)
            else:
                one = (words[2], words[1])
                batch[words[0]].append(one)
                if one in self.first[words[0]]:
                    self.repeated += 1
                else:
                    self.first[words[0]].append(one)

    def complaints(self, events):
        """Every outcome on record was heard, no other, and each message's were told in their order."""
        found = []
        for test_id, list_ in events.items():
            want = [
                (event["t"], event["event"])
                for event in list_
                if event["event"] in REPORTED and "id" in event
            ]
            lost = [one for one in want if (test_id, *one) not in self.heard]
            if lost:
                found.append(f"{test_id}: the application has not heard {lost} of {want}")
            elif self.first.get(test_id, []) != want:
                found.append(f"{test_id}: told {self.first[test_id]}, on record {want}")
        found += [f"{test_id}: told, not on record" for test_id in set(self.first) - set(events)]
        return found


def was_killed(status):
    return status == -signal.SIGKILL
