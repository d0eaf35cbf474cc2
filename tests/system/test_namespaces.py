"""Networks of our own: a machine with several addresses, and a client at the end of a cable."""
import contextlib
import ctypes
import os
import shutil
import socket
import subprocess

import pytest

from harness import WAIT_S, listener
from sockets import Datagrams, Stream

CLONE_NEWNET = 0x40000000
INET = ["tcp", "udp"]
PORT = 7007

_libc = ctypes.CDLL(None, use_errno=True)


def ip(*lines):
    """Commands of ip(8), in the network of this thread."""
    subprocess.run([shutil.which("ip"), "-batch", "-"], input="\n".join(lines) + "\n", text=True,
                   check=True, capture_output=True, timeout=WAIT_S)


def _current():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _enter(fd):
    if _libc.setns(fd, CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "setns")


class Network:
    """Two networks with a cable between them. What is started stands in the server's."""

    def __init__(self, home):
        self.home = home
        self.server, self.client = self._make(), self._make()
        self.link()

    def _make(self):
        if _libc.unshare(CLONE_NEWNET) < 0:
            _enter(self.home)
            pytest.skip("no network of our own: " + os.strerror(ctypes.get_errno()))
        # no address is tentative at first
        with open("/proc/sys/net/ipv6/conf/default/accept_dad", "w", encoding="ascii") as file:
            file.write("0")
        ip("link set lo up")
        return _current()

    def link(self):
        _enter(self.server)
        ip("link add v0 type veth peer name v1",
           f"link set v1 netns /proc/{os.getpid()}/fd/{self.client}",
           "link set v0 addrgenmode none", "link set v0 up",
           "address add 10.77.0.1/24 broadcast 10.77.0.255 dev v0",
           "address add 10.77.0.2/24 broadcast 10.77.0.255 dev v0",
           "address add fd77::1/64 dev v0 nodad", "address add fd77::2/64 dev v0 nodad",
           "address add fe80::1/64 dev v0 nodad")
        with self.at_client():
            ip("link set v1 addrgenmode none", "link set v1 up",
               "address add 10.77.0.9/24 broadcast 10.77.0.255 dev v1",
               "address add fd77::9/64 dev v1 nodad", "address add fe80::9/64 dev v1 nodad")

    @contextlib.contextmanager
    def at_client(self):
        _enter(self.client)
        try:
            yield
        finally:
            _enter(self.server)

    def scope(self):
        with self.at_client():
            return socket.if_nametoindex("v1")

    def ask(self, protocol, address, text):
        """A question from the other end; an answer counts from that very address only."""
        with self.at_client():
            client = Datagrams(address) if protocol == "udp" else Stream(address)
        with client:
            return client.ask(text)

    def close(self):
        _enter(self.home)
        os.close(self.server)
        os.close(self.client)


@pytest.fixture
def network():
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network of our own needs root and ip(8)")
    home = _current()
    made = None
    try:
        made = Network(home)
        yield made
    except subprocess.CalledProcessError as error:
        pytest.skip("no cable between two networks: " + error.stderr.strip())
    finally:
        if made is not None:
            made.close()
        _enter(home)
        os.close(home)


HOSTS = ["10.77.0.1", "10.77.0.2", "fd77::1", "fd77::2"]


@pytest.mark.parametrize("protocol", INET)
def test_a_star_answers_from_the_address_that_was_asked(network, start, protocol, mode):
    start(listener("s", "sys_socket", mode, f"*:{PORT}", protocol=protocol))
    for host in HOSTS:
        answer = network.ask(protocol, (host, PORT), "client")
        assert answer.startswith("[fd77::9]:" if ":" in host else "10.77.0.9:")


@pytest.mark.parametrize("address, hosts", [("0.0.0.0", HOSTS[:2]), ("[::]", HOSTS[2:])])
def test_a_wildcard_of_one_family_does_too(network, start, address, hosts):
    start(listener("s", "sys_socket", address=f"{address}:{PORT}", protocol="udp"))
    for host in hosts:
        assert network.ask("udp", (host, PORT), "family").isdigit()


def test_sessions_answer_from_the_address_that_was_asked(network, start):
    start(listener("s", "echo", address=f"*:{PORT}", protocol="udp",
                   udp={"session_timeout": "500ms"}))
    for host in HOSTS:
        with network.at_client():
            client = Datagrams((host, PORT))
        with client:
            assert client.ask("one") == "one" and client.ask("two") == "two"


