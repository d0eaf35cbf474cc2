"""Which system calls a handler may make, and that refused ones are told of, answered and bounded."""
import errno
import os
import re
import signal

import pytest

import asking
import harness
import procfs
from harness import CRASHES, IS_SANITIZED, TEST_HANDLERS, config, listener, run

# numbers of calls
SYS_SECCOMP = 317 if os.uname().machine == "x86_64" else 277
SYS_KEYCTL = 250 if os.uname().machine == "x86_64" else 219
SYS_LANDLOCK = 444  # landlock_create_ruleset, everywhere

HELPER = str(TEST_HANDLERS / "sys_tries_program")
REFUSED = r"warning: 't' generation \d+: handler '.*' 1 was refused "

# what standard refuses, with the error of the call without a filter out of the way
EPERM = ["mount", "keyctl", "unshare", "unshare_user", "bpf", "ptrace", "perf_event_open",
         "userfaultfd", "io_uring_setup", "setns", "chroot", "reboot", "adjtimex", "clone_newuser",
         "clone_newnet_high", "ioctl_sti", "ioctl_sti_high", "ioctl_linux", "personality_other",
         "ioctl_flow", "ioctl_exclusive", "ioctl_discipline",
         "mknod_device", "socket_packet", "socket_alg", "socket_high", "socket_audit",
         "option_filter", "option_filter_high", "option_bpf", "option_lock", "option_reuseport",
         "option_key", "option_encap"]
if IS_SANITIZED:
    EPERM.remove("ptrace")  # LeakSanitizer traces its own process
# 32-bit numbers
FOREIGN = ["int80", "x32"]
ENOSYS = ["clone3", "not_there"]
# what is let through, and fails by itself or not
PASSES = {"ioctl_other": "EBADF", "ioctl_attributes": "EBADF", "ioctl_flush": "EBADF",
          "personality_ask": "0", "mknod_fifo": "EBADF", "execve": "EFAULT",
          "socket_route": "0", "socket_inet": "0", "socket_inet6": "0", "socket_udp": "0",
          "socket_unix": "0", "option_detach": "EBADF", "option_tcp": "EBADF", "option_socket": "EBADF"}
# what handlers and the libraries in them do
WORKS = {"pthread_create": "0", "fork": "0", "posix_spawn": "0", "system": "7", "getifaddrs": "0",
         "memfd": "0", "socketpair": "0", "getaddrinfo localhost": "0"}


def tries(mode="threading", sandbox=None, name="t", **keys):
    keys.setdefault("options", {"helper": HELPER})
    if sandbox is not None:
        keys["sandbox"] = sandbox
    return listener(name, "sys_tries", mode, **keys)


def ask(client, *lines):
    """What comes of each."""
    client.send("".join(line + "\n" for line in lines))
    return {line: client.line() for line in lines}


def check(client, expected):
    assert ask(client, *expected) == expected


def answer(client):
    """The next line; "" where the connection is cut instead."""
    try:
        return client.line()
    except ConnectionResetError:
        return ""


def errors(names, error):
    return {name: error for name in names}


def inet_port(daemon):
    """A TCP port on which somebody answers."""
    return daemon.port("other")


def test_standard_lets_handlers_do_what_they_need_and_refuses_the_rest(start, mode, who):
    daemon = start(tries(mode), user=who)
    client = daemon.connect()
    check(client, WORKS | PASSES | errors(EPERM, "EPERM") | errors(ENOSYS, "ENOSYS"))
    if os.uname().machine == "x86_64":
        check(client, errors(FOREIGN, "EPERM"))
    assert daemon.log.wait(REFUSED + r"mount by its sandbox \(pid \d+\); such calls fail with EPERM")
    assert daemon.log.wait(REFUSED + r"ioctl\(\.\.\., 0x5412\) by")
    assert daemon.log.wait(REFUSED + r"socket\(0x11\) by")
    assert daemon.log.wait(REFUSED + r"clone\(0x10000011\) by")
    # what falls back is nobody's business
    assert not daemon.log.find("clone3")


