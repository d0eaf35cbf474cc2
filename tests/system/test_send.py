"""handlerctl send: a client for each protocol, against servers that behave in one way each."""
import contextlib
import json
import os
import select
import socket
import subprocess
import threading

import pytest

from ctl import (ALL, DATAGRAMS, PROGRAM, STREAMS, answers, echo, echo_datagram, echo_of,
                 environment, last, refuses, reset, send, swallow_datagram, wait_for_end)
from harness import WAIT_S, listener


@pytest.mark.parametrize("protocol", ALL)
def test_text_goes_out_as_it_is_and_the_answer_comes_back(serve, protocol):
    server = serve(protocol, echo_of(protocol))
    answers(send(server.target, "a\\n b"), b"a\\n b")


@pytest.mark.parametrize("protocol", ALL)
def test_standard_input_goes_out_byte_for_byte(serve, protocol):
    server = serve(protocol, echo_of(protocol))
    answers(send(server.target, data=b"\0\xff\r\nend"), b"\0\xff\r\nend")


@pytest.mark.parametrize("protocol", ["unix", "unixgram"])
def test_abstract_names_are_found(serve, protocol):
    server = serve(protocol, echo_of(protocol), host=f"@handlerctl-{os.getpid()}")
    answers(send(server.target, "abc"), b"abc")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_ipv6_stands_in_brackets(serve, protocol):
    server = serve(protocol, echo_of(protocol), host="::1")
    assert "[::1]:" in server.target
    answers(send(server.target, "abc"), b"abc")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_every_address_of_a_name_is_tried(serve, protocol, host):
    known = {row[4][0] for row in socket.getaddrinfo("localhost", 1)}
    if host not in known:
        pytest.skip(f"localhost is not {host} here")
    server = serve(protocol, echo_of(protocol), host=host)
    answers(send(f"{protocol}:localhost:{server.port}", "abc"), b"abc")


def test_options_stand_anywhere_and_text_may_look_like_one(serve):
    server = serve("tcp", echo, times=2)
    answers(send(server.target, "--half-close", "abc", "--timeout", "9s"), b"abc")
    answers(send("--timeout=9s", server.target, "--half-close", "--", "--json"), b"--json")


def test_the_echo_handler_answers(start):
    daemon = start(listener("echo"))
    target = f"tcp:127.0.0.1:{daemon.port()}"
    answers(send(target, "abc"), b"abc")
    answers(send("--half-close", target, data=b"abc\n"), b"abc\n")
    # far more than all buffers between the two hold
    data = os.urandom(1 << 20) * 24
    answers(send("--half-close", target, data=data), data)
    answers(send(target, data=data), data)


def test_a_stream_is_read_while_standard_input_is_sent(serve):
    server = serve("tcp", echo)
    with subprocess.Popen([str(PROGRAM), "send", server.target], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, env=environment()) as process:
        for piece in (b"first", b"second"):
            process.stdin.write(piece)
            process.stdin.flush()
            assert select.select([process.stdout], [], [], WAIT_S)[0]
            assert os.read(process.stdout.fileno(), 100) == piece
        process.stdin.close()
        assert process.wait(WAIT_S) == 0
        assert process.stdout.read() == b""


def test_the_peer_may_close_while_standard_input_is_open(serve):
    server = serve("tcp", lambda client: client.sendall(b"bye"))
    reader, writer = os.pipe()
    try:
        answers(send(server.target, stdin=reader), b"bye")
    finally:
        os.close(reader)
        os.close(writer)


# When the answer of a stream is complete

@pytest.mark.parametrize("protocol", STREAMS)
def test_a_pause_completes_the_answer(serve, protocol):
    def stay(client):
        client.sendall(b"so far")
        wait_for_end(client)

    server = serve(protocol, stay)
    answers(send(server.target, "x"), b"so far")


def test_a_timeout_shorter_than_the_pause_completes_it_too(serve):
    def stay(client):
        client.sendall(client.recv(100))
        wait_for_end(client)

    server = serve("tcp", stay, times=3)
    result = send("--count", 3, "--timeout", "50ms", "--json", server.target, "x")
    assert 150 <= json.loads(result.stdout)["duration_ms"] < 600


@pytest.mark.parametrize("protocol", STREAMS)
def test_half_close_ends_what_is_sent_and_reads_to_the_end(serve, protocol):
    def whole(client):
        data = b""
        while piece := client.recv(100):
            data += piece
        with contextlib.suppress(BrokenPipeError):
            client.sendall(b"%d" % len(data))

    server = serve(protocol, whole, times=2)
    answers(send("--half-close", server.target, "abc"), b"3")
    refuses(send("--timeout", "250ms", server.target, "abc"), 1,
            f"no answer from {server.name} within 250ms; if it waits for the end of what is sent, "
            "--half-close shows it")


def test_half_close_wants_the_end(serve):
    over = threading.Event()

    def stay(client):
        client.sendall(b"so far")
        assert over.wait(WAIT_S)

    server = serve("tcp", stay)
    result = send("--half-close", "--timeout", "300ms", server.target, "x")
    over.set()
    assert result.stdout == b"so far"
    refuses(result, 1, f"{server.name} has not ended its answer and is silent for 300ms; without "
            "--half-close a pause is enough")


@pytest.mark.parametrize("protocol", STREAMS)
def test_an_orderly_end_without_a_byte_is_an_answer(serve, protocol):
    server = serve(protocol, lambda client: client.recv(100))
    answers(send(server.target, "x"), b"")


@pytest.mark.parametrize("options", [[], ["--half-close"]])
def test_a_reset_is_no_answer(serve, options):
    def break_off(client):
        client.recv(100)
        reset(client)

    server = serve("tcp", break_off)
    refuses(send(*options, server.target, "x"), 1,
            f"{server.name} reset the connection; its log may tell why")


