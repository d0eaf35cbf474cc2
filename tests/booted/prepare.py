"""Makes root file systems and packages of the suites that the command line names, so that the tests find them."""
import sys
import time

import container
import packages
import roots
import suites

if __name__ == "__main__":
    started = time.monotonic()
    try:
        why = container.why_not()
        if why:
            raise roots.CannotPrepare(why)
        for suite in suites.named(sys.argv[1:]):
            roots.boot_root(suite)
            packages.of(suite)
            print(f"{suite.name}: prepared in {time.monotonic() - started:.0f} s")
    except (roots.CannotPrepare, container.CannotBoot) as error:
        sys.exit(f"handlerd: the tests on a booted system cannot run: {error}")
