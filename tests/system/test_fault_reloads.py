"""Faults of configuration and reload that need many reloads, or clients that stay for long."""
import random
import signal
import time

import pytest

import procfs
from client import Client
from harness import SLOW, config, listener


def version(number, mode="threading", **top):
    return config(listener("v", "sys_version1", mode, environment={"N": str(number)}), **top)


def generations(daemon):
    return len(daemon.listener("v").workers)


def test_a_storm_of_hups_has_three_generations_at_most_and_the_last_file_wins(start):
    """With a client on each generation, so that none of the old ones may go by itself."""
    daemon = start(text=version(0, max_generations=2, drain_timeout="60s"))
    most = 0
    began = time.monotonic()
    for number in range(1, 101):
        daemon.write(version(number, max_generations=2, drain_timeout="60s"))
        daemon.kill(signal.SIGHUP)
        if number % 10 == 0:
            assert daemon.connect().ask("x") == "version 1"
            most = max(most, generations(daemon))
    assert time.monotonic() - began < 10 * SLOW
    daemon.until(lambda state: serving_number(state["v"]) == "100", "the last file serves")
    most = max(most, generations(daemon))
    assert most <= 3
    assert daemon.connect().ask("x") == "version 1"


def serving_number(one):
    """The number of the configuration that the worker which accepts was started with."""
    if not one.serving:
        return None
    try:
        rows = procfs.read(one.serving[0].pid, "environ").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((row[2:] for row in rows if row.startswith("N=")), None)


@pytest.mark.parametrize("mode", ["threading", "forking"])
def test_clients_that_stay_over_five_reloads_live_until_the_drain_timeout(start, mode):
    def text(number):
        return config(listener("d", "sys_drain", mode, environment={"N": str(number)},
                               **({"forking": {"spare_children": 1}} if mode == "forking" else {})),
                      max_generations=3, drain_timeout="1500ms", log={"connections": "all"})
    daemon = start(text=text(0))
    clients = []
    for number in range(1, 6):
        client = daemon.connect("d").send("busy recv\n")
        assert client.line() == "waiting"
        clients.append((client, time.monotonic()))
        assert daemon.reload(text(number))
        assert len(daemon.listener("d").workers) <= 1 + 3
    # the oldest two were one generation too many
    daemon.log.wait(r"'d': worker of generation \d+ is ended before its drain deadline", count=2)
    for client, _ in clients[:2]:
        assert client.is_at_end()
    for client, since in clients[2:]:
        assert client.is_at_end()
        assert time.monotonic() - since >= 1.4
    daemon.log.wait(r"busy recv ended with -125, draining 1", count=3)
    daemon.log.wait(r"connection ended: drain", count=3)
    daemon.until(lambda state: len(state["d"].workers) == 1, "the old workers are gone")


@pytest.mark.parametrize("seed", range(2))
def test_hups_at_any_moment_of_start_reload_and_drain_end_with_the_last_file(start, seed):
    """500 each: what is under way when one comes is up to chance, and how many requests passed
    since the one before."""
    choice = random.Random(seed)
    texts = [version(number, choice.choice(["threading", "forking"]), max_generations=3,
                     drain_timeout="1s") for number in range(8)]
    daemon = start(text=texts[0], is_awaited=False)
    for _ in range(choice.randrange(5)):
        daemon.log.wait("listening on|warning: ")
        daemon.kill(signal.SIGHUP)
    daemon.wait_ready()
    holding = []
    for _ in range(500):
        number = choice.randrange(8)
        daemon.write(texts[number])
        daemon.kill(signal.SIGHUP)
        for _ in range(choice.choice([0, 0, 1, 5])):
            with Client(daemon.address()) as client:
                assert client.ask("x") == "version 1"
        if choice.random() < 0.05:
            holding = holding[-3:] + [daemon.connect()]
            holding[-1].send("x\n")
    daemon.until(lambda state: serving_number(state["v"]) == str(number), "the last file serves")
    assert generations(daemon) <= 4
    daemon.close_clients()
    daemon.until(lambda state: len(state["v"].workers) == 1, "nothing is left of the others")


@pytest.mark.parametrize("requests", range(6))
def test_a_stop_at_any_moment_of_a_reload_ends_in_time(start, requests):
    daemon = start(text=version(0, drain_timeout="1s"))
    for number in range(1, 4):
        daemon.write(version(number, drain_timeout="1s"))
        daemon.kill(signal.SIGHUP)
        for _ in range(requests if number == 3 else 3):
            with Client(daemon.address()) as client:
                assert client.ask("x") == "version 1"
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 2 * SLOW
