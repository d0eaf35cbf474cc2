"""What is told of a crash: signal, handler, version, build id, connection, peer and the frames, with
the handler's own functions."""
import os
import re
import signal
import subprocess

import pytest

from harness import CRASHES, IS_ASAN, IS_TSAN, TEST_HANDLERS, config, listener

HANDLER = TEST_HANDLERS / "sys_crash.so"
STACK = "256KiB"
# every signal that means a crash is the handler's own
SIGNALS = {name: value + ":handle_sigbus=0:handle_sigill=0" for name, value in CRASHES.items()}

# how a client asks for it, what the log says of the signal and the cause, the function it names
CRASHES_OF = {
    "segv": (r"signal 11 \(Segmentation fault\)[^;]*, address 0x10 is not mapped", "crash_here"),
    "overflow": (r"signal 11 \(Segmentation fault\)[^;]*, address 0x[0-9a-f]+ ", "crash_deep"),
    "abort": (r"signal 6 \(Aborted\)", "crash_on"),
    "free": (r"signal 6 \(Aborted\)", "crash_twice"),
    "divide": (r"signal 8 \(Floating point exception\)[^;]*, integer division by zero", "crash_on"),
    "nowhere": (r"signal 11 \(Segmentation fault\)[^;]*, address 0x0 is not mapped",
                "crash_nowhere"),
    "bus": (r"signal 7 \(Bus error\)[^;]*, address 0x[0-9a-f]+ is behind the end of a mapped file",
            "crash_behind_file"),
    "trap": (r"signal 4 \(Illegal instruction\)", "crash_on"),
    "chained": (r"signal 11 \(Segmentation fault\)[^;]*, address 0x10 is not mapped",
                "crash_chained"),
    "sent": (r"signal 7 \(Bus error\)[^;]*, sent with kill or raise", "crash_on"),
}


def serve(start, mode="threading", **keys):
    return start(listener("f", "sys_crash", mode, **keys), env=SIGNALS)


def frames(daemon):
    return [match["frame"] for match in daemon.log.find(
        r" error: (?:worker of '\w+'|'\w+' child \d+): #\d+ (?P<frame>.*)")]


def build_id():
    notes = subprocess.run(["readelf", "-n", HANDLER], capture_output=True, text=True, check=True)
    return re.search(r"Build ID: ([0-9a-f]+)", notes.stdout)[1]


@pytest.mark.skipif(IS_TSAN, reason="it delays signals")
@pytest.mark.parametrize("how", CRASHES_OF)
def test_a_crash_is_told_with_its_place(start, mode, how):
    if how == "free" and IS_ASAN:
        pytest.skip("AddressSanitizer sees that first")
    daemon = serve(start, mode, threading={"stack_size": STACK}, fibers={"stack_size": STACK})
    client = daemon.connect("f")
    name = client.name()
    assert client.send(how + "\n").is_at_end()
    cause, function = CRASHES_OF[how]
    if mode == "fibers" and how == "overflow":
        cause = r"signal 11 \(Segmentation fault\)[^;]*, the stack of its fiber is used up; raise fib"
    told = daemon.log.wait("killed by " + cause).string
    assert "sys_crash" in told and "'f'" in told
    assert f"while serving connection #1 of {name}; " in told
    # what a handler calls its version may be anything
    assert rf"handler version 4.5\x1b.6, build-id {build_id()}; " in told
    daemon.log.wait(rf": #\d+ {function}\+0x[0-9a-f]+ \(sys_crash\.so\+0x[0-9a-f]+\)")
    daemon.until(lambda state: state["f"].crashed == 1, "it is counted")
    if how == "segv":
        names = [frame.split("+")[0] for frame in frames(daemon)]
        assert names[:3] == ["crash_here", "crash_on", "handle"]
        assert names[3].startswith("session_run")
    # the next one is served, and told anew
    with daemon.connect("f") as other:
        assert other.ask("nothing") == "done nothing"
        assert other.send("segv\n").is_at_end()
    daemon.log.wait("killed by " + CRASHES_OF["segv"][0], count=2 if how == "segv" else 1)


@pytest.mark.skipif(IS_TSAN, reason="it delays signals")
def test_a_crash_in_setup(start, mode):
    daemon = serve(start, mode, options={"at": "setup"})
    assert daemon.connect("f").is_at_end()
    daemon.log.wait(r"killed by signal 11 .*while serving connection #1 of 127\.0\.0\.1:")
    daemon.log.wait(r": #\d+ setup\+0x")


@pytest.mark.skipif(IS_TSAN, reason="it delays signals")
@pytest.mark.parametrize("keys", [{"options": {"at": "server_start"}},
                                  {"environment": {"CRASH_ON_LOAD": "1"}}])
