"""A worker under a debugger: its death is the debugger's to see first, and holds nobody up."""
import contextlib
import ctypes
import os
import signal

import pytest

from harness import config, listener

PTRACE_SEIZE = 0x4206
WALL = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


@contextlib.contextmanager
def held(pid):
    """A debugger that looks at nothing: whoever dies is a zombie until it does."""
    if _libc.ptrace(PTRACE_SEIZE, pid, None, None) < 0:
        pytest.skip(f"nothing can be traced here: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, WALL)


def echoes(daemon, name):
    with daemon.connect(name) as client:
        return client.ask("hello") == "hello"


def test_a_worker_that_dies_under_a_debugger_is_replaced(start):
    daemon = start(listener("one", "echo"), listener("two", "echo"))
    before = daemon.worker("one")
    with held(before):
        os.kill(before, signal.SIGKILL)
        daemon.log.wait("worker of 'one' .* it is replaced at once")
        assert echoes(daemon, "two")
        assert echoes(daemon, "one")
        assert daemon.worker("one") != before
    # what the debugger has let go is reaped with the next that ends
    assert daemon.reload(config(listener("one", "echo")))
    daemon.until(lambda _: not os.path.exists(f"/proc/{before}"), "no zombie")


def test_a_stop_at_once_does_not_wait_for_a_debugger(start):
    daemon = start(listener("one", "echo"))
    with held(daemon.worker("one")):
        daemon.stop(signal.SIGQUIT)
