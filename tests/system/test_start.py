"""Starting: all or nothing, every error told, the exit status."""
import os
import re
import signal
import socket

import pytest

import harness
from harness import listener

CONFIGURATION = 78


def errors(daemon):
    assert daemon.log.wait_over()
    return [match.string.partition(" error: ")[2] for match in daemon.log.find(" error: ")]


def fail(start, *listeners, status=CONFIGURATION, **keys):
    """A start that must fail; what it says."""
    daemon = start(*listeners, is_awaited=False, env=harness.CRASHES, **keys)
    daemon.expected_exit = status
    assert daemon.wait_exit() == status, daemon.log.text()
    told = errors(daemon)
    assert told[-1] == f"not started: {len(told) - 1} error" + ("s" if len(told) > 2 else "")
    assert not daemon.log.find("' listening on tcp |notice: ready in ")
    return told[:-1]


def test_every_error_of_a_broken_file_is_told_on_its_own_line(start, place):
    text = 'listeners = (\n { name = "a"; handler = "echo"; },\n' \
           ' { name = "b"; address = "127.0.0.1:x"; handler = "nosuch"; },\n' \
           ' { nmae = "c"; address = "127.0.0.1:0"; handler = "echo"; }\n);\n'
    told = fail(start, text=text)
    path = re.escape(str(place / "handlerd.conf"))
    for pattern in (rf"^{path}:2: .*address", rf"^{path}:3: address '127\.0\.0\.1:x'",
                    rf"^{path}:4: .*'nmae'.*did you mean 'name'",
                    rf"^{path}:3: there is no handler 'nosuch'"):
        assert any(re.search(pattern, line) for line in told), (pattern, told)


def test_a_syntax_error_is_told_with_its_line(start):
    told = fail(start, text='drain_timeout = "1s";\nlisteners = ( { name = "a" address } );\n')
    assert len(told) == 1 and "handlerd.conf:2: " in told[0]


def test_a_file_that_is_not_there_is_told(start, place):
    told = fail(start, arguments=["-c", str(place / "none.conf")])
    assert len(told) == 1 and "none.conf" in told[0] and "no such file" in told[0]


@pytest.mark.parametrize("make, words", [
    (lambda path: os.mkfifo(path), "regular file"),
    (lambda path: path.mkdir(), "regular file|directory"),
    (lambda path: path.write_bytes(b""), "listeners"),
    (lambda path: path.write_bytes(b"\xef\xbb\xbflisteners = ();\n"), ":1: "),
    (lambda path: path.write_bytes(b"listeners = ();\n" + b"#" * 300000), "256 ?KiB"),
    (lambda path: path.write_bytes(b"listeners = (\0);\n"), ":1: "),
    (lambda path: path.symlink_to(path), "symbolic links"),
], ids=["fifo", "directory", "empty", "bom", "large", "nul", "loop"])
@pytest.mark.parametrize("name", ["handlerd.conf", "listeners.d/a.conf"])
def test_a_file_that_is_none_is_refused_without_waiting(start, place, name, make, words):
    (place / "listeners.d").mkdir()
    if name != "handlerd.conf":
        (place / "handlerd.conf").write_text(harness.config(listener("echo")))
    make(place / name)
    told = fail(start, arguments=["-c", str(place / "handlerd.conf")])
    assert len(told) == 1 and name in told[0] and re.search(words, told[0]), told


def test_all_handlers_that_are_refused_are_told(start, place):
    (place / "text.so").write_text("no ELF file\n")
    told = fail(start, listener("a", str(place / "text.so")), listener("echo"),
                listener("c", "sys_server", options={"count": 1000, "files": "x"}))
    assert any("text.so" in line for line in told)
    assert any("between -10 and 100, not 1000" in line for line in told)
    assert any("no option 'files'; did you mean 'file'" in line for line in told)


@pytest.mark.parametrize("what, status, words", [
    ("fail", 1, r"server_start of handler '.*sys_fault.*' failed: Input/output error"),
    ("segv", 1, r"'one'.*sys_fault.*signal 11 \(Segmentation fault\)"),
    ("abort", 1, r"'one'.*sys_fault.*signal 6"),
    ("exit", 1, r"'one'.*sys_fault.*status 3"),
    ("block", 1, r"'one'.*sys_fault.*was not ready within start_timeout"),
    ("spin", 1, r"'one'.*sys_fault.*was not ready within start_timeout"),
])
def test_a_server_start_that_does_not_come_back_well_fails_the_start(start, mode, what, status,
                                                                     words):
    told = fail(start, listener("one", "sys_fault", mode,
                                options={"at": "server_start", "what": what}),
                listener("echo"), status=status, top={"start_timeout": "300ms"})
    assert any(re.search(words, line) for line in told), told


