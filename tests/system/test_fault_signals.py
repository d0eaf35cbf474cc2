"""Faults of processes and system calls: signals at random, calls that fail, processes that stand
still."""
import os
import random
import re
import shutil
import signal
import subprocess
import time

import pytest

import procfs
from client import Client
from harness import CRASHES, IS_SANITIZED, PROGRAM, SLOW, TEST_HANDLERS, Notify, config, listener

TO_SUPERVISOR = [signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH,
                 signal.SIGCONT, signal.SIGURG]
TO_WORKERS = [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGHUP,
              signal.SIGINT, signal.SIGUSR1, signal.SIGPIPE, signal.SIGCHLD, signal.SIGCONT]
needs_strace = pytest.mark.skipif(shutil.which("strace") is None or IS_SANITIZED,
                                  reason="needs strace, which sanitizers do not bear")


@pytest.mark.interrupts
def test_signals_at_random_to_everybody_leave_a_daemon_that_serves(start, mode):
    """For 8 s, under traffic: those that supervisor and workers may get, 1,000 at most."""
    daemon = start(listener("echo", mode=mode), listener("other", "echo"), env=CRASHES,
                   top={"drain_timeout": "500ms"})
    choice = random.Random(73)
    deadline = time.monotonic() + 8 * SLOW
    answered = sent = 0
    while sent < 1000 and time.monotonic() < deadline:
        workers = procfs.children(daemon.pid)
        # a worker's death costs the next a pause: mostly they are left alone
        if choice.random() < 0.02 and workers:
            try:
                os.kill(choice.choice(workers), choice.choice(TO_WORKERS))
            except ProcessLookupError:
                pass
        else:
            daemon.kill(choice.choice(TO_SUPERVISOR))
        sent += 1
        try:
            with Client(daemon.address("other"), timeout=0.05) as client:
                answered += client.send(b"x").exactly(1) == b"x"
        except OSError:
            pass
    assert answered > sent / 4, (answered, sent)
    daemon.until(lambda state: all(len(one.workers) == 1 and one.serving for one in state.values()),
                 "every listener has one worker that serves")
    for name in ("echo", "other"):
        assert daemon.connect(name).send(b"x").exactly(1) == b"x"
    assert not [pid for pid in procfs.descendants(daemon.pid) if procfs.is_zombie(pid)]


def run_traced(place, inject, text):
    """The daemon under strace, which makes calls of it and of its workers fail; its log when it
    is ready or over."""
    file = place / "handlerd.conf"
    file.write_text(text)
    file.chmod(0o644)
    arguments = [argument for one in inject for argument in ("-e", "inject=" + one)]
    names = ",".join(one.partition(":")[0] for one in inject)
    process = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + names, *arguments,
         str(PROGRAM), "-c", str(file)], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        text=True, cwd="/")
    told = []
    for line in process.stderr:
        told.append(line)
        if "notice: ready in " in line:
            break
    if any(line.startswith("strace: ") for line in told):
        process.kill()
        process.wait()
        pytest.skip("strace cannot trace here: " + "".join(told))
    return process, told


def end_traced(process):
    """Stops the daemon; its exit status, and what it said meanwhile."""
    tracer = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(tracer, encoding="ascii") as file:
        os.kill(int(file.read().split()[0]), signal.SIGTERM)
    rest = process.stderr.read()
    process.stderr.close()
    return process.wait(20), rest


@needs_strace
def test_interrupted_calls_are_made_again(place, mode):
    """Every fifth one of each kind that waits or moves bytes."""
    calls = ("accept4", "recvfrom", "sendto", "sendmsg", "recvmsg", "read", "write", "poll",
             "ppoll", "epoll_wait", "epoll_pwait", "waitid", "wait4")
    # the first reads are those of the dynamic linker, which knows no other way than to give up
    process, told = run_traced(place, [f"{call}:error=EINTR:when={20 if call == 'read' else 5}+5"
                                       for call in calls],
                               config(listener("echo", mode=mode), listener("day", "daytime")))
    try:
        rows = [re.search(r"'(\w+)' listening on tcp (\S+):(\d+)", line) for line in told]
        ports = {row[1]: (row[2], int(row[3])) for row in rows if row}
        for number in range(40):
            with Client(ports["echo"]) as client:
                text = f"hello {number}".encode()
                assert client.send(text).exactly(len(text)) == text
                assert client.half_close().rest() == b""
            with Client(ports["day"]) as client:
                assert client.rest().endswith(b"\r\n")
    finally:
        status, rest = end_traced(process)
    assert status == 0
    for word in ("shut the socket down", "killed by", "Interrupted", " error: "):
        assert word not in "".join(told) + rest


