"""What faults.py can make fail: adds, deliveries, and recoveries from what those have left."""

import os
import re

from crash import (REPORTER, Told, flags_for, one_json, one_raw, was_killed, with_files,
                   write_config)
from fault_case import FAILS, KILLS, REFUSALS, Case, Scenario
from receive import Server

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
                known = test_id in out or f'duplicate id "{test_id}"' in errors
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
                case.expect(f'duplicate id "{test_id}"' in errors, f"adding again: {errors}")

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
        extra = set(case.captured) - set(self.ids(case)) - self.known_before(case)
        case.expect(not extra, f"arrived, but was never handed in: {extra}")
        case.check_tidy()


class AddOne(Add):
    pass


class AddFirst(Add):
    """The spool is made on the way."""

    stride = 4

    def prepare(self, case):
        pass


class AddLater(Add):
    """Due at an instant that has come when the next run looks."""

    def argv(self, case):
        argv, text = super().argv(case)
        return [*argv, "--at", "now"], text


class AddRaw(Add):
    """As sendmail, with an id that is made up."""

    stride = 2
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
    stride = 2
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


class AddFile(Add):
    """A message with an attachment, in a spool that has never had one."""

    stride = 2

    def argv(self, case):
        return ["mailq-add", "--json"], with_files(case.id("a"), ["one", "two", "one"])


class AddFiles(AddBatch):
    """One attachment is stored already, as another message waits with it."""

    stride = 4

    def prepare(self, case):
        super().prepare(case)
        case.setup(["mailq-add", "--json"], with_files(case.id("before"), ["one"]))

    def verify(self, case):
        super().verify(case)
        case.check_received(case.id("before"), case.spool.events(), 1)

    def known_before(self, case):
        return {case.id("before")}

    def argv(self, case):
        lines = [
            with_files(case.id("a"), ["one", "two"]),
            one_json(case.id("b")),
            with_files(case.id("c"), ["two", "three"], priority=1),
        ]
        return ["mailq-add", "--json"], "\n".join(lines)


# ---- delivering ----------------------------------------------------------------------------------


class Deliver(Scenario):
    acts = FAILS + KILLS + ("powercut",)
    stride = 4
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
        act = "after" if case.act == "powercut" else None
        _, errors = case.faulted(["mailq-run", "-q"], act=act)
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
        told = case.tell_to_the_end()
        case.expect(told.repeated == 0, f"{told.repeated} outcomes were told twice")

    def check_outcome(self, case, test_id, kinds, failed, name):
        ends = kinds.count("sent") + kinds.count("failed")
        case.expect(ends == 1, f"{test_id}: {ends} final outcomes on record: {kinds}")
        case.expect(
            failed.count(test_id) == kinds.count("failed"),
            f"{test_id}: on record {kinds}, but {failed.count(test_id)} times in failed/",
        )


class DeliverCaptured(Deliver):
    pass


class DeliverFiles(Deliver):
    """Two share a draft, one has a draft of its own; all need the same attachment."""

    def prepare(self, case):
        for names in (("a", "b"), ("c",)):
            lines = [with_files(case.id(name), ["one", "two"]) for name in names]
            case.setup(["mailq-add", "--json"], "\n".join(lines))


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


class DeliverLimited(DeliverSmtp):
    """All but one message are put aside for their domain first; slots are taken and given back."""

    policy = (
        'limit_per_minute = 100; domains = ( { domain = "example.org"; connections = 1; '
        "per_hour = 100; } );"
    )

    def verify(self, case):
        """A limit's file that was torn is made anew when it is needed: by the next message."""
        case.run_to_the_end()
        case.setup(["mailq-add", "--json"], one_json(case.id("next"), ["ok@example.org"]))
        super().verify(case)


class Recover(DeliverMixed):
    """The mailq-run that meets the fault is the one that cleans up after another."""

    stride = 8
    dead_at = "settling"

    def dead_call(self, calls):
        """At which call the first runner dies."""
        writes = [
            number for number, name, path in calls if name == "write" and path.endswith("/journal")
        ]
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


class Tell(DeliverMixed):
    """The reporter meets the fault, in the middle of batches, some of which are rejected."""

    stride = 1
    acts = FAILS + KILLS
    reject = "3"

    def prepare(self, case):
        super().prepare(case)
        case.run_to_the_end()

    def act(self, case):
        case.told = Told()
        argv = [REPORTER, case.spool.path, "4", self.reject]
        _, errors = case.faulted(argv)
        case.told.add(case.out)
        if not was_killed(case.status):
            case.expect(case.status in (0, *REFUSALS), f"exit status {case.status}: {errors}")

    def verify(self, case):
        case.expect(case.at > 0 or case.told.rejected > 0, "nothing was rejected")
        case.tell_to_the_end(case.told)
        case.check_tidy()


