"""What is left of the rates of clients outlives the worker that has counted: one that crashes, is
recycled, replaced or has ended because it had nothing to do, under each concurrency."""
import os
import re
import signal

import pytest

import procfs
from harness import CRASHES, config, listener
from installing import upgrade
from test_limits import explain, is_served, limited
from tracing import Failing, needs_strace

ONE, OTHER, LAST = "127.0.0.2", "127.0.0.3", "127.0.0.4"
SOURCE = {"rate_per_source": "1/h", "rate_per_source_burst": 3}
ALL = {"rate": "1/h", "rate_burst": 3, "on_limit": "close"}


def comes(daemon, source=ONE):
    """Whether a client from there is served, who leaves again."""
    with daemon.connect(source=(source, 0)) as client:
        return is_served(client)


def often(daemon, times, source=ONE):
    return [comes(daemon, source) for _ in range(times)]


def comes_alone(daemon, source=ONE):
    """The same, and the end of the connection is counted when this returns."""
    is_served = comes(daemon, source)
    daemon.until(lambda state: state["e"].open == 0, "nobody else is there")
    return is_served


def kill_worker(daemon):
    """It is replaced at once."""
    worker, mark = daemon.worker(), daemon.log.mark()
    os.kill(worker, signal.SIGKILL)
    daemon.log.wait("was killed by signal 9", mark)
    daemon.until(lambda state: state["e"].serving and state["e"].serving[0].pid != worker,
                 "another worker serves")


def left(daemon, source=ONE):
    """The tokens of a source, as handlerctl tells."""
    return explain(daemon, source)[2]["rate_per_source"]["text"]


@pytest.mark.parametrize("protocol", ["tcp", "unix"])
def test_a_source_that_kills_its_worker_has_no_more_tokens_than_before(start, mode, protocol):
    daemon = start(limited(mode, protocol, **SOURCE))

    def come(times):
        if protocol == "tcp":
            return often(daemon, times)
        served = []
        for _ in range(times):
            with daemon.connect() as client:
                served.append(is_served(client))
        return served

    assert come(2) == [True] * 2
    kill_worker(daemon)
    assert come(3) == [True, False, False]
    for _ in range(3):
        kill_worker(daemon)
        assert come(1) == [False]
    if protocol == "tcp":
        assert often(daemon, 4, OTHER) == [True] * 3 + [False]


def test_who_does_not_come_between_two_crashes_is_known_after_them(start, mode):
    daemon = start(limited(mode, **SOURCE))
    assert often(daemon, 3) + often(daemon, 1, OTHER) == [True] * 4
    kill_worker(daemon)
    assert often(daemon, 1, OTHER) == [True]
    kill_worker(daemon)
    kill_worker(daemon)
    assert (often(daemon, 1), often(daemon, 2, OTHER)) == ([False], [True, False])


def test_datagrams_that_were_answered_count_on(start, mode):
    daemon = start(limited(mode, "udp", **SOURCE))
    client = daemon.connect()
    assert [client.ask(b"x") for _ in range(2)] == [b"x", b"x"]
    kill_worker(daemon)
    assert client.ask(b"x") == b"x"
    client.send(b"x")
    daemon.until(lambda state: state["e"].refused == 1, "it is dropped")


def test_the_rate_of_all_goes_on_too(start, mode):
    daemon = start(limited(mode, **ALL))
    assert comes_alone(daemon) and comes_alone(daemon, OTHER)
    kill_worker(daemon)
    kill_worker(daemon)
    assert explain(daemon, LAST)[2]["rate"]["text"] == "the listener has 1 of 3 left, and gets 1/h"
    assert comes_alone(daemon)
    assert explain(daemon, LAST)[:2] == ("refused", "rate")
    assert not comes(daemon, LAST)


def test_who_waits_for_the_rate_of_all_waits_on(start, mode):
    daemon = start(limited(mode, rate="1/h", rate_burst=1))
    assert comes(daemon)
    kill_worker(daemon)
    assert daemon.connect().is_silent(0.2)
    assert explain(daemon, ONE)[:2] == ("waits", None)


