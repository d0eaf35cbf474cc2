"""pause, drain and resume, as the control socket answers them."""
import os
import signal

import pytest

from asking import Asking, ask
from harness import SLOW, config, listener


def state_of(daemon, name):
    row, = ask(daemon, "status", listener=name)["listeners"]
    return row["state"], row["is_paused"]


def test_pause_is_answered_when_nobody_accepts_and_resume_at_once(start, mode):
    daemon = start(listener("echo", mode=mode), listener("other", "echo"))
    kept = daemon.connect("echo")
    assert kept.send(b"x").exactly(1) == b"x"
    assert ask(daemon, "pause", listener="echo") == \
        {"ok": True, "listener": "echo", "state": "paused"}
    assert state_of(daemon, "echo") == ("paused", True)
    assert state_of(daemon, "other") == ("serving", False)
    waiting = daemon.connect("echo").send(b"y")
    assert waiting.is_silent(0.2 * SLOW)
    # what was served goes on, and others are not touched
    assert kept.send(b"z").exactly(1) == b"z"
    assert daemon.connect("other").send(b"o").exactly(1) == b"o"
    if mode == "serial":
        kept.close()
    assert ask(daemon, "resume", listener="echo") == \
        {"ok": True, "listener": "echo", "state": "serving"}
    assert waiting.exactly(1) == b"y"
    assert state_of(daemon, "echo") == ("serving", False)
    daemon.log.wait(r"notice: control: a pause of 'echo' asked for by pid \d+ of uid")


@pytest.mark.interrupts
def test_drain_waits_for_the_connections_and_tells_how_many(start, mode):
    daemon = start(text=config(listener("d", "sys_drain", mode), drain_timeout="60s"))
    client = daemon.connect("d")
    assert client.ask("busy recv") == "waiting"
    with Asking(daemon.control, {"command": "drain", "listener": "d"}) as asking:
        assert asking.line()["progress"].startswith("'d' drains: 1 connection left, for ")
        assert state_of(daemon, "d") == ("draining", True)
        client.send(b"x\n").half_close()
        assert asking.answer() == {"ok": True, "listener": "d", "state": "paused"}
    waiting = daemon.connect("d")
    waiting.send(b"busy recv\n")
    assert waiting.is_silent(0.2 * SLOW)
    assert ask(daemon, "resume", listener="d")["state"] == "serving"
    assert waiting.line() == "waiting"


def test_drain_ends_what_does_not_end_by_itself(start):
    daemon = start(text=config(listener("d", "sys_drain"), drain_timeout="300ms"))
    assert daemon.connect("d").ask("busy recv") == "waiting"
    assert ask(daemon, "drain", listener="d")["state"] == "paused"
    state = ask(daemon, "status", listener="d")["listeners"][0]
    assert state["old"] == [] and state["connections"]["now"] == 0


def test_drain_of_a_listener_without_connections_is_over_soon(start):
    daemon = start(listener("echo"))
    assert ask(daemon, "drain", listener="echo")["state"] == "paused"
    assert ask(daemon, "drain", listener="echo")["state"] == "paused"
    assert ask(daemon, "pause", listener="echo")["state"] == "paused"


def test_a_listener_must_be_named_and_be_there(start):
    daemon = start(listener("echo"))
    for command in ("pause", "drain", "resume"):
        assert "needs 'listener'" in ask(daemon, command)["error"]
        assert ask(daemon, command, listener="ecko")["error"] == \
            "there is no listener 'ecko'; did you mean 'echo'?"


def test_a_worker_that_does_not_answer_is_told(start):
    daemon = start(listener("echo"))
    worker = daemon.worker()
    os.kill(worker, signal.SIGSTOP)
    try:
        answer = ask(daemon, "pause", listener="echo")
        assert "has not said within 5 s that it accepts no more" in answer["error"]
        assert ask(daemon, "status")["listeners"][0]["is_paused"]
    finally:
        os.kill(worker, signal.SIGCONT)
    assert ask(daemon, "pause", listener="echo")["state"] == "paused"


def test_who_waits_for_a_drain_hears_of_a_stop(start):
    daemon = start(text=config(listener("d", "sys_drain"), drain_timeout="60s"))
    client = daemon.connect("d")
    assert client.ask("busy recv") == "waiting"
    with Asking(daemon.control, {"command": "drain", "listener": "d"}) as asking:
        assert "1 connection" in asking.line()["progress"]
        daemon.kill(signal.SIGTERM)
        assert asking.answer()["error"] == "handlerd is stopping"
    client.send(b"x\n").half_close()
    assert daemon.wait_exit() == 0


def test_who_waits_for_a_drain_hears_of_a_removal(start):
    daemon = start(text=config(listener("d", "sys_drain"), listener("echo"), drain_timeout="60s"))
    client = daemon.connect("d")
    assert client.ask("busy recv") == "waiting"
    with Asking(daemon.control, {"command": "drain", "listener": "d"}) as asking:
        assert "1 connection" in asking.line()["progress"]
        assert daemon.reload(config(listener("echo"), drain_timeout="60s"))
        assert asking.answer()["error"] == "a reload has removed 'd'"
    client.send(b"x\n").half_close()


def test_who_goes_away_does_not_undo_it(start):
    daemon = start(text=config(listener("d", "sys_drain"), drain_timeout="60s"))
    client = daemon.connect("d")
    assert client.ask("busy recv") == "waiting"
    with Asking(daemon.control, {"command": "drain", "listener": "d"}) as asking:
        assert "1 connection" in asking.line()["progress"]
    assert state_of(daemon, "d") == ("draining", True)
    client.send(b"x\n").half_close()
    daemon.until(lambda _: state_of(daemon, "d") == ("paused", True), "it is drained")


def test_a_paused_listener_stays_so_over_a_reload(start):
    daemon = start(listener("echo"))
    assert ask(daemon, "pause", listener="echo")["ok"]
    daemon.write(config(listener("echo", environment={"N": "1"})))
    assert ask(daemon, "reload")["ok"]
    assert state_of(daemon, "echo") == ("paused", True)
    assert ask(daemon, "resume", listener="echo")["state"] == "serving"
    assert daemon.connect().send(b"x").exactly(1) == b"x"


def test_a_listener_on_demand_is_idle_until_a_client_comes(start):
    daemon = start(listener("echo", start="on_demand"))
    assert state_of(daemon, "echo") == ("idle", False)
    row, = ask(daemon, "status")["listeners"]
    assert row["start"] == "on_demand" and row["pid"] is None and row["uptime_seconds"] is None
    assert daemon.connect().send(b"x").exactly(1) == b"x"
    assert state_of(daemon, "echo") == ("serving", False)
