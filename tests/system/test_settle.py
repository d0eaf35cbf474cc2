"""An old worker that does nothing any more does not hold up reloads."""
import os
import signal

from harness import config, listener


def test_a_reload_does_not_wait_for_an_old_worker_that_is_stuck(start):
    top = {"drain_timeout": "1h"}
    daemon = start(listener("one", "echo"), listener("two", "echo"), top=top)
    stuck = daemon.worker("one")
    os.kill(stuck, signal.SIGSTOP)
    try:
        assert daemon.reload(config(listener("one", "echo", environment={"N": "1"}),
                                    listener("two", "echo"), **top))
        assert daemon.log.find("warning: an old worker has not said")
        # nor does the next, which removes that listener
        mark = daemon.log.mark()
        assert daemon.reload(config(listener("two", "echo"), **top))
        daemon.log.wait("reloaded", since=mark)
        with daemon.connect("two") as client:
            assert client.ask("hello") == "hello"
    finally:
        os.kill(stuck, signal.SIGCONT)
