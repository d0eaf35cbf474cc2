"""A listener that has all the clients it may have, and refuses more: whom its rules keep out anyway
is kept out for that, and told nothing; its limits of sources are not touched by who is refused."""
import json
import os
import socket

import pytest

from client import Client, Datagrams
from ctl import ctl
from harness import NOBODY, SLOW, config, listener
from network import namespace
from test_access import as_user, zone_in_which_it_is
from test_limits import BANNER, busy_ones, explain, is_busy, is_served, limited

DENIED, OTHER = "127.0.0.2", "127.0.0.3"


def full(mode, protocol="tcp", at_once=1, access=None, on_limit="close", **limits):
    """With room for few, and a text for those who are too many."""
    made = limited(mode, protocol, at_once, on_limit=on_limit, banner=BANNER, **limits)
    if access is None:
        return made
    rules = "; ".join(f'{key} = "{value}"' for key, value in access.items())
    return made.replace("limits =", f"access = {{ {rules}; }}; limits =", 1)


def ends(daemon, name="e"):
    """Numbers of clients by the reason of their end."""
    answer = json.loads(ctl("--control", daemon.control, "status", name, "--json").stdout)
    return answer["listeners"][0]["connections"]["ended"]


def told(daemon, source):
    """All that a client of there gets."""
    return daemon.connect(source=(source, 0)).rest().decode()


def left(daemon, source):
    """The connections of a source, as handlerctl tells."""
    return explain(daemon, source)[2]["connections_per_source"]["text"]


@pytest.mark.parametrize("on_limit", ["close", "reset"])
def test_who_may_not_come_in_is_kept_out_for_that(start, mode, on_limit):
    daemon = start(full(mode, access={"deny": DENIED}, on_limit=on_limit))
    held = daemon.connect()
    assert is_served(held)
    # closed in order, whatever becomes of the others
    assert [told(daemon, DENIED) for _ in range(5)] == [""] * 5
    if on_limit == "close":
        assert [told(daemon, OTHER) for _ in range(3)] == [BANNER] * 3
    else:
        for _ in range(3):
            with pytest.raises(ConnectionResetError):
                told(daemon, OTHER)
    daemon.log.wait(rf"{DENIED}:\d+: refused: access;", count=5)
    daemon.log.wait(rf"{OTHER}:\d+: refused: limit of connections;", count=3)
    assert ends(daemon) == {"access": 5, "limit": 3}
    held.close()
    daemon.check_balance()
    state = daemon.listener()
    assert (state.accepted, state.refused) == (9, 8)


def test_what_is_explained_is_what_happens(start, mode):
    daemon = start(full(mode, access={"deny": DENIED}, connections_per_source=1))
    held = daemon.connect(source=(OTHER, 0))
    assert is_served(held)
    # of the last one the limit of its source would say no, too, and is not asked
    for source, reason in ((DENIED, "access"), ("127.0.0.4", "limit"), (OTHER, "limit")):
        before = ends(daemon).get(reason, 0)
        assert explain(daemon, source)[:2] == ("refused", reason)
        assert told(daemon, source) == ("" if reason == "access" else BANNER)
        assert ends(daemon)[reason] == before + 1


def test_who_is_refused_costs_its_source_nothing(start, mode):
    daemon = start(full(mode, access={"deny": DENIED}, connections_per_source=1,
                        rate_per_source="1/h", rate_per_source_burst=2))
    with daemon.connect() as held:
        assert is_served(held)
        for _ in range(3):
            assert told(daemon, DENIED) == ""
            assert told(daemon, OTHER) == BANNER
        for source in (DENIED, OTHER):
            rules = explain(daemon, source)[2]
            assert left(daemon, source) == "its source has 0 of 1 connections"
            assert rules["rate_per_source"]["text"] == "its source has 2 of 2 left, and gets 1/h"

    def comes(_):
        with daemon.connect(source=(OTHER, 0)) as client:
            return is_served(client)

    # until the flow is free it is too many, which costs nothing either
    for _ in range(2):
        daemon.until(comes, "it is served")
    daemon.until(lambda _: explain(daemon, OTHER)[:2] == ("refused", "source_rate"), "no more")
    daemon.check_balance()
    daemon.until(lambda _: "0 of 1" in left(daemon, OTHER), "nothing is left of it")


