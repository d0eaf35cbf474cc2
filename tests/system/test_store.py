"""systemd's store of descriptors: a restart refuses nobody, and nothing is kept that nobody serves."""
import os
import socket
import threading

import pytest

from harness import config, free_ports, listener
from sockets import echoes
from test_systemd_sockets import launch, shut  # noqa: F401 (a fixture)

PROTOCOLS = ["tcp", "udp", "unix", "unixgram"]


class Manager:
    """The part of systemd that keeps descriptors, and what it was told of them."""

    def __init__(self, path):
        self.address = str(path)
        self.kept = {}
        self.told = []
        self.may_pass = threading.Event()    # the barrier
        self.may_pass.set()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        os.chmod(self.address, 0o666)
        self._changed = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                data, fds, _flags, _from = socket.recv_fds(self._socket, 8192, 253)
            except OSError:
                return
            state = dict(line.split("=", 1) for line in data.decode().splitlines())
            with self._changed:
                self._take(state, fds)
                self._changed.notify_all()

    def _take(self, state, fds):
        self.told.append(state)
        name = state.get("FDNAME")
        if state.get("FDSTORE") == "1":
            assert len(fds) == 1 and state["FDPOLL"] == "0"
            assert name not in self.kept, name
            self.kept[name] = fds[0]
        elif state.get("FDSTOREREMOVE") == "1":
            os.close(self.kept.pop(name))
        elif state.get("BARRIER") == "1":
            self.may_pass.wait(10)
            os.close(fds[0])
        else:
            assert not fds

    def names(self):
        with self._changed:
            return sorted(self.kept)

    def until_kept(self, is_so):
        with self._changed:
            assert self._changed.wait_for(lambda: is_so(self.kept), 10), self.kept

    def until(self, names):
        self.until_kept(lambda kept: sorted(kept) == sorted(names))

    def pass_on(self):
        """What the next start is passed."""
        with self._changed:
            return list(self.kept.values()), ":".join(self.kept)

    def close(self):
        self._socket.close()
        for fd in self.kept.values():
            os.close(fd)


@pytest.fixture
def manager(place):
    one = Manager(place / "notify")
    yield one
    one.close()


def entry(name="one", **keys):
    return listener(name, "echo", **keys)


def serves(daemon, name="one"):
    return echoes(daemon.protocol(name), daemon.address(name))


def run(start, manager, *listeners, **keys):
    return start(*listeners, env={"NOTIFY_SOCKET": manager.address}, **keys)


@pytest.fixture
def again(launch, manager):  # noqa: F811
    """The start after a stop: with what was kept."""
    def one(*listeners, **keys):
        fds, names = manager.pass_on()
        return launch(fds, *listeners, names=names,
                      variables={"NOTIFY_SOCKET": manager.address}, **keys)
    return one


def place_of(place, protocol):
    return {"tcp": "127.0.0.1:0", "udp": "127.0.0.1:0", "unix": str(place / "stored"),
            "unixgram": str(place / "stored")}[protocol]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_socket_survives_the_restart_with_its_address(start, again, manager, place, protocol):
    one = entry(protocol=protocol, address=place_of(place, protocol))
    daemon = run(start, manager, one)
    names = ["one/0", "one/0/path"] if protocol.startswith("unix") else ["one/0"]
    manager.until(names)
    before = daemon.addresses("one")
    daemon.stop()
    assert manager.names() == sorted(names)
    second = again(one)
    assert second.addresses("one") == before
    assert serves(second, "one")
    assert manager.names() == sorted(names)
    assert not second.log.find("warning: .*(systemd|bound anew)")


def test_a_client_that_comes_between_two_daemons_is_served(start, again, manager):
    one = entry()
    daemon = run(start, manager, one)
    manager.until(["one/0"])
    host, port = daemon.address("one")
    daemon.stop()
    with socket.create_connection((host, port), timeout=10) as client:
        client.sendall(b"early")
        again(one)
        assert client.recv(5) == b"early"


def test_a_removed_listener_and_a_changed_address_leave_the_store(start, manager, place):
    ports = free_ports(2)
    daemon = run(start, manager, entry(address=f"127.0.0.1:{ports[0]}"),
                 entry("two", protocol="unix", address=str(place / "two")))
    manager.until(["one/0", "two/0", "two/0/path"])
    assert daemon.reload(config(entry(address=f"127.0.0.1:{ports[1]}")))
    manager.until(["one/0"])
    assert not (place / "two").exists()
    names = [state["FDNAME"] for state in manager.told if state.get("FDSTOREREMOVE")]
    assert sorted(names) == ["one/0", "two/0", "two/0/path"]


