"""The wheel and the source archive: what they contain, and that everybody can build the same."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

from collections.abc import Iterator
from pathlib import Path

import pytest

from rk_exporter import __version__
from tests.support.programs import required_program


BUILT_AT, REVISION = 1_700_000_000, "0123456789abcdef0123456789abcdef01234567"
RECORD = "rk_exporter/runtime/build.json"
WHEEL = f"rk_exporter-{__version__}-py3-none-any.whl"
ARCHIVE = f"rk_exporter-{__version__}.tar.gz"


@pytest.fixture(scope="module")
def tracked(root: Path) -> list[str]:
    """Return the files of the checkout, also those that will be committed next."""
    git = required_program("git", package="git")
    if not (root / ".git").exists():
        pytest.skip("this is no checkout: git says which files belong to it")
    listed = subprocess.run(
        [git, "-C", root, "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [name for name in listed if (root / name).is_file()]


def copied(root: Path, tracked: list[str], folder: Path, *, modified_at: float) -> Path:
    """Copy the checkout into *folder*, as if somebody had cloned it at another time."""
    for name in tracked:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target)
        target.chmod(0o600 if modified_at else 0o664)
        os.utime(target, (modified_at, modified_at))
    return folder


@pytest.fixture(scope="module")
def built(root: Path, tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Build the distributions in two different folders, and return both folders of results."""
    folders = [
        copied(root, tracked, tmp_path_factory.mktemp(name) / name, modified_at=modified_at)
        for name, modified_at in (("first", 0.0), ("another-name", 1_600_000_000.0))
    ]
    builds = [
        subprocess.Popen(
            [sys.executable, "-m", "build", "--no-isolation", folder],
            env={
                **os.environ,
                "SOURCE_DATE_EPOCH": str(BUILT_AT),
                # A copy is no checkout that could say it.
                "SOURCE_COMMIT": REVISION,
                "TZ": zone,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            umask=umask,
        )
        for folder, zone, umask in zip(folders, ("UTC", "Asia/Tokyo"), (0o022, 0o077), strict=True)
    ]
    for build in builds:
        output, _ = build.communicate()
        assert 0 == build.returncode, output.decode()
    return [folder / "dist" for folder in folders]


@pytest.mark.parametrize("name", [WHEEL, ARCHIVE])
def test_reproducible(built: list[Path], name: str) -> None:
    """Two builds of a commit are the same bytes, whenever, wherever and by whom they are made."""
    first, second = ((folder / name).read_bytes() for folder in built)
    assert first == second


def test_time_of_the_commit(built: list[Path]) -> None:
    """The archives have the time that SOURCE_DATE_EPOCH says."""
    with tarfile.open(built[0] / ARCHIVE) as archive:
        assert {BUILT_AT} == {member.mtime for member in archive}
    with zipfile.ZipFile(built[0] / WHEEL) as wheel:
        assert {(2023, 11, 14)} == {entry.date_time[:3] for entry in wheel.infolist()}


@pytest.fixture(scope="module")
def unpacked(built: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Unpack the source archive."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(built[0] / ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    yield folder / ARCHIVE.removesuffix(".tar.gz")
    shutil.rmtree(folder)


def test_source_archive_is_complete(unpacked: Path, tracked: list[str]) -> None:
    """The source archive has all files of the repository, so its tests find what they need."""
    names = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert {*tracked, "PKG-INFO", RECORD} == names


def test_tests_run_from_the_source_archive(unpacked: Path) -> None:
    """Tests that read files of the project pass in the unpacked archive, without git."""
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("tests/project/test_reference.py", "tests/project/test_lock.py"),
            *("tests/project/test_pre_commit.py", "-k", "current or lock or hooks"),
        ],
        cwd=unpacked,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == result.returncode, result.stdout + result.stderr


def test_wheel(built: list[Path], root: Path) -> None:
    """The wheel has the package with its templates, and the manual page and completions."""
    with zipfile.ZipFile(built[0] / WHEEL) as wheel:
        names = set(wheel.namelist())
        folder = WHEEL.removesuffix("-py3-none-any.whl")
        for path in (root / "share").rglob("*"):
            if path.is_file():
                name = f"{folder}.data/data/{path.relative_to(root)}"
                assert path.read_bytes() == wheel.read(name)
    tops = {name.partition("/")[0] for name in names}
    assert {"rk_exporter", f"{folder}.data", f"{folder}.dist-info"} == tops
    assert RECORD in names
    modules = {str(path.relative_to(root)) for path in (root / "rk_exporter").rglob("*.py")}
    assert modules == {name for name in names if name.endswith(".py")}
    templates = (root / "rk_exporter/web/status/templates").iterdir()
    assert {str(path.relative_to(root)) for path in templates} <= names


def test_make_dist(root: Path) -> None:
    """`make dist` builds both archives and the bill of materials, even if they exist already."""
    make = required_program("make", package="make")
    shown = subprocess.run(
        [make, "--no-print-directory", "--dry-run", "dist"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert [
        "rm -rf dist",
        ".venv/bin/python -m build --no-isolation",
        ".venv/bin/python -m tools.release.bill_of_materials",
    ] == shown[-3:]


def test_targets_of_make(root: Path) -> None:
    """Each target that is no file has commands or needs others, so none was lost."""
    text = (root / "Makefile").read_text().replace("\\\n", " ")
    lists = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    targets = [name for names in lists for name in names.split()]
    assert len(targets) == len(set(targets))
    for name in targets:
        assert re.search(rf"^{name}:.*?(  ## |\n\t)", text, re.MULTILINE), name
