"""Handlers that spoil the socket that clients come to: whatever they do to it, the listener serves again
with the next worker."""
import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct

import pytest

import procfs
import sockets
from harness import config, listener
from installing import upgrade
from sockets import Datagrams, Stream, ask
from test_store import again, manager, run  # noqa: F401 (fixtures)
from test_systemd_sockets import bound, launch  # noqa: F401 (fixtures)

SO_ATTACH_FILTER, SO_LOCK_FILTER = 26, 44
MINTTL = f"set {socket.IPPROTO_IP} 21 255"
HOP_COUNT = f"set {socket.IPPROTO_IPV6} 73 255"
LOCK = "filter 1"
# (protocol, command) by what it does; without a filter of system calls, which refuses some of them
SPOILS = {
    "far clients only": ("tcp", MINTTL),
    "a filter": ("tcp", "filter 0"),
    "a locked filter": ("tcp", LOCK),
    "far clients only, IPv6": ("tcp6", HOP_COUNT),
    "small segments": ("tcp", f"set {socket.IPPROTO_TCP} 2 88"),
    "waiting": ("tcp", "block"),
    "no backlog": ("tcp", "backlog 0"),
    "a datagram filter": ("udp", "filter 0"),
    "a locked datagram filter": ("udp", LOCK),
    "another protocol": ("udp", "set 17 100 2"),  # UDP_ENCAP: ESP
    "waiting for datagrams": ("udp", "block"),
    "a slow socket": ("unix", "block"),
    "a unix datagram filter": ("unixgram", "filter 0"),
    "a locked unix datagram filter": ("unixgram", LOCK),
    "no names of senders": ("unixgram", f"set {socket.SOL_SOCKET} {socket.SO_PASSCRED} 0"),
}
# what can only be undone by a new socket
FOR_GOOD = ["a locked filter", "a locked datagram filter", "another protocol",
            "a locked unix datagram filter"]


@pytest.fixture(params=SPOILS)
def what(request):
    return request.param


def spoilt(protocol, place, mode="threading", **keys):
    if protocol.startswith("unix") and "address" not in keys:
        keys["address"] = str(place / "s")
    if protocol == "tcp6":
        keys.setdefault("address", "[::1]:0")
    protocol = protocol.rstrip("6")
    keys.setdefault("sandbox", {"seccomp": "off"})
    return listener("s", "sys_spoil", mode, protocol=protocol, **keys)


def filter_all(daemon, address, is_locked):
    """As a worker does on kernels that let it: newer ones refuse filters of listening sockets to it."""
    row = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF_RET, nothing
    with sockets.held(daemon.pid, "tcp", address) as found:
        found[0].setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                            struct.pack("HxxxxxxP", 1, ctypes.addressof(row)))
        if is_locked:
            found[0].setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)


def spoil(daemon, protocol, address, command):
    """Does it; the answer may no longer come."""
    if protocol == "tcp" and command.startswith("filter"):
        filter_all(daemon, address, command == LOCK)
    elif protocol in ("tcp", "unix"):
        assert int(ask(protocol, address, command)) > 0
    else:
        with Datagrams(address) as client:
            client.sock.send(command.encode())
            # the answer says so, where it still comes; else what follows shows it
            client.sock.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                assert int(client.sock.recv(100)) > 0


# what the spoils change; a socket that is served as it should be has the same as at the start
LOOKED_AT = [(socket.SOL_SOCKET, SO_ATTACH_FILTER), (socket.SOL_SOCKET, SO_LOCK_FILTER),
             (socket.SOL_SOCKET, socket.SO_PASSCRED), (socket.SOL_SOCKET, socket.SO_REUSEADDR), (socket.IPPROTO_IP, 21),
             (socket.IPPROTO_IPV6, 73), (socket.IPPROTO_TCP, socket.TCP_MAXSEG), (17, 100)]


def option(one, level, name):
    try:
        return one.getsockopt(level, name, 64)
    except OSError as error:
        return error.errno


def state_of(daemon, protocol, address):
    """What is set on the socket of the supervisor, its flags, and the backlog if it has one."""
    with sockets.held(daemon.pid, protocol, address) as found:
        one, = found
        flags = fcntl.fcntl(one, fcntl.F_GETFL)
        backlog = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)[28:] if protocol == "tcp" else None
        return [option(one, *which) for which in LOOKED_AT], flags, backlog


def kill(daemon, pid):
    os.kill(pid, signal.SIGKILL)
    daemon.until(lambda state: state["s"].serving and state["s"].serving[0].pid != pid,
                 "the worker is replaced")


