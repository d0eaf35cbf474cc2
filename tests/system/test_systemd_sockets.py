"""Sockets that systemd has bound: what is taken of them, what is refused, what is left alone."""
import fcntl
import itertools
import os
import re
import socket

import pytest

import harness
import procfs
import sockets
from harness import config, free_ports, listener
from sockets import Datagrams, Stream, ask, echoes

ACTIVATE = "/usr/bin/systemd-socket-activate"
CONFIGURATION = 78
PROTOCOLS = ["tcp", "udp", "unix", "unixgram"]


def adopted(name, protocol="tcp", handler="echo", address=None, **keys):
    return listener(name, handler, protocol=protocol, address=address or f"systemd:{name}", **keys)


@pytest.fixture
def bound(place):
    """Makes sockets as systemd would."""
    made = []

    def one(protocol, is_listening=True, host="127.0.0.1"):
        is_unix = protocol.startswith("unix")
        family = socket.AF_UNIX if is_unix else sockets.family_of((host, 0))
        kind = socket.SOCK_STREAM if protocol in ("tcp", "unix") else socket.SOCK_DGRAM
        new = socket.socket(family, kind)
        made.append(new)
        path = str(place / f"socket{len(made)}")
        new.bind(path if is_unix else (host, 0))
        if is_unix:
            os.chmod(path, 0o666)
        if kind == socket.SOCK_STREAM and is_listening:
            new.listen()
        return new
    yield one
    for new in made:
        new.close()


@pytest.fixture
def launch(start, place, monkeypatch):
    """Starts a daemon with descriptors from 3 on, as systemd does it."""
    def one(passed, *listeners, names=None, variables=None, **keys):
        # above all that they become; the daemon gets no other copies
        passed = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 100) for each in passed]
        script = place / "launcher"
        moves = " ".join(f"{3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(passed))
        script.write_text("#!/bin/bash\nexport LISTEN_PID=${LISTEN_PID:-$$}\n"
                          f"exec {harness.BUILD}/sbin/handlerd \"$@\" {moves}\n")
        script.chmod(0o755)
        env = {"LISTEN_FDS": str(len(passed))}
        if names is not None:
            env["LISTEN_FDNAMES"] = names
        env.update(variables or {})
        try:
            with monkeypatch.context() as patch:
                patch.setattr(harness, "PROGRAM", script)
                return start(*listeners, env=env, pass_fds=passed, **keys)
        finally:
            for fd in passed:
                os.close(fd)
    return one


@pytest.fixture
def refuse(launch):
    """A start that must fail; what it says."""
    def one(passed, *listeners, **keys):
        daemon = launch(passed, *listeners, is_awaited=False, **keys)
        daemon.expected_exit = status = daemon.wait_exit()
        told = [match.string.partition(" error: ")[2] for match in daemon.log.find(" error: ")]
        assert re.fullmatch(r"not started: \d+ errors?", told[-1]), told
        assert status in (1, CONFIGURATION), status
        return told[:-1]
    return one


# What is taken

@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_socket_of_each_protocol_is_served(launch, bound, protocol, mode, who):
    one = bound(protocol)
    daemon = launch([one], adopted("echo", protocol, mode=mode), names="echo", user=who)
    assert echoes(protocol, one.getsockname())
    # it is told with its real address
    name = one.getsockname()
    assert daemon.addresses("echo") == [name if isinstance(name, str) else "%s:%d" % name]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_dual_stack_socket_serves_both(launch, protocol):
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET6, kind) as one:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        one.bind(("::", 0))
        if protocol == "tcp":
            one.listen()
        port = one.getsockname()[1]
        daemon = launch([one], adopted("s", protocol, "sys_socket"), names="s")
        assert daemon.addresses("s") == [f"*:{port}"]
        assert ask(protocol, ("127.0.0.1", port), "family") == str(int(socket.AF_INET))
        assert ask(protocol, ("::1", port), "family") == str(int(socket.AF_INET6))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_all_descriptors_of_one_name_are_served(launch, bound, protocol):
    several = [bound(protocol) for _ in range(3)]
    other = bound("tcp")
    daemon = launch([several[0], other, *several[1:]], adopted("s", protocol),
                    adopted("t"), names="s:t:s:s")
    assert len(daemon.addresses("s")) == 3
    for one in several:
        assert echoes(protocol, one.getsockname())
    assert echoes("tcp", other.getsockname())
    before = daemon.addresses("s")
    assert daemon.reload(config(adopted("s", protocol, environment={"A": "b"}), adopted("t")))
    assert daemon.addresses("s") == before
    for one in several:
        assert echoes(protocol, one.getsockname())


