"""A listener that is paused, drained and resumed: who waits, who is served, what it survives."""
import os
import signal
import threading
import time

import pytest

import harness
import procfs
from conffile import any_address
from harness import DATAGRAMS, PROTOCOLS, SLOW, STREAMS, config, listener
from holding import drain, is_paused, order, pause, resume, wait_done, wait_held


def late(daemon, name="echo"):
    """A client who comes while nobody accepts, and has said what it wants."""
    return daemon.connect(name).send(b"late")


def is_served(client):
    """Whether it gets what it asked for."""
    if hasattr(client, "receive"):
        return client.receive() == b"late"
    return client.half_close().rest() == b"late"


@pytest.mark.parametrize("protocol", STREAMS)
def test_who_is_served_goes_on_and_who_comes_waits(start, mode, protocol):
    daemon = start(listener(mode=mode, protocol=protocol))
    client = daemon.connect()
    assert client.send(b"1").exactly(1) == b"1"
    pid = daemon.worker()
    pause(daemon)
    assert is_paused(daemon)
    waiting = [late(daemon) for _ in range(5)]
    assert waiting[0].is_silent(0.3)
    assert client.send(b"2").exactly(1) == b"2"
    assert client.half_close().rest() == b""
    assert waiting[1].is_silent(0.2)
    resume(daemon)
    assert not is_paused(daemon)
    assert all(is_served(each) for each in waiting)
    assert daemon.worker() == pid
    assert daemon.listener().accepted == 6


@pytest.mark.parametrize("protocol", DATAGRAMS)
def test_datagrams_wait_in_the_buffer(start, mode, protocol):
    daemon = start(listener(mode=mode, protocol=protocol))
    assert is_served(late(daemon))
    pause(daemon)
    waiting = [late(daemon) for _ in range(5)]
    assert waiting[0].is_silent(0.3)
    resume(daemon)
    assert all(is_served(each) for each in waiting)


def test_open_sessions_stay_and_their_datagrams_wait(start):
    daemon = start(listener(protocol="udp", udp={"session_timeout": "60s"}))
    daemon.checks_balance = False
    client = daemon.connect()
    assert client.ask(b"1") == b"1"
    pause(daemon)
    assert client.send(b"2").is_silent(0.3)
    other = late(daemon)
    resume(daemon)
    assert client.receive() == b"2"
    assert is_served(other)
    assert daemon.listener().accepted == 2


def test_a_paused_listener_costs_no_time(start, mode):
    daemon = start(listener(mode=mode))
    assert is_served(late(daemon))
    pause(daemon)
    waiting = [late(daemon) for _ in range(20)]
    pids = [daemon.pid, *procfs.descendants(daemon.pid)]
    before = procfs.cpu_seconds(*pids)
    assert waiting[0].is_silent(1)
    assert procfs.cpu_seconds(*pids) - before <= 0.03 * SLOW
    resume(daemon)
    assert all(is_served(each) for each in waiting)


def test_its_threads_leave_and_its_children_stay(start, mode):
    keys = {"threading": {"min_threads": 1, "idle_timeout": "200ms"}} if mode == "threading" else {}
    daemon = start(listener(mode=mode, **keys))
    crowd = [daemon.connect() for _ in range(20)]
    for client in crowd:
        client.send(b"x")
    for client in crowd:
        assert client.half_close().rest() == b"x" if mode == "serial" else client.exactly(1) == b"x"
    pause(daemon)
    daemon.close_clients()
    pid = daemon.worker()
    waiting = late(daemon)
    assert waiting.is_silent(0.5)
    if mode == "threading":
        daemon.until(lambda _: procfs.count_threads(pid) <= 12, "the threads of the crowd leave")
    if mode == "forking":
        assert len(procfs.children(pid)) >= 2
    resume(daemon)
    assert is_served(waiting)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_client_is_lost_to_pauses_that_come_and_go(start, mode, protocol):
    daemon = start(listener(mode=mode, protocol=protocol))
    stop = threading.Event()
    failures = []
    count = [0]

    def run():
        make = harness.Datagrams if protocol in DATAGRAMS else harness.Client
        while not stop.is_set():
            with make(daemon.address()) as client:
                client.send(b"late")
                if not is_served(client):
                    failures.append(count[0])
            count[0] += 1

    threads = [threading.Thread(target=run) for _ in range(3)]
    for each in threads:
        each.start()
    for _ in range(25):
        pause(daemon)
        resume(daemon)
    stop.set()
    for each in threads:
        each.join()
    assert not failures and count[0] > 25


# Drain

def ready(daemon, name="echo"):
    """The worker that is there for the resumption."""
    return daemon.until(lambda state: [worker.pid for worker in state[name].serving],
                        "another worker is ready")[0]


@pytest.mark.interrupts
def test_drain_ends_connections_at_the_deadline_and_keeps_a_worker_ready(start, mode):
    daemon = start(text=config(listener("d", "sys_drain", mode), drain_timeout="300ms"))
    client = daemon.connect("d")
    assert client.ask("busy recv") == "waiting"
    pid = daemon.worker("d")
    began = time.monotonic()
    drained = order(daemon, "drain", "d")
    wait_held(daemon, "d")
    waiting = daemon.connect("d").send("idle recv\n")
    daemon.until(lambda state: len(state["d"].serving) == 1 and state["d"].serving[0].pid != pid,
                 "another worker is ready")
    assert client.is_at_end()
    assert 0.3 <= time.monotonic() - began < 0.3 + 1 * SLOW
    daemon.log.wait(r"busy recv ended with -125, draining 1")
    wait_done(drained)
    other = daemon.worker("d")
    assert waiting.is_silent(0.2)
    mark = daemon.log.mark()
    resume(daemon, "d")
    assert waiting.line() == "waiting"
    assert daemon.worker("d") == other
    assert not [line for line in daemon.log.lines[mark:] if " error: " in line]


