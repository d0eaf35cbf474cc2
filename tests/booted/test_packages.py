"""Installation, removal, purge, and that the versions under test are those that are meant."""
from service import CONFIGURATION, PACKAGES, listener

OWN = "/etc/handlerd /var/lib/handlerd /run/handlerd /usr/libexec/handlerd"


def test_the_systemd_is_that_of_the_suite(machine, suite):
    assert machine.ask("systemctl --version").split()[1] == str(suite.systemd)


def test_after_installation_it_runs_and_serves_nothing(installed):
    assert installed.systemctl("is-enabled").stdout == "enabled\n"
    assert installed.is_active() and installed.main_pid > 0
    assert "0 listeners" in installed.status
    assert installed.machine.ask("ss --no-header --listening --tcp --udp --numeric") == ""
    assert installed.workers() == []
    assert installed.machine.ask("getent passwd handlerd").startswith("handlerd:")
    assert installed.machine.ask("stat -c '%a %U:%G' /usr/local/lib/handlerd") == "755 root:root"
    assert installed.machine.ask("systemctl --failed --no-legend") == ""


def test_what_is_installed_is_whole(installed):
    assert installed.machine.ask("dpkg --verify " + " ".join(PACKAGES)) == ""
    assert installed.machine.ask("dpkg --audit") == ""
    assert installed.machine.run("handlerd -t").returncode == 0


def test_removal_ends_the_service_and_keeps_the_configuration(service):
    assert service.ask() == "hello"
    service.remove()
    assert service.machine.run("pgrep '^handlerd'", is_checked=False).stdout == ""
    assert service.machine.ask("ss --no-header --listening --tcp --numeric") == ""
    assert listener() in service.machine.ask(f"cat {CONFIGURATION}")
    service.install()
    assert service.is_active() and service.ask() == "hello"


def test_purge_leaves_nothing(service):
    before = service.machine.ask("systemctl --failed --no-legend")
    assert service.ask() == "hello"
    result = service.remove("purge")
    assert "warning" not in (result.stdout + result.stderr)
    assert service.machine.run("pgrep '^handlerd'", is_checked=False).stdout == ""
    assert service.machine.run("dpkg --list 'handlerd*' | grep ^[a-z][a-z]",
                               is_checked=False).stdout.replace("un ", "").count("handlerd") == 0
    assert service.show("LoadState") == "not-found"
    found = service.machine.run(f"ls -d {OWN} /usr/local/lib/handlerd", is_checked=False)
    assert found.stdout == "", found.stdout
    left = service.machine.ask("find / -xdev ( -path /proc -o -path /sys -o -path /root ) -prune -o "
                               "-name '*handlerd*' -print".replace("(", r"\(").replace(")", r"\)"))
    assert left == "", left
    assert service.machine.ask("systemctl --failed --no-legend") == before


def test_one_that_is_purged_can_be_installed_anew(service):
    service.remove("purge")
    service.install()
    assert service.is_active() and "0 listeners" in service.status


def test_a_broken_configuration_does_not_fail_the_installation(machine, installed):
    installed.remove()
    machine.write(CONFIGURATION, "listeners = ( { name = 1; } );\n")
    installed.install()
    assert machine.ask("dpkg --audit") == ""
    assert not installed.is_active()
    assert installed.show("ExecMainStatus") == "78"
    # and systemd does not try it again and again
    assert installed.show("NRestarts") == "0" and installed.show("ActiveState") == "failed"
