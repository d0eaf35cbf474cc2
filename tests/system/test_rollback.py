"""A listener that a reload has changed and that keeps crashing goes back by itself."""
import shutil

import pytest

import procfs
from harness import CRASHES, TEST_HANDLERS, config, free_ports, listener

pytestmark = pytest.mark.interrupts


@pytest.fixture
def install(place):
    directory = place / "handlers"
    directory.mkdir()

    def one(which, name="v"):
        new = directory / f"{name}.so.new"
        shutil.copy(TEST_HANDLERS / f"{which}.so", new)
        new.rename(directory / f"{name}.so")
        return directory / f"{name}.so"
    return one


def crash(daemon, name="v", what="segv", times=3):
    """Each time the listener serves again before the next."""
    for number in range(times):
        client = daemon.connect(name).send(what + "\n")
        assert client.is_at_end()
        if number < times - 1:
            with daemon.connect(name) as again:
                assert again.ask("ping") == "pong"


def serve(start, install, *more, mode="threading", second="sys_fault", **keys):
    """A good handler, then a reload to one that crashes on request."""
    path = install("sys_version1")
    daemon = start(text=config(listener("v", path, mode, **keys), *more), env=CRASHES)
    install(second)
    assert daemon.reload()
    return daemon


def answers(daemon, name="v"):
    with daemon.connect(name) as client:
        return client.ask("x")


@pytest.mark.parametrize("mode", ["threading", "serial", "forking"])
@pytest.mark.parametrize("what", ["segv", "abort", "fpe", "exit"])
def test_three_crashes_bring_handler_and_settings_back(start, install, mode, what):
    daemon = serve(start, install, listener("echo"), mode=mode)
    echo = daemon.worker("echo")
    crash(daemon, what=what)
    daemon.log.wait(r"'v' has crashed 3 times within 1min since it was changed; it goes back to the "
                    r"settings and the handler file of generation 1")
    daemon.log.wait("rolled back in .* ms")
    if mode != "forking":
        daemon.log.wait("worker of 'v' .*; what was before takes its place")
        assert len(daemon.log.find("; it is replaced at once")) == 2
    assert answers(daemon) == "version 1"
    assert daemon.worker("echo") == echo


def test_the_status_line_says_rolled_back(start, install, place):
    daemon = serve(start, install)
    crash(daemon)
    daemon.log.wait("rolled back in")
    assert daemon.log.find("ROLLED_BACK|rolled back")


def test_two_crashes_bring_nothing_back(start, install):
    daemon = serve(start, install)
    crash(daemon, times=2)
    with daemon.connect("v") as client:
        assert client.ask("ping") == "pong"
    assert not daemon.log.find("goes back")


@pytest.mark.parametrize("what", ["kill"])
@pytest.mark.parametrize("mode", ["threading", "forking"])
def test_a_killed_worker_is_no_crash(start, install, what, mode):
    daemon = serve(start, install, mode=mode)
    crash(daemon, what=what, times=4)
    assert not daemon.log.find("goes back")


def test_a_listener_that_no_reload_changed_stays(start, install):
    path = install("sys_fault")
    daemon = start(text=config(listener("v", path)), env=CRASHES)
    crash(daemon, times=4)
    assert not daemon.log.find("goes back")


def test_zero_switches_it_off(start, install):
    daemon = serve(start, install, rollback={"crashes": 0})
    crash(daemon, times=4)
    assert not daemon.log.find("goes back")


def test_it_happens_once_per_reload(start, install):
    path = install("sys_fault")
    daemon = start(text=config(listener("v", path, environment={"A": "old"})), env=CRASHES)
    assert daemon.reload(config(listener("v", path, environment={"A": "new"})))
    crash(daemon)
    daemon.log.wait("rolled back in")
    mark = daemon.log.mark()
    crash(daemon, times=4)
    assert not daemon.log.find("goes back", mark)


def test_the_settings_come_back_with_the_handler_and_its_address_too(start, install):
    ports = free_ports(2)
    path = install("sys_version1")
    daemon = start(text=config(listener("v", path, address=f"127.0.0.1:{ports[0]}")), env=CRASHES)
    install("sys_fault")
    assert daemon.reload(config(listener("v", path, address=f"127.0.0.1:{ports[1]}")))
    crash(daemon)
    daemon.log.wait("rolled back in")
    assert daemon.port("v") == ports[0]
    assert answers(daemon) == "version 1"


def test_a_reload_afterwards_deploys_what_the_file_says(start, install):
    daemon = serve(start, install)
    crash(daemon)
    daemon.log.wait("rolled back in")
    assert daemon.reload()
    with daemon.connect("v") as client:
        assert client.ask("ping") == "pong"
    install("sys_version1")
    assert daemon.reload()
    assert answers(daemon) == "version 1"


def test_a_reload_to_what_serves_again_leaves_it_alone(start, install):
    path = install("sys_fault")
    old = config(listener("v", path, environment={"A": "old"}))
    daemon = start(text=old, env=CRASHES)
    assert daemon.reload(config(listener("v", path, environment={"A": "new"})))
    crash(daemon)
    daemon.log.wait("rolled back in")
    pid = daemon.worker("v")
    assert daemon.reload(old)
    assert daemon.worker("v") == pid


def test_a_file_that_was_overwritten_cannot_come_back_and_the_log_says_so(start, install, place):
    path = install("sys_version1")
    daemon = start(text=config(listener("v", path)), env=CRASHES)
    held = open(path, "rb")                # the old inode, under no name after the next line
    install("sys_fault")
    assert daemon.reload()
    with open(f"/proc/self/fd/{held.fileno()}", "r+b") as old:
        old.seek(0, 2)
        old.write(b"spoiled")
    crash(daemon)
    daemon.log.wait("'v' cannot go back: its previous handler file .* was overwritten; install "
                    "handlers by rename")
    with daemon.connect("v") as client:
        assert client.ask("ping") == "pong"


def test_an_old_address_that_somebody_took_cannot_come_back_and_the_log_says_so(start, install):
    import socket
    ports = free_ports(2)
    path = install("sys_version1")
    daemon = start(text=config(listener("v", path, address=f"127.0.0.1:{ports[0]}")), env=CRASHES)
    install("sys_fault")
    assert daemon.reload(config(listener("v", path, address=f"127.0.0.1:{ports[1]}")))
    with socket.create_server(("127.0.0.1", ports[0])):
        crash(daemon)
        daemon.log.wait("it cannot go back, what crashes goes on: .*another program listens there")
        with daemon.connect("v") as client:
            assert client.ask("ping") == "pong"


def test_coming_back_leaves_nothing_behind(start, install):
    daemon = serve(start, install)
    before = procfs.count_fds(daemon.pid)
    for number in range(5):
        crash(daemon)
        daemon.log.wait("rolled back in", count=number + 1)
        assert daemon.reload()
    daemon.until(lambda state: len(state["v"].workers) == 1, "the old workers end")
    # the handler file to go back to, and nothing more
    assert procfs.count_fds(daemon.pid) <= before + 1
