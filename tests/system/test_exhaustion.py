"""Running out of descriptors, threads or processes: no spinning, few words, recovery by itself."""
import os
import resource
import signal
import subprocess
import time

import pytest

import harness
import procfs
from harness import SLOW, config, free_ports, listener

pytestmark = pytest.mark.alone

MOST_CPU = 0.05  # of a core


def measure(client, pids, seconds):
    """The share of a core that is used while this client waits in vain."""
    before, began = procfs.cpu_seconds(*pids), time.monotonic()
    assert client.is_silent(seconds)
    return (procfs.cpu_seconds(*pids) - before) / (time.monotonic() - began)


def processes(daemon, name=None):
    pid = daemon.worker(name)
    return [pid, *procfs.descendants(pid)]


def check_quiet(daemon, client, name="echo"):
    share = measure(client, [daemon.pid, *processes(daemon, name)], 1)
    assert share <= MOST_CPU * SLOW, f"{share:.0%} of a core"


def test_without_descriptors_clients_wait_and_are_served_when_there_are_some(start, mode):
    daemon = start(listener("echo", mode=mode), listener("other", "echo"))
    pids = processes(daemon, "echo")
    for pid in pids:
        procfs.set_soft_limit(pid, resource.RLIMIT_NOFILE, 8)
    clients = [daemon.connect("echo").send(b"x") for _ in range(3)]
    daemon.log.wait("'echo' cannot accept connections: Too many open files")
    check_quiet(daemon, clients[0])
    assert len(daemon.log.find("'echo' cannot accept connections")) == 1
    assert daemon.connect("other").send(b"y").exactly(1) == b"y"
    for pid in pids:
        if procfs.is_alive(pid):
            procfs.set_soft_limit(pid, resource.RLIMIT_NOFILE, 1024)
    began = time.monotonic()
    for client in clients:
        assert client.exactly(1) == b"x"
        client.close()
    assert time.monotonic() - began < 0.5 * SLOW


def spent_processes(pid):
    """No more threads or processes for this process: its user has more than one already."""
    procfs.set_soft_limit(pid, resource.RLIMIT_NPROC, 1)


def test_without_threads_those_that_are_there_serve_and_clients_wait(start, who):
    if who == "self":
        pytest.skip("the limit counts all processes of the user that runs the tests")
    daemon = start(listener("echo", threading={"min_threads": 2}), listener("other", "echo"),
                   user=who)
    pid = daemon.worker("echo")
    spent_processes(pid)
    served = [daemon.connect("echo") for _ in range(2)]
    for client in served:
        assert client.send(b"x").exactly(1) == b"x"
    daemon.log.wait("'echo' cannot make an?(other)? thread: Resource temporarily unavailable")
    waiting = daemon.connect("echo").send(b"z")
    check_quiet(daemon, waiting)
    assert len(daemon.log.find("cannot make an?(other)? thread")) == 1
    assert daemon.connect("other").send(b"y").exactly(1) == b"y"
    served[0].close()
    assert waiting.exactly(1) == b"z"
    # with the shortage over the pool grows again
    procfs.set_soft_limit(pid, resource.RLIMIT_NPROC, 10000)
    clients = [daemon.connect("echo") for _ in range(6)]
    for client in clients:
        assert client.send(b"1").exactly(1) == b"1"


def test_without_processes_those_that_are_there_serve_and_clients_wait(start, who):
    if who == "self":
        pytest.skip("the limit counts all processes of the user that runs the tests")
    daemon = start(listener("echo", mode="forking", forking={"spare_children": 2}),
                   listener("other", "echo"), user=who)
    pid = daemon.worker("echo")
    spent_processes(pid)
    served = [daemon.connect("echo") for _ in range(2)]
    for client in served:
        assert client.send(b"x").exactly(1) == b"x"
    daemon.log.wait("'echo' cannot fork: Resource temporarily unavailable")
    waiting = daemon.connect("echo").send(b"z")
    check_quiet(daemon, waiting)
    assert len(daemon.log.find("cannot fork")) == 1
    assert procfs.is_alive(pid)
    assert daemon.connect("other").send(b"y").exactly(1) == b"y"
    procfs.set_soft_limit(pid, resource.RLIMIT_NPROC, 10000)
    assert waiting.exactly(1) == b"z"


