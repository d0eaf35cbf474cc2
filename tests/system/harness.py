"""Runs the real daemon for a test: starts it, waits for what it says, stops it and looks around.

Nothing here sleeps. What a test waits for is a log line, a readable socket or the death of a
process; every wait has a deadline and fails with the daemon's log.
"""
import collections
import contextlib
import os
import random
import re
import resource
import select
import signal
import socket
import subprocess
import threading
import time

import procfs
from client import Client, Datagrams
from conffile import (BUILD, DATAGRAMS, PROTOCOLS, STREAMS, TEST_HANDLERS, config,  # noqa: F401
                      listener)

SLOW = float(os.environ.get("HANDLERD_SLOW", "1"))
PROGRAM = BUILD / "sbin" / "handlerd"
GUARD_S = 20 * SLOW
WAIT_S = 10 * SLOW
NOBODY = 65534
IS_ROOT = os.geteuid() == 0


def _is_linked_with(library):
    worker = BUILD / "libexec" / "handlerd" / "handlerd-worker"
    return worker.exists() and library in worker.read_bytes()


IS_TSAN = _is_linked_with(b"libtsan.so")
IS_ASAN = _is_linked_with(b"libasan.so")
IS_SANITIZED = IS_TSAN or IS_ASAN

SANITIZER_OPTIONS = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS")
# For daemons whose handlers crash on purpose: what a sanitizer says of that is no error of ours.
CRASHES = {"ASAN_OPTIONS": "handle_segv=0:handle_abort=0:handle_sigfpe=0",
           "TSAN_OPTIONS": "handle_segv=0:handle_abort=0:handle_sigfpe=0"}
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|MemorySanitizer"
                       r"|UndefinedBehaviorSanitizer|: runtime error: ")
STATUS_LISTENER = re.compile(
    r"status: '(?P<name>[^']+)' handler '(?P<handler>[^']+)' \((?P<path>.*)\): accepted "
    r"(?P<accepted>\d+) finished (?P<finished>\d+) refused (?P<refused>\d+) failed "
    r"(?P<failed>\d+) crashed (?P<crashed>\d+) open (?P<open>\d+)"
    r" timed out (?P<timed_out>\d+)")
STATUS_WORKER = re.compile(
    r"status: '(?P<name>[^']+)' worker generation (?P<generation>\d+) pid (?P<pid>\d+) "
    r"(?P<state>[A-Z]+)(?P<quiet> \(accepts no more\))?$")
STATUS_DATAGRAMS = re.compile(
    r"status: '(?P<name>[^']+)' datagrams: dropped by the kernel (?P<drops>.*)$")
LISTENING = re.compile(
    r"'(?P<name>[^']+)' listening on (?P<protocol>tcp|udp|unix|unixgram) (?P<address>.+)$")

Worker = collections.namedtuple("Worker", "generation pid state is_quiet")


class Listener:
    """One listener of a status report."""

    def __init__(self, match):
        self.name = match["name"]
        self.handler = match["handler"]
        self.path = match["path"]
        for field in ("accepted", "finished", "refused", "failed", "crashed", "open"):
            setattr(self, field, int(match[field]))
        self.timed_out = int(match["timed_out"])
        self.workers = []
        self.drops = {}  # of datagrams: how many for which reason

    @property
    def is_balanced(self):
        return self.accepted == self.finished + self.refused + self.crashed

    @property
    def serving(self):
        return [worker for worker in self.workers if worker.state == "SERVING"]

    @property
    def draining(self):
        return [worker for worker in self.workers if worker.state == "DRAINING"]


def _read_drops(text):
    """"0, empty 2" and the like, by reason."""
    by_kernel, *others = text.split(", ")
    rows = [other.rpartition(" ") for other in others]
    return {"kernel": int(by_kernel), **{reason: int(count) for reason, _, count in rows}}


