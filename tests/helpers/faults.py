"""faults.py SCENARIO...: what an add, a delivery or a recovery leaves behind when one of its calls
fails or is the last of the process.

Each scenario is run once without a fault, which gives the number of calls that change the spool, and
then again for every one of them and every way to fail (tests/preload/faults.c).  After each the spool
is given to a mailq-run without faults, and what was acknowledged is compared with what arrived.

FAULTS_STRIDE=N tries each N-th case only, another part of the calls for each way to fail (1: all);
FAULTS_ONLY="ACT NUMBER" is one case.  "faults.py complete" holds the preloaded object against strace:
whether there are calls that it does not see.
"""

import concurrent.futures
import os
import re
import shutil
import sys
import tempfile
import threading

from crash import BUILD, Spool, flags_for, one_json, one_raw, was_killed, write_config
from receive import Server

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
        }
        wrapper = []
        if self.act == "strace":
            wrapper = ["strace", "-f", "-y", "-qq", "-s", "0", "-e", "signal=none"]
            wrapper += ["-e", "trace=%file,%desc", "-o", self.log + ".strace"]
            for name, value in env.items():
                wrapper += ["-E", f"{name}={value}"]
            env = {}
        self.status, out, errors = self.spool.call(argv, text, env, wrapper)
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
        stride = int(os.environ.get("FAULTS_STRIDE", 1))
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


# ---- adding --------------------------------------------------------------------------------------


class Add(Scenario):
    """A test's id is the client's id, so that adding again can be tried."""

    names = ("a",)
    again = True

    def argv(self, case):
        return ["mailq-add", "--id", case.id("a"), *flags_for(case.id("a"))], ""

    def ids(self, case):
        return [case.id(name) for name in self.names]

    def prepare(self, case):
        case.setup(["mailq-run", "-q"])  # makes the spool

    def act(self, case):
        argv, text = self.argv(case)
        out, errors = case.faulted(argv, text)
        case.acknowledged = set(out)
        if was_killed(case.status):
            return
        if case.status == 0:
            for test_id in self.ids(case):
                known = test_id in out or f'"{test_id}" is known' in errors
                case.expect(known, f"exit 0, but {test_id} was not acknowledged: {errors}")
            return
        case.expect(case.status in REFUSALS, f"exit status {case.status}: {errors}")
        # A disk that is broken for good leaves no way to take anything back.
        if case.act in ("eio", "enospc", "full"):
            queued = {name.split(".", 5)[5] for name in case.queued_names()}
            kept = queued - case.acknowledged - self.known_before(case)
            case.expect(not kept, f"refused with {case.status}, but queued: {sorted(kept)}")

    def known_before(self, case):
        return set()

    def add_again(self, case):
        argv, text = self.argv(case)
        status, out, errors = case.spool.call(argv, text)
        case.expect(status == 0, f"adding again: status {status}: {errors}")
        for test_id in self.ids(case):
            if test_id in out.split():
                case.expect(
                    test_id not in case.acknowledged,
                    f"{test_id} was acknowledged and is queued once more",
                )
            else:
                case.expect(f'"{test_id}" is known' in errors, f"adding again: {errors}")

    def verify(self, case):
        # An adder may meet what another left before any mailq-run does.
        if self.again and case.at % 2:
            self.add_again(case)
        else:
            case.run_to_the_end()
            if self.again:
                self.add_again(case)
        case.run_to_the_end()
        events = case.spool.events()
        for test_id in self.ids(case):
            must = 1 if self.again or test_id in case.acknowledged else 0
            case.check_received(test_id, events, must)
        extra = set(case.captured) - set(self.ids(case))
        case.expect(not extra, f"arrived, but was never handed in: {extra}")
        case.check_tidy()


class AddOne(Add):
    pass


class AddFirst(Add):
    """The spool is made on the way."""

    def prepare(self, case):
        pass


class AddLater(Add):
    """Due at an instant that has come when the next run looks."""

    def argv(self, case):
        argv, text = super().argv(case)
        return [*argv, "--at", "now"], text


