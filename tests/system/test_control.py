"""The control socket: where it is, who may ask, and what hostile clients cost (fault 84)."""
import contextlib
import grp
import os
import signal
import socket
import stat
import subprocess
import time

import pytest

import procfs
from asking import Asking, ask, ask_as, ask_raw
from harness import IS_SANITIZED, NOBODY, SLOW, config, listener, run

STRANGER = 65533
GROUP = "daemon"  # an account's group that no worker has
STATUS = {"command": "status"}


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def group_id():
    return grp.getgrnam(GROUP).gr_gid


# Where it is

def test_it_is_closed_to_others_from_the_start_and_gone_at_the_end(start):
    daemon = start(listener("echo"))
    assert mode_of(daemon.control) == 0o600
    assert ask(daemon, "status")["state"] == "running"
    assert daemon.stop() == 0
    assert not daemon.control.exists()


def test_the_key_of_the_file_goes_before_the_environment(start, place):
    daemon = start(text=config(listener("echo"), control=str(place / "mine.sock")))
    assert not daemon.control.exists()
    daemon.control = place / "mine.sock"
    assert ask(daemon, "status")["ok"]


def test_the_command_line_goes_before_the_file(start, place):
    (place / "a.conf").write_text(config(listener("echo"), control=str(place / "file.sock")))
    daemon = start(arguments=["-c", str(place / "a.conf"), "--control", str(place / "line.sock")])
    assert not (place / "file.sock").exists()
    daemon.control = place / "line.sock"
    assert ask(daemon, "status")["configuration"] == str(place / "a.conf")
    # what the file says is then of no account at a reload either
    (place / "a.conf").write_text(config(listener("echo"), control=str(place / "other.sock")))
    assert ask(daemon, "reload")["ok"]


def test_an_empty_path_is_no_socket(start):
    daemon = start(text=config(listener("echo"), control=""))
    assert list(daemon.directory.glob("*.sock")) == []


def test_the_first_runtime_directory_of_systemd_is_taken(start, place):
    (place / "run").mkdir()
    daemon = start(listener("echo"), env={"HANDLERD_CONTROL": "",
                                          "RUNTIME_DIRECTORY": f"{place}/run:{place}/other"})
    daemon.control = place / "run" / "control.sock"
    assert ask(daemon, "status")["ok"]


@pytest.mark.root
def test_an_ordinary_user_has_a_directory_of_his_own(start, place):
    home = place / "user"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    daemon = start(listener("echo"), user="nobody", env={"XDG_RUNTIME_DIR": str(home)})
    daemon.control = home / "handlerd" / "control.sock"
    assert mode_of(home / "handlerd") == 0o700 and mode_of(daemon.control) == 0o600
    assert ask_as(daemon.control, NOBODY, NOBODY, [], STATUS)["ok"]
    assert ask(daemon, "status")["ok"]  # root may ask whomever he likes


@pytest.mark.root
def test_an_ordinary_user_without_a_runtime_directory_has_none_and_is_told(start):
    daemon = start(listener("echo"), user="nobody")
    daemon.log.wait(r"info: there is no control socket: XDG_RUNTIME_DIR is not set")


def test_without_a_file_there_is_none_unless_asked_for(start, place):
    arguments = ["--listen", "tcp:127.0.0.1:0", "--handler", "echo"]
    start(arguments=arguments)
    assert list(place.glob("**/*.sock")) == []
    daemon = start(arguments=arguments + ["--control", str(place / "c.sock")])
    daemon.control = place / "c.sock"
    assert ask(daemon, "status")["configuration"] is None
    assert "no configuration file" in ask(daemon, "reload")["error"]


def test_a_socket_that_somebody_has_is_not_stolen(start, place):
    first = start(listener("echo"))
    path = place / "b.conf"
    path.write_text(config(listener("echo"), control=str(first.control)))
    result = run("-c", str(path))
    assert result.returncode == 1
    assert f"{path}:1: control socket '{first.control}': another process listens there" \
        in result.stderr
    assert ask(first, "status")["pid"] == first.pid


def test_a_default_path_that_is_taken_is_a_warning_and_a_reload_tries_again(start, place):
    directory = place / "run"
    directory.mkdir()
    path = directory / "control.sock"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as other:
        other.bind(str(path))
        other.listen()
        daemon = start(listener("echo"),
                       env={"HANDLERD_CONTROL": "", "RUNTIME_DIRECTORY": str(directory)})
        daemon.log.wait(r"warning: control socket '.*': another process listens there")
        assert daemon.connect().send(b"x").exactly(1) == b"x"
    daemon.control = path
    assert daemon.reload()
    assert ask(daemon, "status")["ok"]


