"""The dashboards' JSON is what their code says, and what Grafana's own types know."""

import json

from pathlib import Path
from typing import Any

import pytest

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.__main__ import DASHBOARDS, texts
from dashboards.classic import SCHEMA_VERSION


@pytest.mark.parametrize("name", [f"{name}.json" for name in DASHBOARDS])
def test_the_files_are_those_of_the_code(root: Path, name: str) -> None:
    """What is committed is what `python -m dashboards` writes."""
    assert texts()[name] == (root / "dashboards" / name).read_text(), "run python -m dashboards"


def test_there_are_no_other_files(root: Path) -> None:
    """No dashboard is left from code that is gone."""
    written = {path.name for path in (root / "dashboards").glob("*.json")}
    assert set(texts()) == written


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafanas_types_lose_nothing(name: str) -> None:
    """Each option is one of Grafana's schema: what that does not know would be dropped."""
    register_default_plugins()
    made = json.loads(texts()[f"{name}.json"])
    kept = Dashboard.from_json(made)
    again = json.loads(json.dumps(kept, cls=JSONEncoder))
    ours = {"__inputs", "__elements", "__requires", "id"}
    assert [] == sorted(_lost({k: v for k, v in made.items() if k not in ours}, again))


def _lost(before: Any, after: Any, path: str = "") -> list[str]:
    """Return where *after* lacks, or has otherwise, what *before* holds."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            lost
            for key, value in before.items()
            for lost in _lost(value, after.get(key), f"{path}.{key}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [lost for n, (one, other) in pairs for lost in _lost(one, other, f"{path}[{n}]")]
    return [] if before == after else [path]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafana_10_reads_it(name: str) -> None:
    """It is in the classic format, of a version that no Grafana since 10 has to refuse."""
    made = json.loads(texts()[f"{name}.json"])
    assert SCHEMA_VERSION == made["schemaVersion"] == 39
    assert isinstance(made["refresh"], str)
    assert "apiVersion" not in made
    assert made["__inputs"] == []
    assert made["id"] is None
