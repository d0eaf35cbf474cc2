"""The log of connections: one record for each that has ended, in every format, within its rate."""
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from asking import ask
from client import Client, Datagrams
from harness import PROGRAM, SLOW, config, listener

TEXT = (r"^[\d:.TZ-]{24} info: 'echo' #1 (?P<peer>.+): (?P<kind>\w+) ended: (?P<reason>[a-z ]+); "
        r"(?P<bytes_in>\d+) bytes in, (?P<bytes_out>\d+) bytes out, (?P<ms>\d+\.\d{3}) ms, "
        r"since (?P<start>[\d:.TZ-]{24}); handler 'echo', generation (?P<generation>\d+)$")


def moment(text):
    """Seconds since the epoch of a time as the log has it."""
    date = time.strptime(text[:19] + " UTC", "%Y-%m-%dT%H:%M:%S %Z")
    return time.mktime(date) - time.timezone + float(text[19:-1])


def json_daemon(start, *listeners, **log):
    """One that writes JSON, and the addresses it listens on."""
    daemon = start(*listeners, top={"log": {"format": "json", **log}}, is_awaited=False)
    daemon.log.wait("ready in")
    addresses = [json.loads(line.string)["message"].split()[-1]
                 for line in daemon.log.find("listening on")]
    return daemon, addresses


def address_of(text):
    if text[0] == "@":
        return text.replace("@", "\0", 1)
    host, _, port = text.rpartition(":")
    return host, int(port)


def records(daemon, event):
    rows = [json.loads(line) for line in daemon.log.lines if line.startswith("{")]
    return [record for record in rows if record.get("event") == event]


@pytest.mark.parametrize("protocol, kind, reason", [
    ("tcp", "connection", "closed by the client"), ("unix", "connection", "closed by the client"),
    ("udp", "datagram", "done"), ("unixgram", "datagram", "done")])
def test_the_record_as_text(start, mode, protocol, kind, reason):
    daemon = start(listener("echo", mode=mode, protocol=protocol), top={"log": {"connections": "all"}})
    began = time.time()
    with daemon.connect() as client:
        client.send(b"hello")
        assert (client.receive() if protocol in ("udp", "unixgram") else client.exactly(5)) == b"hello"
    record = re.match(TEXT, daemon.log.wait("ended: ").string)
    assert record, daemon.log.text()
    assert (record["kind"], record["reason"]) == (kind, reason)
    assert (record["bytes_in"], record["bytes_out"], record["generation"]) == ("5", "5", "1")
    if protocol == "unix":
        assert record["peer"] == f"unix pid {os.getpid()} uid {os.getuid()}"
    assert began - 0.01 <= moment(record["start"]) <= time.time()
    assert float(record["ms"]) < 1000 * (time.time() - began) + 1


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_record_as_json(start, mode, protocol):
    daemon, (address,) = json_daemon(start, listener("echo", mode=mode, protocol=protocol),
                                     connections="all")
    make = Datagrams if protocol == "udp" else Client
    with make(address_of(address)) as client:
        client.send(b"hello")
        assert (client.receive() if protocol == "udp" else client.exactly(5)) == b"hello"
        name = "%s:%d" % client.sock.getsockname()
    daemon.log.wait("connection_ended")
    record, = records(daemon, "connection_ended")
    assert record["listener"] == record["handler"] == "echo"
    assert record["connection_id"] == 1 and record["generation"] == 1 and record["peer"] == name
    assert record["bytes_in"] == record["bytes_out"] == 5
    assert record["kind"] == ("datagram" if protocol == "udp" else "connection")
    assert record["reason"] == ("done" if protocol == "udp" else "closed_by_client")
    assert isinstance(record["duration_seconds"], float) and record["duration_seconds"] < 10
    assert abs(moment(record["start"]) + record["duration_seconds"] - moment(record["time"])) < 0.1
    assert "left_out" not in record
    daemon.stop()


@pytest.mark.parametrize("protocol", ["tcp", "unix", "udp", "unixgram"])
def test_those_that_are_refused_have_the_same_record(start, mode, protocol):
    rule = {"deny": ["127.0.0.0/8"]} if protocol in ("tcp", "udp") else \
        {"deny": [f"uid:{os.getuid()}"]}
    daemon, (address,) = json_daemon(start, listener("echo", mode=mode, protocol=protocol,
                                                     access=rule))
    make = Datagrams if protocol in ("udp", "unixgram") else Client
    client = make(address_of(address))
    if make is Datagrams:
        client.send("x")
    else:
        assert client.is_at_end()
    daemon.log.wait('"event":"refused"')
    record, = records(daemon, "refused")
    assert record["reason"] == "access" and record["listener"] == "echo"
    assert record["message"].startswith("refused: access; 0 bytes in")
    if protocol in ("tcp", "udp"):
        assert record["peer"] == "%s:%d" % client.sock.getsockname()
    else:
        assert record["peer"] == f"unix pid {os.getpid()} uid {os.getuid()}"
    client.close()
    daemon.stop()


def test_a_refusal_by_the_handler_is_a_record(start, mode):
    daemon, (address,) = json_daemon(
        start, listener("f", "sys_fault", mode, options={"at": "verify", "what": "fail"}))
    with Client(address_of(address)) as client:
        assert client.is_at_end()
    daemon.log.wait('"event":"refused"')
    record, = records(daemon, "refused")
    assert record["reason"] == "refused_by_handler" and record["connection_id"] == 1
    assert record["message"].startswith("refused by the handler's verify: Input/output error; ")
    daemon.stop()


