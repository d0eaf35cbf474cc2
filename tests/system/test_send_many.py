"""handlerctl send --count, and the command line."""
import json
import os
import re

import pytest

from ctl import ALL, STREAMS, ctl, echo_datagram, echo_of, refuses, reset, send

FIELDS = ["sent", "answered", "failed", "lost", "duration_ms", "rate_per_s", "latency_min_ms",
          "latency_p50_ms", "latency_p99_ms", "latency_max_ms"]


def summary(result):
    lines = result.stdout.decode().splitlines()
    assert len(lines) == 1
    found = json.loads(lines[0])
    assert list(found) == FIELDS
    return found


@pytest.mark.parametrize("protocol", ALL)
def test_a_summary_of_many(serve, protocol):
    seen = []

    def one(sock):
        seen.append(1)
        echo_of(protocol)(sock)

    server = serve(protocol, one, times=20)
    options = ["--half-close"] if protocol in STREAMS else []
    result = send("--count", 20, "--json", *options, server.target, data=b"abc")
    assert (result.returncode, result.stderr) == (0, "")
    found = summary(result)
    assert len(seen) == 20
    assert [found[name] for name in FIELDS[:4]] == [20, 20, 0, 0]
    latencies = [found[name] for name in FIELDS[6:]]
    assert latencies == sorted(latencies) and latencies[0] > 0
    assert latencies[3] < found["duration_ms"]
    assert found["rate_per_s"] == pytest.approx(20000 / found["duration_ms"], rel=0.01)


def test_the_summary_stands_in_columns(serve):
    server = serve("udp", echo_datagram, times=3)
    head, row = send("--count", 3, server.target, "x").stdout.decode().splitlines()
    assert head.split() == ["sent", "answered", "failed", "lost", "per", "second", "min", "p50",
                            "p99", "max"]
    assert len(head) == len(row)
    assert re.fullmatch(r" *3 +3 +0 +0 +[0-9.]+( +[0-9]+\.[0-9]{3} ms){4}", row)


def test_lost_and_answered_are_told_apart(serve):
    numbers = iter(range(4))

    def every_second(sock):
        data, sender = sock.recvfrom(100)
        if next(numbers) % 2 == 1:
            sock.sendto(data, sender)

    server = serve("udp", every_second, times=4)
    result = send("--count", 4, "--timeout", "250ms", "--json", server.target, "x")
    found = summary(result)
    assert [found[name] for name in FIELDS[:4]] == [4, 2, 0, 2]
    assert found["latency_max_ms"] < 250
    refuses(result, 1, f"2 of 4 were not answered; the first: no answer from {server.name} "
            "within 250ms")


def test_failures_are_counted(serve):
    numbers = iter(range(3))

    def one(client):
        client.recv(100)
        if next(numbers) == 1:
            reset(client)

    server = serve("tcp", one, times=3)
    result = send("--count", 3, "--json", server.target, "x")
    assert [summary(result)[name] for name in FIELDS[:4]] == [3, 2, 1, 0]
    refuses(result, 1, f"1 of 3 were not answered; the first: {server.name} reset the connection; "
            "its log may tell why")


def test_many_to_nobody_is_nobody(place):
    result = send("--count", 3, "--json", f"unix:{place}/none", "x")
    found = summary(result)
    assert [found[name] for name in FIELDS[:4]] == [3, 0, 3, 0]
    assert [found[name] for name in FIELDS[6:]] == [None] * 4
    assert result.returncode == 3


def test_a_listener_that_goes_away_is_a_failure(serve, place):
    def once(sock):
        data, sender = sock.recvfrom(100)
        os.unlink(place / "unixgram.sock")
        sock.sendto(data, sender)

    server = serve("unixgram", once)
    result = send("--count", 2, "--json", server.target, "x")
    assert [summary(result)[name] for name in FIELDS[:4]] == [2, 1, 1, 0]
    assert result.returncode == 1


def test_the_interval_is_between_the_starts(serve):
    server = serve("udp", echo_datagram, times=3)
    found = summary(send("--count", 3, "--interval", "200ms", "--json", server.target, "x"))
    assert found["duration_ms"] >= 400
    assert found["latency_max_ms"] < 200


# The command line

@pytest.mark.parametrize("arguments, complaint", [
    ([], "whom to send to is missing"),
    (["7100"], "does not begin with a protocol"),
    (["tcp:*:7100"], "'*' is where a server listens"),
    (["tpc:127.0.0.1:7100"], "did you mean 'tcp'?"),
    (["tcp:127.0.0.1:7100", "a", "b"], "there is one TEXT; put it into quotes: 'a b'"),
    (["tcp:127.0.0.1:7100", "a", "b", "c"], "put it into quotes: 'a b ...'"),
    (["--bogus", "tcp:127.0.0.1:7100"], "there is no option '--bogus'"),
    (["tcp:127.0.0.1:7100", "--cuont=3"], "there is no option '--cuont'; did you mean '--count'?"),
    (["tcp:127.0.0.1:7100", "-xy"], "there is no option '-x'"),
    (["tcp:127.0.0.1:7100", "--half-close=no"], "--half-close takes no value"),
    (["tcp:127.0.0.1:7100", "--timeout"], "--timeout needs a value"),
    (["tcp:127.0.0.1:7100", "--timeout", "5"], "--timeout '5' is no duration"),
    (["tcp:127.0.0.1:7100", "--timeout", "0s"], "--timeout must be from 1ms to 1d"),
    (["tcp:127.0.0.1:7100", "--timeout", "2d"], "--timeout must be from 1ms to 1d"),
    (["tcp:127.0.0.1:7100", "--count", "0"], "--count must be a number from 1 to 1000000"),
    (["tcp:127.0.0.1:7100", "--count", "1000001"], "--count must be a number from 1 to 1000000"),
    (["tcp:127.0.0.1:7100", "--count", "3", "--interval", "none"], "--interval must be from 0s"),
    (["tcp:127.0.0.1:7100", "--interval", "1s"], "--interval goes with --count"),
    (["tcp:127.0.0.1:7100", "--json"], "--json goes with --count"),
    (["udp:127.0.0.1:7100", "--half-close"], "--half-close goes with tcp and unix"),
])
def test_a_wrong_command_line_ends_with_2_and_says_why(arguments, complaint):
    result = send(*arguments)
    assert (result.returncode, result.stdout) == (2, b"")
    assert complaint in result.stderr
    assert result.stderr.endswith(" handlerctl send --help\n")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments, complaint", [
    ([], "the command is missing; see"),
    (["sned"], "there is no command 'sned'; did you mean 'send'? See"),
    (["frobnicate"], "there is no command 'frobnicate'; see"),
    (["--bogus"], "there is no option '--bogus' before the command; see"),
])
def test_a_wrong_command_is_told(arguments, complaint):
    result = ctl(*arguments)
    refuses(result, 2, f"{complaint} handlerctl --help")
    assert result.stdout == b""


def test_help_and_version():
    result = ctl("--version")
    assert re.fullmatch(rb"handlerctl \d+\.\d+\.\d+\n", result.stdout) and result.returncode == 0
    result = ctl("--help")
    assert b"  send " in result.stdout and result.returncode == 0
    result = send("--help")
    assert result.returncode == 0
    for word in ("tcp:", "udp:", "unix:", "unixgram:", "--timeout", "--half-close", "--count",
                 "--interval", "--json"):
        assert word.encode() in result.stdout