@pytest.mark.root
def test_a_supervisor_that_cannot_start_a_worker_keeps_trying(start):
    """The worker dies while no process can be made; it comes back when one can."""
    daemon = start(listener("echo"), user="nobody")
    pid = daemon.worker()
    procfs.set_soft_limit(daemon.pid, resource.RLIMIT_NPROC, 1)
    os.kill(pid, signal.SIGKILL)
    daemon.log.wait("worker of 'echo' cannot be started: Resource temporarily unavailable")
    client = daemon.connect().send(b"x")
    share = measure(client, [daemon.pid], 0.5)
    assert share <= MOST_CPU * SLOW
    procfs.set_soft_limit(daemon.pid, resource.RLIMIT_NPROC, 10000)
    assert client.exactly(1) == b"x"


def test_a_reload_without_descriptors_is_refused_and_nothing_changes(start, who):
    daemon = start(listener("echo"), user=who)
    pid = daemon.worker()
    before = procfs.fds(daemon.pid)
    procfs.set_soft_limit(daemon.pid, resource.RLIMIT_NOFILE, max(before) + 2)
    assert not daemon.reload(config(listener("echo"), listener("b", "echo"),
                                    listener("c", "echo")))
    procfs.set_soft_limit(daemon.pid, resource.RLIMIT_NOFILE, 1024)
    assert procfs.fds(daemon.pid) == before
    assert daemon.worker() == pid
    assert daemon.reload()
    assert daemon.connect("c").send(b"x").exactly(1) == b"x"


@pytest.mark.parametrize("mode, limit", [("serial", 1), ("threading", 5), ("forking", 5),
                                         ("fibers", 5)])
def test_at_the_limit_clients_wait_and_none_too_many_is_served(start, mode, limit):
    keys = {"serial": {}, "threading": {"max_connections": 5}, "fibers": {"max_connections": 5},
            "forking": {"forking": {"max_children": 5}}}[mode]
    daemon = start(listener("echo", mode=mode, **keys), listener("other", "echo"))
    served = [daemon.connect("echo") for _ in range(limit)]
    for client in served:
        assert client.send(b"x").exactly(1) == b"x"
    waiting = [daemon.connect("echo").send(b"w") for _ in range(3 * limit)]
    check_quiet(daemon, waiting[0])
    assert daemon.status()["echo"].open == limit
    assert daemon.connect("other").send(b"y").exactly(1) == b"y"
    for client in served + waiting:
        if client in waiting:
            assert client.exactly(1) == b"w"
        assert daemon.status()["echo"].open <= limit
        client.close()


def test_a_log_that_nobody_reads_never_stops_the_service(place):
    """Standard error is a full pipe: records are dropped and counted, clients are served."""
    path = place / "handlerd.conf"
    port = free_ports(1)[0]
    path.write_text(config(
        listener("s", "sys_server", address=f"127.0.0.1:{port}"), log={"level": "debug"}))
    reader, writer = os.pipe()
    notify = harness.Notify(place / "notify")
    process = subprocess.Popen([str(harness.PROGRAM), "-c", str(path)], stderr=writer,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               env={"NOTIFY_SOCKET": str(notify.path)})
    os.close(writer)
    try:
        notify.wait("READY=1")
        with harness.Client(("127.0.0.1", port)) as client:
            for _ in range(20):
                assert client.ask("log_long 8000") == "logged"
        process.terminate()
        assert process.wait(harness.WAIT_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reader)
        notify.close()
