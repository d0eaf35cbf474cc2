"""What is installed: a copy, which is replaced while it runs; or among other mounts."""
import shutil
import signal

from harness import BUILD

# programs that are none to change to; tests/upgrade
BROKEN = BUILD / "tests" / "upgrade"
ENDED = r"notice: upgraded from|error: not upgraded"


def mounted(place, prepare, wrapper=""):
    """The daemon as a program that first mounts what these lines of shell say, for itself alone."""
    script, outer = place / "mounts", place / "outer"
    script.write_text(f"#!/bin/sh\nset -e\n{prepare}\n"
                      f"exec {wrapper} {BUILD}/sbin/handlerd \"$@\"\n")
    outer.write_text(f"#!/bin/sh\nexec unshare -m {script} \"$@\"\n")
    for path in (script, outer):
        path.chmod(0o755)
    return outer


class Installation:
    """Replaced as packages are: by rename."""

    def __init__(self, directory):
        self.directory = directory
        self.program = directory / "sbin" / "handlerd"
        for name in ("sbin", "libexec", "lib"):
            shutil.copytree(BUILD / name, directory / name)

    def replace(self, source=BUILD / "sbin" / "handlerd", mode=0o755):
        new = self.program.with_name("handlerd.new")
        shutil.copyfile(source, new)
        new.chmod(mode)
        new.rename(self.program)


def upgrade(daemon):
    """Whether the daemon was replaced."""
    mark = daemon.log.mark()
    daemon.kill(signal.SIGUSR2)
    return daemon.log.wait(ENDED, mark, timeout=20)[0].startswith("notice")


def workers(state):
    """Of each listener of a status."""
    return {name: one.workers for name, one in state.items()}
