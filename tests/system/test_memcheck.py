"""Workers under valgrind: fibers switch stacks, and memcheck has nothing to say of that."""
import os
import pathlib
import shutil
import subprocess

import pytest

import harness
from conffile import SOURCE
from harness import BUILD, IS_SANITIZED, listener

pytestmark = [
    pytest.mark.skipif(shutil.which("valgrind") is None or
                       not pathlib.Path("/usr/include/valgrind/valgrind.h").exists(),
                       reason="there is no valgrind"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="there is no compiler"),
    pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer and valgrind exclude each other"),
]

# Sends what it has never written.
BROKEN = """
#include <handlerd/handler.h>

HD_HANDLER(.name = "broken", .version = "1", .flags = HD_STREAM | HD_FIBERS);

int
handle(struct hd_request *req)
{
	char unwritten[8];

	return (int)hd_send(req, unwritten, sizeof(unwritten));
}
"""


def compile_broken(place):
    path = place / "broken.so"
    subprocess.run(["cc", "-g", "-shared", "-fPIC", f"-I{SOURCE / 'include'}", "-o", path, "-x",
                    "c", "-"], input=BROKEN, text=True, check=True)
    path.chmod(0o755)
    return path


def use(daemon, name):
    """Every way of waiting, several at once."""
    clients = [daemon.connect(name).send(what + "\n") for what in
               ["recv 4;recv 1", "sleep 50", "poll 20", "fread 5"] * 5]
    for number, client in enumerate(clients):
        if number % 4 in (0, 3):
            client.send("01234\n")
        assert client.line() != ""
        client.close()


def test_memcheck_reports_what_a_handler_does_and_nothing_else(start, place, monkeypatch):
    monkeypatch.setattr(harness, "PROGRAM", SOURCE / "scripts" / "memcheck")
    daemon = start(listener("good", "sys_stream", "fibers", fibers={"threads": 2}),
                   listener("bad", compile_broken(place), "fibers"), is_awaited=False,
                   env={"MEMCHECK_BUILD": str(BUILD)},
                   top={"start_timeout": "1min", "drain_timeout": "100ms"})
    daemon.checks_balance = False  # one sleeps when it ends
    daemon.log.wait("notice: ready in ", timeout=15)
    assert "valgrind" in os.readlink(f"/proc/{daemon.worker('good')}/exe")
    bad = daemon.worker("bad")
    use(daemon, "good")
    use(daemon, "good")
    assert len(daemon.connect("bad").rest()) == 8
    daemon.log.wait(rf"^=={bad}== .*uninitialised byte")
    daemon.log.wait(rf"^=={bad}== +by 0x\w+: handle \(")
    # and some that are parked when it ends
    for what in ["recv 10", "sleep 60000", "poll 60000"]:
        assert daemon.connect("good").send(f"printf x;flush;{what}\n").exactly(1) == b"x"
    daemon.stop()
    told = daemon.log.find(r"^[=-]=(\d+)[=-]")
    assert {int(match[1]) for match in told} == {bad}, daemon.log.text(200)
