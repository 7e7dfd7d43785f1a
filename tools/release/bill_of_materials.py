"""
Write the software bill of materials of the runtime dependencies, as CycloneDX JSON.

cyclonedx-bom describes the whole environment, tools and the dependencies of extras included. Users
get only a part of it.
"""

import json
import subprocess
import sys

from collections.abc import Collection
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from rk_exporter import __version__
from tools.release.licences import runtime_packages


ROOT = Path(__file__).parents[2]
FILE = ROOT / f"dist/rk-exporter-{__version__}.cdx.json"


def environment_bill() -> dict[str, Any]:
    """Return the bill of the environment that runs this."""
    command = [
        *(sys.executable, "-m", "cyclonedx_py", "environment", sys.executable),
        *("--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible"),
        # Only the part that is kept is validated: the whole would take ten seconds.
        "--no-validate",
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    bill: dict[str, Any] = json.loads(text)
    return bill


def runtime_part(bill: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return the part of *bill* that is about its main component and the packages with *names*."""
    main = bill["metadata"]["component"]
    components = [item for item in bill["components"] if canonicalize_name(item["name"]) in names]
    kept = {main["bom-ref"], *(item["bom-ref"] for item in components)}
    purl = f"pkg:pypi/{main['name']}@{__version__}"
    return {
        **bill,
        "metadata": {
            **bill["metadata"],
            "component": {**main, "version": __version__, "purl": purl},
        },
        "components": components,
        "dependencies": [
            {**item, "dependsOn": sorted(kept.intersection(item.get("dependsOn", [])))}
            for item in bill["dependencies"]
            if item["ref"] in kept
        ],
    }


def validated(bill: dict[str, Any]) -> str:
    """Return *bill* as text. Raises ValueError if the schema of CycloneDX does not allow it."""
    text = json.dumps(bill, indent=2) + "\n"
    problem = JsonStrictValidator(SchemaVersion.from_version(bill["specVersion"])).validate_str(
        text
    )
    if problem:
        raise ValueError(f"invalid bill of materials: {problem}")
    return text


def main() -> None:
    """Write the bill beside the wheel."""
    FILE.parent.mkdir(exist_ok=True)
    names = {package.name for package in runtime_packages()}
    text = validated(runtime_part(environment_bill(), names))
    FILE.write_text(text, encoding="utf-8")
    print(FILE.relative_to(ROOT))


if __name__ == "__main__":
    main()
