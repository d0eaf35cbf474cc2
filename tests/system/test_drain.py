"""Draining at a reload and at the end; signals."""
import os
import signal
import time

import pytest

import procfs
from harness import IS_ROOT, SLOW, config, listener

WAITS = ["recv", "readline", "sleep", "poll", "wait", "fgets", "send"]
ECANCELED = -125


def changed(mode, number=1, drain_timeout="200ms", handler="sys_drain", **keys):
    return config(listener("d", handler, mode, environment={"N": str(number)}, **keys),
                  drain_timeout=drain_timeout)


def wait_in(daemon, how, **keys):
    """A client whose handler waits in one of the ways."""
    client = daemon.connect("d", **keys)
    assert client.ask(how) == "waiting"
    return client


@pytest.mark.interrupts
@pytest.mark.parametrize("how", ["recv", "readline", "poll", "fgets"])
def test_an_idle_connection_ends_at_once_when_its_worker_drains(start, mode, how):
    daemon = start(text=changed(mode, 0, "60s"))
    client = wait_in(daemon, "idle " + how)
    assert daemon.reload(changed(mode, 1, "60s"))
    assert client.is_at_end()
    ended = daemon.log.wait(rf"idle {how} ended with (-?\d+), draining 1")
    assert int(ended[1]) == ECANCELED
    daemon.log.wait("finish called")
    daemon.until(lambda state: len(state["d"].workers) == 1, "the old worker ends")
    assert daemon.status()["d"].failed == 0


@pytest.mark.interrupts
def test_an_idle_connection_is_still_served_what_has_arrived(start, mode):
    daemon = start(listener("d", "echo", mode, environment={"N": "0"}))
    client = daemon.connect("d")
    assert client.send(b"1").exactly(1) == b"1"
    client.send(b"last")
    assert daemon.reload(config(listener("d", "echo", mode, environment={"N": "1"})))
    assert client.rest() in (b"last", b"")  # it had arrived before the drain, or had not
    daemon.until(lambda state: len(state["d"].workers) == 1, "the old worker ends")


@pytest.mark.interrupts
@pytest.mark.parametrize("how", WAITS)
def test_a_busy_connection_lives_until_the_deadline_and_then_is_cancelled(start, mode, how):
    daemon = start(text=changed(mode, 0))
    client = wait_in(daemon, "busy " + how, **({"receive_buffer": 4096} if how == "send" else {}))
    began = time.monotonic()
    assert daemon.reload(changed(mode, 1))
    if how != "send":
        assert client.is_silent(0.1)
    ended = daemon.log.wait(rf"busy {how} ended with (-?\d+), draining 1")
    took = time.monotonic() - began
    assert int(ended[1]) == ECANCELED
    assert 0.2 <= took < 0.2 + 1 * SLOW
    daemon.log.wait("finish called")
    daemon.until(lambda state: len(state["d"].workers) == 1, "the old worker ends")
    state = daemon.status()["d"]
    assert (state.accepted, state.finished, state.failed, state.crashed) == (1, 1, 0, 0)


def test_a_busy_connection_is_served_while_its_worker_drains(start, mode):
    daemon = start(text=changed(mode, 0, "60s"))
    client = wait_in(daemon, "busy recv")
    assert daemon.reload(changed(mode, 1, "60s"))
    assert client.ask("more") == "ended 5"
    assert client.ask("busy recv") == "waiting"
    assert client.ask("x") == "ended 2"
    assert client.half_close().rest() == b""
    daemon.until(lambda state: len(state["d"].workers) == 1, "the old worker ends")


@pytest.mark.parametrize("what", ["spin", "block"])
def test_a_handler_that_never_returns_is_killed_a_second_after_the_deadline(start, mode, what):
    daemon = start(text=changed(mode, 0, handler="sys_fault"))
    pid = daemon.worker("d")
    client = daemon.connect("d").send(what + "\n")
    daemon.log.wait(f"fault: {what}")
    victims = [pid, *procfs.descendants(pid)]
    mark = daemon.log.mark()
    began = time.monotonic()
    assert daemon.reload(changed(mode, 1, handler="sys_fault"))
    assert client.is_at_end()
    assert not procfs.wait_deaths(victims, 5 * SLOW)
    assert 1.2 <= time.monotonic() - began < 1.2 + 1.5 * SLOW
    told = daemon.log.wait(r"'d'.*(has not returned|did not end)", mark).string
    assert "sys_fault" in told, told
    assert daemon.connect("d").ask("ping") == "pong"
    # connections that end with their process are crashed ones
    daemon.until(lambda state: state["d"].crashed == 1, "the connection is counted")


def test_sigterm_at_rest_ends_within_a_second(start, mode, who):
    daemon = start(listener("echo", mode=mode), user=who)
    began = time.monotonic()
    assert daemon.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 1 * SLOW
    assert daemon.log.find("notice: stopped")


@pytest.mark.interrupts
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_term_and_int_refuse_new_clients_and_let_old_ones_finish(start, mode, number):
    daemon = start(listener("d", "sys_version1", mode))
    client = daemon.connect()
    assert client.ask("x") == "version 1"
    daemon.kill(number)
    daemon.log.wait("notice: stopping: connections have 30s to end")
    daemon.until(lambda state: state["d"].workers[0].is_quiet, "nobody accepts")
    assert daemon.refuses()
    assert client.ask("y") == "version 1"
    client.close()
    assert daemon.wait_exit() == 0


