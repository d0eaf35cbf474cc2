"""What an operator does with systemctl: enable, edit, reload, a reload that is refused, stop."""
from service import CONFIGURATION, configuration, listener

BROKEN = 'listeners = (\n  { name = "echo"; adress = "127.0.0.1:7007"; handler = "echo"; }\n);\n'


def test_enable_brings_it_up_with_the_system(installed):
    installed.configure(listener())
    installed.systemctl("disable --now")
    assert installed.systemctl("is-enabled", is_checked=False).stdout == "disabled\n"
    assert not installed.is_active() and installed.is_refused()
    # what a boot asks for
    installed.machine.run("systemctl start multi-user.target")
    assert not installed.is_active()
    installed.systemctl("enable")
    installed.machine.run("systemctl start multi-user.target")
    assert installed.is_active() and installed.ask() == "hello"


def test_start_returns_when_all_listeners_serve(installed):
    ports = range(7100, 7120)
    installed.configure(*(listener(f"e{port}", address=f"127.0.0.1:{port}") for port in ports))
    installed.systemctl("restart")
    assert [installed.ask(port=port) for port in ports] == ["hello"] * len(ports)
    assert "20 listeners" in installed.status


def test_a_reload_serves_what_was_edited_in_the_same_process(service):
    before = service.main_pid
    service.configure(listener(), listener("time", "daytime", "127.0.0.1:7013"))
    service.systemctl("reload")
    # at once: the reload is over when systemctl returns
    assert len(service.read(7013)) > 10 and service.ask() == "hello"
    assert service.main_pid == before and service.show("NRestarts") == "0"
    assert service.is_active() and "2 listeners" in service.status
    service.configure(listener())
    service.systemctl("reload")
    assert service.is_refused(7013) and service.ask() == "hello"
    assert service.main_pid == before and "1 listeners" in service.status


def test_a_reload_that_is_refused_fails_and_changes_nothing(service):
    before, workers = service.main_pid, service.workers()
    service.machine.write(CONFIGURATION, BROKEN)
    result = service.systemctl("reload", is_checked=False)
    assert result.returncode != 0
    assert service.is_active() and service.show("ActiveState") == "active"
    assert service.main_pid == before and service.workers() == workers
    assert service.ask() == "hello"
    assert "adress" in service.status and "previous configuration" in service.status
    said = [str(record["MESSAGE"]) for record in service.records()]
    assert any(f"{CONFIGURATION}:2:" in line and "'adress'" in line for line in said)
    assert any("did you mean 'address'" in line for line in said)
    service.configure(listener(), listener("time", "daytime", "127.0.0.1:7013"))
    service.systemctl("reload")
    assert service.main_pid == before and "2 listeners" in service.status


def test_the_control_program_says_what_is_wrong(service):
    service.machine.write(CONFIGURATION, BROKEN)
    result = service.machine.run("handlerctl reload", is_checked=False)
    assert result.returncode == 1
    assert f"{CONFIGURATION}:2:" in result.stderr and "'adress'" in result.stderr
    service.configure(listener())
    assert service.machine.run("handlerctl reload").returncode == 0


def test_a_signal_reloads_too(service):
    before, follow = service.main_pid, service.follow()
    service.configure(listener(), listener("time", "daytime", "127.0.0.1:7013"))
    service.systemctl("kill --signal=HUP --kill-whom=main")
    follow.wait_message("reloaded in ")
    assert len(service.read(7013)) > 10 and service.main_pid == before


def test_reload_or_restart_reloads(service):
    before = service.main_pid
    service.configure(listener(), listener("time", "daytime", "127.0.0.1:7013"))
    service.systemctl("reload-or-restart")
    assert service.main_pid == before and len(service.read(7013)) > 10


def test_a_stop_is_a_success_and_gives_the_port_back(service):
    service.systemctl("stop")
    assert service.show("Result") == "success" and service.show("ExecMainStatus") == "0"
    assert service.is_refused() and service.workers() == []
    assert service.show("NFileDescriptorStore") == "0"
    result = service.machine.run("handlerctl reload", is_checked=False)
    assert result.returncode == 3


def test_the_control_program_waits_and_stops(service):
    assert service.machine.run("handlerctl wait ready").returncode == 0
    assert service.machine.run("handlerctl status").stdout.count("echo") >= 1
    service.machine.run("handlerctl stop")
    service.machine.run("systemctl stop handlerd")
    assert service.show("Result") == "success" and service.is_refused()


def test_workers_are_nobody_of_consequence(service):
    """Their user is handlerd's own, without capabilities, and new privileges are out of reach."""
    (pid,) = service.workers()
    status = dict(line.split(":\t", 1) for line in
                  service.machine.ask(f"cat /proc/{pid}/status").splitlines() if ":\t" in line)
    user = service.machine.ask("id --user handlerd")
    assert status["Uid"].split() == [user] * 4
    assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == \
        [0] * 5
    assert status["NoNewPrivs"].strip() == "1"


def test_an_instance_is_a_service_of_its_own(service):
    service.machine.write("/etc/handlerd/instances/two/handlerd.conf",
                          configuration(listener("two", "daytime", "127.0.0.1:7014")))
    service.machine.run("systemctl enable --now handlerd@two")
    assert len(service.read(7014)) > 10 and service.ask() == "hello"
    service.machine.run("systemctl reload handlerd@two")
    service.systemctl("stop")
    assert service.is_refused() and len(service.read(7014)) > 10
    service.machine.run("HANDLERD_CONTROL=/run/handlerd-two/control.sock handlerctl reload")