def test_one_listener_has_sockets_of_systemd_and_its_own(launch, bound):
    first, second, (port,) = bound("tcp"), bound("tcp"), free_ports(1)
    launch([first, second],
           adopted("s", address=["systemd:one", f"127.0.0.1:{port}", "systemd:two"]),
           names="one:two")
    for address in (first.getsockname(), second.getsockname(), ("127.0.0.1", port)):
        assert echoes("tcp", address)


def test_without_names_a_descriptor_is_unknown(launch, bound):
    one = bound("tcp")
    launch([one], adopted("s", address="systemd:unknown"))
    assert echoes("tcp", one.getsockname())


def test_a_backlog_that_came_before_the_start_is_served(launch, bound):
    one = bound("tcp")
    with socket.create_connection(one.getsockname()) as early:
        early.sendall(b"early\n")
        early.settimeout(harness.WAIT_S)
        launch([one], adopted("echo"), names="echo")
        assert early.recv(6) == b"early\n"


# What is refused

@pytest.mark.parametrize("protocol, found", list(itertools.permutations(PROTOCOLS, 2)))
def test_a_socket_of_another_protocol_is_refused(refuse, bound, protocol, found):
    told = refuse([bound(found)], adopted("s", protocol), names="s")
    assert len(told) == 1 and "listener 's'" in told[0], told
    assert f"'s' from systemd is {found}, but the listener is {protocol}" in told[0]
    assert re.search(r"handlerd\.conf:\d+: ", told[0])


def test_a_name_that_was_not_passed_is_refused(refuse, bound):
    told = refuse([bound("tcp")], adopted("s"), names="other")
    assert len(told) == 1 and "systemd has passed no socket named 's'" in told[0]


def test_a_connection_is_refused(refuse, bound):
    one = bound("tcp")
    with socket.create_connection(one.getsockname()):
        accepted = one.accept()[0]
        with accepted:
            told = refuse([accepted], adopted("s"), names="s")
    assert len(told) == 1 and "is a connection (Accept=yes" in told[0]


def test_a_connected_udp_socket_is_refused(refuse, bound):
    one = bound("udp")
    one.connect(("127.0.0.1", 9))
    told = refuse([one], adopted("s", "udp"), names="s")
    assert len(told) == 1 and "is a connection" in told[0]


@pytest.mark.parametrize("protocol", ["tcp", "unix"])
def test_a_stream_socket_that_does_not_listen_is_refused(refuse, bound, protocol):
    told = refuse([bound(protocol, is_listening=False)], adopted("s", protocol), names="s")
    assert len(told) == 1 and "does not listen" in told[0]


def test_what_is_no_socket_is_refused(refuse):
    fd = os.open("/dev/null", os.O_RDONLY)
    try:
        told = refuse([fd], adopted("s"), names="s")
    finally:
        os.close(fd)
    assert len(told) == 1 and "is no socket" in told[0]


def test_a_kind_that_no_protocol_has_is_refused(refuse):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        one.bind("")
        one.listen()
        told = refuse([one], adopted("s", "unix"), names="s")
    assert len(told) == 1 and "of a kind that no protocol here has" in told[0]


def test_every_wrong_descriptor_is_told(refuse, bound):
    told = refuse([bound("tcp"), bound("udp")], adopted("s", "udp"), adopted("t", "unix"),
                  adopted("u"), names="s:t")
    assert len(told) == 3, told


