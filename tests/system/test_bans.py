"""access.sensor: whoever connects to it is refused by all listeners, for a while."""
import grp
import json
import os
import signal
import socket
import time

import pytest

import network
import procfs
from asking import ask as control
from asking import ask_as
from client import Client, Datagrams
from ctl import ctl
from harness import SLOW, WAIT_S, config, listener
from installing import upgrade

pytestmark = pytest.mark.root

STRANGER = 65533

WHO, OTHER, WHO6, NEAR6, OTHER6 = "192.0.2.1", "192.0.2.2", "2001:db8:1::1", "2001:db8:1::2", \
    "2001:db8:2::1"


def _wait_route(address):
    """The kernel brings the route of an IPv6 address into force a little later."""
    deadline = time.monotonic() + WAIT_S
    while True:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, 0))
                return probe.connect((address, 9))
            except OSError:
                assert time.monotonic() < deadline, f"{address} cannot be reached"


@pytest.fixture(autouse=True)
def ours():
    """A network with addresses that are not the loopback's."""
    with network.namespace("route add local 198.51.100.0/24 dev lo", f"addr add {WHO6}/128 dev lo nodad", f"addr add {NEAR6}/128 dev lo nodad",
                           f"addr add {OTHER6}/128 dev lo nodad"):
        for address in (WHO6, NEAR6, OTHER6, "::1"):
            _wait_route(address)
        yield


def trap(mode="threading", sensor="10min", **access):
    return listener("trap", "echo", mode, "*:0", access={"sensor": sensor, **access})


def echo(mode="threading", protocol="tcp", **keys):
    return listener("echo", "echo", mode, "*:0", protocol=protocol, **keys)


def client(daemon, name, source):
    """A client with this address, of a machine whose every address is one of ours."""
    port = daemon.addresses(name)[-1].rpartition(":")[2]
    daemon_address = ("::1" if ":" in source else "127.0.0.1", int(port))
    if source not in ("127.0.0.1", "::1"):
        daemon_address = (source, int(port))
    kind = Datagrams if daemon.protocol(name) == "udp" else Client
    made = kind(daemon_address, source=(source, 0))
    daemon.clients.append(made)
    return made


def is_served(daemon, source, name="echo"):
    with client(daemon, name, source) as one:
        if daemon.protocol(name) == "udp":
            one.send(b"x")
            return not one.is_silent(0.3 * SLOW)
        try:
            return one.send(b"x").half_close().rest() == b"x"
        except OSError:
            return False


def bans(daemon):
    return {row["address"]: (row["listener"], row["seconds_left"])
            for row in control(daemon, "bans")["bans"]}


def touch(daemon, source, shown=None):
    """It is refused there, and banned."""
    assert not is_served(daemon, source, "trap")
    daemon.until(lambda _: (shown or source) in bans(daemon), "it is banned")


def test_whoever_connects_is_refused_by_all_listeners(start, mode):
    daemon = start(trap(mode), echo(mode))
    assert is_served(daemon, WHO) and is_served(daemon, OTHER)
    assert bans(daemon) == {}
    touch(daemon, WHO)
    name, left = bans(daemon)[WHO]
    assert name == "trap" and 590 < left <= 600
    daemon.log.wait(r"info: 192\.0\.2\.1 is banned for 10min: it has connected to 'trap', which is")
    assert not is_served(daemon, WHO)
    assert is_served(daemon, OTHER)
    daemon.log.wait(r"'echo': 192.0.2.1:\d+: refused: banned|192\.0\.2\.1:\d+.*refused: banned")
    row, = control(daemon, "status", listener="echo")["listeners"]
    assert row["connections"]["ended"]["banned"] == 1
    row, = control(daemon, "status", listener="trap")["listeners"]
    assert row["connections"]["ended"] == {"banned": 1}


@pytest.mark.parametrize("keys", [{}, {"udp": {"session_timeout": "300ms"}}],
                         ids=["datagrams", "sessions"])
def test_datagrams_and_sessions_of_the_banned_are_refused(start, keys):
    daemon = start(trap(), echo(protocol="udp", **keys))
    assert is_served(daemon, WHO)
    touch(daemon, WHO)
    assert not is_served(daemon, WHO)
    assert is_served(daemon, OTHER)


def test_of_ipv6_the_64_is_banned(start):
    daemon = start(trap(), echo())
    touch(daemon, WHO6, "2001:db8:1::/64")
    assert not is_served(daemon, WHO6) and not is_served(daemon, NEAR6)
    assert is_served(daemon, OTHER6) and is_served(daemon, WHO)


