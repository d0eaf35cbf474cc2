"""UDP sessions: the datagrams of a peer are one request. A client commands its session with lines;
what an operation says comes back as one datagram."""
import pytest

from asking import ask
from harness import WAIT_S, config, listener
from test_access import replace, write

EMSGSIZE, ECANCELED = -90, -125
QUEUE = 64
MODE = {"mode": None}


@pytest.fixture(autouse=True, params=["threading", "fibers"])
def mode_of_sessions(request):
    MODE["mode"] = request.param


def sessions(handler="sys_datagram", timeout="60s", most=100, **keys):
    return listener("d", handler, **MODE, protocol="udp",
                    udp={"session_timeout": timeout, "max_sessions": most}, **keys)


def served_at_once(most):
    """The keys for so many sessions that are served; others wait."""
    return {"threading": {"threading": {"max_threads": most}},
            "fibers": {"max_connections": most}}[MODE["mode"]]


@pytest.fixture
def run(start):
    """A daemon whose sessions may still be open at the end of the test."""
    def one(text, **keys):
        daemon = start(text, **keys)
        daemon.checks_balance = False
        return daemon
    return one


@pytest.fixture
def daemon(run):
    return run(sessions())


def drops_become(daemon, **expected):
    names = {"empty": "empty", "full": "above max_sessions",
             "queue": "faster than its session reads", "long": "longer than max_datagram"}
    wanted = {"kernel": 0, **{names[name]: count for name, count in expected.items()}}
    daemon.until(lambda state: state["d"].drops == wanted, f"{wanted}")


def waiting(client, gate):
    """A session whose handler waits at the gate."""
    client.send(f"gate {gate.path}\n")
    assert client.receive() == b"waits"
    return client


def test_the_datagrams_of_a_peer_are_one_request(daemon):
    client = daemon.connect()
    assert len({client.ask_text("id\n") for _ in range(20)}) == 1
    assert daemon.listener().accepted == 1 and daemon.listener().open == 1


def test_each_receive_is_one_datagram_in_order(daemon):
    client = daemon.connect()
    client.send("recv 100;recv 100;recv 100\n")
    for payload in (b"a", b"bb", b"ccc"):
        client.send(payload)
    assert client.receive() == b"1:61 2:6262 3:636363\n"


def test_each_peer_has_a_session_of_its_own(daemon):
    clients = [daemon.connect() for _ in range(10)]
    rounds = [[client.ask_text("id;name\n") for client in clients] for _ in range(3)]
    assert rounds[0] == rounds[1] == rounds[2]
    assert len(set(rounds[0])) == 10
    assert [answer.split()[1] for answer in rounds[0]] == [client.name() for client in clients]
    assert daemon.listener().open == 10


def test_each_send_is_a_datagram_at_once(daemon, gates):
    client, gate = daemon.connect(), gates()
    client.send(f"add 3;add 0;add 5;gate {gate.path};is_datagram\n")
    assert [len(client.receive()) for _ in range(3)] == [3, 0, 5]
    assert client.receive() == b"waits"
    gate.open()
    assert client.receive() == b"1\n"


def test_the_rest_of_one_that_does_not_fit_is_dropped(daemon):
    client = daemon.connect()
    client.send("recv 2;recv 10\n").send("abc").send("de")
    assert client.receive() == b"-90 2:6465\n"


def test_longer_ones_are_dropped_and_counted(run):
    daemon = run(sessions(max_datagram="1KiB"))
    client = daemon.connect()
    client.send(b"x" * 1025)
    assert client.ask_text("is_datagram\n") == "1"
    client.send("pieces 1024\n").send(b"y" * 1025).send(b"y" * 1024).send(b"quit")
    drops_become(daemon, long=2)


def test_the_longest_answers_and_one_byte_more(run):
    daemon = run(sessions(max_datagram="64KiB"))
    client = daemon.connect()
    client.send("add 65507;add 65508\n")
    assert len(client.receive()) == 65507
    daemon.log.wait("add 65508 returned -90")