def test_what_a_dead_daemon_has_left_is_replaced(start):
    first = start(listener("echo"))
    path, worker = first.control, first.worker()
    first.expected_exit = -signal.SIGKILL
    first.kill(signal.SIGKILL)
    first.wait_exit()
    procfs.wait_deaths([worker], 10)
    assert path.exists()
    second = start(text=config(listener("echo"), control=str(path)))
    second.control = path
    assert ask(second, "status")["pid"] == second.pid


@pytest.mark.parametrize("path, why", [
    ("relative.sock", r"control: 'relative.sock' must be an absolute path"),
    ("/nonexistent/c.sock", r"there is no such directory"),
    ("/" + "x" * 200, r"the path is longer than 107 bytes"),
])
def test_a_path_that_cannot_be_had_fails_the_start_with_its_line(place, path, why):
    file = place / "a.conf"
    file.write_text(config(listener("echo"), control=path))
    result = run("-c", str(file))
    assert result.returncode in (1, 78)
    assert f"{file}:1: " in result.stderr and why in result.stderr, result.stderr


def test_a_file_in_its_place_stays(place):
    (place / "c.sock").write_text("precious")
    file = place / "a.conf"
    file.write_text(config(listener("echo"), control=str(place / "c.sock")))
    result = run("-c", str(file))
    assert result.returncode == 1 and "there is something else of that name" in result.stderr
    assert (place / "c.sock").read_text() == "precious"


