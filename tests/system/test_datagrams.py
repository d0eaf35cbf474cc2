"""Datagrams over UDP and Unix sockets, in every mode: reading, answering, waiting, limits, crashes
and draining. A client commands the handler with the datagram's first line."""
import os
import socket
import threading

import pytest

from conffile import any_address
from harness import DATAGRAMS, WAIT_S, config, listener

MOST = 65507
EMSGSIZE = -90
TOO_LONG = "longer than max_datagram"


@pytest.fixture(params=DATAGRAMS)
def protocol(request):
    return request.param


@pytest.fixture
def address(protocol):
    return any_address(protocol)


@pytest.fixture
def daemon(start, protocol, mode, address):
    return start(listener("d", "sys_datagram", mode, address, protocol, max_datagram="64KiB"))


def logged(daemon, pattern, count=1):
    return daemon.log.wait(pattern, count=count)


def wait_finished(daemon, count):
    """So many are over, so what they sent has arrived."""
    daemon.until(lambda state: state["d"].finished >= count, f"{count} finished")


# Reading

@pytest.mark.parametrize("size, payload, pieces", [
    (4, b"0123456789", "4 4 2 0"), (5, b"0123456789", "5 5 0"), (8000, b"0123456789", "10 0"),
    (1, b"abc", "1 1 1 0"), (10, b"", "0")])
def test_small_reads_give_the_bytes_in_order_and_0_at_the_end(daemon, size, payload, pieces):
    client = daemon.connect()
    assert client.ask_text(b"pieces %d\n" % size + payload) == pieces
    if payload:
        assert client.ask(b"echo %d\n" % size + payload) == payload


@pytest.mark.parametrize("size", [1, 100, 70000])
def test_the_longest_datagram_goes_through_any_buffer(daemon, size):
    command = b"echo %d\n" % size
    payload = (bytes(range(256)) * 256)[:MOST - len(command)]
    assert daemon.connect().ask(command + payload) == payload


def test_echo_answers_the_longest_datagram(start, protocol, mode):
    daemon = start(listener("echo", mode=mode, protocol=protocol, max_datagram="64KiB"))
    payload = (bytes(range(256)) * 256)[:MOST]
    assert daemon.connect().ask(payload) == payload


def test_longer_ones_are_dropped_and_counted(start, protocol, mode):
    daemon = start(listener("echo", mode=mode, protocol=protocol, max_datagram="1KiB"))
    client = daemon.connect()
    for length in (1025, 1026, 8192, 60000):
        client.send(b"x" * length)
    assert client.ask(b"y" * 1024) == b"y" * 1024
    daemon.until(lambda state: state["echo"].drops == {"kernel": 0, TOO_LONG: 4}, "four counted")
    assert daemon.listener().accepted == 1


def test_one_without_a_byte_is_served(daemon):
    client = daemon.connect()
    client.send(b"")
    logged(daemon, "begins")
    wait_finished(daemon, 1)
    assert client.everything() == []
    assert daemon.drops() == {}


def test_every_request_is_told_to_be_a_datagram(daemon):
    assert daemon.connect().ask_text("is_datagram") == "1"


def test_poll_finds_a_datagram_and_its_end_readable(daemon):
    client = daemon.connect()
    assert client.ask_text("poll -1;recv 5;poll -1;recv 1\nabc") == "1 5 3:616263 1 5 0"


# Answering

def test_an_empty_reply_is_a_reply(daemon):
    assert daemon.connect().ask("add 0") == b""


def test_without_a_send_there_is_no_reply(daemon):
    client = daemon.connect()
    client.send("log nothing")
    wait_finished(daemon, 1)
    assert client.everything() == []
    assert daemon.drops() == {}


def test_all_that_is_sent_becomes_one_reply(daemon):
    client = daemon.connect()
    assert client.ask("add 10;add 0;add 20;is_datagram") == b"\0" * 30 + b"1\n"


@pytest.mark.parametrize("pieces, results, reply", [
    ([MOST], [MOST], MOST), ([MOST, 1], [MOST, EMSGSIZE], MOST), ([MOST + 1], [EMSGSIZE], None),
    ([60000, 6000, 5507], [60000, EMSGSIZE, 5507], MOST), ([MOST, 0], [MOST, 0], MOST)])
