"""Limits of clients: how many connections one source may have, how many come in a time, and what
becomes of those that are too many, under each concurrency and protocol."""
import concurrent.futures
import errno
import json
import os
import signal
import socket
import subprocess
import time

import pytest

import procfs
from ctl import ctl
from harness import SLOW, TEST_HANDLERS, config, listener, run
from network import namespace

SOURCES = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
BANNER = "421 too many\r\n"
DRAINS = f'handler = "{TEST_HANDLERS / "sys_drain.so"}"'


def echo(mode="threading", protocol="tcp", name="e", **keys):
    keys.setdefault("max_connections", 32)
    if mode == "threading":
        keys.setdefault("threading", {"min_threads": 1})
    return listener(name, "echo", mode, protocol=protocol, **keys)


def limited(mode="threading", protocol="tcp", at_once=None, **limits):
    """With so many connections at once, which serial always has one of."""
    keys = {"limits": limits}
    if at_once:
        keys["max_connections"] = at_once
        if mode == "forking":
            keys["forking"] = {"max_children": at_once, "spare_children": 1}
    return echo(mode, protocol, **keys)


def is_served(client):
    """Whether it is echoed; else it was cut off."""
    try:
        return client.send(b"x").exactly(1) == b"x"
    except (ConnectionResetError, BrokenPipeError):
        return False


def served_client(daemon):
    """A new client that is served, or None: where limits reset, that can be before connect is over."""
    try:
        client = daemon.connect()
    except ConnectionResetError:
        return None
    return client if is_served(client) else None


def how_it_ends(daemon):
    """Whether the end of a new client is orderly, without sending anything."""
    try:
        return "closed" if daemon.connect().sock.recv(1) == b"" else "served"
    except ConnectionResetError:
        return "reset"


def ended(daemon, name="e"):
    """How many were turned away, as the balance has it."""
    return daemon.listener(name).refused


def is_busy(client):
    """Whether it is served by a handler that is not idle: draining leaves it alone."""
    try:
        return client.ask("busy recv") == "waiting"
    except (ConnectionResetError, BrokenPipeError):
        return False


def busy_ones(mode, at_once=None, **limits):
    return limited(mode, at_once=at_once, **limits).replace('handler = "echo"', DRAINS)


def open_many(daemon, count, source=None):
    """From one source; those that are served, and how many were not."""
    served, refused = [], 0
    for _ in range(count):
        client = daemon.connect(source=(source, 0) if source else None)
        if is_served(client):
            served.append(client)
        else:
            refused += 1
            client.close()
    return served, refused


# connections_per_source

@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_a_source_has_as_many_connections_as_it_may_and_others_their_own(start, mode):
    daemon = start(limited(mode, connections_per_source=2))
    for source in SOURCES:
        served, refused = open_many(daemon, 5, source)
        assert (len(served), refused) == (2, 3)
    assert ended(daemon) == 9
    # what it gives up it may have again, without delay
    served[0].close()
    daemon.until(lambda state: state["e"].open == 5, "one is over")
    assert [len(open_many(daemon, 2, SOURCES[2])[0])] == [1]


@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_a_user_of_a_unix_socket_is_a_source(start, mode):
    daemon = start(limited(mode, "unix", connections_per_source=3))
    served, refused = open_many(daemon, 5)
    assert (len(served), refused) == (3, 2)
    daemon.log.wait(r"refused: connections of its source")


def test_serial_counts_a_source_too(start):
    daemon = start(limited("serial", connections_per_source=1))
    for _ in range(20):
        with daemon.connect(source=(SOURCES[0], 0)) as client:
            assert is_served(client)
    assert ended(daemon) == 0


