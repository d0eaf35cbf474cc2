"""handlerctl's commands against a control socket that answers from a table."""
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

import fake_control
from ctl import PROGRAM, ctl, environment
from fake_control import (CONNECTION, STATUS, FakeControl, listener, progress, refusal, status,
                          wait_for_end)
from harness import NOBODY, WAIT_S


@pytest.fixture
def control(place):
    """Starts control sockets; in the end each has seen its clients."""
    made = []

    def one(*answers, **keys):
        made.append(FakeControl(place / f"control{len(made)}.sock", *answers, **keys))
        return made[-1]

    yield one
    for each in made:
        each.end()


def ask(server, *arguments, **keys):
    return ctl("--control", server.path, *arguments, **keys)


def says(result, text):
    assert result.stderr == ""
    assert (result.returncode, result.stdout.decode()) == (0, text)


# what is asked for

@pytest.mark.parametrize("arguments, request_line, answer", [
    (["status"], {"command": "status"}, STATUS),
    (["status", "echo"], {"command": "status", "listener": "echo"}, STATUS),
    (["reload"], {"command": "reload"}, {"ok": True}),
    (["reload", "--dry-run"], {"command": "reload", "dry_run": True}, {"ok": True}),
    (["stop"], {"command": "stop"}, {"ok": True}),
    (["stop", "--now"], {"command": "stop", "now": True}, {"ok": True}),
    (["pause", "echo"], {"command": "pause", "listener": "echo"}, {"ok": True}),
    (["drain", "echo"], {"command": "drain", "listener": "echo"}, {"ok": True}),
    (["resume", "echo"], {"command": "resume", "listener": "echo"}, {"ok": True}),
    (["connections"], {"command": "connections"}, {"ok": True}),
    (["connections", "a b\"ä"], {"command": "connections", "listener": "a b\"ä"}, {"ok": True}),
    (["kill", "17"], {"command": "kill", "id": 17}, {"ok": True}),
    (["log-level"], {"command": "log-level"}, {"ok": True}),
    (["log-level", "debug"], {"command": "log-level", "level": "debug"}, {"ok": True}),
    (["wait", "ready", "--timeout", "none"], {"command": "wait", "for": "ready"}, {"ok": True}),
    (["upgrade"], {"command": "upgrade"}, {"ok": True}),
])
def test_each_command_asks_for_what_it_does(control, arguments, request_line, answer):
    server = control(answer)
    result = ask(server, *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert server.requests == [request_line]


def test_wait_tells_the_daemon_its_timeout(control):
    server = control({"ok": True}, clients=2)
    says(ask(server, "wait", "ready", "--timeout", "9s"), "ready\n")
    says(ask(server, "wait", "ready"), "ready\n")
    first, second = (request["timeout_ms"] for request in server.requests)
    assert 0 < first <= 9000 < second <= 30000


# what is shown

def test_status_is_a_line_about_the_daemon_and_a_table(control):
    server = control(status(
        listener(),
        listener("time", protocol="udp", addresses=["127.0.0.1:37", "[::1]:37", "[::2]:37"],
                 state="paused", pid=None, uptime_seconds=None,
                 counters={"now": 0, "total": 0, "refused": 0, "failed": 0}),
        listener("a-long-name", protocol="unix", addresses=["/run/ä.sock"], concurrency="forking",
                 handler={"name": "own", "path": "/x/own.so", "version": None, "build_id": None},
                 old=[{"generation": 2, "pid": 99, "state": "draining", "connections": 3,
                       "seconds_left": 12.5},
                      {"generation": 1, "pid": 98, "state": "draining", "connections": 1,
                       "seconds_left": None}])))
    says(ask(server, "status"), """\
handlerd 0.1.0: running, pid 99, generation 3, up 2d 4h

LISTENER     ADDRESS              HANDLER     CONCURRENCY  STATE    NOW/LIMIT    TOTAL  REFUSED\
  FAILED  CRASHED  PID  UPTIME
echo         tcp 127.0.0.1:7007   echo 1.0.0  threading    serving     3/1024  1234567        1\
       2        0  123  3h 12min
time         udp 127.0.0.1:37 +2  echo 1.0.0  threading    paused      0/1024        0        0\
       0        0    -  -
a-long-name  unix /run/ä.sock     own         forking      serving     3/1024  1234567        1\
       2        0  123  3h 12min
└ generation 2, pid 99: 3 connections, 12s left
└ generation 1, pid 98: 1 connection
""")


@pytest.mark.parametrize("option", ["-v", "--verbose"])
def test_status_tells_every_address_when_asked(control, option):
    server = control(status(listener(addresses=["127.0.0.1:1", "[::1]:1"])))
    lines = ask(server, "status", option).stdout.decode().splitlines()
    assert lines[3].startswith("echo      tcp 127.0.0.1:1  echo")
    assert lines[4:] == ["          tcp [::1]:1"]


@pytest.mark.parametrize("keys, words", [
    ({"state": "stalled"}, "STALLED"),
    ({"is_rolled_back": True}, "serving, ROLLED_BACK"),
    ({"state": "paused", "is_rolled_back": True}, "paused, ROLLED_BACK"),
    ({"state": "restarting", "crashes": 5}, "restarting (5 crashes)"),
    ({"state": "restarting", "crashes": 1}, "restarting (1 crash)"),
])
def test_what_an_operator_must_not_overlook_stands_in_words(control, keys, words):
    server = control(status(listener(**keys)), clients=2)
    assert f"  {words}  " in ask(server, "status").stdout.decode()
    assert f"\nstate: {words}\n" in ask(server, "status", "echo").stdout.decode()


def test_a_removed_listener_is_shown_as_long_as_it_drains(control):
    server = control(status(listener("old", state="draining")) |
                     {"leaving": [listener("gone", state="draining")]})
    text = ask(server, "status").stdout.decode()
    assert re.search(r"^old .*  draining  ", text, re.M)
    assert re.search(r"^gone .*  draining, removed  ", text, re.M)


@pytest.mark.parametrize("last_reload, line", [
    (None, ""),
    ({"ok": True, "at": "2026-01-01T00:00:00Z", "generation": 3, "text": "reloaded"}, ""),
    ({"ok": False, "at": "2026-01-01T00:00:00Z", "generation": 3, "text": "2 errors"},
     "the last reload failed at 2026-01-01T00:00:00Z: 2 errors"),
])
def test_a_reload_that_failed_is_told(control, last_reload, line):
    server = control(status(last_reload=last_reload))
    assert ask(server, "status").stdout.decode() == \
        "handlerd 0.1.0: running, pid 99, generation 3, up 2d 4h\n" + line + \
        ("\n" if line else "") + "\nno listeners\n"


def test_status_of_one_listener_tells_everything(control):
    server = control(status(listener(
        protocol="udp", addresses=["127.0.0.1:7", "[::1]:7"],
        datagrams={"dropped_by_kernel": 5, "dropped": {"longer than max_datagram": 3}},
        old=[{"generation": 2, "pid": 99, "state": "draining", "connections": 3,
              "seconds_left": 12.5}],
        sandbox={"seccomp": "standard", "filesystem": ["ro:/usr", "rw:/var/lib/x"], "network": False,
                 "calls_refused": 17})))
    says(ask(server, "status", "echo"), """\
listener: echo
protocol: udp
address: 127.0.0.1:7
address: [::1]:7
handler: echo
handler version: 1.0.0
handler file: /usr/lib/handlerd/echo.so
handler build-id: abcdef
concurrency: threading
start: now
state: serving
paused: no
generation: 3
pid: 123
uptime: 3h 12min
crashes: 0
connections now: 3
connections limit: 1024
connections total: 1234567
connections finished: 1234564
connections refused: 1
connections failed: 2
connections crashed: 0
connections timed out: 4
connections not logged: 5
datagrams dropped by the kernel: 5
datagrams dropped, longer than max_datagram: 3
sandbox seccomp: standard
sandbox network: no
sandbox filesystem: ro:/usr
sandbox filesystem: rw:/var/lib/x
calls refused: 17
old generation 2: pid 99, draining, 3 connections, 12s left
""")


def test_connections_are_a_table(control):
    server = control({"ok": True, "is_cut": False, "connections": [
        CONNECTION, {**CONNECTION, "id": 123456, "peer": None, "age_seconds": 200,
                     "bytes_in": 0, "state": "idle"}]})
    says(ask(server, "connections"), """\
    ID  LISTENER  GENERATION  PEER                  AGE    IN      OUT  STATE
    17  echo               3  127.0.0.1:40000      1.2s  10 B  1.5 KiB  handle
123456  echo               3  -                3min 20s   0 B  1.5 KiB  idle
""")


def test_connections_that_are_not_told_are_mentioned(control):
    server = control({"ok": True, "is_cut": True, "connections": [CONNECTION]})
    result = ask(server, "connections")
    assert result.returncode == 0 and result.stdout.count(b"\n") == 2
    assert result.stderr == "handlerctl: there are more connections than can be told at once\n"


def test_without_connections_it_says_so(control):
    says(ask(control({"ok": True, "connections": [], "is_cut": False}), "connections"),
         "no connections\n")


PLAN = [{"listener": "echo", "change": "handler changed", "connections": 3},
        {"listener": "time", "change": "removed", "connections": 1},
        {"listener": "x", "change": "unchanged", "connections": 0}]


def test_reload_shows_the_plan_as_it_comes(control):
    server = control(progress("'echo' handler changed"), progress("'time' removed"),
                     {"ok": True, "dry_run": False, "generation": 4, "took_ms": 12.3,
                      "plan": PLAN, "warnings": []})
    says(ask(server, "reload"), "'echo' handler changed\n'time' removed\n"
                                "reloaded: generation 4 in 12ms\n")


def test_a_plan_that_comes_at_the_end_is_shown_too(control):
    server = control({"ok": True, "dry_run": True, "generation": 3, "took_ms": 1, "plan": PLAN,
                      "warnings": []})
    says(ask(server, "reload", "--dry-run"),
         "'echo' handler changed (drains 3 connections)\n'time' removed (drains 1 connection)\n"
         "'x' unchanged\nnothing was done\n")


ERROR = {"file": "/etc/handlerd.conf", "line": 12, "text": "there is no key 'prot'",
         "source": "\tprot = 7;", "is_warning": False}


def test_a_reload_that_is_refused_tells_every_error_with_its_line(control):
    server = control(progress("echo: unchanged"),
                     refusal("the configuration has 2 errors", ERROR,
                             {"file": None, "line": 0, "text": "no listeners", "source": None,
                              "is_warning": True}))
    result = ask(server, "reload")
    assert (result.returncode, result.stdout) == (1, b"echo: unchanged\n")
    assert result.stderr == """\
handlerctl: the configuration has 2 errors
/etc/handlerd.conf:12: there is no key 'prot'
    12 |  prot = 7;
no listeners (warning)
handlerctl: nothing was changed
"""


def test_what_the_daemon_has_said_is_not_said_again(control):
    result = ask(control(refusal("no such file; nothing was changed")), "reload")
    assert (result.returncode, result.stdout, result.stderr) == \
        (1, b"", "handlerctl: no such file; nothing was changed\n")


def test_warnings_of_a_reload_are_told(control):
    server = control({"ok": True, "generation": 4, "took_ms": 1, "plan": [],
                      "warnings": [{**ERROR, "is_warning": True, "source": None}]})
    result = ask(server, "reload")
    assert (result.returncode, result.stdout) == (0, b"reloaded: generation 4 in 1ms\n")
    assert result.stderr == "/etc/handlerd.conf:12: there is no key 'prot' (warning)\n"


@pytest.mark.parametrize("arguments, answer, text", [
    (["pause", "echo"], {"ok": True, "listener": "echo", "state": "paused"}, "echo: paused\n"),
    (["kill", "17"], {"ok": True, "id": 17, "listener": "echo"},
     "killed connection 17 of 'echo'\n"),
    (["log-level"], {"ok": True, "level": "info"}, "info\n"),
    (["wait", "ready"], {"ok": True}, "ready\n"),
    (["upgrade"], {"ok": True, "version": "0.1.1", "took_ms": 20}, "upgraded to 0.1.1 in 20ms\n"),
    (["stop"], {"ok": True}, "stopped\n"),
])
def test_what_was_done_is_told(control, arguments, answer, text):
    says(ask(control(answer), *arguments), text)


def start(*arguments, **keys):
    return subprocess.Popen([str(PROGRAM), *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=environment(), **keys)


def read_line(process):
    assert select.select([process.stdout], [], [], WAIT_S)[0], "nothing was printed"
    return process.stdout.readline()


@pytest.mark.parametrize("arguments", [["drain", "echo"], ["upgrade"], ["reload"]])
def test_progress_is_shown_when_it_comes(control, arguments):
    may_end = threading.Event()
    server = control(progress("3 connections are left"), lambda _: may_end.wait(WAIT_S),
                     {"ok": True, "listener": "echo", "state": "drained", "version": "1"})
    with start(*arguments, "--control", server.path) as process:
        assert read_line(process) == b"3 connections are left\n"
        may_end.set()
        process.communicate(timeout=WAIT_S)
    assert process.returncode == 0


def test_stop_waits_until_the_daemon_has_gone(control):
    said, may_end = threading.Event(), threading.Event()

    def hold(_client):
        said.set()
        may_end.wait(WAIT_S)

    server = control(progress("stopping"), {"ok": True}, hold)
    with start("stop", "--control", server.path) as process:
        assert read_line(process) == b"stopping\n"
        assert said.wait(WAIT_S)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        may_end.set()
        assert process.communicate(timeout=WAIT_S) == (b"stopped\n", b"")
    assert process.returncode == 0


# --json

def test_json_is_the_last_line_as_it_came_and_nothing_else(control):
    line = b'{"ok":true,  "generation": 4, "unknown": [1.50], "name": "\xc3\xa4"}\n'
    server = control(progress("echo: unchanged"), line)
    result = ask(server, "reload", "--json")
    assert (result.returncode, result.stdout, result.stderr) == (0, line, "")


def test_json_of_a_refusal_goes_with_the_complaint(control):
    result = ask(control(refusal("it is busy")), "pause", "echo", "--json")
    assert json.loads(result.stdout) == refusal("it is busy")
    assert (result.returncode, result.stderr) == (1, "handlerctl: it is busy\n")


def on_terminal(server, *arguments, **variables):
    """What handlerctl writes to a terminal."""
    master, slave = pty.openpty()
    try:
        result = subprocess.run([str(PROGRAM), "--control", server.path, *arguments], stdout=slave,
                                stderr=subprocess.PIPE, timeout=WAIT_S, check=False,
                                env=environment() | {"TERM": "xterm"} | variables)
        os.close(slave)
        text = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the terminal has no writer any more
                break
            if not piece:
                break
            text += piece
    finally:
        os.close(master)
    assert result.stderr == b""
    return text.decode().replace("\r\n", "\n")


def test_json_is_indented_on_a_terminal_and_cannot_drive_it(control):
    server = control(b'{"ok": true, "name": "\x7f\xc2\x9b\\u001b"}\n')
    assert on_terminal(server, "status", "--json") == \
        '{\n  "ok": true,\n  "name": "\\u007f\\u009B\\u001B"\n}\n'


def test_states_have_colours_on_a_terminal_only(control):
    server = control(status(listener(), listener("b", state="paused"),
                            listener("c", state="stalled"), listener("d", is_rolled_back=True),
                            listener("e", state="idle")), clients=4)
    text = on_terminal(server, "status")
    for state in ("\033[32mrunning\033[0m,", " \033[32mserving\033[0m ", "\033[33mpaused\033[0m ",
                  "\033[31mSTALLED\033[0m ", "\033[31mserving, ROLLED_BACK\033[0m ", " idle "):
        assert state in text
    plain = re.sub(r"\033\[\d*m", "", text)
    assert on_terminal(server, "status", NO_COLOR="1") == plain
    assert on_terminal(server, "status", TERM="dumb") == plain
    assert ask(server, "status").stdout.decode() == plain


def test_nothing_that_the_daemon_says_can_drive_a_terminal(control):
    bad = "\x1b[31m\x07\x9b\x7f\u2028"
    server = control(progress(bad), status(
        listener(bad, protocol=bad, addresses=[bad, bad], state=bad, concurrency=bad, start=bad,
                 handler=dict.fromkeys(("name", "version", "path", "build_id"), bad),
                 datagrams={"dropped_by_kernel": 0, "dropped": {bad: 1}},
                 old=[{"state": bad, "generation": bad}]),
        version=bad, state=bad, last_reload={"ok": False, "at": bad, "text": bad}) |
        {"warnings": [dict.fromkeys(("file", "text"), bad) | {"line": 1, "source": bad}]},
        clients=3)
    for arguments in (["status"], ["status", "-v"], ["status", "echo"]):
        result = ask(server, *arguments)
        assert result.returncode == 0
        for text in (result.stdout.decode(), result.stderr):
            assert "\\x1b[31m\\x07" in text
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028]", text)


@pytest.mark.parametrize("value", [None, 1, "x", [], [1], {}, [None], {"a": 1}])
@pytest.mark.parametrize("command", [["status"], ["status", "x"], ["connections"], ["reload"],
                                     ["upgrade"], ["log-level"], ["kill", "1"], ["pause", "x"]])
def test_fields_of_other_types_do_no_harm(control, command, value):
    keys = ["version", "state", "pid", "generation", "uptime_seconds", "last_reload", "listeners",
            "leaving", "connections", "is_cut", "plan", "warnings", "took_ms", "level", "id",
            "listener"]
    inner = [dict.fromkeys([*fake_control.LISTENER, *CONNECTION, "datagrams"], value)]
    server = control({"ok": True} | dict.fromkeys(keys, value),
                     clients=1)
    assert ask(server, *command).returncode == 0
    server = control({"ok": True, "listeners": inner, "connections": inner, "plan": inner,
                      "warnings": inner})
    assert ask(server, *command).returncode == 0


# nobody, or somebody else, is there

def complains(result, code, sentence):
    assert result.returncode == code
    assert result.stdout == b""
    assert sentence in result.stderr
    assert result.stderr.startswith("handlerctl: ") and result.stderr.count("\n") == 1


def test_where_no_socket_is_the_path_is_named_and_what_to_do(place):
    complains(ctl("status", "--control", place / "none.sock"), 3,
              f"no daemon listens on {place}/none.sock (No such file or directory); is it running? "
              "See 'systemctl status handlerd', or name its socket with --control")
    complains(ctl("status", "--control", place / "none" / "none.sock"), 3, "no daemon listens")


def test_a_socket_that_nobody_listens_on_is_no_daemon(place):
    path = place / "left.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    complains(ctl("status", "--control", path), 3, f"{path} (Connection refused)")
    (place / "file").write_text("")
    complains(ctl("status", "--control", place / "file"), 3, "(Connection refused)")


def test_a_socket_of_another_kind_is_told(place):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(place / "datagrams.sock"))
        complains(ctl("status", "--control", place / "datagrams.sock"), 1,
                  "is a socket, but not handlerd's control socket")


