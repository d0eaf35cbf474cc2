"""Unix sockets with a path: whose file it is, who may connect, and when it goes."""
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess

import pytest

import procfs
import sockets
import harness
from harness import NOBODY, PROGRAM, WAIT_S, config, listener
from sockets import Stream, ask, echoes, mode_of

PROTOCOLS = ["unix", "unixgram"]
KINDS = {"unix": socket.SOCK_STREAM, "unixgram": socket.SOCK_DGRAM}
pytestmark = pytest.mark.parametrize("protocol", PROTOCOLS)


@pytest.fixture
def run(place):
    """A directory in which every user may make sockets."""
    directory = place / "run"
    directory.mkdir()
    directory.chmod(0o777)
    return directory


def unix(path, protocol, name="u", handler="echo", **keys):
    return listener(name, handler, protocol=protocol, address=str(path), **keys)


def refuse(start, *listeners, status=1, **keys):
    daemon = start(*listeners, is_awaited=False, **keys)
    daemon.expected_exit = status
    assert daemon.wait_exit() == status, daemon.log.text()
    lines = [match.string.partition(" error: ")[2] for match in daemon.log.find(" error: ")]
    return lines[:-1]


def identity(path):
    found = os.lstat(path)
    return found.st_dev, found.st_ino


# What stands there already

def test_a_socket_that_a_killed_daemon_left_is_replaced(start, run, protocol, who):
    path = run / "s"
    first = start(unix(path, protocol), user=who)
    first.expected_exit = -signal.SIGKILL
    worker = os.pidfd_open(first.worker("u"))
    first.kill(signal.SIGKILL)
    assert first.wait_exit() == -signal.SIGKILL
    # the worker ends with its supervisor; until it has, the socket lives
    is_dead = procfs.wait_death(worker, WAIT_S)
    os.close(worker)
    assert is_dead
    assert stat.S_ISSOCK(path.lstat().st_mode)
    start(unix(path, protocol), user=who)
    assert echoes(protocol, str(path))


@pytest.mark.parametrize("kind", PROTOCOLS)
@pytest.mark.parametrize("is_listening", [True, False])
def test_a_live_socket_of_another_program_is_never_taken(start, run, protocol, kind, is_listening):
    path = run / "s"
    with socket.socket(socket.AF_UNIX, KINDS[kind]) as other:
        other.bind(str(path))
        if kind == "unix" and is_listening:
            other.listen()
        before = identity(path)
        lines = refuse(start, unix(path, protocol))
        assert len(lines) == 1 and "a program that runs has that socket" in lines[0]
        assert str(path) in lines[0] and identity(path) == before
        if kind == "unix" and is_listening:
            # nor was it troubled by a connection
            other.setblocking(False)
            with pytest.raises(BlockingIOError):
                other.accept()


@pytest.mark.parametrize("make", [
    lambda path: path.write_text("kept\n"), lambda path: os.mkfifo(path), lambda path: path.mkdir(),
    lambda path: path.symlink_to("nowhere"), lambda path: path.symlink_to("/etc/passwd"),
], ids=["file", "fifo", "directory", "dangling", "link"])
def test_what_is_no_socket_is_never_removed(start, run, protocol, make):
    path = run / "s"
    make(path)
    before = identity(path), path.lstat().st_mode
    lines = refuse(start, unix(path, protocol))
    assert len(lines) == 1 and "is no socket and is not removed" in lines[0], lines
    assert (identity(path), path.lstat().st_mode) == before


@pytest.mark.root
def test_an_ordinary_user_does_not_replace_stale_sockets_of_others(start, run, protocol):
    path = run / "s"
    with socket.socket(socket.AF_UNIX, KINDS[protocol]) as other:
        other.bind(str(path))
    path.chmod(0o777)
    before = identity(path)
    lines = refuse(start, unix(path, protocol), user="nobody")
    assert len(lines) == 1 and "those of other users" in lines[0]
    assert identity(path) == before


def test_a_directory_that_does_not_exist_is_told(start, run, protocol):
    lines = refuse(start, unix(run / "none" / "s", protocol))
    assert len(lines) == 1 and "its directory does not exist" in lines[0]


def test_a_failed_reload_leaves_no_path_and_takes_none(start, run, protocol):
    text = config(unix(run / "s", protocol))
    daemon = start(text=text)
    (run / "file").write_text("kept\n")
    before = identity(run / "s")
    assert not daemon.reload(config(unix(run / "s", protocol), unix(run / "new", protocol, "v"),
                                    unix(run / "file", protocol, "w")))
    assert not os.path.lexists(run / "new")
    assert identity(run / "s") == before and (run / "file").read_text() == "kept\n"
    assert echoes(protocol, str(run / "s"))


