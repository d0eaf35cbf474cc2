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
from holding import HANDLERCTL

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


def virtual_size(pid):
    return int(procfs.status(pid)["VmSize"].split()[0]) * 1024


@pytest.mark.skipif(harness.IS_SANITIZED, reason="sanitizers reserve all of the address space")
def test_a_reload_without_memory_is_refused_and_nothing_ends(start, who):
    """Wherever it runs out of it, from the first byte to what a reload needs."""
    daemon = start(listener("echo"), user=who)
    pid = daemon.worker()
    client = daemon.connect().send(b"x")
    assert client.exactly(1) == b"x"
    wanted = config(listener("echo"), *[listener(f"b{number}", "echo") for number in range(20)])
    refused = 0
    for room in [1 << shift for shift in range(26)] + [48 << 20]:
        procfs.set_soft_limit(daemon.pid, resource.RLIMIT_AS, virtual_size(daemon.pid) + room)
        done = daemon.reload(wanted)
        refused += not done
        assert daemon.worker("echo") == pid
        assert client.send(b"x").exactly(1) == b"x"
        # what it had before is what the next one finds
        procfs.set_soft_limit(daemon.pid, resource.RLIMIT_AS, resource.RLIM_INFINITY)
        if done:
            assert daemon.reload(config(listener("echo")))
    assert refused >= 20
    assert daemon.log.find("there is not enough memory for a reload; what serves goes on")
    assert daemon.reload(wanted)
    assert daemon.connect("b19").send(b"x").exactly(1) == b"x"


@pytest.mark.skipif(harness.IS_SANITIZED, reason="sanitizers reserve all of the address space")
def test_a_worker_without_memory_is_replaced_as_soon_as_there_is_some(start):
    """The supervisor has what it kept back, and no more."""
    daemon = start(listener("echo"), listener("other", "echo"))
    bystander = daemon.connect("other")
    procfs.set_soft_limit(daemon.pid, resource.RLIMIT_AS, virtual_size(daemon.pid))
    os.kill(daemon.worker("echo"), signal.SIGKILL)
    client = daemon.connect("echo").send(b"x")
    client.is_silent(0.3)
    procfs.set_soft_limit(daemon.pid, resource.RLIMIT_AS, resource.RLIM_INFINITY)
    assert client.exactly(1) == b"x"
    assert bystander.send(b"y").exactly(1) == b"y"


@pytest.mark.skipif(harness.IS_SANITIZED, reason="sanitizers reserve all of the address space")
@pytest.mark.parametrize("mode", ["threading", "fibers"])
def test_a_worker_that_gets_no_memory_has_its_clients_wait(start, mode):
    """For one that it has no stack for."""
    daemon = start(listener("echo", mode=mode), listener("other", "echo"))
    pid = daemon.worker("echo")
    procfs.set_soft_limit(pid, resource.RLIMIT_AS, virtual_size(pid))
    clients = [daemon.connect("echo").send(b"x") for _ in range(40)]
    daemon.log.wait("'echo' cannot .*: (Cannot allocate memory|Resource temporarily unavailable)")
    check_quiet(daemon, clients[-1])
    assert daemon.connect("other").send(b"y").exactly(1) == b"y"
    procfs.set_soft_limit(pid, resource.RLIMIT_AS, resource.RLIM_INFINITY)
    for client in clients:
        assert client.exactly(1) == b"x"
    assert daemon.worker("echo") == pid


@pytest.mark.root
@pytest.mark.skipif(harness.IS_SANITIZED, reason="sanitizers need processes of their own")
def test_a_fork_bomb_in_a_handler_is_bounded_by_its_limit(start, mode):
    """200 processes are wanted, 60 allowed; the daemon answers, the others serve, and with the worker
    all of them go."""
    daemon = start(listener("f", "sys_fault", mode, user="games", rlimits={"nproc": 60}),
                   listener("other", "echo"), env=harness.CRASHES)
    pid = daemon.worker("f")
    assert daemon.connect("f").ask("fork_bomb") == "done fork_bomb"
    bombs = [one for one in procfs.descendants(daemon.pid) if os.getpgid(one) == pid]
    assert 20 <= len(bombs) <= 62
    began = time.monotonic()
    told = subprocess.run([str(HANDLERCTL), "--control", str(daemon.control), "status"],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=harness.WAIT_S)
    assert time.monotonic() - began < 1 * SLOW and "other" in told.stdout
    assert daemon.connect("other").send(b"y").exactly(1) == b"y"
    before = procfs.cpu_seconds(daemon.pid, pid)
    assert daemon.connect("other").is_silent(0.5)
    assert procfs.cpu_seconds(daemon.pid, pid) - before <= 0.05 * SLOW
    os.kill(pid, signal.SIGKILL)
    assert not procfs.wait_deaths(bombs, 5 * SLOW)
    # init would; whoever is dead counts until then
    procfs.reap(bombs)
    daemon.until(lambda state: state["f"].serving, "it serves again")
    assert daemon.connect("f").ask("ping") == "pong"


@pytest.mark.root
def test_a_full_disk_is_no_reason_not_to_serve(place, guard, monkeypatch):
    """/run has no room for a control socket; in a mount namespace of its own."""
    outer = place / "outer"
    outer.write_text("#!/bin/sh\nexec unshare -m sh -c 'mount -t tmpfs -o size=4k,nr_inodes=2 tmpfs "
                     "/run && mkdir /run/handlerd && exec \"$0\" \"$@\"' "
                     f"{harness.PROGRAM} \"$@\"\n")
    outer.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(harness, "PROGRAM", outer)
        daemon = harness.Daemon(place, text=config(listener("echo"),
                                                   control="/run/handlerd/control.sock"))
    try:
        daemon.wait_ready()
        daemon.log.wait("control socket '/run/handlerd/control.sock': No space left on device; "
                        "handlerctl cannot be used")
        clients = [daemon.connect() for _ in range(100)]
        assert daemon.reload(config(listener("echo"), listener("more", "echo"),
                                    control="/run/handlerd/control.sock"))
        clients += [daemon.connect("more") for _ in range(100)]
        for client in clients:
            assert client.send(b"x").exactly(1) == b"x"
        daemon.end()
        daemon.check_end()
    finally:
        daemon.end_hard()
        daemon.release()
