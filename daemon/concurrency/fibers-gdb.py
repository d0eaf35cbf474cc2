"""Fibers of a worker in gdb: "info fibers" lists them, "fiber apply all bt" has their backtraces.

gdb loads it by itself with an installed handlerd-worker; else "source fibers-gdb.py". It works in a
process and in a core file, changes nothing in either, and needs gdb 12 and the debug information of
handlerd-worker.

A fiber that does not run has its registers on its own stack, where fiber_context_ARCH.S has put
them. gdb shows frames of threads only; so, while a command runs, the innermost frame of the
fiber's thread is unwound to those registers, as if the fiber had called it.
"""
import contextlib
import os
import re
import shlex
import socket
import struct
import time

import gdb
import gdb.unwinder

NEVER = 2**63 - 1
EPOLLIN, EPOLLOUT = 0x1, 0x4

# As fiber_context_switch_stack saves them, by their place above the saved stack pointer; `size` is
# what it takes from the stack.
X86_64 = {"sp": "rsp", "pc": "rip", "size": 64,
          "saved": {"r15": 8, "r14": 16, "r13": 24, "r12": 32, "rbx": 40, "rbp": 48, "rip": 56},
          # of struct ucontext, for builds with ucontext(3): rows of gregs
          "gregs": {"r12": 4, "r13": 5, "r14": 6, "r15": 7, "rbp": 10, "rbx": 11, "rsp": 15,
                    "rip": 16}}
AARCH64 = {"sp": "sp", "pc": "pc", "size": 176,
           "saved": {**{f"x{19 + i}": 8 * i for i in range(12)}, "pc": 88}}


class Trouble(gdb.GdbError):
    """Why a command cannot do it; gdb prints the sentence alone."""


def machine():
    name = gdb.selected_inferior().architecture().name()
    if "x86-64" in name:
        return X86_64
    if name.startswith("aarch64"):
        return AARCH64
    raise Trouble(f"How fibers keep their registers on {name} is not known here.")


def read_registers(context):
    """What a flow that was left goes on with: registers by name; None: they were not dumped."""
    layout = machine()
    if "sp" in [field.name for field in context.type.fields()]:
        sp = int(context["sp"])
        try:
            memory = gdb.selected_inferior().read_memory(sp, layout["size"]).tobytes()
        except gdb.MemoryError:
            return None
        registers = {name: struct.unpack_from("=Q", memory, at)[0]
                     for name, at in layout["saved"].items()}
        registers[layout["sp"]] = sp + layout["size"]
        return registers if registers[layout["pc"]] else None
    saved = context["registers"]["uc_mcontext"]
    if layout is X86_64:
        return {name: int(saved["gregs"][row]) & (2**64 - 1)
                for name, row in layout["gregs"].items()}
    return {**{f"x{i}": int(saved["regs"][i]) for i in range(19, 31)},
            "sp": int(saved["sp"]), "pc": int(saved["pc"])}


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class StandIn(gdb.unwinder.Unwinder):
    """Makes a fiber's frames those of a thread, behind the innermost one."""

    def __init__(self):
        super().__init__("handlerd-fibers")
        self.enabled = False
        self.real = self.registers = None

    def __call__(self, pending):
        layout = machine()
        sp, pc = layout["sp"], layout["pc"]
        if (int(pending.read_register(sp)), int(pending.read_register(pc))) != self.real:
            return None
        # below all frames of the fiber, or gdb takes them for a damaged stack
        info = pending.create_unwind_info(
            FrameId(gdb.Value(self.registers[sp] - layout["size"]), gdb.Value(self.real[1])))
        for name, value in self.registers.items():
            info.add_saved_register(
                name, gdb.Value(value).cast(pending.read_register(name).type))
        return info

    def begin(self, registers):
        """For the selected thread; the fiber's innermost frame."""
        layout, frame = machine(), gdb.newest_frame()
        self.real = tuple(int(frame.read_register(layout[name])) for name in ("sp", "pc"))
        self.registers, self.enabled = registers, True
        gdb.invalidate_cached_frames()
        frame = gdb.newest_frame()
        while frame is not None and \
                int(frame.read_register(layout["sp"])) != registers[layout["sp"]]:
            frame = frame.older()
        return frame

    def end(self):
        self.enabled = False
        gdb.invalidate_cached_frames()


