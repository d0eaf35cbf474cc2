"""Handlers that want to get away: from the group that is killed, from their parent, to somebody else."""
import array
import ctypes
import os
import signal
import socket
import struct

import pytest

import keys
import procfs
from harness import config, listener
from test_landlock import needs_version_2, version
from test_seccomp import REFUSED, ask, check, tries

SIGNALS = ["signal", "signal_queue", "signal_pidfd"]
# what a process has of the machine: only its own, and what the C library does by the numbers of threads
SHARES = ["limit", "nice", "nice_group", "nice_user", "io", "io_group", "io_user"]
SHARES_OF_THREADS = ["affinity", "scheduler", "param", "attributes"]
SANDBOXES = {"standard": None, "strict": {"seccomp": "strict", "network": False},
             "files": {"seccomp": "strict", "network": False, "filesystem": ["ro:/usr"]}}


def test_a_worker_that_left_its_group_and_hears_no_order_is_killed_in_time(start, mode, who):
    """Which is all that is killed with it; under forking it is a child that does, of the worker's group."""
    daemon = start(tries(mode), listener("echo"), user=who, top={"drain_timeout": "300ms"})
    daemon.checks_balance = False
    daemon.connect("t").send("leave_group_and_stop\n")
    assert daemon.connect("echo").ask("x") == "x"
    # within the deadline and what a worker has beyond it
    daemon.expected_exit = daemon.stop(signal.SIGTERM, timeout=5)
    assert daemon.expected_exit == 0


def test_no_child_of_a_handler_becomes_the_supervisors(start, mode, who):
    """Who knows nothing of it: dead, it would stay until the daemon ends, in the place of another process."""
    daemon = start(tries(mode), user=who)
    check(daemon.connect(), {"adoption": "EPERM", "fork": "0", "posix_spawn": "0", "pthread_create": "0"})
    daemon.log.wait(REFUSED + r"clone\(0x8011\) by its sandbox")
    assert procfs.children(daemon.pid) == [daemon.worker()]


def subreaper():
    """As process 1 of a container is for all that is in it."""
    PR_SET_CHILD_SUBREAPER = 36
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def check_no_child_but_workers(daemon):
    daemon.until(lambda state: all(one.serving for one in state.values()) and sorted(procfs.children(daemon.pid))
                 == sorted(worker.pid for one in state.values() for worker in one.workers),
                 "the dead are waited for")


def test_what_handlers_leave_behind_is_waited_for_by_process_1(start, mode):
    daemon = start(tries(mode, rlimits={"nproc": 400}), listener("echo"), before_exec=subreaper)
    client = daemon.connect("t")
    check(client, {"orphans 300": "0"})
    check_no_child_but_workers(daemon)
    # what is its own is not taken away from who waits for it: how a worker ends is told as before
    worker = daemon.worker("echo")
    os.kill(worker, signal.SIGABRT)
    daemon.log.wait(r"worker of 'echo' .* was killed by signal 6 ")
    daemon.log.wait("it is replaced")
    check(client, {"orphans 300": "0"})
    check_no_child_but_workers(daemon)


def test_the_children_of_a_killed_worker_are_waited_for_by_process_1(start):
    daemon = start(listener("echo", mode="forking", forking={"spare_children": 8}), before_exec=subreaper)
    for _ in range(3):
        worker = daemon.worker()
        daemon.until(lambda _, worker=worker: len(procfs.children(worker)) >= 8, "spare children")
        os.kill(worker, signal.SIGKILL)
        daemon.until(lambda state, worker=worker: [one.pid for one in state["echo"].serving] not in ([], [worker]),
                     "its replacement")
    check_no_child_but_workers(daemon)


def test_process_1_waits_for_what_is_left_after_an_upgrade_too(start):
    daemon = start(tries(), listener("echo"), before_exec=subreaper)
    daemon.kill(signal.SIGUSR2)
    daemon.log.wait("upgraded", timeout=15)
    check(daemon.connect("t"), {"orphans 50": "0"})
    check_no_child_but_workers(daemon)
    os.kill(daemon.worker("echo"), signal.SIGABRT)
    daemon.log.wait(r"worker of 'echo' .* was killed by signal 6 ")
    check_no_child_but_workers(daemon)


