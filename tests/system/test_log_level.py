"""The level of the log is changed while listeners serve."""
import subprocess

from harness import BUILD, listener
from holding import pause, resume


def set_level(daemon, level):
    subprocess.run([str(BUILD / "bin" / "handlerctl"), "--control", str(daemon.control),
                    "log-level", level], check=True, stdout=subprocess.DEVNULL)
    # orders are obeyed one after the other: the worker has heard of both
    pause(daemon)
    resume(daemon)


def exchange(daemon, text):
    with daemon.connect() as client:
        assert client.send(text).half_close().rest() == text


def test_every_process_of_a_listener_hears_of_a_new_level(start, mode):
    daemon = start(listener(mode=mode), top={"log": {"connections": "all"}})
    set_level(daemon, "notice")
    exchange(daemon, b"unheard of")
    set_level(daemon, "info")
    exchange(daemon, b"heard")
    daemon.log.wait("connection ended: ")
    ended = [line for line in daemon.log.lines if "connection ended: " in line]
    assert len(ended) == 1 and "5 bytes in" in ended[0]