@pytest.mark.parametrize("mode", ["threading", "fibers"])
def test_sessions_of_a_source_are_limited_and_end_with_them(start, mode):
    daemon = start(listener("e", "sys_datagram", mode, protocol="udp",
                            udp={"session_timeout": "300ms"},
                            limits={"connections_per_source": 2}))
    clients = [daemon.connect() for _ in range(3)]
    answers = []
    for client in clients:
        client.send("add 1\n")
        answers.append(not client.is_silent(0.1 * SLOW))
    assert answers == [True, True, False]
    other = daemon.connect(source=(SOURCES[0], 0))
    assert len(other.ask("add 1\n")) == 1
    daemon.until(lambda state: state["e"].open == 0, "the sessions are over")
    assert len(clients[2].ask("add 1\n")) == 1


def test_a_prefix_makes_many_addresses_one_source(start):
    daemon = start(limited(connections_per_source=2, source_prefix={"ipv4": 24}))
    served = [is_served(daemon.connect(source=(f"127.0.0.{last}", 0))) for last in (2, 3, 4)]
    assert served == [True, True, False]
    assert is_served(daemon.connect(source=("127.0.1.2", 0)))


@pytest.mark.root
@pytest.mark.parametrize("prefix, expected", [(None, [1, 1, 0, 1]), (128, [1, 1, 1, 1])])
def test_a_source_of_ipv6_is_a_64(place, start, prefix, expected):
    addresses = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"]
    with namespace():
        for address in addresses:
            subprocess.run(["ip", "addr", "add", f"{address}/128", "dev", "lo", "nodad"],
                           check=True, env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
        limits = {"connections_per_source": 2}
        if prefix:
            limits["source_prefix"] = {"ipv6": prefix}
        daemon = start(echo(address="[::]:0", limits=limits))
        port = daemon.port()
        served = []
        for address in addresses:
            sock = socket.create_connection(("2001:db8::1", port), 10 * SLOW, (address, 0))
            sock.sendall(b"x")
            try:
                served.append(sock.recv(1) == b"x")
            except ConnectionResetError:
                served.append(False)
            daemon.clients.append(sock)
        assert served == [bool(one) for one in expected]


@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_counts_of_sources_are_exact_under_parallel_clients(start, mode):
    daemon = start(limited(mode, connections_per_source=5))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        clients = [daemon.connect(source=(SOURCES[i % 2], 0)) for i in range(40)]
        served = list(pool.map(is_served, clients))
    assert sum(served[0::2]) == sum(served[1::2]) == 5
    state = daemon.listener()
    assert (state.open, state.refused) == (10, 30)


def test_a_child_that_is_killed_gives_its_source_back(start):
    daemon = start(listener("f", "sys_fault", "forking", limits={"connections_per_source": 1}))
    for _ in range(5):
        client = daemon.connect()
        pid = int(client.ask("pid"))
        assert daemon.connect().is_at_end()
        os.kill(pid, signal.SIGKILL)
        assert client.is_at_end()
        daemon.until(lambda state: state["f"].open == 0, "it is buried")


def test_a_child_that_is_killed_while_it_closes_has_served_once(start):
    daemon = start(listener("f", "sys_fault", "forking", limits={"connections_per_source": 1}))
    client = daemon.connect(receive_buffer=4096)
    pid = int(client.ask("pid"))
    client.send("linger\n")
    client.sock.shutdown(socket.SHUT_WR)
    daemon.until(lambda state: state["f"].finished == 1, "its handler is over")
    since = daemon.log.mark()
    os.kill(pid, signal.SIGKILL)
    daemon.log.wait(rf"child {pid} ", since)
    state = daemon.listener()
    assert (state.accepted, state.finished, state.crashed, state.open) == (1, 1, 0, 0)
    assert daemon.connect().ask("ping") == "pong"


@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_what_an_older_generation_serves_counts_for_its_source(start, mode):
    daemon = start(busy_ones(mode, connections_per_source=2))
    old = [daemon.connect(source=(SOURCES[0], 0)) for _ in range(2)]
    assert all(is_busy(client) for client in old)
    assert daemon.reload(config(busy_ones(mode, connections_per_source=2, rate="1000000/s")))
    assert not is_busy(daemon.connect(source=(SOURCES[0], 0)))
    assert is_busy(daemon.connect(source=(SOURCES[1], 0)))
    old[0].close()
    daemon.until(lambda state: state["e"].open == 2, "one of the old ones is over")
    assert [is_busy(daemon.connect(source=(SOURCES[0], 0))) for _ in range(2)] == [True, False]


def test_a_reload_that_changes_what_a_source_is_begins_counting_anew(start):
    daemon = start(busy_ones("threading", connections_per_source=1))
    old = daemon.connect(source=(SOURCES[0], 0))
    assert is_busy(old)
    assert daemon.reload(config(busy_ones("threading", connections_per_source=1,
                                          source_prefix={"ipv4": 24})))
    assert daemon.listener("e").open == 1
    assert is_busy(daemon.connect(source=(SOURCES[0], 0)))
    # all of the network from now on
    assert not is_busy(daemon.connect(source=(SOURCES[1], 0)))


def test_an_older_generation_that_crashes_takes_its_counts_with_it(start):
    daemon = start(busy_ones("threading", connections_per_source=2))
    killed, first = daemon.worker(), daemon.connect()
    assert is_busy(first)
    assert daemon.reload(config(busy_ones("threading", connections_per_source=2, rate="100/s")))
    assert is_busy(daemon.connect())
    assert daemon.reload(config(busy_ones("threading", connections_per_source=2, rate="200/s")))
    assert not is_busy(daemon.connect())
    os.kill(killed, signal.SIGKILL)
    assert first.is_at_end()
    daemon.until(lambda state: len(state["e"].draining) == 1, "one of two is gone")
    assert [is_busy(daemon.connect()) for _ in range(2)] == [True, False]


def test_a_worker_that_crashes_takes_its_counts_with_it(start):
    daemon = start(limited(connections_per_source=1))
    client = daemon.connect()
    assert is_served(client)
    os.kill(daemon.worker(), signal.SIGKILL)
    assert client.is_at_end()
    mark = daemon.log.mark()
    daemon.until(lambda state: state["e"].serving, "it is replaced", mark)
    assert is_served(daemon.connect())


# Rates

@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
def test_a_source_comes_as_often_as_it_may(start, mode):
    daemon = start(limited(mode, rate_per_source="1/h", rate_per_source_burst=3))
    for source in SOURCES[:2]:
        served = []
        for _ in range(5):
            with daemon.connect(source=(source, 0)) as client:
                served.append(is_served(client))
        assert served == [True] * 3 + [False] * 2
    daemon.log.wait(r"refused: rate of its source")
    assert ended(daemon) == 4


@pytest.mark.parametrize("protocol", ["udp", "unixgram"])
@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
def test_datagrams_are_counted_one_by_one(start, mode, protocol):
    daemon = start(limited(mode, protocol, rate_per_source="1/h", rate_per_source_burst=4))
    client = daemon.connect()
    for _ in range(10):
        client.send(b"x")
    daemon.until(lambda state: state["e"].accepted == 10 and state["e"].open == 0, "all are read")
    assert (len(client.everything()), ended(daemon)) == (4, 6)


@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
def test_all_together_come_as_often_as_they_may(start, mode):
    daemon = start(limited(mode, rate="1/h", rate_burst=3, on_limit="close"))
    served = []
    for i in range(6):
        with daemon.connect(source=(SOURCES[i % 3], 0)) as client:
            served.append(is_served(client))
        daemon.until(lambda state: state["e"].open == 0, "its flow is free")
    assert served == [True] * 3 + [False] * 3
    daemon.log.wait(r"refused: rate;")


@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
def test_who_is_too_early_waits_for_the_next_token(start, mode):
    daemon = start(limited(mode, rate="10/s", rate_burst=1))
    cpu, began = procfs.cpu_seconds(daemon.worker()), time.monotonic()
    clients = [daemon.connect() for _ in range(8)]
    for client in clients:
        client.send(b"x")
        assert client.exactly(1) == b"x"
        client.close()
    took = time.monotonic() - began
    # seven intervals, and no delay that adds up
    assert 0.65 <= took <= 1.5 * SLOW, took
    assert ended(daemon) == 0
    assert procfs.cpu_seconds(daemon.worker()) - cpu <= 0.05 * SLOW


def test_a_token_that_was_not_needed_finds_whoever_waits_for_the_next(start):
    """Those who may not come in hold it for a moment, in which other threads find none."""
    daemon = start(echo("threading", threading={"min_threads": 1, "idle_timeout": "500ms"},
                        limits={"rate": "1/h", "rate_burst": 9},
                        access={"allow": [SOURCES[0]]}))
    few = procfs.count_threads(daemon.worker())

    def come_in_vain(_):
        with daemon.connect() as client:
            return client.is_at_end()

    crowd = [daemon.connect(source=(SOURCES[0], 0)) for _ in range(8)]
    assert all(is_served(client) for client in crowd)
    daemon.close_clients()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(come_in_vain, range(1000)))
    daemon.until(lambda _: procfs.count_threads(daemon.worker()) <= few,
                 "no thread waits for a token any more")
    assert is_served(daemon.connect(source=(SOURCES[0], 0)))


