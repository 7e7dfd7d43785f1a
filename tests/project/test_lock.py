"""The same commit gives the same result everywhere: locked versions, tested interpreters."""

import re
import tomllib

from pathlib import Path
from typing import Any

import hypothesis
import pytest

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


LOCKS = ["dev", "runtime", "image", "lowest", "mutants"]


@pytest.fixture(scope="module")
def pyproject(root: Path) -> Any:
    return tomllib.loads((root / "pyproject.toml").read_text())


def locked(root: Path, name: str) -> dict[str, Requirement]:
    """Return the packages of a lock file, and check that each has hashes."""
    text = (root / "requirements" / f"{name}.txt").read_text()
    entries = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "").splitlines()
    assert all(re.search(r" --hash=sha256:[0-9a-f]{64}$", entry) for entry in entries)
    found = [Requirement(re.sub(r"\s+--hash=\S+", "", entry)) for entry in entries]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def wanted(pyproject: Any, *groups: str, extras: bool = True) -> list[Requirement]:
    """Return the direct dependencies at runtime, those of all extras, and those of *groups*."""
    entries = [*pyproject["project"]["dependencies"]]
    if extras:
        for optional in pyproject["project"]["optional-dependencies"].values():
            entries += optional
    for group in groups:
        entries += [
            entry for entry in pyproject["dependency-groups"][group] if isinstance(entry, str)
        ]
    return [Requirement(entry) for entry in entries]


def version_of(requirement: Requirement) -> str:
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    return specifier.version


@pytest.mark.parametrize(
    ("lock", "groups"),
    [("dev", ["dev", "build"]), ("runtime", ["build"]), ("image", ["build"]), ("lowest", [])],
)
def test_lock_has_every_dependency(
    root: Path, pyproject: Any, lock: str, groups: list[str]
) -> None:
    """Each direct dependency is locked to a version in its range: else run `make lock`."""
    versions = locked(root, lock)
    for requirement in wanted(pyproject, *groups, extras=lock != "runtime"):
        version = version_of(versions[canonicalize_name(requirement.name)])
        assert requirement.specifier.contains(version), requirement


def test_lowest_versions(root: Path, pyproject: Any) -> None:
    """The lowest versions are exactly the lower bounds."""
    versions = locked(root, "lowest")
    for requirement in wanted(pyproject):
        (bound,) = (part.version for part in requirement.specifier if part.operator == ">=")
        assert Version(version_of(versions[canonicalize_name(requirement.name)])) == Version(bound)


@pytest.mark.parametrize("lock", ["runtime", "image"])
def test_users_and_tests_agree(root: Path, lock: str) -> None:
    """`make demo` and the image run with the versions that `make test` tests."""
    dev = locked(root, "dev")
    assert all(dev[name] == requirement for name, requirement in locked(root, lock).items())


def test_mutants_agree(root: Path) -> None:
    """`make mutants` runs the tests with the versions of `make test`."""
    dev, mutants = (
        {name: version_of(entry) for name, entry in locked(root, lock).items()}
        for lock in ("dev", "mutants")
    )
    assert "mutmut" in mutants.keys() - dev.keys()
    assert all(dev.get(name, version) == version for name, version in mutants.items())


def test_image_has_the_runtime(root: Path) -> None:
    """The image has the same versions as `make demo`, and the extras in addition."""
    assert locked(root, "runtime").items() <= locked(root, "image").items()


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_host(root: Path, lock: str) -> None:
    """The lock works with whatever registry or mirror a contributor has."""
    assert "://" not in (root / "requirements" / f"{lock}.txt").read_text()


def test_promised_interpreters(root: Path, pyproject: Any) -> None:
    """The classifiers promise the interpreters that `make test-pythons` tests, and no other."""
    (tested,) = re.findall(r"^PYTHONS := (.*)$", (root / "Makefile").read_text(), re.MULTILINE)
    prefix = "Programming Language :: Python :: 3."
    classifiers = pyproject["project"]["classifiers"]
    promised = [entry for entry in classifiers if entry.startswith(prefix)]
    assert promised == [
        f"Programming Language :: Python :: {version}" for version in tested.split()
    ]
    assert pyproject["project"]["requires-python"] == f">={tested.split()[0]}"


def test_same_examples(request: pytest.FixtureRequest) -> None:
    """Property tests use the same examples everywhere, unless new ones are asked for."""
    is_random = request.config.getoption("hypothesis_profile") == "random"
    assert hypothesis.settings().derandomize is not is_random
    assert hypothesis.settings().database is None
