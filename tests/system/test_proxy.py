"""The handler proxy: bytes both ways, half-closed connections, slow ends, servers that fail."""
import contextlib
import hashlib
import os
import re
import select
import socket
import struct
import threading

import pytest

import ctl
import modes
import procfs
from client import TIMEOUT_S, Client
from harness import IS_SANITIZED, SLOW, config, free_ports, listener

MODES = ["threading", "fibers"]
mode = modes.fixture(MODES)

MIB = 1 << 20


def proxy(mode, to, name="proxy", **options):
    keys = {}
    for key in ("socket", "protocol", "environment", "max_connections", "limits", "timeouts"):
        if key in options:
            keys[key] = options.pop(key)
    return listener(name, "proxy", mode, options={"to": to, **options}, **keys)


class Server:
    """A server of the test's own, whose connections the test takes one by one."""

    def __init__(self, family=socket.AF_INET, address=("127.0.0.1", 0), backlog=128,
                 receive_buffer=None):
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.bind(address)
        self.sock.listen(backlog)
        self.taken = []

    @property
    def to(self):
        name = self.sock.getsockname()
        if isinstance(name, bytes):
            return "unix:@" + name[1:].decode()
        return f"unix:{name}" if isinstance(name, str) else f"tcp:{name[0]}:{name[1]}"

    def take(self):
        """The next connection, as a client of the harness."""
        one = Client.__new__(Client)
        one.sock, _ = self.sock.accept()
        one.sock.settimeout(TIMEOUT_S)
        self.taken.append(one)
        return one

    def close(self):
        for one in self.taken:
            one.close()
        self.sock.close()


@pytest.fixture
def server(guard):
    with contextlib.closing(Server()) as one:
        yield one


@pytest.fixture
def pair(start, mode, server):
    """Starts a proxy; a client, and the connection of the server that belongs to it."""

    def one(**options):
        daemon = start(proxy(mode, server.to, **options))
        client = daemon.connect()
        return daemon, client, server.take()

    return one


def wait_closed(daemon, failed=0):
    """All connections have ended, so many of them by an error that is no client's."""
    state = daemon.until(lambda state: state["proxy"].open == 0 and state["proxy"], "all ended")
    assert state.failed == failed


# Bytes both ways

@pytest.mark.parametrize("splice", [False, True])
def test_a_client_talks_with_an_echo_server_through_it(start, mode, splice):
    daemon = start(listener("echo"))
    through = start(proxy(mode, f"tcp:127.0.0.1:{daemon.port()}", splice=splice))
    with through.connect() as client:
        for message in (b"one", b"\0\xff\r\n", os.urandom(100000), b"x" * 65536, b"end"):
            client.send(message)
            assert client.exactly(len(message)) == message
        assert client.half_close().rest() == b""
    wait_closed(through)


@pytest.mark.parametrize("protocol", ["tcp", "unix"])
@pytest.mark.parametrize("family", ["inet", "inet6", "path", "abstract"])
def test_it_connects_addresses_of_every_kind(start, mode, place, protocol, family):
    server = {
        "inet": lambda: Server(),
        "inet6": lambda: Server(socket.AF_INET6, ("::1", 0)),
        "path": lambda: Server(socket.AF_UNIX, str(place / "server")),
        "abstract": lambda: Server(socket.AF_UNIX, f"\0handlerd-proxy-{os.getpid()}"),
    }[family]()
    with contextlib.closing(server):
        to = server.to
        if family == "path":
            os.chmod(place / "server", 0o666)
        if family == "inet6":
            to = f"tcp:[::1]:{server.sock.getsockname()[1]}"
        daemon = start(proxy(mode, to, protocol=protocol))
        client = daemon.connect()
        other = server.take()
        assert client.send(b"to") and other.exactly(2) == b"to"
        assert other.send(b"from") and client.exactly(4) == b"from"
        # the client has gone altogether, with what it sent still to be read
        client.send(b"y" * 200000).close()
        assert other.rest() == b"y" * 200000
        other.close()
        wait_closed(daemon)