def test_what_a_handler_starts_is_refused_the_same_and_told_of(start, mode):
    daemon = start(tries(mode))
    client = daemon.connect()
    check(client, {"thread keyctl": "EPERM", "child bpf": "EPERM", "program unshare": "EPERM",
                   "program clone3": "ENOSYS", "program ioctl_other": "EBADF"})
    for name in ("keyctl", "bpf", "unshare"):
        daemon.log.wait(REFUSED + name + " by its sandbox")


def test_the_process_is_told_of_whose_thread_it_was(start, mode):
    daemon = start(tries(mode))
    check(daemon.connect(), {"thread keyctl": "EPERM"})
    told = int(daemon.log.wait(REFUSED + r"keyctl by its sandbox \(pid (\d+)\)")[1])
    worker = daemon.worker()
    assert told in (procfs.children(worker) if mode == "forking" else [worker])


def test_strict_has_no_execution_and_no_new_sockets(start, mode):
    daemon = start(tries(mode, {"seccomp": "strict"}))
    client = daemon.connect()
    check(client, {"execve": "EPERM", "posix_spawn": "EPERM", "socket_unix": "EPERM",
                   "socket_inet": "EPERM", "socketpair": "0", "fork": "0", "pthread_create": "0",
                   "memfd": "0", "mount": "EPERM", "clone3": "ENOSYS",
                   "ioctl_attributes": "EPERM", "ioctl_flush": "EPERM", "ioctl_other": "EBADF",
                   "hd_connect unix:/run/nobody": "EPERM"})
    daemon.log.wait(REFUSED + "execve by its sandbox")
    # system(3) tells of a shell that could not be executed by its status
    assert ask(client, "system") == {"system": "127"}


def test_off_refuses_nothing(start, mode):
    daemon = start(tries(mode, {"seccomp": "off"}))
    client = daemon.connect()
    expected = {"ioctl_sti": "EBADF", "ptrace": "ESRCH", "personality_ask": "0", "execve": "EFAULT",
                "clone3": "EINVAL", "not_there": "ENOSYS", "setns": "EBADF"}
    check(client, expected)
    assert procfs.status(daemon.worker())["Seccomp"] == "0"
    assert not daemon.log.find("was refused")


@pytest.mark.parametrize("protocol", ["unix", "udp", "unixgram"])
def test_every_protocol_is_answered_in_strict_and_without_network(start, mode, protocol):
    strict = {"seccomp": "strict", "network": False}
    daemon = start(listener("echo", mode=mode, protocol=protocol, sandbox=strict))
    client = daemon.connect()
    if protocol == "unix":
        client.send("hello\n")
        assert client.line() == "hello"
    else:
        client.send(b"hello")
        assert client.receive() == b"hello"
    assert not daemon.log.find("was refused")


def test_without_network_there_are_no_connections_but_to_unix_sockets(start, mode):
    daemon = start(tries(mode, {"network": False}), listener("other", "echo"),
                   listener("near", "echo", protocol="unix"))
    port, near = inet_port(daemon), daemon.addresses("near")[0]
    client = daemon.connect("t")
    check(client, {"socket_inet": "EPERM", "socket_inet6": "EPERM", "socket_udp": "EPERM",
                   "socket_route": "EPERM", "socket_unix": "0", "posix_spawn": "0",
                   f"hd_connect tcp:127.0.0.1:{port}": "EPERM", f"hd_connect unix:{near}": "0"})
    daemon.log.wait(REFUSED + r"socket\(0x2\) by its sandbox")


@pytest.mark.parametrize("how", ["reuse_client", "reuse_client_fast", "reuse_listening",
                                 "reuse_listening_fast"])
@pytest.mark.parametrize("sandbox", [{"network": False}, {"seccomp": "strict"},
                                     {"network": False, "seccomp": "strict"}])
