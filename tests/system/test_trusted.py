"""Trusted paths: what others could have written is refused, with the path that is to blame."""
import os
import shutil
import subprocess

import pytest

import harness
from harness import NOBODY, TEST_HANDLERS, config, listener, run

pytestmark = pytest.mark.root


@pytest.fixture
def handler(place):
    """A handler in a directory of its own."""
    directory = place / "handlers"
    directory.mkdir(mode=0o755)
    path = directory / "version.so"
    shutil.copy(TEST_HANDLERS / "sys_version1.so", path)
    path.chmod(0o644)
    return path


def check(place, handler, user=None):
    """handlerd -t on a file with that handler."""
    path = place / "handlerd.conf"
    path.write_text(config(listener("v", handler)))
    path.chmod(0o644)
    return run("-t", "-c", path, user=user)


def own(path, uid):
    os.chown(path, uid, uid)


@pytest.mark.parametrize("mode", [0o646, 0o664, 0o666])
def test_a_handler_file_that_others_can_write_is_refused(place, handler, mode):
    handler.chmod(mode)
    result = check(place, handler)
    assert result.returncode == 78
    assert f"file '{handler}' can be written by others (mode {mode:04o})" in result.stderr


@pytest.mark.parametrize("mode", [0o757, 0o775, 0o777])
def test_a_handler_in_a_directory_that_others_can_write_is_refused(place, handler, mode):
    handler.parent.chmod(mode)
    result = check(place, handler)
    assert result.returncode == 78
    assert f"directory '{handler.parent}' can be written by others" in result.stderr


def test_a_handler_far_below_a_directory_that_others_can_write_is_refused(place, handler):
    place.chmod(0o777)
    result = check(place, handler)
    place.chmod(0o755)
    assert result.returncode == 78
    assert f"directory '{place}' can be written by others" in result.stderr


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_handler_of_another_user_is_refused(place, handler, what):
    own(handler if what == "file" else handler.parent, NOBODY)
    result = check(place, handler)
    assert result.returncode == 78
    assert f"belongs to uid {NOBODY}" in result.stderr


def test_a_sticky_directory_passes_if_its_entry_is_ours(place, handler):
    handler.parent.chmod(0o1777)
    assert check(place, handler).returncode == 0
    own(handler, NOBODY)
    result = check(place, handler)
    assert result.returncode == 78
    assert str(handler) in result.stderr


def test_a_link_is_judged_by_where_it_leads(place, handler):
    link = place / "link.so"
    link.symlink_to(handler)
    assert check(place, link).returncode == 0
    handler.parent.chmod(0o777)
    result = check(place, link)
    assert result.returncode == 78
    assert str(handler.parent) in result.stderr


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo], ids=["directory", "fifo"])
def test_what_is_no_regular_file_is_refused_without_waiting(place, handler, make):
    handler.unlink()
    make(handler)
    handler.chmod(0o755)
    result = check(place, handler)
    assert result.returncode == 78
    assert "is not a regular file" in result.stderr


def test_an_ordinary_user_may_use_roots_handlers_and_his_own(place, handler):
    assert check(place, handler, user="nobody").returncode == 0
    own(handler, NOBODY)
    own(handler.parent, NOBODY)
    own(place, NOBODY)
    result = check(place, handler, user="nobody")
    assert result.returncode == 0, result.stderr


def test_an_ordinary_user_is_warned_of_group_writable_and_refused_world_writable(place, handler):
    handler.chmod(0o664)
    result = check(place, handler, user="nobody")
    assert result.returncode == 0
    assert "can be written by its group" in result.stderr
    handler.chmod(0o646)
    assert check(place, handler, user="nobody").returncode == 78


def test_an_ordinary_user_is_refused_the_handler_of_a_third(place, handler):
    own(handler, 1)
    result = check(place, handler, user="nobody")
    assert result.returncode == 78
    assert "belongs to uid 1" in result.stderr


@pytest.mark.parametrize("spoil, words", [
    (lambda path: path.chmod(0o666), "can be written by others"),
    (lambda path: path.chmod(0o664), "can be written by others"),
    (lambda path: own(path, NOBODY), f"belongs to uid {NOBODY}"),
    (lambda path: own(path.parent, NOBODY), f"belongs to uid {NOBODY}"),
    (lambda path: path.parent.chmod(0o777), "can be written by others"),
], ids=["world", "group", "owner", "directory-owner", "directory-world"])
@pytest.mark.parametrize("which", ["handlerd.conf", "listeners.d/a.conf"])
def test_under_root_the_configuration_must_be_trusted(place, which, spoil, words):
    directory = place / "etc"
    (directory / "listeners.d").mkdir(parents=True, mode=0o755)
    (directory / "handlerd.conf").write_text(config(listener("echo")))
    (directory / "listeners.d" / "a.conf").write_text(config(listener("a", "echo")))
    assert run("-t", "-c", directory / "handlerd.conf").returncode == 0
    spoil(directory / which)
    result = run("-t", "-c", directory / "handlerd.conf")
    assert result.returncode == 78
    assert words in result.stderr
    assert str((directory / which).parent) in result.stderr
    daemon = run("-c", directory / "handlerd.conf")
    assert daemon.returncode == 78


def test_an_ordinary_user_may_serve_any_configuration(start, place):
    text = config(listener("echo"))
    path = place / "open.conf"
    path.write_text(text)
    path.chmod(0o666)
    daemon = start(arguments=["-c", str(path)], user="nobody")
    assert daemon.connect().send(b"x").exactly(1) == b"x"


def test_a_reload_refuses_what_became_untrusted_and_keeps_serving(start, place, handler):
    daemon = start(text=config(listener("v", handler)))
    handler.chmod(0o666)
    assert not daemon.reload(config(listener("v", handler, environment={"N": "1"})))
    assert daemon.log.find("can be written by others")
    assert daemon.connect().ask("x") == "version 1"


def test_a_file_written_in_place_is_reported_when_the_worker_is_replaced(start, handler):
    daemon = start(text=config(listener("v", handler)))
    with open(handler, "ab") as file:
        file.write(b"\0")
    pid = daemon.worker()
    os.kill(pid, 9)
    daemon.log.wait(r"handler file '.*' was written to while it is in use; install handlers by "
                    r"rename")
    assert daemon.connect().ask("x") == "version 1"


@pytest.mark.parametrize("sudo_uid, status", [(None, 78), (str(NOBODY), 0), ("1", 78)])
def test_through_sudo_without_a_file_the_callers_handlers_count_as_owned(place, handler, sudo_uid,
                                                                        status):
    for path in (place, handler.parent, handler):
        own(path, NOBODY)
    arguments = ["--describe", str(handler)]
    env = {"SUDO_UID": sudo_uid} if sudo_uid else {}
    assert run(*arguments, env=env).returncode == status


def test_the_worker_program_must_be_trusted_too(place):
    tree = place / "install"
    for name in ("sbin", "libexec/handlerd", "lib/handlerd"):
        (tree / name).mkdir(parents=True, mode=0o755)
    shutil.copy(harness.PROGRAM, tree / "sbin")
    shutil.copy(harness.BUILD / "libexec/handlerd/handlerd-worker", tree / "libexec/handlerd")
    (tree / "libexec/handlerd/handlerd-worker").chmod(0o757)
    result = subprocess.run([tree / "sbin/handlerd", "--describe", TEST_HANDLERS / "sys_fault.so"],
                            capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "handlerd-worker' can be written by others" in result.stderr
