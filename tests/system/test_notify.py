"""What systemd is told, against a socket of our own."""
import os
import re
import signal
import socket
import time

import pytest

from harness import Notify, SLOW, config, listener


@pytest.fixture(params=["path", "abstract"])
def notify(request, place):
    socket = Notify(place / "notify.sock" if request.param == "path" else
                    f"@handlerd-test-{os.getpid()}")
    yield socket
    socket.close()


def keys(datagram):
    return dict(line.partition("=")[::2] for line in datagram.splitlines())


def test_ready_comes_once_and_after_the_addresses_answer(start, notify):
    daemon = start(listener("echo"), env={"NOTIFY_SOCKET": notify.address})
    first = keys(notify.receive())
    assert first["READY"] == "1" and "1 listeners" in first["STATUS"]
    assert daemon.connect().send(b"x").exactly(1) == b"x"
    assert daemon.stop() == 0
    stopping = keys(notify.receive())
    assert stopping["STOPPING"] == "1"
    assert "READY" not in "\n".join(notify.everything())


def test_a_reload_is_one_reloading_datagram_and_a_ready(start, notify):
    daemon = start(listener("echo"), env={"NOTIFY_SOCKET": notify.address})
    notify.receive()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert daemon.reload(config(listener("echo", environment={"N": "1"})))
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    reloading, ready = keys(notify.receive()), keys(notify.receive())
    assert reloading["RELOADING"] == "1"
    assert before <= int(reloading["MONOTONIC_USEC"]) <= after
    assert ready["READY"] == "1" and "RELOADING" not in ready
    assert "generation 2" in ready["STATUS"]


def test_a_reload_that_fails_is_ready_again_with_the_reason(start, notify):
    daemon = start(listener("echo"), env={"NOTIFY_SOCKET": notify.address})
    notify.receive()
    assert not daemon.reload(config(listener("echo", nosuch=1)))
    reloading, ready = keys(notify.receive()), keys(notify.receive())
    assert reloading["RELOADING"] == "1" and "MONOTONIC_USEC" in reloading
    assert ready["READY"] == "1"
    assert "nosuch" in ready["STATUS"] and "previous configuration" in ready["STATUS"]


def test_two_reloads_are_never_mixed_up(start, notify):
    daemon = start(listener("echo"), env={"NOTIFY_SOCKET": notify.address})
    notify.receive()
    for _ in range(20):
        daemon.kill(signal.SIGHUP)
    daemon.log.wait("notice: reloaded")
    daemon.stop()
    names = [next(name for name in ("RELOADING", "READY", "STOPPING", "EXTEND_TIMEOUT_USEC")
                  if name in keys(one)) for one in notify.everything()]
    assert re.fullmatch(r"(RELOADING READY )*(RELOADING )?STOPPING( EXTEND_TIMEOUT_USEC)*",
                        " ".join(names)), names


def test_a_start_that_fails_is_never_ready(start, notify):
    daemon = start(listener("echo", nosuch=1), env={"NOTIFY_SOCKET": notify.address},
                   is_awaited=False)
    daemon.expected_exit = 78
    assert daemon.wait_exit() == 78
    assert notify.everything() == []


def test_time_is_asked_for_while_connections_drain(start, notify):
    daemon = start(listener("v", "sys_version1"), env={"NOTIFY_SOCKET": notify.address})
    client = daemon.connect()
    assert client.ask("x") == "version 1"
    notify.receive()
    daemon.kill(signal.SIGTERM)
    assert keys(notify.receive())["STOPPING"] == "1"
    assert int(keys(notify.receive())["EXTEND_TIMEOUT_USEC"]) >= 5_000_000
    client.close()
    assert daemon.wait_exit() == 0


@pytest.mark.parametrize("notify", ["path"], indirect=True)
def test_the_watchdog_is_fed_twice_in_its_time_even_with_a_stuck_handler(start, notify):
    daemon = start(listener("f", "sys_fault", "serial"), top={"drain_timeout": "0s"},
                   env={"NOTIFY_SOCKET": notify.address, "WATCHDOG_USEC": "200000"})
    daemon.checks_balance = False
    daemon.connect().send("block\n")
    daemon.log.wait("fault: block")
    times = []
    while len(times) < 8:
        if "WATCHDOG=1" in notify.receive():
            times.append(time.monotonic())
    pauses = [after - before for before, after in zip(times[1:], times[2:])]
    assert max(pauses) < 0.2 * SLOW and sum(pauses) / len(pauses) > 0.05


@pytest.mark.parametrize("address", ["/nowhere/at/all", "", "relative"])
def test_a_socket_that_is_not_there_is_no_harm(start, address):
    daemon = start(listener("echo"), env={"NOTIFY_SOCKET": address})
    assert daemon.reload()
    assert daemon.connect().send(b"x").exactly(1) == b"x"


def test_a_manager_that_does_not_read_holds_nobody_up(start, notify):
    filled = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as filler:
        with pytest.raises(BlockingIOError):
            while True:
                filler.sendto(b"FILLED=1", notify.name)
                filled += 1
        daemon = start(listener("echo"), env={"NOTIFY_SOCKET": notify.address})
        assert daemon.reload(config(listener("echo", environment={"N": "1"})))
        with daemon.connect() as client:
            assert client.send(b"x").exactly(1) == b"x"
    # all of it arrives, in order, when it is read
    for _ in range(filled):
        assert notify.receive() == "FILLED=1"
    told = [notify.receive() for _ in range(3)]
    assert [next(iter(keys(each))) for each in told] == ["READY", "RELOADING", "READY"]


def test_workers_do_not_know_the_socket(start, notify):
    daemon = start(listener("echo"), env={"NOTIFY_SOCKET": notify.address})
    with open(f"/proc/{daemon.worker()}/environ", "rb") as environ:
        assert b"NOTIFY_SOCKET" not in environ.read()
