"""What is special about fibers: many flows on one thread, where one that does not wait holds up all."""
import os
import re
import socket
import threading
import time

import pytest

import procfs
from client import Client
from harness import CRASHES, IS_SANITIZED, IS_TSAN, SLOW, TEST_HANDLERS, config, listener

STACK_KIB = 64


def fiber(name="f", handler="sys_fiber", **keys):
    return listener(name, handler, mode="fibers", **keys)


def elapsed_ms(run):
    begun = time.monotonic()
    run()
    return (time.monotonic() - begun) * 1000


# Waiting

def test_all_connections_share_one_thread(start):
    daemon = start(fiber())
    clients = [daemon.connect() for _ in range(20)]
    threads = {client.ask("tid") for client in clients}
    assert len(threads) == 1
    # the control flow, and the one that runs fibers
    assert procfs.count_threads(daemon.worker()) == 2


def test_a_thousand_sleep_as_long_as_one(start):
    daemon = start(fiber(max_connections=1024))
    clients = [daemon.connect() for _ in range(1000)]
    begun = time.monotonic()
    for client in clients:
        client.send("sleep 500\n")
    for client in clients:
        assert client.line() == "0"
    assert 0.5 <= time.monotonic() - begun < 3 * SLOW


@pytest.mark.parametrize("ms", [1, 50, 999, 1000, 1300])
def test_a_timeout_is_never_early(start, ms):
    daemon = start(fiber())
    client = daemon.connect()
    assert client.ask("sleep 1") == "0"
    for operation in (f"sleep {ms}", f"timeout {ms};recv 5", f"poll {ms}", f"wait_shared {ms}"):
        begun = time.monotonic()
        client.ask(operation)
        taken_ms = (time.monotonic() - begun) * 1000
        assert ms <= taken_ms < ms + 200 * SLOW, operation
        client.ask("timeout -1")


def test_a_timeout_that_is_shortened_and_lengthened_holds_each_time(start):
    daemon = start(fiber())
    client = daemon.connect()
    for ms in (400, 50, 300, 20):
        begun = time.monotonic()
        assert client.ask(f"timeout {ms};recv 5") == "0 -110"
        assert ms / 1000 <= time.monotonic() - begun < ms / 1000 + 0.2 * SLOW
    # one that was met leaves nothing behind
    client.send("timeout 100;recv 5;timeout -1;sleep 300;recv 2\n").send("12345").send("67")
    assert client.line() == "0 5:3132333435 0 0 2:3637"


def test_sleeping_for_no_time_lets_others_run(start):
    daemon = start(fiber())
    busy, other = daemon.connect(), daemon.connect()
    assert other.ask("id") == "2"
    busy.send("yield 20000\n")
    for _ in range(20):
        assert other.ask("id") == "2"
    assert busy.line() == "yielded"


def test_the_same_descriptor_wakes_all_that_wait_for_it(start):
    daemon = start(fiber())
    waiting = [daemon.connect() for _ in range(5)]
    for client in waiting:
        client.send("wait_shared 5000\n")
    other = daemon.connect()
    assert other.ask("wait_shared 50") == "-110"
    before = procfs.count_fds(daemon.worker())
    assert other.ask("raise_shared") == "1"
    for client in waiting:
        assert client.line() == "1"
    # what had to be duplicated is gone again
    assert procfs.count_fds(daemon.worker()) < before


@pytest.mark.parametrize("which,expected", [
    ("100", r"0,0,0,0,0,0,0"),
    ("100 f", r"1,0,0,0,0,1,0"),
    ("100 b", r"1,0,0,0,0,0,20"),
])
def test_rows_of_all_kinds_are_polled(start, which, expected):
    daemon = start(fiber())
    client = daemon.connect()
    for _ in range(3):
        assert client.ask(f"poll_rows {which}") == expected
    assert daemon.connect().ask("raise_shared") == "1"
    assert client.ask("poll_rows 100").startswith("2,1,1,0,0")