stand_in = StandIn()
gdb.unwinder.register_unwinder(None, stand_in, replace=True)


@contextlib.contextmanager
def selection():
    """What the user has selected is selected again in the end."""
    thread = gdb.selected_thread()
    level = gdb.selected_frame().level()
    try:
        yield
    finally:
        thread.switch()
        frame = gdb.newest_frame()
        while frame.level() < level and frame.older() is not None:
            frame = frame.older()
        frame.select()


def read_address(storage, length):
    """As hd_client_name writes it; None: it has none."""
    data = gdb.selected_inferior().read_memory(int(storage.address), max(length, 2)).tobytes()
    family = struct.unpack_from("=H", data)[0] if length >= 2 else 0
    if family == socket.AF_INET:
        return f"{socket.inet_ntop(family, data[4:8])}:{struct.unpack_from('!H', data, 2)[0]}"
    if family == socket.AF_INET6:
        return f"[{socket.inet_ntop(family, data[8:24])}]:{struct.unpack_from('!H', data, 2)[0]}"
    if family == socket.AF_UNIX and length > 2:
        at = "@" if data[2] == 0 else ""
        return at + data[3 if at else 2:].split(b"\0")[0].decode("ascii", "backslashreplace")
    return None


class Fiber:
    def __init__(self, value, number, thread):
        self.value, self.request = value, value["request"]
        self.name = f"{number}.{int(value['index'])}"
        self.state = str(value["state"]).replace("FIBER_", "")
        self.connection = int(self.request["id"])
        self.thread = thread  # gdb's; None: not known

    @property
    def peer(self):
        """The client; for one without an address, what the kernel told of it."""
        address = read_address(self.request["client"], int(self.request["client_length"]))
        if address is None and self.request["slot"]:
            with contextlib.suppress(gdb.MemoryError):
                slot = self.request["slot"].dereference()
                if int(slot["peer_kind"]) == socket.AF_UNIX:
                    return f"unix pid {int(slot['peer'][0])} uid {int(slot['peer'][1])}"
        return address or "unnamed"

    def describe_stack(self, frame):
        """How much of its stack it uses now; that of its innermost frame is known."""
        low, size = (int(self.value["stack"][name]) for name in ("low", "size"))
        used = low + size - int(frame.read_register(machine()["sp"])) if frame is not None else -1
        return f"{-(-used // 1024)} KiB" if 0 <= used <= size else "?"

    def is_on_thread(self):
        """Whether the frames of its thread, which is selected, are its own already."""
        frame, sp = gdb.newest_frame(), machine()["sp"]
        low, size = (int(self.value["stack"][name]) for name in ("low", "size"))
        # it stands between two states while it switches; a signal handler has a stack elsewhere
        return low <= int(frame.read_register(sp)) < low + size or self.state == "RUNNING"

    @contextlib.contextmanager
    def frames(self):
        """While it lasts, its thread is selected and has its frames. The innermost of them, or
        None: its stack cannot be read."""
        with selection():
            if self.thread is not None:
                self.thread.switch()
            if self.thread is not None and self.is_on_thread():
                yield gdb.newest_frame()
                return
            registers = read_registers(self.value["flow"]["context"])
            if registers is None:
                yield None
                return
            try:
                yield stand_in.begin(registers)
            finally:
                stand_in.end()


def find_worker():
    """The worker's one struct, and its fibers."""
    program = gdb.current_progspace().filename or ""
    if "handlerd-worker" not in program:
        raise Trouble("Fibers are in a process named handlerd-worker: attach to one, or open its "
                      "core file.")
    try:
        worker = gdb.parse_and_eval("main::worker")
        fibers_ops = int(gdb.parse_and_eval("&concurrency_fibers"))
        fibers_type = gdb.lookup_type("struct fibers")
    except gdb.error:
        raise Trouble(f"There is no debug information of {program}. Install the package "
                      "handlerd-dbgsym of the same version, or a build of the same sources with "
                      "-g, and start gdb again.") from None
    if gdb.selected_thread() is None:
        raise Trouble("There is neither a process nor a core file.")
    if int(worker["mode"]["ops"]) != fibers_ops:
        raise Trouble('This worker runs no fibers: its concurrency is another one, or it is just '
                      'starting.')
    if not worker["mode"]["state"]:
        raise Trouble("This worker is just starting: it has no fibers yet.")
    return worker, worker["mode"]["state"].cast(fibers_type.pointer()).dereference()


