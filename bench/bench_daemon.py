"""Starting handlerd for a cell."""

import os

from bench_peers import build_handler
from bench_servers import Server


def write_configuration(directory, daemon, protocol, handler, place):
    path = os.path.join(directory, "handlerd.conf")
    with open(path, "w") as out:
        out.write(f"""control = "";
{daemon.top}
listeners = (
  {{
    name = "echo";
    protocol = "{protocol}";
    address = "{place}";
    handler = "{handler}";
    concurrency = "{daemon.concurrency}";
    {daemon.settings}
  }}
);
""")
    return path


def start_daemon(run, daemon, protocol, directory, name="handlerd", core_count=1):
    """A handlerd in DIRECTORY, which is its own."""
    os.makedirs(directory)
    handler = daemon.handler
    if handler != "echo":
        run.build_once(handler, lambda bins: build_handler(bins, handler))
        handler = os.path.join(run.bins, handler + ".so")
    place = os.path.join(directory, "socket") if protocol == "unix" else "127.0.0.1:0"
    path = write_configuration(directory, daemon, protocol, handler, place)
    return Server(name, [run.handlerd, "-c", path], directory, None, core_count, run.force_proc)