def test_waking_reaches_a_fiber_that_polls_and_one_that_will(start):
    daemon = start(fiber())
    one, other = daemon.connect(), daemon.connect()
    number = one.ask("id")
    one.send("poll 5000\n")
    while other.ask(f"wake {number}") != "0":
        pass
    assert one.line() == "-4"
    assert other.ask(f"wake {number}") == "0"
    assert one.ask("sleep 20;poll 5000") == "0 -4"
    assert other.ask("wake 123456789") == "-3"
    # itself
    assert one.ask(f"wake {number};poll 5000") == "0 -4"


def test_urgent_data_in_the_middle_holds_up_nothing(start):
    """It makes a call return before the end of what is there, of which nothing tells again."""
    daemon = start(listener("echo", mode="fibers"))
    with daemon.connect() as client:
        assert client.send("hello").exactly(5) == b"hello"
        raw = client.sock
        for _ in range(20):
            raw.send(b"ab")
            raw.send(b"X", socket.MSG_OOB)
            raw.send(b"cd")
            assert client.exactly(4) == b"abcd"


def test_an_end_that_comes_with_the_last_bytes_is_seen(start):
    daemon = start(listener("echo", mode="fibers"))
    for _ in range(50):
        with daemon.connect() as client:
            client.send("x" * 100).half_close()
            assert client.rest() == b"x" * 100


def test_what_is_left_after_a_full_call_is_seen_by_a_poll(start):
    """The kernel has told of it once, before."""
    daemon = start(fiber())
    client = daemon.connect()
    for _ in range(3):
        client.send("sleep 150;recv 1;poll 3000;recv 9\n")
        assert client.is_silent(0.05)
        begun = time.monotonic()
        client.send("0123456789")
        assert client.line() == "0 1:30 1 9:313233343536373839"
        assert time.monotonic() - begun < 2


def test_room_for_output_is_seen_by_a_poll_after_a_send_that_waited(start):
    daemon = start(fiber())
    client = daemon.connect()
    client.send("supply 8000000;sleep 200;pollout 3000\n")
    begun = time.monotonic()
    client.exactly(8000000)
    assert client.line() == "0 0 1"
    assert time.monotonic() - begun < 2 * SLOW


def test_bands_of_poll_are_input(start):
    daemon = start(fiber())
    waiting = daemon.connect().send("wait_band 5000\n")
    assert daemon.connect().ask("sleep 50;raise_shared") == "0 1"
    assert waiting.line() == "64"


def test_a_descriptor_of_another_request_may_be_waited_for(start):
    daemon = start(fiber())
    owner, watcher = daemon.connect(), daemon.connect()
    assert owner.ask("expose") == "exposed"
    # it is watched for the other one before its own fiber waits for it again
    owner.send("sleep 200;recv 3\n")
    watcher.send("wait_exposed 1000\n")
    assert watcher.is_silent(0.4)
    owner.send("abc")
    assert owner.line() == "0 3:616263"
    assert watcher.line() in ("1", "-110")
    for _ in range(3):
        assert owner.ask("id") == "1"


def test_a_descriptor_that_is_closed_while_it_is_waited_for_harms_nobody(start):
    """Its number becomes a new connection's."""
    daemon = start(fiber())
    waiting, closing = daemon.connect(), daemon.connect()
    waiting.send("wait_event 600\n")
    assert closing.ask("sleep 50;close_event") == "0 0"
    late = [daemon.connect() for _ in range(5)]
    for client in late:
        assert client.ask("id")
    assert waiting.line() == "-110"
    for client in late:
        assert client.ask("id")


def test_waking_from_a_thread_of_the_handler_at_any_time(start):
    daemon = start(fiber())
    client = daemon.connect()
    assert client.ask("storm 1500") == "0"
    for _ in range(400):
        with daemon.connect() as other:
            assert other.ask("id")
    assert client.ask("id") == "1"


