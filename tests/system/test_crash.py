"""Handlers that crash, exit, fail or spoil what is not theirs: who suffers, and for how long."""
import os
import re
import signal
import time

import pytest

import procfs
from harness import CRASHES, IS_ASAN, SLOW, config, listener

DEATHS = {
    "segv": r"killed by signal 11 \(Segmentation fault\)",
    "abort": r"killed by signal 6 \(Aborted\)",
    "fpe": r"killed by signal 8 \(Floating point exception\)",
    "kill": r"killed by signal 9 \(Killed\)",
    "exit": r"exited with status 3|exit status 3",
    "_exit": r"exited with status 4|exit status 4",
}


def serve(start, mode, *more, **keys):
    return start(listener("f", "sys_fault", mode, **keys), *more, env=CRASHES)


def ping(daemon, name="f"):
    with daemon.connect(name) as client:
        return client.ask("ping") == "pong"


@pytest.mark.parametrize("what", DEATHS)
def test_a_crash_is_told_with_listener_handler_and_signal(start, mode, what):
    daemon = serve(start, mode)
    client = daemon.connect("f").send(what + "\n")
    assert client.is_at_end()
    told = daemon.log.wait(DEATHS[what]).string
    assert "'f'" in told and "sys_fault" in told and " error: " in told, told
    if mode == "forking":
        assert re.search(r"connection #\d+", told), told
    assert ping(daemon)
    daemon.until(lambda state: (state["f"].accepted, state["f"].finished, state["f"].crashed) ==
                 (2, 1, 1), "both connections are counted")


@pytest.mark.parametrize("what", ["segv", "exit"])
def test_a_crash_costs_one_connection_under_forking_and_one_listener_otherwise(start, mode, what):
    daemon = serve(start, mode, listener("echo"))
    others = [daemon.connect("f") for _ in range(3)] if mode != "serial" else []
    for other in others:
        assert other.ask("ping") == "pong"
    bystander, pid = daemon.connect("echo"), daemon.worker("echo")
    assert daemon.connect("f").send(what + "\n").is_at_end()
    for other in others:
        if mode == "forking":
            assert other.ask("ping") == "pong"
        else:
            assert other.is_at_end()
    assert bystander.send(b"x").exactly(1) == b"x"
    assert daemon.worker("echo") == pid
    assert ping(daemon)


@pytest.mark.parametrize("at, what", [("setup", "segv"), ("verify", "abort"), ("finish", "segv"),
                                      ("setup", "exit"), ("handle", "fpe")])
def test_a_crash_in_any_entry_point_is_contained(start, mode, at, what):
    daemon = serve(start, mode, listener("echo"), options={"at": at, "what": what})
    assert daemon.connect("f").half_close().is_at_end()
    assert daemon.connect("echo").send(b"x").exactly(1) == b"x"
    told = daemon.log.wait(DEATHS[what]).string
    assert "'f'" in told and "sys_fault" in told, told
    daemon.until(lambda state: state["f"].crashed == 1, "it is counted")


@pytest.mark.alone
def test_the_listener_serves_again_within_100_ms_of_a_crash(start, mode):
    daemon = serve(start, mode)
    times = []
    for _ in range(5):
        assert daemon.connect("f").send("segv\n").is_at_end()
        began = time.monotonic()
        assert ping(daemon)
        times.append(time.monotonic() - began)
    assert max(times) < 0.1 * SLOW, times


def test_the_clients_that_wait_while_a_worker_is_replaced_are_all_served(start):
    daemon = serve(start, "serial")
    victim = daemon.connect("f")
    assert victim.ask("ping") == "pong"
    waiting = [daemon.connect("f").send("ping\n") for _ in range(10)]
    victim.send("segv\n")
    for client in waiting:
        assert client.line() == "pong"
        client.close()


@pytest.mark.alone
def test_thirty_crashes_in_a_row_never_take_the_service_for_more_than_a_second(start, mode):
    daemon = serve(start, mode)
    longest = 0
    before = procfs.count_fds(daemon.pid)
    for _ in range(30 if mode == "forking" else 10):
        began = time.monotonic()
        with daemon.connect("f") as client:
            assert client.ask("ping") == "pong"
            longest = max(longest, time.monotonic() - began)
            client.send("abort\n")
            assert client.is_at_end()
    assert longest < 1.1 * SLOW
    daemon.until(lambda state: state["f"].crashed == (30 if mode == "forking" else 10), "counted")
    assert ping(daemon)
    daemon.until(lambda _: procfs.count_fds(daemon.pid) == before, "no descriptor is left")
    if mode == "forking":
        # what many clients can set off is told a bounded number of times
        assert len(daemon.log.find("killed by signal")) <= 12


