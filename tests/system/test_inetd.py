"""--inetd: the one connection on descriptor 0, as inetd (nowait) and systemd (Accept=yes) pass it."""
import os
import socket
import subprocess

import pytest

import harness

SLOW_S = 10 * harness.SLOW


@pytest.fixture(params=["tcp", "unix"])
def ends(request):
    """Both ends of an accepted connection: the client's, and the one that is passed on."""
    if request.param == "tcp":
        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listener.getsockname())
        passed, _ = listener.accept()
        listener.close()
    else:
        client, passed = socket.socketpair()
    client.settimeout(SLOW_S)
    yield client, passed
    client.close()
    passed.close()


def run(passed, handler, *arguments, stderr=subprocess.PIPE, **keys):
    process = subprocess.Popen([harness.PROGRAM, "--inetd", "--handler", handler, *arguments],
                               stdin=passed, stdout=passed, stderr=stderr, **keys)
    passed.close()
    return process


def read_all(client):
    text = b""
    while True:
        piece = client.recv(4096)
        if not piece:
            return text
        text += piece


def test_the_connection_is_served_until_its_end(ends):
    client, passed = ends
    process = run(passed, "echo")
    client.sendall(b"one")
    assert client.recv(10) == b"one"
    client.sendall(b"two")
    client.shutdown(socket.SHUT_WR)
    assert read_all(client) == b"two"
    assert process.wait(SLOW_S) == 0


def test_a_handler_that_speaks_first_does(ends):
    client, passed = ends
    process = run(passed, "daytime")
    assert read_all(client).endswith(b"\r\n")
    client.close()
    assert process.wait(SLOW_S) == 0


def test_nothing_that_is_logged_reaches_the_client(ends):
    client, passed = ends
    process = run(passed, "no_such_handler", stderr=passed)
    assert read_all(client) == b""
    assert process.wait(SLOW_S) == 78


def test_a_connection_that_does_not_block_is_served_all_the_same(ends):
    client, passed = ends
    os.set_blocking(passed.fileno(), False)
    process = run(passed, "echo")
    client.sendall(b"x")
    assert client.recv(10) == b"x"
    client.shutdown(socket.SHUT_WR)
    assert read_all(client) == b""
    assert process.wait(SLOW_S) == 0


def test_the_signal_to_stop_ends_it(ends):
    client, passed = ends
    process = run(passed, "echo")
    client.sendall(b"x")
    assert client.recv(10) == b"x"
    process.terminate()
    assert process.wait(SLOW_S) == 0
    assert read_all(client) == b""


@pytest.mark.parametrize("kind", ["null", "pipe", "listener", "datagram"])
def test_what_is_no_connection_is_refused_with_a_sentence(kind):
    sockets = {"listener": lambda: socket.create_server(("127.0.0.1", 0)),
               "datagram": lambda: socket.socketpair(type=socket.SOCK_DGRAM)[0]}
    given = {"null": subprocess.DEVNULL, "pipe": subprocess.PIPE}.get(kind)
    passed = sockets[kind]() if given is None else given
    done = subprocess.run([harness.PROGRAM, "--inetd", "--handler", "echo"], stdin=passed,
                          capture_output=True, timeout=SLOW_S, check=False)
    assert done.returncode == 1
    assert b"descriptor 0 is not a connection" in done.stderr


@pytest.mark.parametrize("arguments", [["--listen", "tcp:127.0.0.1:0"], ["-c", "/x"], ["--once"],
                                       ["--concurrency", "serial"], ["-t"]])
def test_what_does_not_go_with_it_is_a_wrong_command_line(arguments):
    done = subprocess.run([harness.PROGRAM, "--inetd", "--handler", "echo", *arguments],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=SLOW_S,
                          check=False)
    assert done.returncode == 2