def threads_by_handle():
    """gdb's threads by their pthread_t."""
    found = {}
    for thread in gdb.selected_inferior().threads():
        try:
            found[int.from_bytes(thread.handle(), "little")] = thread
        except gdb.error:
            # without libthread_db; on x86-64 the register says the same
            with contextlib.suppress(gdb.error, ValueError), selection():
                thread.switch()
                found[int(gdb.newest_frame().read_register("fs_base"))] = thread
    return found


def find_fibers():
    """Those that serve something."""
    _, fibers = find_worker()
    threads = threads_by_handle()
    found = []
    for number in range(int(fibers["thread_count"])):
        thread = fibers["threads"][number]
        for index in range(int(thread["used"])):
            value = thread["table"][index]
            if value:
                found.append(Fiber(value.dereference(), number, threads.get(int(thread["id"]))))
    return [fiber for fiber in found if fiber.state != "FREE"]


def object_of(pc):
    """The file of the code at an address; None: the program itself, or unknown."""
    name = gdb.current_progspace().solib_name(pc)
    symtab = gdb.find_pc_line(pc).symtab
    if name is None and symtab is not None:
        objfile = symtab.objfile
        name = (getattr(objfile, "owner", None) or objfile).filename
    return None if name == gdb.current_progspace().filename else name


def load_handler():
    """The handler's symbols. The process has loaded it through a descriptor, which has gone with
    it: in a core file gdb does not find it. But the core knows the file that was mapped."""
    worker, _ = find_worker()
    handler = worker["server"]["handler"]
    handle = int(handler["handle"])
    if "No symbol matches" not in gdb.execute(f"info symbol {handle}", to_string=True):
        return
    rows = re.findall(r"^\s*(0x\w+)\s+(0x\w+)\s+0x\w+\s+(0x\w+)\s+(/.*)$",
                      gdb.execute("info proc mappings", to_string=True), re.MULTILINE)
    rows = [(int(low, 16), int(high, 16), int(at, 16), path) for low, high, at, path in rows]
    path = next((path for low, high, _, path in rows if low <= handle < high), None)
    base = max((low for low, _, at, other in rows
                if other == path and at == 0 and low <= handle), default=None)
    if base is None:
        return
    try:
        gdb.execute(f"add-symbol-file {shlex.quote(path)} -o {base}", to_string=True)
    except gdb.error as failure:
        gdb.write(f"No symbols of the handler: {failure}\n")
        return
    build_id = handler["build_id"].string()
    loaded = next((objfile for objfile in gdb.objfiles() if objfile.filename == path), None)
    if loaded is not None and build_id and loaded.build_id not in (None, build_id):
        gdb.execute(f"remove-symbol-file -a {handle}", to_string=True)
        gdb.write(f"No symbols of the handler: {path} is not the file that was loaded, which had "
                  f"the build-id {build_id}.\n")


def frames_from(frame, most=64):
    for _ in range(most):
        if frame is None:
            return
        yield frame
        frame = frame.older()


def is_of_system(frame):
    """Whether it is a function of the C library's headers that stands in the handler."""
    symtab = frame.find_sal().symtab
    return frame.type() == gdb.INLINE_FRAME and symtab is not None and \
        symtab.fullname().startswith("/usr/include/")


def handler_frame(frame):
    """The innermost frame of the handler; else of anything outside of the daemon; or None."""
    worker, _ = find_worker()
    handler = object_of(int(worker["server"]["handler"]["handle"]))
    outside = [(one, object_of(one.pc())) for one in frames_from(frame)]
    outside = [(one, where) for one, where in outside if where is not None]
    if not outside:
        return None
    return next((one for one, where in outside if where == handler and not is_of_system(one)),
                outside[0][0])


def describe_frame(frame):
    if frame is None:
        return "?"
    place = frame.find_sal()
    if frame.name() is None:
        return f"{frame.pc():#x} in {object_of(frame.pc())}"
    if place.symtab is None:
        return f"{frame.name()} in {object_of(frame.pc())}"
    return f"{frame.name()} at {place.symtab.filename.rpartition('/')[2]}:{place.line}"