@contextlib.contextmanager
def full_disk(path):
    """A file system with no room for one more file."""
    path.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=1", "none", str(path)]
    if subprocess.run(words, check=False, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no file system of our own")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.root
def test_fault_49_a_full_disk_is_told_and_the_service_goes_on(start, place):
    with full_disk(place / "full"):
        daemon = start(text=config(listener("echo"), control=str(place / "full" / "c.sock")))
        daemon.log.wait(r"warning: .*cannot bind control socket '.*': No space left on device; "
                        r"handlerctl cannot be used until")
        assert daemon.connect().send(b"x").exactly(1) == b"x"
        # a reload has no reason to fail either
        assert daemon.reload(config(listener("echo", environment={"N": "1"}),
                                    control=str(place / "full" / "c.sock")))
        daemon.close_clients()
        assert daemon.stop() == 0


def test_a_reload_cannot_move_it(start, place):
    daemon = start(listener("echo"))
    text = config(listener("echo"), start_timeout="5s", control=str(place / "b.sock"))
    daemon.write(text)
    answer = ask(daemon, "reload")
    error, = (row for row in answer["errors"] if not row["is_warning"])
    assert error["line"] == 2 and error["file"] == str(daemon.file)
    assert "takes a restart" in error["text"] and "control = " in error["source"]
    assert ask(daemon, "status")["generation"] == 1


# Who may ask

@pytest.mark.root
def test_a_stranger_cannot_connect_and_would_be_turned_away(start):
    daemon = start(listener("echo"))
    assert ask_as(daemon.control, STRANGER, STRANGER, [], STATUS) == {"connect": "PermissionError"}
    # the kernel's word counts, not the mode
    daemon.control.chmod(0o666)
    answer = ask_as(daemon.control, STRANGER, STRANGER, [], STATUS)
    assert not answer["ok"] and "only root" in answer["error"]
    daemon.log.wait(rf"info: control: pid \d+ of uid {STRANGER} is refused")


@pytest.mark.root
@pytest.mark.parametrize("groups", ["own", "supplementary"])
def test_members_of_the_group_may_look_and_change_nothing(start, groups):
    daemon = start(text=config(listener("echo"), control_group=GROUP))
    assert mode_of(daemon.control) == 0o660 and os.stat(daemon.control).st_gid == group_id()
    who = (STRANGER, group_id(), []) if groups == "own" else (STRANGER, STRANGER, [group_id()])

    def member(command, **arguments):
        return ask_as(daemon.control, *who, {"command": command, **arguments})

    assert member("status")["ok"] and member("connections")["ok"]
    assert member("wait", **{"for": "ready"})["ok"]
    assert member("log-level") == {"ok": True, "level": "info"}
    for command, arguments in (("stop", {}), ("kill", {"id": 1}), ("pause", {"listener": "echo"}),
                               ("drain", {"listener": "echo"}), ("resume", {"listener": "echo"}), ("stop", {"now": True}), ("reload", {}),
                               ("reload", {"dry_run": True}), ("log-level", {"level": "debug"})):
        answer = member(command, **arguments)
        assert not answer["ok"] and "may look and change nothing" in answer["error"], answer
    assert ask(daemon, "log-level") == {"ok": True, "level": "info"}
    assert ask(daemon, "status")["generation"] == 1 and daemon.is_running


@pytest.mark.root
def test_a_worker_is_refused_even_with_the_group(start):
    daemon = start(text=config(listener("echo"), control_group=GROUP, user="nobody"))
    answer = ask_as(daemon.control, NOBODY, NOBODY, [group_id()], STATUS)
    assert not answer["ok"] and "only root" in answer["error"]


@pytest.mark.root
def test_the_group_of_the_workers_is_refused_with_its_line(place):
    file = place / "a.conf"
    group = grp.getgrgid(NOBODY).gr_name
    for name, why in ((group, f"'{group}' is a group of the workers (user 'nobody')"),
                      ("no-such-group", "there is no group 'no-such-group'")):
        file.write_text(config(listener("echo"), user="nobody", control_group=name))
        for arguments in (["-c", str(file)], ["-t", "-c", str(file)]):
            result = run(*arguments)
            assert result.returncode == 78, result.stderr
            assert f"{file}:2: control_group: " in result.stderr and why in result.stderr


@pytest.mark.root
def test_the_group_changes_at_a_reload(start):
    daemon = start(listener("echo"))
    daemon.write(config(listener("echo"), control_group=GROUP))
    assert ask(daemon, "reload")["ok"]
    assert mode_of(daemon.control) == 0o660 and os.stat(daemon.control).st_gid == group_id()
    assert ask_as(daemon.control, STRANGER, group_id(), [], STATUS)["ok"]
    daemon.write(config(listener("echo")))
    assert ask(daemon, "reload")["ok"]
    assert mode_of(daemon.control) == 0o600
    daemon.control.chmod(0o666)
    assert not ask_as(daemon.control, STRANGER, group_id(), [], STATUS)["ok"]


# Hostile clients

GARBAGE = {
    "nothing": b"\n",
    "text": b"status\n",
    "binary": bytes(range(11, 256)) + b"\n",
    "nul": b'{"command":"status\0"}\n',
    "escaped nul": b'{"command":"status\\u0000"}\n',
    "not utf-8": b'{"command":"\xff\xfe"}\n',
    "deep": b'{"command":' + b"[" * 4000 + b"\n",
    "deep and closed": b'{"command":' + b"[" * 2000 + b"]" * 2000 + b"}\n",
    "array": b'["command","status"]\n',
    "number": b"1e999999\n",
    "huge number": b'{"command":"wait","for":"ready","timeout_ms":' + b"9" * 3000 + b"}\n",
    "negative": b'{"command":"wait","for":"ready","timeout_ms":-1}\n',
    "duplicate keys": b'{"command":"status","command":"stop"}\n',
    "two values": b'{"command":"status"} {"command":"stop"}\n',
    "no command": b'{"listener":"echo"}\n',
    "wrong type": b'{"command":"status","listener":5}\n',
    "unknown command": b'{"command":"shutdown"}\n',
    "unknown argument": b'{"command":"stop","force":true}\n',
    "too long": b'{"command":"status","listener":"' + b"x" * 4096 + b'"}\n',
}


@pytest.mark.parametrize("what", GARBAGE)
def test_fault_84_garbage_is_one_answer(start, what):
    daemon = start(listener("echo"))
    answer = ask_raw(daemon.control, GARBAGE[what])
    assert set(answer) == {"ok", "error"} and not answer["ok"] and answer["error"], answer
    assert ask(daemon, "status")["ok"] and not daemon.log.find("error: ")


def test_fault_84_a_line_of_1_mib_is_refused_before_it_ends(start):
    daemon = start(listener("echo"))
    before = procfs.memory_kib(daemon.pid)
    for _ in range(20):
        with Asking(daemon.control) as asking:
            asking.send(b"x" * 1048576)
            assert "longer than 4096 bytes" in asking.answer()["error"]
    assert IS_SANITIZED or procfs.memory_kib(daemon.pid) - before < 512


def test_a_request_may_come_in_pieces_and_be_ended_by_half(start):
    daemon = start(listener("echo"))
    with Asking(daemon.control) as asking:
        for byte in b'{"command":"status"}\n':
            asking.sock.sendall(bytes([byte]))
        asking.sock.shutdown(socket.SHUT_WR)
        assert asking.answer()["ok"] and asking.is_at_end()
    with Asking(daemon.control) as asking:
        asking.send(b'{"command":"status"}').sock.shutdown(socket.SHUT_WR)
        assert "ends before its line does" in asking.answer()["error"]


def test_fault_84_a_slow_client_has_5_seconds(start):
    daemon = start(listener("echo"))
    with Asking(daemon.control) as slow, Asking(daemon.control) as silent:
        slow.send(b'{"command":')
        began = time.monotonic()
        assert "not complete within 5 s" in slow.answer()["error"] and slow.is_at_end()
        assert "not complete within 5 s" in silent.answer()["error"] and silent.is_at_end()
        assert 4 <= time.monotonic() - began < 5 + 2 * SLOW
        # and holds up nobody
        assert daemon.connect().send(b"x").exactly(1) == b"x"


def held(clients):
    """Those that were not turned away at once."""
    for client in clients:
        client.sock.setblocking(False)
    kept = []
    for client in clients:
        try:
            line = client.sock.recv(65536)
            assert b"too many ask at the same time" in line, line
        except BlockingIOError:
            kept.append(client)
    return kept


def test_fault_84_500_clients_at_once_are_64(start):
    daemon = start(listener("echo"))
    before = daemon.rest()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Asking(daemon.control)) for _ in range(500)]
        # the last one's answer: all before it were accepted, too
        assert "too many" in clients[-1].answer()["error"]
        assert len(held(clients[:-1])) == 64
        assert procfs.count_fds(daemon.pid) <= before[0][0] + 65
        began = time.monotonic()
        assert daemon.connect().send(b"x").exactly(1) == b"x"
        assert time.monotonic() - began < 1 * SLOW
    daemon.close_clients()
    daemon.check_rest(before)
    assert ask(daemon, "status")["ok"]