@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_older_generations_leave_no_room_and_the_rules_hold(start, mode):
    daemon = start(busy_ones(mode, at_once=1, on_limit="close"),
                   env={"TZ": zone_in_which_it_is(12, 0)})
    old = daemon.connect()
    assert is_busy(old)
    assert daemon.reload(config(full(mode, access={"deny": DENIED})))
    assert (told(daemon, DENIED), told(daemon, OTHER)) == ("", BANNER)
    assert daemon.reload(config(full(mode, access={"times": "14:00-18:00"})))
    assert told(daemon, OTHER) == ""
    assert explain(daemon, OTHER)[:2] == ("refused", "time")
    assert ends(daemon) == {"access": 1, "limit": 1, "time": 1}
    old.close()
    daemon.check_balance()


@pytest.mark.root
def test_users_of_a_unix_socket_are_kept_out_for_who_they_are(start, mode):
    daemon = start(full(mode, "unix", access={"deny": f"uid:{NOBODY}"}))
    assert is_served(daemon.connect())
    address = daemon.address()

    def ask():
        # in a process that has been forked: nothing of the daemon's log, which a thread reads
        with Client(address) as client:
            return client.rest()

    assert as_user(NOBODY, NOBODY, [], ask) == str(b"")
    assert as_user(4, 4, [], ask) == str(BANNER.encode())
    assert ends(daemon) == {"access": 1, "limit": 1}


@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
@pytest.mark.parametrize("protocol", ["udp", "unixgram"])
def test_datagrams_are_dropped_for_the_reason_that_holds(start, gates, mode, protocol):
    if protocol == "unixgram" and os.geteuid() != 0:
        pytest.skip("only root can do this")
    denied = DENIED if protocol == "udp" else f"uid:{NOBODY}"
    keys = {"forking": {"max_children": 1, "spare_children": 1}} if mode == "forking" else {}
    daemon = start(listener("e", "sys_datagram", mode, protocol=protocol, max_connections=1,
                            threading={"min_threads": 1}, limits={"on_limit": "close"},
                            access={"deny": denied}, **keys))
    client, gate, address = daemon.connect(), gates(), daemon.address()
    client.send(f"gate {gate.path};add 1\n")
    daemon.until(lambda state: state["e"].open == 1, "it is busy")

    def send():
        if protocol == "udp":
            daemon.connect(source=(DENIED, 0)).send("add 1\n")
        else:
            as_user(NOBODY, NOBODY, [], lambda: Datagrams(address).send("add 1\n"))

    for _ in range(4):
        send()
        client.send("add 1\n")
    daemon.until(lambda state: state["e"].refused == 8, "they are dropped")
    assert ends(daemon) == {"access": 4, "limit": 4}
    gate.open()
    assert client.receive() == b"waits"
    daemon.check_balance()


@pytest.mark.root
@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
def test_a_sensor_that_is_full_catches_whoever_comes(start, mode):
    """Those whom it excepts are served, and are all that it has room for."""
    touches, comes = "192.0.2.1", "192.0.2.2"
    with namespace():
        trap = full(mode, access={"sensor": "10min"}).replace('"e"', '"trap"')
        other = full(mode)
        daemon = start(trap.replace("127.0.0.1:0", "*:0"), other.replace("127.0.0.1:0", "*:0"))

        def client(name, source):
            port = int(daemon.addresses(name)[-1].rpartition(":")[2])
            made = socket.create_connection((source, port), 10 * SLOW, (source, 0))
            daemon.clients.append(made)
            return made

        def is_echoed(sock):
            sock.sendall(b"x")
            return sock.recv(1) == b"x"

        assert is_echoed(client("trap", "127.0.0.1")) and is_echoed(client("e", "127.0.0.1"))
        assert client("trap", touches).recv(100) == b""
        daemon.log.wait(rf"{touches} is banned for 10min")
        # neither is he told that the others are full
        assert client("e", touches).recv(100) == b""
        assert client("e", comes).recv(100) == BANNER.encode()
        assert (ends(daemon, "trap"), ends(daemon)) == ({"banned": 1}, {"banned": 1, "limit": 1})
        assert daemon.stop() == 0
