"""The control socket and an upgrade in place: who asks is answered by the new program."""
import os

import pytest

import procfs
from asking import Asking, ask, ask_as
from harness import config, listener
from test_control import GROUP, STATUS, STRANGER, group_id, mode_of


def test_all_who_ask_are_answered_by_the_new_program(start, installed):
    daemon = start(listener("echo"), listener("held", "echo"))
    before = ask(daemon, "status")
    inode = os.stat(daemon.control).st_ino
    client = daemon.connect("echo")
    assert client.send(b"x").exactly(1) == b"x"
    assert ask(daemon, "pause", listener="held")["ok"]
    assert ask(daemon, "log-level", level="debug")["ok"]
    installed.replace()
    with Asking(daemon.control, {"command": "upgrade"}) as first, \
            Asking(daemon.control, {"command": "upgrade"}) as second:
        for asking in (first, second):
            answer = asking.answer()
            assert answer["ok"] and answer["version"] == before["version"]
            assert answer["took_ms"] > 0 and asking.is_at_end()
    after = ask(daemon, "status")
    assert (after["pid"], after["upgrades"]) == (before["pid"], 1)
    assert after["started"] == before["started"]
    assert after["uptime_seconds"] > before["uptime_seconds"]
    assert after["generation"] == before["generation"]
    assert os.stat(daemon.control).st_ino == inode and mode_of(daemon.control) == 0o600
    echo, held = after["listeners"]
    assert echo["pid"] == before["listeners"][0]["pid"] and echo["connections"]["now"] == 1
    assert held["state"] == "paused"
    assert ask(daemon, "log-level")["level"] == "debug"
    assert [row["listener"] for row in ask(daemon, "connections")["connections"]] == ["echo"]
    assert client.send(b"y").exactly(1) == b"y"
    assert ask(daemon, "reload")["plan"][0]["change"] == "unchanged"
    daemon.close_clients()
    assert daemon.stop() == 0
    assert not daemon.control.exists()


def test_who_waits_for_something_else_is_told_to_ask_again(start, installed):
    daemon = start(text=config(listener("d", "sys_drain"), drain_timeout="60s"))
    client = daemon.connect("d")
    assert client.ask("busy recv") == "waiting"
    installed.replace()
    with Asking(daemon.control, {"command": "drain", "listener": "d"}) as asking, \
            Asking(daemon.control) as silent:
        assert "1 connection" in asking.line()["progress"]
        assert ask(daemon, "upgrade")["ok"]
        assert "handlerd was upgraded while this was waited for" in asking.answer()["error"]
        # who has not asked yet does not notice
        silent.send(b'{"command":"status"}\n')
        assert silent.answer()["upgrades"] == 1
    with Asking(daemon.control, {"command": "drain", "listener": "d"}) as asking:
        assert "1 connection" in asking.line()["progress"]
        client.send(b"x\n").half_close()
        assert asking.answer()["state"] == "paused"


def test_a_program_that_cannot_go_on_is_named_and_the_old_one_goes_on(start, installed):
    daemon = start(listener("echo"))
    installed.replace(source="/bin/false")
    answer = ask(daemon, "upgrade")
    assert not answer["ok"] and "goes on: " in answer["error"]
    assert str(installed.program) in answer["error"]
    assert ask(daemon, "status")["upgrades"] == 0
    installed.replace()
    assert ask(daemon, "upgrade")["ok"]
    assert ask(daemon, "status")["upgrades"] == 1


def test_ten_upgrades_leave_no_descriptor(start, installed):
    daemon = start(listener("echo"))
    assert ask(daemon, "upgrade")["ok"]
    before = procfs.fds(daemon.pid)
    for _ in range(10):
        installed.replace()
        assert ask(daemon, "upgrade")["ok"]
    ask(daemon, "status")
    assert len(procfs.fds(daemon.pid)) == len(before)


@pytest.mark.root
def test_the_group_may_still_look_afterwards_and_not_upgrade(start, installed):
    daemon = start(text=config(listener("echo"), control_group=GROUP))
    member = (daemon.control, STRANGER, group_id(), [])
    answer = ask_as(*member, {"command": "upgrade"})
    assert "may look and change nothing" in answer["error"]
    installed.replace()
    assert ask(daemon, "upgrade")["ok"]
    assert ask_as(*member, STATUS)["upgrades"] == 1
    assert mode_of(daemon.control) == 0o660