def test_500_clients_that_ask_at_once_are_all_answered(start):
    daemon = start(listener("echo"))
    before = daemon.rest()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Asking(daemon.control, STATUS)) for _ in range(500)]
        assert sum(client.answer()["ok"] for client in clients) == 500
    daemon.check_rest(before)


def test_clients_that_vanish_cost_nothing(start):
    daemon = start(listener("echo"))
    before = daemon.rest()
    memory = procfs.memory_kib(daemon.pid)
    for i in range(300):
        with Asking(daemon.control) as asking:
            asking.send([b"", b"{", b'{"command":"status"}\n',
                         b'{"command":"wait","for":"ready"}\n'][i % 4])
    assert ask(daemon, "status")["ok"]
    daemon.check_rest(before)
    # a sanitizer keeps what was freed
    assert IS_SANITIZED or procfs.memory_kib(daemon.pid) - memory < 512


# What is asked for

def slow_start(drain_timeout="1s"):
    return config(listener("echo", environment={"N": "1"}),
                  listener("f", "sys_fault", options={"at": "server_start", "what": "block"}),
                  start_timeout="2s", drain_timeout=drain_timeout)


def test_a_reload_shows_its_plan_and_what_came_of_it(start):
    daemon = start(listener("echo"), listener("b", "discard"))
    daemon.connect("echo").send(b"x").exactly(1)
    daemon.write(config(listener("echo", environment={"N": "1"}), listener("c", "discard")))
    with Asking(daemon.control, {"command": "reload"}) as asking:
        answer = asking.answer()
    assert len(asking.progress) == 3 and "'echo' settings changed" in asking.progress[0]
    assert answer["generation"] == 2 and not answer["dry_run"] and answer["took_ms"] > 0
    assert answer["plan"] == [
        {"listener": "echo", "change": "settings changed", "connections": 1},
        {"listener": "c", "change": "added", "connections": 0},
        {"listener": "b", "change": "removed", "connections": 0}]
    assert isinstance(answer["warnings"], list)
    daemon.close_clients()


def test_a_dry_run_changes_nothing(start):
    daemon = start(listener("echo"))
    daemon.write(config(listener("echo", environment={"N": "1"})))
    answer = ask(daemon, "reload", dry_run=True)
    assert answer["dry_run"] and answer["generation"] == 1
    assert [row["change"] for row in answer["plan"]] == ["settings changed"]
    state = ask(daemon, "status")
    assert state["generation"] == 1 and state["last_reload"] is None


def test_a_reload_that_is_refused_tells_file_and_line(start):
    daemon = start(listener("echo"))
    daemon.write(config(listener("echo", nosuch=1)))
    answer = ask(daemon, "reload")
    assert not answer["ok"] and "nothing was changed" in answer["error"]
    error = next(row for row in answer["errors"] if not row["is_warning"])
    assert error["file"] == str(daemon.file) and error["line"] == 2
    assert "nosuch" in error["text"] and "nosuch" in error["source"]
    last = ask(daemon, "status")["last_reload"]
    assert not last["ok"] and last["generation"] == 1


