"""What `status` and `connections` tell: every field of the schema, and numbers that are right."""
import datetime
import os
import signal
import threading
import time

import pytest

import procfs
from asking import ask
from harness import CRASHES, IS_SANITIZED, SLOW, config, listener

NUMBER = (int, float)
NONE = type(None)

STATUS = {
    "ok": bool, "schema": int, "version": str, "abi": str, "pid": int, "state": str,
    "started": str, "uptime_seconds": NUMBER, "generation": int, "configuration": (str, NONE),
    "upgrades": int, "last_reload": (dict, NONE), "listeners": list, "leaving": list}
RELOAD = {"ok": bool, "at": str, "generation": int, "text": str}
LISTENER = {
    "name": str, "protocol": str, "addresses": list, "handler": dict, "concurrency": str,
    "start": str, "state": str, "is_paused": bool, "is_rolled_back": bool, "generation": int,
    "pid": (int, NONE), "uptime_seconds": NUMBER + (NONE,), "crashes": int, "connections": dict,
    "old": list, "recycled": int, "sandbox": dict}
SANDBOX = ["seccomp", "filesystem", "network", "calls_refused"]
HANDLER = {"name": str, "path": str, "version": (str, NONE), "build_id": (str, NONE)}
CONNECTIONS = {"now": int, "limit": int, "total": int, "finished": int, "refused": int,
               "failed": int, "crashed": int, "timed_out": int, "unlogged": int, "ended": dict}
DATAGRAMS = {"dropped_by_kernel": int, "dropped": dict}
OLD = {"generation": int, "pid": int, "state": str, "connections": int,
       "seconds_left": NUMBER + (NONE,)}
CONNECTION = {"id": int, "listener": str, "generation": int, "peer": (str, NONE),
              "age_seconds": NUMBER, "bytes_in": int, "bytes_out": int, "state": str,
              "waits_for": (str, NONE), "reason": (str, NONE)}
STATES = {"serving", "paused", "draining", "starting", "restarting", "waiting", "stalled", "idle",
          "gone"}
PHASES = {"setup", "handle", "idle", "finish", "closing", "draining"}


def check(row, schema):
    assert list(row) == list(schema), list(row)
    for name, kind in schema.items():
        is_bool = isinstance(row[name], bool)
        assert isinstance(row[name], kind) and is_bool == (kind is bool), (name, row[name])


def check_listener(row):
    is_datagram = row["protocol"] in ("udp", "unixgram")
    schema = dict(LISTENER)
    if is_datagram:
        del schema["old"], schema["recycled"], schema["sandbox"]
        schema.update({"datagrams": dict, "old": list, "recycled": int, "sandbox": dict})
        check(row["datagrams"], DATAGRAMS)
    check(row, schema)
    check(row["handler"], HANDLER)
    check(row["connections"], CONNECTIONS)
    assert list(row["sandbox"]) == SANDBOX
    assert isinstance(row["sandbox"]["calls_refused"], int)
    assert row["state"] in STATES
    for old in row["old"]:
        check(old, OLD)


def status(daemon, name=None):
    """The whole, checked; or one listener of it."""
    state = ask(daemon, "status", **({"listener": name} if name else {}))
    check(state, STATUS)
    for row in state["listeners"] + state["leaving"]:
        check_listener(row)
    if state["last_reload"] is not None:
        check(state["last_reload"], RELOAD)
    if name is None:
        return state
    row, = state["listeners"] + state["leaving"]
    return row


def connections(daemon, **arguments):
    answer = ask(daemon, "connections", **arguments)
    assert list(answer) == ["ok", "connections", "is_cut"]
    for row in answer["connections"]:
        check(row, CONNECTION)
        assert row["state"] in PHASES
    assert answer["is_cut"] is False
    return answer["connections"]


def until(get, is_so, what):
    deadline = time.monotonic() + 10 * SLOW
    while True:
        state = get()
        if is_so(state):
            return state
        assert time.monotonic() < deadline, f"never: {what}: {state}"


