"""The version of this program and the revision that it was built from."""

import json
import platform
import subprocess
import sys

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import rk_exporter


# The build writes it (tools/build_hook.py), because packages and images have no Git repository.
_RECORD = "runtime/build.json"
_UNKNOWN = "unknown"
_MAX_GIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Build:
    """The revision of the code and its branch; an unknown *branch* is empty."""

    revision: str = _UNKNOWN
    branch: str = ""


@cache
def build() -> Build:
    """Return the revision of this program."""
    return find_build(Path(rk_exporter.__file__).parent)


def find_build(package: Path) -> Build:
    """Return what the build of a *package* has recorded; in a checkout, what Git says."""
    checkout = package.parent
    if (checkout / ".git").exists():
        revision = _git(checkout, "rev-parse", "HEAD")
        return Build(revision or _UNKNOWN, _git(checkout, "branch", "--show-current"))
    try:
        recorded = json.loads((package / _RECORD).read_bytes())
        return Build(str(recorded["revision"]), str(recorded["branch"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Build()


def _git(folder: Path, *arguments: str) -> str:
    """Return what Git answers about a *folder*; empty if it fails or is not installed."""
    try:
        result = subprocess.run(  # noqa: S603 # constant arguments
            ["git", *arguments],  # noqa: S607 # wherever it is installed
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_MAX_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip()


def version_text() -> str:
    """Return all that a report about a problem needs, as exporters of Prometheus print it."""
    origin = build()
    return (
        f"rk-exporter, version {rk_exporter.__version__} "
        f"(branch: {origin.branch}, revision: {origin.revision})\n"
        f"  python version:   {platform.python_version()}\n"
        f"  platform:         {sys.platform}/{platform.machine()}"
    )
