"""Workers that are started on demand: by whom, how they end, and what nobody notices of it."""
import os
import random
import re
import signal
import time

import pytest

import harness
import procfs
from conffile import any_address
from harness import CRASHES, DATAGRAMS, IS_SANITIZED, PROTOCOLS, SLOW, config, listener
from sockets import echoes

ACTIVATE = "/usr/bin/systemd-socket-activate"
CONFIGURATION = 78
STARTED = r"'{}': a client has come; its worker is started"
ENDED = r"'{}' was idle; its worker ends"


def on_demand(name="echo", handler=None, mode="threading", idle_exit="200ms", **keys):
    return listener(name, handler, mode, start="on_demand", idle_exit=idle_exit, **keys)


def state_of(daemon, name="echo"):
    """The states of its workers."""
    return [worker.state for worker in daemon.listener(name).workers]


def wait_idle(daemon, name="echo", timeout=None):
    daemon.until(lambda state: [worker.state for worker in state[name].workers] == ["IDLE"],
                 "no process is left", timeout)
    return daemon


def starts(daemon, name="echo"):
    return len(daemon.log.find(STARTED.format(name)))


def exchange(daemon, name="echo", data=b"hello"):
    """One client, from beginning to end; whether it got all it should."""
    with daemon.connect(name) as client:
        if daemon.protocol(name) in DATAGRAMS:
            return client.ask(data) == data
        return client.send(data).half_close().rest() == data


def lives(daemon, seconds):
    """For so long."""
    return not procfs.wait_death(daemon.pidfd, seconds)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_there_is_no_process_before_a_client_and_after_it(start, mode, protocol):
    daemon = start(on_demand(mode=mode, protocol=protocol))
    assert state_of(daemon) == ["IDLE"]
    assert procfs.children(daemon.pid) == []
    for _ in range(2):
        mark = daemon.log.mark()
        assert exchange(daemon)
        daemon.log.wait("info: " + STARTED.format("echo"), mark)
        daemon.log.wait("info: " + ENDED.format("echo"), mark)
        wait_idle(daemon)
        assert procfs.wait_deaths(procfs.children(daemon.pid), harness.WAIT_S) == []
    assert starts(daemon) == 2
    assert daemon.listener().accepted == 2
    assert not daemon.log.find(" error: ")


def test_a_worker_that_serves_stays(start, mode):
    daemon = start(on_demand(mode=mode))
    client = daemon.connect()
    assert client.send(b"1").exactly(1) == b"1"
    pid = daemon.worker()
    assert client.is_silent(1 * SLOW)
    assert client.send(b"2").exactly(1) == b"2"
    assert daemon.worker() == pid
    client.close()
    wait_idle(daemon)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_client_notices_that_workers_end(start, mode, protocol):
    """Clients come just when the worker may be ending: 100 ms after the last."""
    daemon = start(on_demand(mode=mode, protocol=protocol, idle_exit="100ms"))
    chance = random.Random(7)
    for _ in range(20):
        assert exchange(daemon)
        assert lives(daemon, chance.uniform(0.08, 0.14))
    assert starts(daemon) > 2
    assert not daemon.log.find(" error: ")


def test_a_client_that_takes_its_time_is_not_cut_off(start, mode):
    """It connects just when the worker may be ending, and says nothing for long."""
    daemon = start(on_demand(mode=mode, idle_exit="100ms"))
    for i in range(12):
        assert exchange(daemon)
        assert lives(daemon, 0.08 + i * 0.005)
        with daemon.connect() as client:
            assert client.is_silent(0.15)
            assert client.send(b"late").half_close().rest() == b"late"
    assert not daemon.log.find(" error: ")


def test_several_addresses_and_sockets_are_watched(start, place):
    port = harness.free_ports(1)[0]
    daemon = start(
        on_demand("many", "echo", address=[f"127.0.0.1:{port}", f"127.0.0.2:{port}"],
                  socket={"reuse_port": 3}),
        on_demand("paths", "echo", protocol="unix", address=[str(place / "a"), str(place / "b")]))
    for name, count in (("many", 2), ("paths", 2)):
        for index in range(count):
            with daemon.connect(name, index=index) as client:
                assert client.send(b"x").half_close().rest() == b"x"
            wait_idle(daemon, name)
        assert starts(daemon, name) == count


def test_a_datagram_that_is_dropped_counts_as_activity(start, mode):
    daemon = start(on_demand(mode=mode, protocol="udp", idle_exit="400ms", max_datagram="100B"))
    client = daemon.connect()
    assert client.ask(b"x") == b"x"
    pid = daemon.worker()
    for _ in range(12):
        assert client.send(bytes(200)).is_silent(0.1)
    assert daemon.worker() == pid
    wait_idle(daemon)
    assert starts(daemon) == 1