@pytest.mark.parametrize("is_first", [True, False])
def test_those_without_a_byte_are_dropped_and_counted(daemon, is_first):
    client = daemon.connect()
    if not is_first:
        client.ask("id\n")
    client.send("").send("recv 5\n").send("").send("abc")
    assert client.receive() == b"3:616263\n"
    drops_become(daemon, empty=2)
    assert daemon.listener().accepted == 1


# Its end

def test_the_timeout_reads_as_0_and_the_next_datagram_begins_anew(run):
    daemon = run(sessions(timeout="50ms"), top={"log": {"connections": "all"}})
    client = daemon.connect()
    first = client.ask_text("id\n")
    client.send("recv_log 10\n")
    daemon.log.wait("recv returned 0")
    daemon.log.wait("session ended: session timeout")
    assert client.ask_text("id\n") != first
    daemon.until(lambda state: state["d"].finished == 2, "both are over")


def test_a_handler_that_returns_ends_the_session(daemon):
    client = daemon.connect()
    first = client.ask_text("id\n")
    client.send("quit\n")
    daemon.until(lambda state: state["d"].finished == 1, "it is over")
    assert client.ask_text("id\n") != first


def test_what_a_session_left_unread_begins_the_next_one(daemon, gates):
    client, gate = daemon.connect(), gates()
    first = client.ask_text("id\n")
    waiting(client, gate)
    client.send("quit\n").send("id\n")
    gate.open()
    assert client.receive().decode().strip() != first


def refused(daemon, **expected):
    """How many datagrams, by the reason for which they began no session."""
    ended = ask(daemon, "status", listener="d")["listeners"][0]["connections"]["ended"]
    assert {reason: count for reason, count in ended.items() if reason not in ("done", "drain")} == expected
    assert daemon.listener().refused == sum(expected.values())


def left_behind(client, gate, count):
    """A session that ends when the gate is opened, with so many datagrams unread behind it."""
    waiting(client, gate)
    client.send("quit\n")
    for number in range(count):
        client.send(f"add {number + 1}\nquit\n")


def test_who_begins_a_session_with_what_was_left_is_asked_again(run, gates):
    daemon, gate = run(sessions(limits={"rate_per_source": "1/h", "rate_per_source_burst": 3})), gates()
    client = daemon.connect()
    left_behind(client, gate, 10)
    gate.open()
    assert [len(client.receive()) for _ in range(2)] == [1, 2]
    daemon.until(lambda state: state["d"].is_balanced and state["d"].accepted == 3 + 8, "all are counted")
    assert client.everything() == []
    refused(daemon, source_rate=8)
    assert daemon.drops() == {}
    # each comes to its own end, the first of them again
    with daemon.connect() as other:
        other.send("add 1\n")
        daemon.until(lambda state: state["d"].accepted == 3 + 9, "it is counted")
        assert other.is_silent(0)


def test_who_is_denied_meanwhile_begins_no_other_session(run, gates, place):
    list_file = place / "list"
    write(list_file, "deny 10.0.0.0/8")
    daemon, gate = run(sessions(access={"file": str(list_file)})), gates()
    client = daemon.connect()
    left_behind(client, gate, 5)
    replace(daemon, list_file, "deny 127.0.0.0/8")
    gate.open()
    daemon.until(lambda state: state["d"].is_balanced and state["d"].accepted == 1 + 5, "all are counted")
    refused(daemon, access=5)
    assert client.everything() == []
    replace(daemon, list_file, "deny 10.0.0.0/8")
    assert len(client.ask("add 7\n")) == 7