@pytest.mark.parametrize("how", ["kill", "reload", "upgrade"])
def test_the_next_worker_serves_whatever_was_done_to_its_socket(start, installed, place, what, how):
    protocol, command = SPOILS[what]
    # one that waits in accept itself hears no order
    top = {"drain_timeout": "300ms"}
    daemon = start(spoilt(protocol, place), top=top)
    changed = config(spoilt(protocol, place, environment={"N": "1"}), **top)
    protocol = protocol.rstrip("6")
    address, pid = daemon.address("s"), daemon.worker("s")
    expected = state_of(daemon, protocol, address)
    spoil(daemon, protocol, address, command)
    assert state_of(daemon, protocol, address) != expected
    mark = daemon.log.mark()
    if how == "upgrade":
        assert upgrade(daemon)
    if how == "reload":
        assert daemon.reload(changed)
        daemon.until(lambda state: not state["s"].draining, "the older worker is gone")
    else:
        kill(daemon, pid)
    assert int(ask(protocol, address, "pid")) == daemon.worker("s") != pid
    assert state_of(daemon, protocol, address) == expected
    told = daemon.log.find("'s': its handler ", mark)
    assert len(told) == (what != "no backlog"), told
    if what == "no backlog":
        return
    if what in FOR_GOOD:
        assert "it is opened anew" in told[0].string
    else:
        assert "it is put back" in told[0].string
    # and once only
    mark = daemon.log.mark()
    kill(daemon, daemon.worker("s"))
    assert int(ask(protocol, address, "pid")) == daemon.worker("s")
    assert not daemon.log.find("'s': its handler ", mark)


@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
def test_a_worker_that_dies_leaves_a_socket_that_serves(start, place, mode):
    """In every mode, and with the filter of system calls."""
    daemon = start(spoilt("tcp", place, mode, sandbox={"seccomp": "strict"}))
    address, pid = daemon.address("s"), daemon.worker("s")
    spoil(daemon, "tcp", address, MINTTL)
    kill(daemon, pid)
    assert ask("tcp", address, "pid")
    assert daemon.log.find("'s': its handler has changed IP_MINTTL of the socket; it is put back")


@pytest.mark.parametrize("command", [MINTTL, f"set {socket.IPPROTO_TCP} 10 1"])
def test_a_reload_mends_what_it_leaves_as_it_is(start, place, command):
    """The listener is unchanged; where only another socket helps, so does another worker."""
    daemon = start(spoilt("tcp", place))
    address, pid = daemon.address("s"), daemon.worker("s")
    expected = state_of(daemon, "tcp", address), window_clamp(daemon, address)
    spoil(daemon, "tcp", address, command)
    assert daemon.reload()
    if command != MINTTL:
        daemon.log.wait("'s': its handler has changed TCP_WINDOW_CLAMP of the socket, for good; it is "
                        "opened anew")
        daemon.until(lambda state: state["s"].serving and state["s"].serving[0].pid != pid,
                     "the worker is replaced")
    assert ask("tcp", address, "pid")
    assert (state_of(daemon, "tcp", address), window_clamp(daemon, address)) == expected
    assert (daemon.worker("s") == pid) == (command == MINTTL)


def window_clamp(daemon, address):
    with sockets.held(daemon.pid, "tcp", address) as found:
        return found[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP)


def test_what_an_older_worker_does_while_it_drains_is_undone_at_its_end(start, place):
    daemon = start(spoilt("tcp", place, environment={"N": "0"}))
    address, pid = daemon.address("s"), daemon.worker("s")
    expected = state_of(daemon, "tcp", address)
    client = Stream(address)
    assert client.ask("keep") == "1"
    assert daemon.reload(config(spoilt("tcp", place, environment={"N": "1"})))
    assert client.ask(MINTTL) == "1"
    assert state_of(daemon, "tcp", address) != expected
    client.close()
    daemon.log.wait("'s': its handler has changed IP_MINTTL of the socket; it is put back")
    assert int(ask("tcp", address, "pid")) == daemon.worker("s") != pid
    assert state_of(daemon, "tcp", address) == expected


def test_what_the_configuration_changes_is_no_spoil(start, place):
    """By a reload, and then again at the next worker and over a return to what was."""
    plain = config(spoilt("tcp", place))
    keys = {"keepalive": {"idle": "9s", "interval": "8s", "count": 7}, "receive_buffer": "64KiB",
            "send_buffer": "64KiB", "defer_accept": "3s", "fast_open": 5, "tos": 16, "mark": 3,
            "congestion": "reno"}
    daemon = start(text=plain)
    address = daemon.address("s")
    before = socket_inode(daemon, address)
    for text in (config(spoilt("tcp", place, socket=keys, backlog=7)), plain):
        assert daemon.reload(text)
        expected = state_of(daemon, "tcp", address)
        kill(daemon, daemon.worker("s"))
        assert ask("tcp", address, "pid")
        assert state_of(daemon, "tcp", address) == expected
    assert not daemon.log.find("its handler")
    assert socket_inode(daemon, address) == before


