"""A spool in which one call fails in one way, and a scenario: many such cases."""

import concurrent.futures
import os
import re
import shutil
import tempfile
import threading

from crash import BUILD, REPORTER, Spool, Told, was_killed, write_config

SHIM = os.path.join(BUILD, "tests", "preload", "faults.so")
FAILS = ("eio", "enospc", "broken", "full")
KILLS = ("before", "after", "torn")
REFUSALS = (73, 74, 75)
numbers = iter(range(1, 1 << 30))
lock = threading.Lock()


class Case:
    """A spool of its own, in which one call fails in one way."""

    def __init__(self, scenario, act, at):
        self.scenario, self.act, self.at = scenario, act, at
        self.complaints = []
        with lock:
            self.prefix = f"c{next(numbers)}"
        self.dir = tempfile.mkdtemp(prefix=self.prefix + ".", dir=scenario.dir)
        self.log = os.path.join(self.dir, "calls")
        self.spool = Spool(os.path.join(self.dir, "spool"), scenario.config)
        self.acknowledged = set()
        self.status = 0

    def id(self, name):
        """Ids differ from case to case, as all share the server."""
        return f"{self.prefix}-{name}"

    def complain(self, text):
        self.complaints.append(text)

    def expect(self, condition, text):
        if not condition:
            self.complain(text)

    def setup(self, argv, text=""):
        """Runs a program that must work."""
        status, out, errors = self.spool.call(argv, text)
        self.expect(status == 0, f"{argv[0]} without a fault: status {status}: {errors}")
        return out.split()

    def faulted(self, argv, text="", act=None, at=None):
        """Runs a program with the fault of this case, or another."""
        self.forget_calls()
        env = {
            "LD_PRELOAD": SHIM,
            "FAULTS_UNDER": self.spool.path,
            "FAULTS_AT": str(self.at if at is None else at),
            "FAULTS_ACT": act or self.act,
            "FAULTS_LOG": self.log,
            "ASAN_OPTIONS": "verify_asan_link_order=0",
        }
        wrapper = []
        if self.act == "strace":
            wrapper = ["strace", "-f", "-y", "-qq", "-s", "0", "-e", "signal=none"]
            wrapper += ["-e", "trace=%file,%desc", "-o", self.log + ".strace"]
            for name, value in env.items():
                wrapper += ["-E", f"{name}={value}"]
            env = {}
        self.status, out, errors = self.spool.call(argv, text, env, wrapper)
        self.out = out
        self.expect("Sanitizer" not in errors, errors)
        return out.split(), errors

    def forget_calls(self):
        if os.path.exists(self.log):
            os.rename(self.log, self.log + ".before")

    def calls(self):
        """The calls of the last faulted run: (number, name, path below the spool)."""
        found = []
        if not os.path.exists(self.log):
            return found
        with open(self.log) as lines:
            for line in lines:
                match = re.match(r"(\d+) (\w+) (.*)\n", line)
                if match:
                    path = os.path.relpath(match[3], self.spool.path)
                    found.append((int(match[1]), match[2], path))
        return sorted(found)

    def synced_sizes(self):
        """How much of each file was synced last, by path."""
        sizes = {}
        if os.path.exists(self.log):
            with open(self.log) as lines:
                for line in lines:
                    match = re.match(r"synced (\d+) (.*)\n", line)
                    if match:
                        sizes[match[2]] = int(match[1])
        return sizes

    def cut_power(self):
        """As far as journals go: what was not synced is gone, and the machine has booted anew."""
        sizes = self.synced_sizes()
        for journal in self.spool.files("cur", "*", "journal"):
            with open(journal, "rb+") as file:
                text = file.read()[: sizes.get(journal, 0)]
                text = re.sub(rb'"boot":"[^"]*"', b'"boot":"another"', text)
                file.seek(0)
                file.write(text)
                file.truncate()

    # ---- afterwards --------------------------------------------------------------------------

    def run_to_the_end(self):
        """mailq-run until nothing is left to deliver; a few must do."""
        for _ in range(6):
            self.setup(["mailq-run", "--now", "-q"])
            deferred = [name.split(".", 5)[5] for name in self.queued_names()]
            if not deferred:
                break
            self.setup(["mailq-run", "--now", "-q", "--id", *deferred])
        self.setup(["mailq-run", "-q"])
        left = self.queued_names()
        self.expect(not left, f"still queued after many mailq-run: {left}")
        self.captured = self.spool.captured()

    def tell_to_the_end(self, told=None):
        """A reporter without faults tells what is left; then all that is on record was heard, in order."""
        told = told or Told()
        status, out, errors = self.spool.call([REPORTER, self.spool.path, "100"])
        self.expect(status == 0, f"the last reporter: status {status}: {errors}")
        told.add(out)
        for complaint in told.complaints(self.spool.events()):
            self.complain(complaint)
        left = self.spool.files("reports", "*,*") + self.spool.files("reports", "again", "*")
        self.expect(not left, f"still to be told: {left}")
        return told

    def queued_names(self):
        return self.spool.queued()

    def received(self, test_id):
        """How many copies arrived, and whether all were whole."""
        if self.scenario.server is None:
            return len(self.captured[test_id]), all(self.captured[test_id])
        receipts = self.scenario.server.receipts[test_id]
        return len(receipts), all(receipt.whole for receipt in receipts)

    def check_received(self, test_id, events, at_least, times=1):
        """A message arrives as often as it must; each further copy is told of as uncertain."""
        count, whole = self.received(test_id)
        uncertain = [event for event in events[test_id] if event["event"] == "uncertain"]
        self.expect(whole, f"{test_id}: arrived damaged")
        self.expect(count >= at_least, f"{test_id}: lost: arrived {count} times of {at_least}")
        self.expect(
            count <= times + len(uncertain),
            f"{test_id}: arrived {count} times, but was uncertain {len(uncertain)} times",
        )

    def check_tidy(self):
        left = self.spool.leftovers()
        self.expect(not left, f"left behind: {left}")
        for complaint in self.spool.check() or []:
            self.complain(complaint)

    def finish(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        if self.complaints:
            where = [call for call in self.where if call[0] == self.at] or ["(not reached)"]
            for text in self.complaints:
                print(f"  {self.act} at call {self.at} {where[0]}: {text}")
        return not self.complaints


class Scenario:
    server = None
    acts = FAILS + KILLS
    stride = 1  # unless FAULTS_STRIDE says otherwise

    def __init__(self, directory):
        self.dir = directory
        self.prepare_scenario()

    def prepare_scenario(self):
        self.config = write_config(os.path.join(self.dir, "mailq.conf"), capture=True)

    def prepare(self, case):
        """What is there before the fault."""

    def act(self, case):
        """The program that meets the fault."""

    def verify(self, case):
        """Without faults again."""

    def play(self, act, at):
        case = Case(self, act, at)
        try:
            self.prepare(case)
            self.act(case)
            case.where = case.calls()
            reached = at == 0 or any(number == at for number, _, _ in case.where)
            if act in KILLS and reached and at > 0:
                case.expect(was_killed(case.status), f"was not killed, but exited {case.status}")
            if act == "powercut":
                case.cut_power()
            self.verify(case)
        except Exception as fault:  # shown with its case
            case.where = case.calls()
            case.complain(repr(fault))
        return case.finish(), case.where

    def run(self):
        good, calls = self.play("none", 0)
        if not good or not calls:
            print(f"  without a fault: {len(calls)} calls, {'good' if good else 'bad'}")
            return False
        stride = int(os.environ.get("FAULTS_STRIDE", self.stride))
        cases = []
        for part, act in enumerate(self.acts):
            for number, name, _ in calls:
                if act == "torn" and "write" not in name:
                    continue
                each = stride * (16 if self.is_dull(calls, number) else 1)
                if (number + part * (each // len(self.acts) + 1)) % each == 0:
                    cases.append((act, number))
        if "FAULTS_ONLY" in os.environ:
            act, number = os.environ["FAULTS_ONLY"].split()
            cases = [(act, int(number))]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda case: self.play(*case)[0], cases))
        print(f"{len(cases)} cases with {len(calls)} calls, {results.count(False)} bad")
        return all(results)

    @staticmethod
    def is_dull(calls, number):
        """One of a long row of like calls, and not near its ends."""
        around = {name for at, name, _ in calls if abs(at - number) <= 4}
        return around <= {"link", "symlink", "rename", "unlink"} and 5 < number < len(calls) - 4
