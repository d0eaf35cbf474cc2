"""Every system call that takes a client in, makes a flow for it or waits for it fails for a while:
nothing spins, one line tells of it, no client is lost, and all is well as soon as the cause is gone."""
import os
import signal
import time

import pytest

import procfs
from harness import SLOW, listener
from tracing import Failing, family, needs_strace

pytestmark = [pytest.mark.alone, pytest.mark.root, needs_strace]

MOST_CPU = 0.05  # of a core
WINDOW_S = 0.6
RECOVERY_S = 0.2

# What accept(2) may give: the connection is gone, or the network is, or there is no room for it.
ACCEPT_ERRORS = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPROTO", "ECONNABORTED", "EINTR", "EPERM",
                 "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH", "EOPNOTSUPP",
                 "ENETUNREACH", "EACCES"]


def check_paced(pids, client):
    """Those who may not be served cost next to nothing."""
    before, began = procfs.cpu_seconds(*pids), time.monotonic()
    assert client.is_silent(WINDOW_S)
    share = (procfs.cpu_seconds(*pids) - before) / (time.monotonic() - began)
    # a clock tick is a sixtieth of the window
    assert share <= (MOST_CPU + 0.02) * SLOW, f"{share:.0%} of a core"


def check_back(client, expected, since):
    assert client.exactly(len(expected)) == expected
    took = time.monotonic() - since
    assert took <= (RECOVERY_S + 0.05) * SLOW, f"{took:.3f} s after the cause was gone"


def check_other(daemon):
    with daemon.connect("other") as other:
        assert other.send(b"y").exactly(1) == b"y"


@pytest.mark.parametrize("error", ["ENFILE", "EPERM", "ENETDOWN"])
def test_accept_that_fails_for_a_while_is_tried_at_a_slow_pace(start, mode, error):
    daemon = start(listener("echo", mode=mode), listener("other", "echo"))
    pids = family(daemon.worker("echo"))
    with Failing(pids, f"accept4:error={error}") as failing:
        client = daemon.connect("echo").send(b"x")
        daemon.log.wait("'echo' cannot accept connections: ")
        check_paced([daemon.pid, *pids], client)
        check_other(daemon)
        failing.end()
        check_back(client, b"x", time.monotonic())
    assert len(daemon.log.find("'echo' cannot accept connections")) == 1


@pytest.mark.parametrize("error", ACCEPT_ERRORS)
@pytest.mark.parametrize("mode", ["threading", "fibers"])
def test_accept_that_fails_a_few_times_loses_no_client(start, mode, error):
    daemon = start(listener("echo", mode=mode))
    pid = daemon.worker()
    with Failing([pid], f"accept4:error={error}:when=1..20"):
        clients = [daemon.connect().send(b"x") for _ in range(3)]
        for client in clients:
            assert client.exactly(1) == b"x"
    assert daemon.worker() == pid


@pytest.mark.parametrize("mode, call, error, words", [
    ("forking", "clone", "EAGAIN", "'echo' cannot fork: Resource temporarily unavailable"),
    ("forking", "clone", "ENOMEM", "'echo' cannot fork: Cannot allocate memory"),
    ("threading", "clone3", "EAGAIN", "'echo' cannot make another thread: Resource temp"),
    ("fibers", "mmap", "ENOMEM", "'echo' cannot accept connections: Cannot allocate memory"),
])
def test_a_flow_that_cannot_be_made_is_tried_again_at_a_slow_pace(start, mode, call, error, words):
    keys = {"threading": {"threading": {"min_threads": 2}},
            "forking": {"forking": {"spare_children": 2}}}.get(mode, {})
    daemon = start(listener("echo", mode=mode, **keys), listener("other", "echo"))
    pid = daemon.worker("echo")
    pids = family(pid)
    with Failing(pids, f"{call}:error={error}") as failing:
        # more than there are flows already
        clients = [daemon.connect("echo").send(b"x") for _ in range(4)]
        daemon.log.wait(words)
        check_paced([daemon.pid, *pids], clients[-1])
        check_other(daemon)
        failing.end()
        check_back(clients[-1], b"x", time.monotonic())
    for client in clients[:-1]:
        assert client.exactly(1) == b"x"
    assert len(daemon.log.find(words)) == 1
    # one worker, and nobody who thinks to be it
    assert daemon.worker("echo") == pid
    assert procfs.children(daemon.pid).count(pid) == 1


@pytest.mark.parametrize("call", ["madvise", "mprotect"])
def test_a_stack_without_its_guard_is_not_used(start, call):
    daemon = start(listener("echo", mode="fibers"))
    others = "madvise:error=EINVAL" if call == "mprotect" else "mprotect:error=ENOMEM"
    with Failing([daemon.worker()], f"{call}:error=ENOMEM", others) as failing:
        # there is one for the first client already
        _, client = [daemon.connect().send(b"x") for _ in range(2)]
        daemon.log.wait("'echo' cannot accept connections: Cannot allocate memory")
        check_paced([daemon.worker()], client)
        failing.end()
        check_back(client, b"x", time.monotonic())


