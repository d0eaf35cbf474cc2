"""handlerctl upgrade, and what an upgrade finds besides connections: orders, pauses, workers on
demand, listeners that went back."""
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

import harness
import procfs
from asking import Asking
from ctl import PROGRAM, ctl, environment
from harness import CRASHES, IS_SANITIZED, TEST_HANDLERS, config, listener
from holding import is_paused, pause, resume
from installing import BROKEN, ENDED, upgrade, workers


def ask(daemon, *arguments):
    return ctl("--control", daemon.control, *arguments)


def status(daemon):
    result = ask(daemon, "status", "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_who_asks_is_answered_by_the_new_program(start, installed):
    daemon = start(listener("echo"))
    before, worker = status(daemon), daemon.worker()
    for number in range(1, 4):
        result = ask(daemon, "upgrade")
        assert (result.returncode, result.stderr) == (0, "")
        assert re.fullmatch(rb"upgraded to \d\S+ in .*\n", result.stdout)
        after = status(daemon)
        assert after["upgrades"] == number
        for field in ("pid", "generation", "configuration", "started", "version"):
            assert after[field] == before[field], field
        assert after["listeners"][0]["handler"] == before["listeners"][0]["handler"]
        assert after["uptime_seconds"] >= before["uptime_seconds"]
    assert daemon.worker() == worker
    answer = json.loads(ask(daemon, "upgrade", "--json").stdout)
    assert answer["ok"] is True and answer["version"] == before["version"]
    assert 0 < answer["took_ms"] < 10000


def test_who_asks_is_told_why_not(start, installed):
    daemon = start(listener("echo"))
    installed.replace(BROKEN / "refuses")
    result = ask(daemon, "upgrade")
    assert result.returncode == 1 and result.stdout == b""
    assert re.match(r"handlerctl: not upgraded, version \d\S+ goes on: .*/sbin/handlerd: it "
                    r"understands no state of version 1\n", result.stderr)
    assert status(daemon)["upgrades"] == 0
    installed.replace()
    assert ask(daemon, "upgrade").returncode == 0


def test_several_ask_and_signals_come_and_all_are_answered(start, installed):
    daemon = start(listener("echo"))
    asked = [subprocess.Popen([str(PROGRAM), "--control", str(daemon.control), "upgrade"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=environment()) for _ in range(8)]
    daemon.kill(signal.SIGUSR2)
    for process in asked:
        output, errors = process.communicate(timeout=harness.WAIT_S)
        assert process.returncode == 0 and output.startswith("upgraded to "), errors


def test_nobody_who_asks_something_else_is_left_without_an_answer(start, installed):
    daemon = start(listener("echo"))
    for _ in range(10):
        # connected, and silent until the new program is there
        silent = Asking(daemon.control)
        assert upgrade(daemon)
        silent.send(b'{"command": "log-level"}\n')
        assert silent.answer()["ok"] is True
        assert status(daemon)["pid"] == daemon.pid


def test_a_stop_refuses_who_waits_for_an_upgrade(start, installed):
    daemon = start(listener("echo"))
    installed.replace(BROKEN / "hangs")
    with Asking(daemon.control, {"command": "upgrade"}) as waiting:
        daemon.log.wait("upgrading to")
        daemon.kill(signal.SIGTERM)
        answer = waiting.answer()
        assert answer["ok"] is False and "stopped meanwhile" in answer["error"]
    assert daemon.wait_exit() == 0


def test_an_upgrade_during_a_reload_says_what_it_waits_for(start, installed):
    daemon = start(listener("echo"), top={"start_timeout": "1s"})
    daemon.write(config(listener("echo"), listener("slow", "sys_fault", options={
        "at": "server_start", "what": "block"}), start_timeout="1s"))
    daemon.kill(signal.SIGHUP)
    daemon.log.wait("fault: server_start")
    with Asking(daemon.control, {"command": "upgrade"}) as waiting:
        assert waiting.answer()["ok"] is True
        assert waiting.progress == ["waiting for the end of a reload"]
    assert status(daemon)["last_reload"]["ok"] is False


def test_the_level_of_the_log_stays(start, installed):
    daemon = start(listener("echo"))
    assert ask(daemon, "log-level", "debug").returncode == 0
    assert upgrade(daemon)
    assert ask(daemon, "log-level").stdout == b"debug\n"
    assert daemon.reload()
    assert ask(daemon, "log-level").stdout == b"info\n"


def test_the_control_socket_is_removed_at_the_end(start, installed):
    daemon = start(listener("echo"))
    assert upgrade(daemon)
    assert daemon.control.is_socket()
    assert ask(daemon, "stop").returncode == 0
    assert daemon.wait_exit() == 0
    assert not daemon.control.exists()


def test_a_listener_that_is_paused_stays_so(start, installed):
    daemon = start(listener("echo"), listener("two", "echo"))
    client = daemon.connect("echo").send(b"1")
    assert client.exactly(1) == b"1"
    pid = daemon.worker("echo")
    pause(daemon, "echo")
    late = daemon.connect("echo").send(b"late")
    for _ in range(2):
        assert upgrade(daemon)
        assert is_paused(daemon, "echo") and not is_paused(daemon, "two")
    assert late.is_silent(0.2)
    assert client.send(b"2").exactly(1) == b"2"
    # neither a crash nor a reload undoes it, before an upgrade or after it
    os.kill(daemon.worker("two"), signal.SIGKILL)
    assert daemon.reload()
    assert daemon.worker("echo") == pid
    assert late.is_silent(0.2)
    resume(daemon, "echo")
    assert late.exactly(4) == b"late"


def test_on_demand_no_process_stays_none_and_the_next_client_starts_it(start, installed):
    daemon = start(listener("echo", start="on_demand", idle_exit="300ms"))
    for _ in range(2):
        assert upgrade(daemon)
        assert [one.state for one in daemon.listener().workers] == ["IDLE"]
        with daemon.connect() as client:
            assert client.send(b"hello").exactly(5) == b"hello"
            assert upgrade(daemon)
            assert client.send(b"again").exactly(5) == b"again"
        daemon.until(lambda state: [one.state for one in state["echo"].workers] == ["IDLE"],
                     "it ends idle")
    daemon.until(lambda state: state["echo"].finished == 2, "both are counted")


@pytest.fixture
def crashing(start, installed, place):
    """A good handler, replaced at a reload by one that crashes when it is told to."""
    path = place / "v.so"
    shutil.copy(TEST_HANDLERS / "sys_version1.so", path)
    daemon = start(text=config(listener("v", path), listener("echo")), env=CRASHES)
    new = path.with_name("v.new")
    shutil.copy(TEST_HANDLERS / "sys_fault.so", new)
    new.rename(path)
    assert daemon.reload()
    daemon.checks_balance = False
    return daemon


def crash(daemon):
    assert daemon.connect("v").send("segv\n").is_at_end()


def answers(daemon):
    with daemon.connect("v") as client:
        return client.ask("x")


def test_crashes_of_before_count_for_the_return(crashing):
    daemon = crashing
    crash(daemon)
    assert upgrade(daemon)
    crash(daemon)
    assert upgrade(daemon)
    crash(daemon)
    daemon.log.wait("rolled back in")
    assert answers(daemon) == "version 1"


def test_a_listener_that_went_back_stays_so_until_a_reload(crashing):
    daemon = crashing
    for _ in range(3):
        crash(daemon)
    daemon.log.wait("rolled back in")
    assert upgrade(daemon)
    assert [one["is_rolled_back"] for one in status(daemon)["listeners"]] == [True, False]
    # a worker of it runs the handler file of before
    before = daemon.worker("v")
    os.kill(before, signal.SIGKILL)
    daemon.until(lambda state: state["v"].serving and state["v"].serving[0].pid != before,
                 "it is replaced")
    assert answers(daemon) == "version 1"
    echo = daemon.worker("echo")
    assert daemon.reload()
    assert [one["is_rolled_back"] for one in status(daemon)["listeners"]] == [False, False]
    with daemon.connect("v") as client:
        assert client.ask("ping") == "pong"
    assert daemon.worker("echo") == echo


@pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer stands between")
@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_crash_afterwards_is_told_with_its_place(start, installed, is_replaced):
    daemon = start(listener("f", "sys_crash"), env=CRASHES)
    if is_replaced:
        # the worker runs the program of before, which is not there any more
        worker = installed.directory / "libexec" / "handlerd" / "handlerd-worker"
        shutil.copy(worker, worker.with_name("new"))
        worker.with_name("new").rename(worker)
    assert upgrade(daemon)
    for _ in range(2):
        mark = daemon.log.mark()
        with daemon.connect("f") as client:
            name = client.name()
            assert client.send("segv\n").is_at_end()
        told = daemon.log.wait(r"worker of 'f' .*killed by signal 11", mark).string
        assert re.search(rf"while serving connection #\d+ of {re.escape(name)}; .*build-id "
                         r"[0-9a-f]+; .*it is replaced at once", told), told
        daemon.log.wait(r": #\d+ crash_here\+0x[0-9a-f]+ \(sys_crash\.so\+0x[0-9a-f]+\)", mark)
        # what called it stands in the program that the worker runs
        daemon.log.wait(r": #\d+ session_run\w*\+0x[0-9a-f]+ \(handlerd-worker\+0x", mark)


def test_ids_of_connections_stay_unique(start, installed):
    daemon = start(listener("echo"), listener("two", "echo"))
    ids = []
    for name in ("echo", "two"):
        client = daemon.connect(name).send(b"x")
        assert client.exactly(1) == b"x"
    for _ in range(2):
        assert upgrade(daemon)
        os.kill(daemon.worker("two"), signal.SIGKILL)
        daemon.until(lambda state: state["two"].serving, "it is replaced")
        daemon.until(lambda _: daemon.connect("two").send(b"x").some(1) == b"x", "it serves")
        listed = json.loads(ask(daemon, "connections", "--json").stdout)["connections"]
        ids = [one["id"] for one in listed]
        assert len(ids) == len(set(ids)) >= 2
    daemon.checks_balance = False


def test_fault_90_the_new_program_has_its_exec_path_checked(start, installed):
    daemon = start(listener("echo"))
    installed.program.parent.chmod(0o777)
    mark = daemon.log.mark()
    daemon.kill(signal.SIGUSR2)
    assert "can be written by others" in daemon.log.wait(ENDED, mark).string
    installed.program.parent.chmod(0o755)
    assert upgrade(daemon)


def test_nothing_is_left_of_trials(start, installed):
    daemon = start(listener("echo"))
    before = procfs.children(daemon.pid), procfs.fds(daemon.pid)
    state = workers(daemon.status())
    for name in ("refuses", "silent", "crashes"):
        installed.replace(BROKEN / name)
        assert not upgrade(daemon)
    assert (procfs.children(daemon.pid), procfs.fds(daemon.pid)) == before
    assert workers(daemon.status()) == state
