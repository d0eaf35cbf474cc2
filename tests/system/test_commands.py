"""The commands that do not serve, and serving without a configuration file."""
import grp
import json
import os
import pwd
import re
import signal
import socket

import pytest

import harness
import procfs
from harness import BUILD, CRASHES, TEST_HANDLERS, listener, run

GOOD = harness.config(
    listener("echo", address=["127.0.0.1:0", "[::1]:0"], threading={"max_threads": 9}),
    listener("time", "daytime", "forking", options={"utc": True},
             forking={"connections_per_child": 3}, environment={"NAME": "a \"b\" \\ c"}),
    drain_timeout="2s", log={"connections": "all"})


@pytest.fixture
def file(place):
    def write(text, name="handlerd.conf"):
        path = place / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path
    return write


def test_version_names_the_program_and_the_abi():
    result = run("--version")
    assert result.returncode == 0
    assert re.fullmatch(r"handlerd \d+\.\d+\.\d+, handler ABI 1\.0\n", result.stdout)


def test_help_tells_every_option():
    result = run("--help")
    assert result.returncode == 0
    for word in ("-c FILE", "-t", "-T", "--listen", "--handler", "--concurrency", "--option",
                 "--once", "--user", "--group", "--describe", "--json", "--version", "SIGHUP"):
        assert word in result.stdout


@pytest.mark.parametrize("arguments", [
    ["--bogus"], ["extra"], ["-c"], ["--once"], ["--json"], ["--handler", "echo"],
    ["--listen", "tcp:127.0.0.1:0"], ["--user", "nobody"], ["--option", "a=1"],
    ["--describe", "echo", "--listen", "tcp:127.0.0.1:0", "--handler", "echo"],
    ["-c", "x", "--listen", "tcp:127.0.0.1:0", "--handler", "echo"],
    ["-t", "--listen", "tcp:127.0.0.1:0"],
])
def test_a_wrong_command_line_ends_with_2_and_says_why(arguments):
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "handlerd --help" in result.stderr


def test_t_accepts_a_good_file_and_binds_nothing(file):
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        text = harness.config(listener("echo", address=f"127.0.0.1:{port}"))
        result = run("-t", "-c", file(text))
    assert result.returncode == 0, result.stderr
    assert "good: 1 listener" in result.stderr
    assert result.stdout == ""


def test_t_tells_all_errors_of_keys_in_one_run(file):
    text = """
listeners = (
  { name = "a"; adress = "127.0.0.1:0"; address = "127.0.0.1:0"; handler = "echo"; },
  { name = "b"; address = "127.0.0.1:70000"; handler = "echo"; },
  { name = "c"; address = "localhost:1"; handler = "echo"; },
  { name = "d"; address = "127.0.0.1:0"; handler = "echo"; backlog = -1; },
  { name = "a"; address = "127.0.0.1:0"; handler = "echo"; concurrency = "treading"; }
);
"""
    path = file(text)
    result = run("-t", "-c", path)
    assert result.returncode == 78
    for line, words in [(3, "did you mean 'address'"), (4, "70000"), (5, "localhost"),
                        (6, "backlog"), (7, "taken by another"), (7, "treading")]:
        assert re.search(rf"^{re.escape(str(path))}:{line}: .*{re.escape(words)}", result.stderr,
                         re.M), f"{line}: {words}\n{result.stderr}"


@pytest.mark.parametrize("entry, words", [
    ('handler = "ehco";', "did you mean 'echo'"),
    ('handler = "daytime"; options = { utcc = true; };', "did you mean 'utc'")])
def test_t_tells_of_handlers_and_options_beside_errors_elsewhere(file, entry, words):
    path = file('listeners = (\n { name = "a"; addres = "127.0.0.1:0"; handler = "echo"; },\n'
                ' { name = "b"; address = "127.0.0.1:0"; ' + entry + ' }\n);\n')
    result = run("-t", "-c", path)
    assert result.returncode == 78
    assert f"{path}:2: " in result.stderr
    assert re.search(rf"^{re.escape(str(path))}:3: .*{words}", result.stderr, re.M), result.stderr


def test_t_shows_the_offending_line(file):
    result = run("-t", "-c", file(harness.config(listener("echo"), log={"levle": "info"})))
    assert result.returncode == 78
    assert re.search(r"1 \| .*levle", result.stderr), result.stderr