@pytest.mark.parametrize("mode", ["fibers", "threading"])
def test_a_place_in_a_unix_backlog_is_waited_for(start, mode):
    name = f"handlerd-backlog-{os.getpid()}-{mode}"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
        server.bind("\0" + name)
        server.listen(0)
        first.connect("\0" + name)
        daemon = start(listener("f", "sys_fiber", mode=mode))
        client = daemon.connect()
        assert client.ask(f"connect unix:@{name} 100") == "-110"
        client.send(f"connect unix:@{name} 5000\n")
        assert client.is_silent(0.2)
        server.accept()[0].close()
        assert client.line() == "0"


def test_a_file_that_is_a_pipe_holds_up_nobody(start):
    daemon = start(fiber())
    slow, quick = daemon.connect(), daemon.connect()
    slow.send("sendpipe sleep 0.7 && echo hi\n")
    for _ in range(10):
        assert elapsed_ms(lambda: quick.ask("tid")) < 250 * SLOW
    assert slow.line() == "hi" and slow.line() == "3"


# Datagrams

def ask_datagram(daemon, text):
    with daemon.connect() as client:
        return client.ask_text(text)


def test_who_waits_for_the_listening_socket_leaves_it_to_the_listener(start):
    daemon = start(fiber(protocol="udp", max_connections=2))
    first, second = daemon.connect(), daemon.connect()
    first.send("sleep 100;wait_own 300\n")
    second.send("sleep 300\n")
    assert second.receive() == b"0\n"
    assert first.receive() == b"0 -110\n"
    for _ in range(3):
        assert daemon.connect().ask(b"id\n")


def test_a_session_that_begins_again_may_poll_again(start):
    daemon = start(fiber(protocol="udp", udp={"session_timeout": "3s"}))
    client = daemon.connect()
    for _ in range(4):
        client.send("sleep 50;poll 1000\n")
        client.send("quit\n")
        assert client.receive() == b"0 1\n"


def test_sessions_that_begin_again_on_several_threads_drain(start):
    daemon = start(fiber(protocol="udp", fibers={"threads": 2}, udp={"session_timeout": "3s"}))
    for _ in range(4):
        client = daemon.connect()
        client.send("sleep 200\n")
        for _ in range(5):
            client.send("quit\n")
    daemon.until(lambda state: state["f"].open == 4, "they sleep")
    assert daemon.stop(timeout=8) == 0


# Helper threads

def test_what_blocks_in_a_helper_thread_holds_up_nobody(start):
    daemon = start(fiber())
    slow, quick = [daemon.connect() for _ in range(8)], daemon.connect()
    begun = time.monotonic()
    for client in slow:
        client.send("offload 500\n")
    for _ in range(20):
        assert elapsed_ms(lambda: quick.ask("tid")) < 250 * SLOW
    for client in slow:
        assert client.line() == "0"
    # at the same time, each in a thread of its own
    assert time.monotonic() - begun < 2 * SLOW
    assert not daemon.log.find("fibers.warn_after")


def test_more_jobs_than_helper_threads_wait_their_turn(start):
    daemon = start(fiber())
    clients = [daemon.connect() for _ in range(100)]
    for client in clients:
        client.send("offload 20\n")
    for client in clients:
        assert client.line() == "0"
    assert procfs.count_threads(daemon.worker()) <= 2 + 64


def test_a_name_server_that_does_not_answer_holds_up_no_other_fiber(start):
    daemon = start(fiber(environment={"RES_OPTIONS": "timeout:1 attempts:1"}))
    slow, quick = daemon.connect(), daemon.connect()
    slow.send("connect tcp:name.that.is.not.there.invalid:80 3000\n")
    for _ in range(10):
        assert elapsed_ms(lambda: quick.ask("tid")) < 250 * SLOW
    assert re.fullmatch(r"-\d+", slow.line())
    assert not daemon.log.find("fibers.warn_after")


