"""What a listener says its processes are and may, under each concurrency: user, group, groups, umask, rlimits, nice,
cpu_affinity, oom_score_adj. That nothing else is left of root is shown in test_privileges.py."""
import grp
import os
import pwd
import re
import resource

import pytest

import procfs
from born import limits
from harness import NOBODY, config, listener, run

KEYS = {"umask": "0027", "nice": 5, "oom_score_adj": 300, "cpu_affinity": "0",
        "rlimits": {"nofile": 500, "core": "0B", "cpu": "1h", "fsize": "64KiB", "nproc": 500,
                    "memlock": "1MiB", "stack": "4MiB"}}


def processes(daemon, name=None):
    """The worker and its children."""
    pid = daemon.worker(name)
    return [pid, *procfs.descendants(pid)]


def check_keys(pid):
    status, have = procfs.status(pid), limits(pid)
    assert status["Umask"] == "0027"
    assert status["Cpus_allowed_list"] == "0"
    assert os.getpriority(os.PRIO_PROCESS, pid) == 5
    assert procfs.read(pid, "oom_score_adj") == "300\n"
    assert have["nofile"] == ("500", "500")
    assert have["core"] == ("0", "0")
    assert have["cpu"] == ("3600", "3601")
    assert have["fsize"] == ("65536", "65536")
    assert have["nproc"] == ("500", "500")
    assert have["memlock"] == ("1048576", "1048576")
    assert have["stack"] == ("4194304", "4194304")


def test_every_process_has_what_its_listener_says(start, mode, who):
    daemon = start(listener("i", "sys_identity", mode, max_connections=100, **KEYS),
                   listener("other", "echo", mode), user=who)
    client = daemon.connect("i")
    serving = int(client.line())
    pids = processes(daemon, "i")
    assert serving in pids
    for pid in pids:
        check_keys(pid)
        for task in os.listdir(f"/proc/{pid}/task"):
            assert procfs.status(f"{pid}/task/{task}")["Cpus_allowed_list"] == "0"
            assert os.getpriority(os.PRIO_PROCESS, int(task)) == 5
    # the others are as the daemon was started
    for pid in processes(daemon, "other"):
        assert procfs.status(pid)["Umask"] == "0077"
        assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, daemon.pid)
        assert procfs.read(pid, "oom_score_adj") == procfs.read(daemon.pid, "oom_score_adj")
        assert limits(pid)["core"] == limits(daemon.pid)["core"]


def test_defaults_are_for_all_and_a_listener_wins(start):
    daemon = start(listener("a", "echo"),
                   listener("b", "echo", umask="0002", rlimits={"core": "1MiB"}),
                   top={"defaults": {"umask": "0037", "nice": 3,
                                     "rlimits": {"core": "0B", "nofile": 1000}}},
                   limits={resource.RLIMIT_CORE: (1 << 20, 1 << 20)})
    a, b = daemon.worker("a"), daemon.worker("b")
    assert procfs.status(a)["Umask"] == "0037" and procfs.status(b)["Umask"] == "0002"
    assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in (a, b)] == [3, 3]
    assert limits(a)["core"] == ("0", "0")
    assert limits(b)["core"] == ("1048576", "1048576")
    assert limits(b)["nofile"][1] == "1000"


def test_a_reload_replaces_the_workers_of_what_has_changed_and_no_others(start, mode):
    daemon = start(listener("a", "echo", mode), listener("b", "echo", mode))
    before = {name: daemon.worker(name) for name in "ab"}
    assert daemon.reload(config(listener("a", "echo", mode, nice=2, umask="0022"),
                                listener("b", "echo", mode)))
    assert daemon.worker("b") == before["b"]
    assert daemon.worker("a") != before["a"]
    for pid in processes(daemon, "a"):
        assert os.getpriority(os.PRIO_PROCESS, pid) == 2
        assert procfs.status(pid)["Umask"] == "0022"
    # lower again: it is the supervisor's that counts, which has not changed
    assert daemon.reload(config(listener("a", "echo", mode), listener("b", "echo", mode)))
    assert os.getpriority(os.PRIO_PROCESS, daemon.worker("a")) == os.getpriority(
        os.PRIO_PROCESS, daemon.pid)


