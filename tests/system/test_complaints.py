"""What a worker or a trial load says on its channel to whoever reads it as root. Handler code can say anything there."""
import os
import re

import pytest

import procfs
from harness import IS_SANITIZED, TEST_HANDLERS, config, listener, run

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
    # a sanitizer keeps what was freed
    assert IS_SANITIZED or procfs.memory_kib(daemon.pid) <= before + 1024
    assert daemon.connect("echo").ask("x") == "x"
    longest = max(len(line) for line in daemon.log.lines)
    assert longest < 2500, longest


FORGED = "a %1b[31mremark%1b]0;title%07%0d%0a/etc/handlerd/handlerd.conf: good: 9 listeners%9b2J%ff"
ESCAPED = r"a \x1b[31mremark\x1b]0;title\x07\r\n/etc/handlerd/handlerd.conf: good: 9 listeners\x9b2J\xff"


@pytest.mark.parametrize("what", ["warning", "failed"])
def test_nothing_a_handler_says_forges_a_line_or_drives_a_terminal(start, place, what):
    file = place / "lies.conf"
    lie = liar(what, text=FORGED)
    file.write_text(config(lie))
    result = run("-t", "-c", file)
    assert result.stderr.count(ESCAPED) == 1
    assert not any(line.startswith("/etc/handlerd") for line in result.stderr.splitlines())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.stderr)
    daemon = start(listener("echo"))
    assert daemon.reload(config(listener("echo"), lie)) == (what == "warning")
    assert daemon.log.find(re.escape(ESCAPED))
    assert not any(re.search(r"[\x00-\x1f\x7f-\x9f]", line) for line in daemon.log.lines)


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_a_description_that_a_handler_makes_up_drives_no_terminal(json):
    result = run("--describe", TEST_HANDLERS / "sys_complain.so", *json,
                 env={"LC_COMPLAIN": "description", "LC_TEXT": FORGED})
    assert result.returncode == 0
    assert "sys_complain" in result.stdout and r"a \x1b[31mremark\x1b]0;title\x07\r" in result.stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.stdout)


def test_what_stands_in_the_configuration_drives_no_terminal_either(place):
    file = place / "odd\x1b[31m.conf"
    file.write_text('listeners = ( { name = "a"; adress\x1b[2J = 1; } );\n')
    result = run("-t", "-c", file)
    assert result.returncode == 78
    assert r"odd\x1b[31m.conf" in result.stderr
    assert "\x1b" not in result.stderr
