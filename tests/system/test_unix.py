"""What only Unix sockets have: descriptors that clients pass, credentials, names, and paths."""
import array
import os
import socket

import pytest

import procfs
from harness import IS_ROOT, NOBODY, listener

KINDS = ["unix", "unixgram"]
POOLS = {"serial": {}, "threading": {"threading": {"min_threads": 1}},
         "forking": {"forking": {"max_children": 1, "connections_per_child": 0}}, "fibers": {}}


@pytest.fixture(params=KINDS)
def protocol(request):
    return request.param


@pytest.fixture
def daemon(start, protocol, mode):
    return start(listener("d", "sys_datagram", mode, protocol=protocol, **POOLS[mode]))


def ask(daemon, text, protocol):
    """One request of its own."""
    with daemon.connect() as client:
        client.send(text + "\n")
        return client.line() if protocol == "unix" else client.receive().decode().rstrip("\n")


def send_with(client, text, fds):
    """The text, with descriptors passed along."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
    target = [0, client.address] if hasattr(client, "address") else []
    client.sock.sendmsg([text], rights, *target)


@pytest.mark.parametrize("count", [1, 2, 250])
def test_descriptors_that_a_client_passes_stay_nowhere(daemon, protocol, count):
    pid = int(ask(daemon, "pid", protocol))
    given = [os.open("/dev/null", os.O_RDONLY) for _ in range(count)]
    try:
        before = procfs.fds(pid)
        with daemon.connect() as client:
            send_with(client, b"pid\n", given)
            assert int(client.line() if protocol == "unix" else client.receive()) == pid
            assert "/dev/null" not in [procfs.fds(pid)[fd] for fd in
                                       procfs.fds(pid).keys() - before.keys()]
        for _ in range(5):
            with daemon.connect() as client:
                send_with(client, b"pid\n", given)
                assert int(client.line() if protocol == "unix" else client.receive()) == pid
    finally:
        for fd in given:
            os.close(fd)
    assert int(ask(daemon, "pid", protocol)) == pid
    daemon.check_balance()
    assert set(procfs.fds(pid).values()) <= set(before.values()) | {
        link for link in procfs.fds(pid).values() if link.startswith("socket:")}
    assert len(procfs.fds(pid)) <= len(before) + 1


def test_a_passed_descriptor_is_closed_for_its_other_end(daemon, protocol):
    """The reader of a pipe sees the end: nobody holds the writing end any more."""
    reader, writer = os.pipe()
    with daemon.connect() as client:
        send_with(client, b"pid\n", [writer])
        os.close(writer)
        assert client.line() if protocol == "unix" else client.receive()
        assert os.read(reader, 1) == b""
    os.close(reader)


def test_the_kernel_tells_who_the_client_is(daemon, protocol):
    assert ask(daemon, "cred", protocol) == f"0 {os.getpid()} {os.getuid()} {os.getgid()}"
    assert ask(daemon, "name", protocol) == f"unix pid {os.getpid()} uid {os.getuid()}"


@pytest.mark.root
def test_each_client_is_told_for_itself(daemon, protocol):
    """Another process, another user."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(writer, ask(daemon, "cred", protocol).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    assert os.read(reader, 100).decode() == f"0 {child} {NOBODY} {NOBODY}"
    os.close(reader)
    assert ask(daemon, "cred", protocol) == f"0 {os.getpid()} {os.getuid()} {os.getgid()}"


@pytest.mark.parametrize("protocol", ["unixgram"])
def test_credentials_are_those_of_the_datagram(daemon):
    """Root may claim to be another user; the kernel lets it."""
    if not IS_ROOT:
        pytest.skip("only root can do this")
    with daemon.connect() as client:
        claim = array.array("i", [os.getpid(), NOBODY, NOBODY])
        client.sock.sendmsg([b"cred"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, claim)], 0,
                            client.address)
        assert client.receive().decode() == f"0 {os.getpid()} {NOBODY} {NOBODY}\n"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_there_are_no_credentials_elsewhere(daemon, protocol):
    with daemon.connect() as client:
        client.send("cred\n")
        answer = client.line() if protocol == "tcp" else client.receive().decode().rstrip("\n")
    assert answer.split()[0] == "-95"


def test_a_path_is_there_while_it_is_served_and_not_after(start, protocol, mode, place):
    path = place / "d.sock"
    daemon = start(listener("d", "sys_datagram", mode, str(path), protocol,
                            socket={"mode": "0666"}))
    assert path.is_socket() and path.stat().st_mode & 0o777 == 0o666
    assert int(ask(daemon, "pid", protocol)) != daemon.pid
    assert daemon.stop() == 0
    assert not path.exists()


def test_a_stale_path_is_replaced(start, protocol, place):
    path = place / "d.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(str(path))
    daemon = start(listener("d", "sys_datagram", address=str(path), protocol=protocol))
    assert ask(daemon, "cred", protocol).startswith("0 ")


# Addresses that lead back to the daemon

@pytest.fixture
def echoes(start, mode, place):
    """Two echoes over Unix datagrams, for whom an answer would be a question."""
    paths = [place / name for name in ("a", "b")]
    daemon = start(*[listener(path.name, "echo", mode, protocol="unixgram", address=str(path),
                              socket={"mode": "0666"}) for path in paths])
    return daemon, *paths


def unanswered(daemon, name):
    return daemon.status()[name].drops.get("unanswered as from a port of this daemon", 0)


def test_a_relative_path_of_a_client_is_no_way_back(echoes, place, monkeypatch):
    """The client meant its own directory; from ours the same path may be anybody's socket."""
    daemon, path, _ = echoes
    inside = place / "x"
    (inside / str(path.parent).lstrip("/")).mkdir(parents=True)
    monkeypatch.chdir(inside)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.bind(str(path).lstrip("/"))
        client.sendto(b"loop", str(path))
    daemon.until(lambda state: state["a"].finished == 1, "served")
    assert unanswered(daemon, "a") == 1


def test_a_path_that_leads_to_another_listener_is_answered_once(echoes, place):
    daemon, first, second = echoes
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.bind(str(place / "client"))
        (place / "client").unlink()
        (place / "client").symlink_to(second)
        client.sendto(b"loop", str(first))
    daemon.until(lambda state: state["b"].finished == 1, "the answer was taken for a question")
    assert daemon.status()["a"].accepted == 1
    assert unanswered(daemon, "b") == 1
