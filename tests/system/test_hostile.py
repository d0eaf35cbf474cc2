"""Clients that mean harm, and what others notice of them: next to nothing. Each kind in each
concurrency that can bear it; afterwards everything is at rest, and no client is missing in the
numbers."""
import signal
import statistics
import time

import pytest

import procfs
from attacks import (SOURCE, Attack, flood_of_connections, flood_of_resets, idle, trickle)
from client import Client, Datagrams
from harness import IS_SANITIZED, SLOW, listener, port_of_all_addresses
from tracing import family

pytestmark = pytest.mark.alone

ROUNDS = 5
ASKED = 100
FLOOR_S = 0.003  # what the scheduler of a machine with two busy processors takes at times
MOST = 2  # times what is undisturbed
MANY = 5000 if not IS_SANITIZED else 500
RESETS = 20000 if not IS_SANITIZED else 2000
IDLE_KIB = 16


@pytest.fixture(autouse=True)
def more_time():
    signal.setitimer(signal.ITIMER_REAL, 60 * SLOW)


def usual(rounds):
    """What harm an attack does it does in every round; what other programs of the machine do, in
    some."""
    rounds = sorted(rounds)
    return rounds[len(rounds) // 4]


def p99_of(address, source="127.0.0.9"):
    """Connect, ask, close, as another client does."""
    times = []
    for _ in range(ASKED):
        began = time.monotonic()
        with Client(address, source=(source, 0)) as client:
            assert client.send(b"x").exactly(1) == b"x"
        times.append(time.monotonic() - began)
    return statistics.quantiles(times, n=100)[98]


def check_undisturbed(addresses, attack):
    """A B A B: in turns without and under attack."""
    alone, attacked = [], []
    for _ in range(ROUNDS):
        alone.append(max(p99_of(address) for address in addresses))
        with attack():
            attacked.append(max(p99_of(address) for address in addresses))
    most = max(FLOOR_S * SLOW, MOST * usual(alone))
    assert usual(attacked) <= most, (alone, attacked)


def serve(start, mode, name="echo", handler="echo", others=(), **keys):
    if mode == "forking":
        # a process for each client that is there is the limit of it, not what is looked at
        keys.setdefault("forking", {"max_children": 100, "spare_children": 8})
    # threads that a crowd has left go before anybody looks for what is left
    keys.setdefault("threading", {"idle_timeout": "500ms"})
    return start(listener(name, handler, mode, **keys), *others)


def memory_of(pid):
    """0 for one that has just died."""
    try:
        return procfs.memory_kib(pid)
    except (FileNotFoundError, ProcessLookupError, KeyError):
        return 0


def wait_rest(daemon, name="echo", most=20):
    daemon.until(lambda state: state[name].open == 0 and state[name].is_balanced,
                 "all are gone, and counted", timeout=most)


def reasons(daemon, name="echo"):
    """How connections came to their end, by reason, as SIGUSR1 tells it."""
    mark = daemon.log.mark()
    daemon.status()
    rows = [line for line in daemon.log.lines[mark:] if f"'{name}' reasons of ending: " in line]
    pairs = [part.rpartition(" ") for row in rows
             for part in row.partition("' reasons of ending: ")[2].split(", ")]
    return {reason: int(count) for reason, _, count in pairs}


# Idle connections, thousands of them

def test_five_thousand_idle_connections_cost_little_and_disturb_nobody(start):
    daemon = start(listener("echo", mode="fibers", max_connections=MANY + 200, backlog=1024),
                   listener("other", "echo", "threading"))
    worker = daemon.worker("echo")
    before = daemon.rest()
    addresses = [daemon.address("echo"), daemon.address("other")]
    p99_of(addresses[0])
    alone = usual(max(map(p99_of, addresses)) for _ in range(ROUNDS))
    memory = procfs.memory_kib(worker)
    with Attack(idle, daemon.address("echo"), MANY):
        daemon.until(lambda state: state["echo"].open >= MANY, "all are there")
        each = (procfs.memory_kib(worker) - memory) / MANY
        assert IS_SANITIZED or each <= IDLE_KIB, f"{each:.1f} KiB for each"
        cpu = procfs.cpu_seconds(worker)
        held = usual(max(map(p99_of, addresses)) for _ in range(ROUNDS))
        assert held <= max(FLOOR_S * SLOW, MOST * alone), (alone, held)
        # the questions alone
        assert procfs.cpu_seconds(worker) - cpu <= 1 * SLOW
    wait_rest(daemon)
    assert daemon.listener("echo").crashed == 0
    # stacks go after a while
    daemon.until(lambda _: IS_SANITIZED or procfs.memory_kib(worker) <= memory + 8192,
                 "memory is given back", timeout=30)
    daemon.check_rest(before)


def test_slow_clients_are_gone_in_time(start, mode):
    """first_byte ends those who say nothing: as many as there is room for, and those behind them."""
    most = {"serial": 1, "threading": 50, "forking": 50, "fibers": MANY + 100}[mode]
    crowd = {"serial": 3, "threading": 100, "forking": 100, "fibers": MANY}[mode]
    keys = {} if mode in ("serial", "forking") else {"max_connections": most}
    if mode == "forking":
        keys = {"forking": {"max_children": most, "spare_children": 8}}
    daemon = start(listener("echo", mode=mode, timeouts={"first_byte": "500ms"}, backlog=8192,
                            **keys),
                   listener("other", "echo"))
    with Attack(idle, daemon.address("echo"), crowd):
        # one who has waited behind all of them is served in the end
        began = time.monotonic()
        with Client(daemon.address("echo"), timeout=30) as client:
            assert client.send(b"x").exactly(1) == b"x"
        turns = -(-crowd // most)
        assert time.monotonic() - began <= (0.5 * turns + 2) * SLOW
        daemon.until(lambda state: state["echo"].open == 0, "all were ended")
        assert reasons(daemon)["first byte timeout"] == crowd
    wait_rest(daemon)


@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_tricklers_are_gone_in_time_and_disturb_nobody(start, mode):
    """A byte now and then is no message: min_rate ends them."""
    daemon = serve(start, mode, handler="sys_stream", name="f",
                   timeouts={"min_rate": "100B/s", "grace": "1s"},
                   others=[listener("other", "echo")])
    alone = usual(p99_of(daemon.address("other")) for _ in range(ROUNDS))
    with Attack(trickle, daemon.address("f"), 50):
        began = time.monotonic()
        daemon.until(lambda state: state["f"].open == 50, "all are there")
        held = usual(p99_of(daemon.address("other")) for _ in range(ROUNDS))
        assert held <= max(FLOOR_S * SLOW, MOST * alone), (alone, held)
        daemon.until(lambda state: state["f"].open == 0, "all were ended")
        assert time.monotonic() - began <= 3.5 * SLOW
    wait_rest(daemon, "f")


# Floods

def test_a_flood_of_resets_leaves_nothing_behind(start, mode):
    daemon = serve(start, mode, others=[listener("other", "echo")])
    worker = daemon.worker("echo")
    before = daemon.rest()
    count = RESETS if mode != "forking" else RESETS // 4
    attack = Attack(flood_of_resets, daemon.address("echo"), count)
    alone = p99_of(daemon.address("other"))
    attack.wait_done(50 * SLOW)
    assert alone < 0.1 * SLOW
    wait_rest(daemon)
    assert daemon.worker("echo") == worker
    state = daemon.listener("echo")
    # some are gone before they are accepted
    assert 0 < state.accepted <= count and state.crashed == state.failed == 0
    daemon.check_rest(before)
    assert not daemon.log.find(" (warning|error): '")
    assert daemon.connect("echo").send(b"x").exactly(1) == b"x"


@pytest.mark.parametrize("what", [flood_of_resets, flood_of_connections])
@pytest.mark.parametrize("mode", ["threading", "fibers"])
def test_a_flood_from_one_source_leaves_others_their_time(start, mode, what):
    """Both the one that is flooded and another one."""
    daemon = serve(start, mode, others=[listener("other", "echo")])
    check_undisturbed([daemon.address("other"), daemon.address("echo")],
                      lambda: Attack(what, daemon.address("echo")))
    wait_rest(daemon)


@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
def test_a_flood_of_who_may_not_come_in_leaves_nothing_behind(start, mode):
    """Each is read, closed and counted, and none costs a descriptor."""
    daemon = serve(start, mode, access={"deny": [f"{SOURCE}/32"]}, others=[listener("other", "echo")])
    before = daemon.rest()
    served = 0
    with Attack(flood_of_connections, daemon.address("echo")):
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            with Client(daemon.address("echo"), source=("127.0.0.9", 0)) as client:
                served += client.send(b"x").exactly(1) == b"x"
    wait_rest(daemon)
    state = daemon.listener("echo")
    assert served > 10 and state.finished == served
    assert state.refused > 200 and state.crashed == 0
    daemon.check_rest(before)


@pytest.mark.parametrize("keys", [
    {"address": ["127.0.0.1:0", "127.0.0.2:0"]}, {"address": "*:PORT"}, {"start": "on_demand"},
    {"protocol": "udp"}, {"protocol": "udp", "udp": {"session_timeout": "10s"}},
    {"protocol": "udp", "address": "*:PORT"}])
@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
def test_no_way_in_goes_around_the_rules(start, mode, keys):
    """Whatever the protocol, however many addresses, however the worker was started."""
    if "udp" in keys and mode in ("serial", "forking"):
        pytest.skip("sessions are for threads and fibers")
    if keys.get("address") == "*:PORT":
        keys = dict(keys, address=f"*:{port_of_all_addresses()}")
    daemon = start(listener("echo", mode=mode, access={"deny": [f"{SOURCE}/32"]}, **keys))
    daemon.checks_balance = "udp" not in keys  # a session goes on for a while
    is_datagram = keys.get("protocol") == "udp"
    make = Datagrams if is_datagram else Client
    addresses = {("127.0.0.1" if host == "*" else host, int(port)) for host, _, port in
                 (text.rpartition(":") for text in daemon.addresses())}
    for address in addresses:
        with make(address, source=(SOURCE, 0)) as denied, \
                make(address, source=("127.0.0.9", 0)) as welcome:
            if is_datagram:
                denied.send(b"x")
                assert welcome.send(b"y").receive() == b"y"
                assert denied.everything() == []
            else:
                assert denied.is_at_end()
                assert welcome.send(b"y").exactly(1) == b"y"
    daemon.until(lambda state: state["echo"].refused == len(addresses), "all were refused")


# Clients that do not take their answer

@pytest.mark.parametrize("mode", ["threading", "forking", "fibers"])
def test_a_gibibyte_for_clients_that_never_read_costs_no_memory(start, mode):
    daemon = serve(start, mode, handler="sys_stream", name="f", timeouts={"send": "1s"},
                   others=[listener("other", "echo")])
    worker = daemon.worker("f")
    memory = procfs.memory_kib(worker)
    clients = [Client(daemon.address("f"), receive_buffer=4096) for _ in range(8)]
    for client in clients:
        client.send("flood 1024\n")
    daemon.until(lambda state: state["f"].open == 8, "all are at it")
    most, began = 0, time.monotonic()
    while daemon.listener("f").open > 0:
        # one of its children, if that is where handlers run
        most = max(most, *map(memory_of, family(worker)))
        assert time.monotonic() - began < 5 * SLOW
        with Client(daemon.address("other")) as client:
            assert client.send(b"x").exactly(1) == b"x"
    assert IS_SANITIZED or most <= memory + 1024 + 8 * 32, f"{most - memory} KiB more"
    assert reasons(daemon, "f")["send timeout"] == 8
    for client in clients:
        client.close()
    wait_rest(daemon, "f")


def test_a_client_that_closes_its_side_gets_all_of_its_answer(start, mode):
    """A thousand of them."""
    daemon = serve(start, mode)
    for number in range(1000 if not IS_SANITIZED else 100):
        with Client(daemon.address()) as client:
            text = b"%d" % number
            assert client.send(text).half_close().rest() == text
    wait_rest(daemon)


def test_a_client_that_resets_while_it_is_served_ends_its_own_request_once(start, mode):
    """A thousand of them; finish runs once for each."""
    count = 1000 if not IS_SANITIZED else 100
    daemon = serve(start, mode)
    for _ in range(count):
        client = Client(daemon.address())
        client.send(b"x").exactly(1)
        client.send(b"y").reset()
    wait_rest(daemon)
    state = daemon.listener()
    assert state.finished == state.accepted == count and state.crashed == state.failed == 0


# Datagrams

@pytest.mark.parametrize("mode", ["serial", "threading", "forking", "fibers"])
def test_datagrams_of_who_may_not_are_read_and_cost_little(start, mode):
    """None stays in the queue, where it would wake somebody for ever."""
    count = 20000 if not IS_SANITIZED else 2000
    daemon = start(listener("echo", mode=mode, protocol="udp", access={"deny": [f"{SOURCE}/32"]}))
    pids = [daemon.pid, daemon.worker()]
    with Datagrams(daemon.address(), source=(SOURCE, 0)) as hostile:
        for _ in range(count):
            hostile.send(b"x")
        daemon.until(lambda state: state["echo"].refused +
                     state["echo"].drops.get("kernel", 0) >= count * 0.9, "all were read")
        pids += procfs.descendants(daemon.worker())
        before = procfs.cpu_seconds(*pids)
        assert hostile.is_silent(1)
        assert procfs.cpu_seconds(*pids) - before <= 0.05 * SLOW
    assert daemon.connect(source=("127.0.0.9", 0)).send(b"y").receive() == b"y"
    daemon.until(lambda state: state["echo"].refused > 0 and state["echo"].finished == 1, "counted")


def test_datagrams_that_no_handler_expects_leave_nothing_behind(start, mode):
    """Without a byte, the longest there is, from ports that nobody hears."""
    daemon = start(listener("echo", mode=mode, protocol="udp", max_datagram="2KiB"))
    before = daemon.rest()
    with Datagrams(daemon.address(), source=(SOURCE, 0)) as hostile:
        for size in (0, 1, 2048, 2049, 65507) * 100:
            hostile.send(b"x" * size)
    # the answers to what is gone come back as errors
    client = daemon.connect(source=("127.0.0.9", 0))
    # the queue may be full for a moment
    while client.send(b"y").is_silent(0.2):
        pass
    assert client.receive() == b"y"
    daemon.until(lambda state: state["echo"].is_balanced and state["echo"].open == 0, "at rest")
    assert daemon.drops()["longer than max_datagram"] > 0
    daemon.check_rest(before)
