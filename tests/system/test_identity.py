"""Who a worker is and what it holds: what it got from its supervisor, and nothing else."""
import os
import pwd
import re
import resource
import signal
import socket

import pytest

import procfs
from born import FAULTS, FIRST_SOCKET, NO_CAPS, check_fds, environment, signal_bits, worker_fds
from harness import BUILD, IS_SANITIZED, NOBODY, TEST_HANDLERS, config, listener, run

CAPS = ["CapInh", "CapPrm", "CapEff", "CapAmb"]


def expected_user(who):
    """The account that workers run as."""
    if who != "root":
        return pwd.getpwuid(NOBODY if who == "nobody" else os.geteuid())
    try:
        return pwd.getpwnam("handlerd")
    except KeyError:
        return pwd.getpwnam("nobody")


def processes(daemon, name=None):
    """The worker and its children."""
    pid = daemon.worker(name)
    return [pid, *procfs.descendants(pid)]


def served_by(daemon, mode):
    """The process that serves a connection, while it does."""
    client = daemon.connect()
    pid = int(client.line())
    assert (pid == daemon.worker()) == (mode != "forking")
    return pid


def check_status(status, user, who):
    assert status["Uid"].split() == [str(user.pw_uid)] * 4
    assert status["Gid"].split() == [str(user.pw_gid)] * 4
    if who == "root":
        assert sorted(map(int, status["Groups"].split())) == sorted(
            os.getgrouplist(user.pw_name, user.pw_gid))
        assert status["CapBnd"] == NO_CAPS
    assert [status[name] for name in CAPS] == [NO_CAPS] * 4
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


@pytest.mark.parametrize("mode", ["threading", "forking"])
def test_every_process_that_runs_handler_code_has_dropped_everything(start, mode, who):
    daemon = start(listener("i", "sys_identity", mode), user=who)
    user = expected_user(who)
    serving = served_by(daemon, mode)
    pids = processes(daemon)
    assert serving in pids
    for pid in pids:
        check_status(procfs.status(pid), user, who)
        assert procfs.status(pid)["Umask"] == "0077"
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert procfs.status(pid)["Name"] == "handlerd-worker"


@pytest.mark.root
@pytest.mark.parametrize("keys, warns", [({"user": "daemon"}, False),
                                         ({"user": "daemon", "group": "nogroup"}, False),
                                         ({"user": "root"}, True)])
def test_the_user_and_group_of_the_configuration_are_taken(start, keys, warns):
    daemon = start(listener("i", "sys_identity"), top=keys)
    status = procfs.status(daemon.worker())
    user = pwd.getpwnam(keys["user"])
    assert status["Uid"].split() == [str(user.pw_uid)] * 4
    assert status["Gid"].split()[0] == ("65534" if "group" in keys else str(user.pw_gid))
    assert status["NoNewPrivs"] == "1"
    assert bool(daemon.log.find("warning: .*workers run as root")) == warns
    assert (status["CapEff"] == NO_CAPS) != warns


@pytest.mark.root
def test_root_without_a_user_takes_handlerd_or_nobody_with_one_warning(start):
    daemon = start(listener("echo"), listener("two", "echo"))
    user = expected_user("root")
    for name in ("echo", "two"):
        assert procfs.status(daemon.worker(name))["Uid"].split()[0] == str(user.pw_uid)
    warnings = daemon.log.find("warning: there is no account 'handlerd'")
    assert len(warnings) == (1 if user.pw_name == "nobody" else 0)


def probe_lines(log_text, tag):
    rows = re.findall(rf"^{tag} (\w+):\s*(.*)$", log_text, re.M)
    return {name: value.strip() for name, value in rows}