def free_ports(count, host="127.0.0.1"):
    """Ports that were free a moment ago, below those that clients get: one of theirs may be taken by
    any client before a daemon has bound it."""
    held = []
    for port in random.sample(range(20000, 30000), 200):
        with contextlib.suppress(OSError):
            held.append(socket.create_server((host, port)))
        if len(held) == count:
            break
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    assert len(ports) == count, "no port is free"
    return ports


def port_of_all_addresses():
    """A port that no address of this machine has."""
    return free_ports(1, "0.0.0.0")[0]


class Log:
    """The lines a process writes, gathered by a thread. What was written before a call is seen by it."""

    def __init__(self, stream):
        self.lines = []
        self.is_over = False
        self._stream = stream
        self._rest = b""
        # one for the thread, one for whoever has the lock
        self._poll, self._look = select.poll(), select.poll()
        self._poll.register(stream, select.POLLIN)
        self._look.register(stream, select.POLLIN)
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _take(self):
        """Under the lock: what is in the pipe, which is not empty or at its end."""
        data = os.read(self._stream.fileno(), 65536)
        *whole, self._rest = (self._rest + data).split(b"\n")
        if not data and self._rest:
            whole.append(self._rest)
        self.lines += [line.decode("utf-8", "replace") for line in whole]
        self.is_over = not data
        self._changed.notify_all()

    def _read(self):
        while not self.is_over:
            self._poll.poll()
            with self._changed:
                if self._look.poll(0):
                    self._take()

    def _drain(self):
        """Under the lock."""
        while not self.is_over and self._look.poll(0):
            self._take()

    def mark(self):
        with self._changed:
            self._drain()
            return len(self.lines)

    def find(self, pattern, since=0):
        with self._changed:
            self._drain()
            lines = self.lines[since:]
        return [match for match in (re.search(pattern, line) for line in lines) if match]

    def wait(self, pattern, since=0, timeout=None, count=1):
        """The count-th line that matches, or a failure with the log."""
        deadline = time.monotonic() + (WAIT_S if timeout is None else timeout * SLOW)
        expression, at, found = re.compile(pattern), since, 0
        with self._changed:
            while True:
                for line in self.lines[at:]:
                    match = expression.search(line)
                    if match:
                        found += 1
                        if found == count:
                            return match
                at = len(self.lines)
                left = deadline - time.monotonic()
                if self.is_over or left <= 0:
                    why = "the log ended" if self.is_over else "time is over"
                    raise AssertionError(f"{why} without a line like {pattern!r}:\n" + self.text())
                self._changed.wait(left)

    def wait_over(self, timeout=None):
        with self._changed:
            self._changed.wait_for(lambda: self.is_over, WAIT_S if timeout is None else timeout)
            return self.is_over

    def text(self, most=60):
        return "\n".join("    " + line for line in self.lines[-most:])

    def close(self):
        self._thread.join(WAIT_S)
        self._stream.close()


