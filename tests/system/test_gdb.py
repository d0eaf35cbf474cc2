"""gdb and fibers: those that are parked are listed with their backtraces, and nobody notices."""
import os
import re
import shutil
import subprocess

import pytest

from conffile import SOURCE
from harness import BUILD, IS_ASAN, IS_TSAN, WAIT_S, listener

SCRIPT = SOURCE / "daemon" / "concurrency" / "fibers-gdb.py"
WORKER = BUILD / "libexec" / "handlerd" / "handlerd-worker"
GDB = shutil.which("gdb")

# What a client has its handler do; what is told of the wait; functions of its backtrace.
WAITS = {
    "recv 100": ("input", ["fiber_park", "hd_recv", "op_recv"]),
    "sleep 600000": ("time", ["fiber_park", "hd_sleep", "op_sleep"]),
    "poll 600000": ("poll", ["fiber_park", "hd_poll", "op_poll"]),
    "fread 10": ("input", ["fiber_park", "file_stream_read", "op_fread"]),
}


def has_python():
    return GDB is not None and subprocess.run(
        [GDB, "-nx", "-batch", "-ex", "python import gdb.unwinder"], stdout=subprocess.DEVNULL,
        check=False).returncode == 0


pytestmark = [
    pytest.mark.skipif(not has_python(), reason="there is no gdb with Python"),
    pytest.mark.skipif(IS_TSAN, reason="ThreadSanitizer switches stacks in ways of its own"),
]


def run_gdb(*arguments, commands, source=SCRIPT):
    """What gdb prints for commands in a process or a core file."""
    words = [GDB, "-nx", "-batch", "-iex", "set debuginfod enabled off", *arguments]
    for command in ([f"source {source}"] if source else []) + commands:
        words += ["-ex", command]
    result = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, cwd="/", timeout=2 * WAIT_S,
                            check=False)
    if "Operation not permitted" in result.stderr:
        pytest.skip("nothing can be traced here")
    assert "Error occurred in Python" not in result.stderr, result.stderr
    return result.stdout + result.stderr


def serve(start, threads=1):
    """A daemon, and a client for each way of waiting, whose handler is at it."""
    # one sleeps and does not see its client go
    daemon = start(listener("one", "sys_stream", "fibers", fibers={"threads": threads}),
                   top={"drain_timeout": "100ms"})
    daemon.checks_balance = False
    clients = {}
    for what in WAITS:
        clients[what] = daemon.connect().send(f"printf x;flush;{what}\n")
        assert clients[what].exactly(1) == b"x"
    if threads == 1:
        # who comes after them is served after they have parked
        assert daemon.connect().ask("fd") == "1"
    return daemon, clients


def name_of(client):
    return "{}:{}".format(*client.sock.getsockname())


def rows(text):
    """The lines of "info fibers", by client."""
    found = re.findall(r"^(\d+\.\d+) +(\d+) +([A-Z]+) +#(\d+) +(\S+) +(\d+) KiB +(.*?)  +(.*)$",
                       text, re.MULTILINE)
    return {row[4]: row for row in found}


def check_listed(text, clients, left):
    told = rows(text)
    for number, (what, client) in enumerate(clients.items(), 1):
        assert name_of(client) in told, text
        _, _, state, connection, _, stack, wait, place = told[name_of(client)]
        assert (state, int(connection)) == ("PARKED", number), text
        assert 8 <= int(stack) < 64 * (4 if IS_ASAN else 1), text
        name, comma, rest = wait.partition(", ")
        assert name == WAITS[what][0], text
        assert bool(comma) == ("600000" in what) and rest.endswith(left if comma else ""), text
        assert re.match(rf"op_{what.split()[0]} at sys_stream\.c:\d+$", place), text


def check_backtraces(text, clients):
    blocks = text.split("\nFiber ")
    for what, client in clients.items():
        block, = [block for block in blocks if f" of {name_of(client)}, waits for " in block]
        functions = re.findall(r"^#\d+ +(?:0x\w+ in )?(\w+) \(", block, re.MULTILINE)
        # in this order, from where it is parked to where it began; and nothing of its thread
        at = [functions.index(name) for name in WAITS[what][1] + ["fiber_context_begin"]]
        assert at == sorted(at), block
        assert not [name for name in functions if "epoll_wait" in name], block