def test_the_loopback_and_the_excepted_are_served_by_the_handler(start, mode):
    daemon = start(trap(mode, sensor_except=[f"{OTHER}/32", "2001:db8:2::/48"]), echo())
    for source in ("127.0.0.1", "::1", OTHER, OTHER6):
        assert is_served(daemon, source, "trap")
        assert is_served(daemon, source)
    assert bans(daemon) == {}
    touch(daemon, WHO)


def test_a_ban_ends_by_itself(start):
    daemon = start(trap(sensor="1s"), echo())
    touch(daemon, WHO)
    assert not is_served(daemon, WHO)
    began = time.monotonic()
    daemon.until(lambda _: is_served(daemon, WHO), "it is over")
    assert time.monotonic() - began < 1.5 * SLOW
    assert bans(daemon) == {}


def test_another_touch_makes_it_longer_and_a_shorter_one_does_not(start):
    daemon = start(trap(sensor="20s"), listener("short", "echo", address="*:0",
                                                access={"sensor": "5s"}), echo())
    touch(daemon, WHO)
    assert not is_served(daemon, WHO, "short")
    name, before = bans(daemon)[WHO]
    assert name == "trap" and before > 15
    # an eighth of it
    daemon.until(lambda _: bans(daemon)[WHO][1] < before - 2.7, "some time is over")
    assert not is_served(daemon, WHO, "trap")
    daemon.until(lambda _: bans(daemon)[WHO][1] > before - 0.9, "it begins anew")


def test_those_who_are_banned_do_not_keep_others_from_it(start, mode):
    """A worker may report ten in a second, and these ten come again and again."""
    crowd = [f"198.51.100.{number}" for number in range(1, 11)]
    daemon = start(trap(mode), echo(mode))
    for source in crowd:
        touch(daemon, source)
    daemon.until(lambda _: max(left for _, left in bans(daemon).values()) < 598.8, "they are old")
    for source in crowd:
        assert not is_served(daemon, source, "trap")
    touch(daemon, WHO)


def test_reloads_crashes_and_upgrades_keep_the_bans_and_a_restart_does_not(start, installed, mode):
    daemon = start(trap(mode), echo(mode))
    touch(daemon, WHO)
    assert daemon.reload(config(trap(mode), echo(mode, max_connections=7)))
    assert not is_served(daemon, WHO)
    worker = daemon.worker("echo")
    os.kill(worker, signal.SIGKILL)
    daemon.until(lambda state: [one.pid != worker for one in state["echo"].serving] == [True],
                 "another worker serves")
    assert not is_served(daemon, WHO)
    assert upgrade(daemon)
    assert not is_served(daemon, WHO)
    assert bans(daemon)[WHO][0] == "trap"
    touch(daemon, OTHER)
    # without the sensor, too
    assert daemon.reload(config(echo(mode)))
    assert not is_served(daemon, WHO) and not is_served(daemon, OTHER)
    assert set(bans(daemon)) == {WHO, OTHER}
    assert daemon.stop() == 0
    other = start(trap(mode), echo(mode))
    assert is_served(other, WHO)


def test_handlerctl_shows_and_ends_them(start):
    daemon = start(trap(), echo())

    def run(*words):
        result = ctl("bans", "--control", daemon.control, *words)
        result.stdout = result.stdout.decode()
        return result

    assert run().stdout == "no bans\n"
    touch(daemon, WHO)
    touch(daemon, WHO6, "2001:db8:1::/64")
    table = run().stdout.splitlines()
    assert table[0].split() == ["ADDRESS", "REPORTED", "BY", "LEFT"] and len(table) == 3
    assert any(line.split()[:2] == [WHO, "trap"] for line in table)
    rows = json.loads(run("--json").stdout)["bans"]
    assert {row["address"] for row in rows} == {WHO, "2001:db8:1::/64"}
    assert all(590 < row["seconds_left"] <= 600 and row["listener"] == "trap" for row in rows)
    for address, why in ((OTHER, "192.0.2.2 is not banned"), ("192.0.2.0/24", "is more than"),
                         ("127.0.0.1", "loopback is never banned"), ("host", "is no address")):
        result = run("--clear", address)
        assert result.returncode == 1 and why in result.stderr
    assert run(WHO).returncode == 2
    # any address of the 64 stands for it
    assert run("--clear", NEAR6).stdout == "1 ban ended\n"
    assert is_served(daemon, WHO6) and not is_served(daemon, WHO)
    daemon.log.wait("control: the end of the ban of 2001:db8:1::/64 asked for by pid")
    touch(daemon, OTHER)
    assert run("--clear").stdout == "2 bans ended\n"
    assert is_served(daemon, WHO) and is_served(daemon, OTHER)
    assert bans(daemon) == {}
    assert run("--clear").stdout == "0 bans ended\n"


