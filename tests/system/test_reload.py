"""SIGHUP: a transaction that either happens whole or not at all."""
import os
import signal
import socket

import pytest

import harness
import procfs
from harness import CRASHES, IS_SANITIZED, config, free_ports, listener


def echoes(daemon, name=None, index=-1):
    with daemon.connect(name, index) as client:
        return client.send(b"hello").exactly(5) == b"hello"


def test_an_unchanged_listener_is_not_touched(start, mode):
    text = config(listener("echo", mode=mode), listener("day", "daytime", mode))
    daemon = start(text=text)
    client = daemon.connect("echo").send(b"1")
    before = daemon.worker("echo"), daemon.worker("day")
    assert daemon.reload()
    assert (daemon.worker("echo"), daemon.worker("day")) == before
    assert client.exactly(1) == b"1" and client.send(b"2").exactly(1) == b"2"
    assert daemon.log.find("generation 2: 0 listeners new or changed, 2 unchanged")


@pytest.mark.interrupts
def test_an_added_listener_serves_and_a_removed_one_refuses(start, mode):
    daemon = start(listener("one", "echo", mode), listener("two", "echo", mode))
    pid = daemon.worker("one")
    assert daemon.reload(config(listener("one", "echo", mode), listener("three", "echo", mode)))
    assert daemon.worker("one") == pid
    assert echoes(daemon, "three")
    assert daemon.refuses("two")
    daemon.log.wait("'two' is gone")


def test_the_connections_of_a_removed_listener_live_on(start, mode):
    daemon = start(listener("one", "echo", mode), listener("two", "sys_version1", mode))
    client = daemon.connect("two")
    assert client.ask("a") == "version 1"
    assert daemon.reload(config(listener("one", "echo", mode)))
    assert client.ask("b") == "version 1"
    client.close()
    daemon.log.wait("'two' is gone")


def test_a_changed_listener_gets_a_new_worker_and_loses_no_waiting_client(start, mode):
    daemon = start(listener("echo", "sys_version1", mode), listener("other", "echo", mode))
    before, other, port = daemon.worker("echo"), daemon.worker("other"), daemon.port("echo")
    assert daemon.reload(config(listener("echo", "sys_version1", mode, environment={"A": "b"}),
                                listener("other", "echo", mode)))
    assert daemon.worker("echo") != before and daemon.worker("other") == other
    assert daemon.port("echo") == port
    assert daemon.connect("echo").ask("x") == "version 1"


def test_port_0_keeps_its_port_and_is_told_once(start, mode):
    daemon = start(listener("echo", mode=mode))
    address = daemon.address()
    for number in range(3):
        assert daemon.reload(config(listener("echo", mode=mode, environment={"N": str(number)})))
        assert daemon.addresses("echo") == ["%s:%d" % address]
        assert echoes(daemon)


def test_a_handler_replaced_by_rename_serves_new_connections_and_the_old_code_old_ones(
        start, mode, who, install_version):
    daemon = start(text=config(listener("v", install_version(1), mode)), user=who)
    old = daemon.connect()
    assert old.ask("x") == "version 1"
    install_version(2)
    if mode != "serial":
        with daemon.connect() as client:
            assert client.ask("before the reload") == "version 1"
    assert daemon.reload()
    new = daemon.connect().send("x\n")
    if mode == "serial":
        # one connection at a time, whichever generation serves it
        assert new.is_silent(0.2)
        assert old.ask("y") == "version 1"
        old.close()
        assert new.line() == "version 2"
    else:
        assert new.line() == "version 2"
        assert old.ask("y") == "version 1"
        old.close()
    daemon.until(lambda state: len(state["v"].workers) == 1, "the old worker ends")


def test_fifty_upgrades_serve_the_new_code_every_time(start, install_version):
    daemon = start(text=config(listener("v", install_version(2), "threading")))
    for number in range(50):
        version = number % 2 + 1
        install_version(version)
        assert daemon.reload()
        with daemon.connect() as client:
            assert client.ask("x") == f"version {version}"


def test_a_crash_does_not_deploy_a_file_that_nobody_reloaded(start, install_version):
    daemon = start(text=config(listener("v", install_version(1), "threading")))
    install_version(2)
    pid = daemon.worker()
    mark = daemon.log.mark()
    os.kill(pid, signal.SIGKILL)
    daemon.log.wait("worker of 'v'", mark)
    assert daemon.connect().ask("x") == "version 1"
    assert daemon.reload()
    assert daemon.connect().ask("x") == "version 2"


