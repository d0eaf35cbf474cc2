"""Workers that have served long enough are replaced, and no client notices."""
import re
import signal
import threading
import time

import pytest

import harness
import procfs
from asking import ask as control
from harness import DATAGRAMS, IS_SANITIZED, PROTOCOLS, SLOW, WAIT_S, config, listener
from installing import upgrade

MIB = 1 << 20
DONE = r"notice: 'leak' recycled: its worker \(pid (\d+)\) drains, as it (?:{}); pid (\d+) takes"
FAILED = "warning: 'leak' is not recycled, its worker"


def leak(mode="threading", recycle=None, **keys):
    return listener("leak", "sys_leak", mode, recycle=recycle or {}, **keys)


def ask(daemon):
    """One client from beginning to end; the worker that has served it."""
    with daemon.connect("leak") as client:
        if daemon.protocol("leak") in DATAGRAMS:
            return int(client.ask_text("who\n"))
        return int(client.ask("who"))


def wait_recycled(daemon, why=".*", since=0, count=1):
    """The workers, old and new."""
    match = daemon.log.wait(DONE.format(why), since, count=count)
    return int(match[1]), int(match[2])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_after_so_many_connections_another_worker_takes_its_place(start, mode, protocol):
    daemon = start(leak(mode, {"connections": 20}, protocol=protocol))
    first, is_stream = daemon.worker(), protocol not in DATAGRAMS
    held = daemon.connect("leak") if is_stream and mode != "serial" else None
    if held:
        assert int(held.ask("who")) == first
    served = [ask(daemon) for _ in range(20)]
    assert set(served) == {first}
    old, new = wait_recycled(daemon, r"has served \d+ of 20")
    assert old == first and new == daemon.worker()
    daemon.until(lambda _: ask(daemon) == new, "the new one serves")
    if held:
        # it drains among the old ones, and what it had goes on
        assert [worker.pid for worker in daemon.listener().draining] == [first]
        assert int(held.ask("again")) == first
        held.close()
    assert procfs.wait_deaths([first], WAIT_S) == []
    state = daemon.until(lambda state: len(state["leak"].workers) == 1 and state["leak"],
                         "the old one is gone")
    assert state.refused == state.failed == state.crashed == 0
    assert state.accepted > 20
    # the same generation, as nothing was reloaded
    assert [worker.generation for worker in state.workers] == [1]


def test_sessions_are_counted(start):
    daemon = start(leak("threading", {"connections": 5}, protocol="udp",
                        udp={"session_timeout": "500ms"}))
    first = daemon.worker()
    for _ in range(5):
        assert ask(daemon) == first
    assert wait_recycled(daemon)[0] == first
    daemon.until(lambda _: ask(daemon) != first, "the new one serves")


