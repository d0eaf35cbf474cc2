"""Sockets that systemd opens: the service comes with the first client, and goes and comes without losing one."""
from service import PORT, check_nothing_lost, listener

SOCKET = f"""[Socket]
Service=handlerd.service
FileDescriptorName=echo
ListenStream=127.0.0.1:{PORT}
[Install]
WantedBy=sockets.target
"""


def activate(service):
    service.configure(listener(address="systemd:echo"))
    service.systemctl("stop")
    service.machine.write("/etc/systemd/system/echo.socket", SOCKET)
    service.machine.run("systemctl daemon-reload && systemctl enable --now echo.socket")


def test_the_first_client_starts_it(service):
    activate(service)
    assert not service.is_active() and service.main_pid == 0
    assert service.ask() == "hello"
    assert service.is_active() and service.main_pid > 0
    # they are systemd's own, and not put into the store
    assert service.show("NFileDescriptorStore") == "0"


def test_a_restart_loses_nobody(service):
    activate(service)
    load = service.load()
    for _ in range(3):
        service.systemctl("restart")
        load.wait_answers(100)
    check_nothing_lost(load.stop(), 300)


def test_clients_of_a_stopped_service_wait_for_the_next(service):
    activate(service)
    assert service.ask() == "hello"
    before = service.main_pid
    service.machine.run("systemctl stop handlerd.service")
    assert service.ask() == "hello"
    assert service.main_pid not in (0, before)


def test_a_socket_that_was_not_passed_is_an_error_that_says_so(service):
    service.configure(listener(address="systemd:nosuch"))
    result = service.systemctl("restart", is_checked=False)
    assert result.returncode != 0
    assert any("systemd:nosuch" in str(record["MESSAGE"]) or "'nosuch'" in str(record["MESSAGE"])
               for record in service.records())
    assert service.show("NRestarts") == "0"


def test_the_example_that_is_shipped_works(installed):
    """Port 7, as its comments say."""
    documents = "/usr/share/doc/handlerd/systemd"
    installed.machine.run(f"cp {documents}/echo-systemd.conf /etc/handlerd/listeners.d/ && "
                          f"cp {documents}/echo.socket /etc/systemd/system/ && "
                          "systemctl daemon-reload && systemctl stop handlerd && "
                          "systemctl enable --now echo.socket && systemctl start handlerd")
    assert installed.ask(port=7) == "hello"