@needs_strace
@pytest.mark.root
@pytest.mark.parametrize("call", ["setgroups", "setresgid", "setresuid"])
@pytest.mark.parametrize("error", ["EAGAIN", "EPERM"])
def test_no_handler_runs_where_privileges_cannot_be_dropped(place, call, error):
    process, told = run_traced(
        place, [f"{call}:error={error}"],
        config(listener("o", str(TEST_HANDLERS / "sys_fault.so"),
                        options={"at": "server_start", "what": "fail"}), user="nobody"))
    told += list(process.stderr)
    process.stderr.close()
    assert process.wait(20) in (1, 78)
    text = "".join(told)
    assert re.search("cannot set the (supplementary groups|group|user): ", text), text
    # the handler says so when one of its callbacks runs
    assert "fault: " not in text


def test_a_stopped_supervisor_feeds_no_watchdog(start, place):
    notify = Notify(place / "notify.sock")
    daemon = start(listener("echo"), env={"NOTIFY_SOCKET": notify.address,
                                          "WATCHDOG_USEC": "200000"})
    notify.wait("WATCHDOG=1")
    os.kill(daemon.pid, signal.SIGSTOP)
    daemon_is_still = time.monotonic()
    while not procfs.is_stopped(daemon.pid):
        assert time.monotonic() < daemon_is_still + 5
    notify.everything()
    # its workers serve on, which is no reason to feed it
    client = daemon.connect()
    while time.monotonic() < daemon_is_still + 0.6:
        assert client.send(b"x").exactly(1) == b"x"
    assert notify.everything() == []
    os.kill(daemon.pid, signal.SIGCONT)
    notify.wait("WATCHDOG=1")
    notify.close()


@pytest.mark.parametrize("quarter", range(4))
def test_ten_thousand_forked_connections_leave_no_zombie(start, quarter):
    """In quarters, each within the time of one test."""
    count = 2500 if not IS_SANITIZED else 250
    daemon = start(listener("echo", mode="forking"))
    worker = daemon.worker()
    seen_at = {}
    for number in range(count):
        with Client(daemon.address()) as client:
            client.send(b"x").exactly(1)
        if number % 100 == 0:
            now = time.monotonic()
            zombies = {pid for pid in procfs.children(worker) if procfs.is_zombie(pid)}
            seen_at = {pid: seen_at.get(pid, now) for pid in zombies}
            # one may lie there when it is looked at, but none for long
            assert all(now - since < 1 * SLOW for since in seen_at.values())
    daemon.until(lambda state: state["echo"].finished == count, "all are over")
    daemon.until(lambda _: not [pid for pid in procfs.children(worker) if procfs.is_zombie(pid)],
                 "no zombie at rest")


@pytest.mark.root
def test_without_a_journal_the_log_goes_to_standard_error_and_nothing_is_lost(start, place,
                                                                              monkeypatch):
    """In a mount namespace that has no /run/systemd."""
    import harness
    outer = place / "outer"
    outer.write_text("#!/bin/sh\nexec unshare -m sh -c "
                     "'mount -t tmpfs tmpfs /run && exec \"$0\" \"$@\"' "
                     f"{PROGRAM} \"$@\"\n")
    outer.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(harness, "PROGRAM", outer)
        daemon = start(listener("echo"), top={"log": {"target": "journal", "connections": "all"}})
    daemon.log.wait("the journal cannot be reached .*; logging to standard error")
    for _ in range(1000):
        with Client(daemon.address()) as client:
            client.send(b"x").exactly(1)
    daemon.log.wait("connection ended", count=1000)