@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
def test_a_pause_and_the_end_are_seen_while_clients_wait_for_a_token(start, mode):
    daemon = start(limited(mode, rate="1/h", rate_burst=1))
    assert is_served(daemon.connect())
    daemon.close_clients()
    waiting = daemon.connect()
    assert waiting.is_silent(0.1)
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 2 * SLOW


@pytest.mark.parametrize("mode", ["threading", "fibers"])
def test_datagrams_wait_in_the_queue_for_their_tokens(start, mode):
    daemon = start(limited(mode, "udp", rate="10/s", rate_burst=1))
    client, began = daemon.connect(), time.monotonic()
    for _ in range(5):
        client.send(b"x")
    for _ in range(5):
        assert client.receive() == b"x"
    assert 0.35 <= time.monotonic() - began <= 1.2 * SLOW


@pytest.mark.parametrize("mode", ["threading", "fibers"])
def test_sessions_beyond_the_rate_are_dropped_and_others_go_on(start, mode):
    daemon = start(listener("e", "sys_datagram", mode, protocol="udp",
                            udp={"session_timeout": "5s"}, limits={"rate": "1/h"}))
    first, second = daemon.connect(), daemon.connect()
    assert len(first.ask("add 1\n")) == 1
    decision, reason, rules = explain(daemon, SOURCES[0])
    assert (decision, reason, rules["rate"]["says"]) == ("refused", "rate", "refuses")
    second.send("add 1\n")
    assert len(first.ask("add 1\n")) == 1
    assert second.is_silent(0)
    assert daemon.listener("e").refused == 1


