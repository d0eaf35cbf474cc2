"""Clients that do nothing, or as good as nothing: timeouts.first_byte, idle, total, send, min_rate."""
import re
import signal
import socket
import threading
import time

import pytest

import procfs
from asking import ask
from harness import IS_SANITIZED, SLOW, STREAMS, config, listener

ECANCELED = -125
LATE_S = 1  # a timeout is noticed within that
LONG = "30s"


def serve(start, mode, handler="sys_stuck", more=(), name="s", **keys):
    timeouts = keys.pop("timeouts")
    return start(listener(name, handler, mode, timeouts=timeouts, **keys), *more,
                 top={"log": {"connections": "all"}})


def wait_as(client, how):
    assert client.ask(how) == "waiting"
    return client


def ended(daemon, reason, kind="connection", count=1):
    """Waits until so many have ended for this reason, and nothing else has happened to them."""
    daemon.log.wait(rf"{kind} ended: {reason};", count=count)
    state = daemon.until(lambda state: state["s"].is_balanced and state["s"], "all have ended")
    assert (state.failed, state.crashed, state.timed_out) == (0, 0, 0)
    assert not daemon.log.find(r" (warning|error): 's'")


def took(client, began):
    """How long it took from `began` until the client saw the end."""
    assert client.is_at_end()
    return time.monotonic() - began


def at_due_time(seconds, timeout):
    return timeout - 0.05 <= seconds < timeout + LATE_S * SLOW


# first_byte

@pytest.mark.interrupts
@pytest.mark.parametrize("protocol", STREAMS)
def test_a_client_that_sends_nothing_is_ended(start, mode, protocol):
    daemon = serve(start, mode, protocol=protocol, timeouts={"first_byte": "400ms"})
    began = time.monotonic()
    assert at_due_time(took(daemon.connect("s"), began), 0.4)
    ended(daemon, "first byte timeout")
    assert len(daemon.log.find("finish called")) == 1


@pytest.mark.interrupts
def test_one_byte_is_enough_for_the_first(start, mode):
    daemon = serve(start, mode, timeouts={"first_byte": "300ms"})
    client = daemon.connect("s").send("p")
    assert client.is_silent(0.9)
    assert client.ask("ing") == "pong"


@pytest.mark.interrupts
@pytest.mark.parametrize("protocol", STREAMS)
def test_a_first_byte_that_nobody_counts_is_one(start, mode, protocol):
    """Read past the calls that count. It is asked for once: looks that follow cost nothing."""
    daemon = serve(start, mode, protocol=protocol, environment={"UNCOUNTED": "1"}, timeouts={"first_byte": "300ms"})
    client = daemon.connect("s")
    for _ in range(3):
        assert client.send("x").exactly(1) == b"x"
        assert client.is_silent(0.5)
    assert not daemon.log.find("connection ended")
    # of a Unix socket nobody knows how much has come: it stays 0
    kernel_knows = protocol == "tcp"
    assert (ask(daemon, "connections")["connections"][0]["bytes_in"] > 0) == kernel_knows


@pytest.mark.interrupts
def test_who_sends_nothing_is_ended_though_nobody_counts(start, mode):
    daemon = serve(start, mode, environment={"UNCOUNTED": "1"}, timeouts={"first_byte": "400ms"})
    began = time.monotonic()
    assert at_due_time(took(daemon.connect("s"), began), 0.4)
    ended(daemon, "first byte timeout")


@pytest.mark.interrupts
def test_a_client_that_is_waited_for_by_another_number_has_its_total_time_alone(start, mode):
    """As docs/writing-a-handler.md has it."""
    daemon = serve(start, mode, timeouts={"idle": "200ms", "min_rate": "1KiB/s", "grace": "100ms", "total": "1s"})
    began = time.monotonic()
    client = daemon.connect("s").send("duplicate\n")
    assert client.line() == "waiting"
    assert at_due_time(took(client, began), 1)
    ended(daemon, "total timeout")


# idle

