"""Programs that tests need and that may not be installed."""

import os
import shutil

from enum import Enum
from typing import NoReturn

import pytest

from tools import prometheus3


def required_program(*names: str, package: str) -> str:
    """
    Return the path of a program, which may have several *names*.

    If it is not installed, fail the test in CI and skip it elsewhere.
    """
    path = next(filter(None, map(shutil.which, names)), None)
    return path or _missing(f"{names[0]} is not installed (Debian's package {package} has it)")


class Monitoring(Enum):
    """Where the programs of Prometheus and Alertmanager come from: two major versions."""

    DEBIAN = "prometheus2"
    BUILT = "prometheus3"

    def required(self, *names: str, package: str) -> str:
        """
        Return the path of a program, which may have several *names* in Debian's *package*.

        If it is missing, fail the test in CI and skip it elsewhere.
        """
        if self is Monitoring.DEBIAN:
            return required_program(*names, package=package)
        path = prometheus3.programs() / names[0]
        if path.exists():
            return str(path)
        return _missing("Prometheus 3 is not built; run `make prometheus3`, which needs Go")


in_one_version = pytest.mark.parametrize(
    "monitoring", [Monitoring.DEBIAN], indirect=True, ids=lambda programs: programs.value
)
"""
Run a test with one version of Prometheus only.

It is for tests about what happens between the programs. The cases and timelines of all rules run
with both versions, because PromQL differs between them.
"""


def _missing(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
