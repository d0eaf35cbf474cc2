"""A client of the control socket, as a script of anybody's could be."""
import json
import os
import socket
import subprocess
import sys

from client import TIMEOUT_S

_ANYBODY = """
import json, socket, sys
asked = socket.socket(socket.AF_UNIX)
asked.settimeout(10)
try:
    asked.connect(sys.argv[1])
    try:
        asked.sendall(sys.argv[2].encode() + b"\\n")
    except BrokenPipeError:
        pass  # turned away before it could ask
    data = b""
    while piece := asked.recv(65536):
        data += piece
    print(data.decode().splitlines()[-1])
except (PermissionError, FileNotFoundError) as failure:
    print(json.dumps({"connect": type(failure).__name__}))
"""


class Asking:
    """One connection; every line that comes is a JSON object."""

    def __init__(self, path, request=None, timeout=TIMEOUT_S):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect(str(path))
        except OSError:
            self.sock.close()
            raise
        self._data = b""
        self.progress = []
        if request is not None:
            self.send(json.dumps(request).encode() + b"\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        try:
            self.sock.sendall(data)
        except BrokenPipeError:
            pass  # the answer is there already
        return self

    def _receive(self):
        try:
            return self.sock.recv(65536)
        except ConnectionResetError:
            return b""  # it did not read all that was sent

    def line(self):
        """The next line; None at the end."""
        while b"\n" not in self._data:
            piece = self._receive()
            if not piece:
                assert not self._data, self._data
                return None
            self._data += piece
        line, _, self._data = self._data.partition(b"\n")
        return json.loads(line)

    def answer(self):
        """The last line. Lines of progress are kept."""
        while True:
            line = self.line()
            assert line is not None, "no answer"
            if "ok" in line:
                return line
            self.progress.append(line["progress"])

    def is_at_end(self):
        return self.line() is None

    def close(self):
        self.sock.close()


def ask(daemon, command, **arguments):
    """The answer to one request; the connection is closed after it."""
    with Asking(daemon.control, {"command": command, **arguments}) as asking:
        answer = asking.answer()
        if command != "stop":
            assert asking.is_at_end()
        return answer


def ask_raw(path, data):
    """The answer to these bytes."""
    with Asking(path) as asking:
        asking.send(data)
        answer = asking.answer()
        assert asking.is_at_end()
        return answer


def ask_as(path, user, group, groups, request):
    """The answer that somebody else gets; {"connect": ...} if there is none."""
    result = subprocess.run(
        [sys.executable, "-c", _ANYBODY, str(path), json.dumps(request)], check=True, text=True,
        stdout=subprocess.PIPE, user=user, group=group, extra_groups=groups, cwd="/",
        env={"PATH": os.environ["PATH"]}, timeout=TIMEOUT_S)
    return json.loads(result.stdout)