def test_t_tells_every_handler_that_cannot_be_loaded(file, place):
    (place / "text.so").write_text("no ELF file\n")
    (place / "text.so").chmod(0o644)
    text = harness.config(
        listener("a", str(place / "text.so")), listener("b", str(place / "missing.so")),
        listener("c", "sys_fault", options={"att": "x"}),
        listener("d", "daytime", options={"utc": 5}))
    path = file(text)
    result = run("-t", "-c", path)
    assert result.returncode == 78
    assert re.search(rf"^{path}:2: handler .*text\.so", result.stderr, re.M), result.stderr
    assert re.search(rf"^{path}:3: there is no handler file '.*missing\.so'", result.stderr, re.M)
    assert re.search(rf"^{path}:4: .*no option 'att'; did you mean 'at'", result.stderr, re.M)
    assert re.search(rf"^{path}:5: option 'utc' .*must be true or false", result.stderr, re.M)


def test_t_refuses_what_a_handler_does_not_bear(file):
    """good is thread-safe and not made for fibers, not_thread_safe is neither."""
    broken = harness.TEST_HANDLERS / "broken"
    result = run("-t", "-c", file(harness.config(
        listener("a", broken / "good.so", mode="fibers"),
        listener("b", broken / "not_thread_safe.so", mode="fibers"),
        listener("c", broken / "fibers_only.so", mode="fibers"),
        listener("d", broken / "fibers_only.so", mode="fibers", fibers={"threads": 2}))))
    assert result.returncode == 78
    assert re.search(r"good.so' .*is not made for fibers \(HD_FIBERS\), but listener 'a' says "
                     r'fibers; use concurrency = "threading"', result.stderr), result.stderr
    assert re.search(r"not_thread_safe.so' .*listener 'b' says fibers; use concurrency = "
                     r'"forking" or "serial"', result.stderr), result.stderr
    assert "'c'" not in result.stderr
    assert re.search(r"fibers_only.so' .*is not thread-safe .*listener 'd' says fibers.threads = 2"
                     r"; set it to 1", result.stderr), result.stderr


def test_t_survives_a_missing_file(place):
    result = run("-t", "-c", place / "none.conf")
    assert result.returncode == 78
    assert "none.conf" in result.stderr and "no such file" in result.stderr


def test_T_prints_a_file_that_says_the_same(file):
    first = run("-T", "-c", file(GOOD))
    assert first.returncode == 0, first.stderr
    assert 'max_connections = 1024' in first.stdout
    second = run("-T", "-c", file(first.stdout, "second/handlerd.conf"))
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout


def test_T_output_serves(file, start):
    result = run("-T", "-c", file(GOOD))
    daemon = start(text=result.stdout)
    assert daemon.connect("echo", 0).send(b"x").exactly(1) == b"x"
    assert daemon.connect("echo", 1).send(b"y").exactly(1) == b"y"
    assert daemon.connect("time").rest().endswith(b"\r\n")


def test_T_of_a_bad_file_prints_no_configuration(file):
    result = run("-T", "-c", file("listeners = ( { name = 5; } );"))
    assert result.returncode == 78
    assert result.stdout == ""


def test_describe_tells_name_version_and_options_in_text():
    result = run("--describe", TEST_HANDLERS / "sys_server.so")
    assert result.returncode == 0, result.stderr
    assert re.search(r"^name +sys_server$", result.stdout, re.M)
    assert re.search(r"^version +1$", result.stdout, re.M)
    assert re.search(r"^abi +1\.0$", result.stdout, re.M)
    assert re.search(r"^modes +serial forking threading fibers$", result.stdout, re.M)
    assert re.search(r"count +int +default 5, -10 to 100", result.stdout)
    assert re.search(r"pause +duration +default 1500ms", result.stdout)
    assert re.search(r"most +size +default 64KiB, 1B to 1TiB", result.stdout)


def test_describe_json_is_json_with_every_option():
    result = run("--describe", TEST_HANDLERS / "sys_server.so", "--json")
    described = json.loads(result.stdout)
    assert described["name"] == "sys_server"
    assert described["abi"] == "1.0"
    assert described["flags"] == ["HD_STREAM", "HD_THREADS", "HD_FIBERS"]
    options = {row["name"]: row for row in described["options"]}
    assert [row["type"] for row in described["options"]] == [
        "int", "bool", "string", "string", "path", "size", "duration", "list"]
    assert options["count"] == {"name": "count", "type": "int", "required": False, "default": 5,
                                "min": -10, "max": 100, "help": "an int"}
    assert options["greeting"]["default"] == 'hello "you"'
    assert options["unset"]["default"] is None
    assert options["items"]["default"] == []


