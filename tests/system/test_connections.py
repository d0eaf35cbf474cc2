"""What a worker tells of its connections: ids, peers, bytes, what they are doing."""
import time

import pytest

import board
from harness import listener

FIRST_OF_SECOND = 10 ** 12 + 1


@pytest.mark.parametrize("protocol", ["tcp", "unix"])
def test_peer_bytes_age_and_phase_of_a_connection(start, mode, protocol):
    daemon = start(listener("f", "sys_drain", mode, protocol=protocol))
    before = time.monotonic_ns()
    client = daemon.connect("f")
    assert client.ask("busy recv") == "waiting"
    seen = board.of(daemon, client)
    assert seen.id == 1
    assert before < seen.opened_ns < time.monotonic_ns()
    assert (seen.bytes_in, seen.phase) == (10, "handle")
    # the client has the bytes a moment before they are counted
    daemon.until(lambda _: board.of(daemon, client).bytes_out == 8, "the answer is counted")
    client.send("x").exactly(len("ended 1\n"))
    assert client.ask("idle recv") == "waiting"
    seen = board.of(daemon, client)
    assert (seen.bytes_in, seen.phase) == (21, "idle")
    daemon.until(lambda _: board.of(daemon, client).bytes_out == 24, "the answers are counted")
    client.half_close().rest()
    daemon.until(lambda _: not board.connections(daemon), "it is gone")


def test_an_ipv6_peer(start, mode):
    daemon = start(listener("f", "sys_drain", mode, "[::1]:0"))
    client = daemon.connect("f")
    assert client.ask("busy recv") == "waiting"
    assert board.of(daemon, client).bytes_in == 10


def test_a_session_of_datagrams(start):
    daemon = start(listener("e", "echo", protocol="udp", udp={"session_timeout": "3s"}))
    client = daemon.connect("e")
    assert client.ask(b"12345") == b"12345"
    assert client.ask(b"123") == b"123"
    daemon.until(lambda _: board.of(daemon, client)[2:4] == (8, 8), "both are counted")
    assert board.of(daemon, client).phase == "idle"


@pytest.mark.parametrize("mode", ["threading", "forking"])
def test_ids_are_unique_in_the_daemon_and_never_come_again(start, mode):
    daemon = start(listener("a", "sys_drain", mode), listener("b", "sys_drain", mode))
    first, second = daemon.connect("a"), daemon.connect("b")
    assert first.ask("busy recv") == second.ask("busy recv") == "waiting"
    assert {board.of(daemon, first).id, board.of(daemon, second).id} == {1, FIRST_OF_SECOND}
    assert daemon.reload(text=daemon.file.read_text().replace(
        "concurrency", 'environment = { N = "1" }; concurrency'))
    third = daemon.connect("a")
    assert third.ask("busy recv") == "waiting"
    # of the third or the fourth worker
    assert board.of(daemon, third).id in (2 * 10 ** 12 + 1, 3 * 10 ** 12 + 1)
    # those that drain are still there
    assert len(board.connections(daemon)) == 3