@pytest.mark.parametrize("mode", ["threading", "fibers"])
@pytest.mark.parametrize("on_limit", ["wait", "close"])
def test_sessions_beyond_max_connections_wait_and_explain_says_so(start, mode, on_limit):
    daemon = start(listener("e", "sys_datagram", mode, protocol="udp", max_connections=1,
                            udp={"session_timeout": "300ms"}, limits={"on_limit": on_limit}))
    first, second = daemon.connect(), daemon.connect(source=(SOURCES[0], 0))
    assert len(first.ask("add 1\n")) == 1
    decision, reason, rules = explain(daemon, SOURCES[0])
    assert (decision, reason, rules["max_connections"]["says"]) == ("waits", None, "waits")
    # until the first session is over
    assert len(second.ask("add 1\n")) == 1
    assert daemon.listener("e").refused == 0


def test_a_reload_does_not_fill_the_buckets(start):
    limits = {"rate_per_source": "1/h", "rate_per_source_burst": 2}
    daemon = start(limited(**limits))
    assert [is_served(daemon.connect()) for _ in range(2)] == [True, True]
    daemon.close_clients()
    assert daemon.reload(config(limited(**limits, banner="no\n")))
    assert not is_served(daemon.connect())
    assert is_served(daemon.connect(source=(SOURCES[0], 0)))