def test_a_connection_that_is_cancelled_waits_for_its_helper_thread(start):
    daemon = start(fiber(), top={"drain_timeout": "100ms"})
    client = daemon.connect()
    client.send("offload 400;sleep 1000\n")
    assert daemon.connect().ask("tid")
    daemon.expected_exit = 0
    assert daemon.stop() == 0


# Fairness

def test_an_endless_supply_starves_nobody(start):
    daemon = start(fiber(fibers={"warn_after": "200ms"}))
    greedy, other = daemon.connect(), daemon.connect()
    greedy.send("swallow\n")
    is_over = threading.Event()

    def supply():
        data = b"x" * 65536
        try:
            while not is_over.is_set():
                greedy.sock.sendall(data)
        except OSError:
            pass

    thread = threading.Thread(target=supply)
    thread.start()
    try:
        taken = sorted(elapsed_ms(lambda: other.ask("id")) for _ in range(100))
    finally:
        is_over.set()
        thread.join()
    assert taken[50] < 20 * SLOW and taken[98] < 200 * SLOW
    greedy.close()
    assert int(daemon.log.wait(r"swallowed (\d+)")[1]) > 1000000
    # it has waited now and then: that is no fault
    assert not daemon.log.find("fibers.warn_after")


@pytest.mark.parametrize("what", ["spin", "block"])
def test_a_fiber_that_does_not_wait_is_told_of_with_its_peer(start, what):
    daemon = start(fiber(fibers={"warn_after": "100ms"}))
    client = daemon.connect()
    name = client.name()
    assert client.ask("sleep 300") == "0"
    assert client.ask(f"{what} 1000")
    told = daemon.log.wait(r"has not waited for (\d+) ms and holds up the other fibers")
    assert 80 <= int(told[1]) < 900 * SLOW
    assert f"'f' #1 {name}: handler " in told.string
    assert len(daemon.log.find("has not waited for")) == 1
    # after a while at rest it looks again
    daemon.until(lambda _: True, "")
    assert client.ask("sleep 500") == "0"
    assert client.ask(f"{what} 500")
    daemon.log.wait("has not waited for", count=2)


def test_what_waits_is_not_told_of(start):
    daemon = start(fiber(fibers={"warn_after": "50ms"}), fiber("g", fibers={"warn_after": "none"}))
    assert daemon.connect("f").ask("sleep 400") == "0"
    assert daemon.connect("f").ask("offload 400") == "0"
    assert daemon.connect("g").ask("spin 400") == "spun"
    assert not daemon.log.find("has not waited for")


@pytest.mark.skipif(IS_TSAN, reason="it has a thread of its own that looks")
def test_at_rest_nothing_looks(start):
    daemon = start(fiber(fibers={"warn_after": "20ms"}))
    client = daemon.connect()
    assert client.ask("sleep 100") == "0"
    worker = daemon.worker()

    def switches():
        return sum(int(line.split()[1]) for task in os.listdir(f"/proc/{worker}/task")
                   for line in procfs.read(worker, f"task/{task}/status").splitlines()
                   if "ctxt_switches" in line)

    assert client.is_silent(0.3)
    before = switches()
    assert client.is_silent(1)
    assert switches() - before <= 4


def test_service_actions_of_a_handler_that_is_not_thread_safe_run_between_fibers(start):
    daemon = start(fiber(handler="sys_fiber_alone"))
    client = daemon.connect()
    daemon.until(lambda _: int(client.ask("serviced")) >= 2, "they run")
    client.send("spin 1200;serviced\n")
    before = int(daemon.connect().ask("serviced"))
    assert int(client.line().split()[1]) <= before


# Stacks

def test_a_stack_may_be_used_up_to_its_size(start):
    daemon = start(fiber(fibers={"stack_size": "256KiB"}))
    client = daemon.connect()
    for _ in range(3):
        assert client.ask("deep 180") == "deep"


