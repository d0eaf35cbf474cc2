"""The references: how each is built, and how it is started."""

import collections
import os
import pwd
import shutil
import socket
import subprocess
import sys

from bench_servers import Failure, Server, Skipped

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
CFLAGS = ["-O2", "-std=gnu17", "-Wall", "-pthread"]
APACHE_MODULES = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules",
                  "/usr/lib/httpd/modules")

# title is what the report calls it; build(bins) makes it; start(place, bins, directory, most) is
# its command, the address unless it tells it itself, and what to add to its environment;
# load_arguments are for the load on it.
Peer = collections.namedtuple("Peer", "title build start load_arguments", defaults=[()])


def compile_c(target, sources, flags=(), libraries=()):
    done = subprocess.run(
        [os.environ.get("CC", "cc"), *CFLAGS, *flags, "-o", target,
         *(os.path.join(HERE, source) for source in sources), *libraries],
        capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{sources[0]} does not compile: {done.stderr.strip()}")


def build_load(bins):
    sources = sorted(name for name in os.listdir(HERE)
                     if name.startswith("load") and name.endswith(".c"))
    compile_c(os.path.join(bins, "load"), sources)


def build_handler(bins, name):
    compile_c(os.path.join(bins, name + ".so"), [f"handler_{name}.c"],
              ["-shared", "-fPIC", "-I", os.path.join(ROOT, "include")])


def free_port():
    """For those that cannot be told to let the kernel choose."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def find_program(package, *names):
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    raise Skipped(f"{names[0]} is not there (package {package})")


def own_program(title, name, with_number=False):
    """A C program of this directory."""
    def start(place, bins, _directory, most):
        return [os.path.join(bins, name), place, *([str(most)] if with_number else [])], None, {}
    return Peer(title, lambda bins: compile_c(os.path.join(bins, name), [name + ".c"]), start)


def own_script(title, name):
    def start(place, _bins, _directory, _most):
        return [sys.executable, os.path.join(HERE, name), place], None, {}
    return Peer(title, lambda bins: None, start)


def build_go(bins):
    go = find_program("golang-go", "go")
    done = subprocess.run(
        [go, "build", "-o", os.path.join(bins, "ref_go"), os.path.join(HERE, "ref_go.go")],
        capture_output=True, text=True, check=False,
        env=dict(os.environ, GO111MODULE="off", GOFLAGS="", GOCACHE=os.path.join(bins, "go"),
                 GOPATH=os.path.join(bins, "gopath")))
    if done.returncode != 0:
        raise Failure(f"ref_go.go does not compile: {done.stderr.strip()}")


def start_go(place, bins, _directory, _most):
    return [os.path.join(bins, "ref_go"), place], None, {"GOMAXPROCS": "1"}


def build_uv(bins):
    try:
        compile_c(os.path.join(bins, "ref_uv"), ["ref_uv.c"], libraries=["-luv"])
    except Failure as failure:
        if "uv.h" in str(failure) or "-luv" in str(failure):
            raise Skipped("libuv is not there (package libuv1-dev)") from failure
        raise


def unprivileged():
    """A user and his group for a server that is started as root, or None."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam("nobody")
    return user.pw_name, f"#{user.pw_gid}"


def apache_modules():
    for directory in APACHE_MODULES:
        if os.path.exists(os.path.join(directory, "mod_echo.so")):
            return directory
    raise Skipped("mod_echo is not there (package apache2-bin)")


def start_apache(_place, _bins, directory, most):
    """One process of the event MPM with a thread for each client, as it echoes in one."""
    program, modules = find_program("apache2-bin", "apache2", "httpd"), apache_modules()
    port, path = free_port(), os.path.join(directory, "apache.conf")
    identity = unprivileged()
    with open(path, "w") as out:
        out.write(f"""ServerRoot "{directory}"
ServerName localhost
Listen 127.0.0.1:{port}
ListenBacklog 4096
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule echo_module {modules}/mod_echo.so
ProtocolEcho On
PidFile "{directory}/apache.pid"
ErrorLog "{directory}/apache-error.log"
LogLevel error
Timeout 60
StartServers 1
ServerLimit 1
ThreadLimit {most}
ThreadsPerChild {most}
MaxRequestWorkers {most}
MinSpareThreads 1
MaxSpareThreads {most}
""")
        if os.path.exists(f"{modules}/mod_unixd.so"):
            out.write(f"LoadModule unixd_module {modules}/mod_unixd.so\n")
        if identity:
            out.write("User {}\nGroup {}\n".format(*identity))
    return [program, "-DFOREGROUND", "-f", path], f"127.0.0.1:{port}", {}


def start_xinetd(_place, _bins, directory, _most):
    """Its own echo, for which it makes a process for each client, without its limits."""
    program = find_program("xinetd", "xinetd")
    port, path = free_port(), os.path.join(directory, "xinetd.conf")
    with open(path, "w") as out:
        out.write(f"""service echo
{{
	type = INTERNAL UNLISTED
	id = echo-stream
	socket_type = stream
	protocol = tcp
	wait = no
	user = {pwd.getpwuid(os.geteuid()).pw_name}
	bind = 127.0.0.1
	port = {port}
	instances = UNLIMITED
	per_source = UNLIMITED
	cps = 1000000 1
}}
""")
    return ([program, "-dontfork", "-f", path, "-pidfile", os.path.join(directory, "xinetd.pid")],
            f"127.0.0.1:{port}", {})


def start_tcpserver(_place, _bins, _directory, most):
    port = free_port()
    return ([find_program("ucspi-tcp", "tcpserver"), "-q", "-H", "-R", "-l", "0", "-b", "1024",
             "-c", str(most), "127.0.0.1", str(port), "cat"], f"127.0.0.1:{port}", {})


PEERS = {
    "ref_epoll": own_program("bare epoll loop", "ref_epoll"),
    "ref_threads": own_program("thread per connection", "ref_threads"),
    "ref_accept": own_program("threads in accept", "ref_accept", with_number=True),
    "ref_forks": own_program("fork per connection", "ref_forks"),
    "ref_udp": own_program("recvfrom and sendto", "ref_udp"),
    "ref_udp_threading.py": own_script("Python, threads", "ref_udp_threading.py"),
    "ref_tcp_threading.py": own_script("Python, threads", "ref_tcp_threading.py"),
    "go": Peer("Go", build_go, start_go),
    "libuv": Peer("libuv", build_uv,
                  lambda place, bins, _directory, _most:
                  ([os.path.join(bins, "ref_uv"), place], None, {})),
    "apache": Peer("Apache, event", lambda bins: apache_modules(), start_apache),
    "xinetd": Peer("xinetd", lambda bins: find_program("xinetd", "xinetd"), start_xinetd,
                   # it looks up the client's name; that of 127.0.0.1 it has in /etc/hosts
                   ("--sources", "0")),
    "tcpserver": Peer("tcpserver, cat", lambda bins: find_program("ucspi-tcp", "tcpserver"),
                      start_tcpserver),
}


def start_peer(name, run, protocol, directory, connections, core_count=1):
    """The reference NAME, built where it has not been yet. RUN is how things are run here."""
    peer = PEERS[name]
    run.build_once(name, peer.build)
    place = os.path.join(directory, name) if protocol == "unix" else "0"
    command, address, env = peer.start(place, run.bins, directory, connections + 8)
    server = Server(name, command, directory, address, core_count, run.force_proc, env)
    server.load_arguments = peer.load_arguments
    return server