def test_who_came_too_often_is_not_kept_out_once_the_rate_is_raised(start):
    daemon = start(limited(rate_per_source="1/h", rate_per_source_burst=2))
    assert [is_served(daemon.connect()) for _ in range(3)] == [True, True, False]
    daemon.close_clients()
    assert daemon.reload(config(limited(rate_per_source="20/s")))
    deadline = time.monotonic() + 5 * SLOW
    while not is_served(daemon.connect()):
        daemon.close_clients()
        assert time.monotonic() < deadline


def test_what_the_rate_of_all_refuses_costs_its_source_nothing(start):
    daemon = start(limited(rate="10/s", rate_burst=1, on_limit="close", rate_per_source="1/h",
                           rate_per_source_burst=3))
    served = 0
    deadline = time.monotonic() + 5 * SLOW
    while served < 3 and time.monotonic() < deadline:
        with daemon.connect() as client:
            served += is_served(client)
    assert served == 3


# What becomes of them

@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
@pytest.mark.parametrize("way, expected", [("close", "closed"), ("reset", "reset")])
def test_a_source_beyond_its_limit_is_closed_or_reset(start, mode, way, expected):
    daemon = start(limited(mode, connections_per_source=1, on_source_limit=way))
    assert is_served(daemon.connect())
    assert how_it_ends(daemon) == expected


@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
@pytest.mark.parametrize("way, expected", [("close", "closed"), ("reset", "reset")])
def test_a_client_beyond_max_connections_is_closed_or_reset(start, mode, way, expected):
    daemon = start(limited(mode, at_once=3, on_limit=way))
    most = 1 if mode == "serial" else 3
    clients = [daemon.connect() for _ in range(most)]
    assert all(is_served(client) for client in clients)
    assert [how_it_ends(daemon) for _ in range(10)] == [expected] * 10
    daemon.log.wait(r"refused: limit of connections")
    state = daemon.listener()
    assert (state.open, state.refused, state.accepted) == (most, 10, most + 10)
    # as soon as a flow is free again, the next one is served
    clients[0].close()
    daemon.until(lambda state: state["e"].open == most - 1, "one is over")
    served = daemon.until(lambda _: served_client(daemon), "served again")
    assert how_it_ends(daemon) == expected
    assert is_served(served)


def test_threads_of_fibers_refuse_together(start):
    daemon = start(echo("fibers", max_connections=8, fibers={"threads": 3},
                        limits={"on_limit": "close"}))
    clients = [daemon.connect() for _ in range(60)]
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(is_served, clients)) == 8
    state = daemon.listener()
    assert (state.open, state.refused, state.accepted) == (8, 52, 60)


@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_served_and_refused_are_all_that_came_and_never_more_than_the_limit(start, mode):
    daemon = start(limited(mode, at_once=8, on_limit="close"))
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        clients = [daemon.connect() for _ in range(80)]
        served = list(pool.map(is_served, clients))
    assert sum(served) == 8
    state = daemon.listener()
    assert (state.open, state.refused, state.accepted) == (8, 72, 80)


@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_nobody_is_refused_while_a_flow_is_free(start, mode):
    daemon = start(limited(mode, at_once=4, on_limit="close"))
    others = [daemon.connect() for _ in range(2)]
    assert all(is_served(other) for other in others)
    for _ in range(100):
        with daemon.connect() as client:
            assert is_served(client)
        daemon.until(lambda state: state["e"].open == 2, "it is over")
    assert ended(daemon) == 0


@pytest.mark.parametrize("mode", ["serial", "threading", "forking"])
def test_datagrams_beyond_the_limit_are_read_and_dropped(start, gates, mode):
    keys = {"forking": {"max_children": 1, "spare_children": 1}} if mode == "forking" else {}
    daemon = start(listener("e", "sys_datagram", mode, protocol="udp", max_connections=1,
                            threading={"min_threads": 1}, limits={"on_limit": "close"}, **keys))
    client, gate = daemon.connect(), gates()
    client.send(f"gate {gate.path};add 1\n")
    daemon.until(lambda state: state["e"].open == 1, "it is busy")
    for _ in range(50):
        client.send("add 1\n")
    daemon.until(lambda state: state["e"].refused == 50, "they are dropped")
    gate.open()
    assert client.receive() == b"waits" and len(client.receive()) == 1


