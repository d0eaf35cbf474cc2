"""Configuration files for the tests, and where the build is."""
import itertools
import os
import pathlib

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HANDLERD_BUILD", SOURCE / "build" / "dev")).resolve()
TEST_HANDLERS = BUILD / "tests" / "handlers"

STREAMS = ["tcp", "unix"]
DATAGRAMS = ["udp", "unixgram"]
PROTOCOLS = STREAMS + DATAGRAMS

_numbers = itertools.count()


def any_address(protocol):
    """One that nobody else has: the kernel's choice of a port, or a name of our own."""
    if protocol in ("tcp", "udp"):
        return "127.0.0.1:0"
    return f"@handlerd-test-{os.getpid()}-{next(_numbers)}"


def render(value):
    """A value as libconfig writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) + ("L" if value > 0x7fffffff else "")
    if isinstance(value, float):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, (list, tuple)):
        return "[ " + ", ".join(render(item) for item in value) + " ]"
    return "{ " + " ".join(f"{name} = {render(item)};" for name, item in value.items()) + " }"


def listener(name="echo", handler=None, mode="threading", address=None, protocol="tcp", **keys):
    """One entry of `listeners`."""
    handler = str(handler if handler is not None else name)
    if handler.startswith("sys_"):
        handler = str(TEST_HANDLERS / (handler + ".so"))
    entry = {"name": name, "protocol": protocol, "address": address or any_address(protocol),
             "handler": handler, "concurrency": mode}
    entry.update(keys)
    return render(entry)


def config(*listeners, **top):
    """A whole configuration file."""
    lines = [f"{name} = {render(value)};" for name, value in top.items()]
    return "\n".join(lines + ["listeners = ("] + [",\n".join(listeners)] + [");"]) + "\n"
