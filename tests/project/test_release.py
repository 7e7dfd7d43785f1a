"""A release is what it says: its version, its changelog, its licences, its workflow."""

import json
import re
import subprocess
import sys

from dataclasses import replace
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rk_exporter import __version__
from tools.release.bill_of_materials import environment_bill, runtime_part, validated
from tools.release.licences import runtime_packages
from tools.release.state import State, problems


TODAY = date(2026, 12, 24)
CHANGELOG = """\
# Changelog

## Unreleased

## 1.2.0 - 2026-12-24

### Added

- A feature.

## 1.1.0 - 2026-11-01

- Another one.
"""
READY = State(version="1.2.0", changelog=CHANGELOG, changed_files=(), tags=("v1.2.0",))
# Licences that allow everybody to use, change and pass on the program beside Apache-2.0.
ALLOWED = {
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "PSF-2.0",
}


def found(**changes: Any) -> list[str]:
    return list(problems(replace(READY, **changes), today=TODAY))


def changelog(before: str, after: str) -> str:
    assert before in CHANGELOG
    return CHANGELOG.replace(before, after)


def test_ready() -> None:
    """A clean commit with the version's tag and section can be released."""
    assert [] == found()
    assert [] == found(changelog=changelog("## Unreleased\n\n", ""))
    assert [] == found(tags=("nightly", "v1.2.0"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"version": "1.2"}, "the newest section must be ## 1.2 - 2026-12-24"),
        ({"version": "1.2.0-beta"}, "'1.2.0-beta' is no version as in PEP 440"),
        ({"version": "next"}, "'next' is no version as in PEP 440"),
        ({"changed_files": ("a.py",)}, "files differ from the commit: a.py"),
        ({"tags": ()}, "the commit has no tag; tag it: git tag --annotate v1.2.0"),
        ({"tags": ("v1.3.0",)}, "the commit has v1.3.0; tag it"),
        ({"changelog": "# Changelog\n"}, "the newest section must be ## 1.2.0"),
        (
            {"changelog": changelog("## Unreleased\n", "## Unreleased\n\n- New.\n")},
            "Unreleased has entries; move them to ## 1.2.0 - 2026-12-24",
        ),
        (
            {"changelog": changelog("### Added\n\n- A feature.\n", "")},
            "the section of 1.2.0 is empty",
        ),
        (
            {"changelog": changelog("- 2026-12-24", "- 2026-12-25")},
            "the date of 1.2.0 is",
        ),
        ({"changelog": changelog("- 2026-12-24", "- soon")}, "the date of 1.2.0 is soon"),
        ({"changelog": changelog("1.1.0", "1.10.0")}, "1.2.0 must be newer than 1.10.0"),
    ],
)
def test_not_ready(changes: dict[str, Any], expected: str) -> None:
    """Each problem has a line that says where it is and what to do."""
    assert any(expected in problem for problem in found(**changes)), found(**changes)


def test_all_problems() -> None:
    """All problems are listed together."""
    assert 3 == len(found(changelog="# Changelog\n", changed_files=("a",), tags=()))


def test_version_is_in_the_changelog(root: Path) -> None:
    """The changelog has a section for the version of the package."""
    assert f"\n## {__version__} - " in (root / "CHANGELOG.md").read_text()


def test_licences() -> None:
    """Each package that users get has a licence that fits; another one needs a decision."""
    for package in runtime_packages():
        for term in re.split(r"\bAND\b", package.licence.strip("()")):
            assert ALLOWED & {part.strip(" ()") for part in term.split(" OR ")}, package


def test_runtime_packages_are_locked(root: Path) -> None:
    """The locks have all packages that users get: one without the extras, the image's with all."""
    packages = runtime_packages()
    names = {package.name for package in packages}
    extras = {package.name: package.extras for package in packages if package.extras}
    assert names - extras.keys() <= locked(root, "runtime")
    assert not extras.keys() & locked(root, "runtime")
    assert names <= locked(root, "image")
    assert {"httpx", "click", "anyio"} <= names - extras.keys()
    assert {("s3",), ("webhooks",)} == {extras["boto3"], extras["cryptography"]}
    assert not {"pytest", "mypy", "hatchling"} & names


def locked(root: Path, name: str) -> set[str]:
    """Return the names in a lock file."""
    lines = (root / f"requirements/{name}.txt").read_text().splitlines()
    return {
        canonicalize_name(Requirement(line.rstrip("\\ ")).name)
        for line in lines
        if re.match(r"\w", line)
    }


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    return runtime_part(environment_bill(), {package.name for package in runtime_packages()})


def test_bill_of_materials(bill: dict[str, Any]) -> None:
    """It is valid, has the packages that users get with their versions, and no others."""
    assert bill == json.loads(validated(bill))
    with pytest.raises(ValueError, match="invalid bill of materials"):
        validated({**bill, "components": [{"name": "no type"}]})
    main = bill["metadata"]["component"]
    assert ("rk-exporter", __version__) == (main["name"], main["version"])
    components = {canonicalize_name(item["name"]): item for item in bill["components"]}
    assert components.keys() == {package.name for package in runtime_packages()}
    for name, item in components.items():
        assert metadata.version(name) == item["version"]
        assert item["licenses"]
        assert item["purl"].startswith("pkg:pypi/")


def test_bill_of_materials_is_complete(bill: dict[str, Any]) -> None:
    """Each package in it is needed by another one, or by the exporter itself."""
    needed = {reference for item in bill["dependencies"] for reference in item["dependsOn"]}
    assert {item["bom-ref"] for item in bill["components"]} == needed


def test_bill_of_materials_is_reproducible(bill: dict[str, Any]) -> None:
    """It has neither a time nor a random number, and no path of the machine that made it."""
    assert "timestamp" not in bill["metadata"]
    assert "serialNumber" not in bill
    assert sys.prefix not in json.dumps(bill)


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / ".github/workflows/release.yml").read_text()


@pytest.fixture(scope="module")
def workflow(text: str) -> Any:
    return yaml.safe_load(text)


def test_workflow_schema(root: Path) -> None:
    """GitHub's schema of workflows accepts it."""
    program = Path(sys.executable).with_name("check-jsonschema")
    result = subprocess.run(
        [
            *(program, "--builtin-schema", "vendor.github-workflows"),
            root / ".github/workflows/release.yml",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == result.returncode, result.stdout + result.stderr


def test_actions_are_pinned(text: str) -> None:
    """Each action has a full version, so that no release uses another one unnoticed."""
    actions = re.findall(r"uses: (\S+)", text)
    assert actions
    for action in actions:
        assert re.fullmatch(r"[\w./-]+@v\d+\.\d+\.\d+", action), action


def test_no_token_in_the_workflow(text: str, workflow: Any) -> None:
    """No job has a token or a permission that it does not need."""
    assert "secrets." not in text
    assert "github.token" not in text
    assert {} == workflow["permissions"]
    assert {"id-token": "write"} == workflow["jobs"]["publish"]["permissions"]


def test_order_of_the_workflow(workflow: Any) -> None:
    """Nothing is published unless the check and all tests have passed."""
    commands = [step.get("run", "") for step in workflow["jobs"]["build"]["steps"]]
    positions = [
        next(number for number, command in enumerate(commands) if part in command)
        for part in ("make release-check", ".ci/run", "make dist")
    ]
    assert sorted(positions) == positions
    assert "build" == workflow["jobs"]["publish"]["needs"]
