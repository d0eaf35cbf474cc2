"""A control group of a test's own, with little memory; version 1 or 2, whichever the machine has."""
import contextlib
import os
import pathlib

import pytest

ROOT = pathlib.Path("/sys/fs/cgroup")


def _own(controller):
    """Where this process is, by the name of a controller ("": version 2)."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return path.lstrip("/")
    return None


def _places():
    """Directories in which a group with a limit can be made, and the name of the limit's file."""
    if (ROOT / "memory").is_dir() and _own("memory") is not None:
        yield ROOT / "memory" / _own("memory"), "memory.limit_in_bytes"
    if (ROOT / "cgroup.controllers").exists():
        # beside the group of this process: one with processes has no children with controllers
        own = ROOT / _own("")
        for place in (own, own.parent):
            yield place, "memory.max"


@contextlib.contextmanager
def with_memory(size):
    """The directory of a group that may have so many bytes."""
    name = f"handlerd-test-{os.getpid()}"
    for place, limit in _places():
        group = place / name
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if not (group / limit).exists():
                continue
            (group / limit).write_text(str(size))
            yield group
            return
        finally:
            group.rmdir()
    pytest.skip("no control group with a limit of memory can be made here")


def enter(group):
    """For a process between fork and exec."""
    (group / "cgroup.procs").write_text(str(os.getpid()))
