"""Reads the scoreboards that the supervisor holds, as one would with a debugger."""
import collections
import ipaddress
import os
import struct

import procfs

# the record of a crash is in it, and records that are not in the log's file yet
HEADER = 128 + 64 + 32 * 56 + 33024
SLOT = struct.Struct("=6QIIQqQQ16sIIII8x")
PHASES = ["setup", "handle", "idle", "finish", "closing"]
AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10

Connection = collections.namedtuple("Connection", "id opened_ns bytes_in bytes_out peer phase")


def _peer(words, kind):
    if kind & 0xffff == AF_UNIX:
        return "unix pid {} uid {}".format(*struct.unpack("=QQ", words))
    if kind & 0xffff == AF_INET:
        return f"{ipaddress.IPv4Address(words[:4])}:{kind >> 16}"
    if kind & 0xffff == AF_INET6:
        return f"[{ipaddress.IPv6Address(words)}]:{kind >> 16}"
    return "unknown"


def connections(daemon):
    """What is being served, by id, of all workers."""
    found = {}
    # of one, there is a descriptor to write and another one to read
    boards = {os.stat(path).st_ino: path for path in
              (f"/proc/{daemon.pid}/fd/{fd}" for fd, target in procfs.fds(daemon.pid).items()
               if "handlerd-scoreboard" in target)}
    for path in boards.values():
        with open(path, "rb") as file:
            image = file.read()
        for at in range(HEADER, len(image) - SLOT.size + 1, SLOT.size):
            row = SLOT.unpack_from(image, at)
            if row[5] != 0:
                assert row[5] not in found, "two have the same id"
                found[row[5]] = Connection(row[5], row[9], row[10], row[11],
                                           _peer(row[12], row[13]), PHASES[row[14]])
    return found


def of(daemon, client):
    """The connection of this client."""
    if isinstance(client.sock.getsockname(), tuple):
        name = client.name()
    else:
        name = f"unix pid {os.getpid()} uid {os.getuid()}"
    rows = connections(daemon)
    found = [one for one in rows.values() if one.peer == name]
    assert len(found) == 1, (name, rows)
    return found[0]
