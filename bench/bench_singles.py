"""Figures of handlerd alone: a flood of datagrams, the time to start, the memory at rest."""

import json
import os
import select
import socket
import subprocess
import tempfile
import time

from bench_cells import FLOOD, SINGLES
from bench_clock import pss, tree
from bench_daemon import start_daemon
from bench_servers import Failure, cores, stop_process

FLOOD_DATAGRAMS = 200000
STATUS_SERVED = ("served", "finished")      # the first there is
STATUS_DROPPED = ("dropped by the kernel",)


def first_figure(figures, names):
    for name in names:
        if name in figures:
            return figures[name]
    raise Failure(f"the status tells none of {', '.join(names)}: {figures}")


def run_flood(run):
    """Datagrams at full speed: how many were sent, served, and dropped by the kernel."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        server = start_daemon(run, FLOOD.daemon, "udp", os.path.join(directory, "subject"))
        try:
            done = subprocess.run(
                [run.load, "--mode", "flood", "--datagrams", str(FLOOD_DATAGRAMS),
                 server.address], capture_output=True, text=True, timeout=60, check=False,
                preexec_fn=lambda: os.sched_setaffinity(0, cores(1, 1)))
            if done.returncode != 0:
                raise Failure(f"the flood failed: {done.stdout}{done.stderr}")
            result = json.loads(done.stdout)
            result["served"], result["dropped"] = wait_served(server, result["sent"])
        finally:
            server.stop()
    run.record(cell=FLOOD.name, round=0, server=server.name, **result)
    return result


def wait_served(server, sent):
    """Until all that was sent is accounted for, or nothing has changed for a second."""
    before, since = None, time.monotonic()
    while True:
        figures = server.status()
        now = (first_figure(figures, STATUS_SERVED), first_figure(figures, STATUS_DROPPED))
        if now != before:
            before, since = now, time.monotonic()
        if sum(now) >= sent or time.monotonic() - since > 1:
            return now
        time.sleep(0.1)


def run_singles(run):
    """Start an idle daemon with one listener several times: time to READY=1, and its memory."""
    values = {single.name: [] for single in SINGLES}
    with tempfile.TemporaryDirectory() as directory, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        path = os.path.join(directory, "notify")
        notify.bind(path)
        for number in range(max(3, run.rounds)):
            start_idle(run, directory, notify, path, values)
            for name, found in values.items():
                if found:
                    run.record(cell=name, round=number, server="handlerd", value=found[-1])
            while select.select([notify], [], [], 0)[0]:    # what it says while it stops
                notify.recv(4096)
    return values


def start_idle(run, directory, notify, path, values):
    with open(os.path.join(directory, "log"), "wb+") as log:
        begun = time.monotonic()
        process = subprocess.Popen(
            [run.handlerd, "--listen", "tcp:127.0.0.1:0", "--handler", "echo", "--concurrency",
             "threading"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=dict(os.environ, NOTIFY_SOCKET=path, RUNTIME_DIRECTORY=directory))
        try:
            wait_ready(notify, process, log)
            values["ready"].append((time.monotonic() - begun) * 1e3)
            time.sleep(0.3)
            workers = [each for each in tree(process.pid) if each != process.pid]
            values["supervisor-pss"].append(pss(process.pid))
            if workers:
                values["worker-pss"].append(max(map(pss, workers)))
        finally:
            stop_process(process)


def wait_ready(notify, process, log):
    end = time.monotonic() + 10
    while time.monotonic() < end and process.poll() is None:
        if select.select([notify], [], [], 0.1)[0] and \
                b"READY=1" in notify.recv(4096).splitlines():
            return
    log.seek(0)
    raise Failure(f"handlerd did not become ready:\n{log.read().decode()}")