def test_the_daemon_tells_of_itself(start):
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    daemon = start(listener("echo"))
    state = status(daemon)
    assert state["schema"] == 1 and state["pid"] == daemon.pid and state["state"] == "running"
    assert state["generation"] == 1 and state["upgrades"] == 0 and state["last_reload"] is None
    assert state["configuration"] == str(daemon.file) and state["leaving"] == []
    started = datetime.datetime.fromisoformat(state["started"].replace("Z", "+00:00"))
    assert before <= started <= before + datetime.timedelta(seconds=10 * SLOW)
    assert 0 < state["uptime_seconds"] < 10 * SLOW


def test_a_listener_tells_where_and_what_it_serves(start, mode):
    daemon = start(listener("first", "echo", mode, max_connections=7, address="127.0.0.1:0",
                            threading={"min_threads": 1}, forking={"max_children": 7}),
                   listener("u", "discard", mode, protocol="unixgram", start="now"))
    state = status(daemon)
    assert [row["name"] for row in state["listeners"]] == ["first", "u"]
    row = state["listeners"][0]
    assert row["addresses"] == daemon.addresses("first")
    assert row["handler"]["name"] == "echo" and row["handler"]["path"].endswith("/echo.so")
    assert int(row["handler"]["build_id"], 16)
    assert (row["protocol"], row["concurrency"], row["start"]) == ("tcp", mode, "now")
    assert (row["state"], row["pid"]) == ("serving", daemon.worker("first"))
    assert 0 <= row["uptime_seconds"] < 10 * SLOW and row["crashes"] == 0
    assert row["connections"]["limit"] == (1 if mode == "serial" else 7)
    assert status(daemon, "u")["datagrams"] == {"dropped_by_kernel": 0, "dropped": {}}
    answer = ask(daemon, "status", listener="frist")
    assert answer["error"] == "there is no listener 'frist'; did you mean 'first'?"


def counts(daemon, name):
    row = status(daemon, name)["connections"]
    return tuple(row[key] for key in ("now", "total", "finished", "refused", "failed", "crashed"))


def test_the_counts_after_traffic_are_right(start, mode):
    daemon = start(listener("f", "sys_fault", mode), env=CRASHES)
    for _ in range(3):
        with daemon.connect("f") as client:
            assert client.ask("ping") == "pong"
    held = daemon.connect("f")
    assert held.ask("ping") == "pong"
    until(lambda: counts(daemon, "f"), lambda row: row == (1, 4, 3, 0, 0, 0), "three and one")
    held.close()
    until(lambda: counts(daemon, "f"), lambda row: row == (0, 4, 4, 0, 0, 0), "four")
    assert daemon.connect("f").send(b"segv\n").is_at_end()
    until(lambda: counts(daemon, "f"), lambda row: row == (0, 5, 4, 0, 0, 1), "a crash")
    # what a worker that is gone has counted stays
    row = until(lambda: status(daemon, "f"), lambda row: row["state"] == "serving", "another")
    assert row["crashes"] == (0 if mode == "forking" else 1)
    assert row["connections"]["ended"] == {"closed_by_client": 4, "crash": 1}


@pytest.mark.interrupts
def test_what_took_longer_than_its_time_is_counted(start, mode):
    daemon = start(listener("s", "sys_stuck", mode, timeouts={"handler": "200ms"}))
    client = daemon.connect("s")
    assert client.ask("sleep") == "waiting"
    client.rest()
    until(lambda: status(daemon, "s")["connections"],
          lambda row: (row["finished"], row["timed_out"]) == (1, 1), "it ended")
    assert status(daemon, "s")["connections"]["ended"] == {"handler_timeout": 1}


def test_datagrams_that_were_dropped_are_counted_by_reason(start):
    daemon = start(listener("u", "echo", protocol="udp", max_datagram="16B"))
    client = daemon.connect("u")
    client.send(b"x" * 17)
    client.send(b"y")
    assert client.sock.recv(100) == b"y"
    assert status(daemon, "u")["datagrams"]["dropped"] == {"longer than max_datagram": 1}


