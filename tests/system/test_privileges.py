"""The privilege audit: on every path that runs handler code, all that the kernel tells of the process is what the
design says, before a line of the handler has served, and while it serves."""
import contextlib
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess

import pytest

import harness
import installing
import keys
import procfs
from born import (FAULTS, FIRST_SOCKET, OWN, QUIET, SOCKET, Born, check_fds, trial_fds, wait_stopped, worker_fds)
from harness import CRASHES, IS_SANITIZED, NOBODY, TEST_HANDLERS, config, listener

pytestmark = pytest.mark.skipif(IS_SANITIZED, reason="sanitizers catch signals themselves")

HANDLER = TEST_HANDLERS / "sys_stopped.so"
ENVIRON = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TZ": "UTC0"}

# every key that an ordinary user may have, too
KEYS = {"umask": "0027", "nice": 6, "oom_score_adj": 321, "cpu_affinity": "0",
        "rlimits": {"core": "0B", "nofile": 600, "fsize": "1MiB", "nproc": 700}}
LIMITS = {"core": "0", "nofile": "600", "fsize": str(1 << 20), "nproc": "700"}

# what an older generation has left: its scoreboard
OLDER = rf"{OWN}|/memfd:handlerd-scoreboard.*"


def keys_for(who):
    keys = {**KEYS, "environment": {"OWN": "value"}, "max_connections": 100}
    if who == "root":
        keys |= {"user": "daemon", "group": "adm", "groups": ["tty"]}
    return keys


def born(daemon, who, environ=None):
    """What processes of a listener with keys_for are to be."""
    user = pwd.getpwnam("daemon") if who == "root" else pwd.getpwuid(
        NOBODY if who == "nobody" else os.geteuid())
    one = Born(daemon.pid, user, {**(ENVIRON if environ is None else environ), "OWN": "value"},
               {**KEYS, "rlimits": LIMITS}, is_dropped=who == "root")
    if who == "root":
        one.gid, one.groups = grp.getgrnam("adm").gr_gid, [grp.getgrnam("tty").gr_gid]
    else:
        one.gid = NOBODY if who == "nobody" else os.getegid()
    return one


@pytest.fixture(autouse=True, scope="module")
def key():
    """All that is started from here on inherits it."""
    return keys.plant()


def stopped(daemon, since=0, count=1):
    """The process that stands before the handler's first line, with nothing of the session that it comes from."""
    pid = wait_stopped(int(daemon.log.wait(r"^stopped (\d+)$", since, count=count)[1]))
    assert not daemon.log.find("has the key of who started the daemon")
    return pid


def look_and_let_go(daemon, who, since=0, count=1, more=OWN, table=None):
    """A worker where it loads the handler, from then on free to serve."""
    pid = stopped(daemon, since, count)
    born(daemon, who).check(pid, caught=(*QUIET, *FAULTS))
    check_fds(pid, table or worker_fds("sys_stopped"), more)
    os.kill(pid, signal.SIGCONT)
    return pid


@pytest.fixture
def serve(start, who):
    """A daemon whose worker was looked at where it loaded the handler."""
    def one(mode, **keys):
        user = "nobody" if who == "nobody" else "root"
        daemon = start(listener("i", HANDLER, mode, **{**keys_for(who), **keys}), user=user,
                       is_awaited=False, env=CRASHES)
        look_and_let_go(daemon, who)
        return daemon.wait_ready()
    return one


