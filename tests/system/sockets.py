"""Sockets of every kind: clients of them, and a look at those that the daemon holds."""
import contextlib
import ctypes
import errno
import os
import socket

import procfs
from client import TIMEOUT_S

PIDFD_GETFD = 438

_libc = ctypes.CDLL(None, use_errno=True)


def abstract(address):
    """A Unix address as Python writes it."""
    return "\0" + address[1:] if address.startswith("@") else address


def family_of(address):
    if isinstance(address, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


class Datagrams:
    """A datagram client that is connected: it takes no answer from anybody else."""

    def __init__(self, address, timeout=TIMEOUT_S):
        family = family_of(address)
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.settimeout(timeout)
        if family == socket.AF_UNIX:
            self.sock.bind("")  # an abstract name of the kernel's choice, to be answered at
            address = abstract(address)
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def ask(self, text):
        self.sock.send(text if isinstance(text, bytes) else text.encode())
        return self.sock.recv(65536).decode()


class Stream:
    """A Unix stream or TCP client that talks in lines."""

    def __init__(self, address, timeout=TIMEOUT_S):
        self.sock = socket.socket(family_of(address), socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect(abstract(address) if isinstance(address, str) else address)
        except OSError:
            self.sock.close()
            raise
        self.file = self.sock.makefile("rw", newline="\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, text):
        self.file.write(text + "\n")
        self.file.flush()
        return self.file.readline().rstrip("\n")

    def close(self):
        self.file.close()
        self.sock.close()


def ask(protocol, address, text):
    """One question to a listener of any protocol."""
    kind = Datagrams if protocol in ("udp", "unixgram") else Stream
    with kind(address) as client:
        return client.ask(text)


def echoes(protocol, address):
    return ask(protocol, address, "hello") == "hello"


def _take(pid, number):
    """A duplicate of another process's descriptor; None if it has been closed meanwhile."""
    pidfd = os.pidfd_open(pid)
    try:
        fd = _libc.syscall(PIDFD_GETFD, pidfd, number, 0)
        if fd < 0 and ctypes.get_errno() == errno.EBADF:
            return None
        if fd < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return socket.socket(fileno=fd)
    finally:
        os.close(pidfd)


def _is_at(one, protocol, address):
    """Whether a socket is what clients of that address come to."""
    kind = socket.SOCK_STREAM if protocol in ("tcp", "unix") else socket.SOCK_DGRAM
    if one.type != kind or (one.family == socket.AF_UNIX) != protocol.startswith("unix"):
        return False
    if one.family == socket.AF_UNIX:
        return one.getsockname() == address
    # a number: any address with that port
    return one.getsockname()[1] == address if isinstance(address, int) else \
        one.getsockname()[:2] == address


@contextlib.contextmanager
def held(pid, protocol, address):
    """The sockets of a process that are bound to an address or a port, as its own open file descriptions."""
    found = []
    try:
        for number, what in sorted(procfs.fds(pid).items()):
            if not what.startswith("socket:"):
                continue
            one = _take(pid, number)
            if one is None:
                continue
            if one.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) and \
                    _is_at(one, protocol, address):
                found.append(one)
            else:
                one.close()
        yield found
    finally:
        for one in found:
            one.close()


def option(pid, protocol, port, level, name):
    """A number that is set on the only socket of a port."""
    with held(pid, protocol, port) as sockets:
        assert len(sockets) == 1, sockets
        return sockets[0].getsockopt(level, name)


def inodes(pid, protocol, port):
    """Which sockets they are: the same inodes are the same sockets."""
    with held(pid, protocol, port) as sockets:
        return sorted(os.fstat(one.fileno()).st_ino for one in sockets)


def mode_of(path):
    return os.lstat(path).st_mode & 0o7777
