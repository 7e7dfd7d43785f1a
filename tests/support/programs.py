"""Programs that tests need and that may not be installed."""

import os
import shutil

import pytest


def required_program(*names: str, package: str) -> str:
    """
    Return the path of a program, which may have several *names*.

    If it is not installed, fail the test in CI and skip it elsewhere.
    """
    path = next(filter(None, map(shutil.which, names)), None)
    if path:
        return path
    reason = f"{names[0]} is not installed (Debian's package {package} has it)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
