"""Handlers that do not give back what they serve: timeouts.handler, from the warning to the end."""
import os
import signal
import socket
import time

import pytest

import procfs
from harness import CRASHES, DATAGRAMS, SLOW, config, listener

WAITS = ["sleep", "poll", "recv", "wait", "send"]
DEAF = ["ignore", "spin", "block"]
TIMEOUT_S = 0.3
TOLD = r"handler '.*sys_stuck.*' has been at it for (\d+\.\d+) s, longer than timeouts.handler"
STUCK = r"handler '.*sys_stuck.*' has not returned 1 s after it was cancelled"


def stuck(mode, name="s", timeout="300ms", **keys):
    return listener(name, "sys_stuck", mode, timeouts={"handler": timeout}, **keys)


def serve(start, mode, *more, **keys):
    return start(stuck(mode, **keys), *more, env=CRASHES, top={"log": {"connections": "all"}})


def wait_as(client, how):
    assert client.ask(how) == "waiting"
    return client


def ping(daemon, name="s"):
    with daemon.connect(name) as client:
        return client.ask("ping") == "pong"


def until_timed_out(daemon, count, name="s"):
    daemon.until(lambda state: state[name].timed_out == count, f"{count} timed out")


@pytest.fixture
def silence():
    """A server that takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield "connect tcp:127.0.0.1:%d" % server.getsockname()[1]


@pytest.mark.interrupts
@pytest.mark.parametrize("how", WAITS)
def test_a_wait_is_cancelled_and_finish_runs_once(start, mode, how):
    daemon = serve(start, mode)
    began = time.monotonic()
    client = wait_as(daemon.connect("s"), how)
    client.rest()
    assert time.monotonic() - began >= TIMEOUT_S
    told = daemon.log.wait(TOLD)
    assert TIMEOUT_S <= float(told[1]) < TIMEOUT_S + 0.2 * SLOW
    assert "warning: 's'" in told.string and "#1" in told.string
    assert client.name() in told.string
    daemon.log.wait(f"{how} ended with -125")
    daemon.log.wait(r"connection ended: handler timeout")
    until_timed_out(daemon, 1)
    assert len(daemon.log.find("finish called")) == 1
    assert not daemon.log.find(STUCK)
    state = daemon.listener("s")
    assert (state.finished, state.failed, state.crashed) == (1, 0, 0)


@pytest.mark.interrupts
def test_an_own_connection_is_cancelled_with_its_request(start, mode, silence):
    daemon = serve(start, mode)
    assert wait_as(daemon.connect("s"), silence).rest() == b""
    daemon.log.wait(r"connect tcp:.* ended with -125")
    daemon.log.wait(r"connection ended: handler timeout")


def test_idle_time_counts_too(start, mode):
    """It is the clock of the whole connection, whatever happens on it."""
    daemon = serve(start, mode, timeout="500ms")
    client = daemon.connect("s")
    deadline = time.monotonic() + 5 * SLOW
    with pytest.raises(OSError):
        while time.monotonic() < deadline:
            if client.ask("ping") != "pong":
                raise ConnectionResetError
    daemon.log.wait(r"connection ended: handler timeout")


def test_a_short_connection_is_left_alone_and_the_clock_begins_anew(start, mode):
    daemon = serve(start, mode)
    deadline = time.monotonic() + 3 * TIMEOUT_S
    while time.monotonic() < deadline:
        assert ping(daemon)
    assert daemon.listener("s").timed_out == 0
    assert not daemon.log.find(TOLD)


@pytest.mark.interrupts
@pytest.mark.parametrize("how", DEAF)
def test_a_handler_that_does_not_return_is_ended(start, mode, how):
    daemon = serve(start, mode, listener("echo"))
    bystander, echo = daemon.connect("echo"), daemon.worker("echo")
    worker = daemon.worker("s")
    began = time.monotonic()
    client = wait_as(daemon.connect("s"), how)
    client.rest()
    told = daemon.log.wait(STUCK)
    assert "error: 's'" in told.string and "#1" in told.string
    # the child, or the worker, with all that it had
    daemon.until(lambda state: state["s"].crashed == 1 and state["s"].serving, "ended, replaced")
    took = time.monotonic() - began
    assert TIMEOUT_S + 1 <= took < (TIMEOUT_S + 2) * SLOW, took
    assert not daemon.log.find("finish called")
    assert ping(daemon)
    assert (daemon.worker("s") == worker) == (mode == "forking")
    assert bystander.send(b"x").exactly(1) == b"x" and daemon.worker("echo") == echo
    assert daemon.listener("s").timed_out == 1
    # it is no crash, and is not told as one
    assert not daemon.log.find(r"killed by signal")
    if mode != "forking":
        daemon.log.wait(r"worker of 's' .* has ended itself, as its handler did not return")


@pytest.mark.interrupts
def test_one_that_hears_no_signal_is_ended_all_the_same(start, mode):
    daemon = serve(start, mode)
    wait_as(daemon.connect("s"), "deaf").rest()
    daemon.until(lambda state: state["s"].crashed == 1, "ended", timeout=5)
    assert ping(daemon)


@pytest.mark.interrupts
def test_one_that_returns_within_the_second_is_spared(start, mode):
    daemon = serve(start, mode)
    worker = daemon.worker("s")
    wait_as(daemon.connect("s"), "late").rest()
    daemon.log.wait(r"late ended with -125")
    daemon.log.wait(r"connection ended: handler timeout")
    assert len(daemon.log.find("finish called")) == 1
    assert ping(daemon) and daemon.worker("s") == worker
    assert daemon.listener("s").crashed == 0


def test_other_connections_of_the_listener_go_with_a_worker_and_stay_with_a_child(start, mode):
    if mode == "serial":
        pytest.skip("there are no others")
    # one thread of fibers stands still with a handler that blocks
    keys = {"fibers": {"threads": 2}} if mode == "fibers" else {}
    daemon = serve(start, mode, timeout="2s", **keys)
    stuck_one = wait_as(daemon.connect("s"), "block")
    daemon.log.wait(TOLD)
    other = daemon.connect("s")
    assert other.ask("ping") == "pong"
    stuck_one.rest()
    daemon.log.wait(STUCK)
    if mode == "forking":
        daemon.until(lambda state: state["s"].crashed == 1, "the child is gone")
        assert other.ask("pid") != str(daemon.worker("s"))
    else:
        assert other.is_at_end()
        daemon.until(lambda state: state["s"].crashed == 2, "both are counted")
        daemon.log.wait("with 1 other connections of this listener")


@pytest.mark.interrupts
def test_children_at_the_limit_that_are_stuck_make_room(start):
    daemon = start(stuck("forking", forking={"max_children": 2, "spare_children": 1}), env=CRASHES)
    for how in ("block", "spin"):
        wait_as(daemon.connect("s"), how)
    waiting = daemon.connect("s").send("ping\n")
    assert waiting.line() == "pong"
    daemon.until(lambda state: state["s"].crashed == 2, "both are gone")


@pytest.mark.interrupts
def test_threads_at_the_limit_that_wait_make_room(start):
    daemon = start(stuck("threading", threading={"max_threads": 2}, max_connections=2), env=CRASHES)
    for how in ("sleep", "wait"):
        wait_as(daemon.connect("s"), how)
    assert daemon.connect("s").ask("ping") == "pong"
    until_timed_out(daemon, 2)


@pytest.mark.parametrize("protocol", DATAGRAMS)
def test_a_datagram_has_its_time_too(start, mode, protocol):
    daemon = serve(start, mode, protocol=protocol)
    client = daemon.connect("s").send("sleep\n")
    daemon.log.wait(TOLD)
    daemon.log.wait(r"datagram ended: handler timeout")
    assert client.is_silent(0)
    assert client.ask_text("ping\n") == "pong"
    client.send("block\n")
    daemon.log.wait(STUCK)
    daemon.until(lambda state: state["s"].crashed == 1 and state["s"].serving, "ended, replaced")
    assert client.ask_text("ping\n") == "pong"


def test_a_session_has_its_time_however_busy_it_is(start):
    daemon = serve(start, "threading", protocol="udp", timeout="500ms",
                   udp={"session_timeout": "10s"})
    client = daemon.connect("s")
    deadline = time.monotonic() + 5 * SLOW
    while not daemon.log.find(r"session ended: handler timeout"):
        client.send("ping\n")
        client.is_silent(0.05)
        assert time.monotonic() < deadline, daemon.log.text()
    # the next datagram begins a new one
    client.everything()
    assert client.ask_text("ping\n") == "pong"


@pytest.mark.interrupts
def test_it_goes_on_while_the_worker_drains(start, mode):
    daemon = serve(start, mode, timeout="1s")
    client = wait_as(daemon.connect("s"), "sleep")
    assert daemon.reload(config(stuck(mode, timeout="30s"), log={"connections": "all"}))
    client.rest()
    daemon.log.wait(TOLD)
    daemon.log.wait(r"connection ended: handler timeout")


@pytest.mark.interrupts
def test_a_stuck_worker_that_drains_is_ended_and_not_replaced(start, mode):
    daemon = serve(start, mode, timeout="1s")
    client = wait_as(daemon.connect("s"), "block")
    assert daemon.reload(config(stuck(mode, timeout="30s"), log={"connections": "all"}))
    client.rest()
    daemon.log.wait(STUCK)
    daemon.until(lambda state: not state["s"].draining and len(state["s"].serving) == 1,
                 "the old one is gone")
    assert ping(daemon)


@pytest.mark.alone
def test_the_other_listener_is_as_fast_as_before(start, mode):
    """p99 of short connections to another listener while this one spins and is replaced."""
    daemon = serve(start, mode, listener("echo"))

    def p99(seconds):
        took, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            with daemon.connect("echo") as client:
                assert client.send(b"x").exactly(1) == b"x"
            took.append(time.monotonic() - began)
            daemon.clients.clear()
        return sorted(took)[len(took) * 99 // 100]

    before = p99(1)
    with daemon.connect("s") as spinner:
        assert spinner.ask("spin") == "waiting"
        daemon.clients.clear()
        during = p99(2)
    daemon.log.wait(STUCK)
    # a time slice that a spinning thread has is no fault of ours
    assert during <= max(2 * max(before, p99(1)), 0.005 * SLOW), (before, during)


def test_a_frozen_worker_finds_out_when_it_goes_on(start, mode):
    daemon = serve(start, mode)
    worker = daemon.worker("s")
    processes = [worker, *procfs.descendants(worker)]
    client = wait_as(daemon.connect("s"), "late")
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    assert client.is_silent(2 * TIMEOUT_S + 1)
    for pid in processes:
        os.kill(pid, signal.SIGCONT)
    client.rest()
    # its second counts from now on
    daemon.log.wait(r"late ended with -125")
    assert ping(daemon) and daemon.worker("s") == worker


def test_without_the_setting_nobody_is_timed(start, mode):
    daemon = start(listener("s", "sys_stuck", mode), env=CRASHES)
    client = wait_as(daemon.connect("s"), "sleep")
    assert client.is_silent(2 * TIMEOUT_S)
    assert daemon.listener("s").timed_out == 0
    # nor is anything armed: the control flow sleeps
    worker = daemon.worker("s")
    before = procfs.status(worker)["voluntary_ctxt_switches"]
    assert client.is_silent(2 * TIMEOUT_S)
    assert procfs.status(worker)["voluntary_ctxt_switches"] == before
    daemon.stop(signal.SIGQUIT)


def test_a_changed_limit_is_a_new_worker(start, mode):
    daemon = serve(start, mode, timeout="30s")
    worker = daemon.worker("s")
    assert daemon.reload(config(stuck(mode), log={"connections": "all"}))
    assert daemon.worker("s") != worker
    wait_as(daemon.connect("s"), "sleep").rest()
    daemon.log.wait(TOLD)


@pytest.mark.parametrize("mode", ["threading", "serial"])
def test_its_end_is_no_crash_that_brings_older_settings_back(start, mode):
    daemon = start(listener("s", "sys_version1", mode), env=CRASHES)
    assert daemon.reload(config(stuck(mode, rollback={"crashes": 1, "within": "60s"})))
    wait_as(daemon.connect("s"), "block").rest()
    daemon.log.wait(r"worker of 's' .* has ended itself")
    assert ping(daemon)
    # a crash is one
    os.kill(daemon.worker("s"), signal.SIGSEGV)
    daemon.log.wait(r"'s' has crashed")
    daemon.log.wait(r"rolled back in")
