"""The methods of a socket, over every protocol and in every mode: what Python's return for the same
input, handlerd's return."""
import re

import pytest

import script
from harness import DATAGRAMS, PROTOCOLS, STREAMS
from parity import Handlerd, Python


@pytest.fixture(params=PROTOCOLS)
def protocol(request):
    return request.param


@pytest.fixture
def servers(start, mode, place, protocol):
    def address(name):
        return ("127.0.0.1", 0) if protocol in ("tcp", "udp") else str(place / name)
    handler = script.Stream if protocol in STREAMS else script.Datagram
    python = Python(protocol, mode, address("python.sock"), handler)
    yield python, Handlerd(start, protocol, mode, address("handlerd.sock"), handler="sys_stream")
    python.end_hard()


def translated(operations):
    """Into a buffer of the caller is how all of handlerd's receive."""
    return operations.replace("_into", "")


def exchange(server, operations, payload, count):
    client = server.connect()
    client.send(operations.encode() + b"\n" + payload)
    if server.protocol in STREAMS:
        return client.half_close().rest()
    answers = [client.receive() for _ in range(count)]
    assert client.is_silent(0)
    return answers if count > 1 else answers[0]


def compare(servers, operations, payload=b"", count=1):
    """What both answered."""
    python, handlerd = servers
    expected = exchange(python, operations, payload, count)
    answer = exchange(handlerd, translated(operations), payload, count)
    if "recvfrom" in operations:
        # Python has no address for a connection, and one for all of a datagram
        assert answer.count(b" same") == operations.count("recvfrom")
        answer = answer.replace(b" same", b"")
    assert answer == expected
    return answer


@pytest.mark.parametrize("operations, answer", [
    ("recv 3;recv 3;recv 3;recv 3;recv 3", "3:616263 3:646566 2:6768 0 0"),
    ("recv_into 3;recv_into 9;recv_into 1", "3:616263 5:6465666768 0"),
    ("recvfrom 3;recvfrom 9;recvfrom 1", "3:616263 5:6465666768 0"),
    ("recvfrom_into 5;recvfrom_into 3;recvfrom_into 1", "5:6162636465 3:666768 0"),
    ("recv 8;recv 1", "8:6162636465666768 0"),
    ("recv 8000", "8:6162636465666768")])
def test_receiving(servers, operations, answer):
    assert compare(servers, operations, b"abcdefgh") == answer.encode() + b"\n"


@pytest.mark.parametrize("operations", ["recv 5", "recv_into 5", "recvfrom 5", "recvfrom_into 5",
                                        "readline 50", "fgets 50", "fread 50"])
def test_the_end(servers, operations):
    answer = compare(servers, ";".join([operations] * 3))
    assert answer == b"0 0 0\n"


@pytest.mark.parametrize("operations, answer", [
    ("readline 50;readline 50;readline 50;readline 50", "4:6f6e650a 1:0a 3:74776f 0"),
    ("fgets 50;fgets 50;fgets 50;fgets 50", "4:6f6e650a 1:0a 3:74776f 0"),
    ("fgets 3;fgets 50;fgets 50;fgets 50", "2:6f6e 2:650a 1:0a 3:74776f"),
    ("fread 6;fread 50;fread 1", "6:6f6e650a0a74 2:776f 0"),
    ("readline 50;fread 2;readline 50", "4:6f6e650a 2:0a74 2:776f")])
def test_makefile_for_reading(servers, operations, answer):
    assert compare(servers, operations, b"one\n\ntwo") == answer.encode() + b"\n"


@pytest.mark.parametrize("operations, answer", [
    ("send abc;send de", "abcde3 2"), ("sendall abc;sendall de;send f", "abcdef1"),
    ("fputs abc;fputs de;send f", "abcdef1"), ("fputs abc;sendall de;fputs f;send g", "abcdefg1"),
    ("send abc;recv 2;send de;recv 2", "abcde3 2:7879 2 1:7a")])
def test_sending(servers, operations, answer):
    payload = b"xyz" if "recv" in operations else b""
    assert compare(servers, operations, payload) == answer.encode() + b"\n"


def test_makefile_of_another_mode(servers):
    assert compare(servers, "makefile x;recv 1", b"a") == b"-22 1:61\n"


@pytest.mark.parametrize("protocol", STREAMS)
@pytest.mark.parametrize("argument, answer", [
    ("0 10", b"012345678910"), ("3 4", b"34564"), ("0 end", b"012345678910"), ("7 end", b"7893"),
    ("10 end", b"0")])
def test_sendfile_on_streams(servers, argument, answer):
    python, handlerd = servers
    expected = exchange(python, f"sendfile {argument}", b"", 1)
    got = exchange(handlerd, f"sendfile {argument}", b"", 1)
    # with an offset Python moves the file's position, handlerd leaves it where it was
    assert re.fullmatch(rb"(.*) 2\n", got)[1] + b"\n" == expected == answer + b"\n"


@pytest.mark.parametrize("protocol", DATAGRAMS)
def test_sendfile_on_datagrams(servers):
    python, handlerd = servers
    assert exchange(python, "sendfile 0 10", b"", 1) == b"-95\n"
    assert exchange(handlerd, "sendfile 0 10", b"", 1) == b"-95 2\n"


@pytest.mark.parametrize("protocol", DATAGRAMS)
def test_sendto_goes_first(servers):
    assert compare(servers, "send abc;sendto xyz;send de;sendto uvw", count=3) == \
        [b"xyz", b"uvw", b"abcde3 3 2 3\n"]


@pytest.mark.parametrize("protocol", STREAMS)
def test_sendto_is_not_for_connections(servers):
    assert exchange(servers[1], "sendto xyz", b"", 1) == b"-95\n"


@pytest.mark.parametrize("protocol", STREAMS)
@pytest.mark.parametrize("timeout", [0, 20])
def test_a_timeout_is_an_error_and_leaves_the_connection_as_it_is(servers, timeout):
    answers = []
    for server in servers:
        client = server.connect()
        client.send(f"timeout {timeout};recv 5;timeout -1;recv 5\n")
        # the second waits: it must not be there when the first is called
        assert client.is_silent(0.1)
        client.send("abc")
        answers.append(client.line())
    assert answers[0] == answers[1] == "-110 3:616263"
