"""What a sandbox around the daemon forbids is told with the directive that forbids it."""
import os
import re
import shutil

import pytest

import harness
from harness import BUILD, config, listener
from installing import mounted

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can build the sandbox")


@pytest.fixture
def refuse(start, place, monkeypatch):
    """A start within a sandbox, made by a line of shell, that must fail; what it says."""
    def one(prepare, *listeners, wrapper="", **top):
        with monkeypatch.context() as patch:
            patch.setattr(harness, "PROGRAM", mounted(place, prepare, wrapper))
            daemon = start(text=config(*listeners, **top), is_awaited=False)
        daemon.expected_exit = daemon.wait_exit()
        assert daemon.expected_exit in (1, 78)
        return "\n".join(match.string for match in daemon.log.find(" error: "))
    return one


def test_no_right_to_change_the_user(refuse):
    told = refuse("", listener("echo"),
                  wrapper="setpriv --bounding-set=-setuid,-setgid --inh-caps=-setuid,-setgid")
    assert re.search("cannot set the .*: Operation not permitted; in a systemd unit, "
                     "CapabilityBoundingSet= must have CAP_SETUID and CAP_SETGID", told), told


def test_a_handler_where_nothing_may_be_executed(refuse, place):
    directory = place / "handlers"
    directory.mkdir()
    told = refuse(f"mount -t tmpfs -o noexec,mode=755 tmpfs {directory}\n"
                  f"cp {BUILD}/lib/handlerd/echo.so {directory}",
                  listener("echo", directory / "echo.so"))
    assert "failed to map segment" in told and "ExecPaths= and BindReadOnlyPaths=" in told, told


def test_a_worker_program_where_nothing_may_be_executed(refuse, place):
    copy = place / "tree"
    for name in ("sbin", "libexec", "lib/handlerd"):
        shutil.copytree(BUILD / name, copy / name)
    libexec = copy / "libexec/handlerd"
    told = refuse(f"mount --bind {libexec} {libexec}\nmount -o remount,bind,noexec {libexec}\n"
                  f"exec {copy}/sbin/handlerd \"$@\"", listener("echo"))
    assert "handlerd-worker (in a systemd unit, ExecPaths= must have its directory)" in told, told


def test_a_socket_in_a_read_only_directory(refuse, place):
    directory = place / "sockets"
    directory.mkdir()
    told = refuse(f"mount --bind {directory} {directory}\n"
                  f"mount -o remount,bind,ro {directory}",
                  listener("echo", protocol="unix", address=str(directory / "s")))
    assert "Read-only file system" in told and "ReadWritePaths= makes it writable" in told, told


def test_a_low_port_without_the_capability(refuse):
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        first = int(file.read())
    if first <= 1:
        pytest.skip("every port is free for all here")
    told = refuse("", listener("echo", address="127.0.0.1:1"),
                  wrapper="setpriv --bounding-set=-net_bind_service --inh-caps=-net_bind_service")
    assert "CAP_NET_BIND_SERVICE (in a systemd unit, CapabilityBoundingSet= must have it" in told
