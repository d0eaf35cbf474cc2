"""Fixtures: a booted container for each test, in each of the suites; its journal where a test fails."""
import signal

import pytest

pytest.register_assert_rewrite("container", "service")

import container  # noqa: E402
import packages  # noqa: E402
import roots  # noqa: E402
import service as services  # noqa: E402
import suites  # noqa: E402

GUARD_S = 120


def pytest_collection_modifyitems(items):
    """One suite after the other."""
    items.sort(key=lambda item: item.callspec.params["suite"].name)


def pytest_generate_tests(metafunc):
    metafunc.parametrize("suite", suites.wanted(), scope="session", ids=lambda suite: suite.name)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.has_passed = report.passed


@pytest.fixture(scope="session")
def prepared(suite):
    """Root file system and packages; where there can be none, every test fails with the reason."""
    why = container.why_not()
    assert not why, f"the tests on a booted system cannot run: {why}"
    return roots.boot_root(suite), packages.of(suite)


@pytest.fixture
def guard(prepared):
    """No test hangs: after the time for one test it fails where it stands."""

    def on_alarm(_number, _frame):
        raise AssertionError(f"deadlock guard: the test runs for more than {GUARD_S} s")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, GUARD_S)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def machine(request, prepared, guard):
    """A booted system without handlerd."""
    booted = container.Container(prepared[0])
    try:
        yield booted
        if not getattr(request.node, "has_passed", False):
            print("--- journal\n" + booted.run(
                "journalctl --no-pager --output=short-monotonic --unit='handlerd*' --unit=echo.socket"
                " | tail -n 100",
                is_checked=False).stdout)
    finally:
        booted.stop()


@pytest.fixture
def installed(machine, prepared):
    """handlerd as it is after installation: it serves nothing."""
    service = services.Service(machine, prepared[1])
    service.install()
    yield service
    service.close()


@pytest.fixture
def service(installed):
    """handlerd with a listener echo on port 7007."""
    installed.configure(services.listener())
    installed.systemctl("restart")
    yield installed
