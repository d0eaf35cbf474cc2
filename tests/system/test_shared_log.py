"""What all processes of the daemon write to, and a handler that wants the others to be silent."""
import os
import re
import signal
import socket
import termios
import time

import pytest

import procfs
from harness import WAIT_S, Log, listener
from journal import Journal
from test_seccomp import ask, tries

# in which nothing keeps a handler from shutting down what it has
EVIL = {"seccomp": "off"}
ALL = {"log": {"target": "journal", "connections": "all"}}
STREAM = {"log": {"target": "stderr", "connections": "all"}}

pytestmark = pytest.mark.root


@pytest.fixture
def journal(place):
    one = Journal(place / "journal")
    yield one
    one.close()


def begin(start, journal, mode, sandbox, top, env=None, before=lambda: None):
    def prepare():
        journal.enter()
        before()

    return start(tries(mode, sandbox), listener("echo"), top=top, is_awaited=False, env=env,
                 before_exec=prepare)


def served(daemon, journal, what="messages"):
    """Somebody else's client, and the record of it."""
    mark = journal.mark(what)
    with journal.connect(daemon, "echo", what) as client:
        assert client.ask("x") == "x"
    journal.wait("connection ended: closed by the client", mark, what)


def reloaded(daemon, journal, what="messages"):
    mark = journal.mark(what)
    daemon.kill(signal.SIGHUP)
    journal.wait("reloaded in ", mark, what)


def sockets(pid, *numbers):
    return {procfs.fds(pid).get(number) for number in numbers}


def workers(daemon):
    return procfs.children(daemon.pid)


def kill_workers(daemon, journal, what="messages"):
    """The next ones are of this supervisor."""
    daemon.checks_balance = False
    for pid in workers(daemon):
        mark = journal.mark(what)
        os.kill(pid, signal.SIGKILL)
        journal.wait("was killed by signal 9 .* it is replaced", mark, what)


def test_a_worker_cannot_close_the_journal_for_others(start, journal, mode):
    daemon = begin(start, journal, mode, EVIL, ALL)
    journal.wait("ready in")
    served(daemon, journal)
    ask(journal.connect(daemon, "t"), "shut 7")
    served(daemon, journal)
    reloaded(daemon, journal)
    # what it did goes with it
    kill_workers(daemon, journal)
    served(daemon, journal)
    mark = journal.mark()
    ask(journal.connect(daemon, "t"), "memfd")
    daemon.close_clients()
    journal.wait("^'t' .*connection ended", mark)


def test_after_an_upgrade_it_is_the_same(start, journal, installed):
    daemon = begin(start, journal, "threading", EVIL, ALL)
    journal.wait("ready in")
    daemon.kill(signal.SIGUSR2)
    journal.wait("upgraded from")
    kill_workers(daemon, journal)
    ask(journal.connect(daemon, "t"), "shut 7")
    served(daemon, journal)
    reloaded(daemon, journal)
    assert installed


def test_a_worker_cannot_send_the_records_of_others_elsewhere(start, journal, mode, place):
    elsewhere = Journal(place / "elsewhere")
    try:
        daemon = begin(start, journal, mode, {"seccomp": "standard"}, ALL)
        journal.wait("ready in")
        client = journal.connect(daemon, "t")
        assert ask(client, f"divert 7 {elsewhere.directory}/socket")[
            f"divert 7 {elsewhere.directory}/socket"] == "0"
        served(daemon, journal)
        reloaded(daemon, journal)
        assert not [text for text in elsewhere.messages() if "'echo'" in text or "reloaded" in text]
    finally:
        elsewhere.close()


@pytest.mark.parametrize("top, what", [(ALL, "messages"), (STREAM, "lines")],
                         ids=["journal", "stderr"])
def test_a_worker_cannot_close_the_stream_to_the_journal_for_others(start, journal, mode, top, what):
    """As a unit of systemd has it, for standard output and standard error."""
    stream, variable = journal.stream()

    def take_stream():
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)

    with stream:
        daemon = begin(start, journal, mode, EVIL, top, variable, take_stream)
        journal.wait("ready in", what=what)
    served(daemon, journal, what)
    client = journal.connect(daemon, "t", what)
    assert ask(client, "complain here I am") == {"complain here I am": "0"}
    journal.wait("^here I am$", what="lines")
    ask(client, "shut 1", "shut 2", "shut 7")
    served(daemon, journal, what)
    reloaded(daemon, journal, what)
    # of what the supervisor has, workers have nothing
    own = sockets(daemon.pid, 1, 2)
    for pid in workers(daemon):
        assert not own & set(procfs.fds(pid).values())
    # as systemd begins one, but for the unit, which is known by the process
    first, *others = journal.headers
    assert len(others) >= 2 and all(other == first[:1] + [""] + first[2:] for other in others)
    daemon.close_clients()
    daemon.stop()
    journal.wait("stopped", what=what)


class Terminal(Log):
    """What appears on a pseudo terminal."""

    def _take(self):
        try:
            super()._take()
        except OSError:  # nobody has it open any more
            self.is_over = True
            self._changed.notify_all()

    def wait_over(self, timeout=None):
        """The test has it open, too: what there is, is all when nobody else is left."""
        self.mark()
        return True


@pytest.mark.parametrize("seccomp, refused", [("standard", ["shut 2"]),
                                              ("strict", ["shut 2", "shut 1", "shut 7"])])