@pytest.mark.interrupts
def test_old_generations_tell_what_keeps_them(start, mode):
    daemon = start(text=config(listener("d", "sys_drain", mode), drain_timeout="60s"))
    client = daemon.connect("d")
    assert client.ask("busy recv") == "waiting"
    pid = daemon.worker("d")
    assert daemon.reload(config(listener("d", "sys_drain", mode, environment={"N": "1"}),
                                drain_timeout="60s"))
    row = status(daemon, "d")
    assert row["generation"] == 2 and row["state"] == "serving" and row["pid"] != pid
    old, = row["old"]
    assert (old["generation"], old["pid"], old["state"]) == (1, pid, "draining")
    assert old["connections"] == 1 and 0 < old["seconds_left"] <= 60
    last = status(daemon)["last_reload"]
    assert last["ok"] and last["generation"] == 2 and "reloaded in" in last["text"]
    client.send(b"x\n").half_close()
    until(lambda: status(daemon, "d"), lambda row: row["old"] == [], "the old one has gone")


def test_what_was_removed_is_leaving_until_its_connections_end(start):
    daemon = start(text=config(listener("d", "sys_drain"), listener("echo"), drain_timeout="60s"))
    client = daemon.connect("d")
    assert client.ask("busy recv") == "waiting"
    assert daemon.reload(config(listener("echo"), drain_timeout="60s"))
    state = status(daemon)
    assert [row["name"] for row in state["listeners"]] == ["echo"]
    row, = state["leaving"]
    assert (row["name"], row["state"], row["addresses"]) == ("d", "draining", [])
    assert row["connections"]["now"] == 1 and row["concurrency"] == "threading"
    assert [one["state"] for one in connections(daemon, listener="d")] == ["draining"]
    client.send(b"x\n").half_close()
    until(lambda: status(daemon), lambda state: state["leaving"] == [], "it is gone")


def test_a_worker_that_dies_again_and_again_is_restarting(start):
    daemon = start(listener("f", "sys_fault"), env=CRASHES)
    for _ in range(7):
        assert daemon.connect("f").send(b"kill\n").is_at_end()
    # five are replaced at once, these two wait
    until(lambda: status(daemon, "f"),
          lambda row: (row["crashes"], row["state"]) == (7, "restarting"), "seven deaths")
    until(lambda: status(daemon, "f"), lambda row: row["state"] == "serving", "it serves again")


@pytest.mark.interrupts
def test_connections_are_listed_with_their_listener(start, mode):
    daemon = start(listener("echo", mode=mode), listener("d", "sys_drain", mode))
    assert connections(daemon) == []
    first = daemon.connect("echo")
    assert first.send(b"x").exactly(1) == b"x"
    second = daemon.connect("d")
    assert second.ask("busy recv") == "waiting"
    # what the client has is counted a moment later
    rows = until(lambda: connections(daemon), lambda rows: rows[0]["bytes_out"] == 1,
                 "it is counted")
    assert [row["listener"] for row in rows] == ["echo", "d"]
    assert [row["peer"] for row in rows] == [
        "127.0.0.1:%d" % client.sock.getsockname()[1] for client in (first, second)]
    assert (rows[0]["bytes_in"], rows[0]["bytes_out"]) == (1, 1)
    assert all(0 <= row["age_seconds"] < 10 * SLOW for row in rows)
    assert all(row["generation"] == 1 and row["id"] > 0 for row in rows)
    assert [row["listener"] for row in connections(daemon, listener="d")] == ["d"]
    assert not ask(daemon, "connections", listener="nobody")["ok"]
    first.close()
    until(lambda: connections(daemon), lambda rows: len(rows) == 1, "one is left")
    daemon.close_clients()
    until(lambda: connections(daemon), lambda rows: rows == [], "none is left")