def test_crashes_are_paused_after_five_but_not_for_long(start):
    daemon = serve(start, "threading")
    for _ in range(8):
        with daemon.connect("f") as client:
            assert client.ask("ping") == "pong"
            client.send("abort\n").is_at_end()
    daemon.log.wait("killed by signal 6", count=8)
    when = [match.string.rpartition("it is ")[2] for match in daemon.log.find("killed by signal")]
    assert when[:5] == ["replaced at once"] * 5
    assert when[5:] == ["replaced in 200 ms", "replaced in 400 ms", "replaced in 800 ms"]
    assert ping(daemon)


def test_an_error_returned_is_told_and_costs_its_connection_alone(start, mode):
    daemon = serve(start, mode)
    other = daemon.connect("f") if mode != "serial" else None
    pid = daemon.worker("f")
    assert daemon.connect("f").send("fail\n").is_at_end()
    told = daemon.log.wait(r"handle of handler '.*sys_fault.*' failed: Input/output error").string
    assert "'f' #" in told and "127.0.0.1:" in told
    if other:
        assert other.ask("ping") == "pong"
    assert daemon.worker("f") == pid
    state = daemon.status()["f"]
    assert (state.failed, state.crashed) == (1, 0)


ESCAPES = pytest.mark.skipif(IS_ASAN, reason="AddressSanitizer loses track of a stack that a thread "
                             "leaves by pthread_exit")


@ESCAPES
@pytest.mark.interrupts
def test_a_thread_that_a_handler_ends_costs_its_connection_alone(start, mode):
    daemon = serve(start, mode, listener("echo"))
    pid = daemon.worker("f")
    for _ in range(3):
        assert daemon.connect("f").send("pthread_exit\n").is_at_end()
        assert ping(daemon)
    told = daemon.log.wait(r"ended its thread|exit status 0").string
    assert "'f'" in told and "sys_fault" in told
    # a thread that runs fibers takes all of them with it
    assert (daemon.worker("f") == pid) == (mode != "fibers")


@ESCAPES
def test_threads_that_end_themselves_at_the_limit_are_replaced(start):
    daemon = serve(start, "threading", max_connections=2, threading={"min_threads": 1})
    for _ in range(4):
        clients = [daemon.connect("f") for _ in range(2)]
        for client in clients:
            assert client.ask("ping") == "pong"
        for client in clients:
            assert client.send("pthread_exit\n").is_at_end()
    assert ping(daemon)


def test_a_handler_that_closes_its_own_socket_harms_no_other(start, mode):
    daemon = serve(start, mode)
    other = daemon.connect("f") if mode != "serial" else None
    for _ in range(20):
        daemon.connect("f").send("close_own\n")
    assert ping(daemon)
    if other:
        assert other.ask("ping") == "pong"


@pytest.mark.parametrize("handler", ["sys_fault", "sys_fault_quiet"])
def test_a_handler_that_closes_every_descriptor_does_not_end_the_service(start, mode, handler):
    daemon = start(listener("f", handler, mode), listener("echo"), env=CRASHES)
    bystander = daemon.connect("echo")
    daemon.connect("f").send("close_fds\n")
    daemon.log.wait("fault: close_fds")
    if mode != "forking":
        # a worker that cannot be reached any more is replaced
        daemon.log.wait(r"worker of 'f' \(handler '.*sys_fault", timeout=5)
    assert ping(daemon)
    assert bystander.send(b"x").exactly(1) == b"x"


@pytest.mark.parametrize("what", ["shut_listening", "shut_and_abort"])
def test_a_listening_socket_that_a_handler_shut_down_is_opened_anew(start, mode, what):
    daemon = serve(start, mode, listener("echo"))
    bystander, address = daemon.connect("echo"), daemon.address("f")
    with daemon.connect("f") as client:
        client.send(what + "\n")
        daemon.log.wait("fault: " + what)
    daemon.log.wait("'f': its handler shut the socket down; it is opened anew",
                    timeout=5)
    assert daemon.address("f") == address
    assert ping(daemon)
    assert bystander.send(b"x").exactly(1) == b"x"