def test_a_path_that_no_socket_can_have_is_told():
    complains(ctl("status", "--control", "/" + 107 * "x"), 1, "at most 107 bytes")


@pytest.mark.root
def test_who_may_not_connect_is_told(control, place):
    server = control({"ok": True})
    os.chmod(server.path, 0o600)
    complains(ask(server, "status", user=NOBODY, group=NOBODY, extra_groups=[]), 1,
              f"may not connect to {server.path}: Permission denied; it takes root, the daemon's "
              "own user, or, to look only, a member of control_group")
    assert ask(server, "status").returncode == 0


def test_the_environment_names_the_socket(control):
    server = control({"ok": True, "level": "info"})
    result = subprocess.run([str(PROGRAM), "log-level"], capture_output=True, check=False,
                            timeout=WAIT_S, env=environment() | {"HANDLERD_CONTROL": server.path})
    assert (result.returncode, result.stdout, result.stderr) == (0, b"info\n", b"")


@pytest.mark.parametrize("answers", [
    [], [b'{"ok": tr'], [b'{"ok": true}'], [progress("a")], [progress("a"), b"\n"[:0]],
])
def test_a_daemon_that_closes_without_a_last_line_is_gone(control, answers):
    server = control(*answers)
    result = ask(server, "drain", "echo")
    assert result.returncode == 3
    assert result.stderr == (
        f"handlerctl: the daemon on {server.path} closed the connection without an answer; it may "
        "have ended: see its log and 'systemctl status handlerd'\n")