def test_a_session_keeps_its_worker(start):
    daemon = start(on_demand(protocol="udp", udp={"session_timeout": "1s"}))
    client = daemon.connect()
    assert client.ask(b"x") == b"x"
    pid = daemon.worker()
    assert client.is_silent(0.6)
    assert client.ask(b"y") == b"y"
    assert daemon.worker() == pid
    wait_idle(daemon)
    assert daemon.listener().accepted == 1


def test_none_never_ends_it(start):
    daemon = start(on_demand(idle_exit="none"))
    assert exchange(daemon)
    pid = daemon.worker()
    assert daemon.connect().is_silent(0.5)
    assert daemon.worker() == pid


# What its supervisor costs

def test_two_hundred_of_them_cost_little_and_start_at_once(start):
    daemon = start(*(on_demand(f"l{i}", "echo") for i in range(200)),
                   top={"log": {"level": "debug"}})
    took_ms = float(daemon.log.wait(r"ready in ([\d.]+) ms: 200 listeners")[1])
    assert procfs.children(daemon.pid) == []
    assert daemon.log.wait(r"(\d+) trial loads for the handlers of 200 listeners")[1] == "1"
    pss_kib = int(re.search(r"Pss: +(\d+) kB", procfs.read(daemon.pid, "smaps_rollup"))[1])
    print(f"200 listeners: ready in {took_ms} ms, {pss_kib} KiB")
    if not IS_SANITIZED:
        assert took_ms < 500
        assert pss_kib < 20 * 1024
    assert exchange(daemon, "l77")


def test_neither_rest_nor_a_worker_at_its_limit_costs_time(start):
    daemon = start(on_demand(max_connections=1, idle_exit="10s"), on_demand("other", "echo"))
    client, second = daemon.connect(), daemon.connect()
    assert client.send(b"x").exactly(1) == b"x"
    before = procfs.cpu_seconds(daemon.pid)
    assert second.send(b"y").is_silent(1)
    assert procfs.cpu_seconds(daemon.pid) - before <= 0.02 * SLOW
    client.close()
    assert second.exactly(1) == b"y"


# Errors and crashes

def refused(start, place, *entries):
    text = "\n".join(["listeners = ("] + [",\n".join(entries)] + [");"]) + "\n"
    daemon = start(text=text, is_awaited=False)
    daemon.expected_exit = CONFIGURATION
    assert daemon.wait_exit() == CONFIGURATION
    return daemon


def test_an_option_that_does_not_fit_is_told_at_every_place(start, place):
    daemon = refused(start, place, *(on_demand(f"e{i}", "echo", options={"no": 1})
                                     for i in range(3)))
    for line in (2, 3, 4):
        assert daemon.log.find(rf"handlerd.conf:{line}: .*'no'"), daemon.log.text()
    assert daemon.log.find("not started: 3 errors")


def test_a_file_that_is_no_handler_is_refused_at_the_start(start, place):
    library = place / "none.so"
    library.write_text("no library")
    library.chmod(0o644)
    daemon = refused(start, place, on_demand("none", str(library)))
    assert daemon.log.find(r"handlerd.conf:2: .*none\.so"), daemon.log.text()


def test_a_crash_with_nobody_waiting_leaves_no_process(start, mode):
    daemon = start(on_demand("f", "sys_fault", mode), env=CRASHES)
    assert daemon.connect("f").send("ping\n").line() == "pong"
    os.kill(daemon.worker("f"), signal.SIGKILL)
    daemon.log.wait(r"killed by signal 9 \(Killed\).*; the next client starts another$")
    wait_idle(daemon, "f")
    assert daemon.connect("f").ask("ping") == "pong"
    daemon.checks_balance = False


@pytest.mark.alone
def test_a_client_that_makes_it_crash_again_and_again_is_slowed_down(start):
    daemon = start(on_demand("f", "sys_fault"), env=CRASHES)
    before = procfs.cpu_seconds(daemon.pid)
    began = time.monotonic()
    count = 0
    while time.monotonic() - began < 3:
        assert daemon.connect("f").send("segv\n").is_at_end()
        count += 1
    # 5 at once, then after 200, 400, 800, 1000 ms
    assert count <= 5 + 6, count
    assert starts(daemon, "f") <= count + 1
    assert procfs.cpu_seconds(daemon.pid) - before <= 0.15 * 3 * SLOW
    daemon.log.wait(r"the next client starts another in 400 ms at the earliest")
    # one that does no harm is served all the same
    assert daemon.connect("f").ask("ping") == "pong"


