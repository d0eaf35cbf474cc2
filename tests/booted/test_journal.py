"""What journalctl -o json knows of each record."""
import re

from service import READY, listener

ALL = 'log = { connections = "all"; };'


def test_the_fields_of_a_connection(service):
    service.configure(listener(), top=ALL)
    service.systemctl("restart")
    follow = service.follow()
    assert service.ask("five5") == "five5"
    record = follow.wait_message("connection ended")
    assert record["HANDLERD_LISTENER"] == "echo" and record["HANDLERD_HANDLER"] == "echo"
    assert re.fullmatch(r"127\.0\.0\.1:\d+", record["HANDLERD_PEER"])
    assert record["HANDLERD_CONN_ID"] == "1" and record["HANDLERD_GENERATION"] == "1"
    assert record["PRIORITY"] == "6"
    assert record["_SYSTEMD_UNIT"] == "handlerd.service" and record["_COMM"] == "handlerd-worker"
    assert record["_TRANSPORT"] == "journal"
    assert service.ask("again") == "again"
    assert follow.wait_message("connection ended")["HANDLERD_CONN_ID"] == "2"


def test_records_are_found_by_their_fields(service):
    service.configure(listener(), listener("other", address="127.0.0.1:7008"), top=ALL)
    service.systemctl("restart")
    follow = service.follow()
    assert service.ask(port=7008) == "hello"
    follow.wait_message("connection ended")
    found = service.records("HANDLERD_LISTENER=other")
    assert found and {record["HANDLERD_LISTENER"] for record in found} == {"other"}
    assert sum("connection ended" in str(record["MESSAGE"]) for record in found) == 1
    assert not any("connection ended" in str(record["MESSAGE"])
                   for record in service.records("HANDLERD_LISTENER=echo"))


def test_notable_events_have_an_id(service):
    (worker,), follow = service.workers(), service.follow()
    service.machine.run(f"kill -SEGV {worker}")
    died = follow.wait_message("killed by signal 11")
    service.systemctl("reload")
    reloaded = next(record for record in service.records() if "reloaded in " in
                    str(record["MESSAGE"]))
    ready = next(record for record in service.records() if READY in str(record["MESSAGE"]))
    ids = [record.get("MESSAGE_ID") for record in (died, reloaded, ready)]
    assert all(re.fullmatch(r"[0-9a-f]{32}", str(one)) for one in ids), ids
    assert len(set(ids)) == 3
    # and the catalogue has an entry for each, which journalctl -x shows
    for one in ids:
        assert "Subject" in service.machine.ask(f"journalctl --dump-catalog {one}")
    found = service.records(f"MESSAGE_ID={ids[0]}")
    assert found and all("signal 11" in str(record["MESSAGE"]) for record in found)


def test_levels_are_priorities(service):
    service.machine.write("/etc/handlerd/handlerd.conf", "listeners = (\n")
    assert service.systemctl("reload", is_checked=False).returncode != 0
    by_level = service.records("--unit=handlerd.service", "--priority=err", "_COMM=handlerd")
    assert any("reload failed" in str(record["MESSAGE"]) for record in by_level)
    ready = next(record for record in service.records() if READY in str(record["MESSAGE"]))
    assert ready["PRIORITY"] == "5" and ready["_COMM"] == "handlerd"


def test_records_go_on_when_the_journal_was_restarted(service):
    service.configure(listener(), top=ALL)
    service.systemctl("reload")
    service.machine.run("systemctl restart systemd-journald.service")
    assert service.ask() == "hello"
    # a journalctl that follows may lose sight of a journal that is just begun anew
    assert service.wait_record("connection ended")["HANDLERD_LISTENER"] == "echo"
    service.systemctl("reload")
    assert service.wait_record("reloaded in ", count=2)["_COMM"] == "handlerd"


def own(service):
    return [record for record in service.records() if record.get("_COMM", "").startswith("handlerd")]


def test_no_record_is_without_the_native_fields(service):
    """Nothing goes the way of standard error, where a level is all that there is room for."""
    service.systemctl("reload")
    assert own(service) and {record["_TRANSPORT"] for record in own(service)} == {"journal"}


def test_a_start_that_is_refused_is_found_by_the_unit(service):
    """It ends at once, before the journal can look up whose records they are: so they take another way."""
    for number in range(5):
        service.systemctl("stop")
        follow = service.follow()
        service.configure(listener(name=f"bad name {number}"))
        assert service.systemctl("start", is_checked=False).returncode != 0
        last = follow.wait_message("not started: 1 error")
        assert last["PRIORITY"] == "3" and last["MESSAGE"] == "not started: 1 error"
        (why,) = [one for one in follow.records if f"bad name {number}" in one["MESSAGE"]]
        assert why["MESSAGE"].startswith("/etc/handlerd/handlerd.conf:3: ")
        assert why["PRIORITY"] == "3"


def test_a_start_that_fails_later_is_found_by_the_unit(service):
    service.systemctl("stop")
    follow = service.follow()
    service.configure(listener(), listener("far", address="192.0.2.1:7007"))
    assert service.systemctl("start", is_checked=False).returncode != 0
    assert follow.wait_message("not started: 1 error")["PRIORITY"] == "3"
    (why,) = [one for one in follow.records if "192.0.2.1:7007" in one["MESSAGE"]]
    assert why["PRIORITY"] == "3"