@pytest.mark.parametrize("variables", [
    {"LISTEN_PID": "1"}, {"LISTEN_PID": "x"}, {"LISTEN_FDS": "x"}, {"LISTEN_FDS": "-1"},
    {"LISTEN_FDS": "0"}, {"LISTEN_FDS": "999999999999"}, {"LISTEN_FDS": "200"},
    {"LISTEN_FDNAMES": "a:b"},
], ids=lambda variables: "=".join(*variables.items()))
def test_variables_that_do_not_hold_pass_nothing(refuse, bound, variables):
    told = refuse([bound("tcp")], adopted("s"), names="s", variables=variables)
    assert len(told) == 1 and "systemd has passed no socket named 's'" in told[0], told


@pytest.mark.parametrize("variables", [{"LISTEN_FDNAMES": "a:b"}, {"LISTEN_FDS": "200"},
                                       {"LISTEN_FDS": "x"}, {"LISTEN_PID": "x"}],
                         ids=lambda variables: "=".join(*variables.items()))
def test_variables_that_are_wrong_are_warned_of(launch, bound, variables):
    daemon = launch([bound("tcp")], listener("echo"), names="s", variables=variables)
    daemon.log.wait("warning: LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES do not fit together")
    assert echoes("tcp", daemon.address("echo"))


def test_a_wrong_pid_leaves_a_daemon_alone_that_needs_nothing(launch, bound):
    one = bound("tcp")
    daemon = launch([one], listener("echo"), names="echo", variables={"LISTEN_PID": "1"})
    assert not daemon.log.find("systemd has passed")
    assert echoes("tcp", daemon.address("echo"))


def test_two_listeners_of_one_name_are_refused(refuse, bound):
    told = refuse([bound("tcp")], adopted("a", address="systemd:x"),
                  adopted("b", address="systemd:x"), names="x")
    assert len(told) == 1 and "is used by listener 'a'" in told[0]


# What is left

def test_what_nobody_claims_is_told_and_closed(launch, bound):
    mine, other = bound("tcp"), bound("udp")
    daemon = launch([mine, other], adopted("s"), names="s:left")
    address = "%s:%d" % other.getsockname()
    daemon.log.wait(rf"warning: systemd has passed a descriptor named 'left' \({address}\)")
    assert not sockets.inodes(daemon.pid, "udp", other.getsockname()[1])
    assert sockets.inodes(daemon.pid, "tcp", mine.getsockname()[1])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_workers_know_nothing_of_systemd(launch, bound, protocol, mode):
    one = bound(protocol)
    daemon = launch([one], adopted("s", protocol, "sys_socket", mode=mode), names="s")
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        assert ask(protocol, one.getsockname(), "variable " + name) == "unset"
    assert "LISTEN_" not in procfs.read(daemon.worker("s"), "environ")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_second_start_serves_the_same_socket(launch, bound, protocol):
    one = bound(protocol)
    for _ in range(2):
        daemon = launch([one], adopted("echo", protocol), names="echo")
        assert echoes(protocol, one.getsockname())
        assert daemon.stop() == 0
    if protocol.startswith("unix"):
        assert os.path.exists(one.getsockname())
    with (Stream if protocol in ("tcp", "unix") else Datagrams)(one.getsockname()):
        pass  # nobody serves it, and yet it is there


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_removed_listener_leaves_its_socket_to_systemd(launch, bound, protocol):
    one = bound(protocol)
    daemon = launch([one], adopted("echo", protocol), names="echo")
    mark = daemon.log.mark()
    assert daemon.reload("listeners = ();\n")
    daemon.log.wait("'echo' is gone", mark)
    with (Stream if protocol in ("tcp", "unix") else Datagrams)(one.getsockname()):
        pass
    assert not daemon.reload(config(adopted("echo", protocol)))
    daemon.log.wait("systemd has passed no socket named 'echo'.*only a start takes it", mark)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_changed_protocol_is_refused_at_a_reload_with_a_reason(launch, bound, protocol):
    one = bound(protocol)
    daemon = launch([one], adopted("s", protocol), names="s")
    other = PROTOCOLS[PROTOCOLS.index(protocol) - 1]
    mark = daemon.log.mark()
    assert not daemon.reload(config(adopted("s", other)))
    told = [match.string for match in daemon.log.find(" error: ", mark)]
    assert len(told) == 2 and "listener 's'" in told[0], told
    assert echoes(protocol, one.getsockname())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_option_of_bind_is_refused(refuse, bound, protocol):
    key = {"mode": "0600"} if protocol.startswith("unix") else {"freebind": True}
    told = refuse([bound(protocol)], adopted("s", protocol, socket=key), names="s")
    assert len(told) == 1 and "cannot be set for a socket that systemd has bound" in told[0]