def test_a_source_is_given_back_once_however_often_its_sessions_begin_again(run, gates):
    daemon, gate = run(sessions(limits={"connections_per_source": 2}, **served_at_once(4))), gates()
    first, second, third = [daemon.connect() for _ in range(3)]
    left_behind(first, gate, 10)
    waiting(second, gates())
    gate.open()
    assert [len(first.receive()) for _ in range(10)] == list(range(1, 11))
    daemon.until(lambda state: state["d"].open == 1, "its last one is over")
    # there is room for one more, and for no other
    assert len(third.ask("add 3\n")) == 3
    first.send("add 1\n")
    daemon.until(lambda state: state["d"].refused == 1, "it is beyond the limit")
    refused(daemon, source_connections=1)


def test_a_datagram_that_is_left_takes_its_own_token_of_all(run, gates):
    daemon, gate = run(sessions(limits={"rate": "1/h", "rate_burst": 2})), gates()
    client = daemon.connect()
    left_behind(client, gate, 4)
    gate.open()
    assert len(client.receive()) == 1
    daemon.until(lambda state: state["d"].is_balanced and state["d"].accepted == 2 + 3, "all are counted")
    refused(daemon, rate=3)
    assert client.everything() == []


def test_a_reload_cancels_and_the_next_datagram_is_the_new_workers(daemon):
    client, other = daemon.connect(), daemon.connect()
    old = client.ask_text("pid\n")
    other.ask("id\n")
    client.send("recv_log 10\n")
    daemon.until(lambda state: state["d"].open == 2, "both are open")
    assert daemon.reload(config(sessions(max_datagram="9KiB")))
    daemon.log.wait(f"recv returned {ECANCELED}")
    assert client.ask_text("pid\n") != old
    assert other.ask_text("pid\n") != old
    daemon.until(lambda state: not state["d"].draining, "the old worker is gone")
    assert daemon.listener().failed == 0


def test_what_was_queued_before_a_reload_is_read_first(daemon, gates):
    client, gate = daemon.connect(), gates()
    old = client.ask_text("pid\n")
    waiting(client, gate)
    client.send("pid\n").send("pid;recv_log 10\n")
    # one that comes later has been delivered, so these have
    assert daemon.connect().ask("is_datagram\n") == b"1\n"
    assert daemon.reload(config(sessions(max_datagram="9KiB")))
    gate.open()
    assert [client.receive().decode().strip() for _ in range(2)] == [old, old]
    daemon.log.wait(f"recv returned {ECANCELED}")


def test_a_session_that_waits_for_a_thread_is_served_after_a_reload(run, gates):
    one = served_at_once(1)
    daemon = run(sessions(**one))
    first, second, gate = daemon.connect(), daemon.connect(), gates()
    waiting(first, gate)
    second.send("is_datagram\n")
    # what came later is in its queue, so this one is too
    for _ in range(QUEUE + 1):
        first.send("is_datagram\n")
    drops_become(daemon, queue=1)
    assert daemon.reload(config(sessions(max_datagram="9KiB", **one)))
    gate.open()
    assert first.receive() == second.receive() == b"1\n"
    daemon.until(lambda state: not state["d"].draining, "the old worker is gone")


def test_what_a_handler_left_unread_is_served_after_a_reload(daemon, gates):
    client, gate = daemon.connect(), gates()
    waiting(client, gate)
    client.send("quit\n").send("is_datagram\n")
    assert daemon.connect().ask("is_datagram\n") == b"1\n"
    assert daemon.reload(config(sessions(max_datagram="9KiB")))
    gate.open()
    assert client.receive() == b"1\n"
    daemon.until(lambda state: not state["d"].draining, "the old worker is gone")


def test_a_stop_does_not_wait_for_peers(daemon):
    clients = [daemon.connect() for _ in range(5)]
    for client in clients:
        client.ask("id\n")
    daemon.kill(15)
    assert daemon.wait_exit(WAIT_S / 2) == 0


# Limits

def test_so_many_wait_to_be_read(daemon, gates):
    client, gate = daemon.connect(), gates()
    waiting(client, gate)
    for _ in range(QUEUE + 6):
        client.send("is_datagram\n")
    drops_become(daemon, queue=6)
    gate.open()
    assert [client.receive() for _ in range(QUEUE)] == [b"1\n"] * QUEUE
    assert client.ask("id\n") and client.everything() == []