@pytest.mark.skipif(IS_TSAN, reason="it delays signals")
@pytest.mark.parametrize("how", [f"deep {4 * STACK_KIB + 64}", f"jump {STACK_KIB}"])
def test_a_stack_that_is_used_up_is_a_clean_crash(start, how):
    if IS_SANITIZED and "jump" in how:
        pytest.skip("stacks are larger there")
    daemon = start(fiber(fibers={"stack_size": f"{STACK_KIB}KiB"}), env=CRASHES)
    others = [daemon.connect() for _ in range(3)]
    for other in others:
        assert other.ask("tid")
    client = daemon.connect()
    name = client.name()
    assert client.send(how + "\n").is_at_end()
    told = daemon.log.wait(r"killed by signal 11 .*the stack of its fiber is used up; raise "
                           r"fibers.stack_size").string
    assert "sys_fiber" in told and f"while serving connection #4 of {name}" in told
    daemon.until(lambda state: state["f"].crashed == 4, "all of them are counted")
    assert daemon.connect().ask("deep 5") == "deep"


def test_memory_of_a_crowd_goes_back(start):
    if IS_SANITIZED:
        pytest.skip("sanitizers keep memory")
    daemon = start(fiber(max_connections=2000, fibers={"stack_size": "128KiB"}))
    worker = daemon.worker()
    with daemon.connect() as client:
        assert client.ask("deep 30") == "deep"
    before = procfs.memory_kib(worker)
    clients = [daemon.connect() for _ in range(1000)]
    for client in clients:
        assert client.ask("deep 40") == "deep"
    assert procfs.memory_kib(worker) - before > 1000 * 40
    daemon.close_clients()
    daemon.until(lambda _: procfs.memory_kib(worker) - before < 8000, "it is given back",
                 timeout=15)


# Several threads

def test_threads_share_the_connections(start):
    daemon = start(fiber(fibers={"threads": 4}))
    clients = [daemon.connect() for _ in range(80)]
    threads = [client.ask("tid") for client in clients]
    shares = sorted(threads.count(one) for one in set(threads))
    assert len(shares) == 4
    assert shares[0] >= 10, shares
    # who has lost many takes the next ones
    for client, thread in zip(clients, threads):
        if thread == threads[0]:
            client.close()
    daemon.until(lambda state: state["f"].open == 80 - threads.count(threads[0]), "they are gone")
    more = [daemon.connect().ask("tid") for _ in range(20)]
    assert more.count(threads[0]) >= 10, more


def test_threads_share_the_limit(start):
    daemon = start(fiber(max_connections=10, fibers={"threads": 3}))
    clients = [daemon.connect() for _ in range(10)]
    for client in clients:
        assert client.ask("tid")
    for _ in range(12):
        late = daemon.connect().send("tid\n")
        assert late.is_silent(0.05)
        clients.pop(0).close()
        assert late.line()
        clients.append(late)


def test_a_fiber_of_one_thread_wakes_one_of_another(start):
    daemon = start(fiber(fibers={"threads": 2}))
    clients = [daemon.connect() for _ in range(8)]
    numbers = [client.ask("id") for client in clients]
    assert len({client.ask("tid") for client in clients}) == 2
    for one in range(8):
        clients[one].send("poll 5000\n")
        other = clients[(one + 1) % 8]
        while other.ask(f"wake {numbers[one]}") != "0":
            pass
        assert clients[one].line() == "-4"


def test_a_thread_that_computes_leaves_clients_to_the_other(start):
    daemon = start(fiber(fibers={"threads": 2}))
    clients = [daemon.connect() for _ in range(10)]
    threads = [client.ask("tid") for client in clients]
    busy = clients[0]
    # the other one has clearly more
    for client, thread in zip(clients[1:], threads[1:]):
        if thread == threads[0]:
            client.close()
    more = [daemon.connect() for _ in range(8)]
    for client in more:
        client.ask("tid")
    busy.send("spin 3000\n")
    for _ in range(10):
        assert elapsed_ms(lambda: daemon.connect().ask("tid")) < 1000 * SLOW
    assert busy.is_silent(0.1)


