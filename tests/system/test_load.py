"""Reloads, crashes and signals while clients come and go: none of them is refused or cut."""
import random
import signal
import threading

import pytest

import procfs
from client import Client
from harness import CRASHES, IS_SANITIZED, config, listener

pytestmark = pytest.mark.alone


class Crowd:
    """Clients that come one after the other, in several threads, until they are told to stop."""

    def __init__(self, address, talk, count=3):
        self.served = 0
        self.failures = []
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(address, talk))
                         for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, address, talk):
        while not self._is_over.is_set() and not self.failures:
            try:
                with Client(address) as client:
                    talk(client)
                with self._lock:
                    self.served += 1
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))

    def stop(self):
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        return self


def echo(client):
    assert client.send(b"hello").exactly(5) == b"hello"
    assert client.half_close().rest() == b""


def text(mode, number):
    return config(listener("echo", mode=mode, environment={"N": str(number)}))


def ask(client):
    assert client.ask("x") == "version 1"


def test_no_client_is_refused_or_cut_by_a_reload(start, mode):
    def version(number):
        return config(listener("v", "sys_version1", mode, environment={"N": str(number)}))

    daemon = start(text=version(0))
    crowd = Crowd(daemon.address(), ask)
    try:
        for number in range(1, 31):
            assert daemon.reload(version(number))
    finally:
        crowd.stop()
    assert crowd.failures == []
    assert crowd.served > 30
    daemon.until(lambda state: state["v"].finished == crowd.served == state["v"].accepted,
                 "every client is counted once")


def test_a_reload_cuts_no_client_before_its_first_message_even_if_the_handler_says_idle(start,
                                                                                        mode):
    """echo says that it is idle from the start: one who has only just come is not between two
    messages."""
    daemon = start(text=text(mode, 0))
    crowd = Crowd(daemon.address(), echo)
    try:
        for number in range(1, 31):
            assert daemon.reload(text(mode, number))
    finally:
        crowd.stop()
    assert crowd.failures == []


def test_no_client_is_refused_or_cut_by_reloads_that_fail(start, mode):
    daemon = start(text=text(mode, 0))
    crowd = Crowd(daemon.address(), echo)
    try:
        for number in range(10):
            assert not daemon.reload(f"nonsense{number}")
    finally:
        crowd.stop()
    assert crowd.failures == []


@pytest.mark.interrupts
def test_an_idle_client_that_sent_a_message_before_the_reload_gets_its_answer(start, mode):
    """The handler says that it is idle; what has arrived is served even so, or nothing of it was
    taken: half an answer never happens."""
    daemon = start(listener("m", "yourmsg", mode, environment={"N": "0"}))
    cut = []
    for number in range(1, 21):
        with daemon.connect() as client:
            assert client.send(b"one").exactly(13) == b"Your msg={one}"[:13]
            assert client.exactly(1) == b"}"
            client.send(b"two")
            assert daemon.reload(config(listener("m", "yourmsg", mode,
                                                 environment={"N": str(number)})))
            answer = client.rest()
            assert answer in (b"Your msg={two}", b""), answer
            cut.append(answer == b"")
    # what was sent well before the reload had arrived
    assert sum(cut) <= 2, cut


def test_a_stop_under_load_serves_all_that_were_accepted(start, mode):
    daemon = start(text=text(mode, 0))
    crowd = Crowd(daemon.address(), echo)
    daemon.until(lambda state: state["echo"].finished > 50, "the crowd is there")
    assert daemon.stop(signal.SIGTERM) == 0
    crowd.stop()
    # the next client was refused, reset in the backlog, or saw the end before it was served
    assert len(crowd.failures) <= 3
    for failure in crowd.failures:
        assert any(word in failure for word in ("Refused", "Reset", "AssertionError", "Broken"))


def test_crashes_of_one_listener_cut_no_client_of_another(start, mode):
    daemon = start(listener("echo", mode=mode), listener("f", "sys_fault", mode),
                   env=CRASHES)
    crowd = Crowd(daemon.address("echo"), echo)
    try:
        for _ in range(6):
            with daemon.connect("f") as client:
                assert client.ask("ping") == "pong"
                assert client.send("abort\n").is_at_end()
    finally:
        crowd.stop()
    assert crowd.failures == []


def test_under_forking_the_crash_of_one_child_cuts_no_other_client(start):
    daemon = start(listener("f", "sys_fault", "forking"),
                   env=CRASHES)

    def talk(client):
        assert client.ask("ping") == "pong"

    crowd = Crowd(daemon.address("f"), talk)
    try:
        for _ in range(20):
            with daemon.connect("f") as client:
                assert client.send("abort\n").is_at_end()
    finally:
        crowd.stop()
    assert crowd.failures == []


def test_signals_in_any_order_cut_no_client(start):
    daemon = start(text=config(listener("echo")))
    crowd = Crowd(daemon.address(), echo)
    choice = random.Random(7)
    numbers = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGCHLD,
               signal.SIGWINCH, signal.SIGCONT]
    try:
        for _ in range(1000):
            daemon.kill(choice.choice(numbers))
        pid = daemon.worker()
    finally:
        crowd.stop()
    assert crowd.failures == []
    assert daemon.is_running and procfs.is_alive(pid)


@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_a_thousand_connections_leave_the_daemon_at_rest(start, mode):
    daemon = start(listener("echo", mode=mode, threading={"idle_timeout": "50ms"},
                            forking={"spare_children": 2}))
    with daemon.connect() as client:
        echo(client)
    daemon.until(lambda state: state["echo"].open == 0, "the first is over")
    pid = daemon.worker()
    fds, size = [procfs.count_fds(one) for one in (daemon.pid, pid)], procfs.memory_kib(pid)
    crowd = Crowd(daemon.address(), echo)
    daemon.until(lambda state: state["echo"].finished > 1000, "a thousand are served")
    crowd.stop()
    assert crowd.failures == []
    daemon.until(lambda _: [procfs.count_fds(one) for one in (daemon.pid, pid)] == fds,
                 "the descriptors are those from before")
    if mode == "threading":
        daemon.until(lambda _: procfs.count_threads(pid) == 5, "the threads are min_threads")
    elif mode == "fibers":
        assert procfs.count_threads(pid) == 2
    else:
        # a crowd that is over may leave twice the spare children
        daemon.until(lambda _: 1 <= len(procfs.children(pid)) <= 4, "the children are spare ones")
    assert IS_SANITIZED or procfs.memory_kib(pid) <= size + 512
