"""The generated files are current, and Grafana's own types accept the dashboards."""

import json
import re

from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.__main__ import DASHBOARDS, texts
from dashboards.classic import SCHEMA_VERSION


@pytest.mark.parametrize("path", texts())
def test_generated_files_are_current(root: Path, path: str) -> None:
    """The committed files are those that `python -m dashboards` writes."""
    assert texts()[path] == (root / path).read_text(), "run python -m dashboards"


@pytest.mark.parametrize("folder", ["dashboards", "deploy/helm/rk-exporter/files/dashboards"])
def test_every_dashboard_is_generated(root: Path, folder: str) -> None:
    """No dashboard remains after its code is gone."""
    files = {str(path.relative_to(root)) for path in (root / folder).glob("*.json")}
    generated = {path for path in texts() if path.endswith(".json")}
    assert files == {path for path in generated if str(Path(path).parent) == folder}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafanas_schema_has_every_option(name: str) -> None:
    """Grafana's schema has each option. Grafana would drop an unknown one."""
    register_default_plugins()
    made = json.loads(texts()[f"dashboards/{name}.json"])
    kept = Dashboard.from_json(made)
    again = json.loads(json.dumps(kept, cls=JSONEncoder))
    ours = {"__inputs", "__elements", "__requires", "id"}
    assert [] == sorted(_lost({k: v for k, v in made.items() if k not in ours}, again))


def _lost(before: Any, after: Any, path: str = "") -> list[str]:
    """Return the paths at which *after* differs from *before*."""
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
    """The dashboard has the classic format in a version that Grafana 10 and newer accept."""
    made = json.loads(texts()[f"dashboards/{name}.json"])
    assert SCHEMA_VERSION == made["schemaVersion"] == 39
    assert isinstance(made["refresh"], str)
    assert "apiVersion" not in made
    assert made["__inputs"] == []
    assert made["id"] is None


@pytest.mark.parametrize("name", DASHBOARDS)
def test_page_for_grafana_com(root: Path, name: str) -> None:
    """Each dashboard has a page with what grafana.com asks, and a summary of one line."""
    text = (root / f"dashboards/grafana.com/{name}.md").read_text()
    sections = {
        heading: content.strip()
        for section in text.split("\n## ")[1:]
        for heading, _, content in [section.partition("\n")]
    }
    fields = ["Name", "Summary", "Description", "Data source", "Collector", "Screenshots"]
    assert list(sections) == fields
    made = json.loads((root / f"dashboards/{name}.json").read_text())
    assert sections["Name"] == made["title"]
    assert "\n" not in sections["Summary"]
    (block,) = re.findall(r"```yaml\n(.*?)```", sections["Collector"], re.DOTALL)
    assert yaml.safe_load(block)["scrape_configs"]
    pictures = {path.name for path in (root / "docs/images").glob(f"{name}-*.png")}
    assert {*re.findall(r"`(.+?\.png)`", sections["Screenshots"])} == pictures