def test_a_reply_has_a_most(daemon, pieces, results, reply):
    client = daemon.connect()
    client.send(";".join(f"add {piece}" for piece in pieces))
    wait_finished(daemon, 1)
    assert [int(row[1]) for row in daemon.log.find(r"add \d+ returned (-?\d+)")] == results
    assert [len(one) for one in client.everything()] == ([reply] if reply else [])


def test_a_handler_that_fails_answers_nothing(daemon):
    client = daemon.connect()
    client.send("add 10;fail")
    wait_finished(daemon, 1)
    assert client.everything() == []
    assert daemon.listener().failed == 1


def test_sendto_goes_out_before_the_reply(daemon):
    client = daemon.connect()
    client.send("add 3;back 5;back 0;back 7")
    assert [len(client.receive()) for _ in range(4)] == [5, 0, 7, 3 + len("5 0 7\n")]


def test_sendto_reaches_a_third_one(daemon, protocol):
    client, third = daemon.connect(), daemon.connect()
    own = third.name().replace(":", " ")
    assert client.ask_text(f"to {own}") == "5"
    assert third.receive() == b"hello"
    assert client.everything() == third.everything() == []


def test_sendto_one_that_is_gone_fails_or_is_lost(daemon, protocol):
    client, third = daemon.connect(), daemon.connect()
    own = third.name().replace(":", " ")
    third.close()
    assert client.ask_text(f"to {own}") == ("5" if protocol == "udp" else "-111")


@pytest.mark.parametrize("size, result", [(MOST + 1, EMSGSIZE), (100000, EMSGSIZE)])
def test_sendto_has_the_same_most(daemon, size, result):
    assert daemon.connect().ask_text(f"back {size}") == str(result)