# Sockets that a handler shuts down

@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_socket_that_its_handler_shut_down_is_opened_anew(start, place, protocol, mode):
    address = str(place / "s") if protocol.startswith("unix") else "127.0.0.1:0"
    daemon = start(adopted("s", protocol, "sys_socket", address=address, mode=mode))
    where = address if protocol.startswith("unix") else daemon.address("s")
    mark = daemon.log.mark()
    assert shut(protocol, where) == "1"
    daemon.log.wait("'s': its handler shut the socket down; it is opened anew", mark)
    assert ask(protocol, where, "family").isdigit()
    assert daemon.reload() and ask(protocol, where, "family").isdigit()


def shut(protocol, address):
    """What the handler says that it shut down; an answer to a datagram may no longer come."""
    if protocol in ("tcp", "unix"):
        return ask(protocol, address, "shut")
    with Datagrams(address) as client:
        client.sock.send(b"shut")
        return "1"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_of_systemd_is_not_opened_anew(launch, bound, protocol):
    one = bound(protocol)
    daemon = launch([one], adopted("s", protocol, "sys_socket"), listener("echo"), names="s")
    assert shut(protocol, one.getsockname()) == "1"
    daemon.log.wait("error: 's': its handler shut the socket down that systemd had opened")
    assert echoes("tcp", daemon.address("echo"))


# With the tool of systemd itself

@pytest.mark.skipif(not os.path.exists(ACTIVATE), reason="systemd-socket-activate is missing")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_systemd_socket_activate_starts_it_at_the_first_client(start, place, monkeypatch, protocol):
    is_unix, is_datagram = protocol.startswith("unix"), protocol in ("udp", "unixgram")
    address = str(place / "s") if is_unix else "127.0.0.1:%d" % free_ports(1)[0]
    script = place / "activate"
    script.write_text(f"#!/bin/sh\nexec {ACTIVATE} {'-d' if is_datagram else ''} -l {address} "
                      f"--fdname=first {harness.PROGRAM} \"$@\"\n")
    script.chmod(0o755)
    monkeypatch.setattr(harness, "PROGRAM", script)
    daemon = start(adopted("s", protocol, address="systemd:first"), is_awaited=False)
    daemon.log.wait("Listening on")
    where = address if is_unix else ("127.0.0.1", int(address.rpartition(":")[2]))
    assert echoes(protocol, where)
    daemon.wait_ready()
    assert daemon.reload() and echoes(protocol, where)


@pytest.mark.skipif(not os.path.exists(ACTIVATE), reason="systemd-socket-activate is missing")
def test_systemd_socket_activate_passes_two_names(start, place, monkeypatch):
    ports = free_ports(2)
    script = place / "activate"
    script.write_text(f"#!/bin/sh\nexec {ACTIVATE} -l 127.0.0.1:{ports[0]} -l 127.0.0.1:{ports[1]}"
                      f" --fdname=a:b {harness.PROGRAM} \"$@\"\n")
    script.chmod(0o755)
    monkeypatch.setattr(harness, "PROGRAM", script)
    daemon = start(adopted("a"), adopted("b", handler="yourmsg"), is_awaited=False)
    daemon.log.wait("Listening on", count=2)
    assert ask("tcp", ("127.0.0.1", ports[1]), "x").startswith("Your msg={x")
    assert echoes("tcp", ("127.0.0.1", ports[0]))