def test_in_strict_nothing_leaves_the_group_that_ends_with_the_worker(start, mode):
    daemon = start(tries(mode, {"seccomp": "strict"}), tries(mode, name="free"))
    check(daemon.connect("t"), {"session": "EPERM", "leave_group": "EPERM", "fork": "0"})
    daemon.log.wait(REFUSED + "setsid by its sandbox")
    # shells and terminals need them
    check(daemon.connect("free"), {"session": "0"})


def test_in_strict_no_pair_of_sockets_sends_elsewhere(start, mode, place):
    path = str(place / "elsewhere")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(path)
        os.chmod(path, 0o777)
        elsewhere.setblocking(False)
        daemon = start(tries(mode, {"seccomp": "strict"}), tries(mode, name="free"))
        check(daemon.connect("t"), {f"pair_to {path}": "EPERM", f"raw_pair_to {path}": "EPERM",
                                    "socketpair": "0"})
        daemon.log.wait(REFUSED + r"socketpair\(\.\.\., 0x2\) by its sandbox")
        check(daemon.connect("free"), {f"pair_to {path}": "1"})
        assert elsewhere.recv(10) == b"x"


@pytest.mark.parametrize("mode", ["serial", "threading", "fibers"])
def test_a_descriptor_that_takes_long_to_close_does_not_hold_up_the_supervisor(start, mode):
    """A socket that lingers, sent along with a message: whoever closes it last waits."""
    daemon = start(tries(mode), listener("echo"))
    daemon.checks_balance = False
    before = procfs.count_fds(daemon.pid)
    worker = daemon.worker("t")
    daemon.connect("t").send("linger\n")
    daemon.log.wait(rf"warning: worker {worker} has sent a descriptor, as no worker does but once", timeout=5)
    daemon.log.wait("it is replaced", timeout=5)
    daemon.until(lambda state: state["t"].serving, "its replacement", timeout=5)
    assert daemon.reload()
    assert daemon.connect("echo").ask("x") == "x"
    assert procfs.count_fds(daemon.pid) == before
    assert daemon.stop(timeout=5) == 0


def lingering():
    """A full connection whose other end reads nothing, and which takes a minute to close; both ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        full = socket.create_connection(server.getsockname())
        other, _ = server.accept()
    full.setblocking(False)
    try:
        while True:
            full.send(bytes(65536))
    except BlockingIOError:
        pass
    full.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
    return full, other


def test_who_asks_does_not_hold_up_the_supervisor_by_a_descriptor(start):
    daemon = start(listener("echo"))
    before = procfs.count_fds(daemon.pid)
    full, other = lingering()
    with other, socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(daemon.control))
        # so that the supervisor is the last to have it
        daemon.kill(signal.SIGSTOP)
        while not procfs.is_stopped(daemon.pid):
            pass
        asking.sendmsg([b"{"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [full.fileno()]))])
        os.close(full.detach())
        daemon.kill(signal.SIGCONT)
        assert daemon.reload()
        assert set(daemon.status()) == {"echo"}
        asking.settimeout(5)
        with pytest.raises(ConnectionResetError):
            asking.recv(65536)
        assert procfs.count_fds(daemon.pid) == before
        assert daemon.stop(timeout=5) == 0


@pytest.fixture(params=SANDBOXES)
def sandbox(request):
    return SANDBOXES[request.param]


@needs_version_2
def test_other_processes_of_the_user_cannot_be_written_nor_read(start, mode, who, sandbox):
    """The supervisor, where an ordinary user has started it; the other listeners' workers, always."""
    daemon = start(tries(mode, sandbox), tries(name="other"),
                   tries(name="free", sandbox={"seccomp": "off"}), user=who)
    client = daemon.connect("t")
    for pid in (daemon.pid, daemon.worker("other")):
        for name in ("mem", "environ", "maps", "fd/2", "root/etc/passwd"):
            words = ("read", "write") if name == "mem" else ("read",)
            answers = ask(client, *[f"{word} /proc/{pid}/{name}" for word in words])
            assert set(answers.values()) == {"EACCES"}, answers
    # without a sandbox it does what its user may
    if who == "nobody":
        check(daemon.connect("free"), {f"write /proc/{daemon.pid}/mem": "0",
                                       f"read /proc/{daemon.worker('other')}/environ": "0"})


