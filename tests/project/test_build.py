"""The revision in wheels, source archives, images and checkouts."""

import json
import os
import re
import subprocess

from pathlib import Path
from typing import Any

import pytest

from rk_exporter.runtime.build import Build, find_build
from tools.build_hook import RevisionHook


RECORD = "rk_exporter/runtime/build.json"
REVISION = "0123456789abcdef0123456789abcdef01234567"


def git(folder: Path, *arguments: str) -> str:
    """Return the output of Git, whose configuration is not that of the user."""
    identity = {
        f"GIT_{role}_{item}": "x" for role in ("AUTHOR", "COMMITTER") for item in ("NAME", "EMAIL")
    }
    result = subprocess.run(
        ["git", "-c", "init.defaultBranch=main", *arguments],  # noqa: S607 # as the hook calls it
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **identity},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with one commit."""
    package = tmp_path / "rk_exporter/runtime"
    package.mkdir(parents=True)
    (package / "build.py").write_text("# code\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOURCE_COMMIT", "SOURCE_BRANCH"):
        monkeypatch.delenv(name, raising=False)


def recorded(root: Path, version: str = "standard") -> Any:
    """Return what the hook adds to a package; None if it adds nothing."""
    hook: Any = RevisionHook
    data: dict[str, Any] = {"force_include": {}}
    hook(str(root), {}, None, None, str(root), "wheel").initialize(version, data)
    if not data["force_include"]:
        return None
    ((source, target),) = data["force_include"].items()
    assert RECORD == target
    return json.loads(Path(source).read_text())


def test_from_git(checkout: Path) -> None:
    """A package of a checkout has its revision and branch, and whether files were changed."""
    revision = git(checkout, "rev-parse", "HEAD")
    assert {"revision": revision, "branch": "main"} == recorded(checkout)
    (checkout / "new").touch()
    assert {"revision": revision, "branch": "main"} == recorded(checkout)
    (checkout / "rk_exporter/runtime/build.py").write_text("# changed\n")
    assert {"revision": f"{revision}-modified", "branch": "main"} == recorded(checkout)
    git(checkout, "checkout", "--quiet", "--detach")
    assert "" == recorded(checkout)["branch"]


def test_from_variables(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of a build in a container win."""
    monkeypatch.setenv("SOURCE_COMMIT", REVISION)
    assert {"revision": REVISION, "branch": ""} == recorded(checkout)
    monkeypatch.setenv("SOURCE_BRANCH", "release")
    (checkout / RECORD).write_text("{}")
    assert {"revision": REVISION, "branch": "release"} == recorded(checkout)


def test_from_a_source_archive(checkout: Path) -> None:
    """The record in a source archive stays, wherever the archive was unpacked."""
    (checkout / RECORD).write_text("{}")
    assert recorded(checkout) is None


def test_in_another_project(checkout: Path) -> None:
    """The revision of another project, in which the source was unpacked, is not ours."""
    inner = checkout / "vendor/rk-exporter"
    inner.mkdir(parents=True)
    assert recorded(inner) is None


def test_editable_installation(checkout: Path) -> None:
    """An editable installation has no record, because it changes with its checkout."""
    assert recorded(checkout, "editable") is None


def test_program_in_a_checkout(checkout: Path) -> None:
    """The program asks Git, and believes no old record."""
    (checkout / RECORD).write_text(json.dumps({"revision": REVISION, "branch": "old"}))
    revision = git(checkout, "rev-parse", "HEAD")
    assert Build(revision, "main") == find_build(checkout / "rk_exporter")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (json.dumps({"revision": REVISION, "branch": "main"}), Build(REVISION, "main")),
        (None, Build("unknown")),
        ("", Build("unknown")),
        ("[]", Build("unknown")),
        ("{}", Build("unknown")),
    ],
)
def test_installed_program(tmp_path: Path, content: str | None, expected: Build) -> None:
    """The program reads the record; without a valid one the revision is unknown."""
    record = tmp_path / RECORD
    record.parent.mkdir(parents=True)
    if content is not None:
        record.write_text(content)
    assert expected == find_build(tmp_path / "rk_exporter")


def test_git_is_missing(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Git a checkout has an unknown revision, and a package no record."""
    monkeypatch.setenv("PATH", str(checkout))
    assert Build("unknown") == find_build(checkout / "rk_exporter")
    assert recorded(checkout) is None


def test_hook_is_used(root: Path) -> None:
    """The build calls the hook."""
    text = (root / "pyproject.toml").read_text()
    assert re.search(r'\[tool\.hatch\.build\.hooks\.custom\]\npath = "tools/build_hook\.py"', text)
