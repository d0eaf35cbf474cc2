"""The Debian releases that the packages are tried on."""
import os
from typing import NamedTuple


class Suite(NamedTuple):
    name: str
    systemd: int  # version
    libraries: tuple  # that the packages depend on, beside those of every Debian


SUITES = {suite.name: suite for suite in (
    Suite("bookworm", 252, ("libconfig9", "libjansson4", "libseccomp2")),
    Suite("trixie", 257, ("libconfig11", "libjansson4", "libseccomp2")),
)}


def named(names):
    """The suites of these names."""
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        raise SystemExit(f"handlerd: no suite is called '{unknown[0]}'; there are {', '.join(SUITES)}")
    return [SUITES[name] for name in names]


def wanted():
    """Those that HANDLERD_SUITES names, else all."""
    return named(os.environ.get("HANDLERD_SUITES", "").split() or list(SUITES))