def test_drain_of_what_is_paused_and_pause_of_what_is_drained(start, mode):
    daemon = start(text=config(listener(mode=mode), drain_timeout="10s"))
    client = daemon.connect()
    assert client.send(b"1").exactly(1) == b"1"
    first = daemon.worker()
    pause(daemon)
    waiting = late(daemon)
    drain(daemon)  # the connection is idle: it ends at once
    assert client.is_at_end()
    second = ready(daemon)
    assert second != first
    pause(daemon)
    drain(daemon)
    # one that has never accepted has nothing to be drained
    assert daemon.worker() == second
    resume(daemon)
    assert is_served(waiting)
    assert daemon.worker() == second


@pytest.mark.parametrize("mode", ["threading", "forking"])
def test_drained_workers_count_as_old_generations(start, mode):
    daemon = start(text=config(listener("d", "sys_drain", mode), drain_timeout="60s",
                               max_generations=2))
    clients, orders = [], []
    for _ in range(3):
        clients.append(daemon.connect("d"))
        assert clients[-1].ask("busy recv") == "waiting"
        orders.append(order(daemon, "drain", "d"))
        daemon.until(lambda state, n=len(clients): len(state["d"].draining) == min(n, 2) and
                     state["d"].serving, "it drains")
        resume(daemon, "d")
    daemon.log.wait("is ended before its drain deadline: more than max_generations")
    assert clients[0].is_at_end()
    assert clients[1].ask("more") == "ended 5"
    daemon.close_clients()
    for each in orders:
        each.wait()
    daemon.checks_balance = False


# What it survives

def test_it_survives_reloads_and_is_forgotten_with_its_listener(start, mode):
    daemon = start(text=config(listener(mode=mode), listener("other", "echo", mode)))
    assert is_served(late(daemon))
    pause(daemon)
    waiting = late(daemon)
    # unchanged, then changed
    for text in (config(listener(mode=mode)),
                 config(listener(mode=mode, environment={"N": "1"}))):
        assert daemon.reload(text)
        assert is_paused(daemon)
        assert waiting.is_silent(0.2)
    resume(daemon)
    assert is_served(waiting)
    pause(daemon)
    assert daemon.reload(config(listener("other", "echo", mode)))
    daemon.until(lambda state: "echo" not in state, "its worker has ended")
    assert daemon.reload(config(listener(mode=mode)))
    assert not is_paused(daemon)
    assert is_served(late(daemon))


def test_it_survives_a_crash(start, mode):
    daemon = start(listener(mode=mode))
    pause(daemon)
    pid = daemon.worker()
    waiting = late(daemon)
    os.kill(pid, signal.SIGKILL)
    daemon.until(lambda state: state["echo"].serving and state["echo"].serving[0].pid != pid,
                 "another worker is there")
    assert waiting.is_silent(0.3)
    resume(daemon)
    assert is_served(waiting)


@pytest.mark.parametrize("is_drained", [False, True])
def test_it_can_be_stopped(start, mode, is_drained):
    daemon = start(listener(mode=mode))
    client = daemon.connect()
    assert client.send(b"1").exactly(1) == b"1"
    (drain if is_drained else pause)(daemon)
    waiting = late(daemon)
    assert daemon.stop() == 0
    assert client.is_at_end() and waiting.is_at_end()
    assert not daemon.log.find(" error: ")


# On demand

@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody_starts_a_worker_of_a_paused_listener(start, mode, protocol):
    daemon = start(listener(mode=mode, protocol=protocol, start="on_demand", idle_exit="200ms"))
    pause(daemon)
    waiting = late(daemon)
    assert waiting.is_silent(0.3)
    assert procfs.children(daemon.pid) == []
    drain(daemon)
    assert procfs.children(daemon.pid) == []
    resume(daemon)
    assert is_served(waiting)
    assert daemon.log.find("a client has come; its worker is started")


def test_a_worker_on_demand_is_drained_and_not_replaced(start, mode):
    where = {"address": any_address("unix"), "protocol": "unix"}
    daemon = start(text=config(listener(mode=mode, start="on_demand", idle_exit="60s", **where)))
    client = daemon.connect()
    assert client.send(b"1").exactly(1) == b"1"
    drain(daemon)
    assert client.is_at_end()
    daemon.until(lambda state: [worker.state for worker in state["echo"].workers] == ["IDLE"],
                 "no process is left")
    waiting = late(daemon)
    # a paused one that is idle stays so at a reload
    assert daemon.reload(config(listener(mode=mode, start="on_demand", environment={"N": "1"},
                                         **where)))
    assert waiting.is_silent(0.2)
    assert procfs.children(daemon.pid) == []
    resume(daemon)
    assert is_served(waiting)


def test_a_paused_worker_on_demand_ends_when_it_is_idle(start, mode):
    daemon = start(listener(mode=mode, start="on_demand", idle_exit="300ms"))
    client = daemon.connect()
    assert client.send(b"1").exactly(1) == b"1"
    pause(daemon)
    waiting = late(daemon)
    client.close()
    daemon.until(lambda state: [worker.state for worker in state["echo"].workers] == ["IDLE"],
                 "no process is left")
    assert waiting.is_silent(0.2)
    resume(daemon)
    assert is_served(waiting)