@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_older_generations_leave_no_room_and_nobody_waits(start, mode):
    daemon = start(busy_ones(mode, at_once=2, on_limit="close"))
    old = [daemon.connect() for _ in range(2)]
    assert all(is_busy(client) for client in old)
    assert daemon.reload(config(busy_ones(mode, at_once=2, on_limit="close", banner=BANNER)))
    assert daemon.connect().rest() == BANNER.encode()
    old[0].close()
    daemon.until(lambda state: state["e"].open == 1, "one is over")
    assert is_busy(daemon.connect())


def test_a_paused_listener_refuses_nobody(start):
    daemon = start(limited("threading", at_once=1, on_limit="close"))
    assert is_served(daemon.connect())
    assert how_it_ends(daemon) == "closed"
    assert ctl("pause", "--control", daemon.control, "e").returncode == 0
    waiting = daemon.connect()
    assert waiting.is_silent(0.1)
    assert ctl("resume", "--control", daemon.control, "e").returncode == 0
    assert waiting.is_at_end()


# The banner

@pytest.mark.parametrize("protocol", ["tcp", "unix"])
@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
def test_a_banner_is_sent_before_a_close(start, mode, protocol):
    daemon = start(limited(mode, protocol, at_once=1, on_limit="close", banner=BANNER))
    assert is_served(daemon.connect())
    assert daemon.connect().rest() == BANNER.encode()


def test_what_the_client_has_sent_already_does_not_take_the_banner_away(start):
    daemon = start(limited(connections_per_source=1, banner=BANNER))
    assert is_served(daemon.connect())
    for _ in range(50):
        os.kill(daemon.worker(), signal.SIGSTOP)
        client = daemon.connect().send(b"x" * 30000)
        os.kill(daemon.worker(), signal.SIGCONT)
        assert client.rest() == BANNER.encode()
        client.close()


def test_a_reset_has_no_banner(start):
    daemon = start(limited(connections_per_source=1, banner=BANNER, on_source_limit="reset"))
    assert is_served(daemon.connect())
    assert how_it_ends(daemon) == "reset"


# The rate of bytes

RATE = 64 * 1024
BURST = RATE // 4


def in_time(took, size):
    """Not faster than it may be, and not much slower."""
    least = (size - BURST) / RATE
    assert least * 0.95 <= took <= least * 1.3 + 0.3 * SLOW, (took, least)


@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
@pytest.mark.parametrize("protocol, how", [("tcp", "flood 1"), ("tcp", "sendzeros 96"),
                                           ("tcp", "long 98304"), ("unix", "flood 1")])
def test_bytes_leave_as_fast_as_they_may(start, mode, protocol, how):
    daemon = start(listener("s", "sys_stream", mode, protocol=protocol,
                            limits={"send_rate": "64KiB/s"}))
    size, client = 96 * 1024, daemon.connect()
    began = time.monotonic()
    client.send(how + "\n")
    assert len(client.exactly(size)) == size
    in_time(time.monotonic() - began, size)


@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
def test_bytes_are_taken_as_fast_as_they_may_be(start, mode):
    daemon = start(echo(mode, limits={"receive_rate": "64KiB/s"},
                        timeouts={"idle": "300ms", "min_rate": "10B/s", "grace": "300ms"}))
    size, client = 96 * 1024, daemon.connect()
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        sent = pool.submit(lambda: client.send(b"x" * size).half_close())
        assert client.rest() == b"x" * size
        sent.result()
    in_time(time.monotonic() - began, size)