def test_who_goes_away_while_he_waits_stops_nothing(start):
    daemon = start(listener("echo"))
    before = daemon.rest()
    daemon.write(slow_start())
    mark = daemon.log.mark()
    with Asking(daemon.control, {"command": "reload"}), \
            Asking(daemon.control, {"command": "wait", "for": "ready"}):
        daemon.log.wait("fault: server_start", mark)
        assert ask(daemon, "status")["state"] == "reloading"
    daemon.log.wait("error: reload failed", mark)
    daemon.check_rest(before)


def test_ready_is_waited_for(start, place):
    (place / "a.conf").write_text(slow_start())
    daemon = start(arguments=["-c", str(place / "a.conf")], is_awaited=False)
    daemon.expected_exit = 1
    daemon.log.wait("fault: server_start")
    state = ask(daemon, "status")
    assert state["state"] == "starting" and state["generation"] == 0
    assert {row["name"] for row in state["listeners"]} == {"echo", "f"}
    with Asking(daemon.control, {"command": "wait", "for": "ready"}) as forever:
        answer = ask(daemon, "wait", **{"for": "ready", "timeout_ms": 10})
        assert not answer["ok"] and "time that was given" in answer["error"]
        # it never gets ready: the end of the daemon is the end of waiting
        assert forever.is_at_end()
    assert daemon.wait_exit() == 1


def test_ready_is_told_after_a_reload_that_is_under_way(start):
    daemon = start(listener("echo"))
    daemon.write(slow_start())
    mark = daemon.log.mark()
    daemon.kill(signal.SIGHUP)
    daemon.log.wait("fault: server_start", mark)
    assert ask(daemon, "wait", **{"for": "ready"}) == {"ok": True}
    daemon.log.wait("error: reload failed", mark)


def test_stop_answers_when_it_has_begun_and_closes_at_the_end(start):
    daemon = start(text=config(listener("f", "sys_drain"), drain_timeout="30s"))
    client = daemon.connect("f")
    assert client.ask("busy recv") == "waiting"
    with Asking(daemon.control, {"command": "stop"}) as first:
        assert first.answer() == {"ok": True}
        assert ask(daemon, "status")["state"] == "stopping"
        # asked twice is no more than once
        with Asking(daemon.control, {"command": "stop"}) as second:
            assert second.answer()["ok"] and daemon.is_running
        answer = ask(daemon, "wait", **{"for": "ready"})
        assert not answer["ok"] and "stopping" in answer["error"]
        assert not ask(daemon, "reload")["ok"]
        client.send(b"x\n")
        client.half_close()
        assert first.is_at_end()
    assert daemon.wait_exit() == 0
    assert not daemon.control.exists()


def test_stop_now_waits_for_no_connection(start):
    daemon = start(text=config(listener("f", "sys_drain"), drain_timeout="30s"))
    assert daemon.connect("f").ask("busy recv") == "waiting"
    with Asking(daemon.control, {"command": "stop", "now": True}) as asking:
        assert asking.answer()["ok"] and asking.is_at_end()
    assert daemon.wait_exit() == 0


def test_the_level_of_the_log_is_changed_until_the_next_reload(start):
    daemon = start(listener("echo", "sys_server"))

    def logs_debug():
        mark = daemon.log.mark()
        with daemon.connect() as client:
            assert client.ask("log 7 " + b"fine".hex()) == "logged"
            assert client.ask("log 4 " + b"coarse".hex()) == "logged"
        daemon.log.wait("coarse", mark)
        return bool(daemon.log.find("debug: .*fine", mark))

    assert not logs_debug()
    assert "one of error, warning" in ask(daemon, "log-level", level="loud")["error"]
    assert ask(daemon, "log-level", level="debug") == {"ok": True, "level": "debug"}
    assert ask(daemon, "log-level") == {"ok": True, "level": "debug"}
    # a worker is told, and not waited for
    daemon.until(lambda state: logs_debug(), "the worker has heard of it")
    # also for a worker that replaces this one
    pid = daemon.worker()
    os.kill(pid, signal.SIGKILL)
    daemon.until(lambda state: [worker for worker in state["echo"].serving if worker.pid != pid],
                 "another worker")
    assert logs_debug()
    assert ask(daemon, "reload")["ok"]
    assert ask(daemon, "log-level") == {"ok": True, "level": "info"}
    assert not logs_debug()


def test_its_descriptors_are_nobody_elses(start):
    daemon = start(listener("echo"))
    with Asking(daemon.control):
        assert daemon.reload(config(listener("echo", environment={"N": "1"})))
        worker = daemon.worker()
        # the channel, and the listening one
        sockets = [target for target in procfs.fds(worker).values() if "socket" in target]
        assert len(sockets) == 2, sockets
