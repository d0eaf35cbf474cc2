"""A reload begins with a plan: what it would do to each listener, told before it is done."""
import pytest

from harness import config, free_ports, listener


def plan_of(daemon, text):
    """Reloads, and gives the plan's rows as the log tells them."""
    assert daemon.reload(text)
    return [line.split("plan: ", 1)[1] for line in daemon.log.text(most=10000).splitlines()
            if "plan: " in line]


def test_each_row_tells_what_changes(start, install_version):
    ports = free_ports(2)
    daemon = start(text=config(
        listener("same", "echo"), listener("set", "echo"), listener("code", install_version(1)),
        listener("moved", "echo", address=f"127.0.0.1:{ports[0]}"), listener("gone", "sys_version1"),
        log={"level": "debug"}))
    held = daemon.connect("gone")
    assert held.ask("x") == "version 1"
    install_version(2)
    rows = plan_of(daemon, config(
        listener("same", "echo"), listener("set", "echo", environment={"A": "1"}),
        listener("code", install_version(2)),
        listener("moved", "echo", address=f"127.0.0.1:{ports[1]}"), listener("new", "echo"),
        log={"level": "debug"}))
    assert rows == ["'same' unchanged", "'set' settings changed", "'code' handler changed",
                    "'moved' address changed", "'new' added",
                    "'gone' removed (drains 1 connection)"]
    assert held.ask("y") == "version 1"


def test_several_changes_of_one_listener_are_all_told(start, install_version):
    daemon = start(text=config(listener("v", install_version(1))))
    with daemon.connect() as client:
        assert client.ask("x") == "version 1"
    install_version(2)
    rows = plan_of(daemon, config(listener("v", install_version(2), address="127.0.0.1:0",
                                           max_connections=7)))
    assert rows == ["'v' handler changed, settings changed"]


@pytest.mark.parametrize("key, value", [("idle_exit", '"5s"'), ("backlog", "7"),
                                        ("rollback", "{ crashes = 9; }")])
def test_what_only_the_supervisor_goes_by_changes_without_a_new_worker(start, key, value):
    daemon = start(text=config(listener("echo")))
    pid = daemon.worker("echo")
    text = config(listener("echo")).replace('name = "echo";', f'name = "echo"; {key} = {value};')
    assert f"{key} = {value}" in text
    assert plan_of(daemon, text) == ["'echo' settings changed"]
    assert daemon.worker("echo") == pid


def test_a_refused_reload_tells_no_commit_and_keeps_everything(start):
    daemon = start(listener("echo"))
    pid = daemon.worker("echo")
    assert not daemon.reload(config(listener("echo", "nowhere")))
    assert daemon.worker("echo") == pid
    with daemon.connect() as client:
        assert client.send(b"x").exactly(1) == b"x"