def test_garbage_from_a_worker_harms_nobody_but_its_listener(start):
    daemon = serve(start, "threading", listener("echo"))
    daemon.checks_balance = False  # its numbers are garbage too
    assert daemon.connect("f").ask("garbage") == "done garbage"
    assert daemon.connect("echo").send(b"x").exactly(1) == b"x"
    assert set(daemon.status()) == {"f", "echo"}
    assert daemon.reload(config(listener("f", "sys_fault", environment={"N": "1"}),
                                listener("echo")))
    assert ping(daemon)


def test_a_worker_killed_from_outside_is_replaced_within_100_ms(start, mode):
    daemon = serve(start, mode)
    pid = daemon.worker("f")
    victims = [pid, *procfs.descendants(pid)]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    assert not procfs.wait_deaths(victims, 1 * SLOW)
    assert ping(daemon)
    assert time.monotonic() - began < 0.1 * SLOW
    assert daemon.worker("f") != pid
    assert not [child for child in procfs.children(daemon.pid) if procfs.is_zombie(child)]


def test_a_crash_in_a_draining_worker_is_told_too(start, mode):
    daemon = start(listener("f", "sys_fault", mode, environment={"N": "0"}), env=CRASHES,
                   top={"drain_timeout": "60s"})
    client = daemon.connect("f")
    # not idle: the handler has taken the first half of a line
    assert client.ask("ping") == "pong"
    client.send("se").sock.getsockname()
    daemon.until(lambda state: state["f"].open == 1, "it is open")
    assert daemon.reload(config(listener("f", "sys_fault", mode, environment={"N": "1"}),
                                drain_timeout="60s"))
    client.send("gv\n")
    assert client.is_at_end()
    told = daemon.log.wait(DEATHS["segv"]).string
    assert "'f'" in told and "sys_fault" in told
    daemon.until(lambda state: len(state["f"].workers) == 1, "the old worker is gone")


def blocking(place, start_timeout):
    """A listener whose next worker blocks in server_start once the file is there."""
    return config(listener("f", "sys_fault", options={"at": "server_start",
                                                      "what": "block_if_asked"},
                           environment={"BLOCK_IF": str(place / "block")}),
                  start_timeout=start_timeout)


def check_slow_replacement(daemon, place):
    (place / "block").touch()
    os.kill(daemon.worker("f"), signal.SIGKILL)
    told = daemon.log.wait("worker of 'f'.* was not ready within start_timeout", timeout=3).string
    assert "sys_fault" in told
    # a death before it was ready is followed by a pause, and then by another try
    daemon.log.wait(r"worker of 'f'.*killed by signal 9.*replaced in 1000 ms")
    (place / "block").unlink()
    assert ping(daemon)


def test_a_replacement_that_does_not_get_ready_is_killed_and_tried_again(start, place):
    check_slow_replacement(start(text=blocking(place, "300ms")), place)


def test_a_changed_start_timeout_holds_for_unchanged_listeners_too(start, place):
    daemon = start(text=blocking(place, "1min"))
    pid = daemon.worker("f")
    assert daemon.reload(blocking(place, "300ms"))
    assert daemon.worker("f") == pid
    check_slow_replacement(daemon, place)


@pytest.mark.parametrize("what", ["fail", "segv"])
def test_a_child_that_cannot_begin_is_tried_again_without_spinning(start, what):
    daemon = start(listener("f", "sys_fault", "forking",
                            options={"at": "child_start", "what": what}), listener("echo"),
                   env=CRASHES)
    worker = daemon.worker("f")
    before = procfs.cpu_seconds(worker, daemon.pid)
    client = daemon.connect("f")
    assert client.is_silent(1)
    assert procfs.cpu_seconds(worker, daemon.pid) - before <= 0.2
    assert daemon.connect("echo").send(b"x").exactly(1) == b"x"
    told = daemon.log.find(r" error: .*'f'")
    assert 1 <= len(told) <= 20, daemon.log.text()