@pytest.mark.root
def test_each_listener_has_a_user_group_and_groups_of_its_own(start, mode):
    daemon_user, nobody = pwd.getpwnam("daemon"), pwd.getpwnam("nobody")
    adm, tty = grp.getgrnam("adm").gr_gid, grp.getgrnam("tty").gr_gid
    daemon = start(listener("top", "sys_identity", mode),
                   listener("user", "sys_identity", mode, user="daemon"),
                   listener("group", "sys_identity", mode, group="adm"),
                   listener("groups", "sys_identity", mode, groups=["adm", "tty", "adm"]),
                   listener("none", "sys_identity", mode, groups=[]),
                   top={"user": "nobody"})
    own = sorted(os.getgrouplist("nobody", nobody.pw_gid))
    expected = {"top": (nobody.pw_uid, nobody.pw_gid, own),
                "user": (daemon_user.pw_uid, daemon_user.pw_gid,
                         sorted(os.getgrouplist("daemon", daemon_user.pw_gid))),
                "group": (nobody.pw_uid, adm, sorted(os.getgrouplist("nobody", adm))),
                "groups": (nobody.pw_uid, nobody.pw_gid, sorted([adm, tty])),
                "none": (nobody.pw_uid, nobody.pw_gid, [])}
    for name, (uid, gid, groups) in expected.items():
        serving = int(daemon.connect(name).line())
        for pid in {serving, *processes(daemon, name)}:
            status = procfs.status(pid)
            assert status["Uid"].split() == [str(uid)] * 4, name
            assert status["Gid"].split() == [str(gid)] * 4, name
            assert sorted(map(int, status["Groups"].split())) == groups, name
        names = dict(row.partition("=")[::2] for row in
                     procfs.read(daemon.worker(name), "environ").split("\0"))
        assert names["USER"] == names["LOGNAME"] == pwd.getpwuid(uid).pw_name
        assert names["HOME"] == pwd.getpwuid(uid).pw_dir


@pytest.mark.root
def test_each_listener_that_is_root_is_warned_of(start):
    daemon = start(listener("a", "sys_identity", user="root"), listener("b", "sys_identity"),
                   top={"user": "nobody"})
    warnings = daemon.log.find("warning: .*workers run as root")
    assert len(warnings) == 1 and "listener 'a'" in warnings[0].string
    assert procfs.status(daemon.worker("a"))["Uid"].split() == ["0"] * 4
    assert procfs.status(daemon.worker("b"))["Uid"].split() == [str(NOBODY)] * 4


@pytest.mark.root
def test_the_group_that_may_ask_is_none_of_any_listener(start, place):
    path = place / "handlerd.conf"
    path.write_text(config(listener("a", "echo"), listener("b", "echo", groups="adm"),
                           user="nobody", control_group="adm"))
    result = run("-t", "-c", path)
    assert result.returncode == 78
    assert "'adm' is a group of the workers of listener 'b' (user 'nobody')" in result.stderr


def test_files_are_made_with_the_listeners_umask(start, mode, place):
    daemon = start(listener("i", "sys_process", mode, umask="0027"))
    (place / "open").mkdir()
    (place / "open").chmod(0o777)
    assert daemon.connect().ask(f"create {place}/open/file") == "0"
    assert (place / "open" / "file").stat().st_mode & 0o777 == 0o640


def test_a_file_that_becomes_too_large_fails_and_ends_nobody(start, mode, place):
    daemon = start(listener("i", "sys_process", mode, rlimits={"fsize": "1KiB"}))
    (place / "open").mkdir()
    (place / "open").chmod(0o777)
    worker = daemon.worker()
    assert daemon.connect().ask(f"fill {place}/open/file 4096") == "1024 File too large"
    assert daemon.worker() == worker


def test_too_few_open_files_lower_the_limit_with_one_warning(start):
    daemon = start(listener("echo", rlimits={"nofile": 100}))
    warnings = daemon.log.find("'echo' may serve 36 connections at once instead of 1024: .*")
    assert len(warnings) == 1 and "raise rlimits.nofile" in warnings[0].string


def test_processor_time_that_is_used_up_is_told_and_the_worker_replaced(start):
    daemon = start(listener("i", "sys_process", rlimits={"cpu": "1s"}))
    worker = daemon.worker()
    daemon.connect().send(b"spin\n")
    daemon.log.wait(r"worker of 'i' .* was killed by signal 24 \(CPU time limit exceeded\)")
    assert daemon.connect().ask("pid") != str(worker)
    daemon.checks_balance = False


def online():
    """The processors of this machine, as the kernel writes them."""
    with open("/sys/devices/system/cpu/online", encoding="ascii") as file:
        return file.read().strip()


