"""A client of a listener."""
import os
import select
import socket
import struct

TIMEOUT_S = 10 * float(os.environ.get("HANDLERD_SLOW", "1"))


def _family(address):
    if isinstance(address, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


class Client:
    """A connection with calls that wait for exactly what a test expects."""

    def __init__(self, address, timeout=TIMEOUT_S, source=None, receive_buffer=None):
        self.sock = socket.socket(_family(address), socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind(source)
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)
        return self

    def some(self, most=65536):
        return self.sock.recv(most)

    def exactly(self, size):
        """So many bytes; fewer only if the end comes before."""
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                break
            data += piece
        return data

    def line(self):
        """One line without its end; what there was if the end comes before."""
        data = b""
        while not data.endswith(b"\n"):
            piece = self.sock.recv(1)
            if not piece:
                break
            data += piece
        return data.decode("utf-8", "replace").rstrip("\n")

    def rest(self):
        """Everything up to the end."""
        data = b""
        while True:
            piece = self.sock.recv(65536)
            if not piece:
                return data
            data += piece

    def ask(self, text):
        """Sends a line; the line that comes back."""
        self.send(text + "\n")
        return self.line()

    def is_at_end(self):
        """Waits for the end, or a reset."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def is_silent(self, seconds):
        """Nothing comes, not even the end, for so long."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(seconds * 1000)

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        """Ends the connection without a word."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def name(self):
        """This end, as the daemon writes it."""
        host, port = self.sock.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self):
        self.sock.close()


class Datagrams:
    """A socket that sends datagrams to a listener. One for Unix is bound to a name that the kernel
    chooses, so that it can be answered."""

    def __init__(self, address, timeout=TIMEOUT_S, source=None):
        self.address = address
        self.sock = socket.socket(_family(address), socket.SOCK_DGRAM)
        self.sock.settimeout(timeout)
        if source is not None:
            self.sock.bind(source)
        elif self.sock.family == socket.AF_UNIX:
            self.sock.bind("")
        else:
            self.sock.bind(("::1" if self.sock.family == socket.AF_INET6 else "127.0.0.1", 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.sock.sendto(data.encode() if isinstance(data, str) else data, self.address)
        return self

    def receive(self):
        """The next datagram, from whomever."""
        return self.sock.recv(1 << 17)

    def ask(self, data):
        """Sends a datagram; the next one that comes."""
        return self.send(data).receive()

    def ask_text(self, text):
        return self.ask(text).decode("utf-8", "replace").rstrip("\n")

    def everything(self):
        """What has arrived so far."""
        found = []
        while not self.is_silent(0):
            found.append(self.receive())
        return found

    def is_silent(self, seconds):
        """Nothing comes for so long."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(seconds * 1000)

    def name(self):
        """This end, as the daemon writes it."""
        own = self.sock.getsockname()
        if self.sock.family == socket.AF_UNIX:
            return "@" + own[1:].decode() if isinstance(own, bytes) else own
        host, port = own[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self):
        self.sock.close()