class Daemon:
    """A running handlerd."""

    def __init__(self, directory, arguments=None, text=None, user=None, env=None, limits=None,
                 pass_fds=(), before_exec=None):
        self.directory = directory
        self.file = directory / "handlerd.conf"
        self.clients = []
        self.expected_exit = 0
        self.checks_balance = True
        self.expects_reports = False  # of a sanitizer
        if text is not None:
            self.write(text)
            arguments = ["-c", str(self.file)]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TZ": "UTC0"}
        # as root all would want the same one; an ordinary user has none here
        self.control = directory / "control.sock"
        if user != "nobody":
            environment["HANDLERD_CONTROL"] = str(self.control)
        environment.update(env or {})
        for name in SANITIZER_OPTIONS:
            given = [where[name] for where in (os.environ, env or {}) if name in where]
            if given:
                environment[name] = ":".join(given)

        def prepare():
            for which, value in (limits or {}).items():
                resource.setrlimit(which, value)
            if before_exec:
                before_exec()

        identity = {}
        if user == "nobody":
            identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self.process = subprocess.Popen(
            [str(PROGRAM), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, env=environment, cwd="/", pass_fds=pass_fds,
            preexec_fn=prepare if limits or before_exec else None, **identity)
        self.pid = self.process.pid
        self.pidfd = os.pidfd_open(self.pid)
        self.log = Log(self.process.stderr)
        self._listening, self._listening_to = [], 0

    def write(self, text, name=None):
        """Replaces the configuration by rename, so that no half of it is ever read."""
        path = self.file if name is None else self.directory / name
        path.parent.mkdir(exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.write_text(text)
        new.chmod(0o644)
        new.rename(path)

    def wait_ready(self):
        self.log.wait(r"notice: ready in ")
        return self

    def kill(self, number):
        os.kill(self.pid, number)

    # Where it listens

    def _told_listening(self):
        """What the log told of listeners; each line is read once, however many clients ask."""
        mark = self.log.mark()
        lines = self.log.lines[self._listening_to:mark]
        self._listening += filter(None, map(LISTENING.search, lines))
        self._listening_to = mark
        return self._listening

    def addresses(self, name=None):
        """The addresses that the log told of a listener (the first one), the newest last."""
        rows = self._told_listening()
        return [row["address"] for row in rows if row["name"] == (name or rows[0]["name"])]

    def protocol(self, name=None):
        rows = self._told_listening()
        return next(row["protocol"] for row in rows if row["name"] == (name or rows[0]["name"]))

    def address(self, name=None, index=-1):
        """As Python's sockets take it."""
        text = self.addresses(name)[index]
        if text[0] in "/@":
            return text.replace("@", "\0", 1) if text[0] == "@" else text
        host, _, port = text.rpartition(":")
        return host.strip("[]"), int(port)

    def port(self, name=None, index=-1):
        return self.address(name, index)[1]

    def connect(self, name=None, index=-1, **keys):
        """A client of the kind that the listener serves."""
        make = Datagrams if self.protocol(name) in DATAGRAMS else Client
        client = make(self.address(name, index), **keys)
        self.clients.append(client)
        return client

    def refuses(self, name=None):
        """Whether a new client is refused, or cut off by the last one who lets go of the socket."""
        try:
            client = self.connect(name)
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        return client.is_at_end()

    # What it tells

    def reload(self, text=None, since=None):
        """SIGHUP; whether it reloaded."""
        if text is not None:
            self.write(text)
        mark = self.log.mark() if since is None else since
        self.kill(signal.SIGHUP)
        return self.log.wait(r"notice: reloaded in |error: reload failed", mark)[0].startswith(
            "notice")

    def status(self):
        """SIGUSR1; the listeners by name."""
        mark = self.log.mark()
        self.kill(signal.SIGUSR1)
        self.log.wait(r"status: end", mark)
        listeners = {}
        for line in self.log.lines[mark:]:
            match = STATUS_LISTENER.search(line)
            if match:
                current = Listener(match)
                listeners[current.name] = current
            match = STATUS_DATAGRAMS.search(line)
            if match:
                listeners[match["name"]].drops = _read_drops(match["drops"])
            match = STATUS_WORKER.search(line)
            if match:
                listeners[match["name"]].workers.append(
                    Worker(int(match["generation"]), int(match["pid"]), match["state"],
                           match["quiet"] is not None))
        return listeners

    def listener(self, name=None):
        """The state of one listener, of the first by default."""
        state = self.status()
        return state[name] if name else next(iter(state.values()))

    def drops(self, name=None):
        """How many datagrams went unserved or unanswered, by reason; those that are not 0."""
        return {why: count for why, count in self.listener(name).drops.items() if count}

    def worker(self, name=None):
        """The process id of the worker that accepts."""
        serving = self.listener(name).serving
        assert len(serving) == 1, serving
        return serving[0].pid

    def until(self, is_so, what, timeout=None):
        """Asks the daemon for its state until is_so(state) holds."""
        deadline = time.monotonic() + (WAIT_S if timeout is None else timeout * SLOW)
        while True:
            state = self.status()
            result = is_so(state)
            if result:
                return result
            assert time.monotonic() < deadline, f"never: {what}\n" + self.log.text()

    # Its end

    def wait_exit(self, timeout=None):
        """Waits for its death; the exit status."""
        timeout = WAIT_S if timeout is None else timeout * SLOW
        assert procfs.wait_death(self.pidfd, timeout), "it does not end:\n" + self.log.text()
        status = self.process.wait()
        if status >= 0:
            # nobody is left who could write: the last lines are on their way to the reader
            self.log.wait_over()
        return status

    def stop(self, number=signal.SIGTERM, timeout=None):
        self.kill(number)
        return self.wait_exit(timeout)

    @property
    def is_running(self):
        return self.process.poll() is None

    def close_clients(self):
        for client in self.clients:
            client.close()
        self.clients.clear()

    def check_balance(self):
        """Every connection that was accepted came to one of the three ends."""
        self.until(lambda state: all(one.is_balanced for one in state.values()),
                   "accepted = finished + refused + crashed")

    def end(self):
        """The end of every test: the numbers agree, and it stops when it is told to."""
        self.close_clients()
        if self.is_running:
            if self.checks_balance and self.log.find(r"notice: ready in "):
                self.check_balance()
            self.stop()
        self.process.wait()

    def check_end(self):
        """What it said, and how it went."""
        status = self.process.wait()
        assert self.log.wait_over(), "somebody still holds its standard error"
        text = "\n".join(self.log.lines)
        if not self.expects_reports:
            assert not SANITIZER.search(text), text
        assert "internal error" not in text, text
        assert status == self.expected_exit, f"exit status {status}\n" + self.log.text()

    def end_hard(self):
        """Ends what may still run, whatever happened."""
        self.close_clients()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def release(self):
        self.log.close()
        os.close(self.pidfd)

    def rest(self):
        """What a daemon at rest holds: descriptors and threads of supervisor and workers. How many
        spare children wait is no fixed number."""
        processes = [self.pid] + [worker.pid for one in self.status().values()
                                  for worker in one.workers if worker.pid != 0]
        return [(procfs.count_fds(pid), procfs.count_threads(pid)) for pid in processes]

    def check_rest(self, before):
        """Nothing is held that was not held before."""
        try:
            self.until(lambda _: all(now <= then for held, was in zip(self.rest(), before)
                                     for now, then in zip(held, was)), "at rest again")
        except AssertionError:
            assert self.rest() == before
            raise


class Notify:
    """The socket that systemd would listen on. What is put into its store is left out."""

    def __init__(self, address):
        self.address = self.path = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.name = self.address.replace("@", "\0", 1) if self.address[0] == "@" else self.address
        self._socket.bind(self.name)
        if self.address[0] != "@":
            os.chmod(self.address, 0o666)

    def _next(self):
        text = "FDSTORE"
        while text.startswith("FDSTORE"):
            text = self._socket.recv(8192).decode()
        return text

    def receive(self):
        self._socket.settimeout(WAIT_S)
        return self._next()

    def wait(self, text):
        while text not in self.receive():
            pass

    def everything(self):
        """What has arrived so far."""
        self._socket.settimeout(0)
        found = []
        try:
            while True:
                found.append(self._next())
        except BlockingIOError:
            return found

    def close(self):
        self._socket.close()


def run(*arguments, user=None, timeout=None, env=None):
    """Runs handlerd for a command that ends by itself."""
    identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if user == "nobody" else {}
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **(env or {})}
    for name in SANITIZER_OPTIONS:
        if name in os.environ:
            environment[name] = os.environ[name]
    result = subprocess.run([str(PROGRAM), *map(str, arguments)], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
                            env=environment, timeout=timeout or WAIT_S, check=False, **identity)
    assert not SANITIZER.search(result.stderr), result.stderr
    assert "internal error" not in result.stderr, result.stderr
    return result
