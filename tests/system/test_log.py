"""The log: one record in one line, in both formats, whatever a handler or a client puts into it."""
import json
import re

import pytest

from client import Client
from harness import config, listener

LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|notice|info|debug): \S")
# what must not get through as it is
EVIL = [
    b"two\nlines", b"two\r\nlines", b"\x1b[31mred\x1b[0m", b"<0>fake", b"\xff\xfe invalid \xc3(",
    b"nul-free \x01\x02\x7f", b"\xe2\x80\xa8 separator", b'quote " and \\ backslash',
    b"2026-01-01T00:00:00.000Z error: forged", b"%s%n%d", "größe €".encode(),
]


def log(client, level, data):
    assert client.ask(f"log {level} {data.hex()}") == "logged"


def own_lines(daemon, mark=0):
    return [line for line in daemon.log.lines[mark:] if not line.startswith("==")]


def test_every_line_of_the_text_format_has_time_and_level(start, mode):
    daemon = start(listener("s", "sys_server", mode), top={"log": {"level": "debug",
                                                                   "connections": "all"}})
    with daemon.connect() as client:
        log(client, 6, b"hello")
    daemon.reload(config(listener("s", "sys_server", mode)))
    daemon.reload("nonsense")
    daemon.status()
    daemon.stop()
    assert daemon.log.wait_over()
    for line in own_lines(daemon):
        assert LINE.match(line), line


def test_every_line_of_the_json_format_is_an_object(start, mode):
    daemon = start(listener("s", "sys_server", mode),
                   top={"log": {"level": "debug", "connections": "all", "format": "json"}},
                   is_awaited=False)
    daemon.log.wait("ready in")
    daemon.log.wait('"message":"\'s\' listening on tcp')
    address = json.loads(daemon.log.find("listening on")[0].string)["message"].split()[-1]
    host, port = address.split(":")
    with Client((host, int(port))) as client:
        for data in EVIL:
            log(client, 6, data)
        name = client.name()
    daemon.log.wait("connection ended")
    daemon.stop()
    assert daemon.log.wait_over()
    records = [json.loads(line) for line in own_lines(daemon)]
    assert all({"time", "level", "pid", "message"} <= set(record) for record in records)
    mine = [record for record in records if record.get("peer") == name]
    assert len(mine) == len(EVIL) + 1
    for record in mine:
        assert record["listener"] == "s" and record["connection_id"] == 1
        assert record["generation"] == 1 and "sys_server" in record["handler"]
    texts = [record["message"] for record in mine]
    assert "two\nlines" in texts
    assert 'quote " and \\ backslash' in texts
    assert "größe €" in texts


def test_nothing_a_handler_logs_forges_a_record(start, mode):
    daemon = start(listener("s", "sys_server", mode))
    mark = daemon.log.mark()
    with daemon.connect() as client:
        name = client.name()
        for data in EVIL:
            log(client, 6, data)
    daemon.log.wait(f"'s' #1 {re.escape(name)}: größe", mark)
    rows = [line for line in own_lines(daemon, mark) if "service_actions" not in line
            and "child_stop" not in line]
    assert len(rows) == len(EVIL)
    for line in rows:
        assert re.match(rf"^[\d:.TZ-]+ info: 's' #1 {re.escape(name)}: ", line), line
        assert all(ord(char) >= 32 and not 0x7f <= ord(char) < 0xa0 for char in line), line
        assert "\ufffd" not in line  # valid UTF-8


def test_a_record_is_cut_at_what_a_pipe_takes_whole_and_stays_one(start, mode):
    daemon = start(listener("s", "sys_server", mode))
    with daemon.connect() as client:
        assert client.ask("log_long 100000") == "logged"
        log(client, 6, b"after")
    daemon.log.wait(": after$")
    rows = daemon.log.find(r"warning: 's' #1 .*: long ")
    assert len(rows) == 1
    assert 4000 < len(rows[0].string) <= 4096
    assert "tail" not in rows[0].string


@pytest.mark.parametrize("level, seen", [(3, "error"), (4, "warning"), (5, "notice"), (6, "info"),
                                         (7, "debug"), (0, "error"), (99, "debug")])
def test_a_handlers_levels_are_syslogs_and_brought_into_range(start, level, seen):
    daemon = start(listener("s", "sys_server"), top={"log": {"level": "debug"}})
    with daemon.connect() as client:
        log(client, level, b"mark")
    assert f" {seen}: 's' #1 " in daemon.log.wait(": mark$").string