def test_beyond_the_rate_they_are_counted_and_the_next_record_tells(start, mode):
    daemon = start(listener("echo", mode=mode),
                   top={"log": {"connections": "all", "connection_rate": "5/s"}})

    def come(count):
        for _ in range(count):
            with daemon.connect() as client:
                client.send(b"x").exactly(1)
    come(40)

    def unlogged():
        return ask(daemon, "status")["listeners"][0]["connections"]["unlogged"]

    def is_told(count):
        return len(daemon.log.find("connection ended")) + unlogged() == count
    daemon.until(lambda _: is_told(40), "all have ended")
    assert unlogged() >= 20

    def told():
        come(1)
        return daemon.log.find(r"connection ended: .*; (\d+) before it were left out of the log$")
    first, = daemon.until(lambda _: told()[:1], "the next record tells")
    # each of those that were left out is told once
    seen = sum(int(row[1]) for row in told())
    total = daemon.listener("echo").accepted
    assert int(first[1]) > 0
    daemon.until(lambda _: is_told(total), "all are written or counted")
    assert seen <= unlogged()


def test_without_a_rate_all_are_written(start, mode):
    daemon = start(listener("echo", mode=mode),
                   top={"log": {"connections": "all", "connection_rate": "none"}})
    for _ in range(60):
        with daemon.connect() as client:
            client.send(b"x").exactly(1)
    daemon.log.wait("connection ended", count=60)
    assert ask(daemon, "status")["listeners"][0]["connections"]["unlogged"] == 0


def test_the_number_of_those_left_out_outlives_worker_and_daemon(start):
    def one(seconds):
        return listener("echo", timeouts={"total": f"{seconds}s"})
    log = {"connections": "all", "connection_rate": "1/h"}
    daemon = start(one(50), top={"log": log})
    for _ in range(10):
        with daemon.connect() as client:
            client.send(b"x").exactly(1)
    daemon.until(lambda state: state["echo"].finished == 10, "all have ended")
    assert daemon.reload(config(one(60), log=log))

    def unlogged(_):
        return ask(daemon, "status")["listeners"][0]["connections"]["unlogged"] == 9
    daemon.until(lambda state: len(state["echo"].workers) == 1, "the old worker is gone")
    daemon.until(unlogged, "those of the old worker are kept")
    daemon.kill(signal.SIGUSR2)
    daemon.log.wait("notice: upgraded")
    daemon.until(unlogged, "and by the new daemon")


def test_a_log_that_nobody_reads_holds_up_no_client(place, mode):
    """A pipe that is full: records are dropped and counted, connections served as fast as ever."""
    file = place / "handlerd.conf"
    name = f"@handlerd-test-full-{mode}"
    file.write_text(config(listener("echo", mode=mode, protocol="unix", address=name),
                           log={"connections": "all", "connection_rate": "none"}))
    address = name.replace("@", "\0")
    ends = os.pipe()
    process = subprocess.Popen([str(PROGRAM), "-c", str(file)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=ends[1], cwd="/",
                               env={"PATH": "/usr/bin:/bin",
                                    "HANDLERD_CONTROL": str(place / "control.sock")})
    os.close(ends[1])
    try:
        deadline = time.monotonic() + 10 * SLOW
        text = b""
        while b"ready in" not in text:
            text += os.read(ends[0], 65536)
            assert time.monotonic() < deadline
        slowest = 0
        # each record is some 200 bytes, and a pipe takes 64 KiB
        for _ in range(1500):
            began = time.monotonic()
            with Client(address) as client:
                assert client.send(b"x").exactly(1) == b"x"
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 0.5 * SLOW
        # there is room again: the next records bring the number of those that were dropped
        text, told = os.read(ends[0], 1 << 20), 1500

        def dropped():
            return sum(int(count) for count in re.findall(rb"(\d+) log records were dropped", text))
        while text.count(b"connection ended") + dropped() < told:
            assert time.monotonic() < deadline + 20 * SLOW
            with Client(address) as client:
                client.send(b"x").exactly(1)
            told += 1
            text += os.read(ends[0], 65536)
        assert dropped() > 500
    finally:
        process.terminate()
        process.wait(10 * SLOW)
        os.close(ends[0])


def test_what_a_client_is_called_forges_nothing(start, place):
    """A Unix client chooses its own name, which is a path or any bytes."""
    evil = b"\0x\n2026-01-01T00:00:00.000Z error: forged\x1b[2J\",\"reason\":\"none"
    for form in ("text", "json"):
        daemon = start(listener("echo", protocol="unixgram"), is_awaited=False,
                       top={"log": {"connections": "all", "format": form}})
        daemon.log.wait("ready in")
        address = re.search(r"listening on unixgram (@[\w-]+)", daemon.log.text())[1]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(evil)
            sock.sendto(b"x", address.replace("@", "\0", 1))
            daemon.log.wait("datagram ended")
        daemon.stop()
        assert not [line for line in daemon.log.lines if line.startswith("2026-01-01")]
        assert all("\x1b" not in line for line in daemon.log.lines)
        if form == "json":
            record, = records(daemon, "connection_ended")
            assert record["reason"] == "done"


def test_off_nothing_is_written(start, mode):
    daemon = start(listener("echo", mode=mode, access={"deny": ["127.0.0.2"]}),
                   top={"log": {"connections": "none"}})
    with daemon.connect() as client:
        client.send(b"x").exactly(1)
    assert daemon.connect(source=("127.0.0.2", 0)).is_at_end()
    daemon.until(lambda state: state["echo"].finished == 1 and state["echo"].refused == 1, "both")
    assert not daemon.log.find("info: ")
    assert ask(daemon, "status")["listeners"][0]["connections"]["unlogged"] == 0