def test_describe_finds_a_handler_by_its_name():
    described = json.loads(run("--describe", "daytime", "--json").stdout)
    assert described["file"] == os.path.realpath(BUILD / "lib/handlerd/daytime.so") or \
        described["file"].endswith("/handlerd/daytime.so")
    assert described["options"][0]["name"] == "utc"


def test_describe_of_what_is_no_handler_ends_with_78():
    result = run("--describe", "nosuch")
    assert result.returncode == 78
    assert "there is no handler 'nosuch'" in result.stderr


def test_listen_serves_several_addresses_at_once(start, who, mode):
    daemon = start(arguments=["--listen", "tcp:127.0.0.1:0", "--listen", "tcp:[::1]:0",
                              "--handler", "echo", "--concurrency", mode], user=who)
    for index in (0, 1):
        with daemon.connect(index=index) as client:
            assert client.send(b"hello").exactly(5) == b"hello"


def test_listen_takes_options(start):
    daemon = start(arguments=["--listen", "tcp:127.0.0.1:0", "--handler",
                              str(TEST_HANDLERS / "sys_server.so"), "--option", "count=7",
                              "--option", "loud=false", "--option", "greeting=good day",
                              "--option", "most=2KiB", "--option", "pause=none"])
    answer = daemon.connect().ask("options")
    assert answer == "7|0|good day|NULL|/dev/null|2048|-1|0|-"


@pytest.mark.root
def test_listen_takes_user_and_group(start):
    daemon = start(arguments=["--listen", "tcp:127.0.0.1:0", "--handler", "echo", "--user",
                              "daemon", "--group", "nogroup"])
    status = procfs.status(daemon.worker())
    assert status["Uid"].split() == [str(pwd.getpwnam("daemon").pw_uid)] * 4
    assert status["Gid"].split() == [str(grp.getgrnam("nogroup").gr_gid)] * 4


@pytest.mark.parametrize("option, words", [
    ("count=101", "must be between -10 and 100, not 101"), ("cuont=1", "did you mean 'count'"),
    ("count", "NAME=VALUE"), ("pause=5", "duration"), ("file=relative", "absolute path")])
def test_listen_refuses_a_wrong_option_with_78(option, words):
    result = run("--listen", "tcp:127.0.0.1:0", "--handler", TEST_HANDLERS / "sys_server.so",
                 "--option", option)
    assert result.returncode == 78
    assert words in result.stderr


def test_listen_has_nothing_to_reload(start):
    daemon = start(arguments=["--listen", "tcp:127.0.0.1:0", "--handler", "echo"])
    daemon.kill(signal.SIGHUP)
    daemon.log.wait("nothing to reload: there is no configuration file")
    assert daemon.connect().send(b"x").exactly(1) == b"x"


def test_once_serves_one_connection_and_ends(start, mode):
    daemon = start(arguments=["--listen", "tcp:127.0.0.1:0", "--handler", "echo", "--once",
                              "--concurrency", mode])
    with daemon.connect() as client:
        assert client.send(b"only").exactly(4) == b"only"
        assert client.half_close().rest() == b""
    assert daemon.wait_exit() == 0
    with pytest.raises(ConnectionRefusedError):
        daemon.connect()


def test_once_does_not_serve_a_second_client(start, mode):
    daemon = start(arguments=["--listen", "tcp:127.0.0.1:0", "--handler", "echo", "--once",
                              "--concurrency", mode])
    first = daemon.connect()
    assert first.send(b"1").exactly(1) == b"1"
    second = daemon.connect().send(b"2")
    assert second.is_silent(0.2)
    first.close()
    assert second.is_at_end()
    assert daemon.wait_exit() == 0


@pytest.mark.parametrize("fault", ["segv", "exit"])
def test_once_tells_of_a_crash(start, mode, fault):
    daemon = start(arguments=["--listen", "tcp:127.0.0.1:0", "--handler",
                              str(TEST_HANDLERS / "sys_fault.so"), "--once", "--concurrency",
                              mode], env=CRASHES)
    assert daemon.connect().send(fault + "\n").is_at_end()
    daemon.wait_exit()
    assert daemon.log.wait_over()
    told = daemon.log.find("signal 11" if fault == "segv" else r"status 3")
    assert told and "sys_fault" in told[0].string, daemon.log.text()
    # one connection of a forking listener is lost, or the whole run failed
    daemon.expected_exit = 0 if mode == "forking" else 1