def check_serving(daemon, who, mode, older=False, name="i", expected=None):
    """The worker and, where there are children, each of them, one with a client."""
    client = daemon.connect(name)
    serving, worker = int(client.line()), daemon.worker(name)
    expected = expected or born(daemon, who)
    blocked = (signal.SIGTERM, signal.SIGCHLD) if mode == "forking" else ()
    caught = (signal.SIGTERM, *QUIET, *FAULTS)
    expected.check(worker, caught, blocked)
    connection = {} if mode == "forking" else {"more": f"{OLDER if older else OWN}|{SOCKET}"}
    check_fds(worker, worker_fds("sys_stopped"), **({"more": OLDER if older else OWN} | connection))
    sockets = [fd for fd, target in procfs.fds(worker).items() if target.startswith("socket:")]
    # the channel, the listening one and, where it is served here, the client's
    assert len(sockets) == 2 + (mode != "forking")
    children = procfs.descendants(worker)
    assert (serving in children) == (mode == "forking")
    for pid in children:
        try:
            check_child(pid, pid == serving, expected, OLDER if older else OWN)
        except (FileNotFoundError, ProcessLookupError):
            # one that has served its share
            assert pid != serving and not procfs.is_alive(pid)
    client.close()
    return worker


def check_child(pid, is_serving, expected, own):
    expected.check(pid, (signal.SIGTERM, *QUIET, *FAULTS))
    table = worker_fds("sys_stopped")
    del table[3]
    check_fds(pid, table, f"{own}|{SOCKET}")
    sockets = [fd for fd, target in procfs.fds(pid).items() if target.startswith("socket:")]
    assert len(sockets) == 1 + is_serving, procfs.fds(pid)


def test_fault_88_a_worker_and_its_children(serve, who, mode):
    daemon = serve(mode)
    check_serving(daemon, who, mode)


def test_fault_90_a_worker_after_a_crash(serve, who, mode):
    daemon = serve(mode)
    daemon.checks_balance = False
    daemon.expects_reports = True
    before, mark = daemon.worker("i"), daemon.log.mark()
    os.kill(before, signal.SIGKILL)
    look_and_let_go(daemon, who, mark)
    daemon.until(lambda state: state["i"].serving, "it serves again")
    assert check_serving(daemon, who, mode) != before


def test_fault_90_a_child_after_a_crash_of_another(serve, who):
    daemon = serve("forking")
    daemon.checks_balance = False
    daemon.expects_reports = True
    before = daemon.worker("i")
    daemon.connect("i").send(b"c").rest()
    assert check_serving(daemon, who, "forking") == before


def test_fault_90_a_trial_load_and_a_worker_at_a_reload(serve, who, mode):
    daemon = serve(mode)
    before, mark = daemon.worker("i"), daemon.log.mark()
    daemon.write(config(listener("i", HANDLER, mode, **{**keys_for(who), "timeouts": {"handler": "1h"}})))
    daemon.kill(signal.SIGHUP)
    probe = stopped(daemon, mark)
    born(daemon, who).check(probe, caught=QUIET)
    check_fds(probe, trial_fds("sys_stopped"))
    os.kill(probe, signal.SIGCONT)
    pid = look_and_let_go(daemon, who, mark, count=2, more=OLDER)
    daemon.log.wait("notice: reloaded in ", mark)
    assert check_serving(daemon, who, mode, older=True) == pid != before


def test_fault_90_a_worker_on_demand(start, who, mode):
    daemon = start(listener("i", HANDLER, mode, start="on_demand", **keys_for(who)),
                   user="nobody" if who == "nobody" else "root", is_awaited=False)
    probe = stopped(daemon)
    born(daemon, who).check(probe, caught=QUIET)
    check_fds(probe, trial_fds("sys_stopped"))
    os.kill(probe, signal.SIGCONT)
    daemon.wait_ready()
    client = daemon.connect("i")
    look_and_let_go(daemon, who, count=2)
    assert int(client.line())
    client.close()
    daemon.until(lambda state: state["i"].open == 0, "nobody is served")
    check_serving(daemon, who, mode)


def test_fault_90_a_worker_that_is_recycled(serve, who, mode):
    daemon = serve(mode, recycle={"connections": 1})
    before, mark = daemon.worker("i"), daemon.log.mark()
    client = daemon.connect("i")
    assert client.line()
    look_and_let_go(daemon, who, mark, more=OLDER)
    client.close()
    daemon.until(lambda state: [one.pid for one in state["i"].serving] not in ([before], []),
                 "another serves")
    assert daemon.worker("i") != before


