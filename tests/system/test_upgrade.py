"""SIGUSR2: the program is replaced under a running daemon, and nobody notices."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

import ctl
import harness
import procfs
from harness import BUILD, CRASHES, IS_SANITIZED, Notify, config, listener
from installing import BROKEN, ENDED, upgrade, workers


def refusal(daemon):
    """Why it was not."""
    mark = daemon.log.mark()
    assert not upgrade(daemon)
    return daemon.log.find("error: not upgraded", mark)[0].string


def sockets(pid):
    """The sockets of the supervisor, by their inodes."""
    return sorted(link for link in procfs.fds(pid).values() if link.startswith("socket:"))


def echoes(daemon, name=None):
    with daemon.connect(name) as client:
        return client.send(b"hello").exactly(5) == b"hello"


def inode(path):
    return os.stat(path).st_ino


def test_process_workers_sockets_connections_and_counters_are_kept(start, installed, mode, who):
    daemon = start(listener("echo", mode=mode), listener("two", "echo", mode), user=who)
    assert echoes(daemon, "two")
    client = daemon.connect("echo").send(b"1")
    assert client.exactly(1) == b"1"
    daemon.until(lambda state: state["two"].finished == 1, "the first client is counted")
    before, held, old = daemon.status(), sockets(daemon.pid), inode(f"/proc/{daemon.pid}/exe")
    installed.replace()
    mark = daemon.log.mark()
    assert upgrade(daemon)
    told = daemon.log.find("upgraded from", mark)[0].string
    assert re.search(r"upgraded from (\d\S+) to \1 in [0-9.]+ ms: same process, 2 listeners, "
                     r"2 workers$", told), told
    assert inode(f"/proc/{daemon.pid}/exe") == inode(installed.program) != old
    assert procfs.read(daemon.pid, "comm") == "handlerd\n"
    after = daemon.status()
    assert workers(after) == workers(before)
    assert sockets(daemon.pid) == held
    assert client.send(b"2").exactly(1) == b"2"
    client.close()
    assert echoes(daemon, "echo") and echoes(daemon, "two")
    daemon.until(lambda state: (state["echo"].finished, state["two"].finished) == (2, 2),
                 "clients of before and after are counted")


def test_a_reload_afterwards_finds_every_listener_unchanged(start, installed, place):
    text = config(
        listener("echo", options={}, environment={"A": "tab\\t\xe9 \\\"q\\\"", "B": ""}),
        listener("fork", "echo", "forking", address=["127.0.0.1:0", "[::1]:0"],
                 forking={"max_children": 7}, socket={"keepalive": {"idle": "9s"}, "tos": 8}),
        listener("serial", "sys_version1", "serial", max_connections=9, backlog=5,
                 rollback={"crashes": 0}, timeouts={"handler": "1min"}),
        listener("udp", "echo", protocol="udp", udp={"session_timeout": "2s"},
                 limits={"amplification": 2.5}),
        listener("unix", "echo", protocol="unix", address=f"{place}/echo.sock",
                 socket={"mode": "0600"}),
        listener("gram", "echo", protocol="unixgram", max_datagram="1kB"),
        listener("off", "echo", enabled=False),
        listener("greet", "greet", options={"greeting": "hi \\x01"})
        if (BUILD / "lib" / "handlerd" / "greet.so").exists() else listener("more", "echo"),
        drain_timeout="3s", max_generations=5,
        defaults={"socket": {"keepalive": {"interval": "7s"}}, "threading": {"min_threads": 2}})
    daemon = start(text=text)
    before = workers(daemon.status())
    for _ in range(2):
        assert upgrade(daemon)
    assert daemon.reload()
    assert daemon.log.find("generation 2: 0 listeners new or changed, 7 unchanged, 0 removed")
    assert workers(daemon.status()) == before
    assert (place / "echo.sock").is_socket()
    assert daemon.stop() == 0
    assert not (place / "echo.sock").exists()


def test_a_daemon_without_a_configuration_file_is_upgraded(start, installed, who):
    daemon = start(arguments=["--listen", "tcp:127.0.0.1:0", "--listen", "udp:127.0.0.1:0",
                              "--handler", "daytime", "--option", "utc=true"], user=who,
                   env={"TZ": "ABC-7"})
    assert upgrade(daemon)
    pid = daemon.worker("daytime")
    os.kill(pid, signal.SIGKILL)
    daemon.until(lambda state: state["daytime"].serving and
                 state["daytime"].serving[0].pid != pid, "the worker is replaced")
    # with its option: the clock of this test runs elsewhere
    hour = time.gmtime().tm_hour
    told = int(daemon.connect("daytime").line().split()[3].partition(":")[0])
    assert told in (hour, time.gmtime().tm_hour)
    assert daemon.connect("daytime-udp").send(b"x").receive()


def test_a_worker_that_dies_afterwards_is_replaced_and_told_of_with_its_places(start, installed):
    daemon = start(listener("f", "sys_fault", options={"at": "server_start", "what": ""}),
                   listener("echo"), env=CRASHES)
    assert upgrade(daemon)
    before = daemon.worker("f")
    mark = daemon.log.mark()
    os.kill(before, signal.SIGKILL)
    daemon.log.wait(r"worker of 'f' .* was killed by signal 9 .*; it is replaced at once", mark)
    daemon.until(lambda state: state["f"].serving and state["f"].serving[0].pid != before,
                 "the worker is replaced")
    assert echoes(daemon, "echo")


def test_a_worker_that_dies_meanwhile_is_replaced(start, installed):
    daemon = start(listener("echo"), listener("two", "echo"))
    dead = set()
    for _ in range(10):
        daemon.until(lambda state: all(one.serving and one.serving[0].pid not in dead
                                       for one in state.values()), "both are replaced")
        living = [one.serving[0].pid for one in daemon.status().values()]
        dead.update(living)
        mark = daemon.log.mark()
        daemon.kill(signal.SIGSTOP)
        os.kill(living[0], signal.SIGKILL)
        daemon.kill(signal.SIGUSR2)
        daemon.kill(signal.SIGCONT)
        # while it is on trial, or in the new program's hands
        daemon.log.wait("upgrading to", mark)
        os.kill(living[1], signal.SIGKILL)
        daemon.log.wait("upgraded from", mark)
    daemon.until(lambda state: all(one.serving and one.serving[0].pid not in dead
                                   for one in state.values()), "both are replaced")
    daemon.checks_balance = False
    assert len(procfs.children(daemon.pid)) == 2


def test_pauses_between_crashes_go_on(start, installed):
    daemon = start(listener("echo"))

    def crash():
        pid = daemon.until(lambda state: state["echo"].serving, "a worker serves")[0].pid
        mark = daemon.log.mark()
        os.kill(pid, signal.SIGKILL)
        return daemon.log.wait(r"it is replaced (.*)", mark)[1]

    assert [crash() for _ in range(6)] == ["at once"] * 5 + ["in 200 ms"]
    assert upgrade(daemon)
    assert crash() == "in 400 ms"


def test_a_draining_worker_keeps_its_deadline(start, installed):
    def text(number):
        return config(listener("v", "sys_version1", environment={"N": str(number)}),
                      drain_timeout="2s")
    daemon = start(text=text(0))
    client = daemon.connect()
    assert client.ask("x") == "version 1"
    began = time.monotonic()
    assert daemon.reload(text(1))
    before = workers(daemon.status())
    assert upgrade(daemon)
    assert workers(daemon.status()) == before
    assert client.ask("y") == "version 1"
    assert client.is_at_end()
    assert 1.5 < time.monotonic() - began < 8 * harness.SLOW
    daemon.until(lambda state: len(state["v"].workers) == 1, "the old worker ends")


def test_a_removed_listener_leaves_when_its_last_connection_has_ended(start, installed):
    daemon = start(listener("one", "echo"), listener("two", "sys_version1"))
    client = daemon.connect("two")
    assert client.ask("a") == "version 1"
    assert daemon.reload(config(listener("one", "echo")))
    assert upgrade(daemon)
    assert client.ask("b") == "version 1"
    assert list(daemon.status()) == ["one", "two"]
    client.close()
    daemon.log.wait("'two' is gone")


@pytest.mark.parametrize("is_upgraded", [False, True])
def test_a_removed_listener_whose_worker_dies_takes_nobody_with_it(start, installed, is_upgraded):
    top = {"log": {"connections": "all"}}
    daemon = start(listener("one", "echo"), listener("two", "sys_version1"), top=top)
    client = daemon.connect("two")
    assert client.ask("a") == "version 1"
    killed = daemon.worker("two")
    assert daemon.reload(config(listener("one", "echo"), **top))
    assert not is_upgraded or upgrade(daemon)
    os.kill(killed, signal.SIGKILL)
    assert client.is_at_end()
    daemon.log.wait("'two' is gone")
    daemon.log.wait(r"'two' #\d+ 127\.0\.0\.1:\d+: connection ended: crash")
    assert echoes(daemon, "one")


def test_sigterm_afterwards_drains(start, installed):
    daemon = start(listener("v", "sys_version1"))
    client = daemon.connect()
    assert client.ask("x") == "version 1"
    assert upgrade(daemon)
    daemon.kill(signal.SIGTERM)
    daemon.log.wait("stopping: connections have 30s to end")
    assert client.ask("y") == "version 1"
    client.close()
    assert daemon.wait_exit() == 0


def test_nothing_of_the_handing_over_stays_in_the_environment(start, installed):
    daemon = start(listener("echo"), env={"LISTEN_FDS": "0", "LISTEN_PID": "1"})
    assert upgrade(daemon) and upgrade(daemon)
    before = daemon.worker()
    os.kill(before, signal.SIGKILL)
    worker = daemon.until(lambda state: [one.pid for one in state["echo"].serving
                                         if one.pid != before], "it is replaced")[0]
    assert "HANDLERD_STATE" not in procfs.read(worker, "environ")
    assert "LISTEN_" not in procfs.read(daemon.pid, "environ")
    assert not [link for link in procfs.fds(daemon.pid).values() if "handlerd-state" in link]


def test_fifty_upgrades_leave_everything_as_it_was(start, installed):
    daemon = start(listener("echo"), listener("fork", "echo", "forking"),
                   listener("udp", "echo", protocol="udp"))
    client = daemon.connect("echo").send(b"1")
    before, fds, memory = None, None, None
    for number in range(50):
        if number % 10 == 0:
            installed.replace()
        assert upgrade(daemon)
        if number == 1:
            fds = sorted(procfs.fds(daemon.pid).values())
            before, memory = workers(daemon.status()), procfs.memory_kib(daemon.pid)
    assert sorted(re.sub(r"\d+", "", link) for link in procfs.fds(daemon.pid).values()) == \
        sorted(re.sub(r"\d+", "", link) for link in fds)
    assert workers(daemon.status()) == before
    assert IS_SANITIZED or procfs.memory_kib(daemon.pid) <= memory + 256
    assert client.exactly(1) == b"1" and client.send(b"2").exactly(1) == b"2"


def load(daemon, count, processes=4):
    """Clients that each say something and want it back."""
    target = "tcp:%s:%d" % daemon.address()
    return [subprocess.Popen(
        [str(ctl.PROGRAM), "send", "--count", str(count // processes), "--half-close", "--json",
         target, "hello"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=ctl.environment()) for _ in range(processes)]


def check_load(clients, count):
    answered = 0
    for client in clients:
        output, errors = client.communicate(timeout=harness.GUARD_S)
        assert client.returncode == 0, errors
        found = json.loads(output)
        assert (found["failed"], found["lost"]) == (0, 0), found
        answered += found["answered"]
    assert answered == count


@pytest.mark.parametrize("row", [76, 77])
def test_of_ten_thousand_connections_none_fails(start, installed, row):
    """76: upgrades under load; 77: with a program that is none."""
    daemon = start(listener("echo"))
    held = sockets(daemon.pid)
    clients = load(daemon, 10000)
    count = 0
    while any(client.poll() is None for client in clients):
        installed.replace(*(["/bin/false"] if row == 77 else []))
        assert upgrade(daemon) == (row == 76)
        count += 1
    check_load(clients, 10000)
    assert count > 1
    assert sockets(daemon.pid) == held
    daemon.until(lambda state: state["echo"].finished == 10000, "every client is counted once")


REFUSED = [
    ("/bin/false", 0o755, "its self-test exited with status 1 and gave no reason"),
    ("/bin/true", 0o755, "it knows of no self-test; is it handlerd?"),
    (__file__, 0o755, "it cannot be executed: it is no program for this machine"),
    (BUILD / "sbin" / "handlerd", 0o644, "it cannot be executed: Permission denied"),
    (BUILD / "sbin" / "handlerd", 0o777, "can be written by others"),
    (BROKEN / "crashes", 0o755, r"its self-test was killed by signal 6"),
    (BROKEN / "refuses", 0o755, "it understands no state of version 1$"),
    (BROKEN / "silent", 0o755, "it knows of no self-test; is it handlerd?"),
]


@pytest.mark.parametrize("source, mode, reason", REFUSED,
                         ids=["false", "true", "text", "not-executable", "writable", "crashes",
                              "older", "silent"])
def test_a_program_that_cannot_go_on_leaves_the_old_one(start, installed, place, source, mode,
                                                        reason):
    notify = Notify(place / "notify.sock")
    daemon = start(listener("echo"), env={"NOTIFY_SOCKET": notify.address})
    client = daemon.connect().send(b"1")
    before, fds = workers(daemon.status()), procfs.fds(daemon.pid)
    notify.receive()
    installed.replace(source, mode)
    why = refusal(daemon)
    assert re.search(reason, why) and str(installed.program) in why and " goes on" in why, why
    status = notify.receive()
    assert re.search(reason, status) and status.startswith("STATUS=Upgrade failed"), status
    assert workers(daemon.status()) == before
    assert procfs.fds(daemon.pid) == fds
    assert client.exactly(1) == b"1" and echoes(daemon)
    installed.replace()
    assert upgrade(daemon)
    assert workers(daemon.status()) == before
    notify.close()


def test_a_program_that_is_gone_leaves_the_old_one(start, installed):
    daemon = start(listener("echo"))
    installed.program.unlink()
    assert "no such file" in refusal(daemon).lower()
    installed.replace()
    assert upgrade(daemon) and echoes(daemon)


def test_a_worker_program_that_is_gone_leaves_the_old_one(start, installed):
    daemon = start(listener("echo"))
    worker = installed.directory / "libexec" / "handlerd" / "handlerd-worker"
    worker.rename(worker.with_name("away"))
    assert "its worker program cannot be used" in refusal(daemon)
    worker.with_name("away").rename(worker)
    worker.chmod(0o644)
    assert "its worker program cannot be executed" in refusal(daemon)
    assert echoes(daemon)


@pytest.mark.root
def test_a_program_that_cannot_be_executed_after_all_leaves_the_old_one(start, installed):
    daemon = start(listener("echo"))
    client = daemon.connect().send(b"1")
    fds = procfs.fds(daemon.pid)
    installed.replace(BROKEN / "locks")
    assert "it cannot be executed: Permission denied" in refusal(daemon)
    assert procfs.fds(daemon.pid) == fds
    # nothing of what was to be handed over is for others
    for fd in fds:
        flags = re.search(r"flags:\s+(\d+)", procfs.read(daemon.pid, f"fdinfo/{fd}"))[1]
        assert fd <= 2 or int(flags, 8) & os.O_CLOEXEC, (fd, fds[fd])
    assert client.exactly(1) == b"1" and echoes(daemon)


def test_a_program_that_hangs_is_ended_and_disturbs_nobody(start, installed):
    daemon = start(listener("echo"))
    installed.replace(BROKEN / "hangs")
    mark = daemon.log.mark()
    daemon.kill(signal.SIGUSR2)
    daemon.log.wait("upgrading to", mark)
    # supervision and reloads go on
    pid = daemon.worker()
    os.kill(pid, signal.SIGKILL)
    daemon.until(lambda state: state["echo"].serving and state["echo"].serving[0].pid != pid,
                 "the worker is replaced")
    assert daemon.reload(config(listener("echo"), listener("two", "echo")))
    assert echoes(daemon, "two")
    assert "did not end within 10 s" in daemon.log.wait(ENDED, mark, timeout=15).string
    daemon.checks_balance = False


def test_a_stop_does_not_wait_for_a_program_that_hangs(start, installed):
    daemon = start(listener("echo"))
    installed.replace(BROKEN / "hangs")
    daemon.kill(signal.SIGUSR2)
    daemon.log.wait("upgrading to")
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 5 * harness.SLOW
    assert daemon.log.find("not upgraded.*the daemon was stopped meanwhile")


def test_what_a_reload_changed_meanwhile_is_tried_again(start, installed):
    daemon = start(listener("echo"))
    installed.replace(BROKEN / "waits")
    mark = daemon.log.mark()
    daemon.kill(signal.SIGUSR2)
    daemon.log.wait("upgrading to", mark)
    others = {worker.pid for worker in daemon.listener().workers}
    tried = daemon.until(lambda _: set(procfs.children(daemon.pid)) - others, "it is tried").pop()
    daemon.until(lambda _: procfs.is_stopped(tried), "it waits")
    assert daemon.reload(config(listener("echo"), listener("two", "echo")))
    installed.replace()
    os.kill(tried, signal.SIGCONT)
    assert daemon.log.wait(ENDED, mark)[0].startswith("notice")
    assert daemon.log.find("same process, 2 listeners")
    assert echoes(daemon, "echo") and echoes(daemon, "two")


@pytest.mark.parametrize("what", ["block", ""], ids=["failed", "done"])
def test_usr2_during_a_reload_waits_for_its_end(start, installed, what):
    daemon = start(listener("echo"), top={"start_timeout": "1s"})
    mark = daemon.log.mark()
    daemon.write(config(listener("echo"), listener("slow", "sys_fault", options={
        "at": "server_start", "what": what}), start_timeout="1s"))
    daemon.kill(signal.SIGHUP)
    daemon.log.wait("fault: server_start", mark)
    daemon.kill(signal.SIGUSR2)
    daemon.log.wait("upgraded from", mark)
    order = [line for line in daemon.log.lines[mark:]
             if re.search("reloaded in|reload failed|upgraded from", line)]
    assert len(order) == 2 and "upgraded from" in order[1], order
    assert len(daemon.status()) == (1 if what else 2)


def test_many_usr2_and_hup_come_to_an_end(start, installed):
    daemon = start(listener("echo"))
    for number in range(30):
        daemon.kill(signal.SIGUSR2)
        daemon.kill(signal.SIGHUP)
        if number % 10 == 0:
            assert echoes(daemon)
    mark = daemon.log.mark()
    assert daemon.reload(config(listener("echo"), listener("last", "echo")), mark)
    daemon.log.wait("'last' listening on")
    assert upgrade(daemon)
    assert echoes(daemon, "echo") and echoes(daemon, "last")


def test_systemd_hears_ready_and_the_watchdog_goes_on(start, installed, place):
    notify = Notify(place / "notify.sock")
    daemon = start(listener("echo"), env={"NOTIFY_SOCKET": notify.address,
                                          "WATCHDOG_USEC": "600000000"})
    assert notify.receive() == "WATCHDOG=1"
    assert notify.receive().startswith("READY=1")
    assert upgrade(daemon)
    said = [notify.receive() for _ in range(3)]
    # the old program before it goes, the new one when it comes
    assert (said[0], said[2]) == ("WATCHDOG=1", "WATCHDOG=1")
    ready = dict(line.partition("=")[::2] for line in said[1].splitlines())
    assert ready["READY"] == "1" and "MAINPID" not in ready
    assert re.fullmatch(r"1 listeners, generation 1, upgraded to \d\S+", ready["STATUS"])
    assert daemon.stop() == 0
    assert "STOPPING=1" in notify.receive()
    notify.close()


def test_a_daemon_for_one_connection_is_not_upgraded(start, installed):
    daemon = start(arguments=["--listen", "tcp:127.0.0.1:0", "--handler", "echo", "--once"])
    assert "ends by itself" in refusal(daemon)
    assert echoes(daemon)
    assert daemon.wait_exit() == 0


def test_the_self_test_without_a_state_says_so():
    result = harness.run("--self-test")
    assert result.returncode == 1
    assert result.stderr == "handlerd: there is no state\n"
    assert "--self-test" not in harness.run("--help").stdout


def test_a_state_of_nobody_is_not_taken(start):
    daemon = start(listener("echo"), env={"HANDLERD_STATE": "2"})
    assert echoes(daemon)
    assert pathlib.Path(f"/proc/{daemon.pid}/exe").resolve() == harness.PROGRAM
