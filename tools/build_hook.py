"""The hook of the build that records the revision, because packages have no Git repository."""

import json
import os
import subprocess
import tempfile

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


_RECORD = "rk_exporter/runtime/build.json"


class RevisionHook(BuildHookInterface[Any]):
    """
    Adds a file with the revision to the wheel and the source archive.

    The first of these that is known counts: the variables SOURCE_COMMIT and SOURCE_BRANCH, which
    builds of images set; the file in a source archive; what Git says about the checkout.
    """

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file, but not to an editable installation, which changes with its checkout."""
        root = Path(self.root)
        commit = os.environ.get("SOURCE_COMMIT", "")
        if version == "editable" or (not commit and (root / _RECORD).exists()):
            return
        branch = os.environ.get("SOURCE_BRANCH", "")
        if not commit:
            commit, branch = _revision(root), _git(root, "branch", "--show-current")
        if commit:
            path = Path(tempfile.mkdtemp(), "build.json")
            path.write_text(json.dumps({"revision": commit, "branch": branch}) + "\n")
            build_data["force_include"][str(path)] = _RECORD


def _revision(root: Path) -> str:
    """Return the revision of the checkout at *root*, and whether it has changes, as Go does."""
    # A source archive without its record may have been unpacked in another project's checkout.
    if _git(root, "rev-parse", "--show-toplevel") != str(root.resolve()):
        return ""
    has_changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return _git(root, "rev-parse", "HEAD") + ("-modified" if has_changes else "")


def _git(root: Path, *arguments: str) -> str:
    try:
        result = subprocess.run(  # noqa: S603 # constant arguments
            ["git", *arguments],  # noqa: S607 # wherever it is installed
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return result.stdout.strip()
