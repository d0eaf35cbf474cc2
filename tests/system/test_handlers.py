"""The handlers that come with handlerd, over real connections, in every mode and as both users."""
import re
import select
import struct
import time

import pytest

from harness import listener

LONG = bytes(range(256)) * 4096  # a megabyte


def test_echo_sends_back_every_message(start, mode, who):
    daemon = start(listener("echo", mode=mode), user=who)
    with daemon.connect() as client:
        for message in (b"one", b"\0\xff\r\n", b"x" * 5000):
            client.send(message)
            assert client.exactly(len(message)) == message
        assert client.half_close().rest() == b""
    daemon.check_balance()
    assert daemon.status()["echo"].accepted == 1


def test_echo_sends_back_a_megabyte_to_a_client_that_closes_its_side(start, mode):
    daemon = start(listener("echo", mode=mode))
    client = daemon.connect(timeout=20)
    received = bytearray()
    client.sock.setblocking(False)
    sent = 0
    poll = select.poll()
    poll.register(client.sock, select.POLLIN | select.POLLOUT)
    while len(received) < len(LONG):
        for _, events in poll.poll(10000):
            if events & select.POLLIN:
                received += client.sock.recv(65536)
            if events & select.POLLOUT and sent < len(LONG):
                sent += client.sock.send(LONG[sent:sent + 65536])
                if sent == len(LONG):
                    client.half_close()
                    poll.modify(client.sock, select.POLLIN)
    assert received == LONG
    client.sock.setblocking(True)
    assert client.rest() == b""


@pytest.mark.parametrize("data", [b"hello", "größe".encode(), b"\0\1\2", b"x" * 1024])
def test_receipt_confirms_once_and_closes(start, mode, data):
    daemon = start(listener("receipt", mode=mode))
    with daemon.connect() as client:
        assert client.send(data).rest() == "已接收到数据 ".encode() + data


def test_receipt_takes_1024_bytes_at_most_and_its_answer_is_not_lost(start, mode):
    daemon = start(listener("receipt", mode=mode))
    with daemon.connect() as client:
        assert client.send(b"y" * 3000).rest() == "已接收到数据 ".encode() + b"y" * 1024


def test_receipt_confirms_nothing_to_a_client_that_sends_nothing(start, mode):
    daemon = start(listener("receipt", mode=mode))
    with daemon.connect() as client:
        assert client.half_close().rest() == "已接收到数据 ".encode()


@pytest.mark.parametrize("sent, answered", [
    (b"0123456789", b"0123456789"),
    (b"0123456789abc", b"0123456789"),
    ("äöü€𝄞äöü€𝄞x".encode(), "äöü€𝄞äöü€𝄞".encode()),
])
def test_makefile_answers_ten_characters(start, mode, sent, answered):
    daemon = start(listener("makefile", mode=mode))
    with daemon.connect() as client:
        assert client.send(sent).rest() == b"Return your msg:{" + answered + b"}"


def test_makefile_waits_for_the_tenth_character_or_the_end(start, mode):
    daemon = start(listener("makefile", mode=mode))
    with daemon.connect() as client:
        client.send(b"01234")
        assert client.is_silent(0.1)
        assert client.half_close().rest() == b"Return your msg:{01234}"


def test_yourmsg_answers_each_message_until_the_client_closes(start, mode):
    daemon = start(listener("yourmsg", mode=mode))
    with daemon.connect() as client:
        for message in (b"one", b"two", "三".encode()):
            answer = b"Your msg={" + message + b"}"
            assert client.send(message).exactly(len(answer)) == answer
        assert client.half_close().rest() == b""


def test_daytime_tells_the_time_in_one_line_and_closes(start, mode):
    daemon = start(listener("daytime", mode=mode, options={"utc": True}))
    with daemon.connect() as client:
        line = client.rest().decode()
    assert re.fullmatch(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\r\n", line), line


def test_time_tells_the_seconds_since_1900_and_closes(start, mode):
    daemon = start(listener("time", mode=mode))
    # time(2) goes by a clock that is late by a tick
    before = int(time.time() - 0.01)
    with daemon.connect() as client:
        answer = client.rest()
    (told,) = struct.unpack("!I", answer)
    assert before <= told - 2208988800 <= int(time.time())


def test_discard_answers_nothing_and_ends_with_the_client(start, mode):
    daemon = start(listener("discard", mode=mode))
    with daemon.connect() as client:
        client.send(b"z" * 300000)
        assert client.half_close().rest() == b""
    daemon.check_balance()
    assert daemon.status()["discard"].finished == 1


def test_chargen_sends_the_pattern_of_rfc_864_until_the_client_leaves(start, mode):
    daemon = start(listener("chargen", mode=mode))
    printable = bytes(range(32, 127))
    with daemon.connect() as client:
        for row in range(300):
            expected = bytes(printable[(row + i) % 95] for i in range(72)) + b"\r\n"
            assert client.exactly(74) == expected
    daemon.until(lambda state: state["chargen"].open == 0, "the session ends with its client")
    assert daemon.status()["chargen"].failed == 0


def test_all_eight_serve_side_by_side_from_one_file(start, mode, who):
    names = ["echo", "receipt", "makefile", "yourmsg", "daytime", "time", "discard",
             "chargen"]
    daemon = start(*[listener(name, mode=mode) for name in names], user=who)
    clients = {name: daemon.connect(name).send(b"0123456789") for name in names}
    assert clients["echo"].exactly(10) == b"0123456789"
    assert clients["receipt"].rest().endswith(b"0123456789")
    assert clients["makefile"].rest() == b"Return your msg:{0123456789}"
    assert clients["yourmsg"].exactly(21) == b"Your msg={0123456789}"
    assert clients["daytime"].rest().endswith(b"\r\n")
    assert len(clients["time"].rest()) == 4
    assert clients["chargen"].exactly(3) == b" !\""
    pids = [one.serving[0].pid for one in daemon.status().values()]
    assert len(set(pids)) == len(names)
