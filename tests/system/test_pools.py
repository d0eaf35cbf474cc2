"""The pool of threads, the children, the one flow: how many there are and which of them serves."""
import os
import signal
import time

import pytest

import procfs
from harness import SLOW, config, listener


def serve(start, mode="forking", **keys):
    return start(listener("f", "sys_fault", mode, **keys))


def child_of(client):
    return int(client.ask("pid"))


def spare(daemon, count):
    """Waits until so many children are there; which."""
    pid = daemon.worker()
    return daemon.until(lambda _: len(procfs.children(pid)) == count and procfs.children(pid),
                        f"{count} children")


# Serial

def test_serial_serves_one_after_the_other_in_one_thread(start):
    daemon = serve(start, "serial")
    first, second = daemon.connect(), daemon.connect().send("ping\n")
    assert first.ask("ping") == "pong"
    assert second.is_silent(0.2)
    first.close()
    assert second.line() == "pong"
    assert procfs.count_threads(daemon.worker()) == 2  # and the control flow


# Threading

def test_threads_grow_with_the_crowd_and_leave_when_it_is_over(start):
    daemon = serve(start, "threading", threading={"min_threads": 2, "idle_timeout": "100ms"})
    pid = daemon.worker()
    assert procfs.count_threads(pid) == 3
    clients = [daemon.connect() for _ in range(20)]
    for client in clients:
        assert child_of(client) == pid
    assert 21 <= procfs.count_threads(pid) <= 22
    daemon.close_clients()
    daemon.until(lambda _: procfs.count_threads(pid) == 3, "the threads leave")
    with daemon.connect() as client:
        assert client.ask("ping") == "pong"


def test_a_crowd_leaves_no_descriptor_and_no_thread_behind(start):
    daemon = serve(start, "threading", threading={"min_threads": 2, "idle_timeout": "50ms"})
    with daemon.connect() as client:
        assert client.ask("ping") == "pong"
    pid = daemon.worker()
    daemon.until(lambda _: procfs.count_threads(pid) == 3, "at rest")
    before = daemon.rest()
    for _ in range(3):
        clients = [daemon.connect() for _ in range(30)]
        for client in clients:
            assert client.ask("ping") == "pong"
        daemon.close_clients()
    daemon.check_rest(before)


@pytest.mark.parametrize("keys", [{"max_connections": 3},
                                  {"threading": {"max_threads": 3, "min_threads": 1}}])
def test_the_smaller_of_both_limits_holds(start, keys):
    daemon = serve(start, "threading", **({"threading": {"min_threads": 1}} | keys))
    served = [daemon.connect() for _ in range(3)]
    for client in served:
        assert client.ask("ping") == "pong"
    fourth = daemon.connect().send("ping\n")
    assert fourth.is_silent(0.2)
    assert procfs.count_threads(daemon.worker()) <= 4
    served[1].close()
    assert fourth.line() == "pong"


def test_the_limit_counts_connections_of_draining_workers(start, mode):
    keys = {"serial": {}, "threading": {"max_connections": 3, "threading": {"min_threads": 1}},
            "forking": {"forking": {"max_children": 3, "spare_children": 1}},
            "fibers": {"max_connections": 3}}[mode]
    limit = 1 if mode == "serial" else 3
    daemon = start(listener("v", "sys_version1", mode, environment={"N": "0"}, **keys))
    old = [daemon.connect() for _ in range(limit)]
    for client in old:
        assert client.ask("x") == "version 1"
    assert daemon.reload(config(listener("v", "sys_version2", mode, environment={"N": "1"},
                                         **keys)))
    new = daemon.connect().send("x\n")
    assert new.is_silent(0.3)
    old[0].close()
    assert new.line() == "version 2"


# Forking

def test_spare_children_are_there_before_any_client(start):
    daemon = serve(start, forking={"spare_children": 3})
    assert len(spare(daemon, 3)) == 3