class Peak(threading.Thread):
    """The most memory that any worker of a daemon has had, children and all, looked at all the
    time."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.most_kib, self.is_over = 0, threading.Event()
        self._pid = daemon.pid

    def run(self):
        while not self.is_over.wait(0.002):
            try:
                self.most_kib = max([self.most_kib] + [procfs.memory_kib(pid) for pid in
                                                       procfs.children(self._pid)])
            except (FileNotFoundError, ProcessLookupError, KeyError):
                pass

    def stop(self):
        self.is_over.set()
        self.join()
        return self.most_kib / 1024


def connect_all(daemon, count, failures):
    for _ in range(count):
        try:
            with daemon.connect("leak") as client:
                if not client.ask("who").isdigit():
                    failures.append("no answer")
        except OSError as error:
            failures.append(str(error))
        daemon.clients.clear()


LEAKS = [("threading", 20000), ("fibers", 6000), ("serial", 6000)]


@pytest.mark.alone
@pytest.mark.parametrize("kind,count", LEAKS, ids=[kind for kind, _ in LEAKS])
def test_a_leak_stays_within_the_limit_and_no_client_fails(start, kind, count, monkeypatch):
    monkeypatch.setattr(harness, "GUARD_S", 120 * SLOW)
    signal.setitimer(signal.ITIMER_REAL, harness.GUARD_S)
    if IS_SANITIZED:
        pytest.skip("a sanitizer keeps memory of its own")
    # so many of TCP would find no ports after tests that take theirs from all clients
    daemon = start(text=config(leak(kind, {"memory": "200MiB"}, options={"bytes": "64KiB"},
                                    protocol="unix"),
                               max_generations=20))
    peak, failures = Peak(daemon), []
    peak.start()
    clients = [threading.Thread(target=connect_all, args=(daemon, count // 2, failures))
               for _ in range(2)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    most_mib = peak.stop()
    assert failures == []
    assert 150 < most_mib <= 220
    recycled = len(daemon.log.find(DONE.format("takes .* of 200MiB")))
    assert count // 16 // 220 <= recycled <= count // 16 // 140
    daemon.until(lambda state: state["leak"].finished == count, "all are counted")
    assert daemon.listener().crashed == 0


def test_what_children_lose_counts_too(start):
    daemon = start(leak("forking", {"memory": "40MiB"}, options={"bytes": "1MiB"},
                        forking={"connections_per_child": 0, "spare_children": 2,
                                 "max_children": 2}))
    first = daemon.worker()
    daemon.until(lambda _: ask(daemon) != first, "another serves")
    assert wait_recycled(daemon, "takes .* of 40MiB")[0] == first
    # none of them had so much alone
    assert 20 < daemon.listener().finished <= 200


@pytest.mark.parametrize("mode", ["serial", "threading", "fibers"])
def test_what_a_handler_starts_counts_too(start, mode):
    daemon = start(leak(mode, {"memory": "60MiB"}))
    with daemon.connect("leak") as client:
        first = int(client.ask("child 60"))
        assert wait_recycled(daemon, "takes .* of 60MiB")[0] == first
    daemon.until(lambda _: ask(daemon) != first, "another serves")


def test_a_limit_below_what_it_needs_to_start_does_nothing(start):
    daemon = start(leak("threading", {"memory": "10MiB"}, options={"bytes_at_start": "20MiB"}))
    daemon.log.wait(r"warning: 'leak': its worker takes [23]\d+\S+ when it starts already, and "
                    r"recycle.memory is 10MiB: another one would be no smaller")
    first = daemon.worker()
    assert ask(daemon) == first
    assert not procfs.wait_death(daemon.pidfd, 1.2)
    assert ask(daemon) == first and daemon.worker() == first
    assert len(daemon.log.find("starts already")) == 1


def test_after_some_time_another_worker_takes_its_place(start, mode):
    daemon = start(leak(mode, {"age": "1s"}))
    first = daemon.worker()
    since = time.monotonic()
    old, new = wait_recycled(daemon, r"has served for \d+ms|has served for 1s")
    assert old == first
    assert 0.3 < time.monotonic() - since < 1.6 * SLOW
    daemon.until(lambda _: ask(daemon) == new, "the new one serves")
    assert wait_recycled(daemon, count=2)[0] == new


def test_one_that_fails_to_start_leaves_the_old_one_and_is_tried_again(start, mode, place):
    flag = place / "fails"
    daemon = start(leak(mode, {"connections": 3}, options={"fails_if": str(flag)}))
    first = daemon.worker()
    flag.touch()
    for _ in range(3):
        ask(daemon)
    daemon.log.wait(FAILED + rf" \(pid {first}\) goes on: worker of 'leak' .*server_start.*; "
                    "tried again in 1s")
    assert ask(daemon) == first
    daemon.log.wait(FAILED + ".*tried again in 2s")
    assert ask(daemon) == first
    assert daemon.listener().crashed == 0
    flag.unlink()
    assert wait_recycled(daemon)[0] == first
    assert not daemon.log.find(" error: ")


def hold(daemon, place, count=3):
    """Has the next worker wait in its server_start."""
    flag = place / "holds"
    flag.touch()
    mark = daemon.log.mark()
    for _ in range(count):
        ask(daemon)
    daemon.log.wait("held in server_start", mark)
    return flag


def holding(place, mode="threading", **keys):
    return leak(mode, {"connections": 3}, options={"holds_if": str(place / "holds")}, **keys)


def test_a_reload_goes_first(start, place):
    daemon = start(holding(place), listener("echo"))
    first = daemon.worker("leak")
    flag = hold(daemon, place)
    mark = daemon.log.mark()
    assert daemon.reload(config(holding(place), listener("echo"), listener("other", "echo")))
    # the listener is unchanged; its turn comes after the reload
    assert daemon.worker("leak") == first
    daemon.log.wait("held in server_start", mark)
    flag.unlink()
    assert wait_recycled(daemon)[0] == first
    daemon.until(lambda _: ask(daemon) == daemon.worker("leak"), "the new one serves")


def test_a_reload_under_way_is_not_disturbed(start, place):
    flag = place / "holds"
    daemon = start(text=config(holding(place), listener("echo"), start_timeout="60s"))
    first = daemon.worker("leak")
    flag.touch()
    mark = daemon.log.mark()
    daemon.write(config(holding(place), listener("echo"),
                        listener("two", "sys_leak", options={"holds_if": str(flag)}),
                        start_timeout="60s"))
    daemon.kill(signal.SIGHUP)
    daemon.log.wait("held in server_start", mark)
    for _ in range(6):
        assert ask(daemon) == first
    assert not daemon.log.find("recycled")
    flag.unlink()
    daemon.log.wait("notice: reloaded in ", mark)
    assert wait_recycled(daemon)[0] == first


def test_a_reload_changes_the_limits_of_the_running_worker(start):
    daemon = start(leak(recycle={"connections": 1000}), listener("echo"))
    first = daemon.worker("leak")
    for _ in range(5):
        ask(daemon)
    assert daemon.reload(config(leak(recycle={"connections": 4}), listener("echo")))
    assert wait_recycled(daemon)[0] == first


def test_a_stop_meanwhile_ends_both(start, place, mode):
    daemon = start(holding(place, mode))
    hold(daemon, place)
    daemon.close_clients()
    assert daemon.stop() == 0


def test_a_paused_listener_is_not_recycled_until_it_is_resumed(start, place):
    daemon = start(holding(place))
    first = daemon.worker()
    flag = hold(daemon, place)
    assert control(daemon, "pause", listener="leak")["state"] == "paused"
    flag.unlink()
    assert [worker.pid for worker in daemon.listener().workers] == [first]
    assert not procfs.wait_death(daemon.pidfd, 0.3)
    assert not daemon.log.find(DONE.format(".*"))
    assert control(daemon, "resume", listener="leak")["state"] == "serving"
    assert wait_recycled(daemon)[0] == first


def test_an_upgrade_goes_first_and_keeps_the_count(start, place, installed):
    daemon = start(holding(place))
    first = daemon.worker()
    for _ in range(3):
        ask(daemon)
    second = wait_recycled(daemon)[1]
    daemon.until(lambda state: not state["leak"].draining, "the first is gone")
    flag = hold(daemon, place)
    mark = daemon.log.mark()
    assert upgrade(daemon)
    assert daemon.worker() == second != first
    assert control(daemon, "status", listener="leak")["listeners"][0]["recycled"] == 1
    # what waited for its turn is found again
    daemon.log.wait("held in server_start", mark)
    flag.unlink()
    old, _ = wait_recycled(daemon, since=mark)
    assert old == second
    row, = control(daemon, "status", listener="leak")["listeners"]
    assert row["recycled"] == 2 and row["connections"]["total"] >= 6
    assert row["uptime_seconds"] < 30


def test_no_connection_is_cut_for_want_of_generations(start):
    daemon = start(text=config(leak(recycle={"connections": 2}), max_generations=1,
                               drain_timeout="60s"))
    held = daemon.connect("leak")
    first = int(held.ask("who"))
    ask(daemon)
    second = wait_recycled(daemon)[1]
    daemon.until(lambda _: ask(daemon) == second, "the new one serves")
    for _ in range(4):
        assert ask(daemon) == second
    # one generation drains already
    assert not procfs.wait_death(daemon.pidfd, 0.3)
    assert int(held.ask("still")) == first
    assert len(daemon.log.find(DONE.format(".*"))) == 1
    held.close()
    assert wait_recycled(daemon, count=2)[0] == second
    assert not daemon.log.find("ended before its drain deadline")


def test_a_worker_on_demand_is_recycled_while_it_serves(start):
    daemon = start(leak(recycle={"connections": 3}, start="on_demand", idle_exit="300ms"))
    for _ in range(3):
        ask(daemon)
    wait_recycled(daemon)
    daemon.until(lambda state: [one.state for one in state["leak"].workers] == ["IDLE"],
                 "it ends when it is idle")
    assert re.fullmatch(r"\d+", str(ask(daemon)))


def wait_apart(old, new):
    """Until one has no socket any more that the other has: those that are listened on."""
    deadline = time.monotonic() + 10 * SLOW
    while any(name.startswith("socket:") for name in
              set(procfs.fds(old).values()) & set(procfs.fds(new).values())):
        assert time.monotonic() < deadline, "it still accepts"


def test_connections_of_both_count_towards_the_limit(start):
    daemon = start(text=config(leak(recycle={"connections": 2}, max_connections=3,
                                    threading={"min_threads": 1}), drain_timeout="60s"))
    held = [daemon.connect("leak") for _ in range(2)]
    first = int(held[0].ask("who"))
    assert int(held[1].ask("who")) == first
    new = wait_recycled(daemon)[1]
    # a moment longer the old one may take what comes, and does not count what the new one has
    wait_apart(first, new)
    third = daemon.connect("leak")
    assert int(third.ask("who")) in (first, new)
    fourth = daemon.connect("leak").send("who\n")
    assert fourth.is_silent(0.2 * SLOW)
    held[0].close()
    assert int(fourth.line()) == new
