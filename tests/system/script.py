"""What the handler sys_stream does, with Python's sockets: a line of operations, what they return
comes back as one line."""
import errno
import io
import socketserver
import tempfile


def number_of(failure):
    """As handlerd tells it; both of Python's words for a time that has passed are one."""
    if isinstance(failure, (TimeoutError, BlockingIOError)):
        return -errno.ETIMEDOUT
    if isinstance(failure, ValueError):
        # what Python finds wrong before it asks the kernel
        return -errno.EOPNOTSUPP if "SOCK_STREAM" in str(failure) else -errno.EINVAL
    return -failure.errno


class Operations:
    """What streams and datagrams have in common."""

    def run(self, line):
        said = ""
        for operation in line.split(";"):
            name, _, argument = operation.partition(" ")
            try:
                said += getattr(self, "op_" + name)(argument)
            except (OSError, ValueError) as failure:
                said += f"{number_of(failure)} "
        return said[:-1] + "\n" if said else ""

    @staticmethod
    def bytes(data):
        return f"{len(data)}:{data.hex()} " if data else "0 "

    def op_readline(self, argument):
        return self.bytes(self.rfile.readline(int(argument) - 1))

    op_fgets = op_readline

    def op_fread(self, argument):
        return self.bytes(self.rfile.read(int(argument)))

    def op_fputs(self, argument):
        self.wfile.write(argument.encode())
        return ""

    def op_sendfile(self, argument):
        offset, _, count = argument.partition(" ")
        with tempfile.TemporaryFile() as file:
            file.write(b"0123456789")
            file.seek(2)
            sent = self.socket.sendfile(file, int(offset), None if count == "end" else int(count))
        return f"{sent} "


class Stream(Operations, socketserver.StreamRequestHandler):
    def handle(self):
        line = b""
        while not line.endswith(b"\n"):
            line += self.request.recv(1)
        self.socket = self.request
        self.request.sendall(self.run(line.decode().rstrip("\n")).encode())

    def op_recv(self, argument):
        return self.bytes(self.request.recv(int(argument)))

    def op_recv_into(self, argument):
        buffer = bytearray(int(argument))
        return self.bytes(buffer[:self.request.recv_into(buffer)])

    def op_recvfrom(self, argument):
        return self.bytes(self.request.recvfrom(int(argument))[0])

    def op_recvfrom_into(self, argument):
        buffer = bytearray(int(argument))
        return self.bytes(buffer[:self.request.recvfrom_into(buffer)[0]])

    def op_send(self, argument):
        return f"{self.request.send(argument.encode())} "

    def op_sendall(self, argument):
        self.request.sendall(argument.encode())
        return ""

    def op_timeout(self, argument):
        self.request.settimeout(None if argument == "-1" else int(argument) / 1000)
        return ""

    def op_makefile(self, argument):
        self.request.makefile(argument)
        return ""


class Datagram(Operations, socketserver.DatagramRequestHandler):
    def handle(self):
        line = self.rfile.readline().decode().rstrip("\n")
        self.wfile.write(self.run(line).encode())

    def op_recv(self, argument):
        return self.bytes(self.rfile.read(int(argument)))

    def op_recv_into(self, argument):
        buffer = bytearray(int(argument))
        return self.bytes(buffer[:self.rfile.readinto(buffer)])

    op_recvfrom, op_recvfrom_into = op_recv, op_recv_into

    def op_send(self, argument):
        return f"{self.wfile.write(argument.encode())} "

    def op_sendall(self, argument):
        self.wfile.write(argument.encode())
        return ""

    def op_sendto(self, argument):
        return f"{self.socket.sendto(argument.encode(), self.client_address)} "

    def op_makefile(self, argument):
        io.TextIOWrapper(self.rfile) if argument in "rw" else self.socket.makefile(argument)
        return ""