def describe_time(fiber):
    """How long it goes on waiting."""
    deadline = int(fiber.value["deadline_ns"])
    if deadline == NEVER:
        return ""
    if gdb.selected_inferior().connection.type == "native":
        left = deadline / 1e9 - time.clock_gettime(time.CLOCK_MONOTONIC)
        return f", {left:.1f} s left" if left > 0 else ", time is over"
    # nothing tells when a core was written
    since = (deadline - int(fiber.request["opened_ns"])) / 1e9
    return f", until {since:.1f} s after it came"


def find_waiting(request):
    """The request whose socket is waited for: its own, or one of hd_connect; None."""
    if int(request["watch"]["wanted"]):
        return request
    child = request["children"]
    while child:
        found = find_waiting(child.dereference())
        if found is not None:
            return found
        child = child["next_child"]
    return None


def describe_socket(fiber):
    request = find_waiting(fiber.request)
    if request is None:
        return "?"
    wanted = int(request["watch"]["wanted"])
    what = "input" if wanted & EPOLLIN else "output" if wanted & EPOLLOUT else "?"
    if request["parent"]:
        address = read_address(request["client"], int(request["client_length"]))
        what += f" of {address or 'a connection of its own'}"
    return what


def describe_wait(fiber, frame):
    """What it is parked for: the function of the daemon that parks it tells."""
    if fiber.state == "QUEUED":
        return "its turn"
    if fiber.state != "PARKED":
        return ""
    for one in frames_from(frame, 16):
        name = one.name() or ""
        if name.startswith("fiber_wait_offload"):
            return "a helper thread"
        if name == "hd_sleep":
            return "time" + describe_time(fiber)
        if name.startswith("fiber_wait_socket"):
            break
        if name in ("hd_poll", "hd_wait"):
            return ("poll" if name == "hd_poll" else "a descriptor") + describe_time(fiber)
        if object_of(one.pc()) is not None:
            return "poll" + describe_time(fiber)
    return describe_socket(fiber) + describe_time(fiber)


def describe(fiber):
    """The columns of its line."""
    with fiber.frames() as frame:
        where = describe_frame(handler_frame(frame)) if frame else "(its stack was not dumped)"
        wait = describe_wait(fiber, frame)
        stack = fiber.describe_stack(frame)
    thread = str(fiber.thread.num) if fiber.thread is not None else "?"
    return [fiber.name, thread, fiber.state, f"#{fiber.connection}", fiber.peer, stack,
            wait, where]


class InfoFibers(gdb.Command):
    """List the fibers of a handlerd-worker that serve something.
For each: its name, which "fiber" takes; gdb's number of its thread; its state; its connection, as
the log has it; the client; how much of its stack it uses now; what it waits for; and the innermost
function of the handler."""

    def __init__(self):
        super().__init__("info fibers", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        fibers = find_fibers()
        if not fibers:
            gdb.write("No fiber serves anything.\n")
            return
        load_handler()
        rows = [["Fiber", "Thread", "State", "Connection", "Client", "Stack", "Waits for",
                 "In"]]
        rows += [describe(fiber) for fiber in fibers]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths))
            gdb.write(line.rstrip() + "\n")


def pick(fibers, word):
    """The fiber that a word means: THREAD.INDEX, INDEX if there is one thread, #CONNECTION."""
    _, all_fibers = find_worker()
    if int(all_fibers["thread_count"]) == 1 and "." not in word and "#" not in word:
        word = "0." + word
    found = [fiber for fiber in fibers if word in (fiber.name, f"#{fiber.connection}")]
    if not found:
        raise Trouble(f'No fiber "{word}"; "info fibers" lists them.')
    return found[0]


def cut(text, level):
    """A backtrace without the frames inside of this level, which are the thread's."""
    first = re.search(rf"^#{level}\s", text, re.MULTILINE)
    return text[first.start():] if first and text.startswith("#0") else text


def run(fiber, command):
    """A command of gdb in the fiber, with the handler's innermost frame selected."""
    with fiber.frames() as frame:
        if frame is None:
            gdb.write(f"The stack of fiber {fiber.name} was not dumped. gdb's gcore leaves out "
                      'stacks since Linux 6.13; "fiber gcore" does not.\n')
            return
        level = frame.level()
        (handler_frame(frame) or frame).select()
        try:
            gdb.write(cut(gdb.execute(command, to_string=True), level))
        except gdb.error as failure:
            gdb.write(f"{failure}\n")


