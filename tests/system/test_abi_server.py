"""The calls about the listener, the request, other connections and options, in every mode."""
import re
import signal
import socket
import threading

import pytest

from client import Client
from harness import CRASHES, config, listener

EINVAL, ESRCH, EINTR, ETIMEDOUT = -22, -3, -4, -110
ECONNREFUSED, ENOENT, EOPNOTSUPP, EADDRNOTAVAIL = -111, -2, -95, -99


@pytest.fixture
def daemon(start, mode):
    return start(listener("s", "sys_server", mode))


# Addresses

def test_a_request_knows_its_client_and_its_own_address_over_ipv4(daemon):
    with daemon.connect() as client:
        port = client.sock.getsockname()[1]
        assert client.ask("client") == f"inet 127.0.0.1 {port} 16 127.0.0.1:{port}"
        assert client.ask("local") == f"inet 127.0.0.1 {daemon.port()} 16"


def test_over_ipv6(start, mode):
    daemon = start(listener("s", "sys_server", mode, address="[::1]:0"))
    with daemon.connect() as client:
        port = client.sock.getsockname()[1]
        assert client.ask("client") == f"inet6 ::1 {port} 28 [::1]:{port}"
        assert client.ask("local") == f"inet6 ::1 {daemon.port()} 28"


def test_on_a_dual_stack_socket_ipv4_looks_like_ipv4(start, mode):
    daemon = start(listener("s", "sys_server", mode, address="*:0"))
    assert daemon.addresses()[0].startswith("*:")
    port = daemon.port()
    for host, family, length in (("127.0.0.1", "inet", 16), ("::1", "inet6", 28)):
        with Client((host, port)) as client:
            own = client.sock.getsockname()[1]
            assert client.ask("client") == f"{family} {host} {own} {length} {client.name()}"
            assert client.ask("local") == f"{family} {host} {port} {length}"


def test_v6_addresses_take_no_ipv4(start):
    daemon = start(listener("s", "sys_server", address="[::]:0"))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", daemon.port()))
    with daemon.connect() as client:
        assert client.ask("local").startswith("inet6 ::1 ")


# The listener

def test_a_request_knows_its_listener(daemon):
    with daemon.connect() as client:
        assert client.ask("facts") == (f"name=s data=1 datagram=0 cred={EOPNOTSUPP} draining=0 "
                                       "late_shared=0 none=1")


def test_server_start_runs_once_in_the_worker_before_any_fork(daemon, mode):
    pid = daemon.worker()
    own = set()
    for _ in range(3):
        with daemon.connect() as client:
            started, here = client.ask("pids").split()
            assert int(started) == pid
            own.add(int(here))
    assert (own == {pid}) == (mode != "forking")
    assert len(daemon.log.find("server_start of s")) == 1


def test_shared_memory_is_common_to_all_flows_and_new_in_the_next_worker(start, mode):
    daemon = start(listener("s", "sys_server", mode, environment={"N": "0"}))
    for number in range(1, 21):
        with daemon.connect() as client:
            assert client.ask("count") == str(number)
    assert daemon.reload(config(listener("s", "sys_server", mode, environment={"N": "1"})))
    with daemon.connect() as client:
        assert client.ask("count") == "1"