def test_sockets_that_are_there_cannot_be_used_to_connect_elsewhere(start, how, sandbox):
    """A client's or the listening one is let go of, and used as a fresh one would be."""
    if harness.IS_TSAN:
        pytest.skip("what the handler does to its worker's descriptors is a race")
    daemon = start(tries(sandbox=sandbox), tries(name="free"), listener("other", "echo"),
                   top={"drain_timeout": "100ms"})
    daemon.checks_balance = False
    client = daemon.connect("t")
    client.send(f"{how} {inet_port(daemon)}\n")
    # a client whose socket was let go of is at its end
    assert answer(client) in ("EPERM", "EACCES", "")
    assert daemon.listener("other").accepted == 0
    # without a sandbox, it can
    daemon.connect("free").send(f"{how} {inet_port(daemon)}\n")
    daemon.until(lambda state: state["other"].accepted == 1, "its own connection")


def test_with_network_handlers_connect(start, mode):
    daemon = start(tries(mode), listener("other", "echo"))
    check(daemon.connect("t"), {f"hd_connect tcp:127.0.0.1:{inet_port(daemon)}": "0"})


def test_network_false_needs_the_filter(place):
    path = place / "handlerd.conf"
    path.write_text(config(tries(sandbox={"network": False, "seccomp": "off"})))
    result = run("-t", "-c", path)
    assert result.returncode == 78
    assert "needs the filter of system calls, but sandbox.seccomp is \"off\"" in result.stderr


def test_server_start_and_constructors_are_within_the_sandbox(start):
    daemon = start(tries(options={"at_start": "keyctl"}))
    assert daemon.log.wait("at start keyctl: EPERM")
    daemon.log.wait("handler '.*' was refused keyctl by its sandbox")


def test_the_process_that_loads_on_trial_is_within_the_listeners_sandbox(start, place):
    path = place / "handlerd.conf"
    constructor = listener("t", "sys_constructor", environment={"CONSTRUCTOR": "keyctl"},
                           sandbox={"seccomp": "standard"})
    path.write_text(config(constructor))
    result = run("-t", "-c", path)
    assert result.returncode == 0, result.stderr
    warning = r"handlerd\.conf:\d+: handler '.*' \(.*\) was refused keyctl by its sandbox while it was loaded"
    assert re.search(warning, result.stderr), result.stderr
    path.write_text(config(constructor.replace("standard", "off")))
    assert "was refused" not in run("-t", "-c", path).stderr
    # at a reload, too
    daemon = start(listener("echo"))
    assert daemon.reload(config(listener("echo"), constructor))
    assert daemon.log.find(warning)


def test_a_reload_changes_the_sandbox_and_names_the_change(start):
    daemon = start(tries())
    check(daemon.connect(), {"socket_unix": "0"})
    assert daemon.reload(config(tries(sandbox={"seccomp": "strict"})))
    assert daemon.log.find("'t' settings changed")
    check(daemon.connect(), {"socket_unix": "EPERM"})
    mark = daemon.log.mark()
    assert daemon.reload(since=mark)
    assert not daemon.log.find("'t' settings changed", mark)


def test_defaults_and_listeners_are_merged_key_by_key(start):
    daemon = start(tries(sandbox={"network": False}),
                   top={"defaults": {"sandbox": {"seccomp": "strict"}}})
    check(daemon.connect(), {"execve": "EPERM", "socket_unix": "EPERM"})


def test_a_flood_of_refused_calls_is_few_lines_and_little_work(start):
    """A million calls from eight clients: the callers wait, nobody else does."""
    daemon = start(tries(), listener("other", "echo"),
                   top={"drain_timeout": "100ms"})
    daemon.checks_balance = False
    clients = [daemon.connect("t") for _ in range(8)]
    before = procfs.cpu_seconds(daemon.pid)
    for client in clients:
        client.send("flood keyctl 1000000\nflood mount 1000000\n")
    daemon.log.wait(REFUSED + "keyctl")
    other = daemon.connect("other")
    # so many answers take the flood some seconds
    began = os.times().elapsed
    count = 0
    while os.times().elapsed - began < 2:
        other.send("x\n")
        assert other.line() == "x"
        count += 1
    took = os.times().elapsed - began
    used = procfs.cpu_seconds(daemon.pid) - before
    if not IS_SANITIZED:
        assert used < 0.25 * took, f"the supervisor used {used} s in {took} s"
        assert count > 1000
    assert len(daemon.log.find("was refused")) <= 2
    mark = daemon.log.mark()
    daemon.kill(signal.SIGTERM)
    # what was left out is told before the end
    told = daemon.log.wait(r"'t': handler '.*' was refused keyctl by its sandbox (\d+) more times", mark)
    assert 500 < int(told[1]) < 10000