@pytest.mark.parametrize("error, words", [("ENOSPC", "No space left on device"),
                                          ("ENOMEM", "Cannot allocate memory")])
def test_a_fiber_that_cannot_wait_for_its_client_keeps_it(start, error, words):
    daemon = start(listener("echo", mode="fibers"))
    pid = daemon.worker()
    with Failing([pid], f"epoll_ctl:error={error}") as failing:
        client = daemon.connect()
        daemon.log.wait(f"'echo' cannot wait for connections: {words}")
        client.send(b"x")
        check_paced([pid], client)
        failing.end()
        check_back(client, b"x", time.monotonic())
    assert len(daemon.log.find("'echo' cannot wait for connections")) == 1


@pytest.mark.parametrize("error", ["ENOMEM", "ENETDOWN", "ECONNREFUSED"])
def test_receiving_that_fails_for_a_while_is_tried_at_a_slow_pace(start, mode, error):
    daemon = start(listener("echo", mode=mode, protocol="udp"), listener("other", "echo"))
    pids = family(daemon.worker("echo"))
    calls = [f"{call}:error={error}" for call in ("recvmsg", "recvfrom", "recvmmsg")]
    with Failing(pids, *calls) as failing:
        client = daemon.connect("echo").send(b"x")
        daemon.log.wait("'echo' cannot receive datagrams: ")
        check_paced([daemon.pid, *pids], client)
        check_other(daemon)
        failing.end()
        since = time.monotonic()
        assert client.receive() == b"x"
        assert time.monotonic() - since <= (RECOVERY_S + 0.05) * SLOW
    assert len(daemon.log.find("'echo' cannot receive datagrams")) == 1


@pytest.mark.parametrize("mode", ["threading", "fibers"])
def test_sessions_that_cannot_be_received_for_are_tried_at_a_slow_pace(start, mode):
    daemon = start(listener("echo", mode=mode, protocol="udp", udp={"session_timeout": "60s"}))
    daemon.checks_balance = False
    pids = family(daemon.worker())
    with Failing(pids, "recvmmsg:error=ECONNREFUSED") as failing:
        client = daemon.connect().send(b"x")
        daemon.log.wait("'echo' cannot receive datagrams: ")
        check_paced([daemon.pid, *pids], client)
        failing.end()
        assert client.receive() == b"x"


@pytest.mark.parametrize("call", ["epoll_create1", "epoll_ctl"])
@pytest.mark.parametrize("per_child", [1, 0])
def test_a_child_that_cannot_wait_lives_on(start, call, per_child):
    """Without the epoll that it waits in."""
    daemon = start(listener("echo", mode="forking",
                            forking={"spare_children": 2, "connections_per_child": per_child}))
    pid = daemon.worker()
    with Failing(family(pid), f"{call}:error=ENOMEM") as failing:
        # for each that serves one is forked
        held = [daemon.connect().send(b"x") for _ in range(3)]
        for client in held:
            assert client.exactly(1) == b"x"
        daemon.log.wait("'echo' cannot accept connections: Cannot allocate memory")
        check_paced([daemon.pid, *family(pid)], held[0])
        failing.end()
    check_back(daemon.connect().send(b"x"), b"x", time.monotonic())
    assert not daemon.log.find("cannot start|ended with status")


@pytest.mark.parametrize("mode, call", [("threading", "epoll_wait"), ("fibers", "epoll_pwait")])
def test_a_worker_that_cannot_wait_any_more_is_replaced(start, mode, call):
    """A handler that closes a descriptor that is not its own may take the worker's."""
    daemon = start(listener("echo", mode=mode), listener("other", "echo"))
    pid = daemon.worker("echo")
    pidfd = os.pidfd_open(pid)
    with Failing([pid], f"{call}:error=EBADF"):
        daemon.connect("echo").send(b"x")
        assert procfs.wait_death(pidfd, 5)
    os.close(pidfd)
    assert daemon.connect("echo").send(b"x").exactly(1) == b"x"
    assert procfs.cpu_seconds(daemon.pid) < 2
    check_other(daemon)


@pytest.mark.parametrize("call, error", [("clone", "EAGAIN"), ("pidfd_open", "EMFILE"),
                                         ("socketpair", "EMFILE"), ("memfd_create", "ENFILE"),
                                         ("mmap", "ENOMEM")])
def test_a_worker_that_cannot_be_started_is_tried_again_soon_and_holds_up_nobody(start, call, error):
    daemon = start(listener("echo"), listener("other", "echo"))
    pid = daemon.worker("echo")
    with Failing([daemon.pid], f"{call}:error={error}") as failing:
        os.kill(pid, signal.SIGKILL)
        daemon.log.wait("worker of 'echo' cannot be started: ")
        client = daemon.connect("echo").send(b"x")
        check_paced([daemon.pid], client)
        began = time.monotonic()
        daemon.status()
        assert time.monotonic() - began < 0.5 * SLOW
        check_other(daemon)
        failing.end()
        since = time.monotonic()
        assert client.exactly(1) == b"x"
        # and the time that a worker takes to get ready
        assert time.monotonic() - since <= 0.5 * SLOW
    assert len(daemon.log.find("worker of 'echo' cannot be started")) == 1