def test_a_crash_before_ready_is_told_where(start, mode, keys):
    daemon = start(listener("f", "sys_crash", mode, **keys), env=SIGNALS, is_awaited=False)
    daemon.expected_exit = 1
    told = daemon.log.wait("killed by signal 11 .* before it was ready").string
    assert "address 0x10 is not mapped" in told and build_id() in told
    where = "on_server_start" if "options" in keys else "on_load"
    assert re.search(rf", at #0 crash_here\+0x.*#\d {where}\+0x", told), told
    assert daemon.wait_exit() == 1


@pytest.mark.skipif(IS_TSAN, reason="it delays signals")
def test_a_child_that_crashes_before_it_serves(start):
    daemon = serve(start, "forking", options={"at": "child_start"})
    daemon.log.wait(r"ended with status 0x[18]?b outside a connection")
    daemon.log.wait(r"'f' child \d+: #\d+ on_child_start\+0x")


@pytest.mark.skipif(IS_TSAN, reason="it delays signals")
def test_a_thread_of_the_handler_serves_no_connection(start, mode):
    daemon = serve(start, mode)
    assert daemon.connect("f").send("thread\n").is_at_end()
    told = daemon.log.wait(r"killed by signal 11").string
    daemon.log.wait(r": #\d+ crash_in_thread\+0x")
    if mode != "forking":
        assert "while serving" not in told
        assert "; 1 connection ended with it: #1 127.0.0.1:" in told


@pytest.mark.skipif(IS_TSAN, reason="it delays signals")
def test_what_a_handler_has_forked_crashes_for_itself(start, mode):
    daemon = serve(start, mode)
    client = daemon.connect("f")
    assert client.ask("forked") == "done forked"
    # it has left nothing that would be taken for this one
    assert client.send("abort\n").is_at_end()
    daemon.log.wait(r"killed by signal 6 .*while serving connection #1")
    daemon.log.wait(r": #\d+ handle\+0x")
    assert not daemon.log.find("crash_forked")
    assert not daemon.log.find("signal 11")


@pytest.mark.skipif(IS_TSAN, reason="a signal handler of its own is called late")
def test_a_signal_handler_of_the_handler_has_the_last_word(start, mode):
    daemon = serve(start, mode)
    assert daemon.connect("f").send("own\n").is_at_end()
    daemon.log.wait(r"exited with status 9|exit status 9")
    assert not frames(daemon)


@pytest.mark.skipif(IS_TSAN, reason="it delays signals")
def test_those_who_ended_with_it_are_counted_and_the_first_are_named(start):
    daemon = serve(start)
    others = [daemon.connect("f") for _ in range(7)]
    for other in others:
        assert other.ask("x") == "done x"
    victim = daemon.connect("f")
    assert victim.send("segv\n").is_at_end()
    told = daemon.log.wait(r"; 8 connections ended with it: (.*) and 3 more; it is replaced")
    assert len(re.findall(r"#\d+ 127\.0\.0\.1:\d+ \(\d+\.\d{3} s\)", told[1])) == 5
    assert f"while serving connection #8 of {victim.name()}" in told.string


def test_a_worker_killed_from_outside_has_no_frames(start, mode):
    daemon = serve(start, mode)
    client = daemon.connect("f")
    assert client.ask("x") == "done x"
    os.kill(daemon.worker("f"), signal.SIGKILL)
    told = daemon.log.wait(r"worker of 'f' .*killed by signal 9 \(Killed\); handler version 4").string
    # a child whose parent is gone ends its connection by itself
    if mode != "forking":
        assert f"; 1 connection ended with it: #1 {client.name()} (" in told
    assert not frames(daemon)


@pytest.mark.parametrize("how", ["deadline", "generations", "stop"])
def test_it_is_told_whose_connections_are_cut(start, mode, how):
    top = {"drain_timeout": "300ms" if how == "deadline" else "60s", "max_generations": 1}
    first, second, third = (listener("f", "sys_drain", mode, environment={"N": str(i)})
                            for i in range(3))
    daemon = start(text=config(first, **top))
    count = 12 if mode != "serial" else 1
    clients = [daemon.connect("f") for _ in range(count)]
    for client in clients:
        assert client.ask("busy sleep") == "waiting"
    if how == "stop":
        daemon.kill(signal.SIGTERM)
        daemon.log.wait("stopping")
        daemon.kill(signal.SIGTERM)
    else:
        assert daemon.reload(config(second, **top))
    if how == "generations":
        assert daemon.reload(config(third, **top))
    told = daemon.log.wait(r"warning: 'f' generation 1: (\d+) connections? (?:is|are) cut, as (.*?): "
                           r"(.*)")
    assert int(told[1]) == count
    assert len(re.findall(r"#\d+ 127\.0\.0\.1:\d+ \(", told[3])) == min(count, 10)
    assert told[3].endswith(" and 2 more") == (count == 12)
    assert ("deadline" in told[2]) == (how == "deadline")
    for client in clients:
        assert client.is_at_end()
    if how == "stop":
        assert daemon.wait_exit() == 0