class Exchange:
    """Sends through each of two sockets what the other must receive, as poll(2) lets it."""

    def __init__(self, one, other, data, back):
        self.sides = [one.sock, other.sock]
        self.left = {one.sock: memoryview(data), other.sock: memoryview(back)}
        self.digests = {sock: hashlib.sha256() for sock in self.sides}
        self.wanted = {one.sock: hashlib.sha256(back).digest(),
                       other.sock: hashlib.sha256(data).digest()}

    def run(self):
        sockets = {sock.fileno(): sock for sock in self.sides}
        wanted = {number: select.POLLIN | select.POLLOUT for number in sockets}
        for sock in self.sides:
            sock.setblocking(False)
        while any(wanted.values()):
            poll = select.poll()
            for number, events in wanted.items():
                if events:
                    poll.register(number, events)
            ready = poll.poll(TIMEOUT_S * 1000)
            assert ready, "nothing moves any more"
            for number, events in ready:
                sock, left = sockets[number], self.left[sockets[number]]
                if events & select.POLLOUT:
                    self.left[sock] = left = left[sock.send(left[:1 << 18]):]
                    if not left:
                        sock.shutdown(socket.SHUT_WR)
                        wanted[number] &= ~select.POLLOUT
                if events & (select.POLLIN | select.POLLHUP):
                    piece = sock.recv(1 << 18)
                    self.digests[sock].update(piece)
                    if not piece:
                        wanted[number] &= ~select.POLLIN
        assert {sock: digest.digest() for sock, digest in self.digests.items()} == self.wanted


@pytest.mark.parametrize("splice", [False, True])
@pytest.mark.parametrize("protocol", ["tcp", "unix"])
def test_ten_megabytes_go_both_ways_at_once(pair, splice, protocol):
    daemon, client, other = pair(splice=splice, protocol=protocol)
    Exchange(client, other, os.urandom(10 * MIB), os.urandom(10 * MIB)).run()
    wait_closed(daemon)


@pytest.mark.parametrize("splice", [False, True])
def test_both_ends_may_send_all_they_have_before_they_read(start, mode, splice):
    """More than all buffers hold: who sends in one direction to the end, before it looks at the other,
    would not come to it."""
    with contextlib.closing(Server(receive_buffer=16384)) as server:
        daemon = start(proxy(mode, server.to, splice=splice,
                             socket={"send_buffer": "16KiB", "receive_buffer": "16KiB"}))
        client = daemon.connect(receive_buffer=16384)
        other = server.take()
        ends = [client, other]
        data = [os.urandom(4 * MIB) for _ in ends]
        got = [None, None]
        both_send = threading.Barrier(2)

        def talk(index):
            ends[index].sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
            both_send.wait(TIMEOUT_S)
            sender = threading.Thread(target=lambda: ends[index].send(data[index]).half_close())
            sender.start()
            if index == 1:  # one reads only when the other has received half of it
                half.wait(TIMEOUT_S)
            received = bytearray()
            while True:
                piece = ends[index].some()
                received += piece
                if len(received) > 2 * MIB:
                    half.set()
                if not piece:
                    break
            got[index] = bytes(received)
            sender.join()

        half = threading.Event()
        talkers = [threading.Thread(target=talk, args=(index,)) for index in range(2)]
        for talker in talkers:
            talker.start()
        for talker in talkers:
            talker.join(4 * TIMEOUT_S)
        assert got == data[::-1]
        wait_closed(daemon)


def fill(end):
    """Sends until nothing is taken any more; how much that was."""
    end.sock.setblocking(False)
    sent, poll = 0, select.poll()
    poll.register(end.sock, select.POLLOUT)
    while poll.poll(300 * SLOW):
        sent += end.sock.send(b"f" * 65536)
    end.sock.setblocking(True)
    end.sock.settimeout(TIMEOUT_S)
    return sent


def drink(end, size):
    while size > 0:
        size -= len(end.some(min(size, MIB)))
    assert size == 0