@pytest.mark.interrupts
@pytest.mark.parametrize("how", ["recv", "poll", "fgets", "client", None])
def test_a_client_that_goes_silent_is_ended_however_it_is_waited_for(start, mode, how):
    daemon = serve(start, mode, timeouts={"idle": "400ms"})
    client = daemon.connect("s")
    if how:
        wait_as(client, how)
    else:
        assert client.ask("ping") == "pong"
    began = time.monotonic()
    assert at_due_time(took(client, began), 0.4)
    ended(daemon, "idle timeout")
    if how:
        assert daemon.log.find(rf"{how} ended with {ECANCELED}")
    assert len(daemon.log.find("finish called")) == 1


@pytest.mark.interrupts
def test_a_client_is_not_idle_while_its_handler_waits_for_something_else(start, mode):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        daemon = serve(start, mode, timeouts={"idle": "200ms"}, max_connections=8)
        ways = ["sleep", "wait", "connect tcp:127.0.0.1:%d" % silent.getsockname()[1]]
        for how in ways[:1] if mode == "serial" else ways:
            assert wait_as(daemon.connect("s"), how).is_silent(0.6)
        assert not daemon.log.find("connection ended")
        daemon.stop(signal.SIGQUIT)


@pytest.mark.interrupts
def test_bytes_either_way_keep_a_connection(start, mode):
    daemon = serve(start, mode, timeouts={"idle": "400ms"})
    client = daemon.connect("s")
    for _ in range(12):
        assert client.is_silent(0.1)
        assert client.ask("ping") == "pong"
    assert not daemon.log.find("connection ended")


@pytest.mark.interrupts
def test_the_next_connection_of_a_flow_has_all_its_time(start, mode):
    daemon = serve(start, mode, timeouts={"idle": "500ms"}, forking={"connections_per_child": 0})
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        with daemon.connect("s") as client:
            assert client.ask("ping") == "pong"
    client = daemon.connect("s")
    assert client.ask("ping") == "pong"
    began = time.monotonic()
    assert at_due_time(took(client, began), 0.5)


@pytest.mark.interrupts
def test_what_passes_uncounted_keeps_a_connection(start, mode):
    """As with splice(2) in handler proxy."""
    daemon = serve(start, mode, timeouts={"idle": "400ms"})
    client = wait_as(daemon.connect("s"), "uncounted")
    for _ in range(15):
        assert client.is_silent(0.1)
        assert client.send("x").exactly(1) == b"x"
    began = time.monotonic()
    # the kernel is asked twice for what it has carried
    assert 0.35 <= took(client, began) < 3 * 0.4 + 2 * LATE_S * SLOW
    ended(daemon, "idle timeout")


@pytest.mark.parametrize("mode", ["threading", "fibers"])
def test_a_session_has_its_timeouts_too(start, mode):
    daemon = serve(start, mode, protocol="udp", udp={"session_timeout": LONG},
                   timeouts={"idle": "400ms"})
    client = daemon.connect("s")
    assert client.ask_text("ping\n") == "pong"
    daemon.log.wait("session ended: idle timeout")
    # the next datagram begins a new one
    assert client.ask_text("ping\n") == "pong"
    ended(daemon, "idle timeout", "session", count=2)


# send

class Reader:
    """Takes what comes, so much at a time and no faster than a hundred times a second."""

    def __init__(self, client, size):
        self.client, self.size, self.count = client, size, 0
        self.last = time.monotonic()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stop.wait(0.01):
            data = self.client.sock.recv(self.size)
            self.last = time.monotonic()
            self.count += len(data)
            if not data:
                return

    def end(self):
        self.stop.set()
        self.thread.join()


@pytest.mark.interrupts
@pytest.mark.parametrize("how", ["send", "sendfile", "print", "pollout"])
@pytest.mark.parametrize("protocol", STREAMS)
def test_a_client_that_takes_nothing_is_ended(start, mode, protocol, how):
    daemon = serve(start, mode, protocol=protocol, timeouts={"send": "400ms"})
    worker = daemon.worker("s")
    client = wait_as(daemon.connect("s"), how)
    before = procfs.memory_kib(worker)
    began = time.monotonic()
    daemon.log.wait(f"{how} ended with {ECANCELED}")
    assert at_due_time(time.monotonic() - began, 0.4)
    ended(daemon, "send timeout")
    if mode != "forking" and not IS_SANITIZED:
        assert procfs.memory_kib(worker) - before < 1024
    client.close()


