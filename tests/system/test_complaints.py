"""What a worker or a trial load says on its channel to whoever reads it as root. Handler code can say anything there."""
import os
import re

import pytest

import procfs
from harness import config, listener, run

CONFINED = {"seccomp": "strict", "network": False, "filesystem": ["ro:/usr"]}
SECRET = "the first line of a file that root alone may read"


def liar(what, name="liar", **words):
    """A handler that says this while it is loaded."""
    return listener(name, "sys_complain", sandbox=CONFINED,
                    environment={"COMPLAIN": what, **{key.upper(): str(value) for key, value in words.items()}})


@pytest.fixture
def secret(place):
    path = place / "secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("what", ["warning", "failed"])
def test_no_file_is_read_because_a_handler_names_it(start, place, secret, what):
    """Not by -t, a reload, a dry run or a start."""
    file = place / "lies.conf"
    lie = liar(what, file=secret, line=1, text="a remark")
    file.write_text(config(lie))
    result = run("-t", "-c", file)
    assert result.returncode == (0 if what == "warning" else 78)
    assert "'liar' (handler '" in result.stderr and "a remark" in result.stderr
    assert SECRET not in result.stderr and str(secret) not in result.stderr
    daemon = start(listener("echo"))
    assert daemon.reload(config(listener("echo"), lie)) == (what == "warning")
    daemon.log.wait("'liar' (.*): a remark")
    if what == "failed":
        # of a worker that does not become ready, what it said is told
        other = start(liar(what, file=secret, line=1, text="a remark", exit=1), is_awaited=False)
        other.expected_exit = other.wait_exit()
        assert other.expected_exit == 78
        assert other.log.find("'liar' (.*): a remark")
        assert not other.log.find(SECRET) and not other.log.find(re.escape(str(secret)))
    assert not daemon.log.find(SECRET) and not daemon.log.find(re.escape(str(secret)))


@pytest.mark.parametrize("what", ["warning", "failed"])
def test_a_pipe_that_a_handler_names_holds_up_nobody(start, place, what):
    pipe = place / "pipe"
    os.mkfifo(pipe, 0o666)
    lie = liar(what, file=pipe, line=1, text="a remark")
    file = place / "lies.conf"
    file.write_text(config(lie))
    assert run("-t", "-c", file).returncode == (0 if what == "warning" else 78)
    daemon = start(listener("echo"))
    assert daemon.reload(config(listener("echo"), lie)) == (what == "warning")
    assert daemon.connect("echo").ask("x") == "x"


def test_a_place_is_believed_that_the_handler_was_told_of_and_no_other(place):
    file = place / "handlerd.conf"

    def told(line):
        text = (f'user = "nobody";\nlisteners = ({{ name = "liar"; address = "127.0.0.1:0";\n'
                f'  handler = "{listener("x", "sys_complain").split(chr(34))[7]}";\n'
                f'  environment = {{ COMPLAIN = "warning"; FILE = "{file}"; LINE = "{line}"; '
                f'TEXT = "a remark"; }}; }});\n')
        file.write_text(text)
        result = run("-t", "-c", file)
        assert result.returncode == 0
        return result.stderr

    assert f"{file}:3: a remark (warning)\n     3 |   handler = " in told(3)
    others = told(1)
    assert "a remark" in others and f"{file}:1" not in others and "user =" not in others


def test_so_much_of_what_a_handler_says_is_kept_and_no_more(start):
    """Thousands of the longest messages, in a trial load, in a worker, and in one that serves."""
    daemon = start(listener("echo"))
    assert daemon.reload() and daemon.reload()
    before = procfs.memory_kib(daemon.pid)
    # small enough for the worker's environment, and more than is kept of one
    lie = liar("failed", text="x" * 16000, repeat=3000)
    for _ in range(2):
        assert not daemon.reload(config(listener("echo"), lie))
    assert procfs.memory_kib(daemon.pid) <= before + 1024
    assert daemon.connect("echo").ask("x") == "x"
    longest = max(len(line) for line in daemon.log.lines)
    assert longest < 2500, longest
