"""The sandbox of the unit: how much it leaves open in this systemd's eyes, and that an error tells which line
of the unit forbids what the configuration asks for."""
import pytest

from service import listener

UNPRIVILEGED = "/usr/share/doc/handlerd/systemd/unprivileged.conf"
TENTHS = 27
TENTHS_UNPRIVILEGED = 15


@pytest.fixture
def unprivileged(service):
    """With the drop-in that is shipped."""
    service.drop_in(service.machine.ask(f"cat {UNPRIVILEGED}"), "unprivileged")
    return service


def refusal(service, *listeners, top=""):
    """A start that must fail; what it says."""
    service.systemctl("stop")
    service.configure(*listeners, top=top)
    follow = service.follow()
    assert service.systemctl("start", is_checked=False).returncode != 0
    # what went before it is the reason
    follow.wait_message("not started: ")
    text = "\n".join(str(record["MESSAGE"]) for record in follow.records)
    assert service.is_refused()
    return text


@pytest.mark.parametrize("unit", ["handlerd.service", "handlerd@one.service"])
def test_the_units_leave_little_open(installed, unit):
    installed.machine.run(f"systemd-analyze security --no-pager --threshold={TENTHS} {unit}")


def test_the_unit_without_root_leaves_less_open(unprivileged):
    unprivileged.machine.run(
        f"systemd-analyze security --no-pager --threshold={TENTHS_UNPRIVILEGED} handlerd.service")


def test_systemd_takes_every_line_of_the_units(unprivileged):
    result = unprivileged.machine.run("systemd-analyze verify --man=no handlerd.service "
                                      "handlerd@one.service")
    assert result.stdout + result.stderr == ""


def test_without_root_it_serves_restarts_and_reloads(unprivileged):
    unprivileged.systemctl("restart")
    assert unprivileged.ask() == "hello"
    users = unprivileged.machine.ask("ps -o user= -C handlerd,handlerd-worker").split()
    assert users == ["handlerd", "handlerd"]
    unprivileged.configure(listener(), listener("time", "daytime", "127.0.0.1:7013"))
    unprivileged.systemctl("reload")
    assert len(unprivileged.read(7013)) > 10
    unprivileged.systemctl("restart")
    assert unprivileged.ask() == "hello" and unprivileged.show("NFileDescriptorStore") == "2"


def test_a_low_port_without_root(unprivileged):
    text = refusal(unprivileged, listener(address="127.0.0.1:7"))
    assert "CapabilityBoundingSet=" in text and "AmbientCapabilities=" in text


def test_another_user_without_root(unprivileged):
    text = refusal(unprivileged, listener(), top='user = "nobody";')
    assert "nobody" in text and "User=" in text


def test_a_handler_where_nothing_may_be_executed(service):
    service.machine.run("mkdir -p /srv/handlers && cp /usr/lib/*/handlerd/echo.so /srv/handlers/")
    text = refusal(service, listener(handler="/srv/handlers/echo.so"))
    assert "/srv/handlers/echo.so" in text and "ExecPaths=" in text
    service.drop_in("[Service]\nExecPaths=/srv/handlers\n")
    service.systemctl("start")
    assert service.ask() == "hello"


def test_local_handlers_are_loaded_without_a_change_of_the_unit(service):
    service.machine.run("cp /usr/lib/*/handlerd/echo.so /usr/local/lib/handlerd/mine.so")
    service.configure(listener(handler="mine"))
    service.systemctl("reload")
    assert service.ask() == "hello"


def test_a_unix_socket_in_a_directory_that_is_read_only(service):
    text = refusal(service, listener(protocol='"unix"', address="/srv/echo.sock"))
    assert "/srv/echo.sock" in text and "ReadWritePaths=" in text
    service.drop_in("[Service]\nReadWritePaths=/srv\n")
    service.systemctl("start")
    assert service.machine.ask("printf hello | handlerctl send --half-close "
                               "unix:/srv/echo.sock") == "hello"


def test_an_address_family_that_is_forbidden(service):
    service.drop_in("[Service]\nRestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX\n")
    assert "RestrictAddressFamilies=" in refusal(service, listener())


def test_a_user_that_workers_cannot_become(service):
    service.drop_in("[Service]\nCapabilityBoundingSet=~CAP_SETUID CAP_SETGID\n")
    assert "CapabilityBoundingSet=" in refusal(service, listener())


def test_workers_with_a_root_of_their_own(service):
    """What the unit forbids of it is named step by step; with the drop-in that the documentation has, it serves."""
    service.machine.run("mkdir -p /srv/jail && echo inside > /srv/jail/file")
    entry = listener(root_directory='"/srv/jail"')
    text = refusal(service, entry)
    assert "CapabilityBoundingSet= must have it, RestrictNamespaces= must allow mnt, and " \
        "SystemCallFilter= must have @mount" in text
    service.drop_in("[Service]\nCapabilityBoundingSet=CAP_SYS_ADMIN\n")
    text = refusal(service, entry)
    assert "cannot make a mount namespace for root_directory '/srv/jail': Operation not permitted; in " \
        "a systemd unit, RestrictNamespaces= must allow mnt" in text
    service.drop_in("[Service]\nCapabilityBoundingSet=CAP_SYS_ADMIN\nRestrictNamespaces=mnt\n")
    assert "SystemCallFilter= must have @mount" in refusal(service, entry)
    service.drop_in("[Service]\nCapabilityBoundingSet=CAP_SYS_ADMIN\nRestrictNamespaces=mnt\n"
                    "SystemCallFilter=@mount\n")
    # the unit sees a system that is read-only
    assert "cannot make the mount point '/usr' in root_directory '/srv/jail': Read-only file system" \
        in refusal(service, entry)
    service.machine.run("handlerd -t")
    service.systemctl("start")
    assert service.ask() == "hello"
    status = service.machine.ask(f"cat /proc/{service.worker()}/status")
    assert "CapPrm:\t0000000000000000" in status and "CapBnd:\t0000000000000000" in status
    assert service.machine.ask(f"cat /proc/{service.worker()}/root/file") == "inside"
    assert service.machine.ask("ls /srv/jail/usr") == ""


def test_limits_and_priorities_of_a_listener(service):
    """Under the unit's own capabilities and filter, without a drop-in."""
    service.configure(listener(nice=-5, oom_score_adj=500, cpu_affinity='"0"', user='"daemon"',
                               rlimits='{ nofile = 2000; fsize = "1MiB"; core = "0B"; }'))
    service.systemctl("reload")
    assert service.ask() == "hello"
    pid = service.worker()
    assert service.machine.ask(f"ps -o ni=,user= -p {pid}").split() == ["-5", "daemon"]
    assert service.machine.ask(f"cat /proc/{pid}/oom_score_adj") == "500"
    limits = service.machine.ask(f"cat /proc/{pid}/limits")
    assert "Max open files            2000                 2000" in limits
    assert "Max file size             1048576              1048576" in limits
