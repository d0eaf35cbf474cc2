"""What bash offers behind handlerctl."""
import json
import re

import pytest

from ctl import complete, ctl
from fake_control import CONNECTION, FakeControl, listener, status


def test_every_command_is_offered():
    text = ctl("--help").stdout.decode().split("--version | --help\n")[1]
    commands = re.findall(r"^  ([a-z-]+) .*  \S", text, re.M)
    assert complete("") == commands
    assert complete("re") == ["reload", "resume"]


def test_every_option_is_offered():
    for command in complete(""):
        text = ctl(command, "--help").stdout.decode().split("\n\n", 2)[2]
        options = set(re.findall(r"^  (?:-v, )?(--[a-z-]+)", text, re.M))
        assert "--json" in options
        # the help of send does not tell of itself
        assert set(complete(command, "-")) == options | {"--help"}


@pytest.mark.parametrize("words", [["status", ""], ["connections", ""], ["pause", ""],
                                   ["drain", ""], ["resume", "--json", ""], ["explain", ""]])
@pytest.mark.parametrize("separators", [None, (",", ":")])
def test_listeners_are_offered(place, words, separators):
    answer = json.dumps(status(listener("echo"), listener("web-1")), separators=separators)
    server = FakeControl(place / "control.sock", answer.encode() + b"\n", clients=3)
    assert complete("--control", server.path, *words) == ["echo", "web-1"]
    assert complete("--control", "=", server.path, *words) == ["echo", "web-1"]
    assert complete(words[0], "--control", server.path, "w") == ["web-1"]
    server.end()


def test_connections_are_offered_to_kill(place):
    server = FakeControl(place / "control.sock",
                         {"ok": True, "connections": [CONNECTION, {**CONNECTION, "id": 23}]})
    assert complete("--control", server.path, "kill", "") == ["17", "23"]
    server.end()


def test_a_path_below_the_home_directory_is_found(place):
    server = FakeControl(place / "control.sock", status(listener("echo")))
    assert complete("--control", "~/control.sock", "pause", "", HOME=str(place)) == ["echo"]
    server.end()


def test_without_a_daemon_nothing_is_offered(place):
    assert complete("--control", place / "none.sock", "pause", "") == []


@pytest.mark.parametrize("words, offers", [
    (["log-level", ""], ["error", "warning", "notice", "info", "debug"]),
    (["log-level", "w"], ["warning"]),
    (["wait", ""], ["ready"]),
    (["wait", "ready", "--timeout", ""], []),
    (["reload", ""], []),
    (["--c"], ["--control"]),
])
def test_what_is_fixed_is_offered(words, offers):
    assert complete(*words) == offers


def test_paths_are_offered_for_the_socket(place):
    (place / "one.sock").write_text("")
    for words in (["--control"], ["--control", "="], ["status", "--control"]):
        assert complete(*words, f"{place}/o") == [f"{place}/one.sock"]