@pytest.mark.parametrize("splice", [False, True])
def test_an_end_that_does_not_read_holds_up_its_own_direction_alone(pair, splice):
    daemon, client, other = pair(splice=splice)
    before = procfs.memory_kib(daemon.worker())
    up = fill(client)
    assert up > 65536
    for number in range(100):
        message = f"down {number}".encode() * 100
        other.send(message)
        assert client.exactly(len(message)) == message
    # and now the other direction alone
    drink(other, up)
    down = fill(other)
    for number in range(100):
        message = f"up {number}".encode() * 100
        client.send(message)
        assert other.exactly(len(message)) == message
    assert IS_SANITIZED or procfs.memory_kib(daemon.worker()) - before <= 512
    drink(client, down)
    client.half_close()
    assert other.rest() == b""
    assert other.half_close() and client.rest() == b""
    wait_closed(daemon)


def count_pipes(daemon):
    return len([what for what in procfs.fds(daemon.worker()).values() if "pipe:" in what])


def test_much_is_spliced_and_little_is_copied(pair):
    daemon, client, other = pair()
    before = count_pipes(daemon)
    for number in range(20):
        client.send(b"x" * 100)
        assert other.exactly(100) == b"x" * 100
    assert count_pipes(daemon) == before
    sender = threading.Thread(target=lambda: client.send(b"y" * MIB))
    sender.start()
    drink(other, MIB)
    sender.join()
    assert count_pipes(daemon) == before + 2
    for number in range(20):
        client.send(b"z" * 100)
        assert other.exactly(100) == b"z" * 100
    assert count_pipes(daemon) == before


