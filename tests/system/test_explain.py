"""handlerctl explain: what each rule of a listener says of a client, and where that is written."""
import grp
import json
import os
import re

import pytest

import holding
from ctl import complete, ctl
from harness import NOBODY, free_ports, listener
from installing import upgrade
from test_access import (as_user, is_served, replace, served, write,  # noqa: F401
                         zone_in_which_it_is, lists)


def explain(daemon, address, *options, name="echo"):
    result = ctl("explain", "--control", daemon.control, "--json", name, address, *options)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def rows(answer):
    return {row["rule"]: row for row in answer["rules"]}


def decision(answer):
    return answer["decision"], answer["reason"]


def place(row):
    return row["file"], row["line"]


TEXT = """listeners = (
  { name = "echo"; address = "127.0.0.1:0"; handler = "echo";
    access = {
      allow = [ "127.0.0.0/8",
                "10.1.2.0/24" ];
      deny = [ "127.0.0.2", "10.0.0.0/8",
        "10.1.2.0/24" ];
      file = "%s";
      times = "00:00-24:00"; }; }
);
"""


@pytest.fixture
def daemon(start, place, lists):
    return start(text=TEXT % lists)


def test_every_rule_is_told_in_its_order(daemon):
    answer = explain(daemon, "127.0.0.9")
    names = [row["rule"] for row in answer["rules"]]
    # what is asked first stands first, whatever else there is
    order = ["listener", "overload", "access", "times", "max_connections",
             "connections_per_source", "rate_per_source", "rate"]
    assert [name for name in names if name in order] == order
    assert {row["says"] for row in answer["rules"]} == {"passes"}
    assert (answer["listener"], answer["address"]) == ("echo", "127.0.0.9")
    assert decision(answer) == ("accepted", None)
    assert rows(answer)["max_connections"]["text"] == "0 of 1024 connections are open"


def test_the_rule_that_decides_is_told_with_its_place(daemon, lists):
    for address, line, text in (("127.0.0.9", 4, "'127.0.0.0/8' is allowed"),
                                ("::ffff:127.0.0.9", 4, "'127.0.0.0/8' is allowed"),
                                ("10.2.0.1", 6, "'10.0.0.0/8' is denied")):
        row = rows(explain(daemon, address))["access"]
        assert (row["text"], place(row)) == (text, (str(daemon.file), line))
    row = rows(explain(daemon, "127.0.0.3"))["access"]
    assert (row["text"], place(row)) == ("'127.0.0.3' is denied", (str(lists), 4))
    assert row["says"] == "refuses"
    assert decision(explain(daemon, "127.0.0.3")) == ("refused", "access")
    # both say so of this one; the first is told
    row = rows(explain(daemon, "127.0.0.2"))["access"]
    assert place(row) == (str(daemon.file), 6)


def test_a_tie_is_told(daemon):
    row = rows(explain(daemon, "10.1.2.3"))["access"]
    assert row["text"] == (f"'10.1.2.0/24' is denied; it is allowed, too ({daemon.file}:5), and a "
                           "tie denies")
    assert place(row) == (str(daemon.file), 7)


def test_who_fits_no_entry(start, daemon):
    row = rows(explain(daemon, "192.0.2.1"))["access"]
    assert (row["says"], row["text"]) == ("refuses", "no entry fits, and others are allowed by name")
    assert place(row) == (None, None)
    other = start(listener("echo", access={"deny": "127.0.0.2"}))
    row = rows(explain(other, "192.0.2.1"))["access"]
    assert (row["says"], row["text"]) == ("passes", "no entry fits, and nobody is allowed by name")


def test_a_listener_without_rules(start):
    answer = explain(start(listener("echo")), "2001:db8::1")
    assert decision(answer) == ("accepted", None)
    assert rows(answer)["access"]["text"] == "there are no lists"
    assert rows(answer)["times"]["text"] == "there are no times"


def test_what_is_explained_is_what_happens(daemon, lists):
    numbers = range(1, 12)
    for lines in (["deny 127.0.0.4/30"], ["allow 127.0.0.2", "deny 127.0.0.8/29"],
                  ["# nobody"]):
        replace(daemon, lists, *lines)
        told = [number for number in numbers
                if explain(daemon, f"127.0.0.{number}")["decision"] == "accepted"]
        assert told == served(daemon, *numbers)


@pytest.mark.parametrize("before, says", [
    ("deny 127.0.0.2", ["no entry fits, and nobody is allowed by name",
                        "an entry of a version of the file that is not there any more"]),
    ("allow 127.0.0.1", ["an entry of a version of the file that is not there any more",
                         "no entry fits, and others are allowed by name"])])
