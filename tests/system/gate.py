"""A place at which handlers wait until a test lets them go on."""
import os


class Gate:
    """A pipe with a name: closed while it is empty."""

    def __init__(self, path):
        os.mkfifo(path)
        path.chmod(0o666)
        self.path = str(path)
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def open(self):
        os.write(self._fd, b"x")

    def close(self):
        os.close(self._fd)
