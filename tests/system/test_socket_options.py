"""Options of sockets: set, inherited by connections, changed and taken back by reloads, refused."""
import os
import re
import socket

import pytest

import harness
import sockets
from harness import config, free_ports, listener
from sockets import Datagrams, Stream, ask

IP, IPV6, TCP, SOL = socket.IPPROTO_IP, socket.IPPROTO_IPV6, socket.IPPROTO_TCP, socket.SOL_SOCKET
IP_TOS, IP_FREEBIND, IP_TRANSPARENT = 1, 15, 19
IPV6_TCLASS, IPV6_TRANSPARENT, IPV6_FREEBIND = 67, 75, 78
SO_MARK = 36
TCP_CONGESTION, TCP_FASTOPEN = 13, 23
INET = ["tcp", "udp"]
KEEPALIVE = {"idle": "61s", "interval": "7s", "count": 4}

pytestmark = pytest.mark.skipif(not harness.IS_ROOT,
                                reason="only root can look at the daemon's descriptors")


def inet(protocol="tcp", options=None, address="127.0.0.1:0", handler="sys_socket", **keys):
    if options:
        keys["socket"] = options
    return listener("s", handler, protocol=protocol, address=address, **keys)


def read(daemon, protocol, level, name):
    return sockets.option(daemon.pid, protocol, daemon.port("s"), level, name)


def read_text(daemon, level, name):
    with sockets.held(daemon.pid, "tcp", daemon.port("s")) as (one,):
        return one.getsockopt(level, name, 16).partition(b"\0")[0].decode()


# name, value, level, option, what is read back
NUMBERS = [
    ("keepalive", True, SOL, socket.SO_KEEPALIVE, 1, ["tcp"]),
    ("keepalive", KEEPALIVE, SOL, socket.SO_KEEPALIVE, 1, ["tcp"]),
    ("keepalive", KEEPALIVE, TCP, socket.TCP_KEEPIDLE, 61, ["tcp"]),
    ("keepalive", KEEPALIVE, TCP, socket.TCP_KEEPINTVL, 7, ["tcp"]),
    ("keepalive", KEEPALIVE, TCP, socket.TCP_KEEPCNT, 4, ["tcp"]),
    ("receive_buffer", "96KiB", SOL, socket.SO_RCVBUF, 2 * 96 * 1024, INET),
    ("receive_buffer", "16MiB", SOL, socket.SO_RCVBUF, 32 * 1024 * 1024, INET),
    ("send_buffer", "96KiB", SOL, socket.SO_SNDBUF, 2 * 96 * 1024, INET),
    ("defer_accept", "7s", TCP, socket.TCP_DEFER_ACCEPT, 7, ["tcp"]),
    ("fast_open", 17, TCP, TCP_FASTOPEN, 17, ["tcp"]),
    ("mark", 4711, SOL, SO_MARK, 4711, INET),
    ("mark", 4294967295, SOL, SO_MARK, -1, INET),
    ("tos", 0x48, IP, IP_TOS, 0x48, INET),
]
CHANGED = [(*row[:5], protocol) for row in NUMBERS for protocol in row[5]]
IDS = [f"{row[0]}-{row[3]}-{row[5]}" for row in CHANGED]
BOUND = [("freebind", IP, IP_FREEBIND, IPV6, IPV6_FREEBIND),
         ("transparent", IP, IP_TRANSPARENT, IPV6, IPV6_TRANSPARENT)]


@pytest.mark.parametrize("key, value, level, name, wanted, protocol", CHANGED, ids=IDS)
def test_an_option_is_set_at_a_start(start, key, value, level, name, wanted, protocol):
    daemon = start(inet(protocol, {key: value}))
    assert read(daemon, protocol, level, name) == wanted
    assert not daemon.log.find("warning: .*listener 's'")


@pytest.mark.parametrize("key, value, level, name, wanted, protocol", CHANGED, ids=IDS)
def test_a_reload_sets_it_on_the_same_socket_and_takes_it_back(start, key, value, level, name,
                                                               wanted, protocol):
    daemon = start(inet(protocol))
    before = read(daemon, protocol, level, name)
    inode = sockets.inodes(daemon.pid, protocol, daemon.port("s"))
    assert before != wanted
    assert daemon.reload(config(inet(protocol, {key: value})))
    assert read(daemon, protocol, level, name) == wanted
    assert daemon.reload(config(inet(protocol)))
    assert read(daemon, protocol, level, name) == before
    assert sockets.inodes(daemon.pid, protocol, daemon.port("s")) == inode


@pytest.mark.parametrize("protocol", INET)
@pytest.mark.parametrize("key, level, name, level6, name6", BOUND, ids=["freebind", "transparent"])
def test_an_option_of_bind_is_set_for_both_families(start, protocol, key, level, name, level6,
                                                    name6):
    daemon = start(inet(protocol, {key: True}, address="*:0"))
    assert read(daemon, protocol, level, name) == 1
    assert read(daemon, protocol, level6, name6) == 1


