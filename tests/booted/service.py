"""handlerd as a service of a container: its configuration, what systemd and the journal know of it, its clients."""
import contextlib
import json
import os
import pathlib
import queue
import re
import select
import shutil
import subprocess
import sys
import threading
import time

from container import ENVIRONMENT

HERE = pathlib.Path(__file__).resolve().parent
CONFIGURATION = "/etc/handlerd/handlerd.conf"
PORT = 7007
WAIT_S = 30
READY = "ready in "
NOBODY_THERE = 3
PACKAGES = ("handlerd", "handlerd-handlers", "handlerd-dev")


def listener(name="echo", handler="echo", address=f"127.0.0.1:{PORT}", **keys):
    """One listener of the configuration; values are written as they are."""
    rows = [f'name = "{name}"', f'address = "{address}"', f'handler = "{handler}"']
    rows += [f"{key} = {value}" for key, value in keys.items()]
    return "{ " + "; ".join(rows) + "; }"


def configuration(*listeners, top=""):
    return f"{top}\nlisteners = (\n  " + ",\n  ".join(listeners) + "\n);\n"


class Follow:
    """The records of a unit's journal from now on, as they come."""

    def __init__(self, machine, *matches):
        machine.run("journalctl --sync")
        last = json.loads(machine.ask("journalctl --lines=1 --output=json"))
        self._process = machine.popen("journalctl", "--follow", f"--after-cursor={last['__CURSOR']}",
                                      "--no-tail", "--output=json", *matches, stdout=subprocess.PIPE)
        self.records = []
        self._buffer = b""

    def wait(self, is_it, what, timeout=WAIT_S):
        """The next record for which is_it(record) holds."""
        deadline = time.monotonic() + timeout
        output = self._process.stdout.fileno()
        while True:
            line, end, rest = self._buffer.partition(b"\n")
            if end:
                self._buffer = rest
                self.records.append(json.loads(line))
                if is_it(self.records[-1]):
                    return self.records[-1]
                continue
            ready, _, _ = select.select([output], [], [], max(0, deadline - time.monotonic()))
            more = os.read(output, 65536) if ready else b""
            assert more, f"never in the journal: {what}\n" + "\n".join(
                str(record.get("MESSAGE")) for record in self.records[-40:])
            self._buffer += more

    def wait_message(self, text, timeout=WAIT_S):
        return self.wait(lambda record: text in str(record.get("MESSAGE")), repr(text), timeout)

    def close(self):
        # it ends when nobody reads; to kill it would only kill nsenter
        self._process.stdout.close()
        self._process.wait(WAIT_S)


