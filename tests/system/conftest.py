"""Fixtures: a place for each test, daemons checked at its end, a guard against deadlocks."""
import pathlib
import shutil
import signal
import stat
import tempfile

import pytest

pytest.register_assert_rewrite("ctl", "harness", "parity", "procfs")

import ctl  # noqa: E402
import faults  # noqa: E402
import gate  # noqa: E402
import harness  # noqa: E402
import installing  # noqa: E402
import procfs  # noqa: E402

MODES = ["serial", "threading", "forking", "fibers"]


def pytest_addoption(parser):
    parser.addoption("--fault", type=int, action="append", metavar="NUMBER",
                     help="only the tests of this row of docs/faults.md")


def pytest_configure(config):
    config.addinivalue_line("markers", "fault(number): shows this row of docs/faults.md; added from "
                                       "the table")
    config.addinivalue_line("markers", "alone: measures time; nothing else may run beside it")
    config.addinivalue_line("markers", "root: needs to be run as root")
    config.addinivalue_line("markers", "interrupts: under forking, a signal ends a system call of a "
                                       "child; ThreadSanitizer puts signals off until it returns")
    procfs.become_reaper()


def mark_faults(config, items):
    """Each test carries the rows of the table that name it."""
    numbers, wanted = faults.numbers(), config.getoption("--fault")
    for item in items:
        file = f"tests/system/{item.path.name}"
        for number in numbers.get(faults.Test(file, item.originalname), []):
            item.add_marker(pytest.mark.fault(number))
    if wanted:
        others = [item for item in items if not any(
            mark.args[0] in wanted for mark in item.iter_markers("fault"))]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


def pytest_collection_modifyitems(config, items):
    mark_faults(config, items)
    for item in items:
        if item.get_closest_marker("root") and not harness.IS_ROOT:
            item.add_marker(pytest.mark.skip(reason="only root can do this"))
        if item.get_closest_marker("interrupts") and harness.IS_TSAN and \
                hasattr(item, "callspec") and item.callspec.params.get("mode") == "forking":
            item.add_marker(pytest.mark.skip(reason="ThreadSanitizer puts signals off"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.has_passed = report.passed


@pytest.fixture(autouse=True)
def guard():
    """No test hangs: after the time for one test it fails where it stands."""

    def on_alarm(_number, _frame):
        raise AssertionError(f"deadlock guard: the test runs for more than {harness.GUARD_S} s")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, harness.GUARD_S)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def place():
    """A directory that the daemon trusts and that its workers can reach."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="handlerd-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def can_be_reached(path):
    """Whether everybody may go to the program; a build may stand in a private directory."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)


@pytest.fixture(params=["root", "nobody"] if harness.IS_ROOT else ["self"])
def who(request):
    """The user that starts the daemon."""
    if request.param == "nobody" and not can_be_reached(harness.PROGRAM):
        pytest.skip("the build cannot be reached by an ordinary user")
    return request.param


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def start(request, place, guard):
    """Starts daemons; in the end each is stopped, and nothing may be wrong or left."""
    daemons = []

    def start_one(*listeners, top=None, text=None, arguments=None, user="root", is_awaited=True,
                  **keys):
        if text is None and arguments is None:
            text = harness.config(*listeners, **(top or {}))
        directory = place if not daemons else place / str(len(daemons))
        directory.mkdir(exist_ok=True)
        daemon = harness.Daemon(directory, arguments=arguments, text=text, user=user, **keys)
        daemons.append(daemon)
        return daemon.wait_ready() if is_awaited else daemon

    yield start_one
    try:
        if getattr(request.node, "has_passed", False):
            for daemon in daemons:
                daemon.end()
            left = procfs.wait_adopted(2 * harness.SLOW)
            assert not left, f"processes are left: {left}"
            for daemon in daemons:
                daemon.check_end()
    except AssertionError:
        show_logs(daemons)
        raise
    finally:
        if not getattr(request.node, "has_passed", False):
            show_logs(daemons)
        for daemon in daemons:
            daemon.end_hard()
        procfs.kill_adopted()
        for daemon in daemons:
            daemon.release()


@pytest.fixture
def installed(place, monkeypatch):
    """An installation of its own for the daemons of the test."""
    installation = installing.Installation(place / "installed")
    monkeypatch.setattr(harness, "PROGRAM", installation.program)
    return installation


@pytest.fixture
def install_version(place):
    """Installs the handler 'version', of this number, by rename; tells its file."""
    directory = place / "handlers"
    directory.mkdir()

    def install(number):
        new = directory / "version.so.new"
        shutil.copy(harness.TEST_HANDLERS / f"sys_version{number}.so", new)
        new.rename(directory / "version.so")
        return directory / "version.so"
    return install


@pytest.fixture
def gates(place):
    """Makes places at which handlers wait."""
    made = []

    def one():
        made.append(gate.Gate(place / f"gate{len(made)}"))
        return made[-1]

    yield one
    for each in made:
        each.close()


@pytest.fixture
def serve(place, guard):
    """Starts servers for handlerctl; in the end each has seen the clients it wanted."""
    servers = []

    def one(protocol, *arguments, **keys):
        servers.append(ctl.Server(protocol, place, *arguments, **keys))
        return servers[-1]

    yield one
    for server in servers:
        server.end()


def show_logs(daemons):
    for daemon in daemons:
        print(f"--- log of handlerd {daemon.pid}\n" + daemon.log.text(200))
