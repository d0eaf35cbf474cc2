"""Pauses, drains and resumes listeners, as an operator does."""
import subprocess

from harness import BUILD, WAIT_S

HANDLERCTL = BUILD / "bin" / "handlerctl"


def order(daemon, verb, name):
    """Gives the order; the process that waits until it is done."""
    return subprocess.Popen([str(HANDLERCTL), "--control", str(daemon.control), verb, name],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def wait_done(process):
    _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, errors


def is_paused(daemon, name="echo"):
    mark = daemon.log.mark()
    daemon.status()
    return any(line.endswith(f"status: '{name}' is paused") for line in daemon.log.lines[mark:])


def wait_held(daemon, name="echo"):
    daemon.until(lambda _: is_paused(daemon, name), "no flow accepts any more")


def pause(daemon, name="echo"):
    """Waits until the worker has stopped accepting."""
    wait_done(order(daemon, "pause", name))
    wait_held(daemon, name)


def resume(daemon, name="echo"):
    wait_done(order(daemon, "resume", name))


def drain(daemon, name="echo"):
    """Waits until the old worker has gone."""
    wait_done(order(daemon, "drain", name))
    wait_held(daemon, name)
