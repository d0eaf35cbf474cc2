"""System calls of a running process that fail, with strace: it attaches, and goes when the cause is
to be gone."""
import re
import shutil
import signal
import subprocess

import pytest

import procfs
from harness import IS_SANITIZED, WAIT_S, Log

needs_strace = pytest.mark.skipif(shutil.which("strace") is None or IS_SANITIZED,
                                  reason="needs strace, which sanitizers do not bear")


class Failing:
    """While it lasts, these calls of these processes, and of what they fork, fail."""

    def __init__(self, pids, *inject):
        names = ",".join(one.partition(":")[0] for one in inject)
        arguments = [argument for one in inject for argument in ("-e", "inject=" + one)]
        for pid in pids:
            arguments += ["-p", str(pid)]
        self.process = subprocess.Popen(
            ["strace", "-f", "-o", "/dev/null", "-e", "trace=" + names, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.log = Log(self.process.stderr)
        try:
            for pid in pids:
                self._wait_attached(pid)
        except AssertionError:
            self.end()
            if re.search("Operation not permitted|Could not attach", self.log.text()):
                pytest.skip("strace cannot trace here")
            raise

    def _wait_attached(self, pid):
        """With all its threads; of one that has several it is told once."""
        self.log.wait(rf"Process {pid} attached")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Every process goes on by itself."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(WAIT_S)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.log.close()


def family(pid):
    """A process and what it has forked."""
    return [pid, *procfs.descendants(pid)]
