"""Fixtures and settings for all tests."""

import gc
import logging
import os
import signal

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from rk_exporter.runtime.background_call import late_calls
from tests.support.monitoring.alerting import AlertingPrograms
from tests.support.programs import Monitoring


# The same examples everywhere, so that a commit passes or fails on all machines. Found
# failures are not stored, because a stored one fails on one machine only: write an @example.
hypothesis.settings.register_profile(
    "project",
    # On a busy machine the first example takes seconds.
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
# New examples, for `make test-random`. Add what fails as an @example to the test.
hypothesis.settings.register_profile(
    "random",
    hypothesis.settings.get_profile("project"),
    derandomize=False,
    max_examples=500,
)
# For `make mutants`: most mutants fail soon, and any example is enough.
hypothesis.settings.register_profile(
    "mutants",
    hypothesis.settings.get_profile("project"),
    max_examples=25,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    # A test runs several times in one process.
    suppress_health_check=[*hypothesis.HealthCheck],
)
hypothesis.settings.load_profile("project")


def _hear_signals() -> None:
    """Let the programs that tests start hear Ctrl-C and SIGHUP. Children ignore what we ignore."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            # Handlers of Python are not inherited.
            signal.signal(number, signal.default_int_handler)


# Prometheus, promtool and Alertmanager need a fifth less time if they collect garbage less often.
os.environ.setdefault("GOGC", "400")

# A shell without job control starts a job in the background with SIGINT ignored, and nohup
# ignores SIGHUP.
_hear_signals()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Use more workers than processors: tests often wait for the programs that they start."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def signals_restored() -> Iterator[None]:
    """Hear signals again: a command that runs in process ignores them when it ends."""
    yield
    _hear_signals()


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """Leave the process's logging as it was: commands that run in process set it up."""
    root = logging.getLogger()
    logging.getLogger("rk_exporter")  # exists from now on
    handlers, level = root.handlers[:], root.level
    loggers = [x for x in root.manager.loggerDict.values() if isinstance(x, logging.Logger)]
    levels = [(logger, logger.level) for logger in loggers]
    yield
    root.handlers[:], root.level = handlers, level
    for logger, logger_level in levels:
        logger.setLevel(logger_level)


@pytest.fixture(scope="module", autouse=True)
def hanging_calls_forgotten() -> Iterator[None]:
    """Forget calls that hung until a test let them return: a metric counts those of the process."""
    yield
    if late_calls():
        gc.collect()


@pytest.fixture(scope="session", params=Monitoring, ids=lambda programs: programs.value)
def monitoring(request: pytest.FixtureRequest) -> Monitoring:
    """Run the test with Debian's Prometheus 2, then with Prometheus 3."""
    programs: Monitoring = request.param
    return programs


@pytest.fixture(scope="session")
def promtool(monitoring: Monitoring) -> str:
    """Return the path of promtool."""
    return monitoring.required("promtool", package="prometheus")


@pytest.fixture(scope="session")
def prometheus(monitoring: Monitoring) -> str:
    """Return the path of Prometheus."""
    return monitoring.required("prometheus", package="prometheus")


@pytest.fixture(scope="session")
def alertmanager(monitoring: Monitoring) -> str:
    """Return the path of Alertmanager; Debian's package gives the program another name."""
    return monitoring.required(
        "alertmanager", "prometheus-alertmanager", package="prometheus-alertmanager"
    )


@pytest.fixture(scope="session")
def alerting(prometheus: str, alertmanager: str, root: Path) -> AlertingPrograms:
    """Return what starts Prometheus and Alertmanager with the rules."""
    return AlertingPrograms(prometheus, alertmanager, root)


@pytest.fixture(scope="session")
def amtool(monitoring: Monitoring) -> str:
    """Return the path of amtool."""
    return monitoring.required("amtool", package="prometheus-alertmanager")


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the project."""
    return Path(__file__).parent.parent