def test_a_reset_after_an_answer_matters_to_half_close_only(serve):
    def break_off(client):
        client.recv(100)
        client.sendall(b"some")
        assert client.recv(100) == b"go on"
        reset(client)

    server = serve("tcp", break_off, times=2)
    for options, status in ([], 0), (["--half-close"], 1):
        with subprocess.Popen([str(PROGRAM), "send", *options, server.target],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=environment()) as process:
            process.stdin.write(b"x")
            process.stdin.flush()
            assert process.stdout.read(4) == b"some"
            process.stdin.write(b"go on")
            process.stdin.flush()
            assert process.wait(WAIT_S) == status
            assert (b"reset the connection" in process.stderr.read()) == (status == 1)


def test_a_peer_that_closes_before_it_has_read_everything_is_told(serve):
    def shut(client):
        client.recv(1)
        client.shutdown(socket.SHUT_RDWR)
        # what is left unread at the close would be a reset
        wait_for_end(client)

    server = serve("unix", shut)
    refuses(send(server.target, data=bytes(8 << 20)), 1,
            f"{server.name} closed the connection before it had read everything")


# Nobody, or somebody who does not answer

@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_that_nobody_has(protocol):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if protocol == "tcp"
                       else socket.SOCK_DGRAM) as held:
        # bound, so that nobody else gets it; a datagram socket that is connected takes from one
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        if protocol == "udp":
            held.connect(("127.0.0.1", port))
        refuses(send(f"{protocol}:127.0.0.1:{port}", "x"), 3,
                f"nothing listens on {protocol} 127.0.0.1:{port}")


@pytest.mark.parametrize("protocol", ["unix", "unixgram"])
def test_a_socket_that_nobody_has(serve, place, protocol):
    refuses(send(f"{protocol}:{place}/none", "x"), 3,
            f"nothing listens on {protocol} {place}/none: there is no such file")
    refuses(send(f"{protocol}:@handlerctl-none-{os.getpid()}", "x"), 3,
            f"nothing listens on {protocol} @handlerctl-none-{os.getpid()}")
    server = serve(protocol)
    server.sock.close()
    refuses(send(server.target, "x"), 3, f"nothing listens on {server.name}")


@pytest.mark.parametrize("protocol, other", [("unix", "unixgram"), ("unixgram", "unix")])
def test_a_socket_of_the_other_kind(serve, protocol, other):
    server = serve(protocol)
    path = server.target.partition(":")[2]
    refuses(send(f"{other}:{path}", "x"), 1,
            f"{other} {path} is a socket of another kind; try {protocol}:{path}")


@pytest.mark.parametrize("protocol", DATAGRAMS)
def test_silence_ends_with_the_timeout(serve, protocol):
    server = serve(protocol, swallow_datagram)
    result = send("--timeout", "250ms", server.target, "x")
    assert result.stdout == b""
    refuses(result, 1, f"no answer from {server.name} within 250ms")


def test_a_connection_that_is_not_taken_in_time(serve):
    server = serve("unix", backlog=0)
    held = []
    try:
        while True:
            one = socket.socket(socket.AF_UNIX)
            held.append(one)
            one.setblocking(False)
            one.connect(server.target.partition(":")[2])
    except BlockingIOError:
        refuses(send("--timeout", "250ms", server.target, "x"), 1,
                f"no connection to {server.name} within 250ms; it may be overloaded, or a firewall "
                "may be between")
    finally:
        for one in held:
            one.close()


def test_a_peer_that_does_not_read(serve):
    server = serve("unix")
    refuses(send("--timeout", "250ms", server.target, data=bytes(8 << 20)), 1,
            f"{server.name} has not read what is sent to it for 250ms")


def test_a_name_that_there_is_not():
    result = send("tcp:[localhost]:7", "x")
    assert result.returncode == 1
    assert "'[localhost]' is no IPv6 address of an interface here" in result.stderr


# Datagrams

@pytest.mark.parametrize("protocol", DATAGRAMS)
def test_an_empty_datagram_is_sent_and_is_an_answer(serve, protocol):
    def one(sock):
        data, sender = sock.recvfrom(100)
        assert data == b""
        sock.sendto(b"", sender)

    server = serve(protocol, one, times=2)
    answers(send(server.target, ""), b"")
    answers(send(server.target), b"")


def test_only_the_peer_answers(serve):
    def with_a_stranger(sock):
        _, client = sock.recvfrom(100)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"wrong", client)
        sock.sendto(b"right", client)

    server = serve("udp", with_a_stranger)
    answers(send(server.target, "x"), b"right")


@pytest.mark.parametrize("protocol", DATAGRAMS)
def test_whole_input_is_one_datagram_up_to_65507_bytes(serve, protocol):
    server = serve(protocol, echo_datagram)
    data = os.urandom(65508)
    refuses(send(server.target, data=data), 1, "a datagram has at most 65507 bytes; send less")
    refuses(send(server.target, "x" * 65508), 1, "a datagram has at most 65507 bytes; send less")
    answers(send(server.target, data=data[:65507]), data[:65507])


# Our own ends

def test_an_answer_that_cannot_be_written(serve):
    server = serve("tcp", last(b"answer"))
    reader, writer = os.pipe()
    os.close(reader)
    try:
        refuses(send(server.target, "x", stdout=writer), 1,
                "cannot write to standard output: Broken pipe")
    finally:
        os.close(writer)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_input_that_cannot_be_read(serve, place, protocol):
    server = serve(protocol, wait_for_end if protocol == "tcp" else None)
    directory = os.open(place, os.O_RDONLY)
    try:
        refuses(send(server.target, stdin=directory), 1,
                "cannot read standard input: Is a directory")
    finally:
        os.close(directory)
