"""Faults of handler files, and of what handlers do to the process they run in."""
import os
import shutil
import signal

import pytest

import procfs
from harness import CRASHES, IS_SANITIZED, TEST_HANDLERS, config, listener, run


@pytest.fixture
def copy(place):
    """Copies a handler to a directory of its own."""
    directory = place / "handlers"
    directory.mkdir()

    def one(name, to=None):
        new = directory / (to or name + ".so")
        shutil.copy(TEST_HANDLERS / (name + ".so"), str(new) + ".new")
        os.rename(str(new) + ".new", new)
        return new
    return one


def test_a_missing_library_is_told_in_the_linkers_words_with_the_line(copy, place):
    handler = copy("sys_version1")
    data = handler.read_bytes()
    assert data.count(b"libc.so.6\0") == 1
    handler.write_bytes(data.replace(b"libc.so.6\0", b"libq.so.6\0"))
    file = place / "handlerd.conf"
    file.write_text(config(listener("v", handler)))
    result = run("-t", "-c", file)
    assert result.returncode == 78
    assert "libq.so.6: cannot open shared object file: No such file or directory" in result.stderr
    assert f"{file}:" in result.stderr and str(handler) in result.stderr


@pytest.mark.parametrize("what, told", [("exit", "ended the process that loaded it: exit status 0"),
                                        ("abort", "killed the process that loaded it: signal 6"),
                                        ("hang", "was not loaded within 10 s")])
def test_code_that_misbehaves_while_it_is_loaded_refuses_the_reload(start, what, told):
    daemon = start(listener("v", "sys_version1"), env=CRASHES)
    worker = daemon.worker()
    daemon.write(config(listener("v", "sys_constructor", environment={"CONSTRUCTOR": what})))
    daemon.kill(signal.SIGHUP)
    daemon.log.wait(told, timeout=15)
    daemon.log.wait("reload failed")
    assert daemon.worker() == worker
    assert daemon.connect().ask("x") == "version 1"


def test_handlers_keep_their_global_names_to_themselves(start, mode):
    daemon = start(listener("one", "sys_global1", mode), listener("two", "sys_global2", mode))
    one, two = daemon.connect("one"), daemon.connect("two")
    for number in range(1, 4):
        assert one.ask("x") == str(1000 + number)
        assert two.ask("x") == str(2000 + number)
    one.close(), two.close()
    assert daemon.reload(config(listener("one", "sys_global2", mode),
                                listener("two", "sys_global1", mode)))
    assert daemon.connect("one").ask("x") == "2001"


@pytest.mark.interrupts
def test_a_file_cut_off_under_a_worker_costs_its_listener_alone(start, copy):
    handler = copy("sys_version1")
    daemon = start(listener("v", handler), listener("echo"), env=CRASHES)
    daemon.expects_reports = True  # a sanitizer sees it, too
    echo, bystander = daemon.worker("echo"), daemon.connect("echo")
    os.truncate(handler, 0)
    assert daemon.connect("v").send("x\n").is_at_end()
    daemon.log.wait(r"worker of 'v' .* was killed by signal (7|11) ")
    daemon.log.wait(r"handler file '.*' was written to while it is in use; install handlers by "
                    r"rename")
    assert bystander.send(b"x").exactly(1) == b"x" and daemon.worker("echo") == echo
    # what is there again serves again, at the latest with the next reload
    copy("sys_version2", "sys_version1.so")
    assert daemon.reload()
    assert daemon.connect("v").ask("x") == "version 2"


def leftovers(pid):
    """What of a process a handler may have changed."""
    status = procfs.status(pid)
    return {"cwd": os.readlink(f"/proc/{pid}/cwd"), "umask": status["Umask"],
            "caught": status["SigCgt"], "ignored": status["SigIgn"], "blocked": status["SigBlk"],
            "nice": os.getpriority(os.PRIO_PROCESS, pid)}


@pytest.mark.parametrize("mode", ["threading", "forking"])
def test_what_a_handler_leaves_in_its_process_goes_with_its_generation(start, mode):
    def text(number):
        return config(listener("u", "sys_untidy", mode, environment={"N": str(number)}),
                      listener("echo"), drain_timeout="300ms")
    daemon = start(text=text(0))
    worker, supervisor = daemon.worker("u"), leftovers(daemon.pid)
    born = leftovers(worker)
    assert (born["cwd"], born["umask"]) == ("/", "0077")
    assert daemon.connect("u").ask("x") == "untidy"
    assert (leftovers(worker) != born) == (mode == "threading")
    assert daemon.reload(text(1))
    daemon.until(lambda state: len(state["u"].workers) == 1, "the old worker ends", timeout=5)
    assert not procfs.is_alive(worker)
    assert leftovers(daemon.worker("u")) == born
    assert leftovers(daemon.pid) == supervisor
    assert daemon.connect("u").ask("x") == "untidy"


def test_a_flood_of_garbage_from_a_worker_costs_its_listener_alone(start):
    """100,000 packets and as many places of the scoreboard, as a hostile handler could write."""
    count = 100000 if not IS_SANITIZED else 5000
    daemon = start(listener("f", "sys_garbage"), listener("echo"))
    daemon.checks_balance = False  # its numbers are garbage, too
    echo, bystander = daemon.worker("echo"), daemon.connect("echo")
    # what a changed listener was before is kept, too
    assert daemon.reload(config(listener("f", "sys_garbage", environment={"N": "1"}),
                                listener("echo")))
    daemon.until(lambda state: len(state["f"].workers) == 1, "the first one is gone")
    before = procfs.count_fds(daemon.pid), procfs.memory_kib(daemon.pid)
    liar = daemon.connect("f").send(f"{count}\n")
    rounds = 0
    while liar.is_silent(0):
        assert bystander.send(b"x").exactly(1) == b"x"
        rounds += 1
        if rounds % 100 == 0:
            assert set(daemon.status()) == {"f", "echo"}
    # what it said may well have been the end of it
    assert liar.line() in ("said 0", "")
    assert set(daemon.status()) == {"f", "echo"} and daemon.worker("echo") == echo
    assert daemon.reload(config(listener("f", environment={"N": "1"}, handler="echo"),
                                listener("echo"), drain_timeout="500ms"))
    daemon.until(lambda state: len(state["f"].workers) == 1, "the hostile one is gone", timeout=5)
    assert daemon.connect("f").send(b"x").exactly(1) == b"x"
    # another handler file may be held than before
    assert procfs.count_fds(daemon.pid) <= before[0] + 1
    assert procfs.memory_kib(daemon.pid) <= before[1] + 1024 or IS_SANITIZED
