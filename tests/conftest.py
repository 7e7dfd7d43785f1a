"""What all tests share."""

import logging
import os
import shutil

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest


# The same examples everywhere, so that a commit passes or fails on every machine alike. Found
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
hypothesis.settings.load_profile("project")


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """Leave the process's logging as it was: commands that run in process set it up."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    named = [each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    levels = [(each, each.level) for each in named]
    yield
    root.handlers[:], root.level = handlers, level
    for each, its_level in levels:
        each.setLevel(its_level)


def required_program(*names: str, package: str) -> str:
    """
    Return the path of a program; without it skip the test at home, and fail it in CI.

    It may have several *names*.
    """
    path = next(filter(None, map(shutil.which, names)), None)
    if path:
        return path
    reason = f"{names[0]} is not installed (Debian's package {package} has it)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def promtool() -> str:
    """Return the path of promtool."""
    return required_program("promtool", package="prometheus")


@pytest.fixture(scope="session")
def prometheus() -> str:
    """Return the path of Prometheus."""
    return required_program("prometheus", package="prometheus")


@pytest.fixture(scope="session")
def alertmanager() -> str:
    """Return the path of Alertmanager, which Debian calls by another name than its makers."""
    return required_program(
        "alertmanager", "prometheus-alertmanager", package="prometheus-alertmanager"
    )


@pytest.fixture(scope="session")
def amtool() -> str:
    """Return the path of amtool."""
    return required_program("amtool", package="prometheus-alertmanager")


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the project."""
    return Path(__file__).parent.parent