def test_a_session_that_reads_slowly_holds_up_no_other(daemon, gates):
    slow, other, gate = daemon.connect(), daemon.connect(), gates()
    waiting(slow, gate)
    for number in range(200):
        slow.send("is_datagram\n")
        if number % 20 == 0:
            assert other.ask("is_datagram\n") == b"1\n"
    gate.open()
    assert slow.receive() == b"1\n"


def test_no_more_sessions_than_allowed(run):
    daemon = run(sessions(most=2))
    first, second, third = [daemon.connect() for _ in range(3)]
    assert first.ask("is_datagram\n") == second.ask("is_datagram\n") == b"1\n"
    third.send("id\n")
    drops_become(daemon, full=1)
    assert first.ask("is_datagram\n") == b"1\n"
    second.send("quit\n")
    daemon.until(lambda state: state["d"].finished == 1, "one has ended")
    assert third.ask("is_datagram\n") == b"1\n"
    assert first.everything() == second.everything() == third.everything() == []


def test_peers_beyond_the_threads_wait_for_their_turn(run, gates):
    daemon = run(sessions(**served_at_once(2)))
    first, second, third, fourth = [daemon.connect() for _ in range(4)]
    one, two = gates(), gates()
    waiting(first, one)
    waiting(second, two)
    for client in (third, fourth):
        client.send("log late\n").send("is_datagram\n").send("quit\n")
    assert daemon.listener().open == 2
    one.open()
    first.send("quit\n")
    assert third.receive() == fourth.receive() == b"1\n"
    two.open()
    assert second.ask("is_datagram\n") == b"1\n"
    assert len(daemon.log.find("late")) == 2


# The other calls

def test_poll_waits_for_the_next_datagram(daemon):
    client = daemon.connect()
    assert client.ask_text("poll 10r\n") == "0 0"
    client.send("poll -1r;recv 5\n").send("abc")
    assert client.receive() == b"1 1 3:616263\n"


def test_poll_finds_the_end_of_the_session_readable(run):
    daemon = run(sessions(timeout="50ms"))
    assert daemon.connect().ask_text("poll -1r;recv 5;recv 5\n") == "1 1 0 0"


@pytest.mark.parametrize("pieces, lines", [
    ([b"ab", b"c\nde", b"f\n"], "4:6162630a 4:6465660a"),
    ([b"abc\ndef\n"], "4:6162630a 4:6465660a"), ([b"\n", b"\n"], "1:0a 1:0a")])
def test_lines_go_over_the_borders_of_datagrams(run, pieces, lines):
    daemon = run(sessions("sys_stream"))
    client = daemon.connect()
    client.send("readline 100;readline 100\n")
    for piece in pieces:
        client.send(piece)
    assert client.receive().decode() == lines + "\n"


@pytest.mark.parametrize("operations, pieces, answer", [
    ("recvall 5;recv 9", [b"ab", b"cdefg"], "5:6162636465 2:6667"),
    ("fgets 100;recv 9", [b"ab", b"c\nde"], "4:6162630a 2:6465"),
    ("fread 4;recv 9", [b"ab", b"cde"], "4:61626364 1:65"),
    ("recvfrom 9", [b"ab"], "2:6162 same")])
def test_the_other_ways_to_read(run, operations, pieces, answer):
    daemon = run(sessions("sys_stream"))
    client = daemon.connect()
    client.send(operations + "\n")
    for piece in pieces:
        client.send(piece)
    assert client.receive().decode() == answer + "\n"


def test_a_timeout_of_the_handlers_own_is_no_end(run):
    daemon = run(sessions("sys_stream"))
    client = daemon.connect()
    assert client.ask_text("timeout 10;recv 5;recv 5;timeout -1;sleep 0\n") == "-110 -110 0"
    assert client.ask_text("sleep 0\n") == "0"