@pytest.mark.parametrize("protocol", INET)
def test_a_dual_stack_socket_has_tos_for_both_families(start, protocol):
    daemon = start(inet(protocol, {"tos": 0x48}, address="*:0"))
    assert read(daemon, protocol, IP, IP_TOS) == 0x48
    assert read(daemon, protocol, IPV6, IPV6_TCLASS) == 0x48
    assert daemon.reload(config(inet(protocol, address="*:0")))
    assert read(daemon, protocol, IP, IP_TOS) == 0
    assert read(daemon, protocol, IPV6, IPV6_TCLASS) == 0


def test_congestion_is_set_changed_and_taken_back(start):
    known = open("/proc/sys/net/ipv4/tcp_available_congestion_control").read().split()
    daemon = start(inet())
    before = read_text(daemon, TCP, TCP_CONGESTION)
    other = next((name for name in known if name != before), None)
    if other is None:
        pytest.skip("this kernel has one congestion control only")
    assert daemon.reload(config(inet(options={"congestion": other})))
    assert read_text(daemon, TCP, TCP_CONGESTION) == other
    assert ask("tcp", daemon.address("s"), "congestion") == other
    assert daemon.reload(config(inet()))
    assert read_text(daemon, TCP, TCP_CONGESTION) == before


@pytest.mark.parametrize("key, value, level, name, wanted", [
    ("keepalive", KEEPALIVE, SOL, socket.SO_KEEPALIVE, 1),
    ("keepalive", KEEPALIVE, TCP, socket.TCP_KEEPIDLE, 61),
    ("keepalive", KEEPALIVE, TCP, socket.TCP_KEEPCNT, 4),
    ("tos", 0x48, IP, IP_TOS, 0x48),
    ("mark", 4711, SOL, SO_MARK, 4711),
    ("send_buffer", "96KiB", SOL, socket.SO_SNDBUF, 2 * 96 * 1024),
])
def test_connections_inherit_it(start, mode, key, value, level, name, wanted):
    daemon = start(inet(options={key: value}, mode=mode))
    assert ask("tcp", daemon.address("s"), f"option {level} {name}") == str(wanted)


def test_a_connection_keeps_what_it_had_when_a_reload_changes_it(start):
    daemon = start(inet(options={"tos": 0x48}))
    with Stream(daemon.address("s")) as client:
        assert client.ask(f"option {IP} {IP_TOS}") == str(0x48)
        assert daemon.reload(config(inet(options={"tos": 0x20})))
        assert client.ask(f"option {IP} {IP_TOS}") == str(0x48)
    assert ask("tcp", daemon.address("s"), f"option {IP} {IP_TOS}") == str(0x20)


