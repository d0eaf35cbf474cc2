"""Which files there are for a handler, and that without network there is no TCP."""
import ctypes
import os
import re
import shutil
import signal

import pytest

from harness import BUILD, TEST_HANDLERS, config, listener, run
from test_seccomp import answer, ask, check, tries

LANDLOCK_CREATE_RULESET = 444


def version():
    """Of the kernel's Landlock; 0: it has none."""
    return max(0, ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1))


HAS_LANDLOCK = version() > 0
needs_version_2 = pytest.mark.skipif(version() < 2, reason="this kernel has no such Landlock")
needs_landlock = pytest.mark.skipif(not HAS_LANDLOCK, reason="this kernel has no Landlock")


@pytest.fixture
def files(place):
    """Directories that everybody may read and write, with a file in each."""
    for name in ("seen", "kept", "hidden"):
        directory = place / name
        directory.mkdir()
        directory.chmod(0o777)
        (directory / "file").write_text("x")
        (directory / "file").chmod(0o666)
        shutil.copy("/bin/true", directory / "program")
        (directory / "program").chmod(0o755)
    return place


def confined(files, *more, **keys):
    sandbox = {"filesystem": [f"ro:{files}/seen", f"rw:{files}/kept", *more]}
    return tries(sandbox=sandbox, **keys)


@needs_landlock
def test_there_is_what_is_listed_and_nothing_else(start, mode, who, files):
    daemon = start(confined(files, mode=mode), user=who)
    client = daemon.connect()
    seen, kept, hidden = (files / name for name in ("seen", "kept", "hidden"))
    check(client, {f"read {seen}/file": "0", f"list {seen}": "0", f"run {seen}/program": "0",
                   f"write {seen}/file": "EACCES", f"make {seen}/new": "EACCES",
                   f"remove {seen}/file": "EACCES", f"shorten {seen}/file": "EACCES"})
    check(client, {f"read {kept}/file": "0", f"list {kept}": "0", f"write {kept}/file": "0",
                   f"make {kept}/new": "0", f"mkdir {kept}/deep": "0", f"make {kept}/deep/x": "0",
                   f"shorten {kept}/file": "0", f"remove {kept}/new": "0",
                   # what was written is not executed
                   f"run {kept}/program": "EACCES"})
    check(client, {f"read {hidden}/file": "EACCES", f"list {hidden}": "EACCES",
                   f"write {hidden}/file": "EACCES", f"make {hidden}/new": "EACCES",
                   f"run {hidden}/program": "EACCES", f"list {files}": "EACCES", "list /": "EACCES",
                   "read /etc/fstab": "EACCES", "list /etc": "EACCES", "make /tmp/new": "EACCES"})
    # of the same user, and shut off all the same
    check(client, {f"thread mount": "EPERM", "list /root": "EACCES"})


@needs_landlock
def test_what_the_c_library_needs_is_there_without_being_listed(start, mode, files):
    daemon = start(confined(files, mode=mode))
    check(daemon.connect(), {
        "read /etc/passwd": "0", "read /etc/hosts": "0", "read /dev/urandom": "0",
        "write /dev/null": "0", "read /proc/self/maps": "0", "list /proc/self/fd": "0",
        "list /usr/lib": "0", "getaddrinfo localhost": "0", "pthread_create": "0", "fork": "0",
        "memfd": "0", "dlopen libutil.so.1": "0",
        # libraries are loaded; programs need their directory in the list
        "run /usr/bin/true": "EACCES", "posix_spawn": "EACCES", "system": "127"})


@needs_landlock
def test_programs_run_where_usr_is_listed(start, mode, files):
    daemon = start(confined(files, "ro:/usr", mode=mode))
    check(daemon.connect(), {"posix_spawn": "0", "system": "7", "run /usr/bin/true": "0",
                             f"list {files}/hidden": "EACCES"})


@needs_landlock
def test_what_a_handler_starts_sees_no_more(start, files):
    daemon = start(confined(files, "ro:/usr", f"ro:{TEST_HANDLERS}"))
    client = daemon.connect()
    # the program is confined too: it is found, and refused what its parent is
    check(client, {"program unshare": "EPERM", "child mount": "EPERM"})


@needs_landlock
def test_a_file_can_be_listed_by_itself(start, files):
    path = files / "hidden"
    daemon = start(tries(sandbox={"filesystem": f"rw:{path}/file"}))
    check(daemon.connect(), {f"read {path}/file": "0", f"write {path}/file": "0",
                             f"run {path}/program": "EACCES", f"list {path}": "EACCES"})


def test_unset_there_is_everything(start, mode, files):
    daemon = start(tries(mode))
    check(daemon.connect(), {f"read {files}/hidden/file": "0", f"write {files}/hidden/file": "0",
                             "list /": "0", "list /etc": "0"})