def test_fault_90_workers_before_and_after_an_upgrade(serve, who, mode, installed):
    daemon = serve(mode)
    assert check_serving(daemon, who, mode) == daemon.worker("i")
    before = daemon.worker("i")
    installed.replace()
    assert installing.upgrade(daemon)
    # the one that is kept, and one that the new program has started
    assert check_serving(daemon, who, mode) == before
    mark = daemon.log.mark()
    daemon.checks_balance = False
    os.kill(before, signal.SIGKILL)
    look_and_let_go(daemon, who, mark)
    daemon.until(lambda state: state["i"].serving, "it serves again")
    assert check_serving(daemon, who, mode) != before


def test_fault_90_a_worker_of_before_that_crashes_bring_back(serve, who, mode):
    daemon = serve(mode)
    daemon.checks_balance = False
    daemon.expects_reports = True
    mark = daemon.log.mark()
    daemon.write(config(listener("i", HANDLER, mode, **{**keys_for(who), "timeouts": {"handler": "1h"}})))
    daemon.kill(signal.SIGHUP)
    os.kill(stopped(daemon, mark), signal.SIGCONT)
    crashing = look_and_let_go(daemon, who, mark, count=2, more=OLDER)
    daemon.log.wait("notice: reloaded in ", mark)
    mark, began = daemon.log.mark(), 0
    for number in range(3):
        daemon.connect("i").send(b"c").rest()
        if mode != "forking" and number < 2:
            began += 1
            crashing = look_and_let_go(daemon, who, mark, count=began, more=OLDER)
            daemon.until(lambda state: state["i"].serving, "it serves again")
    daemon.log.wait("it goes back to the settings and the handler file of generation 1", mark)
    back = look_and_let_go(daemon, who, mark, count=began + 1, more=OLDER)
    daemon.log.wait("notice: rolled back in ", mark)
    assert check_serving(daemon, who, mode, older=True) == back != crashing


def plain(daemon, who):
    """What processes are to be that only the command line tells of."""
    one = Born(daemon.pid, born(daemon, who).user, ENVIRON, is_dropped=who == "root")
    one.gid = born(daemon, who).gid
    if who == "root":
        one.groups = sorted(os.getgrouplist("daemon", one.gid))
    return one


def of_command_line(who):
    return ["--handler", str(HANDLER), *(["--user", "daemon", "--group", "adm"] if who == "root" else [])]


def test_fault_90_a_worker_without_a_file(start, who, mode):
    daemon = start(arguments=["--listen", "tcp:127.0.0.1:0", *of_command_line(who),
                              "--concurrency", mode],
                   user="nobody" if who == "nobody" else "root", is_awaited=False)
    expected = plain(daemon, who)
    pid = stopped(daemon)
    expected.check(pid, caught=(*QUIET, *FAULTS))
    check_fds(pid, worker_fds("sys_stopped"))
    os.kill(pid, signal.SIGCONT)
    daemon.wait_ready()
    check_serving(daemon, who, mode, name=None, expected=expected)


