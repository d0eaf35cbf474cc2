"""Children of a forking worker that serve one connection after the other: what signals, orders and handlers do
to them."""
import contextlib
import os
import re
import signal
import time

import pytest

import procfs
from asking import Asking, ask
from client import Client
from harness import DATAGRAMS, PROTOCOLS, SLOW, config, listener
from test_fault_signals import end_traced, needs_strace, run_traced

ONE = {"max_children": 1, "spare_children": 1, "connections_per_child": 0}


def serve(start, handler="sys_drain", **keys):
    return start(listener("f", handler, "forking", forking=ONE, **keys))


def only_child(daemon):
    worker = daemon.worker()
    child, = daemon.until(lambda _: len(procfs.children(worker)) == 1 and procfs.children(worker), "a child")
    return child


def is_served(daemon):
    """A client that may be idle is not ended for that, and its handler is told of no draining."""
    mark = daemon.log.mark()
    with daemon.connect() as client:
        assert client.ask("idle recv") == "waiting"
        assert client.ask("x") == "ended 2"
    assert daemon.log.wait(r"idle recv ended with (-?\d+), draining (\d)", mark).groups() == ("2", "0")


@pytest.mark.interrupts
def test_a_signal_that_nobody_ordered_changes_nothing_for_a_waiting_child(start):
    daemon = serve(start)
    child = only_child(daemon)
    os.kill(child, signal.SIGTERM)
    is_served(daemon)
    assert only_child(daemon) == child


@pytest.mark.interrupts
def test_a_signal_that_nobody_ordered_changes_nothing_for_a_busy_child(start):
    daemon = serve(start)
    child = only_child(daemon)
    with daemon.connect() as client:
        assert client.ask("idle recv") == "waiting"
        os.kill(child, signal.SIGTERM)
        assert client.ask("x") == "ended 2"
    is_served(daemon)
    assert only_child(daemon) == child


@pytest.mark.interrupts
def test_orders_that_come_together_end_their_connection_and_no_other(start):
    """Of two the first signal may find both; or the second comes when the connection is over."""
    daemon = serve(start)
    child = only_child(daemon)
    for _ in range(20):
        client = daemon.connect()
        assert client.ask("busy recv") == "waiting"
        order = {"command": "kill", "id": ask(daemon, "connections")["connections"][0]["id"]}
        with contextlib.ExitStack() as stack:
            asking = [stack.enter_context(Asking(daemon.control, order)) for _ in range(6)]
            assert asking[0].answer()["ok"]
            # it may be over before they are heard
            assert all(one.answer()["ok"] in (True, False) for one in asking[1:])
        assert client.is_at_end()
    is_served(daemon)
    assert only_child(daemon) == child
    ended = ask(daemon, "status")["listeners"][0]["connections"]["ended"]
    assert {reason: count for reason, count in ended.items() if count} == {"killed": 20, "closed_by_client": 1}


@pytest.mark.interrupts
@pytest.mark.parametrize("is_busy", [True, False])
def test_a_child_hears_of_draining_after_a_signal_that_nobody_ordered(start, is_busy):
    daemon = serve(start)
    child = only_child(daemon)
    if is_busy:
        client = daemon.connect()
        assert client.ask("idle recv") == "waiting"
    os.kill(child, signal.SIGTERM)
    assert daemon.reload(config(listener("f", "sys_drain", "forking", forking=ONE, environment={"N": "1"})))
    assert not procfs.wait_deaths([child], 5)
    if is_busy:
        assert client.is_at_end()
        daemon.log.wait("idle recv ended with -125, draining 1")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_child_that_has_lost_its_sockets_is_replaced(start, protocol):
    """Its own copies: the worker's, and those of other children, are as they were."""
    daemon = serve(start, "sys_socket", protocol=protocol)
    child, worker = only_child(daemon), daemon.worker()
    if protocol in DATAGRAMS:
        # the answer was to leave through one of them
        daemon.connect().send(b"close")
    else:
        assert daemon.connect().ask("close") == "1"
        daemon.close_clients()
    daemon.log.wait(rf"'f' child {child}: handler '.*sys_socket.so' has closed its listening socket; the child ends "
                    "and is replaced")
    with daemon.connect() as client:
        told = client.ask("user") if protocol not in DATAGRAMS else client.ask_text("user")
    assert int(told.split()[1]) == only_child(daemon) != child
    assert daemon.worker() == worker


def test_children_that_begin_without_sockets_take_no_processor_time(start):
    """What tries to become a daemon closes all that is not its own."""
    daemon = start(listener("f", "sys_fault", "forking", options={"at": "child_start", "what": "close_fds"}))
    # with its way to the log: the worker tells
    daemon.log.wait(r"'f' child \d+ .* ended with status 0x100 outside a connection; trying again every 100 ms")
    worker = daemon.worker()
    before = procfs.cpu_seconds(worker, *procfs.children(worker))
    assert daemon.connect().is_silent(1)
    assert procfs.cpu_seconds(worker, *procfs.children(worker)) - before <= 0.1 * SLOW
    assert daemon.worker() == worker


@needs_strace
def test_a_port_is_given_up_though_draining_began_between_accepting_and_serving(place):
    """The child's call has a connection already, and returns only when the worker drains."""
    other = listener("other", "echo")
    process, told = run_traced(place, ["accept4:delay_exit=1000000"],
                               config(listener("f", "sys_drain", "forking", forking=ONE), other,
                                      drain_timeout="60s"))
    try:
        host, port = re.search(r"'f' listening on tcp (\S+):(\d+)", "".join(told)).groups()
        tracer = f"/proc/{process.pid}/task/{process.pid}/children"
        with open(tracer, encoding="ascii") as file:
            supervisor = int(file.read().split()[0])
        child, = [pid for worker in procfs.children(supervisor) for pid in procfs.children(worker)]
        before = procfs.count_fds(child)
        with Client((host, int(port))) as client:
            deadline = time.monotonic() + 10
            while procfs.count_fds(child) == before:
                assert time.monotonic() < deadline
            (place / "handlerd.conf").write_text(config(other, drain_timeout="60s"))
            os.kill(supervisor, signal.SIGHUP)
            for line in process.stderr:
                assert "reload failed" not in line, line
                if "notice: reloaded in " in line:
                    break
            assert client.ask("busy recv") == "waiting"
            with pytest.raises(ConnectionRefusedError):
                Client((host, int(port)))
            assert client.ask("x") == "ended 2"
    finally:
        status, _ = end_traced(process)
    assert status == 0
