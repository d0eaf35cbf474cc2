"""What keeps the daemon from being used against others: answers that are much longer than their
questions, and answers that are answered, for ever."""
import pytest

from harness import config, listener
from network import FAR, FARTHER, NEAR, count_datagrams, forge, namespace

pytestmark = pytest.mark.root

AMPLIFIED = "unanswered by limits.amplification"
LOW_PORT = "unanswered by limits.reply_to_low_ports"
OWN_PORT = "unanswered as from a port of this daemon"
HEADER = 28
ASKED = 40


@pytest.fixture
def network(place, guard):
    with namespace():
        yield


def serve(host, mode="threading", handler="sys_datagram", name="d", **keys):
    return listener(name, handler, mode, f"{host}:0", "udp", **keys)


def ask(client, operations, length=ASKED):
    """A question of exactly so many bytes."""
    text = (operations + "\nquit\n").ljust(length)
    assert len(text) == length
    return client.send(text)


def drops_become(daemon, expected):
    daemon.until(lambda state: state["d"].drops == {"kernel": 0, **expected}, f"{expected}")


def answered(client, operations, length=ASKED):
    """How long the answer is; the question that follows is always answered."""
    ask(client, operations, length)
    ask(client, "add 1", length)
    first = client.receive()
    if len(first) == 1:
        return None
    assert len(client.receive()) == 1
    return len(first)


# Amplification

@pytest.mark.parametrize("limits, factor", [
    ({}, 3), ({"amplification": 1.0}, 1), ({"amplification": 1.5}, 1.5),
    ({"amplification": 20.0}, 20), ({"amplification": 2.125}, 2.125)])
@pytest.mark.parametrize("mode", ["serial"])
def test_an_answer_is_as_long_as_the_limit_allows_and_no_longer(start, network, mode, limits,
                                                                factor):
    daemon = start(serve(FAR, mode, limits=limits))
    most = int(factor * (ASKED + HEADER)) - HEADER
    client = daemon.connect(source=(FARTHER, 0))
    assert answered(client, f"add {most}") == most
    assert answered(client, f"add {most + 1}") is None
    assert daemon.drops() == {AMPLIFIED: 1}


def test_all_answers_of_a_datagram_are_added_up(start, network, mode):
    """204 bytes may be answered: 88 at once, and 116 at the end."""
    daemon = start(serve(FAR, mode))
    client = daemon.connect(source=(FARTHER, 0))
    ask(client, "back 60;add 82")
    assert sorted(len(client.receive()) for _ in range(2)) == [60, 82 + len("60\n")]
    ask(client, "back 60;add 86")
    assert len(client.receive()) == 60
    drops_become(daemon, {AMPLIFIED: 1})
    ask(client, "back 177")
    assert client.receive() == b"-1\n"
    drops_become(daemon, {AMPLIFIED: 2})
    assert client.everything() == []


def test_without_a_limit_every_answer_leaves(start, network, mode):
    daemon = start(serve(FAR, mode, limits={"amplification": 0.0}))
    ask(daemon.connect(source=(FARTHER, 0)), "add 60000")
    assert len(daemon.clients[0].receive()) == 60000
    assert daemon.drops() == {}


def test_the_loopback_is_not_limited(start, network, mode):
    daemon = start(serve(NEAR, mode))
    client = daemon.connect()
    ask(client, "add 60000")
    assert len(client.receive()) == 60000
    assert daemon.drops() == {}


def test_a_longer_question_may_have_a_longer_answer(start, network, mode):
    daemon = start(serve(FAR, mode))
    client = daemon.connect(source=(FARTHER, 0))
    ask(client, "add 3056", 1000)
    assert len(client.receive()) == 3056
    ask(client, "add 3057", 1000)
    drops_become(daemon, {AMPLIFIED: 1})


def test_an_answer_to_a_third_one_is_the_handlers_own_business(start, network, mode):
    daemon = start(serve(FAR, mode))
    client, third = [daemon.connect(source=(FARTHER, 0)) for _ in range(2)]
    ask(client, f"to {FARTHER} {third.sock.getsockname()[1]};to {FARTHER} 1", 60)
    assert client.receive() == b"5 5\n"
    assert third.receive() == b"hello"


def test_a_session_may_answer_what_all_its_datagrams_have_asked(start, network):
    daemon = start(serve(FAR, udp={"session_timeout": "60s"}))
    daemon.checks_balance = False
    client = daemon.connect(source=(FARTHER, 0))
    # 3 * 41 bytes are not enough for 100 and a header, 3 * 82 are
    client.send("add 100".ljust(12) + "\n")
    drops_become(daemon, {AMPLIFIED: 1})
    client.send("add 100".ljust(12) + "\n")
    assert len(client.receive()) == 100