def test_what_holds_is_told_after_an_upgrade_with_a_file_that_is_wrong(start, installed, lists,
                                                                       before, says):
    write(lists, before)
    daemon = start(listener("echo", access={"file": str(lists)}))
    mark = daemon.log.mark()
    write(lists, "block 127.0.0.2")
    daemon.log.wait("is not taken", mark)
    upgrade(daemon)
    assert served(daemon, 1, 2) == [1]
    for number, decides, text in ((1, "passes", says[0]), (2, "refuses", says[1])):
        row = rows(explain(daemon, f"127.0.0.{number}"))["access"]
        assert (row["says"], row["text"]) == (decides, text)


@pytest.mark.root
def test_unix_clients(start):
    daemon = start(listener("echo", protocol="unix", access={
        "allow": ["uid:0", "gid:77"], "deny": ["gid:78", "user:nobody"]}))
    cases = [(0, ()), (NOBODY, (77,)), (4, (77,)), (4, (1, 77)), (4, (77, 78)), (4, (1,))]
    for uid, gids in cases:
        options = ["--gid", ",".join(map(str, gids))] if gids else []
        told = explain(daemon, f"uid:{uid}", *options)["decision"] == "accepted"
        primary, *groups = gids or [0]
        assert str(told) == as_user(uid, primary, groups, lambda: is_served(daemon)), (uid, gids)
    assert rows(explain(daemon, f"uid:{NOBODY}"))["access"]["text"] == f"'uid:{NOBODY}' is denied"


def test_of_a_datagram_the_primary_group_alone_counts(start):
    daemon = start(listener("echo", protocol="unixgram", access={"allow": ["gid:77"]}))
    assert explain(daemon, "uid:4", "--gid", "77,1")["decision"] == "accepted"
    assert explain(daemon, "uid:4", "--gid", "1,77")["decision"] == "refused"


@pytest.mark.parametrize("now, says, text", [
    ((7, 30), "refuses", r"it is 07:3\d; opens at 08:00"),
    ((12, 0), "passes", r"it is 12:0\d; closes at 18:00")])
def test_times_are_told_with_the_next_change(start, now, says, text):
    daemon = start(listener("echo", access={"times": "08:00-18:00"}),
                   env={"TZ": zone_in_which_it_is(*now)})
    answer = explain(daemon, "127.0.0.1")
    row = rows(answer)["times"]
    assert row["says"] == says
    assert re.fullmatch(text, row["text"])
    assert place(row) == (str(daemon.file), 2)
    assert decision(answer) == (("refused", "time") if says == "refuses" else ("accepted", None))


def test_every_rule_is_asked_although_one_refuses(start):
    daemon = start(listener("echo", access={"deny": "127.0.0.1", "times": "08:00-18:00"}),
                   env={"TZ": zone_in_which_it_is(7, 30)})
    answer = explain(daemon, "127.0.0.1")
    assert [rows(answer)[rule]["says"] for rule in ("access", "times")] == ["refuses", "refuses"]
    assert decision(answer) == ("refused", "access")


def test_who_would_have_to_wait(start):
    daemon = start(listener("echo", max_connections=1, threading={"min_threads": 1}))
    with daemon.connect() as client:
        assert client.ask("x") == "x"
        answer = explain(daemon, "127.0.0.1")
        assert decision(answer) == ("waits", None)
        assert rows(answer)["max_connections"] == {
            "rule": "max_connections", "says": "waits", "text": "1 of 1 connections are open",
            "file": None, "line": None}
    daemon.check_balance()
    holding.pause(daemon)
    assert rows(explain(daemon, "127.0.0.1"))["listener"]["says"] == "waits"
    holding.resume(daemon)
    daemon.until(lambda _: explain(daemon, "127.0.0.1")["decision"] == "accepted", "it goes on")


def test_a_full_listener_that_closes_refuses(start):
    daemon = start(listener("echo", max_connections=1, threading={"min_threads": 1},
                            limits={"on_limit": "close"}))
    with daemon.connect() as client:
        assert client.ask("x") == "x"
        assert decision(explain(daemon, "127.0.0.1")) == ("refused", "limit")


def test_a_user_is_a_source(start):
    daemon = start(listener("echo", protocol="unix", limits={"connections_per_source": 1}))
    with daemon.connect() as client:
        assert client.ask("x") == "x"
        assert decision(explain(daemon, f"uid:{os.getuid()}")) == ("refused", "source_connections")
        assert decision(explain(daemon, "uid:12345")) == ("accepted", None)


