"""Runs handlerctl, and servers for it that behave in one way each."""
import os
import socket
import struct
import subprocess
import threading

import harness
from conffile import BUILD, SOURCE
from harness import WAIT_S

PROGRAM = BUILD / "bin" / "handlerctl"
SCRIPT = SOURCE / "handlerctl" / "completion.bash"
STREAMS = ["tcp", "unix"]
DATAGRAMS = ["udp", "unixgram"]
ALL = STREAMS + DATAGRAMS


class Server:
    """One socket, and a thread that deals with so many clients and ends."""

    def __init__(self, protocol, place, serve=None, times=1, host="127.0.0.1", backlog=None):
        is_stream = protocol in STREAMS
        family = socket.AF_UNIX if protocol.startswith("unix") else \
            socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM)
        self.sock.settimeout(WAIT_S)
        if family == socket.AF_UNIX:
            name = str(place / f"{protocol}.sock") if host == "127.0.0.1" else host
            self.sock.bind(name.replace("@", "\0", 1))
            self.port, self.target = None, f"{protocol}:{name}"
        else:
            self.sock.bind((host, 0))
            self.port = self.sock.getsockname()[1]
            self.target = f"{protocol}:{f'[{host}]' if ':' in host else host}:{self.port}"
        if is_stream:
            self.sock.listen() if backlog is None else self.sock.listen(backlog)
        self.name = self.target.replace(":", " ", 1)
        self.failure = None
        self._serve, self._times, self._is_stream = serve, times, is_stream
        self._thread = threading.Thread(target=self._run, daemon=True)
        if serve:
            self._thread.start()

    def _run(self):
        try:
            for _ in range(self._times):
                if not self._is_stream:
                    self._serve(self.sock)
                    continue
                client, _ = self.sock.accept()
                with client:
                    client.settimeout(WAIT_S)
                    self._serve(client)
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def end(self):
        if self._serve:
            self._thread.join(WAIT_S)
        self.sock.close()
        assert not self._thread.is_alive(), "the server still waits for somebody"
        assert self.failure is None, repr(self.failure)


def environment():
    found = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    for name in harness.SANITIZER_OPTIONS:
        if name in os.environ:
            found[name] = os.environ[name]
    return found


def ctl(*arguments, data=b"", **keys):
    """Runs handlerctl with this standard input."""
    if "stdin" not in keys:
        keys["input"] = data
    keys.setdefault("stdout", subprocess.PIPE)
    result = subprocess.run([str(PROGRAM), *map(str, arguments)], stderr=subprocess.PIPE,
                            timeout=WAIT_S, env=environment(), check=False, **keys)
    result.stderr = result.stderr.decode()
    assert not harness.SANITIZER.search(result.stderr), result.stderr
    return result


def send(*arguments, **keys):
    return ctl("send", *arguments, **keys)


def complete(*words, **variables):
    """What bash offers for the last word behind handlerctl."""
    script = ('source "$1"; shift; COMP_WORDS=(handlerctl "$@"); COMP_CWORD=$#; _handlerctl; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    result = subprocess.run(["bash", "-euc", script, "bash", str(SCRIPT), *map(str, words)],
                            capture_output=True, check=True, timeout=WAIT_S,
                            env=environment() | {"PATH": path} | variables)
    assert result.stderr == b""
    return result.stdout.decode().split()


def refuses(result, status, sentence):
    assert result.stderr == f"handlerctl: {sentence}\n"
    assert result.returncode == status


def answers(result, data, status=0):
    assert result.stderr == ""
    assert (result.returncode, result.stdout) == (status, data)


# What servers do with a client

def echo(client):
    """Until its end; nothing is said that was not read."""
    while True:
        data = client.recv(65536)
        if not data:
            return
        client.sendall(data)


def echo_datagram(sock):
    data, sender = sock.recvfrom(70000)
    sock.sendto(data, sender)


def echo_of(protocol):
    return echo if protocol in STREAMS else echo_datagram


def wait_for_end(client):
    while client.recv(65536):
        pass


def swallow_datagram(sock):
    sock.recv(70000)


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def last(data):
    """Reads a few bytes, answers and closes."""
    def one(client):
        client.recv(100)
        client.sendall(data)
    return one