@pytest.mark.parametrize("mode", ["threading", "fibers"])
def test_all_answers_of_a_session_are_added_up(start, network, mode):
    """204 bytes may be answered, and as many for the next datagram."""
    daemon = start(serve(FAR, mode, udp={"session_timeout": "60s"}))
    daemon.checks_balance = False
    client = daemon.connect(source=(FARTHER, 0))
    client.send("add 60;add 60;add 60".ljust(ASKED - 1) + "\n")
    assert [len(client.receive()) for _ in range(2)] == [60, 60]
    drops_become(daemon, {AMPLIFIED: 1})
    client.send("add 60;add 60;add 60".ljust(ASKED - 1) + "\n")
    assert [len(client.receive()) for _ in range(2)] == [60, 60]
    drops_become(daemon, {AMPLIFIED: 2})


# Ports

def test_low_ports_are_answered_unless_forbidden(start, network, mode):
    daemon = start(serve(NEAR, mode))
    ask(daemon.connect(source=(NEAR, 999)), "add 5")
    assert len(daemon.clients[0].receive()) == 5
    assert daemon.drops() == {}


def test_low_ports_are_not_answered_where_that_is_forbidden(start, network, mode):
    daemon = start(serve(NEAR, mode, limits={"reply_to_low_ports": False}))
    low, first, last = [daemon.connect(source=(NEAR, port)) for port in (999, 1023, 1024)]
    for client in (low, first, last):
        ask(client, "add 5")
    assert len(last.receive()) == 5
    drops_become(daemon, {LOW_PORT: 2})
    ask(low, "back 5")
    drops_become(daemon, {LOW_PORT: 4})
    assert low.everything() == first.everything() == []


def play_ping_pong(daemon, source, target, reason=OWN_PORT):
    """A forged datagram is delivered, and nothing after it."""
    name = next(name for name in ("d", "other") if daemon.address(name) == target)
    had = daemon.listener(name).drops.get(reason, 0)
    before = count_datagrams()
    forge(source, target, b"ping")
    daemon.until(lambda state: state[name].drops.get(reason, 0) == had + 1, "counted")
    # what might still be on its way comes before the answer to another
    with daemon.connect(name, source=(target[0], 0)) as client:
        for _ in range(10):
            client.ask(b"0123456789" * 5)
    assert count_datagrams() - before == 1 + 2 * 10


@pytest.mark.parametrize("host", [NEAR, FAR])
def test_echo_does_not_answer_itself(start, network, mode, host):
    daemon = start(serve(host, mode, "echo"))
    play_ping_pong(daemon, daemon.address(), daemon.address())


@pytest.mark.parametrize("host, other", [(NEAR, NEAR), (FAR, NEAR), (FAR, FARTHER)])
def test_two_listeners_do_not_answer_each_other(start, network, mode, host, other):
    daemon = start(serve(host, mode, "echo"), serve(other, mode, "chargen", "other"))
    one, two = daemon.address("d"), daemon.address("other")
    if host == other or NEAR not in (host, other):
        play_ping_pong(daemon, two, one)
        play_ping_pong(daemon, one, two)
    else:
        # the loopback's address is refused elsewhere; the port alone counts
        forge((host, two[1]), one, b"ping")
        drops_become(daemon, {OWN_PORT: 1})


def test_a_listener_that_comes_with_a_reload_is_not_answered_by_the_older_one(start, network, mode):
    daemon = start(serve(NEAR, mode, "echo"))
    pid = daemon.worker()
    assert daemon.reload(config(serve(NEAR, mode, "echo"), serve(NEAR, mode, "chargen", "other")))
    assert daemon.worker("d") == pid
    play_ping_pong(daemon, daemon.address("other"), daemon.address("d"))


def test_the_wildcard_is_protected_too(start, network, mode):
    daemon = start(serve("0.0.0.0", mode, "echo"))
    port = daemon.port()
    before = count_datagrams()
    for host in (NEAR, FAR, FARTHER):
        forge((host, port), (host, port), b"ping")
    drops_become(daemon, {OWN_PORT: 3})
    assert count_datagrams() - before == 3


def test_the_port_of_a_stranger_is_answered(start, network, mode):
    """The same port at an address that is not of this machine is somebody else's: the answer
    leaves, to where nobody is."""
    daemon = start(serve(FAR, mode, "echo"))
    forge(("192.0.2.77", daemon.port()), daemon.address(), b"ping")
    daemon.until(lambda state: state["d"].finished == 1, "served")
    assert OWN_PORT not in daemon.listener().drops