def test_a_rate_holds_for_each_connection_and_holds_up_no_other_fiber(start):
    daemon = start(listener("s", "sys_stream", "fibers", limits={"send_rate": "4KiB/s"}))
    slow = daemon.connect().send("flood 1\n")
    assert len(slow.exactly(1500)) == 1500
    began = time.monotonic()
    for _ in range(20):
        with daemon.connect() as other:
            assert other.ask("send hello") == "hello5"
    assert time.monotonic() - began < 0.5 * SLOW


@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_who_waits_for_his_rate_is_cancelled_at_the_deadline(start, mode):
    daemon = start(listener("s", "sys_stream", mode, limits={"send_rate": "1B/s"}),
                   top={"drain_timeout": "200ms"})
    assert len(daemon.connect().send("flood 1\n").exactly(1)) == 1
    began = time.monotonic()
    assert daemon.stop() == 0
    assert 0.15 <= time.monotonic() - began <= 1.0 * SLOW


def test_a_handler_that_may_not_wait_is_told_so(start):
    daemon = start(listener("s", "sys_stream", limits={"send_rate": "8B/s"}))
    # two at once; the next may go after 125 ms
    line = daemon.connect().ask("timeout 0;send xxxx;send y;timeout -1")
    assert line == f"xx2 {-errno.ETIMEDOUT}"


# Memory

@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
def test_a_request_has_as_much_memory_as_it_may(start, mode):
    daemon = start(listener("s", "sys_stream", mode, limits={"request_memory": "32KiB"}))
    for _ in range(3):
        with daemon.connect() as client:
            assert client.ask("alloc 10000;alloc 10000;alloc 10000;alloc 10") == "1 1 0 1"
            assert client.ask("long 40000;alloc 40000") == f"{-errno.ENOMEM} 0"
    daemon = start(listener("s", "sys_stream", mode))
    assert daemon.connect().ask("alloc 10000;alloc 10000;alloc 10000") == "1 1 1"


def test_a_line_that_takes_too_much_memory_is_told_so(start):
    daemon = start(listener("s", "sys_stream", limits={"request_memory": "16KiB"}))
    client = daemon.connect()
    assert client.ask("alloc 9000") == "1"
    assert client.send("readline 8000\n" + "x" * 7000).line() == str(-errno.ENOMEM)


@pytest.mark.parametrize("mode", ["serial", "threading"])
def test_a_datagram_has_as_much_memory_as_it_may(start, mode):
    daemon = start(listener("s", "sys_stream", mode, protocol="udp",
                            limits={"request_memory": "16KiB", "amplification": 0}))
    client = daemon.connect()
    for _ in range(3):
        assert client.ask_text("alloc 6000;alloc 11000") == "1 0"
        assert client.ask_text("long 20000") == str(-errno.ENOMEM)


# What handlerctl tells of them

def explain(daemon, address):
    """What is said of a client: the decision, its reason, and the text of each rule."""
    result = ctl("explain", "--control", daemon.control, "--json", "e", address)
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    return answer["decision"], answer["reason"], {row["rule"]: row for row in answer["rules"]}


def test_explain_tells_what_is_left_of_the_limits(start):
    daemon = start(limited(connections_per_source=2, rate_per_source="1/h",
                           rate_per_source_burst=3, rate="1/h", rate_burst=4, on_limit="close"))
    clients = [daemon.connect(source=(SOURCES[0], 0)) for _ in range(2)]
    assert all(is_served(client) for client in clients)
    decision, reason, rules = explain(daemon, SOURCES[0])
    assert (decision, reason) == ("refused", "source_connections")
    row = rules["connections_per_source"]
    assert row["text"] == "its source has 2 of 2 connections" and row["says"] == "refuses"
    assert row["file"] == str(daemon.file) and row["line"] > 0
    assert rules["rate_per_source"]["text"] == "its source has 1 of 3 left, and gets 1/h"
    assert rules["rate"]["text"] == "the listener has 2 of 4 left, and gets 1/h"
    assert explain(daemon, SOURCES[1])[0] == "accepted"
    clients[0].close()
    daemon.until(lambda state: state["e"].open == 1, "one is over")
    assert is_served(daemon.connect(source=(SOURCES[0], 0)))
    clients[1].close()
    daemon.until(lambda state: state["e"].open == 1, "one is over")
    assert explain(daemon, SOURCES[0])[:2] == ("refused", "source_rate")
    assert is_served(daemon.connect(source=(SOURCES[1], 0)))
    assert explain(daemon, SOURCES[2])[:2] == ("refused", "rate")