@contextlib.contextmanager
def passed_to(who, *arguments):
    """handlerd with a connection on descriptors 0 and 1, as inetd starts it, and the other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        connection, _ = server.accept()
    client.settimeout(harness.WAIT_S)
    with client:
        with command(*arguments, user=who, stdin=connection, stdout=connection) as process:
            connection.close()
            yield process, client
            client.close()


def test_fault_90_a_worker_of_a_connection_that_inetd_passes(who):
    with passed_to(who, "--inetd", *of_command_line(who)) as (process, client):
        expected = plain(process, who)
        pid = stopped(process)
        expected.check(pid, caught=(*QUIET, *FAULTS))
        check_fds(pid, worker_fds("sys_stopped"))
        os.kill(pid, signal.SIGCONT)
        # and while it serves; it has no way to anybody but the supervisor and this client
        with client.makefile() as lines:
            assert int(lines.readline()) == pid
        assert procfs.children(process.pid) == [pid]
        expected.check(pid, (signal.SIGTERM, *QUIET, *FAULTS))
        table = worker_fds("sys_stopped")
        del table[FIRST_SOCKET]  # whoever serves it has taken it from there
        check_fds(pid, table, more=f"{OWN}|{SOCKET}")
        connection, = [target for number, target in procfs.fds(pid).items()
                       if target.startswith("socket:") and number not in table]
        assert connection not in [procfs.fds(process.pid)[number] for number in range(3)]


@contextlib.contextmanager
def command(*arguments, user=None, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
    """handlerd as a command that comes to an end by itself; harness.Daemon without its clients."""
    identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if user == "nobody" else {}
    process = subprocess.Popen([str(harness.PROGRAM), *map(str, arguments)], cwd="/", env=ENVIRON,
                               stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, **identity)
    process.log = harness.Log(process.stderr)
    try:
        yield process
        assert process.wait(harness.WAIT_S) == 0, process.log.text()
    finally:
        process.kill()
        process.wait()
        process.log.close()


def test_fault_90_a_trial_load_of_t(place, who, mode):
    path = place / "handlerd.conf"
    path.write_text(config(listener("i", HANDLER, mode, **keys_for(who))))
    with command("-t", "-c", path, user=who) as process:
        pid = stopped(process)
        born(process, who).check(pid, caught=QUIET)
        check_fds(pid, trial_fds("sys_stopped"))
        os.kill(pid, signal.SIGCONT)


def test_fault_90_describing_a_handler(who):
    user = pwd.getpwuid(os.geteuid() if who == "self" else NOBODY)
    with command("--describe", HANDLER, user=who) as process:
        pid = stopped(process)
        one = Born(process.pid, user, ENVIRON, is_dropped=who == "root")
        one.gid = os.getegid() if who == "self" else NOBODY
        one.check(pid, caught=QUIET)
        check_fds(pid, trial_fds("sys_stopped"))
        os.kill(pid, signal.SIGCONT)


@pytest.mark.root
@pytest.mark.parametrize("path", ["start", "reload", "crash", "demand", "upgrade", "t"])
def test_fault_90_a_root_of_its_own_on_every_path(start, place, path, installed):
    jail = place / "jail"
    jail.mkdir()
    jail.chmod(0o755)
    keys = {"user": "daemon", "root_directory": str(jail)}
    more = {"start": "on_demand"} if path == "demand" else {}
    text = config(listener("i", HANDLER, **keys, **more))

    def check(pid, caught):
        one = Born(daemon.pid, pwd.getpwnam("daemon"), ENVIRON, keys)
        one.check(pid, caught)
        assert os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink(f"/proc/{daemon.pid}/ns/mnt")
        os.kill(pid, signal.SIGCONT)

    if path == "t":
        (place / "t.conf").write_text(text)
        with command("-t", "-c", place / "t.conf") as daemon:
            check(stopped(daemon), QUIET)
        return
    daemon = start(text=text, is_awaited=False)
    check(stopped(daemon), QUIET if path == "demand" else (*QUIET, *FAULTS))
    daemon.wait_ready()
    mark = daemon.log.mark()
    daemon.checks_balance = False
    if path == "demand":
        daemon.connect("i")
    elif path == "reload":
        daemon.write(config(listener("i", HANDLER, **keys, max_connections=9)))
        daemon.kill(signal.SIGHUP)
        check(stopped(daemon, mark), QUIET)
        check(stopped(daemon, mark, count=2), (*QUIET, *FAULTS))
        daemon.log.wait("notice: reloaded in ", mark)
    elif path == "upgrade":
        installed.replace()
        assert installing.upgrade(daemon)
    if path in ("crash", "upgrade"):
        os.kill(daemon.worker("i"), signal.SIGKILL)
    if path in ("demand", "crash", "upgrade"):
        check(stopped(daemon, mark), (*QUIET, *FAULTS))
        daemon.until(lambda state: state["i"].serving, "it serves")
    assert daemon.connect("i").line() == str(daemon.worker("i"))


@pytest.mark.root
def test_fault_88_nothing_brings_root_back(start, mode, place):
    program = place / "show"
    shutil.copy(TEST_HANDLERS / "sys_show", program)
    program.chmod(0o4755)
    out = place / "out"
    out.mkdir()
    out.chmod(0o777)
    daemon = start(listener("i", "sys_process", mode, environment={"SHOW": str(program)}),
                   top={"user": "daemon"})
    client = daemon.connect()
    # every way that there is fails: with EPERM, or is no call at all
    told = dict(row.split("=") for row in client.ask("regain").split())
    assert set(told.values()) <= {"EPERM", "EACCES", "ENOSYS"}, told
    assert {"setuid", "setresuid", "setgid", "setgroups", "capset", "chroot", "unshare", "mount",
            "ptrace", "kill", "nice", "rlimit"} <= set(told)
    # a program that belongs to root with the bit that makes it run as root
    assert client.ask(f"run fork {out}/file") == "0"
    shown = (out / "file").read_text()
    uid = pwd.getpwnam("daemon").pw_uid
    assert f"status Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in shown
    assert "status CapPrm:\t0000000000000000\n" in shown


def shown_rows(text, name):
    return [row.partition(" ")[2] for row in text.splitlines() if row.startswith(name + " ")]


@pytest.mark.parametrize("how", ["fork", "spawn", "system", "popen"])
def test_fault_35_a_program_that_a_handler_executes(start, mode, who, place, how):
    out = place / "out"
    out.mkdir()
    out.chmod(0o777)
    daemon = start(listener("i", "sys_process", mode, umask="0022",
                            environment={"SHOW": str(TEST_HANDLERS / "sys_show")}),
                   user="nobody" if who == "nobody" else "root",
                   env={"SECRET": "x", "LISTEN_PID": "1", "NOTIFY_SOCKET": "/nowhere"})
    client = daemon.connect()
    assert client.ask(f"run {how} {out}/file") == "0"
    text = (out / "file").read_text()
    # of popen the output, which is what it is for
    assert sorted(map(int, shown_rows(text, "fd"))) == [0, 1, 2]
    status = dict(re.split(r":\s*", row, maxsplit=1) for row in shown_rows(text, "status"))
    for name in ("SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"):
        # posix_spawn of the C library ignores 32 and 33, which are its own
        assert int(status[name], 16) & ((1 << 31) - 1) == 0, name
    assert status["NoNewPrivs"] == "1" and status["CapEff"] == "0" * 16
    names = {row.partition("=")[0] for row in shown_rows(text, "environment")}
    names -= {name for name in names if name.endswith("SAN_OPTIONS")}
    # what a shell adds is its own
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "LANG", "TZ", "HOME", "USER",
                                                       "LOGNAME", "SHOW"}
    assert shown_rows(text, "directory") == ["/"]
    assert shown_rows(text, "umask") == ["0022"]


@pytest.mark.root
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("call, step", [
    ("setgroups", "set the supplementary groups"), ("setresgid", "set the group"),
    ("setresuid", "set the user"), ("capset", "clear the bounding set of capabilities"),
    ("keyctl", "join a session keyring of its own"),
    ("setpriority", "set nice to 6"), ("sched_setaffinity", "set cpu_affinity to 0")])
@pytest.mark.parametrize("path", ["start", "t"])
def test_fault_89_a_step_that_fails_ends_the_worker_before_the_handler(place, call, step, path):
    file = place / "handlerd.conf"
    file.write_text(config(listener("i", HANDLER, **keys_for("root"))))
    arguments = ["-t"] if path == "t" else []
    result = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
         f"inject={call}:error=EAGAIN", str(harness.PROGRAM), *arguments, "-c", str(file)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        cwd="/", env=ENVIRON, timeout=harness.WAIT_S, check=False)
    if "strace: " in result.stderr:
        pytest.skip("strace cannot trace here: " + result.stderr)
    assert result.returncode == (78 if path == "t" else 1), result.stderr
    assert f"cannot {step}: Resource temporarily unavailable" in result.stderr, result.stderr
    assert not re.search(r"^stopped \d", result.stderr, re.M)