def processor_seconds(pid):
    fields = procfs.read(pid, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("state", ["quiet", "half closed", "full", "gone"])
def test_waiting_takes_no_time_of_the_processor(pair, state):
    daemon, client, other = pair(protocol="unix" if state == "gone" else "tcp")
    if state == "half closed":
        client.half_close()
        assert other.rest() == b""
    if state == "full":
        fill(client), fill(other)
    if state == "gone":
        # its buffers are full of what the server does not read, and it is not there any more
        fill(client)
        client.close()
    before = processor_seconds(daemon.worker())
    assert not select.select([], [], [], 0.5)[0]
    assert processor_seconds(daemon.worker()) - before <= 0.1 * SLOW
    other.reset()
    daemon.close_clients()


# The end of one direction, or of both

def test_the_end_of_each_direction_is_carried_through_by_itself(pair):
    daemon, client, other = pair()
    client.send(b"question").half_close()
    assert other.rest() == b"question"
    other.send(b"an")
    assert client.exactly(2) == b"an"
    other.send(b"swer").half_close()
    assert client.rest() == b"swer"
    wait_closed(daemon)


def test_a_server_may_end_first_and_still_be_told_more(pair):
    daemon, client, other = pair()
    other.send(b"enough").half_close()
    assert client.rest() == b"enough"
    client.send(b"but still")
    assert other.exactly(9) == b"but still"
    client.half_close()
    assert other.rest() == b""
    wait_closed(daemon)


def test_an_answer_arrives_though_the_server_took_only_a_part_of_the_question(pair):
    daemon, client, other = pair()
    client.send(b"q" * 100)
    other.exactly(1)
    other.send(b"too long").half_close()
    assert client.exactly(8) == b"too long"
    client.send(b"more")
    other.close()  # with something unread: a reset
    with contextlib.suppress(OSError):
        client.send(b"x").send(b"y")
        client.half_close().rest()
    wait_closed(daemon)


def test_a_server_that_resets_resets_the_client(pair):
    daemon, client, other = pair()
    other.send(b"half of it")
    assert client.exactly(10) == b"half of it"
    other.reset()
    with pytest.raises(ConnectionResetError):
        client.some()
    daemon.log.wait(r"warning: 'proxy' .*lost the connection to 'tcp:127\.0\.0\.1:\d+': Connection "
                    r"reset by peer; it ended the connection before its time: its own log")
    wait_closed(daemon, failed=1)


def test_a_server_that_resets_while_it_is_sent_to_resets_the_client(pair):
    daemon, client, other = pair()
    fill(client)
    other.reset()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        while True:
            client.send(b"x" * 65536)
    wait_closed(daemon, failed=1)


def test_a_client_that_resets_resets_the_server_and_is_no_failure(pair):
    daemon, client, other = pair()
    client.send(b"half of it")
    assert other.exactly(10) == b"half of it"
    client.reset()
    with pytest.raises(ConnectionResetError):
        other.some()
    wait_closed(daemon)
    assert not daemon.log.find("warning: 'proxy'")


def test_a_client_that_leaves_in_the_middle_of_the_answer_is_no_failure(pair):
    daemon, client, other = pair()
    fill(other)
    client.close()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        while True:
            other.send(b"x" * 65536)
    wait_closed(daemon)


def test_a_connection_on_which_nothing_moves_is_closed_in_time(pair):
    daemon, client, other = pair(idle_timeout="300ms")
    for _ in range(4):
        assert client.is_silent(0.1)
        client.send(b"x")
        assert other.exactly(1) == b"x"
    assert client.rest() == b"" and other.rest() == b""
    wait_closed(daemon)


# Servers that are not there

def dies(daemon):
    """What becomes of a client whom nobody serves."""
    with pytest.raises(ConnectionResetError):
        daemon.connect().some()


def test_a_server_that_refuses_is_told_with_what_can_be_done(start, mode):
    (port,) = free_ports(1)
    daemon = start(proxy(mode, f"tcp:127.0.0.1:{port}"))
    for _ in range(20):
        dies(daemon)
    wait_closed(daemon, failed=20)
    assert len(daemon.log.find(
        rf"warning: 'proxy' #\d+ \S+: cannot connect to 'tcp:127\.0\.0\.1:{port}': Connection refused; "
        r"nobody listens there: start the server, or correct the option")) == 1
    server = Server(address=("127.0.0.1", port))
    with contextlib.closing(server):
        daemon.connect().send(b"again").half_close()
        assert server.take().rest() == b"again"
    wait_closed(daemon, failed=20)


def test_a_unix_socket_that_is_not_there_or_may_not_be_used_is_told(start, mode, place):
    with contextlib.closing(Server(socket.AF_UNIX, str(place / "mine"))):
        os.chmod(place / "mine", 0o600)
        daemon = start(proxy(mode, f"unix:{place}/missing", "missing"),
                       proxy(mode, f"unix:{place}/mine", "mine"), user="root")
        for name, words in (("missing", r"No such file or directory; there is no such socket"),
                            ("mine", r"Permission denied; the user of this worker may not connect")):
            with pytest.raises(ConnectionResetError):
                daemon.connect(name).some()
            daemon.log.wait(rf"cannot connect to 'unix:{place}/{name}': {words}")


def test_a_server_that_does_not_answer_is_given_up_in_time(start, mode):
    with contextlib.closing(Server(backlog=0)) as server:
        # its backlog is full: the kernel answers no more
        full = [socket.socket() for _ in range(3)]
        for one in full:
            one.setblocking(False)
            one.connect_ex(server.sock.getsockname())
        daemon = start(proxy(mode, server.to, connect_timeout="200ms"))
        dies(daemon)
        daemon.log.wait(r"cannot connect to '.*': Connection timed out; it did not answer in time")
        wait_closed(daemon, failed=1)
        for one in full:
            one.close()


@pytest.mark.parametrize("family", ["inet", "abstract"])
def test_a_client_waits_for_a_server_that_is_slow_to_answer(start, mode, family):
    where = {"inet": (socket.AF_INET, ("127.0.0.1", 0)),
             "abstract": (socket.AF_UNIX, f"\0handlerd-slow-{os.getpid()}")}[family]
    with contextlib.closing(Server(*where, backlog=0)) as server:
        # it has the only place in the backlog
        first = Client(where[1] if family == "abstract" else server.sock.getsockname())
        first.send(b"first")
        daemon = start(proxy(mode, server.to))
        client = daemon.connect().send(b"patience")
        assert client.is_silent(0.2)
        assert server.take().exactly(5) == b"first"
        assert server.take().exactly(8) == b"patience"
        first.close()


def test_a_unix_socket_whose_backlog_stays_full_is_given_up_in_time(start, mode):
    name = f"\0handlerd-full-{os.getpid()}"
    with contextlib.closing(Server(socket.AF_UNIX, name, backlog=0)) as server, Client(name):
        daemon = start(proxy(mode, server.to, connect_timeout="100ms"))
        dies(daemon)
        daemon.log.wait(r"cannot connect to '.*': Connection timed out; it did not answer")
        wait_closed(daemon, failed=1)


def test_others_are_tried_in_their_order(start, mode, server):
    ports = free_ports(2)
    daemon = start(proxy(mode, f"tcp:127.0.0.1:{ports[0]}",
                         fallback=[f"tcp:127.0.0.1:{ports[1]}", server.to, "unix:/never/asked"]))
    daemon.connect().send(b"hello").half_close()
    other = server.take()
    assert other.rest() == b"hello"
    other.close()
    wait_closed(daemon)
    assert not daemon.log.find("never/asked")


@pytest.mark.parametrize("to", ["127.0.0.1:80", "tcp:localhost", "tcp::80", "tcp:host:0",
                                "tcp:host:65536", "tcp:host:80x", "unix:relative", "unix:", ""])
def test_an_address_that_is_none_fails_the_start(start, to):
    daemon = start(proxy("threading", to), is_awaited=False)
    daemon.expected_exit = 1
    daemon.log.wait(re.escape(f"option 'to': '{to}' is no address; write tcp:HOST:PORT, "))
    assert daemon.wait_exit() == 1


# Many, and the end of the daemon

def test_many_connections_at_once_and_one_after_the_other_leave_nothing(start, mode):
    echo = start(listener("echo"))
    daemon = start(proxy(mode, f"tcp:127.0.0.1:{echo.port()}", splice=True, buffer="1KiB"))
    with daemon.connect() as client:
        assert client.send(b"x").exactly(1) == b"x"
    wait_closed(daemon)
    before = count_pipes(daemon)
    for _ in range(3):
        clients = [daemon.connect() for _ in range(50)]
        for number, client in enumerate(clients):
            client.send(struct.pack("!I", number) * 2500)
        for number, client in enumerate(clients):
            assert client.exactly(10000) == struct.pack("!I", number) * 2500
        for number, client in enumerate(clients):
            if number % 2:
                client.close()
            else:
                assert client.half_close().rest() == b""
        daemon.close_clients()
        wait_closed(daemon)
    assert count_pipes(daemon) == before


def test_a_reload_lets_connections_go_on_and_the_deadline_ends_them(start, mode, server):
    def text(number):
        return config(proxy(mode, server.to, environment={"N": str(number)}), drain_timeout="1s")

    daemon = start(text=text(0))
    client = daemon.connect()
    other = server.take()
    assert daemon.reload(text(1))
    assert client.send(b"still") and other.exactly(5) == b"still"
    assert other.send(b"here") and client.exactly(4) == b"here"
    assert client.is_at_end() and other.is_at_end()
    daemon.until(lambda state: len(state["proxy"].workers) == 1, "the old worker has ended")
    wait_closed(daemon)


def test_a_single_connection_can_be_killed(start, mode, server):
    daemon = start(proxy(mode, server.to))
    clients = [daemon.connect().send(bytes([number])) for number in range(2)]
    others = [server.take() for _ in range(2)]
    first = {other.exactly(1): other for other in others}
    rows = ctl.ctl("--control", daemon.control, "connections").stdout.decode().split("\n")
    (number,) = [row.split()[0] for row in rows if clients[0].name() in row]
    assert ctl.ctl("--control", daemon.control, "kill", number).returncode == 0
    assert clients[0].is_at_end() and first[b"\0"].is_at_end()
    assert clients[1].send(b"x") and first[b"\1"].exactly(1) == b"x"
    clients[1].close()
    first[b"\1"].close()
    wait_closed(daemon)
