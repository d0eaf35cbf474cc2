"""root_directory: workers see what is in it, and to read only what loading a handler takes. Nothing of it is seen
elsewhere, and nothing but empty mount points stays."""
import os
import re
import shutil
import subprocess

import pytest

import harness
import procfs
import test_landlock
from harness import BUILD, TEST_HANDLERS, config, listener, run
from installing import mounted

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a root of its own")


@pytest.fixture
def jail(place):
    path = place / "jail"
    path.mkdir()
    (path / "data").mkdir()
    (path / "data" / "file").write_text("inside\n")
    path.chmod(0o755)
    return path


def inside(jail, handler="sys_process", mode="threading", **keys):
    return listener("i", handler, mode, root_directory=str(jail),
                    **{"user": "nobody", **keys})


def mounts(pid="self"):
    """Mount point, options and propagation of each mount."""
    rows = [row.split(" - ")[0].split() for row in procfs.read(pid, "mountinfo").splitlines()]
    return [(row[4], set(row[5].split(",")), row[6:]) for row in rows]


def processes(daemon):
    pid = daemon.worker("i")
    return [pid, *procfs.descendants(pid)]


def test_workers_and_children_see_their_root_and_what_loading_takes(start, mode, jail):
    before = mounts()
    daemon = start(inside(jail, mode=mode))
    client = daemon.connect()
    names = set(client.ask("list /").split(",")[1:])
    expected = {"data", "dev", "etc", "proc", "tmp", "usr"}
    assert expected <= names and "home" not in names and "root" not in names
    assert names <= {*expected, "bin", "sbin", "lib", "lib32", "lib64", "libx32",
                     TEST_HANDLERS.parts[1]}
    assert client.ask("read /data/file") == "inside"
    assert client.ask("list /dev") == "10,fd,full,null,random,shm,stderr,stdin,stdout,urandom,zero"
    assert client.ask("read /etc/hostname") == "No such file or directory"
    assert client.ask("list /tmp").startswith("0") or TEST_HANDLERS.parts[1] == "tmp"
    assert client.ask("create /tmp/file") == "0"
    assert client.ask("create /usr/file") == "-30"  # EROFS
    # the namespace is the workers' own
    for pid in processes(daemon):
        assert os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
        assert os.stat(f"/proc/{pid}/root").st_ino == jail.stat().st_ino
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.readlink(f"/proc/{daemon.pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    assert mounts() == before
    assert os.listdir(jail / "tmp") == os.listdir(jail / "proc") == os.listdir(jail / "dev") == []
    assert os.listdir(jail / "usr") == []


@test_landlock.needs_version_2
def test_other_processes_of_the_user_are_no_way_out(start, mode, jail):
    """Each has a directory below /proc that leads to its root, and its memory."""
    os.chown(jail / "data", 65534, 65534)
    (jail / "data" / "below").mkdir()
    os.chown(jail / "data" / "below", 65534, 65534)
    with subprocess.Popen(["/bin/sleep", "100"], user=65534, group=65534, extra_groups=[]) as other:
        try:
            daemon = start(inside(jail, mode=mode, group="nogroup"),
                           listener("o", "sys_process", mode, user="nobody",
                                    sandbox={"seccomp": "off"}))
            outside, client = daemon.connect("o"), daemon.connect("i")
            # it can be reached by others of the user
            assert outside.ask(f"list /proc/{other.pid}/root") != "Permission denied"
            for name in ("root", "cwd"):
                assert client.ask(f"list /proc/{other.pid}/{name}") == "Permission denied"
            for name in ("mem", "environ", "fd/0", "root/etc/passwd"):
                assert client.ask(f"read /proc/{other.pid}/{name}") == "Permission denied"
            # nothing else is lost by it
            assert client.ask("list /proc/self/root").startswith(client.ask("list /").split(",")[0])
            assert client.ask("create /data/file2") == "0"
            assert client.ask("move /data/file2 /data/below/file") == "0"
            assert client.ask("move /data/below/file /data/file2") == "0"
        finally:
            other.kill()


def test_what_is_bound_cannot_be_written_and_tells_nobody(start, jail):
    daemon = start(inside(jail))
    # what is stacked on what is covered by it
    rows = {point: (options, tags) for point, options, tags in mounts(daemon.worker("i"))}
    assert rows["/"][0] >= {"nosuid", "nodev"}
    writable = {point for point, (options, _) in rows.items() if "ro" not in options}
    # what is written to a device is no matter of its mount
    assert {point for point in writable if not point.startswith("/dev/")} <= {"/", "/tmp"}
    assert "/dev/shm" in writable and {"/usr", "/proc", "/dev"} <= set(rows) - writable
    for point in ("/tmp", "/dev/shm", "/proc"):
        assert rows[point][0] >= {"nosuid", "nodev", "noexec"}
    for point, (_, tags) in rows.items():
        assert not any(tag.startswith("shared:") for tag in tags), point
    assert not any(point.startswith(str(jail)) for point in rows)


def test_each_worker_has_a_tmp_of_its_own(start, mode, jail):
    daemon = start(inside(jail, mode=mode), listener("two", "sys_process", mode, user="nobody",
                                                     root_directory=str(jail)))
    assert daemon.connect("i").ask("create /tmp/file") == "0"
    assert daemon.connect("two").ask("create /tmp/file;create /tmp/file") == "0 -17"
    daemon.close_clients()
    assert daemon.reload(config(inside(jail, mode=mode, umask="0022")))
    assert daemon.connect("i").ask("create /tmp/file") == "0"


def test_many_workers_make_the_mount_points_of_one_root_at_once(start, jail):
    names = [f"w{number}" for number in range(12)]
    daemon = start(*[listener(name, "sys_process", user="nobody", root_directory=str(jail))
                     for name in names])
    for name in names:
        assert daemon.connect(name).ask("read /data/file") == "inside"


def test_a_second_start_finds_the_mount_points_and_adds_nothing(start, jail):
    def tree():
        return sorted((str(path), path.lstat().st_mode) for path in jail.rglob("*"))
    start(inside(jail)).stop()
    first = tree()
    daemon = start(inside(jail))
    assert tree() == first
    assert daemon.connect().ask("read /data/file") == "inside"


def test_what_the_directory_has_itself_is_seen(start, jail):
    (jail / "etc").mkdir()
    (jail / "etc" / "locale.alias").write_text("own\n")
    (jail / "etc" / "localtime").symlink_to("/data/file")
    (jail / "etc" / "ld.so.conf").write_text("own\n")
    (jail / "lib64").mkdir()
    daemon = start(inside(jail))
    client = daemon.connect()
    assert client.ask("read /etc/locale.alias") == "own"
    assert client.ask("read /etc/localtime") == "inside"
    # libraries are the machine's, and so is where they are looked for
    assert client.ask("read /etc/ld.so.conf") != "own"
    assert client.ask("list /lib64") != "0"


def test_a_handler_with_libraries_is_loaded(start, mode, jail):
    if not (TEST_HANDLERS / "sys_catch.so").exists():
        pytest.skip("there was no C++ compiler")
    daemon = start(inside(jail, "sys_catch", mode))
    maps = procfs.read(daemon.worker("i"), "maps")
    assert "libstdc++" in maps


def test_a_library_beside_the_handler_is_found(start, place, jail):
    directory = place / "handlers"
    directory.mkdir()
    (directory / "beside.c").write_text("int beside(void) { return 42; }\n")
    (directory / "one.c").write_text(
        "#include <handlerd/handler.h>\n"
        'HD_HANDLER(.name = "one", .version = "1", .flags = HD_STREAM | HD_THREADS);\n'
        "int beside(void);\n"
        'int handle(struct hd_request *req) { return hd_printf(req, "%d\\n", beside()); }\n')
    cc = ["cc", "-shared", "-fPIC", f"-I{harness.BUILD.parents[1] / 'include'}"]
    subprocess.run([*cc, "-o", directory / "libbeside.so", directory / "beside.c"], check=True)
    subprocess.run([*cc, "-o", directory / "one.so", directory / "one.c", f"-L{directory}",
                    "-lbeside", f"-Wl,-rpath,{directory}"], check=True)
    for path in directory.iterdir():
        path.chmod(0o755)
    daemon = start(inside(jail, directory / "one.so"))
    assert daemon.connect().line() == "42"


def test_a_crash_is_told_with_the_handlers_functions(start, jail):
    daemon = start(inside(jail, "sys_crash"), env=harness.CRASHES)
    daemon.checks_balance = False
    daemon.expects_reports = True
    daemon.connect().send(b"segv\n")
    daemon.log.wait(r"worker of 'i' .* was killed by signal 11")
    daemon.log.wait(r": #\d+ crash_here\+0x[0-9a-f]+ \(sys_crash\.so\+0x[0-9a-f]+\)")


def test_t_does_it_all_on_trial(place, jail):
    path = place / "handlerd.conf"
    path.write_text(config(inside(jail)))
    result = run("-t", "-c", path)
    assert result.returncode == 0, result.stderr
    assert (jail / "usr").is_dir()


def refused(place, *listeners, user=None):
    path = place / "handlerd.conf"
    path.write_text(config(*listeners))
    result = run("-t", "-c", path, user=user)
    assert result.returncode == 78, result.stderr
    return result.stderr


def test_it_takes_root(place, jail):
    told = refused(place, listener("i", "echo", root_directory=str(jail)), user="nobody")
    assert re.search(r"handlerd.conf:\d+: .*root_directory: only root can give workers a root of "
                     "their own", told), told


def test_a_unit_that_takes_the_capability_is_named(place, jail, monkeypatch):
    script = place / "without"
    script.write_text("#!/bin/sh\nexec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin "
                      f"{harness.PROGRAM} \"$@\"\n")
    script.chmod(0o755)
    monkeypatch.setattr(harness, "PROGRAM", script)
    told = refused(place, inside(jail))
    assert "it takes CAP_SYS_ADMIN: in a systemd unit, CapabilityBoundingSet= must have it, " \
        "RestrictNamespaces= must allow mnt, and SystemCallFilter= must have @mount" in told


@pytest.mark.skipif(shutil.which("strace") is None or harness.IS_SANITIZED,
                    reason="strace is not installed, or a sanitizer wants to trace, too")
@pytest.mark.parametrize("call", ["unshare", "mount", "open_tree", "mount_setattr", "move_mount",
                                  "fsopen", "pivot_root", "umount2"])
def test_a_filter_that_forbids_it_is_named_and_no_handler_runs(place, jail, call, monkeypatch):
    script = place / "traced"
    script.write_text(f"#!/bin/sh\nexec strace -f -qq -o /dev/null -e trace={call} "
                      f"-e inject={call}:error=EPERM {harness.PROGRAM} \"$@\"\n")
    script.chmod(0o755)
    monkeypatch.setattr(harness, "PROGRAM", script)
    told = refused(place, inside(jail, "sys_identity", environment={"SYS_IDENTITY": "ran"}))
    assert re.search(r"cannot .*root_directory '.*jail'.*: Operation not permitted; in a systemd "
                     "unit, RestrictNamespaces= must allow mnt, and SystemCallFilter= must have "
                     "@mount", told), told
    assert "ran" not in told


def test_a_directory_that_is_not_there_or_not_to_be_trusted_is_refused(place, jail):
    told = refused(place, inside(place / "nowhere"))
    assert re.search(r"root_directory: .*nowhere.*No such file or directory", told), told
    jail.chmod(0o777)
    told = refused(place, inside(jail))
    assert re.search(r"root_directory: directory '.*jail' can be written by others", told), told
    jail.chmod(0o755)
    os.chown(jail, 65534, 65534)
    told = refused(place, inside(jail))
    assert re.search(r"root_directory: directory '.*jail' belongs to uid 65534", told), told


def test_a_link_where_a_mount_point_belongs_leads_nowhere(place, jail):
    victim = place / "victim"
    victim.mkdir()
    (jail / "tmp").symlink_to(victim)
    told = refused(place, inside(jail))
    assert re.search("cannot make the mount point '/tmp' in root_directory '.*jail': Too many levels "
                     "of symbolic links", told), told
    (jail / "tmp").unlink()
    shutil.rmtree(jail / "etc")
    (jail / "etc").symlink_to(victim)
    told = refused(place, inside(jail))
    assert "cannot make the mount point '/etc/ld.so.cache'" in told, told
    assert os.listdir(victim) == []


def test_a_mount_point_that_cannot_be_made_is_named(place, jail, monkeypatch):
    monkeypatch.setattr(harness, "PROGRAM", mounted(
        place, f"mount --bind {jail} {jail}\nmount -o remount,bind,ro {jail}"))
    told = refused(place, inside(jail))
    assert re.search("cannot make the mount point '/usr' in root_directory '.*jail': Read-only file "
                     "system; make it by hand where it is writable", told), told


def test_a_mount_in_the_directory_comes_along(place, jail, monkeypatch, start):
    monkeypatch.setattr(harness, "PROGRAM", mounted(
        place, f"mount -t tmpfs tmpfs {jail}/data\necho mounted > {jail}/data/file"))
    daemon = start(inside(jail))
    assert daemon.connect().ask("read /data/file") == "mounted"
    assert (jail / "data" / "file").read_text() == "inside\n"


def test_programs_can_be_executed_inside(start, mode, jail):
    data = jail / "data" / "out"
    data.mkdir()
    data.chmod(0o777)
    shutil.copy(TEST_HANDLERS / "sys_show", jail / "data" / "show")
    daemon = start(inside(jail, mode=mode, environment={"SHOW": "/data/show"}))
    assert daemon.connect().ask("run system /data/out/file") == "0"
    assert "directory /\n" in (data / "file").read_text()


def test_the_build_is_where_the_tests_think(jail):
    """The handlers of these tests stand outside of /usr, so that their directory has to be bound."""
    assert not BUILD.is_relative_to("/usr") and jail.is_dir()


def test_the_files_of_a_sandbox_are_those_of_the_root(start, mode, jail):
    (jail / "other").mkdir()
    daemon = start(inside(jail, mode=mode, sandbox={"filesystem": ["ro:/data"], "network": False}))
    client = daemon.connect()
    assert client.ask("read /data/file") == "inside"
    assert client.ask("create /data/new") == "-13"  # EACCES
    assert client.ask("list /other") == "Permission denied"
    assert client.ask("create /tmp/file") == "-13"