@pytest.mark.interrupts
def test_a_removed_listener_refuses_new_clients_while_an_old_one_is_busy(start, mode):
    daemon = start(listener("d", "sys_version1", mode), listener("echo"))
    client = daemon.connect("d")
    assert client.ask("x") == "version 1"
    assert daemon.reload(config(listener("echo")))
    assert daemon.refuses("d")
    assert client.ask("y") == "version 1"


@pytest.mark.interrupts
def test_sigterm_cancels_busy_connections_at_the_deadline(start, mode):
    daemon = start(text=changed(mode))
    client = wait_in(daemon, "busy recv")
    daemon.kill(signal.SIGTERM)
    assert client.is_at_end()
    assert daemon.wait_exit() == 0
    assert daemon.log.find(rf"busy recv ended with {ECANCELED}, draining 1")


@pytest.mark.parametrize("numbers", [[signal.SIGQUIT], [signal.SIGTERM, signal.SIGTERM],
                                     [signal.SIGINT, signal.SIGTERM],
                                     [signal.SIGTERM, signal.SIGQUIT]],
                         ids=lambda numbers: "-".join(one.name for one in numbers))
def test_quit_or_a_second_signal_stops_at_once(start, mode, numbers):
    daemon = start(text=changed(mode, drain_timeout="60s"))
    client = wait_in(daemon, "busy recv")
    victims = procfs.descendants(daemon.pid)
    began = time.monotonic()
    daemon.kill(numbers[0])
    for number in numbers[1:]:
        daemon.log.wait("notice: stopping: connections have 1min to end")
        daemon.kill(number)
    assert daemon.wait_exit() == 0
    assert time.monotonic() - began < 1 * SLOW
    assert client.is_at_end()
    assert not procfs.wait_deaths(victims, 1 * SLOW)
    assert daemon.log.find("notice: stopping at once")


def test_sigterm_during_a_reload_stops_cleanly(start, mode):
    daemon = start(text=changed(mode))
    client = wait_in(daemon, "busy recv")
    daemon.write(config(listener("d", "sys_drain", mode), listener(
        "slow", "sys_fault", options={"at": "server_start", "what": "block"})))
    daemon.kill(signal.SIGHUP)
    daemon.log.wait("fault: server_start")
    daemon.kill(signal.SIGTERM)
    assert client.is_at_end()
    assert daemon.wait_exit() == 0
    assert not daemon.log.find("notice: reloaded")


def test_a_hup_while_stopping_is_ignored(start):
    daemon = start(listener("d", "sys_version1"))
    client = daemon.connect()
    assert client.ask("x") == "version 1"
    daemon.kill(signal.SIGTERM)
    daemon.log.wait("notice: stopping")
    daemon.kill(signal.SIGHUP)
    assert client.ask("y") == "version 1"
    client.close()
    assert daemon.wait_exit() == 0
    assert not daemon.log.find("reloading")


def test_signals_without_a_meaning_change_nothing(start):
    daemon = start(listener("echo"))
    pid = daemon.worker()
    for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT, signal.SIGUSR2):
        daemon.kill(number)
    assert daemon.worker() == pid
    assert daemon.connect().send(b"x").exactly(1) == b"x"


@pytest.mark.parametrize("mode, who", [("serial", "root"), ("threading", "nobody"),
                                       ("forking", "root"), ("forking", "nobody")])
def test_a_supervisor_that_is_killed_takes_its_workers_along(start, mode, who):
    who = who if IS_ROOT else "self"
    daemon = start(text=changed(mode, drain_timeout="60s"), user=who)
    daemon.expected_exit = -signal.SIGKILL
    client = wait_in(daemon, "busy recv")
    victims = procfs.descendants(daemon.pid)
    assert len(victims) >= (5 if mode == "forking" else 1)
    port = daemon.address()
    daemon.kill(signal.SIGKILL)
    assert not procfs.wait_deaths(victims, 3 * SLOW), daemon.log.text()
    assert client.is_at_end()
    # and the address is free again
    again = start(text=config(listener("d", "echo", address="%s:%d" % port)), user=who)
    assert again.connect("d").send(b"x").exactly(1) == b"x"


def test_orphans_do_not_wait_longer_than_drain_timeout(start, mode):
    daemon = start(text=changed(mode, drain_timeout="200ms"))
    daemon.expected_exit = -signal.SIGKILL
    client = wait_in(daemon, "busy recv")
    victims = procfs.descendants(daemon.pid)
    began = time.monotonic()
    daemon.kill(signal.SIGKILL)
    assert client.is_at_end()
    assert not procfs.wait_deaths(victims, 3 * SLOW)
    assert time.monotonic() - began < 0.2 + 1.2 * SLOW


def test_a_stuck_handler_does_not_outlive_its_supervisor(start, mode):
    daemon = start(text=changed(mode, drain_timeout="200ms", handler="sys_fault"))
    daemon.expected_exit = -signal.SIGKILL
    client = daemon.connect("d").send("spin\n")
    daemon.log.wait("fault: spin")
    victims = procfs.descendants(daemon.pid)
    daemon.kill(signal.SIGKILL)
    assert not procfs.wait_deaths(victims, (0.2 + 1 + 1) * SLOW), procfs.descendants(os.getpid())
    assert client.is_at_end()
