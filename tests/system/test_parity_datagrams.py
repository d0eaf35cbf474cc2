"""The same scenarios against CPython's socketserver and against handlerd, over datagrams: the same
order of calls and the same answers. By design two things differ, and are told as they are here:
Python sends what DatagramRequestHandler has gathered even if that is nothing, and even if handle
has failed; handlerd sends what a handler that succeeded has sent."""
import pytest

from harness import DATAGRAMS
from parity import Both


@pytest.fixture(params=DATAGRAMS)
def both(request, start, mode, place):
    one = Both(start, place, request.param, mode)
    yield one
    one.end()


def datagrams(*payloads, until=("finish",), is_stopped=True):
    """One client sends each; all that comes back by the end of the server."""
    def scenario(server):
        client = server.connect()
        for number, payload in enumerate(payloads):
            client.send(payload)
            for call in until:
                server.transcript.wait(call, number + 1)
        if is_stopped:
            server.stop()
        else:
            server.wait_end()
        return client.everything()
    return scenario


@pytest.mark.parametrize("payload, answer", [
    (b"one\ntwo\n", b"ONE\nTWO\nend\n"),
    (b"one\nbye\nthree\n", b"ONE\nBYE\n"),
    (b"without an end", b"WITHOUT AN ENDend\n"),
    (b"", b"end\n"),
    (b"\n\n", b"\n\nend\n"),
    (b"x" * 200 + b"\n" + b"y" * 200, b"X" * 200 + b"\n" + b"Y" * 200 + b"end\n"),
])
def test_the_calls_and_the_answer_of_a_datagram(both, payload, answer):
    assert both(datagrams(payload)) == ([answer], ["verify", "setup", "handle", "finish"])


def test_a_datagram_of_the_usual_most(both):
    """8192 bytes are max_packet_size there and max_datagram here."""
    payload = (b"a" * 127 + b"\n") * 64
    answers, _ = both(datagrams(payload))
    assert answers == [payload.upper() + b"end\n"]


def test_verify_that_refuses_is_followed_by_nothing(both):
    assert both(datagrams(b"a", until=("verify",)), plan=["refuse"]) == ([], ["verify"])


def test_setup_that_fails_is_followed_by_neither_handle_nor_finish_nor_answer(both):
    assert both(datagrams(b"a", until=("handle_error",)), plan=["fail_setup"]) == \
        ([], ["verify", "setup", "handle_error"])


@pytest.mark.parametrize("payload, gathered", [(b"a\n", b"A\nend\n"), (b"a\nfail\n", b"A\nFAIL\n")])
def test_handle_that_fails_is_followed_by_finish(both, payload, gathered):
    plan = [] if b"fail" in payload else ["fail_handle"]
    python, handlerd = both.play(datagrams(payload, until=("finish", "handle_error")), plan=plan)
    calls = ["verify", "setup", "handle", "finish", "handle_error"]
    assert python == ([gathered], calls)
    assert handlerd == ([], calls)


def test_a_failure_leaves_the_next_datagram_untouched(both):
    python, handlerd = both.play(datagrams(b"fail\n", b"a\n", b"fail\n", b"b\nbye\n"))
    assert sorted(python[0]) == sorted([b"FAIL\n", b"A\nend\n", b"FAIL\n", b"B\nBYE\n"])
    assert sorted(handlerd[0]) == sorted([b"A\nend\n", b"B\nBYE\n"])
    assert sorted(python[1]) == sorted(handlerd[1])
    assert handlerd[1].count("handle_error") == 2 and handlerd[1].count("finish") == 4


def test_clients_at_the_same_time_each_get_their_own(both):
    def scenario(server):
        clients = [server.connect() for _ in range(8)]
        for round_number in range(4):
            for number, client in enumerate(clients):
                client.send(b"%d of %d\nbye\n" % (round_number, number))
        answers = [sorted(client.receive() for _ in range(4)) for client in clients]
        server.stop()
        assert not any(client.everything() for client in clients)
        return answers
    answers, calls = both(scenario, is_ordered=False)
    assert answers == [[b"%d OF %d\nBYE\n" % (round_number, number) for round_number in range(4)]
                       for number in range(8)]
    assert calls == sorted(["verify", "setup", "handle", "finish"] * 32)


@pytest.mark.parametrize("mode", ["serial"])
def test_serial_answers_in_the_order_of_arrival(both):
    def scenario(server):
        client = server.connect()
        # a Unix socket may hold no more than ten
        for number in range(8):
            client.send(b"%d\nbye\n" % number)
        answers = [client.receive() for _ in range(8)]
        server.stop()
        return answers
    answers, calls = both(scenario)
    assert answers == [b"%d\nBYE\n" % number for number in range(8)]
    assert calls == ["verify", "setup", "handle", "finish"] * 8


@pytest.mark.parametrize("plan, until, calls", [
    ([], "finish", ["verify", "setup", "handle", "finish"]),
    (["refuse"], "verify", ["verify"]),
    (["fail_setup"], "handle_error", ["verify", "setup", "handle_error"]),
])
def test_once_serves_one_datagram_as_handle_request_does(both, plan, until, calls):
    answers, seen = both(datagrams(b"a\n", until=(until,), is_stopped=False), plan=plan,
                         is_once=True)
    assert (answers, seen) == ([b"A\nend\n"] if not plan else [], calls)


def test_a_client_that_does_not_wait_for_its_answer_harms_nobody(both):
    def scenario(server):
        for number in range(5):
            gone = server.connect()
            gone.send(b"a\n")
            server.transcript.wait("verify", number + 1)
            gone.close()
        answer = server.connect().ask(b"b\n")
        server.stop()
        return answer
    python, handlerd = both.play(scenario)
    assert python[0] == handlerd[0] == b"B\nend\n"
    # to Python an answer that nobody takes is an error of the handler
    assert sorted(handlerd[1]) == sorted(["verify", "setup", "handle", "finish"] * 6)
    assert sorted(handlerd[1]) == sorted(call for call in python[1] if call != "handle_error")
