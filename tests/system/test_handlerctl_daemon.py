"""handlerctl and the daemon: what one says the other understands."""
import json
import re
import subprocess

from conffile import SOURCE
from ctl import PROGRAM, complete, ctl, environment
from harness import IS_ROOT, WAIT_S, config, listener

# or there is a warning about an account that is not there
USER = {"user": "nobody"} if IS_ROOT else {}


def ask(daemon, *arguments, **keys):
    return ctl("--control", daemon.control, *arguments, **keys)


def done(result):
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.decode()


def test_status_shows_what_serves(start):
    daemon = start(listener("echo"), listener("other", handler="echo", mode="forking"))
    head, empty, titles, echo, other = done(ask(daemon, "status")).splitlines()
    assert re.fullmatch(rf"handlerd \d+\.\d+\.\d+: running, pid {daemon.pid}, generation 1, up .+",
                        head)
    assert empty == "" and titles.startswith("LISTENER  ADDRESS ")
    port = daemon.port("echo")
    assert re.match(rf"echo +tcp 127\.0\.0\.1:{port} +echo.* threading +serving +0/\d+ ", echo)
    assert re.match(r"other .* forking +serving ", other)
    status = json.loads(done(ask(daemon, "status", "--json", "other")))
    assert [each["name"] for each in status["listeners"]] == ["other"]
    assert f"pid: {status['listeners'][0]['pid']}\n" in done(ask(daemon, "status", "other"))


def test_a_listener_that_is_not_there_is_told(start):
    daemon = start(listener("echo"))
    for command in ("status", "connections"):
        result = ask(daemon, command, "ecko")
        assert (result.returncode, result.stdout) == (1, b"")
        assert result.stderr == "handlerctl: there is no listener 'ecko'; did you mean 'echo'?\n"


def test_connections_show_who_is_there(start):
    daemon = start(listener("echo"))
    with daemon.connect() as client:
        # a byte may come back before it is counted
        for data in (b"abc", b"d"):
            client.send(data)
            assert client.exactly(len(data)) == data
        titles, row = done(ask(daemon, "connections")).splitlines()
        assert titles.split() == "ID LISTENER GENERATION PEER AGE IN OUT STATE".split()
        address = ":".join(map(str, client.sock.getsockname()))
        assert re.fullmatch(rf" *\d+  echo +1  {re.escape(address)} +\S+ +4 B +[34] B  "
                            r"(handle|idle)", row)
    daemon.until(lambda state: state["echo"].open == 0, "the connection has ended")
    assert done(ask(daemon, "connections")) == "no connections\n"


def test_a_connection_is_ended_by_its_id(start):
    daemon = start(listener("echo"))
    with daemon.connect() as killed, daemon.connect() as kept:
        for client in (killed, kept):
            client.send(b"a")
            assert client.exactly(1) == b"a"
        address = ":".join(map(str, killed.sock.getsockname()))
        rows = json.loads(done(ask(daemon, "connections", "--json")))["connections"]
        number, = [row["id"] for row in rows if row["peer"] == address]
        assert done(ask(daemon, "kill", number)) == f"killed connection {number} of 'echo'\n"
        assert killed.is_at_end()
        kept.send(b"b")
        assert kept.exactly(1) == b"b"
    result = ask(daemon, "kill", 2 ** 62)
    assert result.returncode == 1 and str(2 ** 62) in result.stderr


def fields(value):
    """All names of fields in an answer, but the reasons of `dropped`, which are data."""
    if isinstance(value, list):
        return set().union(*map(fields, value))
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(fields(one) for name, one in value.items() if name != "dropped"))


def test_every_field_is_in_the_manual_page(start):
    daemon = start(listener("echo"), listener("other", handler="echo", protocol="udp"), top=USER)
    page = (SOURCE / "docs" / "man" / "handlerctl.8").read_text()
    part = page[page.index(".Sh JSON"):page.index(".Sh PROTOCOL")]
    documented = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"\.(?:It )?Li (.*)", part))))
    with daemon.connect("echo") as client:
        client.ask("a")
        daemon.write(config(listener("other", handler="echo", protocol="udp"), **USER))
        for command in (["reload"], ["status"], ["connections"], ["log-level"], ["wait", "ready"]):
            answer = json.loads(done(ask(daemon, *command, "--json")))
            assert not fields(answer) - documented
    daemon.write("")
    answer = json.loads(ask(daemon, "reload", "--json").stdout)
    assert {"error", "errors", "source"} <= fields(answer) <= documented


def test_a_reload_is_shown_and_waited_for(start):
    daemon = start(listener("echo"), top=USER)
    daemon.write(config(listener("echo"), listener("other", handler="echo"), **USER))
    assert done(ask(daemon, "reload", "--dry-run")) == \
        "'echo' unchanged\n'other' added\nnothing was done\n"
    assert re.fullmatch(r"'echo' unchanged\n'other' added\nreloaded: generation 2 in \S+\n",
                        done(ask(daemon, "reload")))
    assert "\nother " in done(ask(daemon, "status"))


def test_a_reload_that_is_refused_tells_where_and_changes_nothing(start):
    daemon = start(listener("echo"), top=USER)
    daemon.write(config(listener("echo"), listener("other", handler="ecko"), **USER))
    for arguments in (["--dry-run"], []):
        result = ask(daemon, "reload", *arguments)
        assert (result.returncode, result.stdout) == (1, b"")
        where = re.escape(str(daemon.file))
        assert re.search(rf"^{where}:\d+: there is no handler 'ecko'.*\n *\d+ \| .*ecko",
                         result.stderr, re.M)
    assert result.stderr.count("nothing was changed") == 1
    assert re.search(r"^the last reload failed at \S+Z: ", done(ask(daemon, "status")), re.M)
    assert json.loads(done(ask(daemon, "status", "--json")))["generation"] == 1


def test_stop_returns_when_the_last_connection_has_ended(start):
    daemon = start(listener("echo"))
    with daemon.connect() as client:
        client.send(b"a")
        assert client.exactly(1) == b"a"
        with subprocess.Popen([str(PROGRAM), "stop", "--control", str(daemon.control)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment()) as stop:
            daemon.log.wait("stop asked for by pid")
            assert stop.poll() is None
            client.close()
            assert stop.communicate(timeout=WAIT_S) == (b"stopped\n", b"")
    assert stop.returncode == 0 and daemon.wait_exit() == 0
    assert ask(daemon, "status").returncode == 3


def test_wait_begins_before_the_daemon_does(start, place):
    with subprocess.Popen([str(PROGRAM), "wait", "ready", "--control", str(place / "control.sock")],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment()) as wait:
        daemon = start(listener("echo"), is_awaited=False)
        assert wait.communicate(timeout=WAIT_S) == (b"ready\n", b"")
    assert json.loads(done(ask(daemon, "status", "--json")))["state"] == "running"
    daemon.wait_ready()


def test_the_log_level_is_shown_and_set(start):
    daemon = start(listener("echo"))
    before = done(ask(daemon, "log-level"))
    assert before != "error\n"
    assert done(ask(daemon, "log-level", "error")) == "error\n"
    assert done(ask(daemon, "log-level")) == "error\n"
    assert done(ask(daemon, "log-level", before.strip())) == before


def test_completion_knows_what_the_daemon_tells(start):
    daemon = start(listener("echo"), listener("other", handler="echo"))
    with daemon.connect("echo") as client:
        client.ask("a")
        assert complete("--control", daemon.control, "pause", "") == ["echo", "other"]
        number, = complete("--control", daemon.control, "kill", "")
        assert ask(daemon, "kill", number).returncode == 0
