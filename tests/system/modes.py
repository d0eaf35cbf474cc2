"""Which ways of concurrency the daemon knows that is tested."""
import functools
import os
import pathlib
import tempfile

import pytest

from harness import config, listener, run


@functools.cache
def _is_known(mode):
    with tempfile.TemporaryDirectory(prefix="handlerd-") as place:
        os.chmod(place, 0o755)
        file = pathlib.Path(place) / "handlerd.conf"
        file.write_text(config(listener("echo", mode=mode)))
        return run("-t", "-c", file).returncode == 0


def fixture(modes):
    """A fixture `mode` over these, for tests that want other ones than all."""

    @pytest.fixture(name="mode", params=modes)
    def mode(request):
        if not _is_known(request.param):
            pytest.skip(f"this daemon does not know {request.param}")
        return request.param

    return mode