def test_the_process_that_loads_on_trial_has_dropped_everything_too(start, who):
    daemon = start(listener("echo"), user=who)
    assert daemon.reload(config(listener("echo"), listener(
        "i", "sys_identity", environment={"SYS_IDENTITY": "probe"})))
    rows = [match.string for match in daemon.log.find("^probe ")]
    starts = [i for i, row in enumerate(rows) if row.startswith("probe Name:")]
    assert len(starts) == 2  # on trial, and the worker itself
    for begin, end in zip(starts, [*starts[1:], len(rows)]):
        check_status(probe_lines("\n".join(rows[begin:end]), "probe"), expected_user(who), who)


@pytest.mark.root
@pytest.mark.parametrize("command", ["-t", "--describe"])
def test_testing_and_describing_run_handler_code_without_privileges(place, command):
    path = place / "handlerd.conf"
    path.write_text(config(listener("i", "sys_identity", environment={"SYS_IDENTITY": "trial"})))
    if command == "-t":
        result = run("-t", "-c", path)
        assert result.returncode == 0
        check_status(probe_lines(result.stderr, "trial"), expected_user("root"), "root")
    else:
        # no listener, so no environment of its own: the account shows in what it may not read
        result = run("--describe", TEST_HANDLERS / "sys_identity.so")
        assert result.returncode == 0


@pytest.mark.parametrize("addresses", [1, 3])
def test_a_worker_is_born_with_exactly_the_listed_descriptors(start, mode, addresses):
    # what the test itself has open must not reach anybody
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        daemon = start(listener("i", "sys_identity", mode, address=["127.0.0.1:0", "[::1]:0",
                                                                    "127.0.0.2:0"][:addresses]),
                       listener("other", "echo"), pass_fds=[writer])
        pid = daemon.worker("i")
        # the rest are its own: events, never files or sockets
        check_fds(pid, worker_fds("sys_identity", addresses))
        inherited = os.readlink(f"/proc/self/fd/{writer}")
        for one in procfs.descendants(daemon.pid):
            assert inherited not in procfs.fds(one).values()
    finally:
        os.close(reader)
        os.close(writer)


def test_a_forked_child_has_its_connection_and_no_way_to_the_supervisor(start):
    daemon = start(listener("i", "sys_identity", "forking"))
    parent = daemon.worker()
    channel = procfs.fds(parent)[3]
    child = served_by(daemon, "forking")
    open_now = procfs.fds(child)
    assert channel not in open_now.values()
    sockets = [target for target in open_now.values() if target.startswith("socket:")]
    listening = procfs.fds(parent)[FIRST_SOCKET]
    assert len([target for target in sockets if target != listening]) == 1


def test_descriptors_are_closed_for_what_a_handler_executes(start, mode):
    daemon = start(listener("i", "sys_identity", mode))
    for pid in processes(daemon):
        for fd in procfs.fds(pid):
            flags = int(re.search(r"flags:\s+(\d+)", procfs.read(pid, f"fdinfo/{fd}"))[1], 8)
            assert fd <= 2 or flags & os.O_CLOEXEC, (pid, fd, procfs.fds(pid)[fd])


def test_the_environment_is_the_listed_one_and_the_listeners(start, who):
    daemon = start(listener("i", "sys_identity", environment={"OWN": "value", "LANG": "de_DE"}),
                   user=who, env={"SECRET": "x", "LD_LIBRARY_PATH": "/nowhere", "LC_TIME": "C",
                                  "NOTIFY_SOCKET": "/nowhere", "LISTEN_FDS": "1",
                                  "HOME": "/elsewhere"})
    user = expected_user(who)
    seen = environment(daemon.worker())
    # what the worker is executed with for its C library, and takes out before the handler is loaded
    assert seen.pop("GLIBC_TUNABLES") == "glibc.pthread.rseq=0"
    assert seen == {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "de_DE", "TZ": "UTC0",
                    "LC_TIME": "C", "HOME": user.pw_dir, "USER": user.pw_name,
                    "LOGNAME": user.pw_name, "OWN": "value"}


