"""The kernel's keyrings: a key that only those have who inherit the session keyring of this process."""
import ctypes
import os
import subprocess

NAME = "handlerd-test-key"

_ADD_KEY, _KEYCTL = (248, 250) if os.uname().machine == "x86_64" else (217, 219)
_JOIN_SESSION, _SET_PERMISSIONS, _SESSION = 1, 5, -3
_OF_THE_POSSESSOR_ALONE = 0x3F000000

_libc = ctypes.CDLL(None, use_errno=True)


def is_there():
    """Whether a process that inherits it has the key."""
    return NAME in subprocess.run(["cat", "/proc/keys"], capture_output=True, text=True, check=False).stdout


def plant():
    """In a session keyring of its own. False: this kernel, or a filter around the tests, has no keys."""
    if _libc.syscall(_KEYCTL, _JOIN_SESSION, None) < 0:
        return False
    key = _libc.syscall(_ADD_KEY, b"user", NAME.encode(), b"secret", 6, _SESSION)
    assert key > 0, os.strerror(ctypes.get_errno())
    assert _libc.syscall(_KEYCTL, _SET_PERMISSIONS, key, _OF_THE_POSSESSOR_ALONE) == 0
    assert is_there()
    return True