def test_processors_that_are_missing_are_left_out_with_a_warning(start):
    daemon = start(listener("i", "sys_identity", cpu_affinity=["0", "8000-8003"]))
    daemon.log.wait(rf"warning: .*cpu_affinity: this machine has no processor 8000-8003, but "
                    rf"{online()}; the others are taken")
    assert procfs.status(daemon.worker())["Cpus_allowed_list"] == "0"


def refused(place, by=None, top=None, **keys):
    """What -t says of a listener with these keys."""
    path = place / "handlerd.conf"
    path.write_text(config(listener("i", "sys_identity", **keys), **(top or {})))
    result = run("-t", "-c", path, user=by)
    assert result.returncode == 78, result.stderr
    return result.stderr


def test_no_processor_that_there_is_is_an_error(place):
    told = refused(place, cpu_affinity="8000")
    assert f"this machine has none of the processors 8000, but {online()}" in told


ORDINARY = [
    ({"user": "root"}, "only root can run workers as another user or group than its own"),
    ({"group": "daemon"}, "only root can run workers as another user or group than its own"),
    ({"groups": "daemon"}, "groups: only root can run workers with other supplementary groups"),
    ({"nice": -20}, r"nice = -20 is below the -?\d+ that handlerd has, and only root can lower it"),
    ({"oom_score_adj": -1000},
     r"oom_score_adj = -1000 is below the -?\d+ that handlerd has, and only root can lower it"),
    ({"rlimits": {"nofile": "unlimited"}},
     r"rlimits.nofile = unlimited is above the hard limit that handlerd was started with, \d+, "
     "which only root can raise"),
]


@pytest.mark.parametrize("keys, words", ORDINARY)
def test_what_only_root_may_is_refused_to_others_by_t(place, who, keys, words):
    if who == "root":
        pytest.skip("root may")
    told = refused(place, by=None if who == "self" else who, **keys)
    assert re.search(words, told), told
    assert re.search(r"handlerd\.conf:\d+: ", told), told


def test_what_is_anybodys_own_may_be_named(place, who):
    user = pwd.getpwuid(NOBODY if who == "nobody" else os.geteuid())
    if who == "root":
        pytest.skip("of others than root")
    path = place / "handlerd.conf"
    path.write_text(config(listener("i", "sys_identity", user=user.pw_name,
                                    group=grp.getgrgid(user.pw_gid).gr_name, nice=19,
                                    oom_score_adj=1000, groups=[] if who == "nobody" else [
                                        grp.getgrgid(gid).gr_name for gid in os.getgroups()])))
    result = run("-t", "-c", path, user=None if who == "self" else who)
    assert result.returncode == 0, result.stderr


@pytest.mark.root
@pytest.mark.parametrize("capability, keys, words", [
    ("sys_resource", {"rlimits": {"nofile": 2000000}},
     "above the hard limit .* takes CAP_SYS_RESOURCE: in a systemd unit, CapabilityBoundingSet= must "
     "have it"),
    ("sys_resource", {"oom_score_adj": -1000}, "takes CAP_SYS_RESOURCE: in a systemd unit"),
    ("sys_nice", {"nice": -20}, "takes CAP_SYS_NICE: in a systemd unit"),
])
def test_a_root_that_lacks_a_capability_is_told_which(place, monkeypatch, capability, keys, words):
    script = place / "without"
    script.write_text(f"#!/bin/sh\nexec setpriv --bounding-set=-{capability} "
                      f"--inh-caps=-{capability} {run.__globals__['PROGRAM']} \"$@\"\n")
    script.chmod(0o755)
    monkeypatch.setitem(run.__globals__, "PROGRAM", script)
    told = refused(place, top={"user": "nobody"}, **keys)
    assert re.search(words, told), told


def test_all_that_is_wrong_with_names_is_told_in_one_run(place):
    if os.geteuid() != 0:
        pytest.skip("others name themselves only")
    path = place / "handlerd.conf"
    path.write_text(config(listener("a", "echo", user="no-such-user"),
                           listener("b", "echo", group="no-such-group"),
                           listener("c", "echo", groups=["adm", "no-such-third"])))
    result = run("-t", "-c", path)
    assert result.returncode == 78
    for words in ("there is no user 'no-such-user'", "there is no group 'no-such-group'",
                  "groups: there is no group 'no-such-third'"):
        assert words in result.stderr, result.stderr
