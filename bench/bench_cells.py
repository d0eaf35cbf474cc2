"""What is measured: which handlerd, under which load, against what, and how good it must be."""

import dataclasses

# So many connections are held in the one place where there are many.
CROWD = 10000


@dataclasses.dataclass
class Load:
    """What the load generator does."""
    mode: str = "rr"
    connections: int = 50
    active: int = 0         # requests at the same time, where they are fewer
    pipeline: int = 1
    slow: int = 0           # further connections that read at a trickle
    protocol: str = "tcp"
    generators: int = 1     # processes among which the connections are divided

    def arguments(self, share=1):
        found = ["--mode", self.mode, "--connections", str(self.connections // share),
                 "--pipeline", str(self.pipeline), "--slow", str(self.slow)]
        return found + (["--active", str(self.active // share)] if self.active else [])


@dataclasses.dataclass
class Daemon:
    """A handlerd with one listener."""
    concurrency: str
    settings: str = ""      # further keys of the listener
    top: str = ""           # further keys at the top of the file
    handler: str = "echo"   # another one is built from handler_NAME.c
    title: str = ""         # where it stands against another handlerd


@dataclasses.dataclass
class Against:
    """A reference, and the marks: {measure: (mark, goal)}. A rate must be more than its mark, all
    others less.

    Of those with the same `best`, which do the same in different ways, the mark counts against the
    better one. A reference without marks is there for orientation, and gets few turns."""
    reference: object       # the name of a peer, or a Daemon
    marks: dict = dataclasses.field(default_factory=dict)
    best: str = ""


@dataclasses.dataclass
class Cell:
    name: str
    group: str
    title: str
    daemon: Daemon
    load: Load
    against: list
    more_rounds: int = 1    # so many times the rounds, for differences that are small
    server_cores: int = 1
    own_load: object = None # where handlerd has another one than the reference


@dataclasses.dataclass
class Crowd:
    """A server whose idle connections are weighed: KiB each, and the mark."""
    name: str
    title: str
    server: object
    connections: int
    mark: tuple = ()


@dataclasses.dataclass
class Single:
    """A figure of handlerd alone, and its mark."""
    name: str
    title: str
    unit: str
    mark: float


def cpu(mark, goal=None):
    return {"cpu": (mark, goal)}


FIBERS = Daemon("fibers")
THREADING = Daemon("threading")
FORKING = Daemon("forking")
FORKING_KEEP = Daemon("forking", "forking = { connections_per_child = 0; };")
FIBERS_CROWD = Daemon("fibers", f"max_connections = {CROWD + 200};")

RR_50, RR_500, CRR_50, CRR_1 = Load(), Load(connections=500), Load("crr"), Load("crr", 1)
UDP_50 = Load(protocol="udp")
LINES = Load(connections=1, pipeline=2000)


def best_threads(mark):
    return [Against("ref_threads", cpu(mark), "plain threads"),
            Against("ref_accept", cpu(mark), "plain threads")]


def lines(concurrency):
    return Cell(
        f"{concurrency}-lines", concurrency, "2,000 lines at once",
        Daemon(concurrency, handler="lines"), LINES,
        [Against(Daemon(concurrency, "options = { buffered = false; };", handler="lines",
                        title="without buffers"), {"rate": (5, None)})])


# What a policy costs that is switched off, or that has nothing to do: (name, title, what has it,
# what has it not, the mark). With what is for the listener in `settings` and what is for the file
# in `top`, a further one is a further row.
TIMEOUTS = """timeouts = { first_byte = "30s"; idle = "60s"; send = "30s"; total = "1h"; handler = "1h";
    min_rate = "100B/s"; };"""

POLICIES = [
    ("policy-log-refused", "log of connections, nothing to log", Daemon("threading"),
     Daemon("threading", top='log = { connections = "none"; };', title="no log"), cpu(1.01)),
    ("policy-log-all", "log of connections, all logged",
     Daemon("threading", top='log = { connections = "all"; };'),
     Daemon("threading", top='log = { connections = "none"; };', title="no log"), cpu(1.05)),
    ("policy-log-all-fibers", "log of connections, all logged, fibers",
     Daemon("fibers", top='log = { connections = "all"; };'),
     Daemon("fibers", top='log = { connections = "none"; };', title="no log"), cpu(1.05)),
    ("policy-sandbox", "filter of system calls, standard", Daemon("threading"),
     Daemon("threading", 'sandbox = { seccomp = "off"; };', title="no filter"), cpu(1.02)),
    ("policy-sandbox-whole", "filter, no network, listed files", Daemon(
        "threading", 'sandbox = { network = false; filesystem = [ "ro:/usr" ]; };'),
     Daemon("threading", 'sandbox = { seccomp = "off"; };', title="no sandbox"), cpu(1.05)),
]

# Rules that never refuse, and limits that nobody reaches: every question is asked of each client. The
# prefixes are of all lengths, so that none is found early.
PREFIXES = ", ".join(f'"{10 + number % 90}.{number * 7 % 256}.{number * 13 % 256}.{number * 29 % 256}"'
                     if number % 5 == 0 else
                     f'"{10 + number % 90}.{number * 7 % 256}.{number // 90 * 16}.0/{20 + number % 5}"'
                     for number in range(1000))
ACCESS = f'access = {{ allow = [ "127.0.0.0/8" ]; deny = [ {PREFIXES} ]; }};'
LIMITS = """limits = { connections_per_source = 1000; rate = "1000000/s"; rate_per_source = "1000000/s";
    send_rate = "1GiB/s"; receive_rate = "1GiB/s"; request_memory = "1MiB"; };"""
LOG_ALL, LOG_NONE = 'log = { connections = "all"; };', 'log = { connections = "none"; };'
DENIED = 'access = { deny = [ "127.0.0.0/8" ]; };'


def policy(concurrency):
    """Everything on against everything off; the parts for themselves; refusing against serving."""
    keep = "forking = { connections_per_child = 0; };" if concurrency == "forking" else ""
    off = Daemon(concurrency, keep, top=LOG_NONE, title="all of it off")

    def cell(name, title, settings, top, load, marks, own_load=None):
        return Cell(f"policy-{concurrency}-{name}", "policy", f"{concurrency}, {title}",
                    Daemon(concurrency, keep + settings, top=top), load, [Against(off, marks)],
                    more_rounds=2 if marks else 1, own_load=own_load)

    return [
        cell("all-crr", "all of it on, connect, echo, close", ACCESS + LIMITS + TIMEOUTS, LOG_ALL,
             CRR_50, cpu(1.05)),
        cell("all-rr", "all of it on, echo, 50 connections", ACCESS + LIMITS + TIMEOUTS, LOG_ALL,
             RR_50, cpu(1.02)),
        cell("no-log", "all but the log on, connect, echo, close", ACCESS + LIMITS + TIMEOUTS,
             LOG_NONE, CRR_50, {}),
        cell("access", "1,000 prefixes, connect, echo, close", ACCESS, LOG_NONE, CRR_50, {}),
        cell("limits", "limits, connect, echo, close", LIMITS, LOG_NONE, CRR_50, {}),
        cell("timeouts", "timeouts, connect, echo, close", TIMEOUTS, LOG_NONE, CRR_50, {}),
        cell("limits-rr", "limits, echo, 50 connections", LIMITS, LOG_NONE, RR_50, {}),
        cell("timeouts-rr", "timeouts, echo, 50 connections", TIMEOUTS, LOG_NONE, RR_50, {}),
        cell("refused", "a flood of refused clients, against serving them", DENIED, LOG_NONE, CRR_50,
             cpu(0.5), Load("refused")),
    ]


CELLS = [
    Cell("fibers-rr-50", "fibers", "echo, 50 connections", FIBERS, RR_50,
         [Against("ref_epoll", cpu(1.10)), Against("go", cpu(0.75)), Against("libuv")]),
    Cell("fibers-rr-500", "fibers", "echo, 500 connections", FIBERS, RR_500,
         [Against("ref_epoll", cpu(1.10)), Against("go", cpu(0.75))]),
    Cell("fibers-rr-10000", "fibers", "echo, 500 of 10,000 connections", FIBERS_CROWD,
         Load(connections=CROWD, active=500), [Against("ref_epoll", cpu(1.15))]),
    Cell("fibers-crr-50", "fibers", "connect, echo, close", FIBERS, CRR_50,
         [Against("ref_epoll", cpu(1.15)), Against("go", cpu(1.0)), Against("libuv")]),
    Cell("fibers-udp-rr-50", "fibers", "UDP, 50 clients", FIBERS, UDP_50,
         [Against("ref_udp", cpu(1.15))]),
    Cell("fibers-threads-2", "fibers", "echo on two threads", Daemon(
        "fibers", "fibers = { threads = 2; };"), Load(connections=100, generators=2),
         [Against(Daemon("fibers", "fibers = { threads = 1; };", title="one thread"),
                  {"rate": (1.7, None)})], server_cores=2),
    lines("fibers"),
    Cell("fibers-slow", "fibers", "echo, 50 beside 200 slow readers", FIBERS, Load(slow=200),
         [Against("ref_epoll")]),

    Cell("threading-crr-50", "threading", "connect, echo, close", THREADING, CRR_50,
         [Against("ref_threads", cpu(1.03, 0.95)), Against("apache", cpu(1.0)),
          Against("ref_tcp_threading.py")]),
    Cell("threading-rr-50", "threading", "echo, 50 connections", THREADING, RR_50,
         [*best_threads(1.05), Against("ref_epoll"), Against("apache"),
          Against("ref_tcp_threading.py")]),
    Cell("threading-rr-500", "threading", "echo, 500 connections", THREADING, RR_500,
         [*best_threads(1.05), Against("apache")]),
    lines("threading"),

    Cell("forking-crr-50", "forking", "connect, echo, close", FORKING, CRR_50,
         [Against("ref_forks", cpu(1.10, 1.0)), Against("tcpserver"), Against("xinetd")]),
    Cell("forking-keep-crr-50", "forking", "connect, echo, close; children stay",
         FORKING_KEEP, CRR_50, [Against(Daemon("threading", title="its own threading"),
                                        cpu(1.1))]),
    Cell("forking-crr-1", "forking", "one client after another (p50)", FORKING, CRR_1,
         [Against("ref_forks", {"p50": (0.6, None)})]),

    Cell("unix-rr-50", "Unix sockets", "threading, echo, 50 connections", THREADING,
         Load(protocol="unix"), [Against("ref_threads", cpu(1.05))]),
    Cell("unix-crr-50", "Unix sockets", "threading, connect, echo, close", THREADING,
         Load("crr", protocol="unix"), [Against("ref_threads", cpu(1.05))]),

    Cell("udp-serial-rr-50", "UDP", "serial, 50 clients", Daemon("serial"), UDP_50,
         [Against("ref_udp", cpu(1.15))]),
    Cell("udp-threading-rr-50", "UDP", "threading, 50 clients", THREADING, UDP_50,
         [Against("ref_udp", cpu(1.5))]),
    Cell("udp-forking-rr-50", "UDP", "forking, 50 clients, children that stay", FORKING_KEEP,
         UDP_50, [Against("ref_udp", cpu(1.5))]),
    Cell("udp-python", "UDP", "threading, 50 clients", THREADING, UDP_50,
         [Against("ref_udp_threading.py", cpu(0.1))]),

    *(Cell(name, "policy", title, daemon, CRR_50, [Against(without, marks)],
           more_rounds=4 if marks else 1)
      for name, title, daemon, without, marks in POLICIES),
    *(Cell(f"timed-{concurrency}-{name}", concurrency, f"all timeouts, {title}",
           Daemon(concurrency, TIMEOUTS + settings), load,
           [Against(Daemon(concurrency, settings, title="no timeouts"), cpu(mark))])
      for concurrency, settings in [("threading", ""), ("fibers", ""),
                                    ("forking", "forking = { connections_per_child = 0; };")]
      for name, title, load, mark in [("rr", "echo, 50 connections", RR_50, 1.02),
                                      ("crr", "connect, echo, close", CRR_50, 1.05)]
      if (concurrency, name) != ("forking", "rr")),
    *(cell for concurrency in ("threading", "fibers", "forking") for cell in policy(concurrency)),
    Cell("policy-sandbox-rr-50", "policy", "filter of system calls, echo, 50 connections", THREADING,
         RR_50, [Against(Daemon("threading", 'sandbox = { seccomp = "off"; };', title="no filter"),
                         cpu(1.02))], more_rounds=4),
]

CROWDS = [
    Crowd("memory-fibers", "handlerd, fibers", FIBERS_CROWD, 8000, (8, 6)),
    Crowd("memory-threading", "handlerd, threading", Daemon(
        "threading", f"max_connections = {CROWD + 200};"), 2000),
    Crowd("memory-epoll", "bare epoll loop", "ref_epoll", 8000),
    Crowd("memory-go", "Go", "go", 8000),
    Crowd("memory-threads", "thread per connection", "ref_threads", 2000),
]

FLOOD = Cell("udp-flood", "UDP", "200,000 datagrams at once", Daemon(
    "threading", 'socket = { receive_buffer = "4MiB"; };'), Load("flood", protocol="udp"), [])

SINGLES = [
    Single("ready", "from exec to READY=1, one listener", "ms", 20),
    Single("worker-pss", "memory of the idle worker", "KiB", 1024),
    Single("supervisor-pss", "memory of the supervisor", "KiB", 2048),
]