@pytest.mark.parametrize("address", ["*", "0.0.0.0"])
def test_a_question_by_broadcast_is_answered_from_a_real_address(network, start, address):
    start(listener("s", "sys_socket", address=f"{address}:{PORT}", protocol="udp"))
    with network.at_client():
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.settimeout(WAIT_S)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.sendto(b"family", ("10.77.0.255", PORT))
        answer, sender = client.recvfrom(100)
    assert answer == str(int(socket.AF_INET)).encode()
    assert sender in (("10.77.0.1", PORT), ("10.77.0.2", PORT))


@pytest.mark.parametrize("protocol", INET)
def test_a_link_local_address_is_served_on_its_interface(network, start, protocol):
    daemon = start(listener("s", "sys_socket", address=f"[fe80::1%v0]:{PORT}", protocol=protocol))
    assert daemon.addresses("s") == [f"[fe80::1%v0]:{PORT}"]
    answer = network.ask(protocol, ("fe80::1", PORT, 0, network.scope()), "client")
    assert answer.startswith("[fe80::9%v0]:")


def test_link_local_clients_of_a_star_are_answered(network, start):
    start(listener("s", "sys_socket", address=f"*:{PORT}", protocol="udp"))
    answer = network.ask("udp", ("fe80::1", PORT, 0, network.scope()), "client")
    assert answer.startswith("[fe80::9%v0]:")


def test_a_link_local_address_without_an_interface_is_refused(network, start):
    daemon = start(listener("a", "echo", address=f"[fe80::1]:{PORT}"),
                   listener("b", "echo", address=f"[fe80::1%nosuch0]:{PORT}"), is_awaited=False)
    daemon.expected_exit = daemon.wait_exit()
    assert daemon.expected_exit == 78
    daemon.log.wait(r"a link-local address is one of an interface; add %INTERFACE")
    daemon.log.wait(r"there is no network interface of the name that follows '%'")


@pytest.mark.parametrize("protocol", INET)
def test_a_device_serves_what_comes_by_it_alone(network, start, protocol):
    start(listener("s", "sys_socket", address=f"*:{PORT}", protocol=protocol,
                   socket={"device": "v0"}))
    assert network.ask(protocol, ("10.77.0.1", PORT), "client").startswith("10.77.0.9:")
    with pytest.raises(ConnectionRefusedError):
        kind = Datagrams if protocol == "udp" else Stream
        with kind(("127.0.0.1", PORT)) as client:
            client.ask("client")


@pytest.mark.parametrize("protocol", INET)
def test_two_devices_share_address_and_port(network, start, protocol):
    start(listener("v", "echo", address=f"*:{PORT}", protocol=protocol, socket={"device": "v0"}),
          listener("l", "yourmsg", address=f"*:{PORT}", protocol=protocol,
                   socket={"device": "lo"}))
    assert network.ask(protocol, ("10.77.0.2", PORT), "x") == "x"
    with (Datagrams if protocol == "udp" else Stream)(("127.0.0.1", PORT)) as client:
        assert client.ask("x").startswith("Your msg={x")


@pytest.mark.parametrize("protocol", INET)
@pytest.mark.parametrize("host", ["10.77.0.50", "fd77::50"])
def test_freebind_takes_an_address_that_comes_later(network, start, protocol, host):
    address = f"[{host}]:{PORT}" if ":" in host else f"{host}:{PORT}"
    start(listener("s", "sys_socket", address=address, protocol=protocol,
                   socket={"freebind": True}))
    ip(f"address add {host}/{64 if ':' in host else 24} dev v0" + (" nodad" * (":" in host)))
    assert network.ask(protocol, (host, PORT), "family").isdigit()


@pytest.mark.parametrize("protocol", INET)
def test_without_freebind_it_is_refused_and_freebind_named(network, start, protocol):
    daemon = start(listener("s", "echo", address=f"10.77.0.50:{PORT}", protocol=protocol),
                   is_awaited=False)
    daemon.expected_exit = daemon.wait_exit()
    assert daemon.expected_exit == 1
    daemon.log.wait("this machine does not have that address .yet; see socket.freebind")


@pytest.mark.parametrize("protocol", INET)
def test_a_star_serves_ipv4_where_ipv6_is_switched_off(network, start, protocol):
    with open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w", encoding="ascii") as file:
        file.write("1")
    start(listener("s", "sys_socket", address=f"*:{PORT}", protocol=protocol))
    assert network.ask(protocol, ("10.77.0.2", PORT), "client").startswith("10.77.0.9:")
