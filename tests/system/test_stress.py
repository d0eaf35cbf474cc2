"""Many of everything, and then nothing is left of it.

HANDLERD_STRESS=1000000 makes as many connections in each mode as that; without it, it is a sample.
"""
import os
import resource
import shutil
import signal
import subprocess

import pytest

import procfs
from conffile import SOURCE
from harness import IS_SANITIZED, SLOW, listener

CONNECTIONS = int(os.environ.get("HANDLERD_STRESS", "20000"))
FIBERS = 1500 if IS_SANITIZED else 15000
# what a mode may keep: threads' stacks and arenas, the pages of the scoreboard
KEPT_KIB = {"serial": 1024, "threading": 4096, "forking": 1024, "fibers": 1024}


@pytest.fixture(autouse=True)
def more_time():
    signal.setitimer(signal.ITIMER_REAL, 120 * SLOW + CONNECTIONS / 500)


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FIBERS + 1000
    if hard < wanted:
        pytest.skip(f"only {hard} open files are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.alone
def test_fifteen_thousand_fibers_are_parked_woken_and_cancelled(start, many_files):
    daemon = start(listener("f", "sys_fiber", mode="fibers", max_connections=FIBERS + 100),
                   top={"drain_timeout": "2s"})
    worker = daemon.worker()
    waker = daemon.connect()
    assert waker.ask("id") == "1"
    clients = [daemon.connect() for _ in range(FIBERS)]
    for client in clients:
        client.send("id;poll 600000\n")
    daemon.until(lambda state: state["f"].open == FIBERS + 1, "all are there", timeout=60)
    # in groups: a line holds so many operations
    for first in range(2, FIBERS + 2, 100):
        numbers = range(first, min(first + 100, FIBERS + 2))
        assert waker.ask(";".join(f"wake {number}" for number in numbers)) == \
            " ".join("0" for _ in numbers)
    for number, client in enumerate(clients):
        assert client.line() == f"{number + 2} -4"
    # half sleeps, the other half waits for its client
    for client in clients[::2]:
        client.send("sleep 600000\n")
    assert waker.ask("id") == "1"
    assert procfs.count_threads(worker) == 2
    assert daemon.stop(timeout=30) == 0
    assert daemon.log.find(r"stopped")


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no compiler for the load generator")
    program = tmp_path_factory.mktemp("load") / "load"
    subprocess.run([compiler, "-O2", "-std=gnu17", "-pthread", "-o", program,
                    *sorted((SOURCE / "bench").glob("load*.c"))], check=True)
    return program


@pytest.mark.alone
@pytest.mark.skipif(IS_SANITIZED, reason="sanitizers keep memory")
def test_after_many_connections_everything_is_at_rest(start, mode, load):
    daemon = start(listener("echo", mode=mode, max_connections=200))
    worker = daemon.worker()

    def connect_many(seconds):
        done = subprocess.run([load, "--mode", "crr", "--connections", "50", "--seconds",
                               str(seconds), f"127.0.0.1:{daemon.port()}"],
                              capture_output=True, text=True, check=True)
        assert '"errors": 0,' in done.stdout, done.stdout
        return daemon.listener().accepted

    connect_many(1)
    daemon.until(lambda state: state["echo"].open == 0, "all have ended")
    before, memory, fds = daemon.rest(), procfs.memory_kib(worker), procfs.count_fds(worker)
    while connect_many(5 if CONNECTIONS > 100000 else 1) < CONNECTIONS:
        pass
    daemon.until(lambda state: state["echo"].open == 0 and state["echo"].is_balanced,
                 "all have ended")
    assert daemon.worker() == worker and daemon.listener().crashed == 0
    daemon.check_rest(before)
    assert procfs.count_fds(worker) <= fds
    assert procfs.memory_kib(worker) <= memory + KEPT_KIB[mode]