@needs_landlock
def test_a_path_that_is_not_there_is_refused_with_file_and_line(start, files):
    path = files / "handlerd.conf"
    gone = f"ro:{files}/gone"
    path.write_text(config(confined(files, gone)))
    result = run("-t", "-c", path)
    assert result.returncode == 78
    told = (rf"handlerd\.conf:2: sandbox\.filesystem of listener 't': {files}/gone cannot be "
            r"reached by its worker \(uid \d+\): No such file or directory")
    assert re.search(told, result.stderr), result.stderr
    # at a start, and at a reload
    daemon = start(confined(files, gone), is_awaited=False)
    assert daemon.wait_exit() == 78
    daemon.expected_exit = 78
    assert daemon.log.find(told)
    second = start(listener("echo"))
    assert not second.reload(config(listener("echo"), confined(files, gone)))
    assert second.log.find("No such file or directory")


@needs_landlock
@pytest.mark.root
def test_a_path_that_the_workers_user_cannot_reach_is_refused(start, files):
    (files / "shut" / "in").mkdir(parents=True)
    (files / "shut").chmod(0o700)
    daemon = start(confined(files, f"rw:{files}/shut/in"), is_awaited=False)
    daemon.expected_exit = daemon.wait_exit()
    assert daemon.expected_exit == 78
    assert daemon.log.find(rf"{files}/shut/in cannot be reached by its worker \(uid \d+\): "
                           "Permission denied")


@pytest.mark.parametrize("paths, told", [
    (["/usr"], "'/usr' must be ro: or rw: and an absolute path"),
    (["rx:/usr"], "'rx:/usr' must be ro: or rw:"),
    (["ro:usr"], "'ro:usr' must be ro: or rw:"),
    ([], "sandbox.filesystem must not be an empty list"),
    (["ro:/usr"] * 257, "has 257 paths; 256 are the most"),
])
def test_paths_are_checked(place, paths, told):
    path = place / "handlerd.conf"
    path.write_text(config(tries(sandbox={"filesystem": paths})))
    result = run("-t", "-c", path)
    assert result.returncode == 78
    assert told in result.stderr, result.stderr


def test_what_is_printed_is_the_same_when_it_is_read_back(place):
    path = place / "handlerd.conf"
    path.write_text(config(
        listener("echo", sandbox={"filesystem": ["ro:/usr"], "network": False}), listener("b", "echo")))
    first = run("-T", "-c", path)
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("filesystem =") == 1
    path.write_text(first.stdout)
    assert run("-T", "-c", path).stdout == first.stdout


@pytest.mark.parametrize("protocol", ["unix", "udp", "unixgram", "tcp"])
@needs_landlock
def test_every_protocol_is_answered_within_a_sandbox(start, mode, protocol):
    sandbox = {"seccomp": "strict", "network": False, "filesystem": "ro:/usr/share"}
    daemon = start(listener("echo", mode=mode, protocol=protocol, sandbox=sandbox))
    client = daemon.connect()
    if protocol in ("unix", "tcp"):
        client.send("hello\n")
        assert client.line() == "hello"
    else:
        client.send(b"hello")
        assert client.receive() == b"hello"
    assert not daemon.log.find("was refused")


@needs_landlock
def test_the_options_of_a_handler_and_its_libraries_are_checked_within_the_sandbox(start, files):
    """A handler from anywhere is loaded, although its directory is not listed."""
    directory = files / "own"
    directory.mkdir()
    directory.chmod(0o755)
    shutil.copy(BUILD / "lib" / "x86_64-linux-gnu" / "handlerd" / "echo.so"
                if (BUILD / "lib" / "x86_64-linux-gnu").is_dir()
                else BUILD / "lib" / "handlerd" / "echo.so", directory / "echo.so")
    daemon = start(listener("e", directory / "echo.so", sandbox={"filesystem": f"ro:{files}/seen"}))
    assert daemon.connect().send("x\n").line() == "x"


@needs_landlock
@pytest.mark.skipif(version() < 4, reason="this kernel's Landlock knows no TCP")
def test_without_network_tcp_is_forbidden_by_landlock_too(start):
    """The socket is there: the client's own, disconnected. seccomp lets connect(2) through."""
    daemon = start(tries(sandbox={"network": False}), listener("other", "echo"))
    daemon.checks_balance = False
    client = daemon.connect("t")
    client.send(f"reuse_client {daemon.port('other')}\n")
    assert answer(client) == ""
    assert daemon.listener("other").accepted == 0
    assert not daemon.log.find("was refused connect")


@needs_landlock
def test_forked_children_see_themselves(start, files):
    daemon = start(confined(files, mode="forking"))
    for _ in range(3):
        client = daemon.connect()
        check(client, {"read /proc/self/maps": "0"})
        client.close()


@needs_landlock
def test_a_worker_that_is_replaced_is_within_the_sandbox_again(start, files):
    daemon = start(confined(files))
    daemon.checks_balance = False
    os.kill(daemon.worker(), signal.SIGKILL)
    daemon.log.wait("it is replaced")
    daemon.until(lambda state: state["t"].serving, "its replacement")
    assert ask(daemon.connect(), "list /etc") == {"list /etc": "EACCES"}
    daemon.kill(signal.SIGUSR2)
    daemon.log.wait("notice: upgraded from")
    os.kill(daemon.worker(), signal.SIGKILL)
    daemon.log.wait("it is replaced", count=2)
    daemon.until(lambda state: state["t"].serving, "its replacement")
    assert ask(daemon.connect(), "list /etc") == {"list /etc": "EACCES"}