# Who may connect

@pytest.mark.parametrize("mode_text, mode", [(None, 0o660), ("0600", 0o600), ("0777", 0o777),
                                             ("0000", 0)])
@pytest.mark.parametrize("umask", [0, 0o077])
def test_the_mode_is_exact_whatever_the_umask(start, run, protocol, who, mode_text, mode, umask):
    keys = {"socket": {"mode": mode_text}} if mode_text else {}
    before = os.umask(umask)
    try:
        start(unix(run / "s", protocol, **keys), user=who)
    finally:
        os.umask(before)
    assert mode_of(run / "s") == mode


@pytest.mark.root
def test_owner_and_group_are_those_asked_for(start, run, protocol):
    user, group = pwd.getpwnam("daemon"), grp.getgrnam("games")
    start(unix(run / "s", protocol, socket={"owner": "daemon", "group": "games", "mode": "0620"}),
          unix(run / "t", protocol, "plain"))
    found = os.lstat(run / "s")
    assert (found.st_uid, found.st_gid, mode_of(run / "s")) == (user.pw_uid, group.gr_gid, 0o620)
    assert (os.lstat(run / "t").st_uid, os.lstat(run / "t").st_gid) == (0, 0)


@pytest.mark.root
def test_an_ordinary_user_cannot_give_its_socket_away(start, run, protocol):
    lines = refuse(start, unix(run / "s", protocol, socket={"owner": "daemon"}), user="nobody")
    assert len(lines) == 1 and "only root can give sockets away" in lines[0]
    assert not os.path.lexists(run / "s")


@pytest.mark.parametrize("key", ["owner", "group"])
def test_a_name_that_does_not_exist_is_refused_with_its_line(start, run, protocol, key):
    lines = refuse(start, unix(run / "s", protocol, socket={key: "nosuchname"}), status=78)
    assert len(lines) == 1 and "nosuchname" in lines[0]
    assert re.search(r"handlerd\.conf:\d+: ", lines[0]) and not os.path.lexists(run / "s")


@pytest.mark.root
def test_only_those_whom_the_mode_lets_may_connect(start, run, protocol):
    daemon = start(unix(run / "s", protocol, socket={"mode": "0660"}))

    def is_let(uid):
        child = os.fork()
        if child == 0:
            status = 2
            try:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                with socket.socket(socket.AF_UNIX, KINDS[protocol]) as one:
                    status = 1 if one.connect_ex(str(run / "s")) else 0
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, 1)
        return status == 0
    assert not is_let(NOBODY)
    assert daemon.reload(config(unix(run / "s", protocol, socket={"mode": "0666"})))
    assert is_let(NOBODY)


@pytest.mark.root
def test_a_worker_of_another_user_serves_it(start, run, protocol):
    daemon = start(unix(run / "s", protocol, handler="sys_socket", socket={"mode": "0600"}),
                   top={"user": "nobody"})
    uid, pid = ask(protocol, str(run / "s"), "user").split()
    assert (int(uid), int(pid)) == (NOBODY, daemon.worker("u"))
    assert os.lstat(run / "s").st_uid == 0


CALLS = "bind,chmod,fchmod,fchmodat,chown,lchown,fchown,fchownat,listen,umask,unlink,unlinkat"


def trace(place, run, protocol, user, socket_keys):
    """What the daemon calls until it is ready, on files and sockets."""
    (place / "handlerd.conf").write_text(config(unix(run / "s", protocol, socket=socket_keys)))
    output = place / "trace"
    output.write_text("")
    output.chmod(0o666)
    as_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if user == "nobody" else {}
    process = subprocess.Popen(
        ["strace", "-o", str(output), "-e", "trace=" + CALLS, str(PROGRAM), "-c",
         str(place / "handlerd.conf")], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        text=True, cwd="/", **as_user)
    told = []
    for line in process.stderr:
        told.append(line)
        if "notice: ready in " in line:
            break
    else:
        process.wait()
        if any(line.startswith("strace: ") for line in told):
            pytest.skip("strace cannot trace here: " + "".join(told))
        raise AssertionError("".join(told))
    daemon = int(open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()[0])
    os.kill(daemon, signal.SIGTERM)
    assert process.wait(20) == 0
    process.stderr.close()
    return output.read_text().splitlines()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.skipif(harness.IS_SANITIZED, reason="sanitizers do not bear to be traced")