def test_refusals_are_told_of_after_an_upgrade(start, mode):
    daemon = start(tries(mode))
    client = daemon.connect()
    check(client, {"keyctl": "EPERM"})
    daemon.log.wait(REFUSED + "keyctl")
    daemon.kill(signal.SIGUSR2)
    daemon.log.wait("notice: upgraded from")
    check(client, {"bpf": "EPERM", "thread mount": "EPERM", "child setns": "EPERM"})
    for name in ("bpf", "mount", "setns"):
        daemon.log.wait(REFUSED + name)
    # and a second time, with a worker that the new program has started
    mark = daemon.log.mark()
    if mode != "forking":
        os.kill(daemon.worker(), signal.SIGKILL)
        daemon.log.wait("it is replaced", mark)
        daemon.until(lambda state: state["t"].serving, "its replacement")
        daemon.checks_balance = False
        client = daemon.connect()
    daemon.kill(signal.SIGUSR2)
    daemon.log.wait("notice: upgraded from", mark)
    check(client, {"reboot": "EPERM"})
    daemon.log.wait(REFUSED + "reboot", mark)


def test_descriptors_of_refusals_end_with_their_workers(start):
    daemon = start(tries())

    def sources():
        return sum("seccomp" in target for target in procfs.fds(daemon.pid).values())

    assert sources() == 1
    for number in range(3):
        assert daemon.reload(config(tries(options={"helper": f"/bin/x{number}"})))
    daemon.until(lambda state: not state["t"].draining, "the old workers are gone")
    assert sources() == 1
    assert not any("seccomp" in target for target in procfs.fds(daemon.worker()).values())


def test_refused_calls_do_not_hang_when_the_supervisor_is_killed(start, mode):
    daemon = start(tries(mode))
    client = daemon.connect()
    check(client, {"keyctl": "EPERM"})
    os.kill(daemon.pid, signal.SIGSTOP)
    # nobody answers now: the call waits
    client.send("mount\n")
    daemon.kill(signal.SIGKILL)
    assert client.line() == "ENOSYS"
    daemon.expected_exit = daemon.wait_exit()
    # the worker may live on for a moment, and still gets an answer at once
    try:
        assert ask(client, "bpf")["bpf"] in ("ENOSYS", "")
    except ConnectionError:
        pass


@pytest.fixture
def around(place, monkeypatch):
    """The daemon is executed by the program of this file, under a filter."""
    def one(*arguments):
        script = place / "confined"
        words = " ".join(map(str, arguments))
        script.write_text(f"#!/bin/sh\nexec {HELPER} {words} {harness.PROGRAM} \"$@\"\n")
        script.chmod(0o755)
        monkeypatch.setattr(harness, "PROGRAM", script)
    return one


def test_where_another_filter_has_the_place_calls_are_refused_without_a_word(start, around):
    """As in containers whose manager listens to a filter of its own."""
    around("--listened")
    daemon = start(tries(), listener("other", "sys_tries"))
    for name in ("t", "other"):
        client = daemon.connect(name)
        check(client, WORKS | PASSES | errors(EPERM, "EPERM") | errors(ENOSYS, "ENOSYS"))
    assert len(daemon.log.find("notice: system calls that sandboxes refuse are not told of: "
                               "a filter around this daemon")) == 1
    assert not daemon.log.find("was refused")