class AddRaw(Add):
    """As sendmail, with an id that is made up."""

    again = False

    def argv(self, case):
        return ["mailq-add", f"ok.{case.id('a')}@example.org"], one_raw(case.id("a"), 200_000)

    def act(self, case):
        argv, text = self.argv(case)
        out, errors = case.faulted(argv, text)
        if out:
            case.acknowledged = {case.id("a")}
        case.expect(
            bool(out) or case.status != 0, f"exit 0, but no id was printed: {errors}"
        )
        if case.status != 0 and not was_killed(case.status):
            case.expect(case.status in REFUSALS, f"exit status {case.status}: {errors}")
            if case.act in ("eio", "enospc", "full") and not out:
                kept = case.queued_names()
                case.expect(not kept, f"refused with {case.status}, but queued: {kept}")


class AddBatch(Add):
    names = ("a", "b", "c")

    def argv(self, case):
        lines = [one_json(case.id(name), priority=at % 2) for at, name in enumerate(self.names)]
        return ["mailq-add", "--json"], "\n".join(lines)


class AddBatchKnown(AddBatch):
    """One of three is in the queue already, and one comes twice."""

    def prepare(self, case):
        super().prepare(case)
        case.setup(["mailq-add", "--json"], one_json(case.id("b")))

    def known_before(self, case):
        return {case.id("b")}

    def argv(self, case):
        lines = [one_json(case.id(name)) for name in ("a", "b", "c", "a")]
        return ["mailq-add", "--json"], "\n".join(lines)


class AddHundred(AddBatch):
    """Two groups: one large enough for a bucket of its own, one that goes into a shared one."""

    names = tuple(f"n{number}" for number in range(100))

    def argv(self, case):
        lines = [one_json(case.id(name), priority=2 if at < 70 else 1, size=50)
                 for at, name in enumerate(self.names)]  # fmt: skip
        return ["mailq-add", "--json"], "\n".join(lines)


# ---- delivering ----------------------------------------------------------------------------------


class Deliver(Scenario):
    acts = FAILS + KILLS + ("powercut",)
    # name: its recipients; what arrives at the least in the end, and at the most without doubt
    messages = {"a": (["ok"], 1, 1), "b": (["ok"], 1, 1), "c": (["ok"], 1, 1)}
    policy = ""

    def prepare(self, case):
        lines = []
        for name, (kinds, _, _) in self.messages.items():
            to = [f"{kind}.{case.id(name)}@example.org" for kind in kinds]
            lines.append(one_json(case.id(name), to))
        ids = case.setup(["mailq-add", "--json"], "\n".join(lines))
        case.expect(len(ids) == len(self.messages), f"adding: {ids}")

    def act(self, case):
        _, errors = case.faulted(["mailq-run", "-q"], act="after" if case.act == "powercut" else None)
        if not was_killed(case.status):
            case.expect(case.status in (0, *REFUSALS), f"exit status {case.status}: {errors}")

    def verify(self, case):
        case.run_to_the_end()
        events = case.spool.events()
        failed = case.spool.ids_in("failed")
        for name, (_, at_least, times) in self.messages.items():
            test_id = case.id(name)
            case.check_received(test_id, events, at_least, times)
            kinds = [event["event"] for event in events[test_id]]
            self.check_outcome(case, test_id, kinds, failed, name)
        case.check_tidy()

    def check_outcome(self, case, test_id, kinds, failed, name):
        ends = kinds.count("sent") + kinds.count("failed")
        case.expect(ends == 1, f"{test_id}: {ends} final outcomes on record: {kinds}")
        case.expect(
            failed.count(test_id) == kinds.count("failed"),
            f"{test_id}: on record {kinds}, but {failed.count(test_id)} times in failed/",
        )


class DeliverCaptured(Deliver):
    pass


class DeliverSmtp(Deliver):
    def prepare_scenario(self):
        self.server = Server()
        self.config = write_config(
            os.path.join(self.dir, "mailq.conf"), self.server.port, connections=1, more=self.policy
        )