def test_without_a_worker_some_is_unknown(start):
    daemon = start(listener("echo", start="on_demand", access={"deny": "127.0.0.2"}))
    answer = explain(daemon, "127.0.0.1")
    assert rows(answer)["overload"]["says"] == "unknown"
    assert rows(answer)["listener"]["text"] == "the listener is idle"
    assert decision(explain(daemon, "127.0.0.2")) == ("refused", "access")


def test_places_survive_an_upgrade_and_follow_a_reload(start, installed, place, lists):
    port, = free_ports(1)
    text = (TEXT % lists).replace("127.0.0.1:0", f"127.0.0.1:{port}").replace(
        "    access", "    limits = {\n rate = \"9/s\"; }; access")
    daemon = start(text=text)
    upgrade(daemon)
    for address, rule, where in (("127.0.0.9", "access", (str(daemon.file), 5)),
                                 ("10.1.2.3", "access", (str(daemon.file), 8)),
                                 ("10.1.2.3", "rate", (str(daemon.file), 4)),
                                 ("127.0.0.3", "access", (str(lists), 4))):
        row = rows(explain(daemon, address))[rule]
        assert (row["file"], row["line"]) == where
    # the same, three lines further down
    worker = daemon.worker()
    assert daemon.reload("\n\n\n" + text)
    assert daemon.worker() == worker
    assert rows(explain(daemon, "10.1.2.3"))["access"]["line"] == 11
    write(lists, "", "", "", "", "deny 127.0.0.3")
    daemon.log.wait("was read")
    assert rows(explain(daemon, "127.0.0.3"))["access"]["line"] == 5


def test_for_people(daemon):
    result = ctl("explain", "--control", daemon.control, "echo", "127.0.0.2")
    assert result.returncode == 0
    lines = result.stdout.decode().splitlines()
    assert lines[0] == "echo, 127.0.0.2: refused (access)"
    assert re.fullmatch(r"RULE +SAYS +WHY", lines[2])
    row = next(line for line in lines if line.startswith("access"))
    assert row.split(None, 2)[1:] == ["refuses", f"'127.0.0.2' is denied ({daemon.file}:6)"]


@pytest.mark.parametrize("address, options, words", [
    ("nonsense", [], "names are not looked up"), ("10.0.0.0/8", [], "write one address"),
    ("10.0.0.1:80", [], "has a port"), ("uid:0", [], "write one address"),
    ("all", [], "write one address"), ("127.0.0.1", ["--gid", "0"], "have no groups")])
def test_what_cannot_be_asked_is_refused(daemon, address, options, words):
    result = ctl("explain", "--control", daemon.control, "echo", address, *options)
    assert result.returncode == 1
    assert words in result.stderr


@pytest.mark.parametrize("address, options, words", [
    ("127.0.0.1", [], "have no address"), ("user:nobody", [], "write uid: and the number"),
    ("uid:0", ["--gid", "x"], "write up to 33 numbers"),
    ("uid:0", ["--gid", ","], "write up to 33 numbers"),
    ("uid:0", ["--gid", ",".join("1" * 34)], "write up to 33 numbers")])
def test_what_cannot_be_asked_of_unix_clients_is_refused(start, address, options, words):
    daemon = start(listener("echo", protocol="unix"))
    result = ctl("explain", "--control", daemon.control, "echo", address, *options)
    assert result.returncode == 1
    assert words in result.stderr


def test_a_listener_that_is_not_there(daemon):
    result = ctl("explain", "--control", daemon.control, "ehco", "127.0.0.1")
    assert result.returncode == 1
    assert "there is no listener 'ehco'; did you mean 'echo'?" in result.stderr


@pytest.mark.parametrize("words, sentence", [
    ([], "LISTENER ADDRESS is missing behind explain"),
    (["echo"], "LISTENER ADDRESS is missing behind explain"),
    (["echo", "127.0.0.1", "more"], "there is one LISTENER ADDRESS, and 'more' is one more"),
    (["echo", ""], "'' can be no address")])
def test_the_command_line(words, sentence):
    result = ctl("explain", *words)
    assert result.returncode == 2
    assert sentence in result.stderr


def test_control_group_may_ask(start):
    if os.geteuid() != 0:
        pytest.skip("only root can do this")
    daemon = start(listener("echo"), top={"control_group": "adm"})
    gid = grp.getgrnam("adm").gr_gid

    def ask():
        return ctl("explain", "--control", daemon.control, "--json", "echo",
                   "127.0.0.1").returncode

    assert as_user(7, 7, [gid], ask) == "0"
    assert as_user(7, 7, [], ask) != "0"


def test_options_are_offered():
    assert complete("explain", "--g") == ["--gid"]
    assert complete("explain", "--gid", "") == []
