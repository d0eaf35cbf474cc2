"""Deaths: of a worker, of the supervisor, and the supervisor that hangs."""
import pytest

from service import READY, check_nothing_lost, listener


def lost_after(counts, moment):
    return [one for one in counts["lost"] if one["started"] > moment]


def test_a_worker_that_is_killed_is_replaced_by_the_same_supervisor(service):
    before, (worker,), follow = service.main_pid, service.workers(), service.follow()
    service.machine.run(f"kill -SEGV {worker}")
    record = follow.wait_message("killed by signal 11")
    assert record["HANDLERD_LISTENER"] == "echo" and int(record["PRIORITY"]) <= 4
    assert service.ask() == "hello"
    (after,) = service.workers()
    assert after != worker
    assert service.main_pid == before and service.show("NRestarts") == "0" and service.is_active()


def test_a_worker_that_is_killed_under_load_costs_no_later_connection(service):
    (worker,), follow, load = service.workers(), service.follow(), service.load()
    service.machine.run(f"kill -KILL {worker}")
    dead = follow.wait_message("killed by signal 9")
    load.wait_answers(200)
    counts = load.stop()
    # those that it had when it died are lost with it; nobody was refused, and nobody came too late
    moment = int(dead["__MONOTONIC_TIMESTAMP"]) / 1e6
    assert counts["refused"] == counts["timed_out"] == counts["wrong"] == 0, counts
    assert lost_after(counts, moment) == [] and len(counts["lost"]) <= 20, counts


def test_other_listeners_do_not_notice_a_worker_that_dies(service):
    service.configure(listener(), listener("other", address="127.0.0.1:7008"))
    service.systemctl("reload")
    follow, load = service.follow(), service.load()
    service.machine.run(f"kill -KILL {service.worker(7008)}")
    follow.wait_message("killed by signal 9")
    assert service.ask(port=7008) == "hello"
    load.wait_answers(100)
    check_nothing_lost(load.stop())


def test_a_supervisor_that_is_killed_comes_back_on_the_same_sockets(service):
    before, follow, load = service.main_pid, service.follow(), service.load()
    service.machine.run(f"kill -KILL {before}")
    ready = follow.wait_message(READY)
    load.wait_answers(200)
    counts = load.stop()
    assert service.main_pid not in (0, before) and service.show("NRestarts") == "1"
    assert service.is_active() and len(service.workers()) == 1
    # connections that were being served died with their worker; those in the backlog were kept
    assert counts["refused"] == counts["timed_out"] == counts["wrong"] == 0, counts
    assert lost_after(counts, int(ready["__MONOTONIC_TIMESTAMP"]) / 1e6 - 0.5) == [], counts
    assert len(counts["lost"]) <= 20, counts


def test_a_supervisor_that_hangs_is_replaced_by_the_watchdog(service):
    service.drop_in("[Service]\nWatchdogSec=2s\n")
    service.systemctl("restart")
    before, follow = service.main_pid, service.follow()
    service.machine.run(f"kill -STOP {before}")
    follow.wait_message("Watchdog timeout (limit 2s)!")
    follow.wait_message(READY)
    assert service.ask() == "hello"
    assert service.main_pid not in (0, before) and service.show("NRestarts") == "1"
    assert service.is_active() and len(service.workers()) == 1


def test_the_watchdog_leaves_alone_who_serves(service):
    service.drop_in("[Service]\nWatchdogSec=1s\n")
    service.systemctl("restart")
    before, load = service.main_pid, service.load(rate=100)
    load.wait_answers(400)
    check_nothing_lost(load.stop())
    assert service.main_pid == before and service.show("NRestarts") == "0"


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_a_worker_that_hangs_does_not_hold_up(service, verb):
    service.configure(listener(), top='drain_timeout = "1s";')
    service.systemctl("restart")
    (worker,) = service.workers()
    service.machine.run(f"kill -STOP {worker}")
    service.systemctl(verb)
    assert service.show("Result") == "success"
    assert worker not in service.workers()
    assert service.is_refused() if verb == "stop" else service.ask() == "hello"
