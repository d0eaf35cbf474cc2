"""Servers that are measured, and the load on them."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import time

from bench_clock import make_clock

# handlerd: "'echo' listening on udp 127.0.0.1:7"; references: "listening on udp:127.0.0.1:7"
LISTENING = re.compile(r"listening on (?:(tcp|udp|unix) )?(\S+)$", re.M)
# What handlerd's status says: "status: 'echo' ...: NAME NUMBER NAME NUMBER ...".
STATUS_LINE = re.compile(r"status: 'echo' .*: (.*)")
STATUS_FIGURE = re.compile(r"([a-z][a-z ]*?) (\d+)")
STATUS_END = re.compile(r"status: end$", re.M)
START_SECONDS = 10
TICK = 0.03
QUIET = 0.001       # seconds of CPU in a tick, of a server that has nothing to do
MOST_TICKS = 100


class Failure(Exception):
    """Something could not be measured."""


class Skipped(Exception):
    """Something cannot be measured on this machine."""


def cores(first, count):
    """So many of the processors that this process may use."""
    return sorted(os.sched_getaffinity(0))[first:first + count]


def stop_process(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Server:
    """A server pinned to its cores, with a clock for its CPU time.

    It says where it listens, unless ADDRESS tells; then it is ready when it can be connected to.
    """

    def __init__(self, name, command, directory, address=None, core_count=1, force_proc=False,
                 env=None):
        self.name, self.address, self.load_arguments = name, address, ()
        self.log = os.path.join(directory, f"{time.monotonic_ns()}.log")
        self.clock = make_clock(force_proc)
        pinned = cores(0, core_count)

        def prepare():
            os.sched_setaffinity(0, pinned)
            self.clock.enter()

        with open(self.log, "wb") as out:
            try:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=prepare,
                    env=dict(os.environ, **(env or {})))
            except OSError as error:
                self.clock.close()
                raise Failure(f"{name} did not start: {error}") from error
        try:
            self.wait_listening()
        except Failure:
            self.stop()
            raise

    def wait_listening(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.address is None:
                match = LISTENING.search(self.output())
                if match:
                    plain = match[1] in (None, "tcp")
                    self.address = match[2] if plain else f"{match[1]}:{match[2]}"
                    return
            elif self.can_be_connected():
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise Failure(f"{self.name} did not start to listen: {self.complaint()}")

    def can_be_connected(self):
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), 1).close()
            return True
        except OSError:
            return False

    def output(self, since=0):
        with open(self.log, "rb") as text:
            text.seek(since)
            return text.read().decode("utf-8", "replace")

    def complaint(self):
        """What it says of what went wrong: the first error, or the last line."""
        output = self.output()
        error = re.search(r"error: (.*)", output)
        return error[1] if error else (output.splitlines() or ["it says nothing"])[-1]

    def protocol(self):
        """What the address, as the load generator takes it, begins with."""
        prefix = self.address.partition(":")[0]
        return prefix if prefix in ("udp", "unix") else "tcp"

    def status(self):
        """The figures that handlerd tells of its listener: {name: number}."""
        since = os.path.getsize(self.log)
        self.process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            new = self.output(since)
            if STATUS_END.search(new):
                figures = {}
                for match in STATUS_LINE.finditer(new):
                    figures.update((name, int(number))
                                   for name, number in STATUS_FIGURE.findall(match[1]))
                return figures
            time.sleep(0.02)
        raise Failure(f"{self.name} did not tell its status: {self.complaint()}")

    def seconds(self):
        return self.clock.seconds(self.process.pid)

    def settle(self):
        """Until it has nothing to do any more: ended sessions, reaped children. Its CPU time."""
        now = self.seconds()
        for _ in range(MOST_TICKS):
            before = now
            time.sleep(TICK)
            now = self.seconds()
            if now - before < QUIET:
                break
        return now

    def stop(self):
        stop_process(self.process)
        self.clock.close()


class Loads:
    """One or more load generators on a server, each on a core of its own, that begin together."""

    def __init__(self, program, server, load, seconds, first_core=1):
        self.server, self.limit = server, seconds * 3 + 90
        self.processes = []
        for number in range(load.generators):
            core = cores(first_core + number, 1)
            command = [program, "--hold", "--seconds", str(seconds),
                       *load.arguments(load.generators), *server.load_arguments, server.address]
            self.processes.append(subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                preexec_fn=lambda core=core: os.sched_setaffinity(0, core)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
            process.stderr.close()

    def line(self, process):
        """The next line of what PROCESS says; it is one that is written at once."""
        if not select.select([process.stdout], [], [], self.limit)[0]:
            process.kill()
            raise Failure(f"the load on {self.server.name} did not come to an end")
        text = process.stdout.readline().decode()
        if not text:
            raise Failure(f"the load on {self.server.name} failed: " +
                          process.stderr.read().decode().strip())
        return text

    def waited(self):
        """Seconds that they were ready to run and did not: others had their cores."""
        total = 0
        for process in self.processes:
            with open(f"/proc/{process.pid}/schedstat") as text:
                total += int(text.read().split()[1]) / 1e9
        return total

    def wait_ready(self):
        for process in self.processes:
            self.line(process)

    def run(self):
        """Let them go; what they say in the end, as one."""
        for process in self.processes:
            process.stdin.write(b"go\n")
            process.stdin.flush()
        before = self.waited()
        results = [json.loads(self.line(process)) for process in self.processes]
        merged = dict(results[0])
        merged["waited"] = (self.waited() - before) / merged["seconds"] / len(results)
        for key in ("answered", "errors", "lost", "rate"):
            merged[key] = sum(result[key] for result in results)
        for key in ("p50_us", "p99_us", "p999_us"):
            merged[key] = max(result[key] for result in results)
        return merged


def busy_seconds(numbers):
    """What programs have had of these cores, interrupts left out."""
    with open("/proc/stat") as lines:
        ticks = {fields[0]: sum(map(int, fields[1:4])) for fields in map(str.split, lines)
                 if fields[0].startswith("cpu")}
    return sum(ticks[f"cpu{number}"] for number in numbers) / os.sysconf("SC_CLK_TCK")


def turn(program, server, load, seconds, server_cores=1):
    """One turn of load on SERVER: what the load generator says, and the CPU time it took.

    "waited" and "others" are the shares of the time in which the load waited for its core, and
    other programs had those of the server."""
    own = cores(0, server_cores)
    with Loads(program, server, load, seconds, server_cores) as loads:
        loads.wait_ready()
        before, busy, begun = server.settle(), busy_seconds(own), time.monotonic()
        result = loads.run()
        after = server.settle()
        busy, took = busy_seconds(own) - busy, time.monotonic() - begun
    server.settle()
    if server.process.poll() is not None:
        raise Failure(f"{server.name} ended: {server.complaint()}")
    if result["answered"] == 0:
        raise Failure(f"{server.name} answered nothing: {server.complaint()}")
    result["others"] = max(0, busy - (after - before)) / took / server_cores
    result["cpu_us"] = (after - before) * 1e6 / result["answered"]
    return result