def test_clients_are_served_by_children_that_were_forked_before_they_came(start):
    daemon = serve(start, forking={"spare_children": 3})
    before = spare(daemon, 3)
    # a worker that stands still forks nobody
    pid = daemon.worker()
    os.kill(pid, signal.SIGSTOP)
    daemon.until(lambda _: procfs.is_stopped(pid), "it stands still")
    try:
        clients = [daemon.connect() for _ in range(3)]
        assert sorted(child_of(client) for client in clients) == before
        fourth = daemon.connect().send("ping\n")
        assert fourth.is_silent(0.2)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert fourth.line() == "pong"


def test_with_one_connection_per_child_every_client_has_its_own_process(start):
    daemon = serve(start, forking={"spare_children": 2})
    seen = []
    for _ in range(10):
        with daemon.connect() as client:
            seen.append(child_of(client))
    assert len(set(seen)) == 10


def test_a_child_serves_as_many_connections_as_it_may(start):
    daemon = serve(start, forking={"spare_children": 1, "connections_per_child": 3})
    seen = []
    for _ in range(9):
        with daemon.connect() as client:
            seen.append(child_of(client))
            assert client.half_close().rest() == b""
    assert all(seen.count(pid) <= 3 for pid in seen), seen
    assert len(set(seen)) < 9


def test_without_a_limit_children_serve_on(start):
    daemon = serve(start, forking={"spare_children": 2, "connections_per_child": 0})
    first = set(spare(daemon, 2))
    for _ in range(30):
        with daemon.connect() as client:
            assert client.ask("ping") == "pong"
            assert client.half_close().rest() == b""
    daemon.until(lambda state: state["f"].finished == 30, "all served")
    assert first & set(procfs.children(daemon.worker()))


@pytest.mark.parametrize("keys", [{"forking": {"max_children": 4}},
                                  {"max_connections": 4, "forking": {"max_children": 50}}])
def test_never_more_children_than_allowed_spare_ones_included(start, keys):
    daemon = serve(start, **keys)
    pid = daemon.worker()
    served = [daemon.connect() for _ in range(4)]
    pids = {child_of(client) for client in served}
    assert len(pids) == 4
    waiting = daemon.connect().send("ping\n")
    assert waiting.is_silent(0.3)
    assert len(procfs.children(pid)) == 4
    served[2].close()
    assert waiting.line() == "pong"
    assert len([one for one in procfs.children(pid) if procfs.is_alive(one)]) <= 4


def test_zero_spare_children_serve_all_the_same(start):
    daemon = serve(start, forking={"spare_children": 0})
    clients = [daemon.connect() for _ in range(5)]
    assert len({child_of(client) for client in clients}) == 5


def test_no_zombie_is_left_after_many_connections(start):
    daemon = serve(start)
    pid = daemon.worker()
    for _ in range(300):
        with daemon.connect() as client:
            assert client.ask("ping") == "pong"
    daemon.until(lambda state: state["f"].finished == 300, "all are over")
    began = time.monotonic()
    daemon.until(lambda _: not [one for one in procfs.children(pid) if procfs.is_zombie(one)],
                 "no zombie for more than a second", timeout=1)
    assert time.monotonic() - began <= 1 * SLOW
    assert len(procfs.children(pid)) <= 8


def test_a_crowd_that_is_over_leaves_the_spare_children(start):
    daemon = serve(start, forking={"spare_children": 2, "connections_per_child": 0})
    clients = [daemon.connect() for _ in range(15)]
    for client in clients:
        assert client.ask("ping") == "pong"
    daemon.close_clients()
    pid = daemon.worker()
    daemon.until(lambda _: 1 <= len(procfs.children(pid)) <= 4, "the others leave")


def test_the_worker_never_forks_with_more_than_one_thread(start):
    daemon = serve(start)
    for _ in range(5):
        with daemon.connect() as client:
            assert client.ask("ping") == "pong"
            assert procfs.count_threads(daemon.worker()) <= 1


def test_children_go_with_their_worker_however_it_ends(start):
    daemon = serve(start)
    client = daemon.connect()
    child_of(client)
    pid = daemon.worker()
    victims = procfs.children(pid)
    os.kill(pid, signal.SIGKILL)
    assert not procfs.wait_deaths([pid, *victims], 2 * SLOW)
    assert client.is_at_end()
    with daemon.connect() as again:
        assert again.ask("ping") == "pong"
