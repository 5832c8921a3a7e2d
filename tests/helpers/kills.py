"""kills.py TEST: adders and runners that are killed, or told to end, while mail goes to a server.

	random [ROUNDS]	adders of all forms and several mailq-run at once, killed with -9 at random
			moments; then everything is run to its end and compared
	doubles		several adders add the same ids at the same time, some of them are killed
	term		mailq-run is told to end by SIGTERM in the middle of its work
	parallel	four mailq-run share 500 messages

KILL_SEED=N repeats the choices of another run (not its timing).
"""

import collections
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

from crash import REPORTER, Spool, Told, flags_for, one_json, one_raw, was_killed, write_config
from receive import Server

SEED = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(1 << 30)))


class Adder(threading.Thread):
    """Adds messages in one form after another; most of its processes are killed on the way."""

    def __init__(self, test, number):
        super().__init__()
        self.test, self.rng = test, random.Random(f"{SEED} adder {number}")
        self.number, self.count = number, 0

    def new_id(self):
        self.count += 1
        return f"a{self.number}-{self.count}"

    def kind(self):
        """Mostly accepted; some are put off or refused by the server."""
        return self.rng.choices(["ok", "later", "dotlater", "never"], [92, 4, 2, 2])[0]

    def run(self):
        while not self.test.over.is_set():
            if self.test.backlog() > 2000:
                self.test.server.wait_a_moment()
                continue
            form = self.rng.choice([self.batch, self.batch, self.raw, self.flags])
            form()

    def add(self, ids, argv, text=""):
        """One process, which dies at a random moment or is left alone."""
        self.test.handed_in.update(ids)
        process = self.test.spool.start(argv, stdin=subprocess.PIPE)
        limit = self.rng.choice([0.002, 0.01, 0.05, None]) if self.rng.random() < 0.7 else None
        if limit is not None:
            timer = threading.Timer(self.rng.random() * limit, process.kill)
            timer.start()
        out, errors = process.communicate(text)
        if limit is not None:
            timer.cancel()
            timer.join()
        self.test.adds[process.returncode] += 1
        if not was_killed(process.returncode) and process.returncode not in (0, 75):
            self.test.complain(f"{argv[:2]}: exit status {process.returncode}: {errors}")
        # What a process that was killed was just writing may be cut off.
        return process.returncode, [line[:-1] for line in out.splitlines(True) if line[-1] == "\n"]

    def batch(self):
        """With ids of the client; some of them are those of a batch that was killed before."""
        size = self.rng.choices([1, 2, 7, 40, 150, 1300], [10, 10, 10, 10, 4, 0.5])[0]
        with self.test.lock:
            again = self.rng.sample(self.test.pool, min(len(self.test.pool), size // 5))
        ids = [self.new_id() for _ in range(size)]
        lines = [self.test.json(test_id, self.kind()) for test_id in ids]
        lines += [self.test.lines[test_id] for test_id in again]
        self.rng.shuffle(lines)
        status, out = self.add(ids, ["mailq-add", "--json"], "\n".join(lines))
        self.test.printed(out)
        if status == 0:  # those not printed are known already
            self.test.acknowledged.update(ids + again)
        with self.test.lock:
            self.test.pool += self.rng.sample(ids, (len(ids) + 4) // 5)

    def raw(self):
        test_id = self.new_id()
        size = self.rng.choice([100, 5000, 300_000])
        status, out = self.add(
            [test_id], ["mailq-add", f"ok.{test_id}@example.org"], one_raw(test_id, size)
        )
        if status == 0 or out:
            self.test.acknowledged.add(test_id)

    def flags(self):
        test_id = self.new_id()
        argv = ["mailq-add", *flags_for(test_id, self.rng.choice([100, 5000]))]
        if self.rng.random() < 0.5:
            argv += ["--id", test_id]
        status, out = self.add([test_id], argv)
        if status == 0 or out:
            self.test.acknowledged.add(test_id)


class Runner(threading.Thread):
    """One mailq-run after the other; most are killed."""

    def __init__(self, test, number):
        super().__init__()
        self.test, self.rng = test, random.Random(f"{SEED} runner {number}")

    def run(self):
        while not self.test.over.is_set():
            process = self.test.spool.start(["mailq-run", "-q"], stdin=subprocess.DEVNULL)
            sort = self.rng.choices([signal.SIGKILL, signal.SIGTERM, None], [8, 1, 1])[0]
            if sort is not None:
                moment = self.rng.choice([0.01, 0.05, 0.3]) * self.rng.random()
                timer = threading.Timer(moment, process.send_signal, [sort])
                timer.start()
            _, errors = process.communicate()
            if sort is not None:
                timer.cancel()
                timer.join()
            self.test.runs[process.returncode] += 1
            # A SIGTERM may come before the program has begun to listen for it.
            fine = (0, -signal.SIGKILL, -signal.SIGTERM if sort == signal.SIGTERM else 0)
            if process.returncode not in fine:
                self.test.complain(f"mailq-run: exit status {process.returncode}: {errors}")


class Reporter(threading.Thread):
    """One reporter after the other, each of which rejects some; most are killed."""

    def __init__(self, test, number):
        super().__init__()
        self.test, self.rng = test, random.Random(f"{SEED} reporter {number}")

    def run(self):
        while not self.test.over.is_set():
            process = self.test.reporter(self.rng.choice(["3", "20", "0"]))
            timer = threading.Timer(self.rng.choice([0.02, 0.1, 0.5]) * self.rng.random(),
                                    process.kill if self.rng.random() < 0.8 else process.stdin.close)  # fmt: skip
            timer.start()
            self.test.hear(process)
            timer.cancel()
            timer.join()
            self.test.reporters[process.returncode] += 1


class Test:
    def __init__(self, directory, delay=None, connections=4, server=None):
        self.server = server or Server(delay)
        config = write_config(
            os.path.join(directory, "mailq.conf"),
            self.server.port,
            connections=connections,
            more='retry = "1s"; retry_jitter = 0;',
        )
        self.spool = Spool(os.path.join(directory, "spool"), config)
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.complaints = []
        self.handed_in, self.acknowledged, self.refused = set(), set(), set()
        self.told = set()  # ids that were printed as queued
        self.pool = []  # ids that others may add again
        self.lines = {}
        self.adds, self.runs = collections.Counter(), collections.Counter()
        self.reporters, self.reports = collections.Counter(), Told()

    def complain(self, text):
        with self.lock:
            self.complaints.append(text)

    def expect(self, condition, text):
        if not condition:
            self.complain(text)

    def json(self, test_id, kind="ok"):
        """The message of an id: the same whoever adds it."""
        line = one_json(test_id, [f"{kind}.{test_id}@example.org"])
        self.lines[test_id] = line
        if kind == "never":
            self.refused.add(test_id)
        return line

    def printed(self, ids):
        """Notes ids of the clients' own that a mailq-add printed: each is printed by one only."""
        with self.lock:
            for test_id in ids:
                if test_id in self.told or test_id not in self.lines:
                    self.complaints.append(f"{test_id} was printed twice, or never handed in")
                self.told.add(test_id)
                self.acknowledged.add(test_id)

    def reporter(self, reject, stdin=subprocess.PIPE):
        """Tells in batches of 7, and goes on until its input ends."""
        argv = [REPORTER, self.spool.path, "7", reject]
        return self.spool.start(argv, stdin=stdin)

    def hear(self, process):
        """What a reporter prints, to its end.  There is one at a time: they come in their order."""
        out, errors = process.stdout.read(), process.stderr.read()
        process.wait()
        process.stdout.close()
        process.stderr.close()
        self.reports.add(out)
        if process.returncode not in (0, -signal.SIGKILL):
            self.complain(f"reporter: exit status {process.returncode}: {errors}")

    def tell_to_the_end(self):
        """Each outcome on record was heard by now, each message's in their order."""
        self.hear(self.reporter("0", subprocess.DEVNULL))
        for text in self.reports.complaints(self.spool.events()):
            self.complain(text)
        left = self.spool.files("reports", "*,*") + self.spool.files("reports", "again", "*")
        self.expect(not left, f"still to be told: {left}")
        print(
            f"told {sum(map(len, self.reports.first.values()))}, repeated {self.reports.repeated}, "
            f"rejected {self.reports.rejected}; reporters {dict(self.reporters)}"
        )

    def backlog(self):
        return len(self.acknowledged) - len(self.server.receipts)

    def run_to_the_end(self, seconds=300):
        end = time.monotonic() + seconds
        while True:
            status, _, errors = self.spool.call(["mailq-run", "--now", "-q"])
            self.expect(status == 0, f"the last mailq-run: exit status {status}: {errors}")
            left = self.spool.queued()
            if not left:
                return
            if time.monotonic() > end:
                self.complain(f"{len(left)} still queued after {seconds} s: {left[:5]}")
                return

    def compare(self):
        """Acknowledged is received; more than once only where the journals say that it may be."""
        events = self.spool.events()
        failed = set(self.spool.ids_in("failed"))
        receipts = {test_id: r for test_id, r in self.server.receipts.items() if r}
        unknown = set(receipts) - self.handed_in
        self.expect(not unknown, f"received, but never handed in: {sorted(unknown)[:5]}")
        lost = []
        repeated = 0
        # What has an id that was made up is found by that; its recipient tells the test's own.
        uncertain = collections.Counter()
        for test_id, list_ in events.items():
            for event in list_:
                if event["event"] == "uncertain":
                    uncertain[self.own_id(event, test_id)] += 1
        for test_id in sorted(self.handed_in):
            copies = receipts.get(test_id, [])
            repeated += max(0, len(copies) - 1)
            self.expect(all(copy.whole for copy in copies), f"{test_id}: received damaged")
            self.expect(
                len(copies) <= 1 + uncertain[test_id],
                f"{test_id}: received {len(copies)} times, uncertain {uncertain[test_id]} times: "
                f"{events[test_id]}",
            )
            if test_id in self.acknowledged and not copies:
                if test_id not in self.refused or test_id not in failed:
                    lost.append(test_id)
        self.expect(not lost, f"LOST: {len(lost)} of {len(self.acknowledged)}: {lost[:5]}")
        left = self.spool.leftovers()
        self.expect(not left, f"left behind: {left}")
        for complaint in self.spool.check() or []:
            self.complain(complaint)
        print(
            f"handed in {len(self.handed_in)}, acknowledged {len(self.acknowledged)}, received "
            f"{len(receipts)}, lost {len(lost)}; uncertain {sum(uncertain.values())}, repeated "
            f"{repeated}; adders {dict(self.adds)}, runners {dict(self.runs)}; seed {SEED}"
        )

    def own_id(self, event, test_id):
        """By the subject, "Message ID", where mailq has made up another id."""
        subject = event.get("subject") or ""
        return subject.split(" ", 1)[1] if subject.startswith("Message ") else test_id

    def finish(self):
        self.server.close()
        for text in self.complaints[:20]:
            print("  " + text[:2000])
        return not self.complaints


def test_random(directory, rounds="100"):
    """Until that many mailq-run have come to an end and a tenth as many of each kind were killed, or
    the machine has been slow for too long."""
    rng = random.Random(f"{SEED} server")
    test = Test(directory, lambda: rng.choice([0] * 40 + [0.003, 0.05]))
    test.spool.call(["mailq-run", "-q"])
    threads = [Adder(test, number) for number in range(3)]
    threads += [Runner(test, number) for number in range(3)]
    threads.append(Reporter(test, 0))
    for thread in threads:
        thread.start()
    wanted, end = int(rounds), time.monotonic() + 60 + 2 * int(rounds)

    def enough():
        killed = min(counter[-signal.SIGKILL] for counter in (test.adds, test.runs))
        return sum(test.runs.values()) >= wanted and killed >= wanted / 10

    while not enough() and time.monotonic() < end and not test.complaints:
        threads[-1].join(0.1)
    test.over.set()
    for thread in threads:
        thread.join()
    test.run_to_the_end()
    test.compare()
    test.tell_to_the_end()
    kinds = (("adders", test.adds), ("runners", test.runs), ("reporters", test.reporters))
    for what, counter in kinds:
        test.expect(counter[-signal.SIGKILL] >= wanted / 10, f"few {what} were killed: {counter}")
    test.expect(test.acknowledged, "nothing was acknowledged at all")
    return test.finish()


def test_doubles(directory):
    test = Test(directory)
    rng = random.Random(f"{SEED} doubles")
    for round_ in range(12):
        ids = [f"r{round_}-{number}" for number in range(rng.choice([1, 3, 30, 200]))]
        lines = [test.json(test_id) for test_id in ids]
        test.handed_in.update(ids)
        adders = []
        for victim in (True, True, False, False):
            process = test.spool.start(["mailq-add", "--json"], stdin=subprocess.PIPE)
            adders.append((victim, process))
        results = {}

        def feed(process):
            results[process] = process.communicate("\n".join(lines))

        # In one order: the order decides who waits for whom.
        threads = [threading.Thread(target=feed, args=(process,)) for _, process in adders]
        for thread in threads:
            thread.start()
        for victim, process in adders:
            if victim:
                threading.Timer(rng.random() * 0.03, process.kill).start()
        for thread in threads:
            thread.join()
        for victim, process in adders:
            out, errors = results[process]
            test.adds[process.returncode] += 1
            test.printed(line[:-1] for line in out.splitlines(True) if line[-1] == "\n")
            if process.returncode == 0:
                known = set(out.split()) | {id_ for id_ in ids if f'duplicate id "{id_}"' in errors}
                test.expect(known == set(ids), f"exit 0, but silent of {set(ids) - known}")
                test.acknowledged.update(ids)
            elif not (victim and was_killed(process.returncode)):
                test.complain(f"exit status {process.returncode}: {errors}")
    test.run_to_the_end()
    test.compare()
    repeated = [test_id for test_id in test.lines if test.server.count(test_id) != 1]
    test.expect(not repeated, f"not received just once: {repeated}")
    return test.finish()


def test_term(directory):
    test = Test(directory, lambda: 0.002)
    ids = [f"t{number}" for number in range(400)]
    test.handed_in.update(ids)
    status, out, errors = test.spool.call(
        ["mailq-add", "--json"], "\n".join(test.json(test_id) for test_id in ids)
    )
    test.expect(status == 0, errors)
    test.printed(out.split())
    for part in (1, 2, 3):  # each ends in the middle, and the next goes on
        process = test.spool.start(["mailq-run", "-q"], stdin=subprocess.DEVNULL)
        test.server.wait_for(lambda: test.server.dots >= 60 * part)
        process.send_signal(signal.SIGTERM)
        try:
            _, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            test.complain("mailq-run did not end within 60 s of SIGTERM")
            break
        test.expect(process.returncode == 0, f"exit status {process.returncode}: {errors}")
        received = sum(test.server.count(test_id) for test_id in ids)
        test.expect(received < len(ids), "SIGTERM came too late to interrupt anything")
        test.expect(
            len(test.spool.files("waiting", "*", "*", "*")) == len(ids) - received,
            f"{received} of {len(ids)} were received, but not all others put back",
        )
        test.expect(not test.spool.leftovers(), f"left behind: {test.spool.leftovers()}")
    test.run_to_the_end()
    test.compare()
    for test_id in ids:
        test.expect(test.server.count(test_id) == 1, f"{test_id} was not received just once")
    told = [e["event"] for events in test.spool.events().values() for e in events]
    test.expect("uncertain" not in told, "something is uncertain after a SIGTERM")
    return test.finish()


def test_parallel(directory):
    test = Test(directory)
    ids = [f"p{number}" for number in range(500)]
    test.handed_in.update(ids)
    status, out, errors = test.spool.call(
        ["mailq-add", "--json"], "\n".join(test.json(test_id) for test_id in ids)
    )
    test.expect(status == 0, errors)
    test.printed(out.split())
    runners = [
        test.spool.start(["mailq-run", "--json"], stdin=subprocess.DEVNULL) for _ in range(4)
    ]
    for process in runners:
        out, errors = process.communicate()
        test.runs[process.returncode] += 1
        test.expect(process.returncode == 0, f"exit status {process.returncode}: {errors}")
        test.expect(not errors, f"a runner complained: {errors}")
    left = test.spool.queued()
    test.expect(not left, f"left in the queue by four runners: {left[:5]}")
    test.compare()
    for test_id in ids:
        test.expect(test.server.count(test_id) == 1, f"{test_id} was not received just once")
    journals = len(test.spool.files("log", "*.log"))
    test.expect(journals >= 2, f"{journals} runners did all the work")
    return test.finish()


def main(name, *args):
    tests = {"random": test_random, "doubles": test_doubles, "term": test_term,
             "parallel": test_parallel}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="mailq-kills.") as directory:
        return 0 if tests[name](directory, *args) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that directories are removed
    sys.exit(main(*sys.argv[1:]))