@pytest.mark.parametrize("error, advice", [
    (errno.EPERM, "; in a systemd unit, SystemCallFilter= must have seccomp"),
    (errno.ENOSYS, "; this kernel has no filters of system calls; sandbox.seccomp = \"off\" does without")])
def test_where_no_filter_can_be_installed_the_start_fails(start, around, error, advice):
    around("--denied", SYS_SECCOMP, error)
    daemon = start(tries(), is_awaited=False)
    daemon.expected_exit = daemon.wait_exit()
    assert daemon.expected_exit == 78
    assert daemon.log.find("error: worker of 't' .*: cannot filter its system calls: .*" + advice)
    # switched off, there is nothing to install
    start(tries(sandbox={"seccomp": "off"}))


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS])
def test_where_nobody_has_keys_none_can_be_left_behind(start, around, error):
    """As in containers, and in kernels without them."""
    around("--denied", SYS_KEYCTL, error)
    daemon = start(tries(sandbox={"seccomp": "off"}))
    check(daemon.connect(), {"keyctl": errno.errorcode[error]})


def test_where_landlock_is_missing_there_are_no_connections_at_all_without_network(start, around):
    around("--denied", SYS_LANDLOCK, errno.EOPNOTSUPP)
    daemon = start(tries(sandbox={"network": False}), listener("near", "echo", protocol="unix"))
    near = daemon.addresses("near")[0]
    check(daemon.connect("t"), {f"hd_connect unix:{near}": "EPERM", "socket_unix": "0",
                                "socket_inet": "EPERM"})
    daemon.log.wait(REFUSED + "connect by its sandbox")


@pytest.mark.parametrize("error, told", [
    (errno.ENOSYS, "needs Landlock, which this kernel does not have"),
    (errno.EOPNOTSUPP, "needs Landlock, which this kernel does not have"),
    (errno.EPERM, "in a systemd unit, SystemCallFilter= must have landlock_create_ruleset")])
def test_files_are_not_shown_where_landlock_is_missing(start, around, error, told):
    around("--denied", SYS_LANDLOCK, error)
    daemon = start(tries(sandbox={"filesystem": "ro:/usr"}), is_awaited=False)
    daemon.expected_exit = daemon.wait_exit()
    assert daemon.expected_exit == 78
    assert daemon.log.find(r"handlerd\.conf:2: .*listener 't'.*" + told)


def test_a_crash_is_reported_from_within_the_sandbox(start):
    daemon = start(listener("t", "sys_crash", sandbox={"seccomp": "strict", "network": False}),
                   env=CRASHES)
    daemon.checks_balance = False
    client = daemon.connect()
    client.send("segv\n")
    daemon.log.wait(r"error: worker of 't'.* was killed by signal 11 .* address 0x10 is not mapped")
    daemon.log.wait(r"error: worker of 't': #0 crash_here\+")
    assert not daemon.log.find("was refused")


def test_status_has_the_sandbox_and_counts_what_was_refused(start):
    daemon = start(tries(sandbox={"network": False, "filesystem": ["ro:/usr"]}), listener("other", "echo"))
    check(daemon.connect("t"), {"keyctl": "EPERM", "mount": "EPERM", "thread mount": "EPERM"})
    row, = asking.ask(daemon, "status", listener="t")["listeners"]
    assert row["sandbox"] == {"seccomp": "standard", "filesystem": ["ro:/usr"], "network": False,
                              "calls_refused": 3}
    row, = asking.ask(daemon, "status", listener="other")["listeners"]
    assert row["sandbox"] == {"seccomp": "standard", "filesystem": None, "network": True,
                              "calls_refused": 0}
    # it outlasts a reload that changes the listener, and an upgrade
    assert daemon.reload(config(tries(sandbox={"seccomp": "strict"})))
    daemon.kill(signal.SIGUSR2)
    daemon.log.wait("notice: upgraded from")
    row, = asking.ask(daemon, "status", listener="t")["listeners"]
    assert row["sandbox"]["calls_refused"] == 3
