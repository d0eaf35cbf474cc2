"""Who may come in, and when: access.allow, deny, file and times."""
import contextlib
import datetime
import json
import os
import re
import signal
import socket
import threading

import pytest

import network
import procfs
from ctl import ctl
from harness import NOBODY, config, free_ports, listener, run
from installing import upgrade

NARROW = {"serial": {}, "threading": {}, "forking": {"forking": {"connections_per_child": 0}},
          "fibers": {}}


def echo(mode="threading", access=None, **keys):
    return listener("echo", mode=mode, access=access or {}, **(NARROW[mode] | keys))


def is_served(daemon, source=None, name=None):
    """Whether a connection from there is answered."""
    with contextlib.closing(daemon.connect(name, source=source and (source, 0))) as client:
        try:
            return client.send("x\n").exactly(2) == b"x\n"
        except ConnectionError:
            return False


def served(daemon, *numbers):
    """Which of 127.0.0.NUMBER are served."""
    return [number for number in numbers if is_served(daemon, f"127.0.0.{number}")]


def ended(daemon, name="echo"):
    """Numbers of clients by the reason of their end."""
    answer = json.loads(ctl("--control", daemon.control, "status", name, "--json").stdout)
    return answer["listeners"][0]["connections"]["ended"]


def as_user(uid, gid, groups, work):
    """What work() returns in a process of somebody else: a text."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            os.write(writer, str(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answers:
        text = answers.read()
    os.waitpid(child, 0)
    return text


def write(path, *lines):
    """A new version by rename, as it should be."""
    new = path.with_name(path.name + ".new")
    new.write_text("".join(line + "\n" for line in lines))
    new.chmod(0o644)
    new.rename(path)


def replace(daemon, path, *lines):
    """Writes it and waits until it holds."""
    mark = daemon.log.mark()
    write(path, *lines)
    daemon.log.wait(f"access file '{re.escape(str(path))}' was read", mark)


# Each protocol, each concurrency

def test_the_longest_prefix_decides(start, mode):
    daemon = start(echo(mode, {"allow": ["127.0.0.0/29", "127.0.0.9"],
                               "deny": ["127.0.0.4/31", "127.0.0.9"]}))
    assert served(daemon, 1, 3, 4, 5, 6, 8, 9) == [1, 3, 6]
    daemon.check_balance()
    assert ended(daemon)["access"] == 4
    assert daemon.listener().refused == 4
    assert daemon.log.find(r"127\.0\.0\.4:\d+: refused: access;")


def test_who_is_not_named_may_come_in_where_only_others_are_denied(start, mode):
    daemon = start(echo(mode, {"deny": "127.0.0.2"}))
    assert served(daemon, 1, 2, 3) == [1, 3]


def test_a_denied_client_does_not_reach_the_handler(start, place, mode):
    transcript = place / "transcript"
    transcript.write_text("")
    transcript.chmod(0o666)
    daemon = start(listener("d", "sys_order", mode, access={"deny": "all"},
                            options={"transcript": str(transcript)}))
    assert not is_served(daemon)
    daemon.check_balance()
    assert ended(daemon, "d") == {"access": 1}
    assert transcript.read_text() == ""


def test_datagrams_of_who_may_not_are_read_and_dropped(start, mode):
    daemon = start(echo(mode, {"deny": "127.0.0.2"}, protocol="udp"))
    with daemon.connect(source=("127.0.0.2", 0)) as denied, daemon.connect() as other:
        for _ in range(50):
            denied.send("x")
        assert other.ask("y") == b"y"
        daemon.until(lambda _: ended(daemon).get("access") == 50, "all of them are read")
        assert denied.everything() == []
    daemon.check_balance()


@contextlib.contextmanager
def standing_still(daemon):
    """Meanwhile what is sent to the worker waits in the socket."""
    pids = [daemon.worker(), *procfs.children(daemon.worker())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    daemon.until(lambda _: all(map(procfs.is_stopped, pids)), "it stands still")
    yield
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("many", [57, 64, 128, 200])
def test_a_datagram_behind_many_of_who_may_not_is_served(start, mode, many):
    """They are taken several at a time, and a flow looks at other things between many that it refuses."""
    daemon = start(listener("d", "sys_datagram", protocol="udp", mode=mode, access={"deny": "127.0.0.2"},
                            **NARROW[mode]))
    with daemon.connect(source=("127.0.0.2", 0)) as denied, daemon.connect() as other:
        with standing_still(daemon):
            other.send("add 9")
            for _ in range(many):
                denied.send("add 1")
            for number in range(1, 8):
                other.send(f"add {number}")
        assert sorted(len(other.receive()) for _ in range(8)) == [1, 2, 3, 4, 5, 6, 7, 9]
    daemon.check_balance()
    assert ended(daemon, "d") == {"done": 8, "access": many}


@pytest.mark.parametrize("many", [64, 128])
def test_a_datagram_behind_many_of_who_may_not_is_served_at_a_stop(start, many):
    """One flow serves all: with the first it has taken some of them when draining begins, and then the others."""
    daemon = start(listener("d", "sys_datagram", protocol="udp", mode="serial", access={"deny": "127.0.0.2"}))
    daemon.checks_balance = False
    with daemon.connect(source=("127.0.0.2", 0)) as denied, daemon.connect() as other:
        with standing_still(daemon):
            other.send("drained;add 9")
            for _ in range(many):
                denied.send("add 1")
            for number in range(1, 8):
                other.send(f"add {number}")
        daemon.log.wait(r"#\d+ .*begins")
        assert daemon.stop() == 0
        assert sorted(map(len, other.everything())) == [1, 2, 3, 4, 5, 6, 7, 9]


@pytest.mark.parametrize("mode", ["threading", "fibers"])
def test_no_session_begins_for_who_may_not(start, mode):
    daemon = start(echo(mode, {"deny": "127.0.0.2"}, protocol="udp",
                        udp={"session_timeout": "200ms"}))
    with daemon.connect(source=("127.0.0.2", 0)) as denied, daemon.connect() as other:
        denied.send("x")
        assert other.ask("y") == b"y"
        daemon.until(lambda _: ended(daemon).get("access") == 1, "it is dropped")
        assert denied.everything() == []


@pytest.mark.root
def test_unix_clients_by_user_and_group(start, mode):
    daemon = start(echo(mode, {"allow": ["uid:0", "user:nobody", "gid:77"],
                               "deny": ["gid:78", "uid:5"]}, protocol="unix"))

    def ask(uid, gid, *groups):
        return as_user(uid, gid, list(groups), lambda: is_served(daemon))

    assert is_served(daemon)
    assert ask(NOBODY, 1) == "True"
    assert ask(4, 77) == "True"
    assert ask(4, 1, 76, 77) == "True"
    assert ask(4, 77, 78) == "False"  # a denied group decides
    assert ask(4, 78, 77) == "False"
    assert ask(NOBODY, 78) == "True"  # the user goes before
    assert ask(5, 77) == "False"
    assert ask(4, 1, 76) == "False"
    # more groups than most have
    assert ask(4, 1, *range(1000, 1200), 77) == "True"
    assert ask(4, 1, *range(1000, 1200)) == "False"
    daemon.check_balance()
    assert ended(daemon)["access"] == 5


@pytest.mark.root
def test_senders_of_unix_datagrams_by_user_and_primary_group(start, mode):
    daemon = start(echo(mode, {"allow": ["uid:0", "gid:77"], "deny": ["uid:5"]},
                        protocol="unixgram"))

    def ask(uid, gid, *groups):
        def one():
            with daemon.connect() as client:
                client.send("x")
                return client.receive() if uid != 5 and gid == 77 else client.is_silent(0.2)
        return as_user(uid, gid, list(groups), one)

    with daemon.connect() as client:
        assert client.ask("y") == b"y"
    assert ask(4, 77) == "b'x'"
    assert ask(4, 1, 77) == "True"  # of a datagram, the kernel tells the primary group only
    assert ask(5, 77) == "True"
    daemon.until(lambda _: ended(daemon).get("access") == 2, "both are read and dropped")


def test_ipv6_and_mapped_addresses(start):
    daemon = start(echo(access={"allow": ["127.0.0.1", "::1"], "deny": "::ffff:127.0.0.2"},
                        address="*:0"))
    port = daemon.port()

    def ask(family, target, source):
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.bind((source, 0))
            client.connect((target, port))
            try:
                client.sendall(b"x")
                return client.recv(1)
            except ConnectionError:
                return b""

    assert ask(socket.AF_INET, "127.0.0.1", "127.0.0.1") == b"x"
    assert ask(socket.AF_INET, "127.0.0.1", "127.0.0.2") == b""
    assert ask(socket.AF_INET, "127.0.0.1", "127.0.0.3") == b""
    assert ask(socket.AF_INET6, "::1", "::1") == b"x"
    # an IPv4 client that speaks through an IPv6 socket
    assert ask(socket.AF_INET6, "::ffff:127.0.0.1", "::ffff:127.0.0.1") == b"x"
    assert ask(socket.AF_INET6, "::ffff:127.0.0.1", "::ffff:127.0.0.2") == b""


@pytest.mark.root
def test_addresses_that_are_not_of_the_loopback(start):
    with network.namespace():
        daemon = start(echo(access={"allow": "192.0.2.0/30", "deny": network.FARTHER},
                            address="*:0"))
        port = daemon.port()
        for source, expected in ((network.FAR, b"x"), (network.FARTHER, b""), ("127.0.0.1", b"")):
            with socket.socket() as client:
                client.settimeout(10)
                client.bind((source, 0))
                client.connect((network.FAR, port))
                try:
                    client.sendall(b"x")
                    assert client.recv(1) == expected
                except ConnectionError:
                    assert expected == b""
        assert daemon.stop() == 0


# The file

@pytest.fixture
def lists(place):
    path = place / "lists" / "access"
    path.parent.mkdir()
    write(path, "# nobody yet", "", "  deny\t127.0.0.2 # but this one", "deny 127.0.0.3\r")
    return path


def test_a_file_is_read_again_when_it_changes(start, mode, lists):
    daemon = start(echo(mode, {"file": str(lists)}))
    worker = daemon.worker()
    assert served(daemon, 1, 2, 3) == [1]
    replace(daemon, lists, "deny 127.0.0.1")
    assert served(daemon, 1, 2, 3) == [2, 3]
    replace(daemon, lists, "# nobody")
    assert served(daemon, 1, 2, 3) == [1, 2, 3]
    replace(daemon, lists, "allow 127.0.0.2")
    assert served(daemon, 1, 2, 3) == [2]
    assert daemon.worker() == worker
    assert daemon.addresses() == daemon.addresses()[:1]


def test_file_and_configuration_are_one_list(start, lists):
    daemon = start(echo(access={"allow": "127.0.0.0/8", "file": str(lists)}))
    assert served(daemon, 1, 2, 3) == [1]
    replace(daemon, lists, "deny 127.0.0.0/8", "allow 127.0.0.3")
    assert served(daemon, 1, 2, 3) == [3]


def test_a_version_that_is_written_in_place_is_taken_when_it_is_closed(start, lists):
    daemon = start(echo(access={"file": str(lists)}))
    mark = daemon.log.mark()
    with open(lists, "w", encoding="ascii") as file:
        file.write("deny 127.0.0.1\n")
        file.flush()
        # another file beside it makes the daemon look
        write(lists.with_name("other"), "x")
        for _ in range(20):
            assert served(daemon, 1, 2, 3) == [1]
        assert daemon.reload() is False
        assert daemon.log.find(f"{lists}: is being written to", mark)
        file.write("deny 127.0.0.2\n")
    daemon.log.wait("was read: 2 entries", mark)
    assert served(daemon, 1, 2, 3) == [3]


def test_a_version_that_is_wrong_is_told_once_and_the_one_before_stays(start, lists):
    daemon = start(echo(access={"file": str(lists)}))
    mark = daemon.log.mark()
    write(lists, "deny 127.0.0.1", "deny 127.0.0.7/8", "block 127.0.0.4", "allow", "deny uid:0",
          "deny 127.0.0.1 127.0.0.2", "allow localhost", "deny 127.0.0.1-127.0.0.9")
    daemon.log.wait("the new version of access file .* is not taken; the one before stays", mark)
    text = "\n".join(daemon.log.lines[mark:])
    for line, words in ((2, "write 127.0.0.0/8 for the network"),
                        (3, "'block 127.0.0.4' does not begin with allow or deny"),
                        (4, "there is nothing behind allow"), (5, "is no Unix socket"),
                        (6, "has more than one entry"), (7, "names are not looked up"),
                        (8, "is a range")):
        assert re.search(f"warning: {lists}:{line}: .*{re.escape(words)}", text), words
    assert served(daemon, 1, 2, 3) == [1]
    # other files change; of this one all is told
    mark = daemon.log.mark()
    write(lists.with_name("other"), "x")
    assert daemon.reload() is False
    assert not daemon.log.find("is not taken", mark)
    replace(daemon, lists, "deny 127.0.0.1")
    assert served(daemon, 1, 2, 3) == [2, 3]


def refuse(daemon, path, data, words):
    """Writes it in place, and waits until it is told not to hold."""
    mark = daemon.log.mark()
    path.write_bytes(data)
    daemon.log.wait("the new version of access file .* is not taken; the one before stays", mark)
    assert daemon.log.find(f"warning: {path}:?[0-9]*: .*{words}", mark), daemon.log.text(5)


def test_a_list_that_becomes_empty_is_not_believed(start, mode, lists):
    """A write to a full disk leaves such a file: it would let in whom the list keeps out."""
    daemon = start(echo(mode, {"file": str(lists)}))
    refuse(daemon, lists, b"", "is empty, and the version before it has 2 entries")
    assert served(daemon, 1, 2, 3) == [1]
    # who means it writes so
    replace(daemon, lists, "# nobody")
    assert served(daemon, 1, 2, 3) == [1, 2, 3]
    replace(daemon, lists)
    assert served(daemon, 1, 2, 3) == [1, 2, 3]


@pytest.mark.parametrize("data", [b"", b"# 127.0.0.1 is on holiday\n", b"deny 127.0.0.3\n"])
def test_a_list_that_allows_nobody_any_more_does_not_let_everybody_in(start, lists, data):
    write(lists, "allow 127.0.0.1", "deny 127.0.0.4")
    daemon = start(echo(access={"file": str(lists)}))
    refuse(daemon, lists, data,
           "allows nobody any more, and so would let everybody in" if data else "is empty")
    assert served(daemon, 1, 2, 3) == [1]
    # nor after it was away
    lists.unlink()
    daemon.log.wait("cannot be found any more")
    refuse(daemon, lists, data, "")
    assert served(daemon, 1, 2, 3) == [1]
    replace(daemon, lists, "allow all", "deny 127.0.0.2")
    assert served(daemon, 1, 2, 3) == [1, 3]
    # nobody is kept out now who would not be named
    replace(daemon, lists, "deny 127.0.0.3")
    assert served(daemon, 1, 2, 3) == [1, 2]
    replace(daemon, lists, "deny all")
    assert served(daemon, 1, 2, 3) == []
    refuse(daemon, lists, b"# deny all\n", "allows nobody any more")
    assert served(daemon, 1, 2, 3) == []


def test_where_the_configuration_allows_somebody_the_file_need_not(start, lists):
    write(lists, "allow 127.0.0.1")
    daemon = start(echo(access={"allow": "127.0.0.2", "file": str(lists)}))
    assert served(daemon, 1, 2, 3) == [1, 2]
    replace(daemon, lists, "# nobody")
    assert served(daemon, 1, 2, 3) == [2]


def test_a_version_without_an_end_of_its_last_line_is_not_taken(start, lists):
    """The end of a line may be where a longer entry was cut."""
    daemon = start(echo(access={"file": str(lists)}))
    refuse(daemon, lists, b"deny 127.0.0.2\ndeny 127.0.0.3", "has no end")
    assert served(daemon, 1, 2, 3) == [1]


def test_a_reload_does_not_believe_a_list_that_has_become_empty(start, lists):
    write(lists, "allow 127.0.0.1")
    address = f"127.0.0.1:{free_ports(1)[0]}"
    daemon = start(echo(access={"file": str(lists)}, address=address))
    mark = daemon.log.mark()
    lists.write_bytes(b"")
    # whether anything else about the listener changes, or not
    for keys in ({}, {"backlog": 7}):
        assert not daemon.reload(config(echo(access={"file": str(lists)}, address=address, **keys)))
        assert daemon.log.find(f"error: {lists}: .*is empty, and the version before", mark)
        assert served(daemon, 1, 2) == [1]
        mark = daemon.log.mark()
    # another file is another list
    other = lists.with_name("other")
    write(other)
    assert daemon.reload(config(echo(access={"file": str(other)}, address=address)))
    assert served(daemon, 1, 2) == [1, 2]


def test_an_upgrade_does_not_believe_a_list_that_has_become_empty(start, installed, lists):
    write(lists, "allow 127.0.0.1")
    daemon = start(echo(access={"file": str(lists)}))
    for _ in range(2):
        refuse(daemon, lists, b"", "is empty")
        mark = daemon.log.mark()
        upgrade(daemon)
        assert served(daemon, 1, 2) == [1]
        daemon.log.wait("is empty, and the version before it has 1 entry", mark)
        # what was read before is known for what it is
        replace(daemon, lists, "allow 127.0.0.1")


def test_a_file_that_vanishes_leaves_what_it_said(start, lists):
    daemon = start(echo(access={"file": str(lists)}))
    mark = daemon.log.mark()
    lists.unlink()
    daemon.log.wait(f"warning: 'echo': access file '{lists}' cannot be found any more: No such",
                    mark)
    assert served(daemon, 1, 2, 3) == [1]
    replace(daemon, lists, "deny 127.0.0.1")
    assert served(daemon, 1, 2, 3) == [2, 3]


def test_a_file_behind_links_is_read_again(start, lists):
    """As Kubernetes mounts it: the directory is changed by one rename of a link."""
    one, two = lists.parent / "one", lists.parent / "two"
    for directory, number in ((one, 1), (two, 2)):
        directory.mkdir()
        write(directory / "list", f"deny 127.0.0.{number}")
    link, data = lists.parent / "link", lists.parent / "data"
    data.symlink_to("one")
    link.symlink_to("data/list")
    daemon = start(echo(access={"file": str(link)}))
    assert served(daemon, 1, 2) == [2]
    mark = daemon.log.mark()
    data.with_name("new").symlink_to("two")
    data.with_name("new").rename(data)
    daemon.log.wait("was read", mark)
    assert served(daemon, 1, 2) == [1]
    # and the file that it leads to
    mark = daemon.log.mark()
    write(two / "list", "deny 127.0.0.1")
    daemon.log.wait("was read", mark)
    assert served(daemon, 1, 2) == [2]


def test_no_decision_is_wrong_while_the_file_changes(start, mode, lists):
    daemon = start(echo(mode, {"file": str(lists)}))
    big = [f"deny 10.{i >> 8}.{i & 255}.0/24" for i in range(3000)]
    over, wrong, count = threading.Event(), [], [0]

    def ask():
        # every version denies the one and not the other
        while not over.is_set():
            if served(daemon, 1, 2) != [1]:
                wrong.append(daemon.log.text(5))
            count[0] += 1

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(15):
            replace(daemon, lists, *big[:number * 200], "deny 127.0.0.2", "deny 127.0.0.3")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert count[0] > 0


def test_a_hundred_thousand_lines(start, lists):
    def lines(last):
        return [f"deny {11 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.{i * 7 & 255}"
                for i in range(100_000)] + [last]

    write(lists, *lines("deny 127.0.0.2"))
    daemon = start(echo(access={"file": str(lists)}))
    assert served(daemon, 1, 2, 3) == [1, 3]
    replace(daemon, lists, *lines("deny 127.0.0.3"))
    assert daemon.log.find("was read: 100001 entries")
    assert served(daemon, 1, 2, 3) == [1, 2]


def test_a_reload_reads_the_file_and_does_not_replace_the_worker(start, lists):
    address = f"127.0.0.1:{free_ports(1)[0]}"
    daemon = start(echo(access={"file": str(lists)}, address=address))
    worker = daemon.worker()
    write(lists, "deny 127.0.0.1")
    assert daemon.reload()
    assert served(daemon, 1, 2, 3) == [2, 3]
    assert daemon.worker() == worker
    # a list of the configuration is one of its settings
    assert daemon.reload(config(echo(access={"file": str(lists), "deny": "127.0.0.3"},
                                     address=address)))
    assert served(daemon, 1, 2, 3) == [2]
    assert daemon.worker() != worker


@pytest.mark.parametrize("words, reason", [
    (["deny 127.0.0.300"], "list:1: '127.0.0.300' is no IPv4 address"), (None, "no such file")])
def test_a_reload_with_a_file_that_is_no_good_is_refused(start, place, words, reason):
    path = place / "list"
    daemon = start(echo())
    mark = daemon.log.mark()
    if words:
        write(path, *words)
    assert not daemon.reload(config(echo(access={"file": str(path)},
                                         address=daemon.addresses()[0])))
    assert daemon.log.find(re.escape(reason), mark)
    assert is_served(daemon)


@pytest.mark.root
def test_root_takes_no_file_that_others_can_write(start, lists):
    daemon = start(echo(access={"file": str(lists)}))
    mark = daemon.log.mark()
    lists.chmod(0o666)
    daemon.log.wait("can be written by others", mark)
    assert served(daemon, 1, 2, 3) == [1]
    lists.chmod(0o644)
    daemon.log.wait("was read", mark)


def test_lists_survive_an_upgrade(start, installed, lists):
    daemon = start(echo(access={"deny": "127.0.0.4", "file": str(lists)}))
    worker = daemon.worker()
    upgrade(daemon)
    assert served(daemon, 1, 2, 3, 4) == [1]
    replace(daemon, lists, "deny 127.0.0.1")
    assert served(daemon, 1, 2, 3, 4) == [2, 3]
    assert daemon.worker() == worker
    # the next worker is given the same memory
    os.kill(worker, 9)
    daemon.until(lambda state: state["echo"].serving and state["echo"].serving[0].pid != worker,
                 "another worker serves")
    assert served(daemon, 1, 2, 3, 4) == [2, 3]
    mark = daemon.log.mark()
    assert daemon.reload()
    assert daemon.log.find("0 listeners new or changed", mark)


def test_a_file_that_is_wrong_does_not_hinder_an_upgrade(start, installed, lists):
    daemon = start(echo(access={"file": str(lists)}))
    mark = daemon.log.mark()
    write(lists, "nonsense")
    daemon.log.wait("is not taken", mark)
    upgrade(daemon)
    assert served(daemon, 1, 2, 3) == [1]


def test_a_listener_that_goes_back_has_its_lists_again(start, lists):
    """The changed one crashes; its lists go with it."""
    text = {"access": {"file": str(lists)}, "rollback": {"crashes": 2, "within": "1min"}}
    address = f"127.0.0.1:{free_ports(1)[0]}"
    daemon = start(echo(address=address, **text))
    mark = daemon.log.mark()
    assert daemon.reload(config(listener("echo", "sys_crash", address=address, **(
        text | {"access": {"deny": "127.0.0.1"}}))))
    for _ in range(2):
        pid = daemon.until(lambda state: state["echo"].serving, "it serves")[0].pid
        os.kill(pid, signal.SIGSEGV)
        daemon.until(lambda state: not state["echo"].serving or state["echo"].serving[0].pid != pid,
                     "it is gone")
    daemon.log.wait("rolled back in", mark)
    assert served(daemon, 1, 2, 3) == [1]
    replace(daemon, lists, "deny 127.0.0.1")
    assert served(daemon, 1, 2, 3) == [2, 3]


def pages(pid):
    """What the supervisor alone writes, as a process has it mapped, with its rights."""
    rows = [line.split() for line in procfs.read(pid, "maps").splitlines()]
    return {(row[5].partition("handlerd-")[2], row[1]) for row in rows
            if len(row) > 5 and re.match(r"/memfd:handlerd-(access|bans|ports)", row[5])}


def test_workers_can_only_read_the_table(start, mode, lists, who):
    """And nothing is left in them by which they, or the user that they are, could open it anew."""
    user = {"sandbox": {"seccomp": "off"}, "access": {"file": str(lists)}}
    daemon = start(listener("t", "sys_tries", mode, **user),
                   listener("u", "echo", mode, protocol="udp", **user), user=who)
    client = daemon.connect("t")
    assert client.ask("write_pages") == "0"
    for name, has in (("t", {"access", "bans"}), ("u", {"access", "bans", "ports"})):
        worker = daemon.worker(name)
        for pid in (worker, *procfs.descendants(worker)):
            assert pages(pid) == {(page, "r--s") for page in has}
            assert not [link for link in procfs.fds(pid).values()
                        if re.search("memfd:handlerd-(access|bans|ports)", link)]
    # it is still what decides
    replace(daemon, lists, "deny 127.0.0.1")
    assert client.ask("write_pages") == "0"
    client.close()
    assert daemon.refuses("t")


# Times

def zone(seconds_east):
    """A time zone in which it is that much later than in UTC."""
    sign = "-" if seconds_east >= 0 else "+"
    rest = abs(seconds_east)
    return f"TST{sign}{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"


def zone_in_which_it_is(hour, minute, second=0):
    now = datetime.datetime.now(datetime.timezone.utc)
    east = (hour - now.hour) * 3600 + (minute - now.minute) * 60 + second - now.second
    return zone((east + 43200) % 86400 - 43200)


@pytest.mark.parametrize("now, times, is_open", [
    ((12, 0), ["08:00-18:00"], True), ((7, 0), ["08:00-18:00"], False),
    ((20, 0), ["08:00-18:00"], False), ((23, 30), ["22:00-06:00"], True),
    ((5, 30), ["22:00-06:00"], True), ((6, 30), ["22:00-06:00"], False),
    ((12, 30), ["08:00-12:00", "13:00-18:00"], False)])
def test_outside_of_its_times_nobody_comes_in(start, now, times, is_open):
    daemon = start(echo(access={"times": times}), env={"TZ": zone_in_which_it_is(*now)})
    assert is_served(daemon) == is_open
    daemon.check_balance()
    assert ended(daemon).get("time", 0) == (0 if is_open else 1)
    assert is_open or daemon.log.find("refused: outside of access.times")


def test_times_hold_in_every_concurrency(start, mode):
    daemon = start(echo(mode, {"times": "08:00-09:00"}), env={"TZ": zone_in_which_it_is(12, 0)})
    assert not is_served(daemon)
    daemon.check_balance()


def test_the_door_opens_at_its_minute_and_closes_at_its_last(start, mode):
    # a second has passed at most since the zone was made, and the daemon starts in one
    daemon = start(echo(mode, {"times": "08:00-08:01"}),
                   env={"TZ": zone_in_which_it_is(7, 59, 56)})
    was_closed = not is_served(daemon)
    daemon.until(lambda _: is_served(daemon), "it opens")
    assert was_closed


def test_the_door_closes(start):
    daemon = start(echo(access={"times": "08:00-09:00"}),
                   env={"TZ": zone_in_which_it_is(8, 59, 56)})
    with daemon.connect() as client:
        assert client.ask("x") == "x"
        daemon.until(lambda _: not is_served(daemon), "it closes")
        # whoever is in, stays
        assert client.ask("y") == "y"


# What is written

@pytest.mark.parametrize("key, value, words", [
    ("allow", "192.0.2.7/24", "access.allow: '192.0.2.7/24' has bits behind its prefix; write "
     "192.0.2.0/24 for the network, or 192.0.2.7 for the one address"),
    ("deny", "example.org", "access.deny: 'example.org' is no address; names are not looked up"),
    ("deny", "192.0.2.1-192.0.2.9", "is a range"),
    ("deny", "fe80::1%eth0", "has a scope"),
    ("allow", "uid:0", "is about clients of Unix sockets, and the protocol is tcp"),
    ("times", "8-18", "access.times: '8-18' is no part of a day: write HH:MM-HH:MM"),
    ("times", "08:00-08:00", "is empty; the whole day is 00:00-24:00"),
    ("file", "lists", "access.file: 'lists' must be an absolute path")])
def test_what_is_wrong_is_told_with_its_line(place, key, value, words):
    """Of a list, the line of the entry."""
    file = place / "handlerd.conf"
    # a file is no list
    shown = f'"{value}"' if key == "file" else f'[\n"{"00:00-24:00" if key == "times" else "all"}",\n"{value}" ]'
    file.write_text('listeners = ( { name = "a"; address = "127.0.0.1:0"; handler = "echo";\n'
                    f'access = {{ {key} = {shown}; }}; }} );\n')
    result = run("-t", "-c", file)
    assert result.returncode == 78
    line = 2 if key == "file" else 4
    assert re.search(f"^{file}:{line}: .*{re.escape(words)}", result.stderr, re.M), result.stderr


def test_t_tells_what_is_wrong_in_files(place):
    path, file = place / "list", place / "handlerd.conf"
    path.write_text("deny 192.0.2.0/24\ndeny 192.0.2.0/40\n\ndeny ::1/64\n")
    file.write_text(config(echo(access={"file": str(path)})))
    result = run("-t", "-c", file)
    assert result.returncode == 78
    assert f"{path}:2: '192.0.2.0/40' has no good length" in result.stderr
    assert re.search(r"^ +2 \| deny 192\.0\.2\.0/40$", result.stderr, re.M)
    assert f"{path}:4: '::1/64' has bits behind its prefix; write ::/64" in result.stderr


def test_a_user_that_does_not_exist_is_refused(place):
    file = place / "handlerd.conf"
    file.write_text(config(echo(access={"allow": ["user:no-such-user", "group:no-such-group"]},
                                protocol="unix")))
    result = run("-t", "-c", file)
    assert result.returncode == 78
    assert "access.allow: there is no user 'no-such-user'" in result.stderr
    assert "access.allow: there is no group 'no-such-group'" in result.stderr


def test_defaults_are_for_those_whom_they_fit_and_wrong_ones_are_told_once(place):
    file = place / "handlerd.conf"
    rows = [echo(), listener("b", "echo", protocol="unix"), listener("c", "echo", protocol="udp")]
    file.write_text(config(*rows, defaults={"access": {"allow": ["127.0.0.1", "uid:0"]}}))
    shown = run("-T", "-c", file)
    assert shown.returncode == 0, shown.stderr
    assert re.findall(r"allow = (.*);", shown.stdout) == ['[ "127.0.0.1" ]', '[ "uid:0" ]',
                                                          '[ "127.0.0.1" ]']
    again = place / "again.conf"
    again.write_text(shown.stdout)
    assert run("-T", "-c", again).stdout == shown.stdout
    file.write_text(config(*rows, defaults={"access": {"allow": ["127.0.0.1/8"]}}))
    assert run("-t", "-c", file).stderr.count("has bits behind its prefix") == 1