@pytest.mark.interrupts
@pytest.mark.parametrize("how", ["send", "sendfile", "print"])
@pytest.mark.parametrize("protocol", STREAMS)
def test_a_client_that_takes_little_by_little_is_left_alone_until_it_stops(start, mode, protocol,
                                                                         how):
    daemon = serve(start, mode, protocol=protocol, timeouts={"send": "500ms", "idle": "600ms"})
    # with a large one the client's kernel tells only now and then that there is room again
    keys = {"receive_buffer": 65536} if protocol == "tcp" else {}
    reader = Reader(wait_as(daemon.connect("s", **keys), how), 8192)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        assert not daemon.log.find("connection ended")
        reader.stop.wait(0.1)
    assert reader.count > 0
    reader.end()
    daemon.log.wait(f"{how} ended with {ECANCELED}")
    # its kernel may have taken nothing for a moment before
    assert 0.2 < time.monotonic() - reader.last < 0.5 + LATE_S * SLOW
    ended(daemon, "send timeout")


def test_the_handlers_own_timeout_of_a_send_still_holds(start, mode):
    daemon = serve(start, mode, "sys_stream", timeouts={"send": LONG, "idle": LONG})
    client = daemon.connect("s")
    began = time.monotonic()
    client.send("timeout 200;flood 64\nquit\n")
    daemon.log.wait("connection ended: (timeout|done);")
    # and the second that closing takes
    assert at_due_time(time.monotonic() - began, 0.2 + 1)


# total

@pytest.mark.interrupts
@pytest.mark.parametrize("how", ["recv", "sleep", "poll", "wait", "send", "raw"])
def test_a_connection_has_its_time_whatever_it_does(start, mode, how):
    # one of these ways is that of handlers that do not know of fibers
    daemon = serve(start, mode, timeouts={"total": "500ms"}, fibers={"warn_after": "none"})
    began = time.monotonic()
    client = wait_as(daemon.connect("s"), how)
    if how == "send":
        daemon.log.wait("send ended with")
        seconds = time.monotonic() - began
    else:
        seconds = took(client, began)
    assert at_due_time(seconds, 0.5)
    ended(daemon, "total timeout")
    assert len(daemon.log.find("finish called")) == 1


@pytest.mark.interrupts
def test_a_busy_connection_has_its_time_too(start, mode):
    daemon = serve(start, mode, timeouts={"total": "500ms", "idle": "300ms"})
    client, began = daemon.connect("s"), time.monotonic()
    with pytest.raises(OSError):
        while client.ask("ping") == "pong":
            pass
        raise ConnectionResetError
    assert at_due_time(time.monotonic() - began, 0.5)
    ended(daemon, "total timeout")


@pytest.mark.interrupts
def test_a_handler_that_computes_on_is_left_to_the_timeout_for_handlers(start, mode):
    daemon = serve(start, mode, timeouts={"total": "300ms", "handler": "1200ms"})
    client, began = wait_as(daemon.connect("s"), "block"), time.monotonic()
    assert at_due_time(took(client, began), 0.3)
    daemon.log.wait("has not returned 1 s after it was cancelled")
    daemon.until(lambda state: state["s"].crashed == 1 and state["s"].serving, "ended, replaced")


@pytest.mark.parametrize("protocol", ["udp", "unixgram"])
def test_a_datagram_has_its_time_too(start, mode, protocol):
    daemon = serve(start, mode, protocol=protocol, timeouts={"total": "300ms"})
    daemon.connect("s").send("sleep\n")
    ended(daemon, "total timeout", "datagram")


# min_rate

def trickle(client, seconds, pause):
    """A byte now and then, until the end comes or the time is over; whether it came."""
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            client.send("x")
            while not client.is_silent(pause):
                if not client.some():
                    return True
    except OSError:
        return True
    return False