class FiberCommand(gdb.Command):
    """Run a command in a fiber: fiber FIBER [COMMAND]
FIBER is a name of "info fibers" or #CONNECTION; COMMAND is "bt" if there is none. The innermost
frame of the handler is selected for it: "fiber 0.3 info locals"."""

    def __init__(self):
        super().__init__("fiber", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)

    def invoke(self, argument, from_tty):
        word, _, command = argument.strip().partition(" ")
        if not word:
            raise Trouble('Which fiber? "info fibers" lists them.')
        fiber = pick(find_fibers(), word)
        load_handler()
        run(fiber, command.strip() or "bt")


class FiberApply(gdb.Command):
    """Run a command in several fibers: fiber apply all|FIBER... COMMAND
"fiber apply all bt" has the backtraces of all of them."""

    def __init__(self):
        super().__init__("fiber apply", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        fibers, words = find_fibers(), argument.split(" ")
        if words[0] == "all":
            chosen, words = fibers, words[1:]
        else:
            chosen = []
            while words and re.fullmatch(r"#?\d+(\.\d+)?", words[0]):
                chosen.append(pick(fibers, words.pop(0)))
        command = " ".join(words).strip()
        if not command or not (chosen or argument.startswith("all")):
            raise Trouble("fiber apply all|FIBER... COMMAND")
        load_handler()
        for fiber in chosen:
            name, thread, state, connection, peer, _, wait, _ = describe(fiber)
            about = [f"thread {thread}", state, f"connection {connection} of {peer}"]
            about += [f"waits for {wait}"] if wait else []
            gdb.write(f"\nFiber {name} ({', '.join(about)}):\n")
            run(fiber, command)


def list_segments(core):
    """Of the memory that a core file has: place in the file, address, size."""
    header = core.read(64)
    start, = struct.unpack_from("=Q", header, 32)
    size, count = struct.unpack_from("=HH", header, 54)
    for i in range(count):
        core.seek(start + i * size)
        kind, _, at, address, _, length = struct.unpack_from("=IIQQQQ", core.read(size))
        if kind == 1 and length > 0:
            yield at, address, length


def read_pages(memory, address, length):
    """What can be read there, each piece with its address."""
    page = os.sysconf("SC_PAGESIZE")
    for at in range(address, address + length, page):
        with contextlib.suppress(OSError):
            yield at, os.pread(memory, page, at)


def fill_gaps(path, pid):
    """gcore leaves out the rest of a mapping behind the first page that it cannot read, and guards
    of stacks are such pages where they are no mappings of their own."""
    step = 1 << 20
    with open(path, "r+b") as core, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        # what is higher is the kernel's
        segments = [row for row in list_segments(core) if row[1] < 1 << 63]
        for place, address, length in segments:
            has_gap = False
            for at in range(address, address + length, step):
                size = min(step, address + length - at)
                pieces = []
                with contextlib.suppress(OSError):
                    pieces = [(at, os.pread(memory.fileno(), size, at))]
                if not pieces or len(pieces[0][1]) < size:
                    pieces = list(read_pages(memory.fileno(), at, size))
                    has_gap = True
                for start, data in pieces if has_gap else []:
                    if data.strip(b"\0"):
                        core.seek(place + start - address)
                        core.write(data)


class FiberGcore(gdb.Command):
    """Save a core file of the process, with the stacks of all fibers: fiber gcore [FILE]
As gcore does, which leaves stacks out since Linux 6.13."""

    def __init__(self):
        super().__init__("fiber gcore", gdb.COMMAND_FILES, gdb.COMPLETE_FILENAME)

    def invoke(self, argument, from_tty):
        inferior = gdb.selected_inferior()
        if inferior.pid == 0 or inferior.connection.type != "native":
            raise Trouble("There is no process here.")
        path = os.path.expanduser(argument.strip()) or f"core.{inferior.pid}"
        gdb.execute(f"gcore {path}", from_tty)
        fill_gaps(path, inferior.pid)


InfoFibers()
FiberCommand()
FiberGcore()
FiberApply()
