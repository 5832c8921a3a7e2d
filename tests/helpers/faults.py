"""faults.py SCENARIO...: what an add, a delivery or a recovery leaves behind when one of its calls
fails or is the last of the process.

Each scenario is run once without a fault, which gives the number of calls that change the spool,
and then again for every one of them and every way to fail (tests/preload/faults.c).  After each the
spool is given to a mailq-run without faults, and what was acknowledged is compared with what
arrived.

FAULTS_STRIDE=N tries each N-th case only, another part of the calls for each way to fail (1: all);
FAULTS_ONLY="ACT NUMBER" is one case.  "faults.py complete SCENARIO..." holds the preloaded object
against strace: whether there are calls that it does not see.
"""

import os
import re
import signal
import sys
import tempfile

from fault_case import SHIM, Case
from fault_scenarios import SCENARIOS

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
    # To open a directory again is part of its sync, and changes nothing.
    seen = [call for call in case.calls() if call[1] != "reopen"]
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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that directories are removed
    sys.exit(main(sys.argv[1:] or list(SCENARIOS)))