def test_forking_refuses_a_server_start_that_leaves_a_thread(start):
    told = fail(start, listener("one", "sys_fault", "forking",
                                options={"at": "server_start", "what": "thread"}), status=1)
    assert any("left a thread running" in line for line in told)


def test_threading_allows_a_server_start_that_leaves_a_thread(start):
    daemon = start(listener("one", "sys_fault", options={"at": "server_start", "what": "thread"}))
    assert daemon.connect().ask("ping") == "pong"


def test_an_address_in_use_ends_with_1_and_names_listener_and_address(start):
    with socket.create_server(("127.0.0.1", 0)) as held:
        address = "127.0.0.1:%d" % held.getsockname()[1]
        told = fail(start, listener("free", "echo"),
                    listener("taken", "echo", address=address), status=1)
    assert len(told) == 1
    assert "listener 'taken'" in told[0] and address in told[0]
    assert "Address already in use" in told[0] or "another program listens" in told[0]


def test_every_address_that_cannot_be_bound_is_told(start):
    with socket.create_server(("127.0.0.1", 0)) as held:
        address = "127.0.0.1:%d" % held.getsockname()[1]
        told = fail(start, listener("a", "echo", address=address),
                    listener("b", "echo", address="192.0.2.1:0"), status=1)
    assert len(told) == 2
    assert "'a'" in told[0] and "'b'" in told[1] and "does not have that address" in told[1]


@pytest.mark.root
def test_a_low_port_is_refused_to_an_ordinary_user(start):
    low = int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read())
    if low <= 1:
        pytest.skip("this system has no privileged ports")
    told = fail(start, listener("low", "echo", address="127.0.0.1:1"), status=1, user="nobody")
    assert "below 1024 need root" in told[0]


@pytest.mark.root
def test_an_ordinary_user_may_not_name_another(start):
    told = fail(start, listener("echo"), top={"user": "root"}, user="nobody")
    assert "only root can run workers as another user" in told[0]


@pytest.mark.root
@pytest.mark.parametrize("key, words", [("user", "there is no user 'nosuchname'"),
                                        ("group", "there is no group 'nosuchname'")])
def test_a_name_that_does_not_exist_is_told_with_its_line(start, key, words):
    told = fail(start, listener("echo"), top={key: "nosuchname"})
    assert words in told[0] and "handlerd.conf:1:" in told[0]


def test_no_listeners_is_a_good_start_that_waits_for_a_reload(start):
    daemon = start(text="listeners = ();\n")
    assert daemon.status() == {}
    assert daemon.reload(harness.config(listener("echo")))
    assert daemon.connect("echo").send(b"x").exactly(1) == b"x"


def test_a_listener_that_is_not_enabled_is_checked_but_not_served(start):
    daemon = start(listener("echo"), listener("off", "echo", enabled=False))
    assert list(daemon.status()) == ["echo"]
    assert not daemon.addresses("off")


def test_addresses_are_told_in_the_order_of_the_file(start):
    daemon = start(listener("b", "echo", address=["127.0.0.1:0", "[::1]:0", "*:0"]),
                   listener("a", "echo"))
    told = [(row["name"], row["address"]) for row in daemon.log.find(harness.LISTENING.pattern)]
    assert [name for name, _ in told] == ["b", "b", "b", "a"]
    patterns = [r"127\.0\.0\.1:\d+", r"\[::1\]:\d+", r"\*:\d+", r"127\.0\.0\.1:\d+"]
    for (_, address), pattern in zip(told, patterns):
        assert re.fullmatch(pattern, address) and not address.endswith(":0")


def test_the_names_of_listeners_d_are_served_too(start, place):
    (place / "listeners.d").mkdir()
    for name in ("20-b.conf", "10-a.conf"):
        (place / "listeners.d" / name).write_text(harness.config(listener(name[3:4], "echo")))
    (place / "listeners.d" / "30-ignored.txt").write_text("nonsense")
    daemon = start(listener("z", "echo"))
    assert list(daemon.status()) == ["z", "a", "b"]
    assert daemon.connect("b").send(b"x").exactly(1) == b"x"


def test_a_stop_in_the_middle_of_the_start_leaves_nothing(start):
    daemon = start(listener("one", "sys_fault", "forking",
                            options={"at": "server_start", "what": "block"}), is_awaited=False)
    daemon.log.wait("fault: server_start")
    assert daemon.stop(signal.SIGTERM) == 0
    assert not daemon.log.find("ready in")
