"""Where listeners listen: forms of addresses, several of them, and what a reload keeps."""
import os
import re
import socket

import pytest

import sockets
from harness import config, free_ports, listener
from sockets import Datagrams, Stream, ask, echoes

CONFIGURATION = 78
INET = ["tcp", "udp"]


def free_range(count):
    """The first of so many ports in a row that were free a moment ago, for TCP and UDP."""
    for first in range(20000 + os.getpid() % 5000, 32000, count):
        try:
            for port in range(first, first + count):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(socket.AF_INET6, kind) as one:
                        one.bind(("::", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


def told(daemon, name):
    """The addresses of the log as Python has them."""
    found = []
    for text in daemon.addresses(name):
        host, _, port = text.rpartition(":")
        found.append((host.strip("[]"), int(port)))
    return found


def refuse(start, *listeners, status=CONFIGURATION):
    daemon = start(*listeners, is_awaited=False)
    daemon.expected_exit = status
    assert daemon.wait_exit() == status, daemon.log.text()
    return [match.string.partition(" error: ")[2] for match in daemon.log.find(" error: ")][:-1]


# Forms

@pytest.mark.parametrize("protocol", INET)
def test_a_list_of_addresses_is_served_at_each(start, protocol, mode):
    daemon = start(listener("echo", mode=mode, protocol=protocol,
                            address=["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"]))
    assert [host for host, _ in told(daemon, "echo")] == ["127.0.0.1", "127.0.0.2", "::1"]
    for address in told(daemon, "echo"):
        assert echoes(protocol, address)


@pytest.mark.parametrize("protocol", INET)
def test_a_star_is_one_socket_for_ipv4_and_ipv6(start, protocol):
    daemon = start(listener("s", "sys_socket", protocol=protocol, address="*:0"))
    (host, port), = told(daemon, "s")
    assert host == "*" and len(sockets.inodes(daemon.pid, protocol, port)) == 1
    kind = Stream if protocol == "tcp" else Datagrams
    for address, family in ((("127.0.0.1", port), socket.AF_INET),
                            (("::1", port), socket.AF_INET6)):
        with kind(address) as client:
            own = client.sock.getsockname()
            name = "%s:%d" % own if family == socket.AF_INET else "[%s]:%d" % own[:2]
            assert client.ask("client") == name
            assert client.ask("family") == str(int(family))


@pytest.mark.parametrize("protocol", INET)
def test_brackets_are_ipv6_only(start, protocol):
    daemon = start(listener("echo", protocol=protocol, address="[::]:0"))
    (_, port), = told(daemon, "echo")
    assert echoes(protocol, ("::1", port))
    with pytest.raises(ConnectionRefusedError):
        ask(protocol, ("127.0.0.1", port), "hello")


@pytest.mark.parametrize("protocol", INET)
def test_ipv6_only_and_ipv4_share_a_port(start, protocol):
    port = free_range(1)
    start(listener("six", "sys_socket", protocol=protocol, address=f"[::]:{port}"),
          listener("four", "sys_socket", protocol=protocol, address=f"0.0.0.0:{port}"))
    assert ask(protocol, ("::1", port), "family") == str(int(socket.AF_INET6))
    assert ask(protocol, ("127.0.0.1", port), "family") == str(int(socket.AF_INET))


@pytest.mark.parametrize("protocol", INET)
def test_a_range_of_ports_is_served_at_each_and_told_in_order(start, protocol):
    first = free_range(5)
    daemon = start(listener("echo", protocol=protocol, address=f"127.0.0.1:{first}-{first + 4}"))
    assert told(daemon, "echo") == [("127.0.0.1", first + i) for i in range(5)]
    for address in told(daemon, "echo"):
        assert echoes(protocol, address)


@pytest.mark.parametrize("protocol", INET)
def test_a_range_that_grows_and_shrinks_keeps_what_both_have(start, protocol):
    first = free_range(6)

    def text(last):
        return config(listener("echo", protocol=protocol, address=f"127.0.0.1:{first}-{last}"))
    daemon = start(text=text(first + 3))
    before = [sockets.inodes(daemon.pid, protocol, first + i) for i in range(4)]
    assert daemon.reload(text(first + 5))
    assert [sockets.inodes(daemon.pid, protocol, first + i) for i in range(4)] == before
    assert told(daemon, "echo")[4:] == [("127.0.0.1", first + 4), ("127.0.0.1", first + 5)]
    assert daemon.reload(text(first + 1))
    assert [sockets.inodes(daemon.pid, protocol, first + i) for i in range(4)] == before[:2] + \
        [[], []]
    assert echoes(protocol, ("127.0.0.1", first + 1))


def test_tcp_and_udp_of_several_listeners_share_a_port(start):
    port = free_range(1)
    daemon = start(listener("tcp", "echo", address=f"127.0.0.1:{port}"),
                   listener("udp", "yourmsg", protocol="udp", address=f"127.0.0.1:{port}"))
    assert echoes("tcp", ("127.0.0.1", port))
    assert ask("udp", ("127.0.0.1", port), "hello") == "Your msg={hello}"
    # what one of them does is nothing to the other
    assert daemon.reload(config(listener("udp", "yourmsg", protocol="udp",
                                         address=f"127.0.0.1:{port}")))
    assert not sockets.inodes(daemon.pid, "tcp", port)
    assert ask("udp", ("127.0.0.1", port), "hello") == "Your msg={hello}"


# Port 0

@pytest.mark.parametrize("protocol", INET)
def test_several_ports_that_the_kernel_chose_stay_over_reloads(start, protocol):
    def text(number):
        return config(listener("a", "echo", protocol=protocol, environment={"N": str(number)},
                               address=["127.0.0.1:0", "127.0.0.1:0", "[::1]:0"]),
                      listener("b", "echo", protocol=protocol, address="127.0.0.1:0"))
    daemon = start(text=text(0))
    before = told(daemon, "a")
    held = [sockets.inodes(daemon.pid, protocol, port) for _, port in before]
    assert len(set(before)) == 3
    for number in range(1, 4):
        assert daemon.reload(text(number))
        assert told(daemon, "a") == before
        assert [sockets.inodes(daemon.pid, protocol, port) for _, port in before] == held
        for address in before + told(daemon, "b"):
            assert echoes(protocol, address)


@pytest.mark.parametrize("protocol", INET)
def test_a_chosen_port_belongs_to_its_listeners_name(start, protocol):
    daemon = start(listener("a", "echo", protocol=protocol, address="127.0.0.1:0"))
    (_, port), = told(daemon, "a")
    assert daemon.reload(config(listener("b", "echo", protocol=protocol, address="127.0.0.1:0")))
    (_, other), = told(daemon, "b")
    assert other != port and echoes(protocol, ("127.0.0.1", other))
    assert not sockets.inodes(daemon.pid, protocol, port)


@pytest.mark.parametrize("protocol", INET)
def test_one_of_two_chosen_ports_goes_and_comes_back_as_another(start, protocol):
    def text(count):
        return config(listener("a", "echo", protocol=protocol, address=["127.0.0.1:0"] * count))
    daemon = start(text=text(2))
    first, second = told(daemon, "a")
    assert daemon.reload(text(1))
    assert echoes(protocol, first) and not sockets.inodes(daemon.pid, protocol, second[1])
    assert daemon.reload(text(2))
    assert echoes(protocol, first) and len(told(daemon, "a")) == 3
    assert echoes(protocol, told(daemon, "a")[2])


@pytest.mark.parametrize("protocol", INET)
def test_a_failed_reload_keeps_chosen_ports_and_leaves_no_new_socket(start, protocol):
    text = config(listener("a", "echo", protocol=protocol, address="127.0.0.1:0"))
    daemon = start(text=text)
    (_, port), = told(daemon, "a")
    before = daemon.rest()
    assert not daemon.reload(config(
        listener("a", "echo", protocol=protocol, address=["127.0.0.1:0", "127.0.0.1:0"]),
        listener("b", "echo", protocol=protocol, address="192.0.2.1:0")))
    daemon.check_rest(before)
    assert echoes(protocol, ("127.0.0.1", port)) and daemon.reload(text)
    assert told(daemon, "a") == [("127.0.0.1", port)]


# Overlaps

@pytest.mark.parametrize("protocol", INET)
@pytest.mark.parametrize("old, new", [("*", "127.0.0.1"), ("127.0.0.1", "*"), ("*", "[::1]"),
                                      ("[::1]", "[::]"), ("0.0.0.0", "*")])
def test_an_address_that_overlaps_a_held_one_is_refused_with_its_holder(start, protocol, old, new):
    port = free_range(1)
    daemon = start(listener("first", "echo", protocol=protocol, address=f"{old}:{port}"))
    inode = sockets.inodes(daemon.pid, protocol, port)
    mark = daemon.log.mark()
    assert not daemon.reload(config(listener("second", "echo", protocol=protocol,
                                             address=f"{new}:{port}")))
    line = daemon.log.find(" error: .*cannot bind", mark)[0].string
    assert "listener 'second'" in line and "listener 'first' still holds" in line
    assert f"{old}:{port}" in line and re.search(r"handlerd\.conf:\d+: ", line)
    assert sockets.inodes(daemon.pid, protocol, port) == inode
    assert echoes(protocol, ("::1" if old.startswith("[") else "127.0.0.1", port))


@pytest.mark.parametrize("protocol", INET)
def test_the_same_address_goes_to_another_listener_without_a_new_socket(start, protocol):
    port = free_range(1)
    daemon = start(listener("a", "echo", protocol=protocol, address=f"127.0.0.1:{port}"))
    inode = sockets.inodes(daemon.pid, protocol, port)
    assert daemon.reload(config(listener("b", "yourmsg", protocol=protocol,
                                         address=f"127.0.0.1:{port}")))
    assert sockets.inodes(daemon.pid, protocol, port) == inode
    assert ask(protocol, ("127.0.0.1", port), "x").startswith("Your msg={x")


def test_overlaps_within_the_file_are_refused_with_both_lines(start):
    port, = free_ports(1)
    lines = refuse(start, listener("a", "echo", address=f"127.0.0.1:{port - 1}-{port + 1}"),
                   listener("b", "echo", address=f"*:{port}"))
    assert len(lines) == 1 and "overlaps" in lines[0] and "'a'" in lines[0]
    assert f"127.0.0.1:{port - 1}-{port + 1}" in lines[0]


def test_an_udp_port_of_another_program_is_refused(start):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % other.getsockname()[1]
        lines = refuse(start, listener("u", "echo", protocol="udp", address=address), status=1)
    assert len(lines) == 1 and "another program has that port" in lines[0] and address in lines[0]


# Abstract Unix names

@pytest.mark.parametrize("protocol", ["unix", "unixgram"])
def test_an_abstract_name_is_served_and_kept_over_a_reload(start, protocol, who):
    name = f"@handlerd-test-{os.getpid()}-{protocol}"
    text = config(listener("echo", protocol=protocol, address=name))
    daemon = start(text=text, user=who)
    assert daemon.addresses("echo") == [name]
    assert echoes(protocol, name)
    assert daemon.reload(config(listener("echo", protocol=protocol, address=name,
                                         environment={"A": "b"})))
    assert daemon.addresses("echo") == [name] and echoes(protocol, name)
    mark = daemon.log.mark()
    assert daemon.reload("listeners = ();\n")
    daemon.log.wait("'echo' is gone", mark)
    with pytest.raises(ConnectionRefusedError):
        ask(protocol, name, "hello")


def test_a_stream_and_a_datagram_socket_share_an_abstract_name(start):
    name = f"@handlerd-test-{os.getpid()}-both"
    start(listener("s", "echo", protocol="unix", address=name),
          listener("d", "yourmsg", protocol="unixgram", address=name))
    assert echoes("unix", name) and ask("unixgram", name, "x") == "Your msg={x}"


@pytest.mark.parametrize("protocol", ["unix", "unixgram"])
def test_a_name_of_107_bytes_is_served_and_one_of_108_refused(start, place, protocol):
    path = str(place) + "/" + "p" * (106 - len(str(place)))
    name = "@" + f"{os.getpid()}".ljust(107, "n")
    assert len(path) == 107 and len(name) == 108
    start(listener("path", "echo", protocol=protocol, address=path),
          listener("name", "echo", protocol=protocol, address=name))
    assert echoes(protocol, path) and echoes(protocol, name)
    lines = refuse(start, listener("path", "echo", protocol=protocol, address=path + "p"),
                   listener("name", "echo", protocol=protocol, address=name + "n"))
    assert len(lines) == 2 and all("at most 107 bytes" in line for line in lines), lines


def test_an_abstract_name_of_another_program_is_refused(start):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(f"\0handlerd-test-{os.getpid()}-taken")
        lines = refuse(start, listener("u", "echo", protocol="unix",
                                       address=f"@handlerd-test-{os.getpid()}-taken"), status=1)
    assert len(lines) == 1 and "a program that runs has that socket" in lines[0]
