"""A control socket that answers from a table, or misbehaves in one way."""
import json
import socket
import threading

from harness import WAIT_S

LISTENER = {
    "name": "echo", "protocol": "tcp", "addresses": ["127.0.0.1:7007"],
    "handler": {"name": "echo", "path": "/usr/lib/handlerd/echo.so", "version": "1.0.0",
                "build_id": "abcdef"},
    "concurrency": "threading", "start": "now", "state": "serving", "is_paused": False,
    "is_rolled_back": False, "generation": 3, "pid": 123, "uptime_seconds": 11520.5, "crashes": 0,
    "connections": {"now": 3, "limit": 1024, "total": 1234567, "finished": 1234564, "refused": 1,
                    "failed": 2, "crashed": 0, "timed_out": 4, "unlogged": 5},
    "old": [],
}

STATUS = {
    "ok": True, "schema": 1, "version": "0.1.0", "abi": "1.0", "pid": 99, "state": "running",
    "started": "2026-01-01T00:00:00Z", "uptime_seconds": 187200.0, "generation": 3,
    "configuration": "/etc/handlerd/handlerd.conf", "upgrades": 0, "last_reload": None,
    "listeners": [LISTENER], "leaving": [],
}

CONNECTION = {"id": 17, "listener": "echo", "generation": 3, "peer": "127.0.0.1:40000",
              "age_seconds": 1.25, "bytes_in": 10, "bytes_out": 1536, "state": "handle",
              "waits_for": "input", "reason": None}


def status(*listeners, leaving=(), **keys):
    return {**STATUS, "listeners": list(listeners), "leaving": list(leaving), **keys}


def listener(name="echo", counters=None, **keys):
    return {**LISTENER, "name": name, **keys,
            "connections": {**LISTENER["connections"], **(counters or {})}}


def progress(text):
    return {"progress": text}


def refusal(error, *errors):
    return {"ok": False, "error": error, "errors": list(errors)}


class FakeControl:
    """Takes one client after the other; each gets what `answers` says, and is closed.

    An answer is an object, which becomes a line, bytes, which go out as they are, or a function
    that is called with the client. What was asked is in `requests`.
    """

    def __init__(self, path, *answers, clients=1):
        self.path = str(path)
        self.requests = []
        self.failure = None
        self._answers, self._clients = answers, clients
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(WAIT_S)
        self._sock.bind(self.path)
        self._sock.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            for _ in range(self._clients):
                client, _ = self._sock.accept()
                with client:
                    client.settimeout(WAIT_S)
                    self._serve(client)
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def _serve(self, client):
        line = client.makefile("rb").readline()
        assert line.endswith(b"\n") and len(line) <= 4096, line
        self.requests.append(json.loads(line))
        for answer in self._answers:
            if callable(answer):
                answer(client)
            elif isinstance(answer, bytes):
                client.sendall(answer)
            else:
                client.sendall(json.dumps(answer).encode() + b"\n")

    def end(self):
        self._thread.join(WAIT_S)
        self._sock.close()
        assert not self._thread.is_alive(), "the control socket still waits for somebody"
        assert self.failure is None, repr(self.failure)


def wait_for_end(client):
    """The client has gone."""
    assert client.recv(1) == b""