def socket_inode(daemon, address):
    return sockets.inodes(daemon.pid, "tcp", address[1])


@pytest.mark.parametrize("what", SPOILS)
def test_a_restart_from_the_store_serves(start, again, manager, place, what):  # noqa: F811
    protocol, command = SPOILS[what]
    one = spoilt(protocol, place)
    daemon = run(start, manager, one, top={"drain_timeout": "300ms"})
    protocol = protocol.rstrip("6")
    address, expected = daemon.address("s"), state_of(daemon, protocol, daemon.address("s"))
    manager.until(["s/0", "s/0/path"] if protocol.startswith("unix") else ["s/0"])
    worker = daemon.worker("s")
    spoil(daemon, protocol, address, command)
    # as systemd does it: all of the unit at once
    daemon.kill(signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    daemon.expected_exit = -signal.SIGKILL
    daemon.wait_exit()
    assert not procfs.wait_deaths([worker], 5)
    manager.may_pass.clear()
    second = again(one, is_awaited=False)
    manager.may_pass.set()  # nobody but the daemon has a copy any more
    second.wait_ready()
    assert second.address("s") == address
    assert int(ask(protocol, address, "pid")) == second.worker("s")
    assert state_of(second, protocol, address) == expected
    assert bool(second.log.find("it is bound anew")) == (what in FOR_GOOD)


@pytest.mark.parametrize("how", ["kill", "upgrade"])
def test_options_of_systemd_are_kept_and_what_a_handler_sets_is_not(start, installed, launch, how):  # noqa: F811
    with socket.create_server(("127.0.0.1", 0), backlog=9) as unit:
        unit.setsockopt(socket.IPPROTO_IP, 21, 3)
        unit.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 600)
        address = unit.getsockname()
        daemon = launch([unit.fileno()], spoilt("tcp", None, address="systemd:s"), names="s")
    expected = state_of(daemon, "tcp", address)
    for command in (MINTTL, f"set {socket.IPPROTO_TCP} 2 88", "backlog 0", "block"):
        spoil(daemon, "tcp", address, command)
        if command == MINTTL:
            # nobody comes in any more; the socket is there for the rest of it
            kill(daemon, daemon.worker("s"))
    if how == "upgrade":
        assert upgrade(daemon)
    kill(daemon, daemon.worker("s"))
    assert ask("tcp", address, "pid")
    assert state_of(daemon, "tcp", address) == expected


def test_a_socket_of_systemd_that_is_spoilt_for_good_is_told_of(launch, bound):  # noqa: F811
    one = bound("udp")
    daemon = launch([one.fileno()], spoilt("udp", None, address="systemd:s"), names="s")
    pid = daemon.worker("s")
    spoil(daemon, "udp", one.getsockname(), LOCK)
    kill(daemon, pid)
    daemon.log.wait("error: 's': its handler has changed SO_LOCK_FILTER of the socket that systemd had "
                    "opened, for good; only systemd can open it again")


def test_a_name_that_is_no_path_is_taken_again_when_the_older_worker_has_let_go_of_it(start):
    """Who has the socket has the name, and nothing takes that away."""
    keys = {"sandbox": {"seccomp": "off"}, "address": f"@handlerd-spoilt-{os.getpid()}"}
    daemon = start(spoilt("unixgram", None, environment={"N": "0"}, **keys))
    address, pid = daemon.addresses("s")[-1], daemon.worker("s")
    spoil(daemon, "unixgram", address, LOCK)
    # a reload starts the next one beside it
    assert daemon.reload(config(spoilt("unixgram", None, environment={"N": "1"}, **keys)))
    daemon.log.wait("error: 's': its handler has changed SO_LOCK_FILTER of the socket, for good; an older "
                    "worker still has it and with it the name")
    daemon.until(lambda state: not state["s"].draining, "the older worker is gone")
    next_pid = daemon.worker("s")
    assert next_pid != pid
    os.kill(next_pid, signal.SIGKILL)
    daemon.log.wait("'s': its handler has changed SO_LOCK_FILTER of the socket, for good; it is opened anew")
    daemon.until(lambda state: state["s"].serving, "it serves again")
    assert int(ask("unixgram", address, "pid")) == daemon.worker("s")