class Load:
    """load.py, in the network of the container."""

    def __init__(self, machine, port=PORT, rate=200):
        self._process = subprocess.Popen(
            machine.inside(sys.executable, str(HERE / "load.py"), str(port), str(rate),
                           namespaces=("--net",)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=ENVIRONMENT)
        self._lines = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def _next(self):
        try:
            answer = self._lines.get(timeout=WAIT_S)
        except queue.Empty:
            answer = None
        assert answer is not None, "the clients do not get on"
        return answer

    def wait_answers(self, count):
        """Until so many more clients have had their answer."""
        self._process.stdin.write(f"more {count}\n")
        self._next()

    def stop(self):
        """No more clients; what became of all of them."""
        self._process.stdin.write("stop\n")
        counts = self._next()
        print("load:", {name: value for name, value in counts.items() if name != "lost"})
        return counts

    def close(self):
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdin.close()
        self._process.stdout.close()


def check_nothing_lost(counts, least=100):
    """Every connection was answered, and there were enough to mean something."""
    assert counts["answered"] == counts["started"], counts
    assert [counts[end] for end in ("refused", "reset", "empty", "wrong", "timed_out")] == [0] * 5
    assert counts["answered"] >= least, counts


class Service:
    """handlerd.service, or another unit of it."""

    def __init__(self, machine, packages, unit="handlerd.service"):
        self.machine = machine
        self.packages = packages
        self.unit = unit
        self._closing = contextlib.ExitStack()

    def close(self):
        self._closing.close()

    # Packages

    def install(self, files=None):
        """Installs packages, those of the tree unless told; what dpkg said."""
        files = self._files() if files is None else files
        for file in files:
            self.machine.push(file, f"/root/{file.name}")
        return self.machine.run("dpkg --install " + " ".join(f"/root/{file.name}" for file in files))

    def remove(self, verb="remove"):
        """All of them; what dpkg said."""
        return self.machine.run(f"dpkg --{verb} " + " ".join(reversed(PACKAGES)))

    def _files(self):
        """The packages without those of debug symbols."""
        return [next(self.packages.glob(f"{name}_*.deb")) for name in PACKAGES]

    def newer_packages(self, directory, version="99.0.0"):
        """The same packages with a higher version."""
        made = []
        for file in self._files():
            tree = pathlib.Path(directory) / file.stem
            subprocess.run(["dpkg-deb", "--raw-extract", file, tree], check=True)
            control = tree / "DEBIAN/control"
            before = subprocess.run(["dpkg-deb", "--field", file, "Version"], check=True, text=True,
                                    stdout=subprocess.PIPE).stdout.strip()
            text = control.read_text(encoding="utf-8")
            text = text.replace(f"Version: {before}", f"Version: {version}")
            control.write_text(text.replace(f"(= {before})", f"(= {version})"), encoding="utf-8")
            made.append(pathlib.Path(directory) / f"{file.stem}-newer.deb")
            subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, made[-1]],
                           check=True, stdout=subprocess.DEVNULL)
            shutil.rmtree(tree)
        return made

    # Configuration and state

    def configure(self, *listeners, top="", path=CONFIGURATION):
        self.machine.write(path, configuration(*listeners, top=top))

    def systemctl(self, verb, is_checked=True, unit=None):
        return self.machine.run(f"systemctl {verb} {unit or self.unit}", is_checked)

    def show(self, name):
        return self.machine.ask(f"systemctl show --property={name} --value {self.unit}")

    @property
    def main_pid(self):
        return int(self.show("MainPID"))

    @property
    def status(self):
        return self.show("StatusText")

    def is_active(self):
        return self.systemctl("is-active", is_checked=False).stdout.strip() == "active"

    def workers(self):
        """Process ids of the workers, of the older generations too."""
        found = self.machine.run("pgrep -x handlerd-worker", is_checked=False).stdout
        return [int(pid) for pid in found.split()]

    def worker(self, port=PORT):
        """Who accepts on a port."""
        found = self.machine.ask("ss --no-header --listening --tcp --numeric --processes "
                                 f"'sport = :{port}'")
        (pid,) = re.findall(r'"handlerd-worker",pid=(\d+)', found)
        return int(pid)

    def drop_in(self, text, name="test"):
        """Changes the unit for this test."""
        self.machine.write(f"/etc/systemd/system/{self.unit}.d/{name}.conf", text)
        self.machine.run("systemctl daemon-reload")

    # The journal

    def follow(self):
        follow = Follow(self.machine, f"--unit={self.unit}")
        self._closing.callback(follow.close)
        return follow

    def wait_record(self, text, count=1):
        """The count-th record with that text that the journal has."""
        deadline = time.monotonic() + WAIT_S
        while True:
            found = [one for one in self.records() if text in str(one.get("MESSAGE"))]
            if len(found) >= count:
                return found[count - 1]
            assert time.monotonic() < deadline, f"not {count} times in the journal: {text!r}"

    def records(self, *matches):
        """The unit's records so far, or those that match."""
        self.machine.run("journalctl --sync")
        text = self.machine.ask("journalctl --output=json --no-pager " +
                                " ".join(matches or [f"--unit={self.unit}"]))
        return [json.loads(line) for line in text.splitlines()]

    # Clients

    def ask(self, text="hello", port=PORT):
        """What a listener answers; the program fails if nobody listens."""
        return self.machine.ask(f"printf '{text}' | handlerctl send --half-close "
                                f"--timeout 10s tcp:127.0.0.1:{port}")

    def read(self, port):
        """What a listener says without being asked."""
        return self.machine.ask(f"handlerctl send --timeout 10s tcp:127.0.0.1:{port} ''")

    def is_refused(self, port=PORT):
        """Whether nobody listens; anything but an answer or that is a failure."""
        result = self.machine.run(f"handlerctl send --timeout 5s tcp:127.0.0.1:{port} ''",
                                  is_checked=False)
        assert result.returncode in (0, NOBODY_THERE), result.stderr
        return result.returncode == NOBODY_THERE

    def load(self, rate=200):
        load = Load(self.machine, rate=rate)
        self._closing.callback(load.close)
        load.wait_answers(50)
        return load
