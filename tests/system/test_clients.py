"""Clients that do not behave: each costs its own connection and nothing else."""
import os
import signal

import pytest

import procfs
from harness import IS_SANITIZED, SLOW, listener


def at_rest(daemon, name, finished):
    """All sessions over, none of them an error of the handler."""
    state = daemon.until(lambda state: state[name].finished == finished and state[name],
                         f"{finished} sessions are over")
    assert (state.accepted, state.failed, state.crashed, state.refused) == (finished, 0, 0, 0)


def complaints(daemon):
    return [row.string for row in daemon.log.find(r" (warning|error): ")
            if "there is no account" not in row.string]


def test_a_client_that_resets_costs_its_own_connection(start, mode):
    daemon = start(listener("echo", mode=mode))
    pid = daemon.worker()
    other = daemon.connect() if mode != "serial" else None
    for _ in range(20):
        client = daemon.connect()
        assert client.send(b"x").exactly(1) == b"x"
        client.reset()
    if other:
        assert other.send(b"y").exactly(1) == b"y"
        other.close()
    at_rest(daemon, "echo", 20 if mode == "serial" else 21)
    assert daemon.worker() == pid
    assert complaints(daemon) == []


def test_a_client_that_resets_before_it_is_accepted_harms_nobody(start):
    daemon = start(listener("echo", mode="serial"))
    holder = daemon.connect()
    assert holder.send(b"x").exactly(1) == b"x"
    for _ in range(20):
        daemon.connect().reset()
    holder.close()
    assert daemon.connect().send(b"y").exactly(1) == b"y"
    assert complaints(daemon) == []


def test_a_client_that_resets_while_it_is_answered_is_no_error_of_the_handler(start, mode):
    daemon = start(listener("chargen", mode=mode))
    for _ in range(10):
        client = daemon.connect()
        assert client.exactly(1000)
        client.reset()
    at_rest(daemon, "chargen", 10)
    assert complaints(daemon) == []


def test_a_client_that_closes_its_side_still_gets_its_answer(start, mode):
    daemon = start(listener("yourmsg", mode=mode))
    with daemon.connect() as client:
        assert client.send(b"bye").half_close().rest() == b"Your msg={bye}"
    at_rest(daemon, "yourmsg", 1)


def test_a_client_that_connects_and_says_nothing_ends_when_it_leaves(start, mode):
    daemon = start(listener("echo", mode=mode))
    for _ in range(20):
        daemon.connect().close()
    at_rest(daemon, "echo", 20)


def test_a_client_that_vanishes_in_the_middle_of_a_line_ends_its_session(start, mode):
    daemon = start(listener("v", "sys_version1", mode))
    for end in ("reset", "close"):
        client = daemon.connect()
        assert client.ask("x") == "version 1"
        client.send("half a li")
        getattr(client, end)()
    at_rest(daemon, "v", 2)


def test_the_last_answer_reaches_a_client_that_has_sent_more_than_was_read(start, mode):
    daemon = start(listener("receipt", mode=mode))
    for _ in range(10):
        with daemon.connect() as client:
            client.send(b"z" * 60000)
            assert client.rest() == "已接收到数据 ".encode() + b"z" * 1024


def test_a_client_that_does_not_close_after_the_answer_holds_its_place_for_a_second_at_most(start):
    daemon = start(listener("daytime", mode="serial"))
    lazy = daemon.connect()
    assert lazy.rest().endswith(b"\r\n")
    assert daemon.connect(timeout=3 * SLOW).rest().endswith(b"\r\n")


def test_a_client_that_keeps_sending_after_the_answer_is_cut_off(start):
    daemon = start(listener("daytime", mode="serial"))
    chatty = daemon.connect()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while True:
            chatty.send(b"x" * 65536)
    assert daemon.connect().rest().endswith(b"\r\n")


def test_a_client_that_never_reads_holds_up_nobody_else(start):
    for mode in ("threading", "forking"):
        daemon = start(listener("chargen", mode=mode), listener("echo", mode=mode))
        deaf = [daemon.connect("chargen", receive_buffer=4096) for _ in range(3)]
        before = procfs.memory_kib(daemon.worker("chargen"))
        for _ in range(50):
            with daemon.connect("chargen") as client:
                assert client.exactly(740).endswith(b"\r\n")
            with daemon.connect("echo") as client:
                assert client.send(b"x").exactly(1) == b"x"
        after = procfs.memory_kib(daemon.worker("chargen"))
        assert IS_SANITIZED or after - before <= 1024
        for client in deaf:
            client.reset()
        daemon.until(lambda state: state["chargen"].open == 0, "all sessions end")


def test_a_crowd_of_resets_leaves_a_worker_at_rest(start, mode):
    daemon = start(listener("echo", mode=mode, threading={"idle_timeout": "50ms"}))
    with daemon.connect() as client:
        assert client.send(b"x").exactly(1) == b"x"
    daemon.until(lambda state: state["echo"].open == 0, "the first session is over")
    before = daemon.rest()
    for number in range(400):
        client = daemon.connect()
        if number % 2:
            client.send(b"x")
        client.reset()
    at_rest_count = daemon.until(lambda state: state["echo"].open == 0 and
                                 state["echo"].is_balanced and state["echo"], "all over")
    assert at_rest_count.failed == 0
    daemon.check_rest(before)
    spare = range(1, 5) if mode == "forking" else [0]
    daemon.until(lambda _: len(procfs.children(daemon.worker())) in spare, "spare children")
    assert complaints(daemon) == []


def test_many_clients_at_once_are_all_served(start, mode, who):
    daemon = start(listener("echo", mode=mode, forking={"max_children": 100}), user=who)
    clients = [daemon.connect() for _ in range(80)]
    for number, client in enumerate(clients):
        client.send(b"%d\n" % number)
    for number, client in enumerate(clients):
        assert client.line() == str(number)
        client.close()
    at_rest(daemon, "echo", 80)


def test_a_frozen_client_process_is_waited_for_without_processor_time(start, mode):
    daemon = start(listener("echo", mode=mode))
    client = daemon.connect()
    assert client.send(b"x").exactly(1) == b"x"
    pids = [daemon.pid, daemon.worker(), *procfs.descendants(daemon.worker())]
    before = procfs.cpu_seconds(*pids)
    assert client.is_silent(0.5)
    assert procfs.cpu_seconds(*pids) - before <= 0.02 * SLOW


def test_a_stopped_worker_serves_its_clients_when_it_goes_on(start):
    daemon = start(listener("echo", mode="threading"), listener("other", "echo"))
    pid = daemon.worker("echo")
    os.kill(pid, signal.SIGSTOP)
    daemon.until(lambda _: procfs.is_stopped(pid), "it stands still")
    client = daemon.connect("echo").send(b"x")
    assert client.is_silent(0.2)
    assert daemon.connect("other").send(b"y").exactly(1) == b"y"
    os.kill(pid, signal.SIGCONT)
    assert client.exactly(1) == b"x"
    assert daemon.worker("echo") == pid