class Unread(Deliver):
    """The disk fails to give something once: nothing is damaged for that, nor told as failed, and all goes
    out when it gives it again."""

    acts = ("unread",)
    stride = 1
    argv = ["mailq-run", "-q"]

    def prepare(self, case):
        lines = [with_files(case.id("a"), ["one", "two"]), one_json(case.id("b"))]
        case.setup(["mailq-add", "--json"], "\n".join(lines))
        case.setup(["mailq-add", "--json"], one_json(case.id("c")))
        case.setup(["mailq-status", "hold", case.id("b")])
        case.setup(["mailq-status", "release", case.id("b")])

    def act(self, case):
        if case.act == "none":  # what can be read is what is counted
            case.act = "unread"
        _, errors = case.faulted(self.argv)
        case.expect(case.status in (0, *REFUSALS), f"exit status {case.status}: {errors}")
        case.expect("damaged" not in errors, errors)

    def verify(self, case):
        left = case.queued_names() + case.spool.files("captured", "new", "*")
        case.expect(len(left) >= len(self.messages), f"gone after the fault: {left}")
        # A Maildir that cannot be opened is a fault of its account, which is parked.
        parked = any(at == case.at and path.startswith("captured") for at, _, path in case.where)
        if self.argv[0] == "mailq-run" and case.queued_names() and not parked:
            case.expect(case.status != 0, f"{case.queued_names()} wait, and the status is 0")
        case.expect(not case.spool.files("corrupt", "*"), "something is in corrupt/")
        super().verify(case)
        kinds = {event["event"] for events in case.spool.events().values() for event in events}
        wrong = kinds & {"corrupt", "failed", "deferred"}
        case.expect(not wrong, f"on record: {wrong}")

    def check_outcome(self, case, test_id, kinds, failed, name):
        case.expect(kinds.count("sent") == 1, f"{test_id}: on record {kinds}")
        case.expect(case.received(test_id)[0] == 1, f"{test_id}: not received once")


class UnreadSmtp(Unread):
    def prepare_scenario(self):
        self.server = Server()
        self.config = write_config(
            os.path.join(self.dir, "mailq.conf"), self.server.port, connections=1
        )

    def verify(self, case):
        case.captured = []
        Deliver.verify(self, case)
        case.expect(not case.spool.files("corrupt", "*"), "something is in corrupt/")


class UnreadCheck(Unread):
    """With --repair: what it cannot read, it does not move."""

    argv = ["mailq-status", "check", "--repair"]


class UnreadList(Unread):
    argv = ["mailq-status", "list", "-l"]


class UnreadRecover(RecoverHolding):
    """What a dead runner has left cannot be read: it stays, and that is told."""

    acts = ("unread",)
    stride = 1

    def act(self, case):
        if case.act == "none":
            case.act = "unread"
        super().act(case)

    def verify(self, case):
        case.expect(not case.spool.files("corrupt", "*"), "something is in corrupt/")
        if case.spool.files("cur", "*", "*", "*"):
            case.expect(case.status != 0, "messages stay in cur/, and the status is 0")
        super().verify(case)


class UnreadAdd(AddBatchKnown):
    acts = ("unread",)
    stride = 1

    def act(self, case):
        if case.act == "none":
            case.act = "unread"
        super().act(case)


class RecoverDraft(AddBatch):
    """An adder died in its commit; the mailq-run that takes its draft back meets the fault."""

    stride = 1

    def prepare_scenario(self):
        super().prepare_scenario()
        case = Case(self, "none", 0)
        super().prepare(case)
        argv, text = self.argv(case)
        case.faulted(argv, text)
        calls = case.calls()
        publishing = [
            number
            for number, name, path in calls
            if name == "rename" and re.match(r"waiting/[^./]+/[^./]+\.[^/]*/", path)
        ]
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


class RecoverDraftFiles(RecoverDraft):
    def argv(self, case):
        lines = [with_files(case.id(name), ["one", "two"]) for name in ("a", "b", "c")]
        return ["mailq-add", "--json"], "\n".join(lines)


class RecoverDraftHalf(RecoverDraft):
    stride = 4
    dead_at = "half"


class RecoverDraftDone(RecoverDraft):
    stride = 4
    dead_at = "done"


SCENARIOS = {
    "add-one": AddOne,
    "add-first": AddFirst,
    "add-later": AddLater,
    "add-raw": AddRaw,
    "add-batch": AddBatch,
    "add-batch-known": AddBatchKnown,
    "add-hundred": AddHundred,
    "add-file": AddFile,
    "add-files": AddFiles,
    "deliver-captured": DeliverCaptured,
    "deliver-files": DeliverFiles,
    "deliver-smtp": DeliverSmtp,
    "deliver-mixed": DeliverMixed,
    "deliver-limited": DeliverLimited,
    "recover-settling": Recover,
    "recover-uncertain": RecoverUncertain,
    "recover-failing": RecoverFailing,
    "recover-holding": RecoverHolding,
    "unread": Unread,
    "unread-smtp": UnreadSmtp,
    "unread-check": UnreadCheck,
    "unread-list": UnreadList,
    "unread-recover": UnreadRecover,
    "unread-add": UnreadAdd,
    "tell": Tell,
    "recover-draft": RecoverDraft,
    "recover-draft-files": RecoverDraftFiles,
    "recover-draft-half": RecoverDraftHalf,
    "recover-draft-done": RecoverDraftDone,
}