def test_a_place_is_used_while_an_older_worker_drains(start):
    daemon = start(fiber(max_connections=2), top={"drain_timeout": "30s"})
    old = daemon.connect()
    old.send("sleep 4000\n")
    daemon.until(lambda state: state["f"].open == 1, "it is served")
    assert daemon.reload(config(fiber(max_connections=2, environment={"N": "1"}),
                                drain_timeout="30s"))
    first = daemon.connect()
    assert first.ask("id")
    second = daemon.connect().send("id\n")
    assert second.is_silent(0.2)
    begun = time.monotonic()
    first.close()
    assert second.line() and time.monotonic() - begun < 2
    assert old.line() == "0"


def test_udp_sessions_are_served_by_all_threads(start):
    daemon = start(listener("echo", mode="fibers", protocol="udp", fibers={"threads": 3},
                            udp={"session_timeout": "2s"}))
    clients = [daemon.connect() for _ in range(30)]
    for _ in range(3):
        for number, client in enumerate(clients):
            text = f"hello {number}".encode()
            assert client.ask(text) == text


def test_they_drain_with_connections_on_every_thread(start):
    daemon = start(fiber(fibers={"threads": 3}), top={"drain_timeout": "300ms"})
    clients = [daemon.connect() for _ in range(30)]
    for client in clients:
        client.ask("tid")
        client.send("sleep 60000\n")
    assert daemon.stop() == 0


# Proxies

def test_bytes_go_both_ways_through_connections_of_its_own(start):
    daemon = start(fiber(), listener("echo", mode="fibers"))
    address = f"tcp:127.0.0.1:{daemon.port('echo')}"
    clients = [daemon.connect("f") for _ in range(20)]
    for client in clients:
        assert client.ask(f"connect {address} 1000") == "0"
        client.send("relay\n")
    for turn in range(20):
        for client in clients:
            assert client.send(f"{turn:05}").exactly(5) == f"{turn:05}".encode()
    for client in clients:
        client.half_close()
        assert client.rest() == b""


def test_connections_of_a_fiber_come_and_go(start):
    daemon = start(fiber(), listener("echo", mode="fibers"))
    address = f"tcp:127.0.0.1:{daemon.port('echo')}"
    client = daemon.connect("f")
    before = procfs.count_fds(daemon.worker("f"))
    for _ in range(100):
        assert client.ask(f"connect {address} 1000;end") == "0 0"
    assert procfs.count_fds(daemon.worker("f")) <= before + 1


def test_a_client_that_is_gone_ends_a_fiber_that_sleeps_only_by_its_own_time(start):
    daemon = start(fiber())
    client = daemon.connect()
    client.send("sleep 400\n")
    assert daemon.connect().ask("id") == "2"
    client.close()
    daemon.until(lambda state: state["f"].open == 1, "it has ended")


def test_unix_clients_that_pass_descriptors_are_heard_to_the_end(start):
    daemon = start(listener("echo", mode="fibers", protocol="unix"))
    client = daemon.connect()
    assert isinstance(client, Client)
    for _ in range(10):
        socket.send_fds(client.sock, [b"ab"], [0])
        client.send("cd")
        assert client.exactly(4) == b"abcd"


# C++

@pytest.mark.skipif(not (TEST_HANDLERS / "sys_catch.so").exists(), reason="no C++ compiler")
def test_exceptions_that_are_being_handled_belong_to_their_fiber(start):
    daemon = start(fiber(handler="sys_catch"))
    clients = [daemon.connect() for _ in range(6)]
    for number, client in enumerate(clients):
        assert client.ask(f"exception {number}") == "caught"
    # in another order than they were thrown
    for number in (3, 0, 5, 1, 4, 2):
        assert clients[number].ask("go on") == f"exception {number} 0"
