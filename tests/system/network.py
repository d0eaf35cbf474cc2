"""A network of a test's own, and datagrams with a forged sender."""
import contextlib
import ctypes
import os
import pathlib
import socket
import struct
import subprocess

CLONE_NEWNET = 0x40000000
NEAR, FAR, FARTHER = "127.0.0.1", "192.0.2.1", "192.0.2.2"


def _call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


@contextlib.contextmanager
def namespace(*more):
    """What is started inside sees two more addresses, which are not those of the loopback, and what
    more lines for ip(8) add, and nobody else."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    _call("unshare", CLONE_NEWNET)
    try:
        for words in (f"addr add {FAR}/32 dev lo", f"addr add {FARTHER}/32 dev lo",
                      "link set lo up", *more):
            subprocess.run(["ip", *words.split()], check=True,
                           env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
        yield
    finally:
        _call("setns", before, CLONE_NEWNET)
        os.close(before)


def count_datagrams():
    """How many have been delivered over UDP in this network."""
    rows = [line.split() for line in
            pathlib.Path("/proc/thread-self/net/snmp").read_text().splitlines()
            if line.startswith("Udp:")]
    return int(dict(zip(*rows))["InDatagrams"])


def forge(source, target, payload):
    """Sends a datagram that says it comes from somebody else."""
    length = 8 + len(payload)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, 0, 0, 64, socket.IPPROTO_UDP, 0,
                         socket.inet_aton(source[0]), socket.inet_aton(target[0]))
    datagram = struct.pack("!HHHH", source[1], target[1], length, 0) + payload
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(header + datagram, (target[0], 0))
