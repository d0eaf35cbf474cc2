"""What a worker is born with, as the design lists it, and what the kernel tells of one."""
import os
import re
import signal
import time

import procfs
from harness import WAIT_S

# as protocol.h has it
FIRST_SOCKET = 11
SOCKET = r"socket:\[\d+\]"
OWN = r"anon_inode:\[(eventfd|eventpoll|signalfd)\]"
NO_CAPS = "0" * 16
FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT,
          signal.SIGSYS)
QUIET = (signal.SIGPIPE, signal.SIGXFSZ)

# as /proc/PID/limits calls them
LIMITS = {"as": "Max address space", "core": "Max core file size", "cpu": "Max cpu time",
          "data": "Max data size", "fsize": "Max file size", "memlock": "Max locked memory",
          "msgqueue": "Max msgqueue size", "nofile": "Max open files", "nproc": "Max processes",
          "sigpending": "Max pending signals", "stack": "Max stack size"}


def signal_bits(*numbers):
    return sum(1 << (number - 1) for number in numbers)


def worker_fds(handler, addresses=1, log=r"pipe:\[\d+\]"):
    """What is where in a worker."""
    table = {0: "/dev/null", 1: "/dev/null", 2: log, 3: SOCKET, 4: r"/memfd:handlerd-settings.*",
             5: r"/memfd:handlerd-scoreboard.*", 6: rf".*/{handler}\.so", 7: log}
    table.update({FIRST_SOCKET + i: SOCKET for i in range(addresses)})
    return table


def trial_fds(handler, output="/dev/null", log=r"pipe:\[\d+\]"):
    """What is where in a process that only looks at a handler: no scoreboard, no socket but the channel, no
    output of its own but the log."""
    return {0: "/dev/null", 1: output, 2: log, 3: SOCKET, 4: r"/memfd:handlerd-settings.*",
            6: rf".*/{handler}\.so", 7: log}


def check_fds(pid, table, more=OWN):
    """Exactly these; whatever else there is, is of `more`."""
    have = procfs.fds(pid)
    for fd, pattern in table.items():
        assert fd in have, (fd, pattern, have)
        assert re.fullmatch(pattern, have.pop(fd)), (fd, pattern, procfs.fds(pid))
    for fd, target in have.items():
        assert more and re.fullmatch(more, target), (fd, target)


def limits(pid):
    """Soft and hard, by the names of LIMITS."""
    rows = procfs.read(pid, "limits").splitlines()[1:]
    found = [re.match(r"(.+?) {2,}(\S+) +(\S+)", row) for row in rows]
    names = {text: name for name, text in LIMITS.items()}
    return {names[row[1]]: (row[2], row[3]) for row in found if row[1] in names}


def environment(pid):
    rows = procfs.read(pid, "environ").split("\0")
    return {name: value for name, _, value in (row.partition("=") for row in rows if row)
            if not name.endswith("SAN_OPTIONS")}


def wait_stopped(pid):
    deadline = time.monotonic() + WAIT_S
    while not procfs.is_stopped(pid):
        assert time.monotonic() < deadline, f"{pid} does not stop"
    return pid


class Born:
    """What a process of a listener must be. `keys` are the listener's; what is not in them is as `parent` has it."""

    def __init__(self, parent, user, environ, keys=None, is_dropped=True):
        self.parent, self.user, self.environ = parent, user, dict(environ)
        self.keys = keys or {}
        self.is_dropped = is_dropped  # started as root
        self.gid, self.groups = user.pw_gid, None
        if is_dropped:
            self.groups = sorted(os.getgrouplist(user.pw_name, user.pw_gid))

    def check(self, pid, caught, blocked=(), is_process=True):
        """Every thread of it, and the process."""
        for task in os.listdir(f"/proc/{pid}/task"):
            self._check_thread(f"{pid}/task/{task}", int(task), caught, blocked)
        if is_process:
            self._check_process(pid)

    def _check_thread(self, path, tid, caught, blocked):
        # while a thread is made, the C library blocks all for a moment
        deadline = time.monotonic() + WAIT_S
        while int((status := procfs.status(path))["SigBlk"], 16) != signal_bits(*blocked):
            assert time.monotonic() < deadline, status["SigBlk"]
        assert status["Uid"].split() == [str(self.user.pw_uid)] * 4
        assert status["Gid"].split() == [str(self.gid)] * 4
        if self.groups is not None:
            assert sorted(map(int, status["Groups"].split())) == self.groups
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert status[name] == NO_CAPS, name
        if self.is_dropped:
            assert status["CapBnd"] == NO_CAPS
        assert status["NoNewPrivs"] == "1"
        # the filter of system calls, once
        mine = int(procfs.status(self.parent).get("Seccomp_filters", 0))
        assert status["Seccomp"] == "2"
        assert int(status.get("Seccomp_filters", mine + 1)) == mine + 1
        assert int(status["SigIgn"], 16) == 0
        # 32 and 33 are the C library's own
        assert int(status["SigCgt"], 16) & ((1 << 31) - 1) == signal_bits(*caught)
        assert status["Umask"] == self.keys.get("umask", "0077")
        mine = procfs.status(self.parent)["Cpus_allowed_list"]
        assert status["Cpus_allowed_list"] == self.keys.get("cpu_affinity", mine)
        assert os.getpriority(os.PRIO_PROCESS, tid) == self.keys.get(
            "nice", os.getpriority(os.PRIO_PROCESS, self.parent))

    def _check_process(self, pid):
        status = procfs.status(pid)
        assert status["Name"] == "handlerd-worker"
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert os.getpgid(pid) != os.getpgid(self.parent)
        assert os.path.samefile(f"/proc/{pid}/root", self.keys.get("root_directory", "/"))
        score = procfs.read(pid, "oom_score_adj").strip()
        assert score == str(self.keys.get(
            "oom_score_adj", procfs.read(self.parent, "oom_score_adj").strip()))
        self._check_limits(pid)
        expected = {"GLIBC_TUNABLES": "glibc.pthread.rseq=0", "HOME": self.user.pw_dir,
                    "USER": self.user.pw_name, "LOGNAME": self.user.pw_name, **self.environ}
        assert environment(pid) == expected

    def _check_limits(self, pid):
        have, were = limits(pid), limits(self.parent)
        for name, value in have.items():
            wanted = were[name]
            if name in self.keys.get("rlimits", {}):
                wanted = self.keys["rlimits"][name]
                wanted = wanted if isinstance(wanted, tuple) else (str(wanted),) * 2
            elif name == "nofile":
                # a worker raises its soft limit
                value, wanted = value[1:], wanted[1:]
            assert value == wanted, name