def test_what_no_listener_claims_after_a_restart_is_dropped_and_not_complained_of(start, again,
                                                                               manager):
    daemon = run(start, manager, entry(), entry("two"))
    manager.until(["one/0", "two/0"])
    daemon.stop()
    second = again(entry("two"))
    manager.until(["two/0"])
    assert not second.log.find("no listener takes")


def test_several_addresses_have_numbers_and_a_renamed_listener_keeps_the_socket(start, again,
                                                                               manager):
    ports = free_ports(2)
    addresses = [f"127.0.0.1:{port}" for port in ports]
    daemon = run(start, manager, entry(address=addresses))
    manager.until(["one/0", "one/1"])
    daemon.stop()
    second = again(entry("new", address=addresses))
    assert second.addresses("new") == addresses
    assert serves(second, "new")
    assert manager.names() == ["one/0", "one/1"]
    # a further one of that name takes a number that is free
    assert second.reload(config(entry("new", address=addresses),
                                entry(address="127.0.0.1:0")))
    manager.until(["one/0", "one/1", "one/2"])


def test_a_path_that_leads_elsewhere_is_bound_anew_with_one_warning(start, again, manager, place):
    one = entry(protocol="unix", address=str(place / "stored"))
    daemon = run(start, manager, one)
    manager.until(["one/0", "one/0/path"])
    daemon.stop()
    (place / "stored").unlink()
    second = again(one)
    assert len(second.log.find("that path no longer leads to it; it is bound anew")) == 1
    assert serves(second, "one")
    manager.until(["one/0", "one/0/path"])
    second.stop()
    third = again(one)
    assert not third.log.find("bound anew")
    assert serves(third, "one")


def test_a_stored_path_gets_the_mode_that_the_configuration_says(start, again, manager, place):
    path = place / "stored"
    daemon = run(start, manager, entry(protocol="unix", address=str(path),
                                          socket={"mode": "0600"}))
    manager.until(["one/0", "one/0/path"])
    daemon.stop()
    again(entry(protocol="unix", address=str(path), socket={"mode": "0666"}))
    assert path.stat().st_mode & 0o777 == 0o666


def test_options_of_the_configuration_are_set_on_what_comes_back(start, again, manager):
    port = free_ports(1)[0]
    daemon = run(start, manager, entry(address=f"127.0.0.1:{port}"))
    manager.until(["one/0"])
    daemon.stop()
    manager.may_pass.clear()
    second = again(entry(address=f"127.0.0.1:{port}", socket={"reuse_port": 2}),
                   is_awaited=False)
    manager.may_pass.set()                   # nobody but the daemon has a copy any more
    second.wait_ready()
    # with SO_REUSEPORT it must be bound anew, and the old one is no more
    assert serves(second, "one")
    manager.until(["one/0", "one/1"])


def test_sockets_of_a_unit_are_never_stored(launch, manager):  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as unit:
        daemon = launch([unit.fileno()], entry(address="systemd:web"), names="web",
                        variables={"NOTIFY_SOCKET": manager.address})
        assert serves(daemon, "one")
        assert manager.names() == []


def test_without_systemd_a_path_is_removed_at_the_stop(start, place):
    path = place / "stored"
    daemon = start(entry(protocol="unix", address=str(path)))
    assert path.exists()
    daemon.stop()
    assert not path.exists()


def test_a_socket_that_a_handler_broke_is_replaced_in_the_store(start, manager):
    daemon = run(start, manager, listener("one", "sys_socket"))
    manager.until(["one/0"])
    before = os.fstat(manager.kept["one/0"]).st_ino
    assert shut("tcp", daemon.address("one")) == "1"
    daemon.log.wait("it is opened anew")
    manager.until_kept(lambda kept: "one/0" in kept and
                       os.fstat(kept["one/0"]).st_ino != before)


def test_a_start_that_fails_leaves_the_store_to_the_next(start, again, manager, place):
    path = str(place / "stored")
    good = [entry(), entry("two", protocol="unix", address=path)]
    daemon = run(start, manager, *good)
    names = ["one/0", "two/0", "two/0/path"]
    manager.until(names)
    before = daemon.addresses("one")
    daemon.stop()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = "127.0.0.1:%d" % other.getsockname()[1]
        failing = again(*good, entry("three", address=taken), is_awaited=False)
        failing.expected_exit = failing.wait_exit()
        assert failing.expected_exit == 1
    assert manager.names() == names
    last = again(*good)
    assert last.addresses("one") == before
    assert serves(last, "one")
    assert serves(last, "two")
    assert not last.log.find("bound anew")
