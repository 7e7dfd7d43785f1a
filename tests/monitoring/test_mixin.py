"""The mixin for Jsonnet gives what `rk-exporter assets` writes with the same settings."""

import json

from pathlib import Path
from typing import Any

import _jsonnet
import pytest
import yaml

from rk_exporter.assets.files import RULES, SERVICE_LEVEL_RULES, shipped
from rk_exporter.assets.forms import Choices, Format, adapted
from rk_exporter.assets.job import Job
from tests.support.markdown import blocks


Json = dict[str, Any]
CHOICES = [
    ("", Choices()),
    (
        """
        job: 'rk-.+|video',
        clusterLabel: 'k8s_cluster',
        thresholds+: {
          recording_paused_seconds: 600,
          recordings_errored_ratio: 0.35,
          recording_bytes_per_second: 2000000,
        },
        severities+: {
          'RealtimeKitRecordingErrored.severity': 'critical',
          'RealtimeKitExporterDown.severity.warning': 'off',
        },
        grafanaUrl: 'https://grafana.example.org/',
        runbookUrl: 'https://wiki.example.org/runbook',
        """,
        Choices(
            job=Job("rk-.+|video"),
            cluster_label="k8s_cluster",
            grafana_url="https://grafana.example.org",
            runbook_url="https://wiki.example.org/runbook",
            settings={
                "recording_paused_seconds": "600",
                "recordings_errored_ratio": "0.35",
                "recording_bytes_per_second": "2000000",
                "RealtimeKitRecordingErrored.severity": "critical",
                "RealtimeKitExporterDown.severity.warning": "off",
            },
        ),
    ),
    # Without the plus, the others keep their defaults as well.
    (
        "thresholds: { data_age_seconds: 60 },",
        Choices(settings={"data_age_seconds": "60"}),
    ),
]


def built(folder: Path, config: str) -> Json:
    """Return what the mixin in a folder gives with these fields of `_config`."""
    snippet = f"""
        local mixin = (import 'mixin.libsonnet') {{ _config+:: {{ {config} }} }};
        {{
          dashboards: mixin.grafanaDashboards,
          rules: mixin.prometheusRules,
          alerts: mixin.prometheusAlerts,
        }}"""
    made: Json = json.loads(_jsonnet.evaluate_snippet(f"{folder}/test.jsonnet", snippet))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the mixin that users get."""
    folder = tmp_path_factory.mktemp("assets")
    for path, text in adapted(shipped(), Choices(), [Format.MIXIN]).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder / "mixin"


@pytest.mark.parametrize(("config", "choices"), CHOICES)
def test_same_as_assets(folder: Path, config: str, choices: Choices) -> None:
    """Rules and dashboards are those that the command writes."""
    made, files = built(folder, config), adapted(shipped(), choices)
    groups = made["rules"]["groups"] + made["alerts"]["groups"]
    assert groups == yaml.safe_load(files[RULES])["groups"]
    assert made["dashboards"] == {
        f"rk-exporter-{path.name}": json.loads(text)
        for path, text in files.items()
        if path.suffix == ".json"
    }


def test_service_levels(folder: Path) -> None:
    """The optional rules are those that the command writes, and only for those who ask."""
    choices = Choices(settings={"recordings_start_ratio": "0.9", "price_ratio": "1"})
    optional = yaml.safe_load(adapted(shipped(), choices)[SERVICE_LEVEL_RULES])["groups"]
    thresholds = "thresholds+: { recordings_start_ratio: 0.9, price_ratio: 1 }"
    made = built(folder, f"serviceLevels: true, {thresholds}")
    groups = made["rules"]["groups"] + made["alerts"]["groups"]
    assert all(group in groups for group in optional)
    made = built(folder, thresholds)
    names = {group["name"] for group in made["rules"]["groups"] + made["alerts"]["groups"]}
    assert names.isdisjoint(group["name"] for group in optional)


def test_documentation(folder: Path) -> None:
    """The documented example is valid where `rk-exporter assets` has written the mixin."""
    (block,) = blocks("docs/how-to/alertmanager.md", "jsonnet")
    snippet = f"{block.text} rkExporter.prometheusAlerts"
    made = json.loads(_jsonnet.evaluate_snippet(f"{folder.parent}/test.jsonnet", snippet))
    assert "https://grafana.example.org/d/rk-recording" in json.dumps(made)


def test_alerts_and_recorded_series(folder: Path) -> None:
    """Alerts and recorded series are in the fields in which other mixins have them."""
    made = built(folder, "")
    for kind, key in (("rules", "record"), ("alerts", "alert")):
        rules = [rule for group in made[kind]["groups"] for rule in group["rules"]]
        assert rules
        assert all(key in rule for rule in rules)


def test_beside_other_mixins(folder: Path) -> None:
    """It adds to the groups and dashboards of other mixins."""
    snippet = """
        local other = {
          grafanaDashboards+:: { 'other.json': {} },
          prometheusAlerts+:: { groups+: [{ name: 'other', rules: [] }] },
        };
        local both = other + (import 'mixin.libsonnet');
        { boards: std.length(both.grafanaDashboards), first: both.prometheusAlerts.groups[0].name }
    """
    made = json.loads(_jsonnet.evaluate_snippet(f"{folder}/test.jsonnet", snippet))
    assert made == {"boards": 6, "first": "other"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("thresholds+: { recording_pausd_seconds: 1 }", "recording_pausd_seconds"),
        ("thresholds+: { recording_paused_seconds: '10m' }", "expected a number"),
        ("severities+: { RealtimeKitDataStale: 'info' }", "unknown key in severities"),
        ("severities+: { 'RealtimeKitDataStale.severity': 'page' }", "expected one of critical"),
    ],
)
def test_refused(folder: Path, config: str, message: str) -> None:
    """Unknown keys and wrong values are errors that name them."""
    with pytest.raises(RuntimeError, match=message):
        built(folder, config)