# Floods

@pytest.mark.alone
@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_others_connect_as_fast_while_one_source_opens_thousands(start, mode):
    daemon = start(limited(mode, connections_per_source=8))
    address, times = daemon.address(), []
    script = f"""
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (6000, 6000))
held = []
for _ in range(5000):
    sock = socket.socket(); sock.bind(("127.0.0.9", 0)); sock.connect({address!r})
    held.append(sock)
"""
    flood = subprocess.Popen(["/usr/bin/python3", "-c", script])
    while flood.poll() is None:
        began = time.monotonic()
        with daemon.connect(source=(SOURCES[0], 0)) as client:
            assert is_served(client)
        times.append(time.monotonic() - began)
    assert flood.returncode == 0
    times.sort()
    assert len(times) > 20
    assert times[len(times) * 99 // 100] <= 0.05 * SLOW, times[-10:]
    daemon.until(lambda state: state["e"].accepted == 5000 + len(times), "all were looked at")
    assert ended(daemon) == 4992


@pytest.mark.parametrize("mode", ["threading", "fibers"])
def test_datagrams_of_a_flood_are_read_and_dropped(start, mode):
    daemon = start(limited(mode, "udp", rate_per_source="1/h"))
    client = daemon.connect()
    assert client.ask(b"x") == b"x"
    sent, (host, port) = 20000, daemon.address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((host, port))
        for _ in range(sent):
            sock.send(b"x")
    # the kernel may have had no room for one
    other = daemon.connect(source=(SOURCES[0], 0))
    daemon.until(lambda _: not other.send(b"y").is_silent(0.05), "another source is answered")
    assert client.is_silent(0)
    other.everything()
    before = procfs.cpu_seconds(daemon.worker())
    assert other.is_silent(0.5)
    assert procfs.cpu_seconds(daemon.worker()) - before <= 0.025 * SLOW


@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
@pytest.mark.parametrize("limits", [{"rate": "2/s", "rate_burst": 1}, {"on_limit": "close"}])
def test_a_limit_that_holds_costs_no_time(start, mode, limits):
    daemon = start(limited(mode, at_once=2, **limits))
    held = [daemon.connect() for _ in range(6)]
    assert is_served(held[0])
    pids = [daemon.worker(), *procfs.children(daemon.worker())]
    before = procfs.cpu_seconds(*pids)
    assert held[0].is_silent(1)
    assert procfs.cpu_seconds(*pids) - before <= 0.05 * SLOW


# The configuration

@pytest.mark.parametrize("key, value, told", [
    ("rate", 5, 'limits.rate must have its unit, as a string: write "5/s"'),
    ("rate", "5", 'limits.rate must have its unit, as a string: write "5/s"'),
    ("rate", "5/d", 'limits.rate = "5/d" is no rate'),
    ("rate", "0/s", 'limits.rate = "0/s" is no rate'),
    ("rate_per_source", "2000000/s", 'limits.rate_per_source must be from "1/h" to "1000000/s"'),
    ("connections_per_source", -1, "limits.connections_per_source must be from 0 to 1000000"),
    ("on_limit", "drop", 'limits.on_limit = "drop" is not one of'),
    ("on_source_limit", "wait", 'limits.on_source_limit = "wait" is not one of'),
    ("source_prefix", {"ipv4": 33}, "limits.source_prefix.ipv4 must be from 1 to 32"),
])
def test_values_that_cannot_be_are_refused(place, key, value, told):
    file = place / "handlerd.conf"
    file.write_text(config(echo(limits={key: value})))
    result = run("-t", "-c", file)
    assert result.returncode == 78 and told in result.stderr, result.stderr