def test_a_handler_that_clients_can_crash_does_not_reset_their_limit(start):
    daemon = start(listener("f", "sys_fault", limits=SOURCE), env=CRASHES)

    def crash():
        with daemon.connect("f") as client:
            try:
                return client.ask("segv") is not None
            except ConnectionError:
                return True

    for count in range(1, 4):
        mark = daemon.log.mark()
        assert crash()
        daemon.log.wait("was killed by signal 11", mark)
        daemon.until(lambda state: state["f"].serving, "it is replaced")
    with daemon.connect("f") as client:
        assert client.is_at_end()
    assert daemon.listener("f").refused == 1


def test_connections_of_a_worker_that_is_gone_do_not_count_and_its_buckets_do(start, mode):
    daemon = start(limited(mode, connections_per_source=1, **SOURCE))
    client = daemon.connect(source=(ONE, 0))
    assert is_served(client)
    kill_worker(daemon)
    assert client.is_at_end()
    assert comes_alone(daemon) and comes_alone(daemon)
    decision, reason, rules = explain(daemon, ONE)
    assert (decision, reason) == ("refused", "source_rate")
    assert rules["connections_per_source"]["text"] == "its source has 0 of 1 connections"
    assert not comes(daemon)


def test_what_is_explained_between_two_workers_is_what_happens(start, mode):
    daemon = start(limited(mode, **SOURCE))
    assert often(daemon, 2) == [True] * 2
    kill_worker(daemon)
    assert left(daemon) == "its source has 1 of 3 left, and gets 1/h"
    assert left(daemon, OTHER) == "its source has 3 of 3 left, and gets 1/h"
    assert comes(daemon)
    assert explain(daemon, ONE)[:2] == ("refused", "source_rate")


def test_recycling_goes_on_with_the_buckets(start, mode):
    daemon = start(limited(mode, **SOURCE).replace("limits =", 'recycle = { connections = 4; }; '
                                                   "limits =", 1))
    others = (f"127.0.1.{number}" for number in range(1, 250))
    assert often(daemon, 3) == [True] * 3
    # of the second and the third worker the first source never asks anything
    for _ in range(3):
        mark = daemon.log.mark()
        assert all(comes(daemon, next(others)) for _ in range(5))
        daemon.log.wait("recycled: its worker", mark)
        daemon.until(lambda state: not state["e"].draining, "the old one is gone")
    assert not comes(daemon)
    assert left(daemon, "127.0.1.1") == "its source has 2 of 3 left, and gets 1/h"


@pytest.mark.parametrize("at_once", [16, 4000])
def test_reloads_go_on_with_the_buckets_of_who_did_not_come_meanwhile(start, mode, at_once):
    daemon = start(limited(mode, **SOURCE))
    assert often(daemon, 3) == [True] * 3
    for text in "abc":
        # with another size of the table
        keys = {"at_once": at_once} if text == "b" and mode in ("threading", "fibers") else {}
        assert daemon.reload(config(limited(mode, banner=text, **keys, **SOURCE)))
        daemon.until(lambda state: not state["e"].draining, "the old one is gone")
        assert not daemon.log.find("ended before its drain deadline")
    assert left(daemon) == "its source has 0 of 3 left, and gets 1/h"
    assert not comes(daemon)
    kill_worker(daemon)
    assert not comes(daemon)
    assert comes(daemon, OTHER)


def test_a_faster_rate_keeps_nobody_out_after_a_crash(start):
    daemon = start(limited(**SOURCE))
    assert often(daemon, 4) == [True] * 3 + [False]
    kill_worker(daemon)
    assert daemon.reload(config(limited(rate_per_source="20/s")))
    daemon.until(lambda _: comes(daemon), "it may come again")
    kill_worker(daemon)
    daemon.until(lambda _: comes(daemon), "and again")
    # nor is anything known once the rate is gone
    assert daemon.reload(config(limited(connections_per_source=5)))
    kill_worker(daemon)
    assert daemon.reload(config(limited(**SOURCE)))
    assert comes(daemon)