@pytest.mark.interrupts
@pytest.mark.parametrize("handler", ["sys_stuck", "echo"])
def test_a_client_that_trickles_is_ended(start, mode, handler):
    daemon = serve(start, mode, handler,
                   timeouts={"min_rate": "100B/s", "grace": "500ms", "idle": LONG})
    client, began = daemon.connect("s"), time.monotonic()
    assert trickle(client, 5 * SLOW, 0.1)
    assert at_due_time(time.monotonic() - began, 0.5)
    ended(daemon, "below the minimum rate")


@pytest.mark.interrupts
def test_a_client_that_is_fast_enough_is_left_alone(start, mode):
    daemon = serve(start, mode, "echo", timeouts={"min_rate": "1KiB/s", "grace": "300ms"})
    client, deadline = daemon.connect("s"), time.monotonic() + 1.5
    while time.monotonic() < deadline:
        assert client.send(b"x" * 512).exactly(512)
        assert client.is_silent(0.05)
    assert not daemon.log.find("connection ended")


@pytest.mark.interrupts
def test_between_messages_a_client_may_be_silent(start, mode):
    daemon = serve(start, mode, "echo", timeouts={"min_rate": "1KiB/s", "grace": "300ms"})
    client = daemon.connect("s")
    for _ in range(2):
        assert client.is_silent(0.8)
        assert client.send(b"x" * 4096).exactly(4096)
    assert client.is_silent(0.8)
    assert not daemon.log.find("connection ended")


# all of them

@pytest.mark.interrupts
def test_a_client_is_still_watched_while_its_worker_drains(start, mode):
    daemon = serve(start, mode, timeouts={"idle": "1s"})
    client = wait_as(daemon.connect("s"), "recv")
    assert daemon.reload(config(listener("s", "sys_stuck", mode, timeouts={"idle": LONG}),
                                log={"connections": "all"}))
    assert client.is_at_end()
    ended(daemon, "idle timeout")


@pytest.mark.interrupts
@pytest.mark.alone
@pytest.mark.parametrize("mode", ["threading", "fibers", "forking"])
def test_many_are_ended_together_and_the_others_served(start, mode):
    """500 clients that send nothing, or half a line, are gone a second after their time."""
    count = 200 if mode == "forking" else 500
    daemon = serve(start, mode, max_connections=1000, backlog=1000,
                   forking={"max_children": 300, "spare_children": 32},
                   timeouts={"first_byte": "3s", "idle": "3s"})
    clients = [daemon.connect("s") for _ in range(count)]
    for client in clients[::2]:
        client.send("half a line")
    daemon.until(lambda state: state["s"].open == count, "all are being served")
    began = time.monotonic()
    worker = daemon.worker("s")
    before = procfs.cpu_seconds(worker)
    busy = daemon.connect("s")
    while not daemon.log.find("connection ended"):
        assert busy.ask("ping") == "pong"
        assert busy.is_silent(0.05)
    used = procfs.cpu_seconds(worker) - before
    for client in clients:
        assert client.is_at_end()
    assert time.monotonic() - began < 3 + LATE_S * SLOW
    assert busy.ask("ping") == "pong"
    # so many lines at once may be more than the pipe of the log takes
    daemon.until(lambda state: ask(daemon, "status")["listeners"][0]["connections"]["ended"] ==
                 {"first_byte_timeout": count // 2, "idle_timeout": count // 2}, "all are counted")
    assert used < 0.3 * SLOW, used


def test_a_listener_without_a_client_looks_for_none_of_the_others(start):
    """Keys that are not for a protocol are refused."""
    for protocol, key in [("unixgram", "idle"), ("udp", "send"), ("unixgram", "min_rate")]:
        value = "100B/s" if key == "min_rate" else "1s"
        daemon = start(listener("s", "echo", protocol=protocol, timeouts={key: value}),
                       is_awaited=False)
        daemon.expected_exit = 78
        assert daemon.wait_exit() == 78
        assert re.search(rf"timeouts.{key} is for protocol", daemon.log.text())