@pytest.mark.skipif(version() < 6, reason="this kernel's Landlock knows no signals")
def test_other_processes_of_the_user_hear_no_signal(start, mode, who, sandbox):
    daemon = start(tries(mode, sandbox), tries(name="other"), user=who)
    client, other = daemon.connect("t"), daemon.worker("other")
    for pid in (daemon.pid, other):
        check(client, {f"{how} {pid}": "EPERM" for how in SIGNALS})
        # the call is made, and nothing comes of it
        assert ask(client, f"signal_owner {pid}").popitem()[1] in ("1", "EPERM")
    check(daemon.connect("other"), {"fork": "0"})
    assert daemon.worker("other") == other and not procfs.is_stopped(other)
    assert daemon.reload(config(tries(mode, sandbox), tries(name="other")))


def test_a_handlers_own_processes_are_its_own(start, mode, who, sandbox):
    """It reads, writes, stops and kills what it has started, and itself."""
    daemon = start(tries(mode, sandbox), user=who)
    own = {"own_child": "0", "own_child_session": "0", "read /proc/self/fd/0": "0", "list /proc/self/fd": "0",
           "memfd": "0"}
    # of what was root before, the kernel keeps the rest to root
    if who != "root":
        own |= {"read /proc/self/environ": "0", "read /proc/self/maps": "0"}
        if not sandbox or "filesystem" not in sandbox:
            own |= {"own_child_memory": "0", "write /proc/self/mem": "0"}
    check(daemon.connect("t"), own)


def shares(pid):
    return (procfs.read(pid, "limits"), os.getpriority(os.PRIO_PROCESS, pid), os.sched_getscheduler(pid),
            os.sched_getaffinity(pid))


@pytest.mark.parametrize("seccomp", ["standard", "strict"])
def test_limits_and_priorities_of_others_cannot_be_set(start, mode, who, seccomp):
    daemon = start(tries(mode, {"seccomp": seccomp}), tries(name="other"), user=who)
    client, other = daemon.connect("t"), daemon.worker("other")
    before = [shares(pid) for pid in (daemon.pid, other)]
    for pid in (daemon.pid, other):
        check(client, {f"share_{how} {pid}": "EPERM" for how in SHARES})
        if seccomp == "strict":
            check(client, {f"share_{how} {pid}": "EPERM" for how in SHARES_OF_THREADS})
    # 0 is a process itself, but also its group and its user
    check(client, {f"share_{how} 0": "EPERM" for how in SHARES if "_" in how})
    assert [shares(pid) for pid in (daemon.pid, other)] == before
    # a log line for each call, not for each who was meant
    assert daemon.log.wait(REFUSED + r"prlimit64\(0x[0-9a-f]+\) by its sandbox")
    # its own, and of its threads
    check(client, {f"share_{how} 0": "0" for how in SHARES + SHARES_OF_THREADS if "_" not in how})
    check(client, {"pinned_thread": "0" if seccomp == "standard" else "EPERM"})


def test_keys_of_who_started_the_daemon_cannot_be_read(start, mode, who):
    """The session keyring is inherited over all changes of the user."""
    if not keys.plant():
        pytest.skip("there are no keys here")
    daemon = start(tries(mode, {"seccomp": "off"}), tries(mode, name="one"), user=who)
    check(daemon.connect("t"), {f"key {keys.NAME}": "ENOKEY"})
    check(daemon.connect("one"), {f"key {keys.NAME}": "EPERM"})
