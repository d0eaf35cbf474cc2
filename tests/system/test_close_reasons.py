"""Every reason of an end is caused, in every concurrency, and is the same wherever it is told: in the
log of connections, in the numbers of SIGUSR1, and in JSON.

A further reason is a further row of ROWS: what the listener is, and what a client does.
"""
import collections
import re
import time

import pytest

from asking import ask
from conffile import SOURCE
from conftest import MODES
from harness import CRASHES, SLOW, config, listener

Row = collections.namedtuple("Row", "name text handler keys cause modes")

# caused by the tests of what they belong to
ELSEWHERE = {"access", "time", "banned", "rate", "source_rate", "source_connections", "limit",
             "overload"}
LONG = "30s"


def wait_as(daemon, how):
    client = daemon.connect("s")
    assert client.ask(how) == "waiting"
    return client


def silent(daemon):
    daemon.connect("s").rest()


def quit_(daemon):
    daemon.connect("s").send("quit\n").rest()


def leave(daemon):
    client = daemon.connect("s")
    assert client.ask("poll 0")
    client.close()


def reset(daemon):
    client = daemon.connect("s")
    assert client.ask("poll 0")
    client.reset()


def fault(what):
    return lambda daemon: daemon.connect("s").send(what + "\n").is_at_end()


def wait_for(how):
    return lambda daemon: wait_as(daemon, how).rest()


def take_nothing(daemon):
    wait_as(daemon, "send")
    daemon.log.wait("send ended with")


def trickle(daemon):
    client = daemon.connect("s")
    deadline = time.monotonic() + 5 * SLOW
    while time.monotonic() < deadline:
        try:
            client.send("x")
        except OSError:
            return
        if not client.is_silent(0.1):
            return
    raise AssertionError("it goes on")


def kill(daemon):
    client = wait_as(daemon, "recv")
    row, = ask(daemon, "connections")["connections"]
    assert ask(daemon, "kill", id=row["id"])["ok"]
    client.rest()


def replace(daemon):
    client = wait_as(daemon, "recv")
    text = daemon.file.read_text().replace('"60s"', '"61s"')
    assert daemon.reload(text)
    client.rest()


def one_datagram(daemon):
    assert daemon.connect("s").ask_text("ping\n") == "pong"


def timeouts(**keys):
    return {"timeouts": keys}


def row(name, text, handler, cause, modes=None, **keys):
    return Row(name, text, handler, keys, cause, modes or MODES)


ROWS = [
    row("done", "done", "sys_stream", quit_),
    row("closed_by_client", "closed by the client", "sys_stream", leave),
    row("reset_by_client", "reset by the client", "sys_stream", reset),
    row("handler_error", "handler error", "sys_fault", fault("fail")),
    row("crash", "crash", "sys_fault", fault("segv")),
    row("timeout", "timeout", "sys_stuck", wait_for("hasty")),
    row("first_byte_timeout", "first byte timeout", "sys_stuck", silent,
        **timeouts(first_byte="200ms", idle=LONG)),
    row("idle_timeout", "idle timeout", "sys_stuck", wait_for("recv"),
        **timeouts(idle="200ms", total=LONG)),
    row("total_timeout", "total timeout", "sys_stuck", wait_for("sleep"),
        **timeouts(total="200ms", handler=LONG)),
    row("send_timeout", "send timeout", "sys_stuck", take_nothing,
        **timeouts(send="200ms", idle=LONG)),
    row("below_min_rate", "below the minimum rate", "sys_stuck", trickle,
        **timeouts(min_rate="100B/s", grace="300ms")),
    row("handler_timeout", "handler timeout", "sys_stuck", wait_for("sleep"),
        **timeouts(handler="200ms", total=LONG)),
    # without those who see to it that it returns: the reason is that of the cause
    row("handler_timeout", "handler timeout", "sys_stuck", wait_for("block"),
        **timeouts(handler="200ms")),
    row("session_timeout", "session timeout", "sys_stuck", one_datagram,
        modes=["threading", "fibers"], protocol="udp", udp={"session_timeout": "200ms"}),
    row("drain", "drain", "sys_stuck", replace, **timeouts(idle="60s")),
    row("killed", "killed", "sys_stuck", kill),
    row("refused_by_handler", "by the handler's verify", "sys_fault", silent,
        options={"at": "verify", "what": "fail"}),
]


@pytest.mark.interrupts
@pytest.mark.parametrize("case, mode", [(case, mode) for case in ROWS for mode in case.modes],
                         ids=lambda value: value if isinstance(value, str) else
                         value.name + "-" + str(ROWS.index(value)))