@pytest.mark.interrupts
def test_one_connection_is_ended_and_no_other(start, mode):
    daemon = start(listener("d", "sys_drain", mode), listener("echo"))
    kept, ended = daemon.connect("echo"), daemon.connect("d")
    assert kept.send(b"x").exactly(1) == b"x"
    assert ended.ask("busy recv") == "waiting"
    row, = connections(daemon, listener="d")
    answer = ask(daemon, "kill", id=row["id"])
    assert answer == {"ok": True, "id": row["id"], "listener": "d"}
    ended.rest()
    until(lambda: connections(daemon, listener="d"), lambda rows: rows == [], "it has ended")
    assert kept.send(b"y").exactly(1) == b"y"
    answer = ask(daemon, "kill", id=row["id"])
    assert answer["error"] == f"there is no connection {row['id']} (any more)"
    daemon.log.wait(rf"notice: control: the end of connection {row['id']} of 'd' asked for")


def test_the_end_of_a_connection_is_not_waited_for_without_end(start):
    daemon = start(listener("echo"))
    assert daemon.connect().send(b"x").exactly(1) == b"x"
    row, = connections(daemon)
    worker = daemon.worker()
    os.kill(worker, signal.SIGSTOP)
    try:
        answer = ask(daemon, "kill", id=row["id"])
    finally:
        os.kill(worker, signal.SIGCONT)
    assert "has not answered within 5 s" in answer["error"]


def test_a_worker_does_not_answer_for_the_connections_of_another(start):
    daemon = start(listener("echo"), listener("liar", "sys_report"))
    assert daemon.connect("echo").send(b"x").exactly(1) == b"x"
    liar = daemon.connect("liar")
    row, = [row for row in connections(daemon) if row["listener"] == "echo"]
    worker = daemon.worker("echo")
    os.kill(worker, signal.SIGSTOP)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(ask(daemon, "kill", id=row["id"])))
    asking.start()
    try:
        daemon.log.wait(f"the end of connection {row['id']} of 'echo' asked for")
        assert liar.ask(f"killed {row['id']}") == "said"
    finally:
        asking.join()
        os.kill(worker, signal.SIGCONT)
    assert "has not answered within 5 s" in answers[0]["error"]


def test_a_worker_that_accepts_nothing_is_stalled_after_30_seconds(start, guard):
    signal.setitimer(signal.ITIMER_REAL, 120 * SLOW)  # longer than the guard of other tests
    daemon = start(listener("echo"), listener("busy", mode="serial", handler="echo"),
                   listener("rest", "echo"))
    # one connection is all that a serial worker serves: it is at its limit
    busy = [daemon.connect("busy") for _ in range(2)]
    assert busy[0].send(b"x").exactly(1) == b"x"
    worker = daemon.worker("echo")
    os.kill(worker, signal.SIGSTOP)
    until(lambda: procfs.is_stopped(worker), bool, "all its threads have stopped")
    before = time.monotonic()
    client = daemon.connect("echo").send(b"x")
    told = daemon.log.wait(r"warning: 'echo' is STALLED: .*", timeout=60).string
    assert time.monotonic() - before >= 30 and f"pid {worker}" in told and "kill -KILL" in told
    assert status(daemon, "echo")["state"] == "stalled"
    assert status(daemon, "busy")["state"] == status(daemon, "rest")["state"] == "serving"
    os.kill(worker, signal.SIGCONT)
    assert client.exactly(1) == b"x"
    daemon.log.wait(r"notice: 'echo' is no longer stalled", timeout=20)
    assert status(daemon, "echo")["state"] == "serving"
    assert len(daemon.log.find("STALLED")) == 1


def test_asking_again_and_again_takes_no_more_memory(start):
    daemon = start(listener("echo"), listener("u", "echo", protocol="udp"))
    for _ in range(20):
        status(daemon)
    before, fds = procfs.memory_kib(daemon.pid), procfs.count_fds(daemon.pid)
    for _ in range(500):
        ask(daemon, "status")
        ask(daemon, "connections")
    # a sanitizer keeps what was freed
    assert IS_SANITIZED or procfs.memory_kib(daemon.pid) - before < 256
    assert procfs.count_fds(daemon.pid) == fds
