"""CPython's socketserver and handlerd behind the same face, for scenarios that are played against
both: the same order of calls and the same bytes to the clients."""
import multiprocessing
import os
import select
import signal
import socketserver
import threading

from client import TIMEOUT_S, Client, Datagrams
from harness import DATAGRAMS, STREAMS, TEST_HANDLERS, listener

BASES = {"tcp": socketserver.TCPServer, "udp": socketserver.UDPServer,
         "unix": socketserver.UnixStreamServer, "unixgram": socketserver.UnixDatagramServer}
MIXINS = {"serial": None, "threading": socketserver.ThreadingMixIn,
          "forking": socketserver.ForkingMixIn,
          # Python has none; what a handler sees is what it sees on a thread
          "fibers": socketserver.ThreadingMixIn}
REFUSALS = (ConnectionRefusedError, FileNotFoundError)


def server_class(protocol, mode):
    """As TCPServer, ThreadingUDPServer, ForkingUnixStreamServer and so on are made."""
    base, mixin = BASES[protocol], MIXINS[mode]
    return type("Server", (mixin, base) if mixin else (base,), {})


def connect(protocol, address):
    return (Datagrams if protocol in DATAGRAMS else Client)(address)


class Transcript:
    """The calls, one a line, in a pipe with a name: every process and thread writes whole lines,
    and a test can wait for one."""

    def __init__(self, path):
        os.mkfifo(path)
        path.chmod(0o666)
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._text = b""

    def note(self, call):
        fd = os.open(self.path, os.O_WRONLY)
        os.write(fd, (call + "\n").encode())
        os.close(fd)

    def calls(self):
        try:
            while True:
                self._text += os.read(self._fd, 65536)
        except BlockingIOError:
            return self._text.decode().split()

    def wait(self, call, count=1):
        """Until there were so many of them."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while self.calls().count(call) < count:
            assert poll.poll(TIMEOUT_S * 1000), f"no {call}; there were {self.calls()}"

    def close(self):
        os.close(self._fd)


def make_handler(protocol, transcript, plan):
    """What sys_order does, in Python."""
    is_stream = protocol in STREAMS
    base = socketserver.StreamRequestHandler if is_stream else socketserver.DatagramRequestHandler

    class Handler(base):
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

    def __init__(self, protocol, mode, address, handler, transcript=None, plan=(),
                 max_children=None, is_once=False):
        class Server(server_class(protocol, mode)):
            allow_reuse_address = True
            daemon_threads = False
            request_queue_size = 64

            def verify_request(self, request, client_address):
                if transcript:
                    transcript.note("verify")
                return "refuse" not in plan

            def handle_error(self, request, client_address):
                if transcript:
                    transcript.note("handle_error")

        if max_children:
            Server.max_children = max_children
        server = Server(address, handler)
        self.protocol, self.address, self.transcript = protocol, server.server_address, transcript
        self._clients = []
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
        # server_close takes the socket away first, and with it the answers to datagrams
        if isinstance(server, socketserver.ThreadingMixIn):
            server._threads.join()
        server.server_close()
        os._exit(0)

    def connect(self):
        self._clients.append(connect(self.protocol, self.address))
        return self._clients[-1]

    def begin_stop(self):
        os.write(self._stop_writer, b"x")

    def wait_end(self):
        self._process.join(10)
        assert self._process.exitcode == 0
        os.close(self._stop_reader)
        os.close(self._stop_writer)

    def stop(self):
        self.begin_stop()
        self.wait_end()

    def end_hard(self):
        for client in self._clients:
            client.close()
        if self._process.is_alive():
            self._process.kill()
        self._process.join(10)


class Handlerd:
    """handlerd with sys_order, or another handler of the tests."""

    def __init__(self, start, protocol, mode, address, transcript=None, plan=(), max_children=None,
                 is_once=False, handler="sys_order"):
        written = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else address
        self.protocol, self.transcript = protocol, transcript
        options = {"transcript": str(transcript.path)} if transcript else {}
        options.update({one: True for one in plan})
        if is_once:
            words = [word for name, value in options.items()
                     for word in ("--option", f"{name}={'true' if value is True else value}")]
            self._daemon = start(arguments=[
                "--listen", f"{protocol}:{written}", "--handler",
                str(TEST_HANDLERS / f"{handler}.so"), "--concurrency", mode, "--once", *words])
        else:
            keys = {"forking": {"max_children": max_children}} if max_children else {}
            self._daemon = start(listener("o", handler, mode, address=written, protocol=protocol,
                                          options=options, **keys))

    def connect(self):
        return self._daemon.connect()

    def begin_stop(self):
        self._daemon.kill(signal.SIGTERM)

    def wait_end(self):
        assert self._daemon.wait_exit() == 0

    def stop(self):
        self.begin_stop()
        self.wait_end()


class Both:
    """Plays a scenario against the one and the other."""

    def __init__(self, start, place, protocol, mode):
        self._start, self._place = start, place
        self.protocol, self.mode = protocol, mode
        self._ends = []

    def _address(self, name):
        return ("127.0.0.1", 0) if self.protocol in ("tcp", "udp") else str(self._place / name)

    def play(self, scenario, **keys):
        """What the scenario saw and the calls it led to, with socketserver and with handlerd."""
        results = []
        for name in ("python", "handlerd"):
            transcript = Transcript(self._place / f"{name}.calls")
            self._ends.append(transcript.close)
            plan = keys.get("plan", ())
            address = self._address(f"{name}.sock")
            if name == "python":
                server = Python(self.protocol, self.mode, address,
                                make_handler(self.protocol, transcript, plan), transcript, **keys)
                self._ends.append(server.end_hard)
            else:
                server = Handlerd(self._start, self.protocol, self.mode, address, transcript,
                                  **keys)
            seen = scenario(server)
            results.append((seen, transcript.calls()))
        return results

    def __call__(self, scenario, is_ordered=True, **keys):
        """The result that both have in common. Where requests are served side by side the calls
        have no order among them."""
        python, handlerd = [(seen, calls if is_ordered else sorted(calls))
                            for seen, calls in self.play(scenario, **keys)]
        assert handlerd == python
        return handlerd

    def end(self):
        for end in reversed(self._ends):
            end()