def test_a_reason_is_the_same_wherever_it_is_told(start, case, mode):
    daemon = start(listener("s", case.handler, mode, **case.keys), env=CRASHES,
                   top={"log": {"connections": "all"}, "drain_timeout": "300ms"})
    case.cause(daemon)
    form = rf"info: 's' #(\d+) .*: (connection|session) ended: {case.text}; (\d+) bytes in, "
    if case.name == "refused_by_handler":
        form = rf"info: 's' #(\d+) .*: refused {case.text}: "
    record = daemon.log.wait(form)
    assert re.search(r" ms, since [\d:.TZ-]{24}; handler '.*', generation \d+$", record.string)
    daemon.until(lambda state: state["s"].is_balanced, "all is counted")
    # one connection, one reason, one record
    answer = ask(daemon, "status")
    told, = [one for one in answer["listeners"] if one["name"] == "s"]
    assert told["connections"]["ended"] == {case.name: 1}
    assert told["connections"]["unlogged"] == 0
    mark = daemon.log.mark()
    daemon.status()
    text = "refused by the handler" if case.name == "refused_by_handler" else case.text
    assert daemon.log.find(rf"status: 's' reasons of ending: {text} 1$", mark)
    assert len(daemon.log.find(r"info: 's' #\d+ .*: ((connection|session) ended: |refused )")) == 1


@pytest.mark.interrupts
def test_the_first_cause_stays(start, mode):
    """Ended for idling, and then killed, and then crashed: it has ended for idling."""
    daemon = start(listener("s", "sys_stuck", mode, timeouts={"idle": "200ms"}), env=CRASHES,
                   top={"log": {"connections": "all"}})
    client = wait_as(daemon, "stubborn")
    client.rest()
    daemon.until(lambda state: ask(daemon, "connections")["connections"][0]["reason"] ==
                 "idle_timeout", "it is being ended")
    connection, = ask(daemon, "connections")["connections"]
    ask(daemon, "kill", id=connection["id"])
    daemon.log.wait("connection ended: idle timeout;")
    daemon.until(lambda state: state["s"].is_balanced, "all is counted")
    told, = ask(daemon, "status")["listeners"]
    assert told["connections"]["ended"] == {"idle_timeout": 1}


def test_what_a_connection_waits_for_is_shown(start, mode):
    daemon = start(listener("s", "sys_stuck", mode), top={"log": {"connections": "all"}})

    def until(waits):
        daemon.until(lambda state: [one["waits_for"] for one in
                                    ask(daemon, "connections")["connections"]] == [waits], waits)
    client = daemon.connect("s")
    assert client.ask("ping") == "pong"
    until("input")
    for how, waits in [("poll", "input"), ("send", "output"), ("pollout", "output"),
                       ("sleep", None)]:
        client.close()
        daemon.until(lambda state: state["s"].open == 0, "it is over", timeout=5)
        client = wait_as(daemon, how)
        until(waits)
    ask(daemon, "kill", id=ask(daemon, "connections")["connections"][0]["id"])


def test_every_reason_is_caused_somewhere():
    text = (SOURCE / "daemon" / "ipc" / "close_reason.c").read_text()
    names = set(re.findall(r'\[CLOSE_\w+\] =\s*\{"(\w+)"', text)) - {"none"}
    assert names - {case.name for case in ROWS} == ELSEWHERE


def test_those_who_end_with_their_worker_have_their_records(start):
    daemon = start(listener("s", "sys_fault", "threading"), env=CRASHES,
                   top={"log": {"connections": "all"}})
    others = [daemon.connect("s") for _ in range(3)]
    daemon.until(lambda state: state["s"].open == 3, "all are being served")
    daemon.connect("s").send("segv\n").is_at_end()
    for client in others:
        assert client.is_at_end()
        daemon.log.wait(rf"'s' #\d+ {re.escape(client.name())}: connection ended: crash; 0 bytes in")
    daemon.log.wait("connection ended: crash;", count=4)


def test_those_who_are_cut_at_once_are_drained(start, mode):
    daemon = start(listener("s", "sys_stuck", mode), top={"log": {"connections": "all"},
                                                          "drain_timeout": "300ms"})
    wait_as(daemon, "deaf")
    assert daemon.reload(config(listener("s", "sys_stuck", mode, timeouts={"idle": LONG}),
                                drain_timeout="300ms", log={"connections": "all"}))
    daemon.log.wait("connection ended: drain;")
    daemon.until(lambda state: state["s"].is_balanced, "all is counted")
    told, = ask(daemon, "status")["listeners"]
    assert told["connections"]["ended"] == {"drain": 1}


def test_a_thousand_clients_that_reset_amid_their_handlers_end_once_each(start, mode):
    """While it reads, and while it writes: no signal, one finish and one reason for each."""
    count = 250
    daemon = start(listener("s", "sys_stuck", mode, max_connections=64),
                   top={"log": {"connections": "all"}})
    worker = daemon.worker("s")
    for _ in range(count):
        for how in ("recv", "poll", "print", "send"):
            wait_as(daemon, how).reset()
            daemon.clients.clear()
    daemon.until(lambda state: state["s"].finished == 4 * count, "all have ended")
    daemon.log.wait(": finish called$", count=4 * count)
    told, = ask(daemon, "status")["listeners"]
    assert told["connections"]["ended"] == {"reset_by_client": 4 * count}
    assert told["connections"]["failed"] == told["connections"]["crashed"] == 0
    assert daemon.worker("s") == worker
