"""Records of connections in a file: each one once, whatever ends their worker, and none late."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from client import Client
from ctl import ctl
from harness import PROGRAM, SLOW, config, listener

MODES = ["serial", "threading", "forking", "fibers"]
ENDED = re.compile(r'#(\d+) \S+: connection ended: |"connection_id":(\d+),.*"connection ended: ')


class FileDaemon:
    """One whose standard error is a file that is appended to."""

    def __init__(self, place, mode, **log):
        self.place, self.path = place, place / "log"
        file = place / "handlerd.conf"
        file.write_text(config(listener("echo", mode=mode, max_connections=64),
                               log={"connections": "all", "connection_rate": "none", **log}))
        file.chmod(0o644)
        with open(self.path, "ab") as out:
            self.process = subprocess.Popen(
                [str(PROGRAM), "-c", str(file), "--control", str(place / "control.sock")],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=out, cwd="/",
                env={"PATH": "/usr/bin:/bin"})
        self.wait(lambda text: "ready in" in text, 10)
        host, port = re.search(r"listening on tcp (\S+):(\d+)", self.text()).groups()
        self.address = (host, int(port))

    def text(self):
        return self.path.read_text()

    def wait(self, condition, seconds):
        deadline = time.monotonic() + seconds * SLOW
        while not condition(self.text()):
            assert time.monotonic() < deadline, self.text()[-4000:]
        return self.text()

    def status(self):
        told = json.loads(ctl("--control", self.place / "control.sock", "status", "--json", "echo").stdout)
        return told["listeners"][0]

    def worker(self):
        """The one that serves, or None."""
        told = self.status()
        return told["pid"] if told["state"] == "serving" else None

    def serve(self, count):
        for _ in range(count):
            with Client(self.address) as client:
                assert client.send(b"x").exactly(1) == b"x"

    def ended(self):
        """The ids of those that have a record."""
        return [int(text or json) for text, json in ENDED.findall(self.text())]

    def stop(self):
        self.process.terminate()
        assert self.process.wait(10 * SLOW) == 0


@pytest.fixture(name="daemon_of")
def make_daemons(place):
    """A function that starts one; they are gone at the end."""
    daemons = []

    def start(mode, **log):
        daemons.append(FileDaemon(place, mode, **log))
        return daemons[-1]

    yield start
    for daemon in daemons:
        if daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("mode", MODES)
def test_each_connection_has_its_record_when_the_daemon_has_ended(daemon_of, mode, form):
    daemon = daemon_of(mode, format=form)
    daemon.serve(500)
    daemon.stop()
    told = daemon.ended()
    assert (len(told), len(set(told))) == (500, 500)


@pytest.mark.parametrize("mode", MODES)
def test_a_record_is_there_soon_though_no_other_comes(daemon_of, mode):
    daemon = daemon_of(mode)
    daemon.serve(300)
    began = time.monotonic()
    daemon.wait(lambda text: len(ENDED.findall(text)) == 300, 5)
    assert time.monotonic() - began < 0.1 + 0.4 * SLOW


@pytest.mark.parametrize("mode", ["serial", "threading", "fibers"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_records_outlive_a_worker_that_is_killed(daemon_of, mode, number):
    """Forked children keep none."""
    daemon, turns = daemon_of(mode), 3
    for _ in range(turns):
        worker = daemon.worker()
        daemon.serve(100)
        os.kill(worker, number)
        deadline = time.monotonic() + 10 * SLOW
        while daemon.worker() in (worker, None):
            assert time.monotonic() < deadline
    daemon.stop()
    # one that is killed while it writes may have some of them twice; the one of the last client may
    # not have been made yet, after its end was counted
    assert 300 - turns <= len(set(daemon.ended())) <= 300
