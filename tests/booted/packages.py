"""The Debian packages of this tree, built with scripts/package once for each suite: on this machine where
it runs that release, else in a root file system that does. Kept until the tree changes."""
import hashlib
import pathlib
import shutil
import subprocess
import tempfile

import container
import roots
from roots import PLACE, REPOSITORY, CannotPrepare

BUILD_S = 900
# what these hold is in no package
LEFT_OUT = (".ci/", "bench/", "tests/")
COMMAND = "scripts/package"


def _files():
    """The files of the tree, as they are, committed or not."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                           cwd=REPOSITORY, check=True, text=True, stdout=subprocess.PIPE).stdout
    return [name for name in sorted(set(names.split("\0"))) if (REPOSITORY / name).is_file()]


def _mark():
    digest = hashlib.sha256()
    for name in _files():
        if not name.startswith(LEFT_OUT):
            digest.update(f"{name}\0{(REPOSITORY / name).stat().st_mode & 0o111}\0".encode())
            digest.update((REPOSITORY / name).read_bytes())
    return digest.hexdigest()


def _build_here(target):
    result = subprocess.run([REPOSITORY / COMMAND], cwd=REPOSITORY, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            errors="replace", timeout=BUILD_S, check=False)
    for package in (REPOSITORY / "build/package").glob("*.deb"):
        shutil.copy(package, target)
    return result


def _build_in_root(suite, target):
    with tempfile.TemporaryDirectory(dir="/var/tmp") as tree:
        for name in _files():
            copy = pathlib.Path(tree) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, copy)
        return container.execute(
            roots.build_root(suite), f"cd /tree && {COMMAND} && cp build/package/*.deb /target/",
            binds={tree: "/tree", target: "/target"}, timeout=BUILD_S, is_copy=True)


def of(suite):
    """The directory of the suite's packages; built where they are not there."""
    name, mark = f"{suite.name}-packages", _mark()
    with roots.locked(name):
        if roots.is_made(name, mark):
            return PLACE / name
        with roots.fresh(name) as new:
            new.mkdir(parents=True)
            is_here = suite.name == roots.host_suite()
            result = _build_here(new) if is_here else _build_in_root(suite, new)
            if result.returncode != 0:
                raise CannotPrepare(f"{COMMAND} failed on {suite.name}:\n{result.stdout}")
            if not list(new.glob("handlerd_*.deb")):
                raise CannotPrepare(f"{COMMAND} made no package handlerd on {suite.name}")
            roots.put(new, name, mark)
    return PLACE / name
