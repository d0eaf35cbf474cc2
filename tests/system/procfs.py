"""What the kernel tells of processes."""
import ctypes
import os
import pathlib
import resource
import select
import signal
import time

PR_SET_CHILD_SUBREAPER = 36


def become_reaper():
    """What a daemon leaves behind becomes our child, so that it can be seen."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def read(pid, name):
    return pathlib.Path(f"/proc/{pid}/{name}").read_text(errors="replace")


def _stat(pid):
    """The fields after the command, which may itself hold spaces."""
    return read(pid, "stat").rpartition(")")[2].split()


def status(pid):
    """/proc/PID/status as a dictionary."""
    rows = (line.partition(":") for line in read(pid, "status").splitlines())
    return {name: value.strip() for name, _, value in rows}


def memory_kib(pid):
    """What of it is in memory."""
    return int(status(pid)["VmRSS"].split()[0])


def fds(pid):
    """What each descriptor is."""
    result = {}
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            result[int(entry.name)] = os.readlink(entry.path)
        except FileNotFoundError:
            pass
    return result


def count_fds(pid):
    return len(fds(pid))


def count_threads(pid):
    """Without the one that ThreadSanitizer has for itself."""
    return len(os.listdir(f"/proc/{pid}/task")) - ("/libtsan" in read(pid, "maps"))


def children(pid):
    """The living and the dead ones."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and int(_stat(name)[1]) == pid:
                found.append(int(name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return sorted(found)


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def is_zombie(pid):
    try:
        return _stat(pid)[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_stopped(pid):
    """Every thread of it."""
    return all(_stat(f"{pid}/task/{task}")[0] == "T" for task in os.listdir(f"/proc/{pid}/task"))


def is_alive(pid):
    try:
        return _stat(pid)[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def cpu_seconds(*pids):
    """Processor time used so far, user and system, that of dead and buried children included."""
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(sum(map(int, _stat(pid)[11:15])) for pid in pids if is_alive(pid)) / ticks


def set_soft_limit(pid, which, value):
    """Changes a limit of a running process, as the user it runs as."""
    uid, gid = (int(status(pid)[name].split()[0]) for name in ("Uid", "Gid"))
    helper = os.fork()
    if helper == 0:
        try:
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            hard = resource.prlimit(pid, which)[1]
            resource.prlimit(pid, which, (value, hard))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(helper, 0)[1] == 0, f"cannot set a limit of process {pid}"


def wait_death(pidfd, timeout):
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def wait_deaths(pids, timeout):
    """Those that still live when the time is over."""
    deadline = time.monotonic() + timeout
    left = []
    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not wait_death(pidfd, max(0, deadline - time.monotonic())):
                left.append(pid)
        finally:
            os.close(pidfd)
    return left


def _describe(pid):
    try:
        return f"{pid} ({read(pid, 'comm').strip()}, {_stat(pid)[0]})"
    except (FileNotFoundError, ProcessLookupError):
        return str(pid)


def _reap(pid):
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass


def reap(pids):
    """Those that are ours."""
    for pid in pids:
        _reap(pid)


def wait_adopted(timeout):
    """Gives orphans of the daemon a moment to die; describes those that do not."""
    orphans = children(os.getpid())
    left = wait_deaths(orphans, timeout)
    for pid in orphans:
        if pid not in left:
            _reap(pid)
    return [_describe(pid) for pid in left]


def kill_adopted():
    """Ends all orphans, and those that they leave to us."""
    while True:
        orphans = children(os.getpid())
        if not orphans:
            return
        for pid in orphans:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            _reap(pid)
