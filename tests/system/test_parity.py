"""The same scenarios against CPython's socketserver and against handlerd, over streams: the same
order of calls and the same bytes to the clients."""
import select

import pytest

from harness import STREAMS
from parity import REFUSALS, Both


@pytest.fixture(params=STREAMS)
def both(request, start, mode, place):
    one = Both(start, place, request.param, mode)
    yield one
    one.end()


def stop(server):
    server.begin_stop()
    server.wait_end()


def one_client(*lines, half_close=True):
    def scenario(server):
        with server.connect() as client:
            # who is refused may be gone before there is anything to send
            if lines:
                client.send(b"".join(line + b"\n" for line in lines))
            if half_close:
                client.half_close()
            answer = client.rest()
        stop(server)
        return answer
    return scenario


def test_the_calls_of_an_ordinary_connection(both):
    answer, calls = both(one_client(b"one", b"two"))
    assert answer == b"ONE\nTWO\nend\n"
    assert calls == ["verify", "setup", "handle", "finish"]


def test_a_handler_that_ends_by_itself(both):
    answer, calls = both(one_client(b"one", b"bye", half_close=False))
    assert answer == b"ONE\nBYE\n"
    assert calls == ["verify", "setup", "handle", "finish"]


def test_verify_that_refuses_ends_the_connection_before_setup(both):
    answer, calls = both(one_client(half_close=False), plan=["refuse"])
    assert (answer, calls) == (b"", ["verify"])


def test_setup_that_fails_is_followed_by_neither_handle_nor_finish(both):
    answer, calls = both(one_client(half_close=False), plan=["fail_setup"])
    assert (answer, calls) == (b"", ["verify", "setup", "handle_error"])


def test_handle_that_fails_is_followed_by_finish(both):
    answer, calls = both(one_client(b"a"), plan=["fail_handle"])
    assert answer == b"A\nend\n"
    assert calls == ["verify", "setup", "handle", "finish", "handle_error"]


def test_handle_that_fails_in_the_middle_has_sent_what_it_sent(both):
    answer, calls = both(one_client(b"a", b"fail", half_close=False))
    assert answer == b"A\nFAIL\n"
    assert calls == ["verify", "setup", "handle", "finish", "handle_error"]


def test_a_client_that_closes_its_side_gets_everything(both):
    answer, _ = both(one_client(*[b"line %d" % number for number in range(1000)]))
    assert answer.count(b"\n") == 1001 and answer.endswith(b"end\n")


def test_a_failure_leaves_the_next_connection_untouched(both):
    def scenario(server):
        answers = []
        for lines in (b"fail\n", b"a\n", b"fail\n", b"b\nbye\n"):
            with server.connect() as client:
                answers.append(client.send(lines).half_close().rest())
        stop(server)
        return answers
    answers, calls = both(scenario, is_ordered=False)
    assert answers == [b"FAIL\n", b"A\nend\n", b"FAIL\n", b"B\nBYE\n"]
    assert calls.count("handle_error") == 2 and calls.count("finish") == 4


def test_clients_at_the_same_time(both, mode):
    """Serial serves the second after the first, the others at once."""
    def scenario(server):
        first, second = server.connect(), server.connect()
        first.send(b"a\n")
        assert first.line() == "A"
        second.send(b"b\n")
        is_served_at_once = not second.is_silent(0.3)
        first.half_close().rest()
        first.close()
        line = second.line()
        second.half_close().rest()
        second.close()
        stop(server)
        return is_served_at_once, line
    (at_once, line), calls = both(scenario, is_ordered=mode == "serial")
    assert line == "B"
    assert at_once == (mode != "serial")
    assert calls.count("finish") == 2


def test_shutdown_with_an_open_connection_lets_it_finish(both):
    """No new connection is accepted and the open one is served to its end."""
    def scenario(server):
        client = server.connect()
        client.send(b"a\n")
        assert client.line() == "A"
        server.begin_stop()
        client.send(b"b\n")
        assert client.line() == "B"
        client.half_close()
        rest = client.rest()
        client.close()
        server.wait_end()
        try:
            server.connect()
            is_refused = False
        except REFUSALS:
            is_refused = True
        return rest, is_refused
    (rest, is_refused), calls = both(scenario)
    assert (rest, is_refused) == (b"end\n", True)
    assert calls == ["verify", "setup", "handle", "finish"]


@pytest.mark.parametrize("mode", ["forking"])
def test_the_children_have_a_limit(both):
    """socketserver forks up to max_children and then waits; so does handlerd."""

    def scenario(server):
        clients = [server.connect() for _ in range(4)]
        poll = select.poll()
        for client in clients:
            client.send(b"x\n")
            poll.register(client.sock, select.POLLIN)
        served = set()
        while True:
            ready = poll.poll(500)
            if not ready:
                break
            for fd, _ in ready:
                served.add(fd)
                poll.unregister(fd)
        for client in clients:
            if client.sock.fileno() in served:
                client.half_close()
                assert client.rest() == b"X\nend\n"
                client.close()
        for client in clients:
            if client.sock.fileno() != -1:
                client.half_close()
                assert client.rest() == b"X\nend\n"
                client.close()
        stop(server)
        return len(served)
    served, calls = both(scenario, is_ordered=False, max_children=2)
    assert served == 2
    assert calls.count("finish") == 4


@pytest.mark.parametrize("plan", [[], ["refuse"], ["fail_setup"], ["fail_handle"]])
def test_once_serves_as_handle_request_does(both, plan):
    def scenario(server):
        with server.connect() as client:
            answer = client.half_close().rest() if not plan or plan == ["fail_handle"] \
                else client.rest()
        server.wait_end()
        with pytest.raises(REFUSALS):
            server.connect()
        return answer
    both(scenario, plan=plan, is_once=True)


def test_many_connections_lead_to_the_same_number_of_calls(both):
    def scenario(server):
        for number in range(30):
            with server.connect() as client:
                assert client.send(b"%d\nbye\n" % number).rest() == b"%d\nBYE\n" % number
        stop(server)
        return 30
    _, calls = both(scenario, is_ordered=False)
    assert calls == sorted(["verify", "setup", "handle", "finish"] * 30)


def test_a_connection_closed_at_once_is_served_all_the_same(both):
    def scenario(server):
        for _ in range(5):
            server.connect().close()
        with server.connect() as client:
            answer = client.send(b"bye\n").rest()
        stop(server)
        return answer
    python, handlerd = both.play(scenario)
    assert python[0] == handlerd[0] == b"BYE\n"
    # to Python an answer that nobody takes is an error of the handler; TCP does not tell at once
    assert sorted(handlerd[1]) == sorted(["verify", "setup", "handle", "finish"] * 6)
    assert sorted(handlerd[1]) == sorted(call for call in python[1] if call != "handle_error")