@pytest.mark.parametrize("protocol", INET)
def test_a_device_is_set(start, protocol):
    daemon = start(inet(protocol, {"device": "lo"}))
    with sockets.held(daemon.pid, protocol, daemon.port("s")) as (one,):
        assert one.getsockopt(SOL, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == b"lo"
    assert ask(protocol, daemon.address("s"), "family") == str(int(socket.AF_INET))


# What the kernel refuses

REFUSED = [("tcp", "congestion", "nosuch"), ("tcp", "device", "nosuch0"),
           ("udp", "device", "nosuch0")]


@pytest.mark.parametrize("protocol, key, value", REFUSED)
def test_what_the_kernel_refuses_fails_the_start(start, protocol, key, value):
    daemon = start(inet(protocol, {key: value}), is_awaited=False)
    daemon.expected_exit = daemon.wait_exit()
    assert daemon.expected_exit in (1, 78)
    line = daemon.log.find(" error: ")[0].string
    assert f"socket.{key}" in line and "listener 's'" in line
    assert re.search(r"handlerd\.conf:\d+: ", line)
    assert ("available_congestion_control" if key == "congestion" else "no such network") in line


@pytest.mark.parametrize("protocol, key, value", REFUSED)
def test_what_the_kernel_refuses_fails_a_reload_whole(start, protocol, key, value):
    daemon = start(inet(protocol, {"tos": 0x48}))
    pid, port = daemon.worker("s"), daemon.port("s")
    inode = sockets.inodes(daemon.pid, protocol, port)
    mark = daemon.log.mark()
    assert not daemon.reload(config(inet(protocol, {"tos": 0x20, "send_buffer": "96KiB",
                                                    key: value})))
    line = daemon.log.find(" error: ", mark)[0].string
    assert f"socket.{key}" in line and re.search(r"handlerd\.conf:\d+: ", line)
    assert read(daemon, protocol, IP, IP_TOS) == 0x48
    assert (daemon.worker("s"), sockets.inodes(daemon.pid, protocol, port)) == (pid, inode)


@pytest.mark.parametrize("key, value", [("mark", 1), ("transparent", True)])
def test_an_ordinary_user_is_told_what_it_would_need(start, key, value):
    daemon = start(inet(options={key: value}), is_awaited=False, user="nobody")
    daemon.expected_exit = daemon.wait_exit()
    assert daemon.expected_exit == 1
    line = daemon.log.find(" error: ")[0].string
    assert f"socket.{key}" in line and "needs CAP_NET_ADMIN" in line


@pytest.mark.parametrize("protocol", [*INET, "unixgram"])
@pytest.mark.parametrize("is_reload", [False, True], ids=["start", "reload"])
def test_an_ordinary_user_is_warned_of_smaller_buffers(start, protocol, is_reload):
    most = int(open("/proc/sys/net/core/wmem_max").read())
    address = f"@handlerd-options-{os.getpid()}" if protocol == "unixgram" else "127.0.0.1:0"
    small = inet(protocol, address=address)
    large = inet(protocol, {"send_buffer": f"{most // 1024 * 4}KiB"}, address)
    daemon = start(small if is_reload else large, user="nobody")
    if is_reload:
        assert daemon.reload(config(large))
    line = daemon.log.wait("warning: .*'s' gets socket buffers of").string
    assert f"{most} for sending" in line and "net.core.wmem_max" in line


# Several sockets on one port

@pytest.mark.parametrize("protocol", INET)
def test_reuse_port_opens_so_many_sockets_and_keeps_them(start, protocol, mode):
    port, = free_ports(1)

    def text(count, number=0):
        return config(inet(protocol, {"reuse_port": count} if count else None,
                           f"127.0.0.1:{port}", mode=mode, environment={"N": str(number)}))
    daemon = start(text=text(4))
    held = sockets.inodes(daemon.pid, protocol, port)
    assert len(held) == 4 and len(daemon.addresses("s")) == 1
    for number in range(3):
        assert daemon.reload(text(4, number))
        assert sockets.inodes(daemon.pid, protocol, port) == held
        for _ in range(20):  # the kernel gives them to all four
            assert ask(protocol, ("127.0.0.1", port), "family") == str(int(socket.AF_INET))
    assert daemon.reload(text(6))
    assert len(sockets.inodes(daemon.pid, protocol, port)) == 6
    assert set(held) < set(sockets.inodes(daemon.pid, protocol, port))
    # from several to one that nobody shares: refused, they are still there
    assert not daemon.reload(text(0))
    daemon.log.wait("listener 's' still holds")
    assert len(sockets.inodes(daemon.pid, protocol, port)) == 6


def test_what_waits_in_the_backlogs_of_all_sockets_is_not_lost(start):
    port, = free_ports(1)

    def text(number):
        return config(inet("tcp", {"reuse_port": 4}, f"127.0.0.1:{port}", "echo", mode="serial",
                           environment={"N": str(number)}))
    daemon = start(text=text(0))
    address = ("127.0.0.1", port)
    busy = Stream(address)
    assert busy.ask("first") == "first"
    waiting = [socket.create_connection(address, 10 * harness.SLOW) for _ in range(40)]
    for number in range(1, 3):
        assert daemon.reload(text(number))
    busy.close()
    for client in waiting:
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
    for client in waiting:
        assert client.recv(2) == b"x"
        client.close()


def test_a_deferred_connection_is_accepted_when_it_has_sent_something(start):
    daemon = start(inet(options={"defer_accept": "60s"}, handler="echo"))
    with daemon.connect("s") as silent, daemon.connect("s") as other:
        assert other.ask("hello") == "hello"
        assert daemon.listener("s").accepted == 1
        assert silent.ask("hello") == "hello"
        assert daemon.listener("s").accepted == 2


def test_a_large_receive_buffer_holds_what_a_stopped_worker_does_not_read(start):
    daemon = start(inet("udp", {"receive_buffer": "4MiB"}, handler="sys_socket"))
    assert read(daemon, "udp", SOL, socket.SO_RCVBUF) == 8 * 1024 * 1024
    with Datagrams(daemon.address("s")) as client:
        assert client.ask("family") == str(int(socket.AF_INET))


def test_unix_sockets_take_buffers(start):
    name = f"@handlerd-options-{os.getpid()}"
    question = f"option {SOL} {socket.SO_SNDBUF}"
    daemon = start(inet("unixgram", {"send_buffer": "96KiB"}, name))
    # the connection of a datagram is the socket itself
    assert ask("unixgram", name, question) == str(2 * 96 * 1024)
    assert daemon.reload(config(inet("unixgram", {"send_buffer": "64KiB"}, name)))
    assert ask("unixgram", name, question) == str(2 * 64 * 1024)