def test_a_unix_client_without_a_name_is_served_and_not_answered(start, mode):
    daemon = start(listener("d", "sys_datagram", mode, protocol="unixgram"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
        nameless.sendto(b"log from here;back 1;add 1", daemon.address())
        wait_finished(daemon, 1)
    logged(daemon, rf"unix pid {os.getpid()} uid {os.getuid()}: from here")
    assert daemon.connect().ask("add 3") == b"\0\0\0"


# Side by side

@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_one_that_waits_holds_up_nobody(daemon, gates):
    """The answers come in the order in which the gates are opened, last in, first out."""
    client = daemon.connect()
    made = [gates() for _ in range(6)]
    for number, gate in enumerate(made):
        client.send(f"gate {gate.path};log open;add {number}")
        assert client.receive() == b"waits"
    assert client.ask("add 100") == b"\0" * 100
    for number, gate in reversed(list(enumerate(made))):
        gate.open()
        assert client.receive() == b"\0" * number


@pytest.mark.parametrize("mode", ["serial"])
def test_serial_answers_one_after_the_other(daemon, gates):
    client, gate = daemon.connect(), gates()
    client.send(f"gate {gate.path};add 1")
    assert client.receive() == b"waits"
    client.send("add 2")
    gate.open()
    assert [client.receive() for _ in range(2)] == [b"\0", b"\0\0"]


@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_no_more_than_the_limit_at_once(start, protocol, mode, gates):
    """The third begins when one of the two has ended."""
    limit = {"threading": {"threading": {"max_threads": 2}},
             "forking": {"forking": {"max_children": 2}}, "fibers": {"max_connections": 2}}[mode]
    daemon = start(listener("d", "sys_datagram", mode, protocol=protocol, **limit))
    client = daemon.connect()
    made = [gates() for _ in range(3)]
    for number, gate in enumerate(made[:2]):
        client.send(f"gate {gate.path};add {number}")
        assert client.receive() == b"waits"
    client.send(f"gate {made[2].path};add 2")
    assert daemon.listener().open == 2
    made[0].open()
    assert [client.receive() for _ in range(2)] == [b"", b"waits"]
    made[1].open()
    assert client.receive() == b"\0"
    made[2].open()
    assert client.receive() == b"\0\0"


@pytest.mark.parametrize("mode", ["forking"])
def test_each_is_served_by_a_process_of_its_own(start, protocol, mode):
    daemon = start(listener("d", "sys_datagram", mode, protocol=protocol,
                            forking={"connections_per_child": 1}))
    client = daemon.connect()
    pids = [client.ask("pid") for _ in range(20)]
    assert len(set(pids)) == 20
    assert str(daemon.worker()).encode() + b"\n" not in pids


@pytest.mark.parametrize("mode", ["forking"])
def test_a_child_serves_as_many_as_it_may(start, protocol, mode):
    daemon = start(listener("d", "sys_datagram", mode, protocol=protocol,
                            forking={"connections_per_child": 5, "max_children": 1}))
    client = daemon.connect()
    pids = [client.ask("pid") for _ in range(15)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [5, 5, 5]


@pytest.mark.parametrize("mode", ["forking"])
def test_a_crash_costs_one_datagram(daemon, gates):
    client, gate = daemon.connect(), gates()
    client.send(f"gate {gate.path};add 7")
    assert client.receive() == b"waits"
    for number in range(5):
        client.send("add 1;kill")
        assert client.ask(f"add {number}") == b"\0" * number
    gate.open()
    assert client.receive() == b"\0" * 7
    daemon.until(lambda state: state["d"].crashed == 5 and state["d"].finished == 6,
                 "five crashes, six answers")
    assert client.everything() == []


# Draining

def changed(protocol, mode, address, size):
    """The same listener at the same address, changed so that it gets another worker."""
    return config(listener("d", "sys_datagram", mode, address, protocol,
                           max_datagram=f"{size}KiB"))


def test_one_in_progress_is_answered_after_a_stop(daemon, gates):
    client, gate = daemon.connect(), gates()
    client.send(f"gate {gate.path};add 9")
    assert client.receive() == b"waits"
    daemon.kill(15)
    logged(daemon, "notice: stopping")
    gate.open()
    assert client.receive() == b"\0" * 9
    assert daemon.wait_exit() == 0


def test_one_in_progress_is_answered_after_a_reload(daemon, protocol, mode, address, gates):
    client, gate = daemon.connect(), gates()
    client.send(f"gate {gate.path};add 9")
    assert client.receive() == b"waits"
    assert daemon.reload(changed(protocol, mode, address, 9))
    # under serial the one that still runs counts for the new worker too
    if mode != "serial":
        assert client.ask("add 3") == b"\0" * 3
    assert len(daemon.listener().draining) == 1
    gate.open()
    assert client.receive() == b"\0" * 9
    assert client.ask("add 4") == b"\0" * 4
    daemon.until(lambda state: not state["d"].draining, "the old worker is gone")


def test_those_behind_one_in_progress_are_answered_after_a_reload(daemon, protocol, mode, address,
                                                                  gates):
    """Whether the old worker has taken them already or leaves them to the new one."""
    client, first, second = daemon.connect(), gates(), gates()
    client.send(f"gate {first.path};add 1")
    assert client.receive() == b"waits"
    client.send(f"gate {second.path};add 2")
    for number in range(3, 8):
        client.send(f"add {number}")
    first.open()
    answers = []
    while b"waits" not in answers:
        answers.append(client.receive())
    assert daemon.reload(changed(protocol, mode, address, 9))
    second.open()
    while len(answers) < 8:
        answers.append(client.receive())
    assert sorted(map(len, answers)) == [1, 2, 3, 4, 5, 5, 6, 7]
    daemon.until(lambda state: not state["d"].draining, "the old worker is gone")


def test_one_that_waits_for_ever_is_cancelled_at_the_deadline(start, protocol, mode, gates):
    daemon = start(listener("d", "sys_datagram", mode, protocol=protocol),
                   top={"drain_timeout": "100ms"})
    client = daemon.connect()
    client.send(f"gate {gates().path};log went on")
    assert client.receive() == b"waits"
    daemon.kill(15)
    assert daemon.wait_exit() == 0
    assert daemon.log.find("went on")


def test_reloads_under_a_stream_of_datagrams_lose_none(daemon, protocol, mode, address):
    """Each client sends the next one when the last was answered; who is not answered fails."""
    is_over, counts, clients = threading.Event(), [0] * 4, [daemon.connect() for _ in range(4)]

    def run(number):
        while not is_over.is_set():
            counts[number] += 1
            assert clients[number].ask(b"echo 9\n%d" % counts[number]) == b"%d" % counts[number]
        answered.append(number)
    answered = []
    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for size in range(9, 15):
        assert daemon.reload(changed(protocol, mode, address, size))
    is_over.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert sorted(answered) == [0, 1, 2, 3]
    assert all(counts) and daemon.drops() == {}
    daemon.until(lambda state: not state["d"].draining, "the old workers are gone")
