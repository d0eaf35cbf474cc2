"""Containers of systemd-nspawn: a real systemd that boots in a copy of a root file system.

The copy is an overlay in memory, mounted in a mount namespace of its own, and systemd-nspawn is the first
process of a process namespace that the kernel ends with the tests, however they end. So nothing can be
left but an empty directory and an empty cgroup. The network is a loopback of its own. What is waited for is an event: a message of the
container's systemd, a record of its journal, the end of a command; every wait has a deadline.
"""
import contextlib
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import cgroups

LAUNCH = pathlib.Path(__file__).resolve().with_name("launch")
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}
BOOT_S = 60
RUN_S = 60
STOP_S = 20
POWEROFF = signal.SIGRTMIN + 4


class CannotBoot(Exception):
    """Why there is no container."""


def why_not():
    """Why this machine cannot run containers; None if it seems able to."""
    if os.geteuid() != 0:
        return "containers need root"
    for program in ("systemd-nspawn", "nsenter", "unshare", "setpriv", "debootstrap"):
        if shutil.which(program, path=ENVIRONMENT["PATH"]) is None:
            return f"there is no {program}; scripts/packages booted installs it"
    return None


class Place:
    """A directory and a cgroup for one container."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="handlerd-booted-", dir="/var/tmp"))
        self.root = self.path / "root"
        self.root.mkdir()
        (self.path / "memory").mkdir()
        try:
            self.groups = cgroups.make(self.path.name)
        except OSError as error:
            shutil.rmtree(self.path)
            raise CannotBoot(f"no control group can be made for a container: {error}") from error

    def start(self, root, arguments, env=None, **keys):
        """Starts systemd-nspawn in a copy of the directory, or, without one, where it says."""
        environment = {**ENVIRONMENT, "HANDLERD_CGROUPS": " ".join(map(str, self.groups)),
                       **(env or {})}
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private",
             "--pid", "--fork", "--kill-child", "--mount-proc", LAUNCH, self.path, root or "", "systemd-nspawn", "--quiet", "--register=no",
             "--keep-unit", "--resolv-conf=off", "--timezone=off", *arguments],
            stdin=subprocess.DEVNULL, env=environment, start_new_session=True, **keys)

    def remove(self):
        cgroups.remove(self.groups)
        shutil.rmtree(self.path)


def execute(root, command, binds=None, env=None, timeout=RUN_S, is_copy=False):
    """Runs a command in the directory, or in a copy of it, with the machine's network; what it says."""
    place = Place()
    try:
        process = place.start(
            root if is_copy else None,
            ["--pipe", "--as-pid2", "-D", str(place.root if is_copy else root),
             *(f"--setenv={name}={value}" for name, value in
               {**ENVIRONMENT, **(env or {})}.items()),
             *(f"--bind={where}:{inside}" for where, inside in (binds or {}).items()),
             "sh", "-c", command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        try:
            output, _ = process.communicate(timeout=timeout)
        finally:
            _end(process)
        return subprocess.CompletedProcess(command, process.returncode, output)
    finally:
        place.remove()


def _end(process):
    if process.poll() is None:
        process.kill()
    process.wait()


class Container:
    """A booted systemd."""

    def __init__(self, root):
        self.place = Place()
        self._process = self._notify = None
        self.leader = 0
        try:
            self._boot(root)
        except BaseException:
            self.stop()
            raise

    def _boot(self, root):
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = self.place.path / "notify"
        self._notify.bind(str(address))
        with open(self.place.path / "console", "wb") as console:
            self._process = self.place.start(
                root, ["--boot", "-D", str(self.place.root), "--private-network",
                       "--console=pipe", "--notify-ready=yes"],
                env={"NOTIFY_SOCKET": str(address)}, stdout=console, stderr=subprocess.STDOUT)
        self._wait_booted()

    def _wait_booted(self):
        """Until systemd says that it is up; learns its process id."""
        deadline, is_ready = time.monotonic() + BOOT_S, False
        with _open_pidfd(self._process.pid) as ended:
            while not is_ready:
                ready, _, _ = select.select([self._notify, ended], [], [],
                                            max(0, deadline - time.monotonic()))
                if self._notify not in ready:
                    raise CannotBoot(("the container ended" if ready else "time is over") +
                                     " before it was up:\n" + self.console())
                is_ready = b"READY=1" in self._notify.recv(4096).splitlines()
        self.leader = _only_child(_only_child(self._process.pid))
        self.wait_running()

    def wait_running(self):
        """Until all that belongs to the boot has started; a unit that failed is an error."""
        result = self.run("systemctl is-system-running --wait", is_checked=False)
        if result.stdout.strip() != "running":
            raise CannotBoot(f"the container is {result.stdout.strip()}:\n" +
                             self.run("systemctl --failed --no-legend", is_checked=False).stdout +
                             self.console())

    def console(self):
        path = self.place.path / "console"
        return path.read_text(encoding="utf-8", errors="replace")[-4000:]

    # What is done inside

    def inside(self, *command, namespaces=("--all",)):
        """The command line that runs a command in the container."""
        return ["nsenter", "--target", str(self.leader), *namespaces, "--", *command]

    def popen(self, *command, **keys):
        """Starts a command in the container."""
        return subprocess.Popen(self.inside("env", "-C", "/", *command), env=ENVIRONMENT,
                                **{"stdin": subprocess.DEVNULL, **keys})

    def run(self, command, is_checked=True, text=None, timeout=RUN_S):
        """Runs a line of shell in the container, with text as its input."""
        result = subprocess.run(self.inside("env", "-C", "/", "sh", "-c", command), input=text or "",
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                errors="replace", env=ENVIRONMENT, timeout=timeout, check=False)
        assert not is_checked or result.returncode == 0, \
            f"{command!r} exits with {result.returncode}:\n{result.stdout}{result.stderr}"
        return result

    def ask(self, command):
        """What the command prints, without the end of the line."""
        return self.run(command).stdout.rstrip("\n")

    def write(self, path, text, mode="0644"):
        """Replaces a file by rename."""
        self.run(f"mkdir -p {os.path.dirname(path)} && cat >{path}.new && "
                 f"chmod {mode} {path}.new && mv {path}.new {path}", text=text)

    def push(self, file, path):
        """Copies a file of this machine into the container."""
        with open(file, "rb") as content:
            subprocess.run(self.inside("sh", "-c", f"cat >{path}"), stdin=content, check=True,
                           env=ENVIRONMENT, timeout=RUN_S)

    # Its end

    def stop(self):
        """Powers it off; kills it if it does not go. Nothing is left afterwards."""
        try:
            if self._process is not None and self._process.poll() is None and self.leader:
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.kill(self.leader, POWEROFF)
                    self._process.wait(STOP_S)
        finally:
            if self._process is not None:
                _end(self._process)
            if self._notify is not None:
                self._notify.close()
            self.place.remove()


def _only_child(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    assert len(children) == 1, children
    return int(children[0])


@contextlib.contextmanager
def _open_pidfd(pid):
    pidfd = os.pidfd_open(pid)
    try:
        yield pidfd
    finally:
        os.close(pidfd)