def test_upgrades_keep_the_buckets_of_workers_that_are_gone(start, installed, mode):
    # where clients wait, a flow that is killed may have had a token that it would have given back
    daemon = start(limited(mode, **(SOURCE | ALL | {"rate_burst": 9})))
    assert comes_alone(daemon) and comes_alone(daemon)
    kill_worker(daemon)
    assert upgrade(daemon)
    assert left(daemon) == "its source has 1 of 3 left, and gets 1/h"
    kill_worker(daemon)
    assert (comes_alone(daemon), comes_alone(daemon)) == (True, False)
    assert upgrade(daemon) and upgrade(daemon)
    kill_worker(daemon)
    assert not comes(daemon)
    assert explain(daemon, OTHER)[2]["rate"]["text"] == (
        "the listener has 6 of 9 left, and gets 1/h")


def test_a_worker_on_demand_ends_and_the_next_one_goes_on(start, mode):
    daemon = start(limited(mode, **SOURCE).replace(
        "limits =", 'start = "on_demand"; idle_exit = "100ms"; limits =', 1))
    for expected in ([True] * 2, [True, False], [False]):
        mark = daemon.log.mark()
        assert often(daemon, len(expected)) == expected
        daemon.log.wait("'e' was idle; its worker ends", mark)
        daemon.until(lambda state: not state["e"].serving, "no worker is left")
    assert left(daemon) == "its source has 0 of 3 left, and gets 1/h"
    assert comes(daemon, OTHER)


def test_what_is_kept_goes_when_the_buckets_are_full(start):
    daemon = start(limited(rate_per_source="20/s", rate_per_source_burst=10))

    def kept():
        return [name for name in procfs.fds(daemon.pid).values() if "handlerd-buckets" in name]

    assert comes(daemon)
    assert kept() == []
    kill_worker(daemon)
    daemon.until(lambda _: kept() == [], "nothing is left to be known")
    for _ in range(5):
        assert comes(daemon)
        kill_worker(daemon)
        assert len(kept()) <= 2
    assert daemon.listener().refused == 0


def test_a_handler_can_write_nothing_that_others_have_counted(start, mode, who):
    """Neither what is left of workers that are gone, nor the numbers of those that drain."""
    def tries(**keys):
        keys.setdefault("limits", SOURCE)
        return listener("e", "sys_tries", mode, sandbox={"seccomp": "off"}, max_connections=9,
                        options={"at_start": "write_pages"}, **keys)

    daemon = start(tries(), user=who)
    with daemon.connect() as client:
        assert client.ask("write_pages") == "0"
    kill_worker(daemon)
    client = daemon.connect()
    assert client.ask("write_pages") == "0"
    maps = procfs.read(daemon.worker(), "maps")
    assert re.search("r--s .*memfd:handlerd-buckets", maps)
    if mode == "serial":
        client.close()
    # the old one drains
    assert daemon.reload(config(tries(limits=SOURCE | {"banner": "x"})))
    with daemon.connect(source=(OTHER, 0)) as other:
        assert other.ask("write_pages") == "0"
    assert mode == "serial" or client.ask("write_pages") == "0"
    found = [line.string for line in daemon.log.find(r"at start write_pages: \S+")]
    assert len(found) == 3 and all(line.endswith("write_pages: 0") for line in found), found


@needs_strace
def test_without_memory_for_what_is_left_the_next_worker_serves_all_the_same(start):
    daemon = start(limited(**SOURCE))
    assert often(daemon, 3) == [True] * 3
    with Failing([daemon.pid], "fallocate:error=ENOSPC"):
        kill_worker(daemon)
        daemon.log.wait("'e': what is left of its rates cannot be kept: No space left on device")
    assert often(daemon, 4) == [True] * 3 + [False]
    kill_worker(daemon)
    assert not comes(daemon)