BROKEN = [
    ("syntax", "listeners = ( { name = "),
    ("key", config(listener("echo"), nosuch=1)),
    ("handler", config(listener("echo", "nosuch"))),
    ("option", config(listener("echo", options={"nosuch": 1}))),
    ("load", config(listener("echo"), listener("b", "sys_server", options={"count": 101}))),
    ("server_start", config(listener("echo"), listener(
        "b", "sys_fault", options={"at": "server_start", "what": "fail"}))),
    ("crash", config(listener("echo"), listener(
        "b", "sys_fault", options={"at": "server_start", "what": "segv"}))),
    ("truncated", "listeners = ();\n/* never closed"),
]


@pytest.mark.parametrize("text", [row[1] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_reload_that_fails_keeps_everything(start, text):
    good = config(listener("echo", mode="threading"), listener("two", "echo", "forking"))
    daemon = start(text=good, env=CRASHES)
    clients = [daemon.connect(name).send(b"1") for name in ("echo", "two")]
    workers = daemon.worker("echo"), daemon.worker("two")
    files = procfs.fds(daemon.pid)
    mark = daemon.log.mark()
    assert not daemon.reload(text)
    assert daemon.log.find(" error: ", mark)[0].string != daemon.log.find("reload failed")[0].string
    assert (daemon.worker("echo"), daemon.worker("two")) == workers
    assert procfs.fds(daemon.pid) == files
    for client in clients:
        assert client.exactly(1) == b"1" and client.send(b"2").exactly(1) == b"2"
    # and what was kept is whole: a worker can be replaced, a good file can follow
    os.kill(workers[0], signal.SIGKILL)
    daemon.until(lambda state: state["echo"].serving and
                 state["echo"].serving[0].pid != workers[0], "the worker is replaced")
    assert echoes(daemon, "echo") and echoes(daemon, "two")
    assert daemon.reload(good)
    assert echoes(daemon, "echo") and echoes(daemon, "two")


def test_every_error_of_a_failed_reload_is_told(start, place):
    daemon = start(listener("echo"))
    mark = daemon.log.mark()
    assert not daemon.reload(config(
        listener("echo"), listener("b", "sys_server", options={"count": 101, "loud": 5}),
        listener("c", "daytime", options={"ut": True})))
    told = [match.string for match in daemon.log.find(" error: ", mark)]
    assert len(told) == 4, told
    for words in ("not 101", "must be true or false", "did you mean 'utc'", "3 errors"):
        assert any(words in line for line in told), told


def test_an_address_in_use_refuses_the_whole_reload(start):
    daemon = start(listener("echo"), listener("two", "echo"))
    before = daemon.worker("echo"), daemon.worker("two")
    with socket.create_server(("127.0.0.1", 0)) as held:
        address = "127.0.0.1:%d" % held.getsockname()[1]
        assert not daemon.reload(config(
            listener("echo", environment={"CHANGED": "1"}),
            listener("new", "echo"), listener("taken", "echo", address=address)))
    assert daemon.log.find(f"listener 'taken' cannot bind {address}")
    assert (daemon.worker("echo"), daemon.worker("two")) == before
    assert not daemon.addresses("new")
    assert echoes(daemon, "echo") and echoes(daemon, "two")


def test_two_names_swap_their_addresses_in_one_reload(start):
    first, second = (f"127.0.0.1:{port}" for port in free_ports(2))
    daemon = start(listener("one", "sys_version1", address=first),
                   listener("two", "sys_version2", address=second))
    assert daemon.connect("one").ask("x") == "version 1"
    assert daemon.reload(config(listener("one", "sys_version1", address=second),
                                listener("two", "sys_version2", address=first)))
    for address, version in ((first, 2), (second, 1)):
        host, port = address.split(":")
        with harness.Client((host, int(port))) as client:
            assert client.ask("x") == f"version {version}"


def test_an_address_moves_to_a_listener_of_another_name(start):
    address = f"127.0.0.1:{free_ports(1)[0]}"
    daemon = start(listener("one", "sys_version1", address=address))
    assert daemon.reload(config(listener("two", "sys_version2", address=address)))
    host, port = address.split(":")
    with harness.Client((host, int(port))) as client:
        assert client.ask("x") == "version 2"


def test_an_overlapping_address_is_refused_naming_the_holder(start):
    port = free_ports(1)[0]
    daemon = start(listener("holder", "echo", address=f"127.0.0.1:{port}"))
    assert not daemon.reload(config(listener("wide", "echo", address=f"0.0.0.0:{port}")))
    assert daemon.log.find("listener 'wide' cannot bind .* listener 'holder' still holds")


def test_one_address_of_several_is_added_and_removed(start):
    first = f"127.0.0.1:{free_ports(1)[0]}"
    daemon = start(listener("echo", address=[first, "[::1]:0"]))
    second = daemon.addresses("echo")[1]
    assert daemon.reload(config(listener("echo", address=[first, "127.0.0.2:0"])))
    assert daemon.addresses("echo")[:2] == [first, second]
    assert daemon.address("echo", 2)[0] == "127.0.0.2"
    assert echoes(daemon, "echo", 0) and echoes(daemon, "echo", 2)
    with pytest.raises(ConnectionRefusedError):
        daemon.connect("echo", 1)


def test_a_hundred_hups_are_a_few_reloads_and_the_last_file_wins(start):
    daemon = start(listener("echo"))
    mark = daemon.log.mark()
    for number in range(100):
        daemon.write(config(listener("echo", environment={"N": str(number)}),
                            *([listener("last", "echo")] if number == 99 else [])))
        daemon.kill(signal.SIGHUP)
    daemon.log.wait("'last' listening on", mark)
    daemon.until(lambda state: not state["echo"].draining, "the old workers end")
    assert 1 <= len(daemon.log.find("notice: reloaded in", mark)) < 100
    assert echoes(daemon, "echo") and echoes(daemon, "last")


def test_a_hup_during_a_reload_is_done_after_it(start):
    slow = {"at": "server_start", "what": "block"}
    daemon = start(listener("echo"), top={"start_timeout": "400ms"})
    mark = daemon.log.mark()
    daemon.write(config(listener("echo"), listener("slow", "sys_fault", options=slow),
                        start_timeout="400ms"))
    daemon.kill(signal.SIGHUP)
    daemon.log.wait("fault: server_start", mark)
    daemon.write(config(listener("echo"), listener("two", "echo")))
    daemon.kill(signal.SIGHUP)
    daemon.log.wait("reload failed", mark)
    daemon.log.wait("notice: reloaded in", mark)
    assert echoes(daemon, "two")


def test_a_hup_during_the_start_is_done_after_it(start):
    daemon = start(listener("echo", "sys_fault", options={"at": "server_start", "what": ""}),
                   is_awaited=False)
    daemon.log.wait("fault: server_start")
    daemon.write(config(listener("echo"), listener("two", "echo")))
    daemon.kill(signal.SIGHUP)
    daemon.wait_ready()
    daemon.log.wait("notice: reloaded in")
    assert echoes(daemon, "two")


def test_a_file_of_listeners_d_comes_and_goes(start, place):
    daemon = start(listener("echo"))
    daemon.write(config(listener("more", "echo")), "listeners.d/more.conf")
    assert daemon.reload()
    assert echoes(daemon, "more")
    (place / "listeners.d" / "more.conf").unlink()
    assert daemon.reload()
    daemon.until(lambda state: list(state) == ["echo"], "'more' leaves")


def test_a_broken_file_of_listeners_d_refuses_the_reload(start, place):
    daemon = start(listener("echo"))
    daemon.write("listeners = ( nonsense );", "listeners.d/more.conf")
    assert not daemon.reload()
    assert daemon.log.find("listeners.d/more.conf:1: ")


def test_max_generations_ends_the_oldest_before_its_time(start):
    def text(number):
        return config(listener("v", "sys_version1", environment={"N": str(number)}),
                      max_generations=2, drain_timeout="60s")
    daemon = start(text=text(0))
    clients = [daemon.connect()]
    for number in range(1, 4):
        assert clients[-1].ask("x") == "version 1"
        assert daemon.reload(text(number))
        clients.append(daemon.connect())
    assert clients[0].is_at_end()
    daemon.log.wait("'v': worker of generation 1 is ended before its drain deadline")
    assert [client.ask("y") for client in clients[1:]] == ["version 1"] * 3


def test_two_hundred_reloads_leak_nothing(start):
    def text(number):
        return config(listener("echo", environment={"N": str(number)}), listener("day", "daytime"))
    daemon = start(text=text(0))
    before = None
    for number in range(200):
        assert daemon.reload(text(number % 7))
        if number == 40:
            daemon.until(lambda state: not state["echo"].draining, "the old workers end")
            before = procfs.count_fds(daemon.pid), procfs.memory_kib(daemon.pid)
    # what belongs to an old worker is closed when it is forgotten, after its end
    daemon.until(lambda state: not state["echo"].draining and
                 procfs.count_fds(daemon.pid) <= before[0], "the old workers end")
    assert IS_SANITIZED or procfs.memory_kib(daemon.pid) <= before[1] + 256
