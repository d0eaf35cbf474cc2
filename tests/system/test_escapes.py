"""Handlers that want to get away: from the group that is killed, from their parent, to somebody else."""
import signal

from harness import listener
from test_seccomp import tries


def test_a_worker_that_left_its_group_and_hears_no_order_is_killed_in_time(start, mode, who):
    """Which is all that is killed with it; under forking it is a child that does, of the worker's group."""
    daemon = start(tries(mode), listener("echo"), user=who, top={"drain_timeout": "300ms"})
    daemon.checks_balance = False
    daemon.connect("t").send("leave_group_and_stop\n")
    assert daemon.connect("echo").ask("x") == "x"
    # within the deadline and what a worker has beyond it
    daemon.expected_exit = daemon.stop(signal.SIGTERM, timeout=5)
    assert daemon.expected_exit == 0