def check_serves(daemon, clients):
    """Those that wait for their clients, and new ones."""
    for what, client in clients.items():
        if not what.startswith("sleep"):
            assert client.send("0123456789").line() != ""
    assert daemon.connect().ask("fd") == "1"


COMMANDS = ["info fibers", "fiber apply all bt"]


def test_parked_fibers_of_a_process_are_listed(start):
    daemon, clients = serve(start)
    text = run_gdb("-p", str(daemon.worker()), commands=COMMANDS)
    check_listed(text, clients, " s left")
    check_backtraces(text, clients)
    check_serves(daemon, clients)


def test_fibers_of_several_threads_are_listed(start):
    daemon, clients = serve(start, threads=2)

    def look(_state):
        text = run_gdb("-p", str(daemon.worker()), commands=COMMANDS)
        return text if all(row[2] == "PARKED" for row in rows(text).values()) else None

    text = daemon.until(look, "all are parked")
    check_listed(text, clients, " s left")
    check_backtraces(text, clients)
    check_serves(daemon, clients)


@pytest.mark.skipif(IS_ASAN, reason="the core would have all of AddressSanitizer's memory")
def test_parked_fibers_of_a_core_file_are_listed(start, place):
    daemon, clients = serve(start)
    core = place / "core"
    text = run_gdb("-p", str(daemon.worker()), commands=[f"fiber gcore {core}"])
    assert core.exists(), text
    check_serves(daemon, clients)
    # the descriptor through which the handler was loaded goes with the process
    daemon.stop()
    text = run_gdb(str(WORKER), str(core), commands=COMMANDS)
    check_listed(text, clients, " s after it came")
    check_backtraces(text, clients)


def test_a_command_runs_in_one_fiber_and_leaves_no_trace(start):
    daemon, clients = serve(start)
    text = run_gdb("-p", str(daemon.worker()), commands=[
        "echo <before>\\n", "bt",
        "echo <locals>\\n", "fiber #1 info locals",
        "echo <print>\\n", "fiber 2 python print(gdb.selected_frame().name())",
        "fiber 0.2 p nothing",
        "echo <after>\\n", "bt",
        "echo <none>\\n", "fiber 77"])
    part = dict(re.findall(r"^<(\w+)>\n(.*?)(?=^<|\Z)", text, re.MULTILINE | re.DOTALL))
    assert re.match("buf = ", part["locals"]), text
    assert part["print"].startswith("op_poll\nNo symbol \"nothing\" in current context.\n"), text
    assert part["before"] == part["after"] != ""
    assert 'No fiber "0.77"' in text
    check_serves(daemon, clients)


def test_a_client_of_a_unix_socket_is_told_by_its_process(start):
    daemon = start(listener("one", "sys_stream", "fibers", protocol="unix"))
    client = daemon.connect()
    assert client.ask("fd") == "1"
    text = run_gdb("-p", str(daemon.worker()), commands=["info fibers"])
    client = rf"unix pid {os.getpid()} uid {os.getuid()}"
    assert re.search(client + r" +\d+ KiB +input +script_run at ", text), text


def test_gdb_loads_the_script_with_an_installed_worker(start, place):
    daemon, clients = serve(start)
    script = place / "auto-load" / f"{WORKER}-gdb.py".lstrip("/")
    script.parent.mkdir(parents=True)
    shutil.copy(SCRIPT, script)
    text = run_gdb("-iex", f"add-auto-load-scripts-directory {place}/auto-load",
                   "-iex", f"add-auto-load-safe-path {place}", "-p", str(daemon.worker()),
                   commands=["info fibers"], source=None)
    check_listed(text, clients, " s left")


@pytest.mark.parametrize("mode", ["threading", "serial", "forking"])
def test_a_worker_without_fibers_is_told(start, mode):
    daemon = start(listener("one", "sys_stream", mode))
    text = run_gdb("-p", str(daemon.worker()), commands=["info fibers"])
    assert "This worker runs no fibers" in text


def test_missing_debug_information_is_told(place):
    stripped = place / "handlerd-worker"
    subprocess.run([shutil.which("strip"), "-o", stripped, WORKER], check=True)
    text = run_gdb(str(stripped), commands=["fiber apply all bt"])
    assert f"There is no debug information of {stripped}. Install the package handlerd-dbgsym" \
        in text


def test_another_program_is_told():
    text = run_gdb(commands=["info fibers"])
    assert "Fibers are in a process named handlerd-worker" in text
