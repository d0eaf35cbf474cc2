"""limits.overload: short of memory or processors, new clients are refused, the worst listener first."""
import os
import pathlib
import re
import signal
import tempfile
import time

import pytest

import cgroups
import procfs
from asking import ask as control
from harness import IS_SANITIZED, SLOW, config, listener, run
from installing import upgrade

MIB = 1 << 20
BEGINS = r"warning: '{}' refuses new work: "
ENDS = r"notice: '{}' takes new work again after "
ALWAYS = {"load": 0.001}
LIMITS = {"memory": "60%"}


def served(daemon, name):
    with daemon.connect(name) as client:
        try:
            return client.ask("who") != ""
        except ConnectionError:
            return False


def state_of(daemon, name):
    row, = control(daemon, "status", listener=name)["listeners"]
    return row["state"], row["connections"]["ended"].get("overload", 0)


@pytest.fixture(autouse=True)
def load():
    """There is some: the average of the machine is not zero."""
    with open("/proc/loadavg", encoding="ascii") as file:
        if float(file.read().split()[0]) < 0.01:
            pytest.skip("the machine is all too idle")


def test_new_clients_are_refused_and_old_ones_are_served(start, mode):
    daemon = start(listener("leak", "sys_leak", mode, limits={"overload": {"load": 1e5}}),
                   listener("free", "sys_leak"))
    held = daemon.connect("leak")
    assert held.ask("who").isdigit()
    assert daemon.reload(config(
        listener("leak", "sys_leak", mode, limits={"overload": ALWAYS}),
        listener("free", "sys_leak")))
    line = daemon.log.wait(BEGINS.format("leak") + r"load \d+\.\d\d \(limit 0\.00\)")
    assert not held.is_silent(0) or held.ask("who").isdigit()
    if mode == "serial":
        held.close()
    assert not served(daemon, "leak")
    assert served(daemon, "free")
    daemon.until(lambda _: state_of(daemon, "leak") == ("shedding", 1), "it is counted")
    assert line
    mark = daemon.log.mark()
    daemon.kill(signal.SIGUSR1)
    daemon.log.wait("status: 'leak' refuses new work: overload", mark)
    assert daemon.log.find(r"refused: overload")
    # without the key it ends
    assert daemon.reload(config(listener("leak", "sys_leak", mode), listener("free", "sys_leak")))
    daemon.log.wait(ENDS.format("leak") + r"\S+: limits.overload is gone; 1 were refused")
    assert served(daemon, "leak")


@pytest.mark.parametrize("keys", [{}, {"udp": {"session_timeout": "1s"}}],
                         ids=["datagrams", "sessions"])
def test_datagrams_are_refused_too(start, keys):
    daemon = start(listener("leak", "sys_leak", protocol="udp", limits={"overload": ALWAYS}, **keys))
    daemon.log.wait(BEGINS.format("leak"))
    client = daemon.connect("leak").send("who\n")
    daemon.until(lambda _: state_of(daemon, "leak")[1] == 1, "it is refused")
    assert client.is_silent(0.1)


@pytest.mark.parametrize("mode", ["serial", "threading", "fibers"])
def test_whose_children_keep_the_processors_busy_refuses_and_nobody_joins_in_who_does_not(start, mode):
    """Whatever way of concurrency they are children of. The average goes on rising, whoever refuses."""
    def text(**overload):
        limits = {"overload": overload}
        return config(listener("guilty", "sys_leak", mode, limits=limits),
                      *(listener(name, "sys_leak", limits=limits) for name in ("one", "two", "three")))

    daemon = start(text=text(load=1e5))
    with daemon.connect("guilty") as client:
        assert client.ask("spin").isdigit()
    # since the look before it, a while
    assert not procfs.wait_death(daemon.pidfd, 1.2)
    assert daemon.reload(text(**ALWAYS))
    daemon.log.wait(BEGINS.format(r"\w+"))
    # one would join in after 2 s, and another one after 2 s more
    assert not procfs.wait_death(daemon.pidfd, 4.5)
    assert [match[1] for match in daemon.log.find(BEGINS.format(r"(\w+)"))] == ["guilty"]
    assert all(served(daemon, name) for name in ("one", "two", "three"))
    daemon.checks_balance = False


def test_a_new_worker_refuses_from_its_first_client_on(start):
    daemon = start(listener("leak", "sys_leak", limits={"overload": ALWAYS}))
    daemon.log.wait(BEGINS.format("leak"))
    os.kill(daemon.worker(), signal.SIGKILL)
    # whoever comes meanwhile waits for the next one
    assert not served(daemon, "leak")
    assert len(daemon.log.find(BEGINS.format("leak"))) == 1


