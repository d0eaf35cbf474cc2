"""Root file systems, made with debootstrap from the repository that this machine's apt uses, and kept
for the next run below HANDLERD_ROOTS (/var/cache/handlerd-roots).

SUITE is what the tests boot, a copy of it in memory each time; SUITE-build has in addition what building
the packages needs. Beside each stands SUITE.stamp, which says what it was made of; a directory whose stamp
says something else is made anew.
"""
import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import container

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PLACE = pathlib.Path(os.environ.get("HANDLERD_ROOTS") or "/var/cache/handlerd-roots")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "procps", "iproute2", "ca-certificates")
MAKE_S = 600


class CannotPrepare(Exception):
    """Why there is no root file system, or no package; a sentence for whoever runs the tests."""


@contextlib.contextmanager
def locked(name):
    """Holds NAME against other runs on this machine."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with open(PLACE / f"{name}.lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def host_suite():
    """The code name of the release that this machine runs."""
    release = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    match = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', release, re.M)
    return match[1] if match else ""


def find_mirror():
    """The address of the Debian archive, as apt is configured here."""
    rows = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
         "Created-By: Packages"], check=True, text=True, stdout=subprocess.PIPE).stdout
    for row in rows.splitlines():
        address, release, component = row.split()
        if release in (host_suite(), "stable") and component == "main":
            return address
    raise CannotPrepare(f"apt's sources name no Debian archive for {host_suite() or 'this machine'}")


def proxies():
    """apt's proxies, as variables for wget."""
    found = {}
    for scheme in ("http", "https"):
        row = subprocess.run(["apt-config", "shell", "P", f"Acquire::{scheme}::Proxy"], check=True,
                             text=True, stdout=subprocess.PIPE).stdout
        match = re.match(r"P='(.*)'", row)
        if match:
            found[f"{scheme}_proxy"] = match[1]
    return found


def stamp(*parts):
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def is_made(name, mark):
    file = PLACE / f"{name}.stamp"
    return (PLACE / name).is_dir() and file.exists() and file.read_text(encoding="ascii") == mark


def put(made, name, mark):
    """Gives a finished directory its name; a crash in between leaves one without a stamp."""
    file = PLACE / f"{name}.stamp"
    file.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(PLACE / name)
    made.rename(PLACE / name)
    file.write_text(mark, encoding="ascii")


@contextlib.contextmanager
def fresh(name):
    """A path for a new directory, cleared before and, unless it was put in its place, afterwards."""
    new = PLACE / f"{name}.new"
    shutil.rmtree(new, ignore_errors=True)
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _why(log, suite):
    text = log.read_text(encoding="utf-8", errors="replace")
    if "unknown key" in text or "No keyring" in text:
        return (f"the archive keys of this machine do not know {suite}: "
                "install a newer package debian-archive-keyring")
    errors = [line for line in text.splitlines() if line.startswith(("E:", "W:"))]
    return f"{'; '.join(errors[-3:]) or 'no reason was given'}; all of it is in {log}"


def boot_root(suite):
    """The directory of what is booted; made where it is not there."""
    packages = PACKAGES + suite.libraries
    mark = stamp("1", *packages)
    with locked(suite.name):
        if is_made(suite.name, mark):
            return PLACE / suite.name
        script = pathlib.Path("/usr/share/debootstrap/scripts") / suite.name
        log = PLACE / f"{suite.name}.log"
        with fresh(suite.name) as new, open(log, "wb") as output:
            result = subprocess.run(
                ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}",
                 f"--keyring={KEYRING}", suite.name, new, find_mirror(),
                 script if script.exists() else script.with_name("sid")],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env={**os.environ, **proxies()}, timeout=MAKE_S, check=False)
            if result.returncode != 0:
                raise CannotPrepare(f"debootstrap could not make {suite.name}: " +
                                    _why(log, suite.name))
            for archive in (new / "var/cache/apt/archives").glob("*.deb"):
                archive.unlink()
            put(new, suite.name, mark)
    return PLACE / suite.name


def build_root(suite):
    """The directory in which packages for the suite are built; made where it is not there."""
    base, name = boot_root(suite), f"{suite.name}-build"
    script = REPOSITORY / "scripts/packages"
    mark = stamp("1", (PLACE / f"{suite.name}.stamp").read_text(encoding="ascii"),
                 script.read_text(encoding="utf-8"))
    with locked(name):
        if is_made(name, mark):
            return PLACE / name
        with fresh(name) as new:
            subprocess.run(["cp", "-a", "--reflink=auto", base, new], check=True)
            shutil.copy("/etc/resolv.conf", new / "etc/resolv.conf")
            shutil.copy(script, new / "root/packages")
            result = container.execute(new, "apt-get update -qq && /root/packages package",
                                       env=proxies(), timeout=MAKE_S)
            if result.returncode != 0:
                raise CannotPrepare(f"what building packages on {suite.name} needs could not be "
                                    f"installed:\n{result.stdout}")
            for archive in (new / "var/cache/apt/archives").glob("*.deb"):
                archive.unlink()
            put(new, name, mark)
    return PLACE / name
