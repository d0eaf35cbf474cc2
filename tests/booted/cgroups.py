"""A control group for each container: two containers in one group would take each other's processes for their own."""
import os
import pathlib
import re

HIERARCHY = re.compile(r"^\d+:(?P<controllers>[^:]*):(?P<path>.*)$", re.M)


def _mounts():
    """Where systemd's hierarchies are mounted: the unified one, and version 1's "name=systemd"."""
    found = {}
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split()[:3]
        below, where = before.split()[3:5]
        if kind == "cgroup2":
            found.setdefault("", (below, where))
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            found.setdefault("name=systemd", (below, where))
    return found


def make(name):
    """Directories of a new group below our own, one in each hierarchy."""
    mounts, made = _mounts(), []
    for own in HIERARCHY.finditer(pathlib.Path("/proc/self/cgroup").read_text()):
        if own["controllers"] not in mounts:
            continue
        below, where = mounts[own["controllers"]]
        group = pathlib.Path(where) / os.path.relpath(own["path"], below) / name
        group.mkdir()
        made.append(group)
    return made


def remove(groups):
    """Removes groups that no process is in any more."""
    for group in groups:
        for directory, _, _ in os.walk(group, topdown=False):
            os.rmdir(directory)
