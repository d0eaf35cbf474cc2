"""What a server costs: the CPU time and the memory of its whole process tree."""

import os
import re
import signal
import time


class CgroupClock:
    """Exact: the CPU time of a control group, which holds the server and all it starts."""

    def __init__(self, parent, usage, scale):
        self.path = os.path.join(parent, f"handlerd-bench-{os.getpid()}-{time.monotonic_ns()}")
        os.mkdir(self.path)
        self.usage, self.scale = usage, scale
        try:
            self.seconds(None)
        except (OSError, ValueError, AttributeError):
            os.rmdir(self.path)
            raise

    @staticmethod
    def places():
        """(directory, file, seconds per unit) of each hierarchy that accounts for CPU time."""
        own = {}
        with open("/proc/self/cgroup") as lines:
            for line in lines:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                own.update((name, path) for name in controllers.split(","))
        with open("/proc/self/mountinfo") as lines:
            for line in lines:
                left, _, right = line.partition(" - ")
                kind, _, options = right.split()[:3]
                point = left.split()[4]
                if kind == "cgroup" and "cpuacct" in options.split(","):
                    yield point + own.get("cpuacct", "/"), "cpuacct.usage", 1e-9
                elif kind == "cgroup2":
                    yield point + own.get("", "/"), "cpu.stat", 1e-6

    def enter(self):
        with open(os.path.join(self.path, "cgroup.procs"), "w") as procs:
            procs.write("0")

    def seconds(self, _pid):
        with open(os.path.join(self.path, self.usage)) as text:
            return int(re.match(r"(?:usage_usec )?(\d+)", text.read()).group(1)) * self.scale

    def close(self):
        """The group goes, and whatever the server has left behind in it."""
        for number in range(100):
            try:
                os.rmdir(self.path)
                return
            except OSError:
                if number == 20:
                    self.end_the_rest()
                time.sleep(0.05)

    def end_the_rest(self):
        with open(os.path.join(self.path, "cgroup.procs")) as pids:
            for pid in map(int, pids.read().split()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue


class ProcClock:
    """Without control groups: what /proc says of the tree's processes and reaped children.

    stat counts in clock ticks but knows all threads and reaped children; schedstat counts in
    nanoseconds but knows only threads that still run.  The larger of the two is the better one.
    """

    tick = 1 / os.sysconf("SC_CLK_TCK")

    def enter(self):
        pass

    def seconds(self, pid):
        total = 0.0
        for each in tree(pid):
            try:
                with open(f"/proc/{each}/stat") as text:
                    fields = text.read().rpartition(")")[2].split()
                stat = sum(map(int, fields[11:15])) * self.tick
                fine = 0
                for task in os.listdir(f"/proc/{each}/task"):
                    with open(f"/proc/{each}/task/{task}/schedstat") as text:
                        fine += int(text.read().split()[0])
            except (OSError, IndexError):
                continue
            total += max(stat, fine / 1e9)
        return total

    def close(self):
        pass


def make_clock(force_proc=False):
    for place in [] if force_proc else CgroupClock.places():
        try:
            return CgroupClock(*place)
        except (OSError, ValueError, AttributeError):
            continue
    return ProcClock()


def tree(pid):
    """PID and all its descendants."""
    found, todo = [], [pid]
    while todo:
        each = todo.pop()
        found.append(each)
        try:
            for task in os.listdir(f"/proc/{each}/task"):
                with open(f"/proc/{each}/task/{task}/children") as text:
                    todo.extend(map(int, text.read().split()))
        except OSError:
            continue
    return found


def rollup(pid):
    """The sums over all mappings of a process, in KiB."""
    with open(f"/proc/{pid}/smaps_rollup") as text:
        return {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB", text.read(),
                                                             re.M)}


def pss(pid):
    return rollup(pid)["Pss"]


def own_memory(pid):
    """KiB of a process tree that are no pages of files: heap and stacks."""
    total = 0
    for each in tree(pid):
        try:
            sizes = rollup(each)
        except OSError:
            continue
        total += sizes["Pss"] - sizes.get("Pss_File", 0)
    return total
