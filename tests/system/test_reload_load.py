"""The load test of reloads, shorter than it is run by hand: bench/reload."""
import json
import subprocess

import pytest

from conffile import SOURCE
from harness import IS_SANITIZED, PROGRAM

pytestmark = pytest.mark.alone

LOSSES = ("refused", "reset", "empty", "late", "failed")


@pytest.mark.parametrize("concurrency", ["threading", "forking", "serial", "fibers"])
def test_reloads_under_a_steady_load_lose_no_client_and_leave_nothing(concurrency, guard):
    result = subprocess.run(
        [SOURCE / "bench" / "reload", "--handlerd", PROGRAM, "--json", "--concurrency", concurrency,
         "--seconds", "6", "--turns", "4", "--reloads", "10",
         "--rate", "100" if IS_SANITIZED else "1000"], stdout=subprocess.PIPE, check=False)
    figures = json.loads(result.stdout)
    print(json.dumps(figures, indent=1))
    assert figures["reloads"] == 10
    assert [figures[loss] for loss in LOSSES] == [0] * len(LOSSES)
    for what in ("descriptors", "threads", "children"):
        assert figures["before"][what] == figures["after"][what]
    if IS_SANITIZED:
        return
    for what in ("rss", "anonymous"):
        assert abs(figures["before"][what] - figures["after"][what]) <= 256
    # one turn that nobody else has disturbed is enough to tell
    assert figures["slower"]["least"] <= 2