def test_a_daemon_that_closes_with_the_request_unread_is_gone(place):
    path = str(place / "control.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen()
        with start("status", "--control", path) as process:
            sock.accept()[0].close()
            stdout, stderr = process.communicate(timeout=WAIT_S)
    assert (process.returncode, stdout) == (3, b"")
    assert b"closed the connection without an answer" in stderr


@pytest.mark.parametrize("line", [
    b"garbage\n", b"\n", b"[]\n", b"{}\n", b'{"ok": 1}\n', b'{"progress": 1}\n', b"\x1b[31m\n",
    b'{"ok": true} x\n', b"[" * 100000 + b"\n", b'"\xff"\n',
])
def test_what_is_no_answer_is_told_and_not_shown(control, line):
    server = control(line)
    complains(ask(server, "status"), 1, f"what came from {server.path} is no answer of handlerd; "
              "another program, or another version, may listen there")


def test_a_long_line_is_read(control):
    server = control({"ok": True, "is_cut": False, "connections":
                      [{**CONNECTION, "id": n} for n in range(8000)]})
    result = ask(server, "connections")
    assert result.returncode == 0 and result.stdout.count(b"\n") == 8001


def test_lines_have_a_limit(control):
    def flood(client):
        try:
            for _ in range(17):
                client.sendall(b" " * 1024 * 1024)
        except OSError:  # it has heard enough
            pass

    server = control(flood)
    complains(ask(server, "status"), 1, "has a line of more than 16 MiB")


def test_pieces_make_a_line(control):
    def piece_by_piece(client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        for byte in b'{"progress": "a"}\n{"ok": true, "level": "info"}\n':
            client.sendall(bytes([byte]))

    server = control(piece_by_piece)
    says(ask(server, "log-level"), "a\ninfo\n")


def test_an_interrupt_ends_it_at_once(control):
    asked = threading.Event()

    def never_answer(client):
        asked.set()
        wait_for_end(client)

    server = control(never_answer)
    # these tests may run in the background of a shell, which ignores it
    with start("reload", "--control", server.path,
               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
        assert asked.wait(WAIT_S)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WAIT_S)
    assert process.returncode == -signal.SIGINT


def test_wait_waits_for_a_daemon_that_is_not_there_yet(place):
    path = place / "control.sock"
    with start("wait", "ready", "--control", str(path)) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        server = FakeControl(path, {"ok": True})
        assert process.communicate(timeout=WAIT_S) == (b"ready\n", b"")
    server.end()
    assert process.returncode == 0 and 0 < server.requests[0]["timeout_ms"] < 30000


def test_wait_ends_when_nobody_comes(place):
    began = time.monotonic()
    complains(ctl("wait", "ready", "--timeout", "300ms", "--control", place / "none.sock"), 3,
              "no daemon listens")
    assert time.monotonic() - began >= 0.3


def test_output_that_cannot_be_written_is_a_failure(control):
    server = control(progress("a"), {"ok": True, "generation": 4})
    with open("/dev/full", "wb") as full:
        result = ask(server, "reload", stdout=full)
    assert result.returncode == 1
    assert result.stderr.startswith("handlerctl: cannot write to standard output")


# wrong command lines

@pytest.mark.parametrize("arguments, complaint", [
    (["statsu"], "there is no command 'statsu'; did you mean 'status'? See handlerctl --help"),
    (["relaod"], "there is no command 'relaod'; did you mean 'reload'? See handlerctl --help"),
    (["status", "--jsn"],
     "there is no option '--jsn'; did you mean '--json'? See handlerctl status --help"),
    (["reload", "--dryrun"],
     "there is no option '--dryrun'; did you mean '--dry-run'? See handlerctl reload --help"),
    (["reload", "-v"], "there is no option '-v'; see handlerctl reload --help"),
    (["reload", "--now"], "there is no option '--now'; see handlerctl reload --help"),
    (["reload", "echo"], "reload takes no argument, such as 'echo'; see handlerctl reload --help"),
    (["status", "a", "b"],
     "there is one [LISTENER], and 'b' is one more; see handlerctl status --help"),
    (["pause"], "LISTENER is missing behind pause; see handlerctl pause --help"),
    (["pause", ""], "'' can be no name of a listener; see handlerctl pause --help"),
    (["pause", 256 * "x"],
     f"'{256 * 'x'}' can be no name of a listener; see handlerctl pause --help"),
    (["kill"], "ID is missing behind kill; see handlerctl kill --help"),
    *[(["kill", "--", bad], f"'{bad}' is no id, such as 'handlerctl connections' shows them; see "
       "handlerctl kill --help") for bad in ("x", "0", "-1", "1x", "99999999999999999999")],
    (["log-level", "inof"],
     "there is no level 'inof'; did you mean 'info'? See handlerctl log-level --help"),
    (["log-level", "loud"], "there is no level 'loud': error, warning, notice, info or debug; see "
     "handlerctl log-level --help"),
    (["wait"], "ready is missing behind wait; see handlerctl wait --help"),
    (["wait", "raedy"],
     "there is no waiting for 'raedy'; did you mean 'ready'? See handlerctl wait --help"),
    (["wait", "ready", "--timeout", "1"],
     "--timeout '1' is no duration, such as 250ms or 2s; see handlerctl wait --help"),
    (["wait", "ready", "--timeout"], "--timeout needs a value; see handlerctl wait --help"),
    (["status", "--json=x"], "--json takes no value; see handlerctl status --help"),
    (["--control"], "--control needs a value; see handlerctl --help"),
    (["--control", "x"], "the command is missing; see handlerctl --help"),
    (["--control=", "status"], "--control needs a path; see handlerctl status --help"),
    (["--control", "x", "send", "tcp:127.0.0.1:1"],
     "there is no option '--control'; a TEXT that begins with '-' stands behind --; see handlerctl "
     "send --help"),
])
def test_a_wrong_command_line_ends_with_2_and_says_why(arguments, complaint):
    result = ctl(*arguments)
    assert result.stderr == f"handlerctl: {complaint}\n"
    assert (result.returncode, result.stdout) == (2, b"")


def test_names_that_are_no_text_are_refused_and_not_printed():
    result = ctl("pause", b"\xff\x1b[31m\n".decode("utf-8", "surrogateescape"))
    assert result.stderr == ("handlerctl: '\\xff\\x1b[31m\\n' can be no name of a listener; see "
                             "handlerctl pause --help\n")
    assert result.returncode == 2


def commands():
    text = ctl("--help").stdout.decode()
    return re.findall(r"^  ([a-z-]+) .*  \S", text.split("--version | --help\n")[1], re.M)


def test_every_command_has_help():
    found = commands()
    assert len(found) == 14
    for command in found:
        result = ctl(command, "--help")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith(f"handlerctl {command} - ".encode())
        assert ctl("--control", "x", command, "--help").returncode == (2 if command == "send"
                                                                       else 0)
    assert ctl("--control=x", "--help").stdout == ctl("--help").stdout