class DeliverMixed(DeliverSmtp):
    """Every outcome there is."""

    messages = {
        "sent": (["ok"], 1, 1),
        "put-off": (["dotlater"], 1, 1),
        "in-part": (["ok", "later"], 1, 2),
        "one-failed": (["ok", "never"], 1, 1),
        "failed": (["never"], 0, 0),
        "refused": (["dotnever"], 0, 0),
    }

    def check_outcome(self, case, test_id, kinds, failed, name):
        super().check_outcome(case, test_id, kinds, failed, name)
        want = "failed" if name in ("one-failed", "failed", "refused") else "sent"
        case.expect(want in kinds, f"{test_id}: {kinds}, expected {want}")
        if name == "in-part":
            self.check_parts(case, test_id)

    def check_parts(self, case, test_id):
        """Nobody gets a second copy because another was put off."""
        got = [receipt.recipients for receipt in self.server.receipts[test_id]]
        events = case.spool.events()[test_id]
        uncertain = sum(event["event"] == "uncertain" for event in events)
        for kind in ("ok", "later"):
            count = sum(f"{kind}.{test_id}@example.org" in one for one in got)
            case.expect(
                1 <= count <= 1 + uncertain, f"{test_id}: {kind} got {count} copies: {got}"
            )


class Recover(DeliverMixed):
    """The mailq-run that meets the fault is the one that cleans up after another."""

    dead_at = "settling"

    def dead_call(self, calls):
        """At which call the first runner dies."""
        writes = [number for number, name, path in calls if (name, path[-8:]) == ("write", "/journal")]
        if self.dead_at == "dot":  # the journal's lines: begin, offered, dot
            return writes[2]
        return next(
            number for number, name, path in calls if name == "unlink" and path.startswith("cur/")
        )

    def prepare_scenario(self):
        super().prepare_scenario()
        case = Case(self, "none", 0)
        super().prepare(case)
        case.faulted(["mailq-run", "-q"])
        self.dies_at = self.dead_call(case.calls())
        case.finish()

    def prepare(self, case):
        super().prepare(case)
        how = "after" if self.dead_at == "dot" else "before"
        case.faulted(["mailq-run", "-q"], act=how, at=self.dies_at)
        case.expect(was_killed(case.status), "the first runner did not die")
        left = case.spool.files("cur", "*", "*", "*")
        case.expect(left, "the first runner has left nothing")


class RecoverUncertain(Recover):
    dead_at = "dot"


class RecoverFailing(Recover):
    """The account says that an uncertain message is not tried again."""

    dead_at = "dot"
    policy = 'uncertain = "fail";'
    messages = {"a": (["ok"], 0, 1), "b": (["ok"], 0, 1), "c": (["ok"], 0, 1)}

    def check_outcome(self, case, test_id, kinds, failed, name):
        Deliver.check_outcome(self, case, test_id, kinds, failed, name)
        if "failed" in kinds:
            case.expect("uncertain" in kinds, f"{test_id}: failed without a word: {kinds}")


class RecoverHolding(RecoverFailing):
    """It is held for a person to decide."""

    policy = 'uncertain = "hold";'

    def check_outcome(self, case, test_id, kinds, failed, name):
        held = case.spool.ids_in("uncertain").count(test_id)
        case.expect(
            held + kinds.count("sent") == 1, f"{test_id}: {kinds}, {held} times in uncertain/"
        )
        case.expect(held == kinds.count("uncertain") or held == 1 and "uncertain" in kinds,
                    f"{test_id}: {kinds}, {held} times in uncertain/")  # fmt: skip