def test_a_reload_and_an_upgrade_do_not_end_it(start, installed):
    def text(count):
        return config(listener("leak", "sys_leak", limits={"overload": ALWAYS},
                               max_connections=count))

    daemon = start(text=text(10))
    daemon.log.wait(BEGINS.format("leak"))
    assert daemon.reload(text(11))
    assert not served(daemon, "leak")
    assert upgrade(daemon)
    assert not served(daemon, "leak")
    assert state_of(daemon, "leak")[0] == "shedding"
    assert len(daemon.log.find(BEGINS.format("leak"))) == 1
    assert not daemon.log.find(ENDS.format("leak"))


def test_a_paused_one_begins_when_it_is_resumed(start):
    daemon = start(listener("leak", "sys_leak", limits={"overload": {"load": 1e5}}))
    assert control(daemon, "pause", listener="leak")["ok"]
    assert daemon.reload(config(listener("leak", "sys_leak", limits={"overload": ALWAYS})))
    assert not procfs.wait_death(daemon.pidfd, 1.2)
    assert not daemon.log.find(BEGINS.format("leak"))
    assert control(daemon, "resume", listener="leak")["ok"]
    daemon.log.wait(BEGINS.format("leak"))
    assert not served(daemon, "leak")


@pytest.mark.root
@pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer's own memory does not fit into the group")
def test_the_one_that_grows_is_refused_first_and_it_ends_with_its_cause(start):
    """In a control group of 200 MiB, of which a handler takes one for each connection."""
    with cgroups.with_memory(200 * MIB) as group:
        daemon = start(listener("leak", "sys_leak", options={"bytes": "1MiB"},
                                limits={"overload": LIMITS}),
                       listener("next", "sys_leak", options={"bytes": "1MiB"},
                                limits={"overload": LIMITS}),
                       listener("calm", "sys_leak", limits={"overload": LIMITS}),
                       listener("other", "sys_leak"),
                       before_exec=lambda: cgroups.enter(group))
        held = daemon.connect("leak")
        assert held.ask("who").isdigit()
        assert all(served(daemon, "next") for _ in range(20))
        count, deadline = 0, time.monotonic() + 20 * SLOW
        while not daemon.log.find(BEGINS.format("leak")):
            assert time.monotonic() < deadline
            # as fast as nobody could follow who looks once a second
            count += count < 150 and served(daemon, "leak")
        line, = daemon.log.find(BEGINS.format("leak") + r"memory (\d+)\.\d% \(limit 60%\); its "
                                r"workers take (\d+)\S*, (\d+)\S* more than when memory was well")
        assert 60 <= int(line[1]) < 95 and count >= 60
        began = time.monotonic()
        # it refuses, it alone, and who is served is served on
        assert not served(daemon, "leak")
        assert held.ask("who").isdigit()
        assert served(daemon, "other")
        assert served(daemon, "next") or time.monotonic() - began > 1.5
        # what was lost is still lost: the next one that has lost something joins in
        daemon.log.wait(BEGINS.format("next"))
        assert 1.5 < time.monotonic() - began
        assert not served(daemon, "next")
        # and nobody else, however long it lasts
        assert not procfs.wait_death(daemon.pidfd, 2.5)
        assert served(daemon, "other") and served(daemon, "calm")
        assert not daemon.log.find(BEGINS.format("calm"))
        # with its worker goes what it has lost
        os.kill(daemon.worker("leak"), signal.SIGKILL)
        gone = time.monotonic()
        daemon.log.wait(ENDS.format("leak") + r"\S+: memory \d+\.\d% \(limit 60%\); [1-9]\d* were")
        daemon.log.wait(ENDS.format("next"))
        assert time.monotonic() - gone < 1.2 * SLOW
        assert served(daemon, "leak") and served(daemon, "next")
        daemon.checks_balance = False
        daemon.close_clients()
        daemon.stop()
        procfs.wait_adopted(2)


def test_a_key_that_cannot_be_is_refused():
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        file = pathlib.Path(place) / "handlerd.conf"
        for value, why in (({"memory": 80}, r'write "80%"'), ({"memory": "80"}, "no percentage"),
                           ({"memory": "101%"}, "101%"),
                           ({"load": "8.0"}, "must be a number"), ({"load": -1.0}, "-1"),
                           ({"lod": 1.0}, "did you mean")):
            file.write_text(config(listener("echo", limits={"overload": value})))
            result = run("-t", "-c", file)
            assert result.returncode == 78 and re.search(why, result.stderr), result.stderr
        file.write_text(config(listener("echo"), defaults={"limits": {"overload": LIMITS}}))
        result = run("-T", "-c", file)
        assert re.search(r'overload = \{\s+memory = "60%";\s+load = 0.0;', result.stdout)
