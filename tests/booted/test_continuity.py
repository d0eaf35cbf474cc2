"""Nothing is lost: restart, reloads, and an upgrade of the packages, each under load."""
import re

from service import CONFIGURATION, check_nothing_lost, listener


def exe_of(service, pid):
    """Device and inode of the program that a process runs."""
    return service.machine.ask(f"stat -L -c %d:%i /proc/{pid}/exe")


def test_a_restart_refuses_nobody(service):
    before, load = service.main_pid, service.load()
    for _ in range(3):
        service.systemctl("restart")
        load.wait_answers(100)
    check_nothing_lost(load.stop(), 300)
    assert service.main_pid not in (0, before)
    assert service.show("NFileDescriptorStore") == "1"


def test_sockets_that_the_configuration_gave_up_are_not_kept(service):
    service.configure(listener(), listener("other", address="127.0.0.1:7008"))
    service.systemctl("reload")
    assert service.show("NFileDescriptorStore") == "2"
    service.configure(listener())
    service.systemctl("reload")
    assert service.show("NFileDescriptorStore") == "1" and service.is_refused(7008)
    service.configure(listener("moved", address="127.0.0.1:7009"))
    service.systemctl("restart")
    assert service.show("NFileDescriptorStore") == "1"
    assert service.is_refused() and service.ask(port=7009) == "hello"


def test_reloads_lose_nothing(service):
    before, load = service.main_pid, service.load()
    for number in range(20):
        service.configure(listener(environment=f'{{ N = "{number}"; }}'))
        service.systemctl("reload")
    load.wait_answers(100)
    check_nothing_lost(load.stop())
    assert service.main_pid == before and len(service.workers()) == 1


def test_reloads_that_are_refused_lose_nothing(service):
    load = service.load()
    service.machine.write(CONFIGURATION, "listeners = (\n")
    for _ in range(10):
        assert service.systemctl("reload", is_checked=False).returncode != 0
    load.wait_answers(100)
    check_nothing_lost(load.stop())


def test_an_upgrade_in_place_keeps_process_and_workers(service):
    before, workers, load = service.main_pid, service.workers(), service.load()
    # another file of the same program: what runs afterwards shows whether it was executed
    service.machine.run("cp -a /usr/sbin/handlerd /usr/sbin/handlerd.new && "
                        "mv /usr/sbin/handlerd.new /usr/sbin/handlerd")
    new = service.machine.ask("stat -c %d:%i /usr/sbin/handlerd")
    assert exe_of(service, before) != new
    assert service.machine.run("handlerctl upgrade").returncode == 0
    assert service.main_pid == before and exe_of(service, before) == new
    assert service.workers() == workers
    load.wait_answers(100)
    check_nothing_lost(load.stop())
    # systemd still knows it, and it still listens to systemd
    service.systemctl("reload")
    assert service.is_active() and service.main_pid == before and service.show("NRestarts") == "0"


def test_an_upgrade_that_cannot_be_leaves_the_old_one_serving(service):
    before, workers, old = service.main_pid, service.workers(), exe_of(service, service.main_pid)
    load = service.load()
    service.machine.run("cp /bin/false /usr/sbin/handlerd.new && "
                        "mv /usr/sbin/handlerd.new /usr/sbin/handlerd")
    result = service.machine.run("handlerctl upgrade", is_checked=False)
    assert result.returncode == 1 and result.stderr
    load.wait_answers(100)
    check_nothing_lost(load.stop())
    assert service.main_pid == before and exe_of(service, before) == old
    assert service.workers() == workers and service.is_active()


def test_an_upgrade_of_the_packages_loses_nothing(service, tmp_path):
    before, load = service.main_pid, service.load()
    service.install(service.newer_packages(tmp_path))
    load.wait_answers(100)
    check_nothing_lost(load.stop(), 150)
    assert service.machine.ask("dpkg-query --show --showformat '${Version}' handlerd") == "99.0.0"
    assert service.main_pid == before and service.is_active() and service.show("NRestarts") == "0"
    assert exe_of(service, before) == service.machine.ask("stat -c %d:%i /usr/sbin/handlerd")
    # the handlers of the package serve as well: nobody runs a file that is not there any more
    for pid in [before, service.worker()]:
        assert "(deleted)" not in service.machine.ask(
            f"readlink /proc/{pid}/exe; grep -o '/usr/.*' /proc/{pid}/maps")
    service.systemctl("reload")
    assert service.ask() == "hello" and service.main_pid == before


def test_an_upgrade_of_the_packages_with_a_broken_configuration(service, tmp_path):
    """It neither fails nor stops what runs; the configuration is not even read."""
    before, load = service.main_pid, service.load()
    service.machine.write(CONFIGURATION, "listeners = (\n")
    service.install(service.newer_packages(tmp_path))
    assert service.machine.ask("dpkg --audit") == ""
    load.wait_answers(100)
    check_nothing_lost(load.stop(), 150)
    assert service.is_active() and service.main_pid == before
    assert re.fullmatch(r"\d+", service.show("NRestarts")) and service.show("NRestarts") == "0"