def test_shared_memory_counts_every_one_of_many_at_once(start):
    for mode in ("threading", "forking"):
        daemon = start(listener("s", "sys_server", mode))

        def count():
            for _ in range(20):
                with daemon.connect() as client:
                    client.ask("count")

        threads = [threading.Thread(target=count) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with daemon.connect() as client:
            assert client.ask("count") == "101"


def test_the_hooks_of_a_worker_run_once_each_in_their_order(start, mode):
    daemon = start(listener("s", "sys_server", mode), top={"log": {"level": "debug"}})
    with daemon.connect() as client:
        assert client.ask("id") == "1"
    daemon.until(lambda state: state["s"].finished == 1, "it is over")
    if mode == "forking":
        daemon.log.wait("info: 's': child_stop")
    daemon.stop()
    assert daemon.log.wait_over()
    hooks = [row[1] for row in daemon.log.find(r"'s': (server_start|server_stop|child_start)")]
    assert hooks[0] == "server_start" and hooks[-1] == "server_stop"
    assert hooks.count("server_start") == hooks.count("server_stop") == 1
    assert ("child_start" in hooks) == (mode == "forking")


def test_service_actions_run_in_the_worker_about_twice_a_second(daemon):
    rows = [daemon.log.wait(r"T[\d:]+:([\d.]+)Z .*service_actions in (\d+)", count=number)
            for number in (1, 2, 3)]
    assert {int(row[2]) for row in rows} == {daemon.worker()}
    seconds = [float(row[1]) for row in rows]
    for before, after in zip(seconds, seconds[1:]):
        assert 0.4 < (after - before) % 60 < 1.5


# The request

def test_ids_are_never_used_twice(daemon):
    seen = []
    for _ in range(10):
        with daemon.connect() as client:
            seen.append(int(client.ask("id")))
    assert seen == sorted(set(seen))


def test_data_and_idle_belong_to_one_connection(start, mode):
    daemon = start(listener("s", "sys_server", mode, threading={"min_threads": 1},
                            forking={"connections_per_child": 0, "spare_children": 1}))
    for _ in range(3):
        with daemon.connect() as client:
            assert client.ask("data") == "1 1 0 1 1"


def test_memory_of_a_request_is_zero_aligned_and_its_own(start, mode):
    daemon = start(listener("s", "sys_server", mode, threading={"min_threads": 1},
                            forking={"connections_per_child": 0, "spare_children": 1}))
    for count in (1, 200, 3, 50):
        with daemon.connect() as client:
            assert client.ask(f"alloc {count}") == "0 1"
            assert client.ask(f"alloc {count}") == "0 1"


@pytest.mark.parametrize("mode", ["threading"])
def test_a_poll_is_woken_by_another_connection(daemon):
    with daemon.connect() as sleeper, daemon.connect() as other:
        number = sleeper.ask("id")
        sleeper.send("poll -1;poll 50\n")
        assert sleeper.is_silent(0.1)
        assert other.ask(f"wake {number}") == "0"
        assert sleeper.line() == f"{EINTR} 0"


@pytest.mark.parametrize("mode", ["forking"])
def test_a_forked_child_can_wake_its_own_request_alone(daemon):
    with daemon.connect() as sleeper, daemon.connect() as other:
        number = sleeper.ask("id")
        sleeper.send("poll -1\n")
        assert sleeper.is_silent(0.05)
        assert other.ask(f"wake {number}") == str(ESRCH)
        assert sleeper.is_silent(0.1)


def test_a_wake_before_the_poll_is_kept_for_it(daemon):
    with daemon.connect() as client:
        number = client.ask("id")
        assert client.ask(f"wake {number};poll -1;poll 20") == f"0 {EINTR} 0"


def test_a_wake_of_nobody_is_told(daemon):
    with daemon.connect() as client:
        number = int(client.ask("id"))
        assert client.ask(f"wake {number + 1};wake 0;wake 18446744073709551615") == \
            f"{ESRCH} {ESRCH} {ESRCH}"


def test_a_wake_does_not_reach_the_next_connection(start, mode):
    daemon = start(listener("s", "sys_server", mode, threading={"min_threads": 1},
                            forking={"connections_per_child": 0, "spare_children": 1}))
    with daemon.connect() as client:
        assert client.ask("wake " + client.ask("id")) == "0"
    with daemon.connect() as client:
        assert client.ask("poll 20") == "0"


def test_offload_runs_the_function_before_it_returns(daemon):
    with daemon.connect() as client:
        assert client.ask("offload 1") == "0 42"


# Other connections

def test_a_handler_talks_to_another_listener(start, mode):
    daemon = start(listener("s", "sys_server", mode), listener("echo", mode=mode),
                   listener("v6", "echo", mode, address="[::1]:0"))
    with daemon.connect("s") as client:
        for name in ("echo", "v6"):
            address = daemon.addresses(name)[0]
            assert client.ask(f"connect 1000 tcp:{address}") == f"connected {address}"
            assert client.ask("via hello;via again") == "hello again"
            assert client.ask("close") == "0"
        assert client.ask(f"connect 1000 tcp:localhost:{daemon.port('echo')};via name").endswith(
            " name")
    daemon.until(lambda state: state["echo"].open == 0, "what was not closed goes with its parent")


def test_a_handler_talks_to_a_unix_socket(start, mode, place):
    for address in (str(place / "socket"), "@handlerd-test"):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(address.replace("@", "\0"))
            if address[0] == "/":
                (place / "socket").chmod(0o666)
            server.listen()
            daemon = start(listener("s", "sys_server", mode))
            with daemon.connect() as client:
                client.send(f"connect 1000 unix:{address};via hello\n")
                peer, _ = server.accept()
                with peer:
                    assert peer.recv(100) == b"hello\n"
                    peer.sendall(b"answer\n")
                    assert client.line().endswith(" answer")


@pytest.mark.parametrize("address, error", [
    ("tcp:127.0.0.1:1", ECONNREFUSED), ("tcp:127.0.0.1", EINVAL), ("tcp:127.0.0.1:x", EINVAL),
    ("tcp:::1:5", EINVAL), ("tcp::5", EINVAL), ("unix:/no/such/socket", ENOENT),
    ("unix:relative", EINVAL), ("unix:", EINVAL), ("udp:127.0.0.1:1", EINVAL), ("x", EINVAL),
    ("unix:/" + "x" * 200, EINVAL)])
def test_a_connection_that_cannot_be_made_is_told(daemon, address, error):
    with daemon.connect() as client:
        assert client.ask(f"connect 1000 {address}") == str(error)


def test_a_connection_that_nobody_takes_is_given_up_in_time(daemon):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        with daemon.connect() as client:
            assert client.ask(f"connect 150 tcp:127.0.0.1:{port}") == str(ETIMEDOUT)
        for filler in fillers:
            filler.close()


def test_only_an_own_connection_can_be_closed(daemon):
    with daemon.connect() as client:
        assert client.ask("close_own") == str(EINVAL)
        assert client.ask("id") == "1"


def test_an_own_connection_does_not_count_as_an_accepted_one(start):
    daemon = start(listener("s", "sys_server"), listener("echo"))
    with daemon.connect("s") as client:
        for _ in range(3):
            client.ask(f"connect 1000 tcp:{daemon.addresses('echo')[0]};via x;close")
    daemon.until(lambda state: state["s"].finished == 1, "it is over")
    state = daemon.status()
    assert (state["s"].accepted, state["echo"].accepted) == (1, 3)


# Options

def test_options_have_their_defaults(daemon):
    with daemon.connect() as client:
        assert client.ask("options") == '5|1|hello "you"|NULL|/dev/null|65536|1500|0|-'


def test_options_take_the_values_of_the_configuration(start, mode):
    daemon = start(listener("s", "sys_server", mode, options={
        "count": -10, "loud": False, "greeting": "größe", "unset": "", "file": "/tmp/x",
        "most": "1GiB", "pause": "120s", "items": ["a", "b c", ""]}))
    with daemon.connect() as client:
        assert client.ask("options") == "-10|0|größe||/tmp/x|1073741824|120000|3|a|b c||-"


def test_changed_options_are_a_new_worker(start, mode):
    daemon = start(listener("s", "sys_server", mode, options={"count": 1}))
    before = daemon.worker()
    assert daemon.reload(config(listener("s", "sys_server", mode, options={"count": 2})))
    assert daemon.worker() != before
    with daemon.connect() as client:
        assert client.ask("options").startswith("2|")


@pytest.mark.parametrize("options, words", [
    ({"count": 101}, "option 'count' .* must be between -10 and 100, not 101"),
    ({"count": "5"}, "option 'count' .* must be a whole number"),
    ({"loud": 1}, "option 'loud' .* must be true or false"),
    ({"greeting": 5}, "option 'greeting' .* must be a string"),
    ({"file": "x"}, "option 'file' .* must be an absolute path, not \"x\""),
    ({"file": ""}, "option 'file' .* must be an absolute path"),
    ({"most": "64"}, "option 'most' .* must be a size with its unit"),
    ({"most": "2TiB"}, "option 'most' .* must be between 1B and 1TiB"),
    ({"most": 64}, "option 'most' .* must be a size with its unit"),
    ({"pause": "25h"}, "option 'pause' .* must be between"),
    ({"pause": 5}, "option 'pause' .* must be a duration with its unit"),
    ({"items": "a"}, "option 'items' .* must be a list of strings"),
    ({"itmes": ["a"]}, "has no option 'itmes'; did you mean 'items'")])
def test_a_wrong_option_refuses_the_start_with_file_and_line(start, place, options, words):
    daemon = start(listener("s", "sys_server", options=options), is_awaited=False)
    daemon.expected_exit = 78
    assert daemon.wait_exit() == 78
    assert daemon.log.wait_over()
    assert daemon.log.find(rf"error: {re.escape(str(place))}/handlerd\.conf:2: .*{words}"), \
        daemon.log.text()


def test_an_undeclared_option_is_a_programming_error_that_is_told(start, mode):
    daemon = start(listener("s", "sys_server", mode), env=CRASHES)
    assert daemon.connect().send("undeclared nosuch\n").is_at_end()
    daemon.log.wait("asks for option 'nosuch', which it does not declare")
    daemon.log.wait(f"killed by signal {int(signal.SIGABRT)} ")
    with daemon.connect() as client:
        client.send("undeclared greeting\n")
        assert client.is_at_end()
    daemon.log.wait("asks for option 'greeting', which it does not declare with that type")