def test_the_socket_is_closed_from_its_bind_to_its_mode(place, run, protocol, who):
    keys = {"mode": "0640"}
    if who == "root":
        keys["group"] = "games"
    lines = trace(place, run, protocol, who, keys)
    at = next(i for i, line in enumerate(lines) if line.startswith("bind(") and str(run) in line)
    assert re.match(r"umask\(0?777\)", lines[at - 1]), lines
    assert re.match(r"umask\(", lines[at + 1]), lines
    changes = [line for line in lines[at + 2:] if re.match(r"(f?ch(mod|own)|listen)", line)]
    expected = (["fchownat("] if who == "root" else []) + ["chmod("] + \
        (["listen("] if protocol == "unix" else [])
    # sockets that it is compared with listen later
    assert [line[:line.index("(") + 1] for line in changes][:len(expected)] == expected, lines
    chmod = next(line for line in changes if line.startswith("chmod("))
    assert ", 0640)" in chmod and "/proc/self/fd/" in chmod


# When it goes

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_the_path_goes_at_the_stop_and_not_at_a_reload(start, run, protocol, who, number):
    daemon = start(unix(run / "s", protocol), user=who)
    before = identity(run / "s")
    assert daemon.reload() and identity(run / "s") == before
    assert daemon.reload(config(unix(run / "s", protocol, environment={"A": "b"})))
    assert identity(run / "s") == before and echoes(protocol, str(run / "s"))
    assert daemon.stop(number) == 0
    assert not os.path.lexists(run / "s")


def test_the_path_of_a_removed_listener_goes_while_its_connections_live(start, run, protocol):
    daemon = start(unix(run / "s", protocol, handler="sys_socket"))
    client = Stream(str(run / "s")) if protocol == "unix" else None
    if client:
        assert client.ask("family") == str(int(socket.AF_UNIX))
    mark = daemon.log.mark()
    assert daemon.reload("listeners = ();\n")
    assert not os.path.lexists(run / "s")
    if client:
        assert client.ask("family") == str(int(socket.AF_UNIX))
        client.close()
    daemon.log.wait("'u' is gone", mark)
    assert daemon.reload(config(unix(run / "s", protocol)))
    assert echoes(protocol, str(run / "s"))


def test_a_moved_listener_takes_its_path_along(start, run, protocol):
    daemon = start(unix(run / "old", protocol))
    assert daemon.reload(config(unix(run / "new", protocol)))
    assert not os.path.lexists(run / "old") and echoes(protocol, str(run / "new"))


@pytest.mark.parametrize("is_reload", [True, False])
@pytest.mark.parametrize("what", ["file", "socket", "link"])
def test_what_somebody_else_has_put_there_meanwhile_stays(start, run, protocol, is_reload, what):
    path = run / "s"
    daemon = start(unix(path, protocol))
    path.unlink()
    with socket.socket(socket.AF_UNIX, KINDS[protocol]) as other:
        if what == "file":
            path.write_text("somebody's\n")
        elif what == "socket":
            other.bind(str(path))
        else:
            other.bind(str(run / "target"))
            path.symlink_to("target")
        before = identity(path)
        if is_reload:
            assert daemon.reload("listeners = ();\n")
        else:
            assert daemon.stop() == 0
        assert identity(path) == before


def test_a_new_mode_on_what_somebody_else_has_put_there_is_not_set(start, run, protocol):
    path = run / "s"
    daemon = start(unix(path, protocol))
    path.unlink()
    path.write_text("somebody's\n")
    path.chmod(0o644)
    assert daemon.reload(config(unix(path, protocol, socket={"mode": "0666"})))
    assert mode_of(path) == 0o644
    daemon.log.wait(rf"warning: .*mode and owner of '{path}' stay as they were")


def test_a_changed_mode_keeps_the_socket_and_its_connections(start, run, protocol, who):
    daemon = start(unix(run / "s", protocol, handler="sys_socket"), user=who)
    before = identity(run / "s")
    client = Stream(str(run / "s")) if protocol == "unix" else sockets.Datagrams(str(run / "s"))
    with client:
        served_by = client.ask("user")
        for text, mode in (("0600", 0o600), ("0622", 0o622), ("0660", 0o660)):
            assert daemon.reload(config(unix(run / "s", protocol, handler="sys_socket",
                                             socket={"mode": text})))
            assert mode_of(run / "s") == mode and identity(run / "s") == before
            # a connection stays with its worker
            assert (client.ask("user") == served_by) == (protocol == "unix")
            assert ask(protocol, str(run / "s"), "family") == str(int(socket.AF_UNIX))


def test_the_same_path_for_the_other_protocol_is_refused_with_its_holder(start, run, protocol):
    daemon = start(unix(run / "s", protocol))
    other = PROTOCOLS[1 - PROTOCOLS.index(protocol)]
    mark = daemon.log.mark()
    assert not daemon.reload(config(unix(run / "s", other, "v")))
    line = daemon.log.find("error: .*still holds", mark)[0].string
    assert "listener 'v'" in line and "listener 'u'" in line
    assert echoes(protocol, str(run / "s"))