def test_a_level_above_the_configured_one_is_not_logged_and_a_reload_changes_it(start, mode):
    daemon = start(listener("s", "sys_server", mode), top={"log": {"level": "notice"}})
    pid = daemon.worker()
    client = daemon.connect()
    log(client, 7, b"first")
    log(client, 5, b"second")
    daemon.log.wait(": second$")
    assert not daemon.log.find(": first$")
    if mode == "forking":
        client.close()
    assert daemon.reload(config(listener("s", "sys_server", mode), log={"level": "debug"}))
    assert daemon.worker() == pid
    if mode == "forking":
        # the children that wait were forked before: the one after them
        for _ in range(5):
            with daemon.connect() as other:
                log(other, 5, b"between")
        client = daemon.connect()

    def logs_third():
        log(client, 7, b"third")
        return daemon.log.find(": third$")
    # a worker is told, and not waited for
    daemon.until(lambda state: logs_third(), "the worker has heard of it")


@pytest.mark.parametrize("connections, lines", [("none", 0), ("refused", 0), ("all", 1)])
def test_connections_get_a_line_where_the_configuration_says_so(start, mode, connections, lines):
    daemon = start(listener("echo", mode=mode), top={"log": {"connections": connections}})
    with daemon.connect() as client:
        name = client.name()
        assert client.send(b"hello").exactly(5) == b"hello"
    daemon.until(lambda state: state["echo"].finished == 1, "it is over")
    if lines:
        daemon.log.wait("connection ended")
    rows = daemon.log.find("connection ended")
    assert len(rows) == lines
    if lines:
        assert re.search(rf"info: 'echo' #1 {re.escape(name)}: connection ended: closed by the "
                         r"client; 5 bytes in, 5 bytes out, \d+\.\d{3} ms", rows[0].string)


@pytest.mark.parametrize("how, reason", [
    ("close", "closed by the client"), ("reset", "reset by the client"), ("quit", "done"),
    ("fail", "handler error")])
def test_the_reason_of_an_end_is_told(start, mode, how, reason):
    daemon = start(listener("f", "sys_fault" if how == "fail" else "sys_stream", mode),
                   top={"log": {"connections": "all"}})
    client = daemon.connect()
    if how in ("close", "reset"):
        assert client.ask("ping" if how == "fail" else "poll 0")
        getattr(client, how)()
    else:
        client.send(how + "\n").rest()
    client.close()
    daemon.log.wait(f"connection ended: {reason};")


@pytest.mark.parametrize("connections, told", [("none", 0), ("refused", 100), ("all", 120)])
def test_refused_clients_are_told_of_at_a_bounded_rate(start, mode, connections, told):
    daemon = start(listener("f", "sys_fault", mode, options={"at": "verify", "what": "fail"}),
                   top={"log": {"connections": connections}})
    for _ in range(120):
        with daemon.connect() as client:
            assert client.is_at_end()
    state = daemon.until(lambda state: state["f"].refused == 120 and state["f"], "refused")
    assert (state.accepted, state.finished) == (120, 0)
    rows = daemon.log.find("refused by the handler's verify: Input/output error")
    assert len(rows) == told


def test_errors_of_handlers_are_told_at_a_bounded_rate(start, mode):
    daemon = start(listener("f", "sys_fault", mode))
    for _ in range(40):
        with daemon.connect() as client:
            assert client.send("fail\n").is_at_end()
    daemon.until(lambda state: state["f"].failed == 40, "failed")
    assert len(daemon.log.find("handle of handler .* failed: Input/output error")) == 10


def test_the_status_is_whole_and_adds_up(start, mode):
    daemon = start(listener("f", "sys_fault", mode), listener("echo", mode=mode))
    for what in ("ping", "fail"):
        with daemon.connect("f") as client:
            client.send(what + "\n").some()
    daemon.until(lambda state: state["f"].finished == 2, "both are over")
    client = daemon.connect("echo").send(b"x")
    assert client.exactly(1) == b"x"
    state = daemon.status()
    assert list(state) == ["f", "echo"]
    assert vars(state["f"]) | {"workers": None, "path": None} == {
        "name": "f", "handler": state["f"].path, "path": None, "accepted": 2, "finished": 2,
        "refused": 0, "failed": 1, "crashed": 0, "open": 0, "timed_out": 0, "workers": None,
        "drops": {}}
    assert (state["echo"].accepted, state["echo"].open) == (1, 1)
    assert state["echo"].path.endswith("/handlerd/echo.so")
    assert daemon.log.find("status: generation 1, 2 listeners, 0 leaving, 2 sockets")
