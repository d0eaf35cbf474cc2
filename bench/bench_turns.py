"""Cells: handlerd and its references take turns, and neighbouring turns are divided."""

import collections
import os
import tempfile

from bench_cells import Daemon, Load
from bench_clock import own_memory
from bench_daemon import start_daemon
from bench_peers import PEERS, start_peer
from bench_servers import Failure, Loads, Server, Skipped, cores, turn

# measure: what a turn says of it
MEASURES = {"cpu": "cpu_us", "rate": "rate", "p50": "p50_us", "p99": "p99_us",
            "p99.9": "p999_us"}
WARM_UP_SECONDS = 0.3
CROWD_ROUNDS = 3
# A turn was disturbed by other programs where the load waited for its core for a larger share of the
# time than this, or others had as much of the server's. It does not count as long as there are enough
# that were not: half of them, and at least so many.
MOST_WAITED, MOST_OTHERS = 0.05, 0.1
LEAST_ROUNDS = 3


def disturbance(result):
    """Of a turn; above 1 it was disturbed."""
    return max(result["waited"] / MOST_WAITED, result["others"] / MOST_OTHERS)


class Outcome:
    """What came of a cell against one reference: lists of ratios and of figures, or why not."""

    def __init__(self, cell, against):
        self.cell, self.against = cell, against
        self.name, self.title = reference_names(against.reference)
        self.taken, self.skipped, self.failed = [], "", ""
        self.ratios, self.subject, self.reference = (collections.defaultdict(list)
                                                     for _ in range(3))

    def add(self, before, middle, after):
        """A turn of the reference between two turns of handlerd. Without control groups the CPU
        time of a short one can be too small to be seen; nothing can be divided by that."""
        if min(each["cpu_us"] for each in (before, middle, after)) <= 0:
            return
        self.taken.append((max(map(disturbance, (before, middle, after))), before, middle, after))

    def divide(self):
        """The ratios of the rounds that were not disturbed, or were least."""
        self.taken.sort(key=lambda turns: turns[0])
        calm = sum(turns[0] <= 1 for turns in self.taken)
        count = max(calm, LEAST_ROUNDS, len(self.taken) // 2)
        for _, before, middle, after in self.taken[:count]:
            for measure, key in MEASURES.items():
                own = (before[key] + after[key]) / 2
                self.ratios[measure].append(own / middle[key])
                self.subject[measure].append(own)
                self.reference[measure].append(middle[key])
            for key in ("errors", "lost"):
                self.subject[key].append(after[key])
                self.reference[key].append(middle[key])

    def note(self):
        """What went wrong without ending it."""
        said = []
        for key in ("errors", "lost"):
            for whose, what in (("", self.subject), (" by the reference", self.reference)):
                if sum(what[key]):
                    said.append(f"{sum(what[key])} {key}{whose}")
        return ", ".join(said)


def reference_names(reference):
    if isinstance(reference, Daemon):
        return "handlerd", reference.title
    return reference, PEERS[reference].title


def load_of(cell, is_subject):
    return cell.own_load if is_subject and cell.own_load else cell.load


def start_subject(run, cell, directory):
    if not run.server:
        return start_daemon(run, cell.daemon, cell.load.protocol,
                            os.path.join(directory, "subject"), core_count=cell.server_cores)
    place = os.path.join(directory, "subject") if cell.load.protocol == "unix" else "0"
    server = Server(os.path.basename(run.server), [run.server, place], directory,
                    core_count=cell.server_cores, force_proc=run.force_proc)
    if server.protocol() != cell.load.protocol:
        server.stop()
        raise Skipped(f"{server.name} does not serve {cell.load.protocol}")
    return server


def start_reference(run, cell, outcome, directory):
    reference = outcome.against.reference
    if isinstance(reference, Daemon):
        return start_daemon(run, reference, cell.load.protocol,
                            os.path.join(directory, "reference"), outcome.title,
                            cell.server_cores)
    return start_peer(reference, run, cell.load.protocol, directory, cell.load.connections,
                      cell.server_cores)


def check_possible(run, cell):
    needed = cell.server_cores + cell.load.generators
    if len(cores(0, needed)) < needed:
        raise Skipped(f"needs {needed} cores")
    if run.server and (cell.daemon.handler != "echo" or
                       any(isinstance(each.reference, Daemon) for each in cell.against)):
        raise Skipped("is of handlerd only")


def run_cell(run, cell):
    """All rounds of one cell: an outcome for each reference."""
    outcomes = [Outcome(cell, against) for against in cell.against]
    servers = []

    def start(starter, *arguments):
        server = starter(run, cell, *arguments, directory)
        servers.append(server)
        turn(run.load, server, load_of(cell, starter == start_subject),
             min(WARM_UP_SECONDS, run.seconds), cell.server_cores)
        return server

    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        try:
            check_possible(run, cell)
            subject, pairs = start(start_subject), []
            for outcome in outcomes:
                with Trouble(outcome):
                    pairs.append((outcome, start(start_reference, outcome)))
            take_turns(run, cell, subject, pairs)
        except Skipped as reason:
            for outcome in outcomes:
                outcome.skipped = outcome.skipped or str(reason)
        except Failure as failure:
            for outcome in outcomes:
                outcome.failed = outcome.failed or str(failure)
        finally:
            for server in servers:
                server.stop()
    for outcome in outcomes:
        outcome.divide()
    return outcomes


class Trouble:
    """What happens to one reference does not end the whole cell."""

    def __init__(self, outcome):
        self.outcome = outcome

    def __enter__(self):
        return self

    def __exit__(self, _kind, error, _trace):
        if isinstance(error, Skipped):
            self.outcome.skipped = str(error)
        elif isinstance(error, Failure):
            self.outcome.failed = str(error)
        else:
            return False
        return True


def take_turns(run, cell, subject, pairs):
    """handlerd, a reference, handlerd, the next one ...: each between two turns of handlerd."""
    def take(server, number):
        result = turn(run.load, server, load_of(cell, server is subject), run.seconds,
                      cell.server_cores)
        run.record(cell=cell.name, round=number, server=server.name, **result)
        return result

    before = take(subject, 0)
    for number in range(run.rounds * cell.more_rounds):
        for outcome, server in pairs:
            if outcome.failed or (not outcome.against.marks and number >= run.few_rounds):
                continue
            with Trouble(outcome):
                middle = take(server, number)
            if not outcome.failed:
                after = take(subject, number)
                outcome.add(before, middle, after)
                before = after


def run_crowd(run, crowd):
    """KiB for each idle connection that has echoed one message, of each round."""
    values = []
    for number in range(min(CROWD_ROUNDS, run.rounds)):
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            if isinstance(crowd.server, Daemon):
                server = start_daemon(run, crowd.server, "tcp", os.path.join(directory, "subject"))
            else:
                server = start_peer(crowd.server, run, "tcp", directory, crowd.connections)
            try:
                values.append(weigh(run, crowd, server))
            finally:
                server.stop()
        run.record(cell=crowd.name, round=number, server=server.name, value=values[-1])
    return values


def weigh(run, crowd, server):
    # the first connections are not like the others
    turn(run.load, server, Load(), min(WARM_UP_SECONDS, run.seconds))
    before = own_memory(server.process.pid)
    with Loads(run.load, server, Load("idle", crowd.connections), 1) as loads:
        loads.wait_ready()
        server.settle()
        after = own_memory(server.process.pid)
    return (after - before) / crowd.connections