class RecoverDraft(AddBatch):
    """An adder died in its commit; the mailq-run that takes its draft back meets the fault."""

    def prepare_scenario(self):
        super().prepare_scenario()
        case = Case(self, "none", 0)
        super().prepare(case)
        argv, text = self.argv(case)
        case.faulted(argv, text)
        calls = case.calls()
        publishing = [number for number, name, path in calls
                      if name == "rename" and re.match(r"waiting/main/[^.].*/|waiting/default/[^.].*/", path)]
        self.dies_at = {
            "ids": publishing[0],  # before the first is published
            "half": publishing[-1],  # before the last
            "done": publishing[-1] + 1,  # all are published, the file is still there
        }[self.dead_at]
        case.finish()

    dead_at = "ids"

    def prepare(self, case):
        super().prepare(case)
        argv, text = self.argv(case)
        case.faulted(argv, text, act="before", at=self.dies_at)
        case.expect(was_killed(case.status), "the adder did not die")
        case.expect(case.spool.files("tmp", "*"), "the adder has left nothing")

    def act(self, case):
        _, errors = case.faulted(["mailq-run", "-q"])
        if not was_killed(case.status):
            case.expect(case.status in (0, *REFUSALS), f"exit status {case.status}: {errors}")


class RecoverDraftHalf(RecoverDraft):
    dead_at = "half"


class RecoverDraftDone(RecoverDraft):
    dead_at = "done"


CHANGING = re.compile(
    r"\d+ +(mkdir|mkdirat|rmdir|link|linkat|symlink|symlinkat|rename|renameat|renameat2|unlink|"
    r"unlinkat|fsync|fdatasync|syncfs|sync_file_range|truncate|ftruncate|fallocate|write|pwrite64|"
    r"writev|pwritev|pwritev2|copy_file_range|sendfile|splice|chmod|fchmod|fchmodat|chown|fchown|"
    r"fchownat|utimensat|setxattr|fsetxattr|mknod|mknodat|open|openat|creat)\((.*)"
)


def complete(directory, name):
    """One run that both strace and the preloaded object look at: they must count the same."""
    scenario = SCENARIOS[name](directory)
    case = Case(scenario, "strace", 0)
    scenario.prepare(case)
    scenario.act(case)
    seen = [call for call in case.calls()]
    made = []
    with open(case.log + ".strace") as lines:
        for line in lines:
            match = CHANGING.match(line)
            if not match or case.spool.path not in match[2] or case.log in match[2]:
                continue
            if match[1] in ("open", "openat") and "O_CREAT" not in match[2]:
                continue
            made.append(line.strip())
    print(f"{name}: strace has seen {len(made)} calls, the preloaded object {len(seen)}")
    if len(made) != len(seen):
        print("\n".join(made), "\n", *seen, sep="\n")
        return False
    if scenario.server is not None:
        scenario.server.close()
    return case.status == 0 and len(seen) > 10 and not case.complaints


SCENARIOS = {
    "add-one": AddOne,
    "add-first": AddFirst,
    "add-later": AddLater,
    "add-raw": AddRaw,
    "add-batch": AddBatch,
    "add-batch-known": AddBatchKnown,
    "add-hundred": AddHundred,
    "deliver-captured": DeliverCaptured,
    "deliver-smtp": DeliverSmtp,
    "deliver-mixed": DeliverMixed,
    "recover-settling": Recover,
    "recover-uncertain": RecoverUncertain,
    "recover-failing": RecoverFailing,
    "recover-holding": RecoverHolding,
    "recover-draft": RecoverDraft,
    "recover-draft-half": RecoverDraftHalf,
    "recover-draft-done": RecoverDraftDone,
}


def main(names):
    good = True
    if not os.path.exists(SHIM):
        print(f"{SHIM} is not there: make test-programs")
        return 1
    if names[0] == "complete":
        with tempfile.TemporaryDirectory(prefix="mailq-faults.") as directory:
            return 0 if all([complete(directory, name) for name in names[1:]]) else 1
    for name in names:
        # Hundreds of spools: where there is a file system in memory, a sync costs nothing.
        where = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None
        with tempfile.TemporaryDirectory(prefix="mailq-faults.", dir=where) as directory:
            scenario = SCENARIOS[name](directory)
            good = scenario.run() and good
            if scenario.server is not None:
                scenario.server.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(SCENARIOS)))