def test_a_worker_that_cannot_start_is_tried_after_a_pause_while_a_client_waits(start):
    daemon = start(on_demand("f", "sys_fault", options={"at": "server_start", "what": "fail"}))
    client = daemon.connect("f").send("ping\n")
    before = procfs.cpu_seconds(daemon.pid)
    assert client.is_silent(2.5)
    assert 1 <= starts(daemon, "f") <= 3
    assert procfs.cpu_seconds(daemon.pid) - before <= 0.1 * SLOW
    daemon.log.wait(r"the next client starts another in 1000 ms at the earliest")
    assert daemon.is_running
    daemon.checks_balance = False


def test_a_socket_that_its_handler_has_shut_down_is_opened_anew(start):
    daemon = start(on_demand("f", "sys_fault"), env=CRASHES)
    with daemon.connect("f") as client:
        client.send("shut_listening\n")
        client.is_at_end()
    daemon.log.wait("shut the socket down; it is opened anew")
    wait_idle(daemon, "f", 10)
    assert daemon.connect("f").ask("ping") == "pong"
    daemon.checks_balance = False


# Reload

def test_one_that_is_unchanged_is_not_touched(start):
    texts = [config(on_demand(idle_exit="5s"), on_demand("idle", "echo"),
                    listener("other", "echo", max_connections=most)) for most in (10, 11)]
    daemon = start(text=texts[0])
    assert exchange(daemon)
    pid = daemon.worker()
    assert daemon.reload(texts[1])
    assert daemon.worker() == pid
    assert state_of(daemon, "idle") == ["IDLE"]


def test_one_that_changes_without_a_worker_stays_so(start):
    daemon = start(text=config(on_demand(max_connections=5)))
    assert daemon.reload(config(on_demand(max_connections=6)))
    wait_idle(daemon)
    assert procfs.children(daemon.pid) == []
    assert not daemon.reload(config(on_demand(max_connections=6, options={"no": 1})))
    assert exchange(daemon)
    wait_idle(daemon)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_that_changes_with_a_worker_gets_another(start, mode, protocol):
    where = {"address": any_address(protocol)}
    daemon = start(text=config(on_demand(mode=mode, idle_exit="5s", protocol=protocol, **where)))
    assert exchange(daemon)
    pid = daemon.worker()
    assert daemon.reload(config(on_demand(mode=mode, idle_exit="300ms", protocol=protocol,
                                          environment={"N": "2"}, **where)))
    assert daemon.worker() != pid
    assert exchange(daemon)
    wait_idle(daemon)
    assert starts(daemon) == 1


def test_idle_exit_can_be_changed_while_it_serves(start):
    daemon = start(text=config(on_demand(idle_exit="none")))
    assert exchange(daemon)
    pid = daemon.worker()
    assert daemon.reload(config(on_demand(idle_exit="100ms")))
    assert daemon.log.wait(ENDED.format("echo"))
    assert procfs.wait_deaths([pid], harness.WAIT_S) == []


def test_now_and_on_demand_change_places(start):
    daemon = start(text=config(on_demand()))
    assert daemon.reload(config(listener()))
    assert state_of(daemon) == ["SERVING"]
    assert daemon.reload(config(on_demand(idle_exit="100ms")))
    wait_idle(daemon)
    assert exchange(daemon)


def test_one_that_is_removed_is_watched_no_more(start):
    daemon = start(text=config(on_demand("gone", "echo"), listener("stays", "echo")))
    address = daemon.address("gone")
    assert daemon.reload(config(listener("stays", "echo")))
    with pytest.raises(ConnectionRefusedError):
        harness.Client(address)
    assert starts(daemon, "gone") == 0


@pytest.mark.skipif(not os.path.exists(ACTIVATE), reason="systemd-socket-activate is missing")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sockets_that_systemd_has_bound_are_watched(start, place, monkeypatch, protocol):
    is_unix, is_datagram = protocol.startswith("unix"), protocol in DATAGRAMS
    address = str(place / "s") if is_unix else f"127.0.0.1:{harness.free_ports(1)[0]}"
    script = place / "activate"
    script.write_text(f"#!/bin/sh\nexec {ACTIVATE} {'-d' if is_datagram else ''} -l {address} "
                      f"--fdname=first {harness.PROGRAM} \"$@\"\n")
    script.chmod(0o755)
    monkeypatch.setattr(harness, "PROGRAM", script)
    daemon = start(on_demand("s", "echo", protocol=protocol, address="systemd:first"),
                   is_awaited=False)
    daemon.log.wait("Listening on")
    where = address if is_unix else ("127.0.0.1", int(address.rpartition(":")[2]))
    for _ in range(2):
        assert echoes(protocol, where)
        daemon.wait_ready()
        wait_idle(daemon, "s")
    assert starts(daemon, "s") == 2
