"""A journal of a test's own: the two sockets that systemd-journald has, in a mount namespace of the daemon's."""
import ctypes
import os
import re
import select
import socket
import time

from client import Client
from harness import LISTENING, WAIT_S

CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
# what systemd writes first: identifier, unit, priority, prefixes, and three that forward
HEADER = b"handlerd\nhandlerd.service\n30\n1\n0\n0\n0\n"
HEADER_LINES = HEADER.count(b"\n")


class Stream:
    """One that somebody writes lines to, after its header."""

    def __init__(self, one):
        self.socket, self.header, self.rest = one, [], b""


class Journal:
    """Records by the native protocol, and lines by the stream. What has come is read whenever somebody asks."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        directory.chmod(0o755)
        self.records = []  # of the native protocol: a dictionary each
        self.lines = []  # of streams
        self.headers = []  # of streams
        self.datagrams = self._bind("socket", socket.SOCK_DGRAM)
        self.server = self._bind("stdout", socket.SOCK_STREAM)
        self.server.listen(64)
        self.streams = {}
        self.poll = select.poll()
        for one in (self.datagrams, self.server):
            self.poll.register(one, select.POLLIN)

    def _bind(self, name, kind):
        one = socket.socket(socket.AF_UNIX, kind)
        one.bind(str(self.directory / name))
        os.chmod(self.directory / name, 0o666)
        return one

    def stream(self):
        """A connection as systemd makes it for a service, and the variable that tells of it."""
        one = socket.socket(socket.AF_UNIX)
        one.connect(str(self.directory / "stdout"))
        one.sendall(HEADER)
        status = os.fstat(one.fileno())
        return one, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}

    def enter(self):
        """Before the daemon is executed: /run is another one, with this journal in it."""
        libc = ctypes.CDLL(None, use_errno=True)

        def call(name, *arguments):
            if getattr(libc, name)(*arguments) != 0:
                raise OSError(ctypes.get_errno(), name)

        place = "/run/systemd/journal"
        call("unshare", CLONE_NEWNS)
        call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
        call("mount", b"none", b"/run", b"tmpfs", 0, None)
        os.chmod("/run", 0o755)
        os.makedirs(place)
        call("mount", str(self.directory).encode(), place.encode(), None, MS_BIND, None)

    def _take(self, fd):
        if fd == self.datagrams.fileno():
            rows = self.datagrams.recv(65536).decode("utf-8", "replace").splitlines()
            self.records.append(dict(row.split("=", 1) for row in rows if "=" in row))
        elif fd == self.server.fileno():
            one, _ = self.server.accept()
            self.streams[one.fileno()] = Stream(one)
            self.headers.append(self.streams[one.fileno()].header)
            self.poll.register(one, select.POLLIN)
        else:
            self._take_stream(fd)

    def _take_stream(self, fd):
        stream = self.streams[fd]
        data = stream.socket.recv(65536)
        if not data:
            self.poll.unregister(fd)
            self.streams.pop(fd).socket.close()
            return
        *lines, stream.rest = (stream.rest + data).split(b"\n")
        lines = [line.decode("utf-8", "replace") for line in lines]
        missing = HEADER_LINES - len(stream.header)
        stream.header += lines[:missing]
        self.lines += lines[missing:]

    def drain(self, timeout=0):
        """Everything that has come."""
        while True:
            ready = self.poll.poll(timeout * 1000)
            for fd, _ in ready:
                self._take(fd)
            if not ready:
                return self
            timeout = 0

    def messages(self):
        return [record.get("MESSAGE", "") for record in self.drain().records]

    def wait(self, pattern, since=0, what="messages"):
        """A message, or a line of a stream, that matches."""
        deadline = time.monotonic() + WAIT_S
        while True:
            rows = self.messages()[since:] if what == "messages" else self.drain().lines[since:]
            found = [match for match in (re.search(pattern, row) for row in rows) if match]
            if found:
                return found[0]
            left = deadline - time.monotonic()
            assert left > 0, f"no {what} like {pattern!r}:\n" + "\n".join(rows)
            self.drain(left)

    def connect(self, daemon, name, what="messages"):
        """A client of a listener, of which the log that came here tells where it is."""
        rows = self.messages() if what == "messages" else self.drain().lines
        found = [match for match in map(LISTENING.search, rows) if match and match["name"] == name]
        host, _, port = found[-1]["address"].rpartition(":")
        daemon.clients.append(Client((host, int(port))))
        return daemon.clients[-1]

    def mark(self, what="messages"):
        return len(self.messages() if what == "messages" else self.drain().lines)

    def close(self):
        for one in self.streams.values():
            one.socket.close()
        self.datagrams.close()
        self.server.close()
