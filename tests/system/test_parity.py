"""The same scenarios against CPython's socketserver and against handlerd: the same order of calls
and the same bytes to the clients."""
import multiprocessing
import os
import select
import signal
import socketserver
import threading

import pytest

from client import Client
from harness import TEST_HANDLERS, listener

SERVERS = {"serial": socketserver.TCPServer, "threading": socketserver.ThreadingTCPServer,
           "forking": socketserver.ForkingTCPServer}


class Transcript:
    """The calls, one a line; every process and thread appends whole lines."""

    def __init__(self, path):
        path.touch()
        path.chmod(0o666)
        self.path = path

    def note(self, call):
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        os.write(fd, (call + "\n").encode())
        os.close(fd)

    def calls(self):
        return self.path.read_text().split()


def make_handler(transcript, plan):
    """What sys_order does, in Python."""

    class Handler(socketserver.StreamRequestHandler):
        def setup(self):
            transcript.note("setup")
            if "fail_setup" in plan:
                raise OSError("setup")
            super().setup()

        def handle(self):
            transcript.note("handle")
            for line in self.rfile:
                self.wfile.write(line.upper())
                if line.upper() == b"FAIL\n":
                    raise OSError("handle")
                if line.upper() == b"BYE\n":
                    return
            self.wfile.write(b"end\n")
            if "fail_handle" in plan:
                raise OSError("handle")

        def finish(self):
            transcript.note("finish")
            super().finish()
    return Handler


class Python:
    """socketserver in a process of its own."""

    def __init__(self, mode, transcript, plan=(), max_children=None, is_once=False):
        class Server(SERVERS[mode]):
            allow_reuse_address = True
            daemon_threads = False
            request_queue_size = 64

            def verify_request(self, request, client_address):
                transcript.note("verify")
                return "refuse" not in plan

            def handle_error(self, request, client_address):
                transcript.note("handle_error")

        if max_children:
            Server.max_children = max_children
        server = Server(("127.0.0.1", 0), make_handler(transcript, plan))
        self.address = server.server_address
        self._stop_reader, self._stop_writer = os.pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=self._serve, args=(server, is_once))
        self._process.start()
        server.socket.close()

    def _serve(self, server, is_once):
        if is_once:
            server.handle_request()
        else:
            def wait_for_stop():
                os.read(self._stop_reader, 1)
                server.shutdown()
            threading.Thread(target=wait_for_stop, daemon=True).start()
            server.serve_forever(poll_interval=0.01)
        server.server_close()
        os._exit(0)

    def connect(self):
        return Client(self.address)

    def begin_stop(self):
        os.write(self._stop_writer, b"x")

    def wait_end(self):
        self._process.join(10)
        assert self._process.exitcode == 0
        os.close(self._stop_reader)
        os.close(self._stop_writer)


class Handlerd:
    """handlerd with sys_order."""

    def __init__(self, start, mode, transcript, plan=(), max_children=None, is_once=False):
        if is_once:
            options = [word for one in plan for word in ("--option", f"{one}=true")]
            self._daemon = start(arguments=[
                "--listen", "tcp:127.0.0.1:0", "--handler", str(TEST_HANDLERS / "sys_order.so"),
                "--concurrency", mode, "--once", "--option", f"transcript={transcript.path}",
                *options])
        else:
            keys = {"forking": {"max_children": max_children}} if max_children else {}
            self._daemon = start(listener("o", "sys_order", mode, options={
                "transcript": str(transcript.path), **{one: True for one in plan}}, **keys))

    def connect(self):
        return self._daemon.connect()

    def begin_stop(self):
        self._daemon.kill(signal.SIGTERM)

    def wait_end(self):
        assert self._daemon.wait_exit() == 0


@pytest.fixture
def both(start, mode, place):
    """Runs a scenario against the one and the other: its result, and the calls it led to. Where
    connections are served side by side the calls have no order among them."""

    def compare(scenario, is_ordered=True, **keys):
        results = []
        for name, make in (("python", Python),
                           ("handlerd", lambda *args, **kw: Handlerd(start, *args, **kw))):
            transcript = Transcript(place / name)
            server = make(mode, transcript, **keys)
            seen = scenario(server)
            calls = transcript.calls()
            results.append((seen, calls if is_ordered else sorted(calls)))
        assert results[0] == results[1]
        return results[0]
    return compare


def stop(server):
    server.begin_stop()
    server.wait_end()


def one_client(*lines, half_close=True):
    def scenario(server):
        with server.connect() as client:
            for line in lines:
                client.send(line + b"\n")
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
        except ConnectionRefusedError:
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
        with pytest.raises(ConnectionRefusedError):
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
    answer, calls = both(scenario, is_ordered=False)
    assert answer == b"BYE\n"
    assert calls.count("handle") == 6