def test_readers_may_look_and_not_clear(start):
    daemon = start(text=config(trap(), echo(), control_group="adm"))
    touch(daemon, WHO)
    gid = grp.getgrnam("adm").gr_gid
    answer = ask_as(daemon.control, STRANGER, STRANGER, [gid], {"command": "bans"})
    assert [row["address"] for row in answer["bans"]] == [WHO]
    answer = ask_as(daemon.control, STRANGER, STRANGER, [gid], {"command": "bans", "clear": True})
    assert not answer["ok"] and "may look and change nothing" in answer["error"]
    assert set(bans(daemon)) == {WHO}


def test_explain_tells_of_sensors_and_bans(start):
    daemon = start(trap(sensor_except=[OTHER]), echo())
    touch(daemon, WHO)

    def told(name, address):
        answer = control(daemon, "explain", listener=name, address=address)
        return answer, {row["rule"]: row for row in answer["rules"]}

    answer, rows = told("echo", WHO)
    assert (answer["decision"], answer["reason"]) == ("refused", "banned")
    assert rows["sensor"]["text"] == "the listener is no sensor"
    assert rows["bans"]["says"] == "refuses" and "its ban ends in" in rows["bans"]["text"]
    answer, rows = told("trap", "198.51.100.1")
    assert answer["decision"] == "refused" and rows["sensor"]["says"] == "refuses"
    assert rows["sensor"]["file"].endswith("handlerd.conf") and rows["bans"]["says"] == "passes"
    answer, rows = told("trap", OTHER)
    assert answer["decision"] == "accepted" and "excepts" in rows["sensor"]["text"]
    # nobody was banned by asking
    assert set(bans(daemon)) == {WHO}


def test_a_worker_of_a_listener_without_a_sensor_is_not_believed(start):
    """sys_garbage says what it likes on its channel."""
    daemon = start(trap(), listener("liar", "sys_report", address="*:0"), echo())
    with client(daemon, "liar", "127.0.0.1") as one:
        assert one.ask(f"report {OTHER} 1") == "reported"
    assert not is_served(daemon, WHO, "trap")
    daemon.until(lambda _: set(bans(daemon)) == {WHO}, "the sensor's own report is taken")
    assert is_served(daemon, OTHER)


def test_ten_reports_of_a_worker_are_taken_in_a_second_and_none_of_the_excepted(start):
    daemon = start(listener("trap", "sys_report", address="*:0",
                            access={"sensor": "10min", "sensor_except": [OTHER]}), echo())
    with client(daemon, "trap", OTHER) as one:
        assert one.ask(f"report {OTHER} 1") == "reported"
        assert one.ask("report 127.0.0.1 1") == "reported"
        assert one.ask("report 198.51.100.1 200") == "reported"
    daemon.until(lambda _: len(bans(daemon)) >= 8, "some are taken")
    assert not procfs.wait_death(daemon.pidfd, 0.2)
    assert len(bans(daemon)) <= 20
    assert is_served(daemon, OTHER) and is_served(daemon, "127.0.0.1")


@pytest.mark.parametrize("value, why", [
    ({"sensor": "500ms"}, "access.sensor"), ({"sensor": 10}, "10s"),
    ({"sensor": "1min", "sensor_except": ["host"]}, "access.sensor_except: 'host' is no address"),
    ({"sensor": "1min", "sensor_except": ["192.0.2.1/24"]}, "bits behind its prefix")])
def test_a_key_that_cannot_be_is_refused(start, value, why):
    daemon = start(listener("trap", "echo", access=value), is_awaited=False)
    daemon.expected_exit = daemon.wait_exit()
    assert daemon.expected_exit == 78
    daemon.log.wait(why)


def test_udp_can_have_no_sensor(start):
    daemon = start(listener("trap", "echo", protocol="udp", access={"sensor": "1min"}),
                   is_awaited=False)
    daemon.expected_exit = daemon.wait_exit()
    assert daemon.expected_exit == 78
    daemon.log.wait("access.sensor")


def test_a_child_of_a_sensor_has_no_way_to_the_supervisor(start):
    daemon = start(trap("forking"))
    worker = daemon.worker()
    channel = procfs.fds(worker)[3]
    children = procfs.children(worker)
    assert children and channel.startswith("socket:")
    deadline = time.monotonic() + 10 * SLOW
    # it closes it as its first act
    while any(channel in procfs.fds(child).values() for child in children):
        assert time.monotonic() < deadline