def test_signals_are_as_in_a_process_that_nobody_has_touched(start, mode):
    daemon = start(listener("i", "sys_identity", mode))
    serving = served_by(daemon, mode)
    if IS_SANITIZED:
        pytest.skip("sanitizers catch signals themselves")
    status = procfs.status(serving)
    # handled, not ignored: a program that a handler executes has them as it expects
    assert int(status["SigIgn"], 16) == 0
    # 32 and 33 are the C library's own
    caught = int(status["SigCgt"], 16) & ((1 << 31) - 1)
    assert int(status["SigBlk"], 16) == 0
    assert caught == signal_bits(signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ, *FAULTS)


def test_children_have_a_status_wherever_the_daemon_was_started(start):
    """Who starts it may ignore the ends of children, and what is ignored is inherited."""
    daemon = start(listener("i", "echo"),
                   before_exec=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert daemon.reload(config(listener("i", "echo", "forking")))
    daemon.until(lambda state: len(state["i"].workers) == 1, "the old worker ends")
    assert daemon.stop() == 0
    assert not daemon.log.find("was killed by|are lost")


def test_each_worker_is_a_process_group_of_its_own(start):
    daemon = start(listener("i", "sys_identity", "forking"), listener("two", "echo"))
    groups = {name: os.getpgid(daemon.worker(name)) for name in ("i", "two")}
    assert groups == {name: daemon.worker(name) for name in groups}
    for child in procfs.children(daemon.worker("i")):
        assert os.getpgid(child) == groups["i"]


def test_the_supervisor_never_loads_a_handler_and_has_one_thread(start):
    daemon = start(listener("i", "sys_identity"))
    daemon.connect().line()
    assert procfs.count_threads(daemon.pid) <= 1
    maps = procfs.read(daemon.pid, "maps")
    assert "sys_identity" not in maps
    assert "sys_identity" in procfs.read(daemon.worker(), "maps")


def test_a_supervisor_without_standard_descriptors_puts_no_socket_there(place):
    """0, 1 and 2 closed at the start: nothing that is opened later may become one of them."""
    path = place / "handlerd.conf"
    path.write_text(config(listener("echo")))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(place / "notify"))
        notify.settimeout(10)
        os.chmod(place / "notify", 0o666)
        pid = os.fork()
        if pid == 0:
            try:
                os.closerange(0, 3)
                os.execve(BUILD / "sbin/handlerd", ["handlerd", "-c", str(path)],
                          {"NOTIFY_SOCKET": str(place / "notify")})
            finally:
                os._exit(99)
        try:
            while b"READY=1" not in notify.recv(4096):
                pass
            for one in [pid, *procfs.descendants(pid)]:
                assert [procfs.fds(one)[fd] for fd in range(3)] == ["/dev/null"] * 3
        finally:
            os.kill(pid, signal.SIGTERM)
            assert os.waitpid(pid, 0)[1] == 0


def test_a_low_limit_of_open_files_lowers_the_limit_with_one_warning(start):
    daemon = start(listener("echo"), limits={resource.RLIMIT_NOFILE: (100, 100)})
    warnings = daemon.log.find("'echo' may serve 36 connections at once instead of 1024")
    assert len(warnings) == 1
    clients = [daemon.connect() for _ in range(36)]
    for client in clients:
        assert client.send(b"x").exactly(1) == b"x"
    waiting = daemon.connect().send(b"y")
    assert waiting.is_silent(0.2)
    clients.pop().close()
    assert waiting.exactly(1) == b"y"
    assert not daemon.log.find("cannot accept")


def test_a_worker_raises_its_own_soft_limit(start):
    daemon = start(listener("echo", max_connections=500),
                   limits={resource.RLIMIT_NOFILE: (64, 2000)})
    limits = re.search(r"Max open files +(\d+) +(\d+)", procfs.read(daemon.worker(), "limits"))
    assert int(limits[1]) >= 564 and int(limits[2]) == 2000
