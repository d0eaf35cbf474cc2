"""Hostile clients, each kind in a process of its own, at the lowest priority: on a network they would
have a machine of their own."""
import contextlib
import os
import resource
import signal
import socket
import struct

from harness import WAIT_S
import procfs

SOURCE = "127.0.0.66"
ABORT = struct.pack("ii", 1, 0)


def _dial(address, timeout=WAIT_S):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    sock.bind((SOURCE, 0))
    sock.connect(address)
    return sock


def idle(address, count, ready):
    """So many connections that say nothing, until the end."""
    held = [_dial(address) for _ in range(count)]
    ready()
    return held


def trickle(address, count, ready):
    """One byte now and then on each, in a circle."""
    held = [_dial(address) for _ in range(count)]
    ready()
    while held:
        for sock in held[:]:
            try:
                sock.send(b"x")
            except OSError:
                held.remove(sock)
        signal.sigtimedwait([], 0.2)


def flood_of_resets(address, count, ready):
    """Connects, sends, and is gone without a word; 0: until it is ended."""
    ready()
    done = 0
    while count == 0 or done < count:
        with contextlib.suppress(OSError):
            sock = _dial(address)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            if done % 2:
                sock.send(b"x")
            sock.close()
        done += 1


def flood_of_connections(address, _count, ready):
    """Connects and closes as fast as it can."""
    ready()
    while True:
        with contextlib.suppress(OSError):
            _dial(address).close()


class Attack:
    """Runs one of them from here to end()."""

    def __init__(self, what, address, count=0):
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(what, address, count, reader, writer)
        os.close(writer)
        with open(reader, "rb") as told:
            assert told.read() == b"ready", f"{what.__name__} did not get to its work"
        self.pidfd = os.pidfd_open(self.pid)

    @staticmethod
    def _run(what, address, count, reader, writer):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            os.close(reader)
            os.nice(19)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))

            def ready():
                os.write(writer, b"ready")
                os.close(writer)

            held = what(address, count, ready)
            if held:
                signal.sigwait([signal.SIGTERM])
            os._exit(0)
        finally:
            os._exit(1)

    def wait_done(self, timeout):
        assert procfs.wait_death(self.pidfd, timeout), "the attack takes too long"
        return self.end()

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.pidfd)
        self.pid = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