def test_a_socket_that_is_nobodys_journal_is_not_shut_down(start, mode, seccomp, refused):
    """As of a shell without a terminal: there is nothing to connect to, so all have the same."""
    ours, theirs = socket.socketpair()
    daemon = start(tries(mode, {"seccomp": seccomp}), listener("echo"), is_awaited=False,
                   before_exec=lambda: (os.dup2(theirs.fileno(), 1), os.dup2(theirs.fileno(), 2)))
    theirs.close()
    daemon.log.wait_over()
    daemon.log.close()
    daemon.log = Log(ours)
    daemon.wait_ready()
    assert ask(daemon.connect("t"), *refused) == dict.fromkeys(refused, "EPERM")
    daemon.log.wait(r"was refused shutdown\(0x2\) by its sandbox")
    with daemon.connect("echo") as client:
        assert client.ask("x") == "x"
    assert daemon.reload()


@pytest.fixture
def terminal():
    ours, theirs = os.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    yield ours, theirs
    os.close(theirs)


def on_terminal(start, terminal, mode, sandbox, who):
    ours, theirs = terminal
    daemon = start(tries(mode, sandbox), listener("echo"), is_awaited=False, user=who,
                   top={"drain_timeout": "1s"}, before_exec=lambda: os.dup2(theirs, 2))
    daemon.log.wait_over()
    daemon.log.close()
    daemon.log = Terminal(os.fdopen(ours, "rb", 0))
    return daemon.wait_ready()


@pytest.mark.parametrize("seccomp", ["standard", "strict"])
def test_a_sandbox_leaves_the_terminal_as_it_is(start, terminal, mode, seccomp):
    daemon = on_terminal(start, terminal, mode, {"seccomp": seccomp}, "root")
    assert ask(daemon.connect("t"), "stop_terminal") == {"stop_terminal": "EPERM"}
    daemon.log.wait(r"was refused ioctl\(\.\.\., 0x540a\) by its sandbox")


def test_nobody_waits_for_a_terminal_that_is_stopped(start, terminal, mode, who):
    daemon = on_terminal(start, terminal, mode, {"seccomp": "off"}, who)
    echo = daemon.worker("echo")
    assert ask(daemon.connect("t"), "stop_terminal") == {"stop_terminal": "0"}
    mark = daemon.log.mark()
    # of which the supervisor tells, and then does something about it
    daemon.checks_balance = False
    os.kill(echo, signal.SIGKILL)
    with daemon.connect("echo") as client:
        assert client.ask("x") == "x"
    daemon.close_clients()
    assert not daemon.log.find(".", mark)
    termios.tcflow(terminal[1], termios.TCOON)
    assert daemon.reload()
    daemon.log.wait(r"warning: [1-9]\d* log records were dropped", mark)
    for line in daemon.log.lines[mark:]:
        assert re.match(r"^\d{4}-\d\d-\d\dT[\d:.]+Z \w+: ", line), line
    assert ask(daemon.connect("t"), "stop_terminal") == {"stop_terminal": "0"}
    assert daemon.stop(timeout=5) == 0
    termios.tcflow(terminal[1], termios.TCOON)


class File(Log):
    """What is written to a file, which no end of file is the end of."""

    def __init__(self, path):
        self.path = path
        path.touch()
        reader, self.writer = os.pipe()
        super().__init__(os.fdopen(reader, "rb", 0))

    def _look_again(self):
        self.lines = self.path.read_text(errors="replace").splitlines()
        self._changed.notify_all()

    def _drain(self):
        self._look_again()

    def wait(self, pattern, since=0, timeout=None, count=1):
        deadline = time.monotonic() + WAIT_S
        while len(found := self.find(pattern, since)) < count:
            assert time.monotonic() < deadline, f"no line like {pattern!r}:\n" + self.text()
            with self._changed:
                self._changed.wait(0.01)
        return found[count - 1]

    def wait_over(self, timeout=None):
        self.mark()
        return True

    def close(self):
        os.close(self.writer)
        super().close()


@pytest.mark.parametrize("seccomp", ["standard", "strict"])
def test_a_log_file_is_not_cut_off_and_what_others_write_goes_to_its_end(start, place, mode, seccomp):
    log = File(place / "log")

    def open_file():
        os.dup2(os.open(log.path, os.O_WRONLY | os.O_APPEND), 2)

    daemon = start(tries(mode, {"seccomp": seccomp}), listener("echo"), is_awaited=False,
                   before_exec=open_file)
    daemon.log.wait_over()
    daemon.log.close()
    daemon.log = log
    daemon.wait_ready()
    client = daemon.connect("t")
    refused = ["empty 2"] if seccomp == "standard" else ["empty 2", "empty 1", "empty 7"]
    assert ask(client, *refused) == dict.fromkeys(refused, "EPERM")
    daemon.log.wait(r"was refused ftruncate\(0x2\) by its sandbox")
    assert ask(client, "overwrite 2", "overwrite 7") == {"overwrite 2": "0", "overwrite 7": "0"}
    echo = daemon.worker("echo")
    before = log.path.read_text()
    os.kill(echo, signal.SIGKILL)
    daemon.checks_balance = False
    daemon.log.wait("was killed by signal 9")
    assert daemon.reload()
    assert log.path.read_text().startswith(before)
    daemon.close_clients()
    daemon.stop()
