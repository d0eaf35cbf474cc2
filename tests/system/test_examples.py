"""The examples of the documentation: all compile without a warning, and tally.c does over
connections, datagrams and sessions what the text says."""
import socket
import subprocess

import pytest

from conffile import SOURCE
from harness import WAIT_S, listener

EXAMPLES = SOURCE / "docs" / "examples"


def compile_example(name, directory):
    """As their README says."""
    source = EXAMPLES / name
    output = directory / (source.stem + ".so")
    compiler = ["c++", "-std=c++11"] if source.suffix == ".cc" else ["cc", "-std=c99"]
    result = subprocess.run(
        [*compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared", "-fPIC",
         f"-I{SOURCE / 'include'}", "-o", str(output), str(source)],
        capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    output.chmod(0o755)
    return output


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.c*")))
def test_example_compiles_without_a_warning_and_stands_in_the_list(name, place):
    compile_example(name, place)
    assert f"\n| {name} |" in (EXAMPLES / "README.md").read_text()


@pytest.fixture
def peers():
    """Connected UDP sockets."""
    opened = []

    def one(daemon):
        row = daemon.log.find(r"listening on udp (?P<host>\S+):(?P<port>\d+)")[-1]
        opened.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        opened[-1].settimeout(WAIT_S)
        opened[-1].connect((row["host"], int(row["port"])))
        return opened[-1]

    yield one
    for peer in opened:
        peer.close()


def ask(peer, question):
    peer.send(question)
    return peer.recv(65536)


def test_tally_keeps_a_sum_for_each_connection(start, place):
    daemon = start(listener("tally", handler=compile_example("tally.c", place)))
    with daemon.connect() as client:
        assert client.send(b"1\n2\n39\n").half_close().rest() == b"1\n3\n42\n"


def test_tally_keeps_a_sum_for_each_session_until_it_ends(start, place, peers):
    daemon = start(listener("tally", handler=compile_example("tally.c", place), protocol="udp",
                            udp={"session_timeout": "2s"}),
                   top={"log": {"connections": "all"}})
    one, other = peers(daemon), peers(daemon)
    assert [ask(one, b"1"), ask(other, b"10"), ask(one, b"2"), ask(other, b"20")] == \
        [b"1\n", b"10\n", b"3\n", b"30\n"]
    daemon.log.wait(r"session ended: session timeout", count=2)
    assert {row[1] for row in daemon.log.find(r"sum (\d+)")} == {"3", "30"}
    assert ask(one, b"5") == b"5\n"
    assert ask(one, b"9" * 300) == b"ERROR too long\n"
    assert ask(one, b"6") == b"6\n"


def test_tally_takes_datagrams_without_sessions_each_for_itself(start, place, peers, mode):
    daemon = start(listener("tally", mode=mode, handler=compile_example("tally.c", place),
                            protocol="udp"))
    peer = peers(daemon)
    assert [ask(peer, b"7"), ask(peer, b"8")] == [b"7\n", b"8\n"]
