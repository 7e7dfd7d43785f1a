"""The rules behave as the promtool files beside them say."""

import re
import shutil
import subprocess

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.monitoring.rule_cases import Case, read_cases, with_thresholds
from tests.support.monitoring.rules_needed import rules_about
from tests.support.monitoring.series import read_rules, rules_of
from tests.support.programs import Monitoring


ROOT = Path(__file__).parents[2]
RULES = ROOT / "dashboards/rules/rk-exporter.rules.yml"
ALERTMANAGER_PAGE = ROOT / "docs/how-to/alertmanager.md"
FILES = sorted((RULES.parent / "tests").glob("*.yml"))
OPTIONAL_RULES = RULES.with_name("rk-exporter-service-levels.rules.yml")
# These cases are not shipped, because they need a copy of the rules with other thresholds.
CHANGED_FILES = tuple(
    Path(__file__).parent / f"changed-{name}.yml" for name in ("thresholds", "service-levels")
)
CHANGED_THRESHOLDS = {
    "rk:recording_invoked_seconds:threshold": "60",
    "rk:recording_uploading_seconds:threshold": "120",
    "rk:recording_paused_seconds:threshold": "180",
    "rk:recording_unknown_seconds:threshold": "300",
    "rk:recording_running_seconds:threshold": "240",
    "rk:recording_ended_seconds:threshold": "600",
    "rk:recording_bytes_per_second:threshold": "10",
    "rk:recording_duration_seconds:threshold": "60",
    "rk:recordings_errored_ratio:threshold": "0.6",
    "rk:recordings_finished:threshold": "2",
    "rk:recording_start_delay_seconds:threshold": "10",
    "rk:recordings_started:threshold": "1",
    "rk:download_url_expires_in_seconds:threshold": "1800",
    "rk:download_url_expired_seconds:threshold": "1800",
    "rk:data_age_seconds:threshold": "120",
    "rk:scrape_interval_seconds:threshold": "120",
    "rk:scrapes_successful_ratio:threshold": "0.8",
    "rk:api_budget_remaining_ratio:threshold": "0.5",
}
CHANGED_SERVICE_LEVELS = {
    "rk:recordings_succeed_ratio:threshold": "0.95",
    "rk:recordings_start_ratio:threshold": "0.95",
    "rk:recordings_arrive_ratio:threshold": "0.95",
    "rk:objective_misses:threshold": "1",
    "rk:recording_alone_seconds:threshold": "120",
    "rk:recording_alone_participants:threshold": "2",
    "rk:recording_length_seconds:threshold": "600",
    "rk:price_ratio:threshold": "0.5",
    "rk:composite_price_per_minute:threshold": "0.02",
    "rk:track_price_per_minute:threshold": "0.001",
}
ALERTS = list(rules_of(read_rules(ROOT), "alert"))
RECORDS = list(rules_of(read_rules(ROOT), "record"))
RULE_NAMES = {rule["alert"] for rule in ALERTS} | {rule["record"] for rule in RECORDS}
CASES = [case for file in FILES for case in read_cases(file)]


def promtool_fails(promtool: str, file: Path) -> str:
    """Return what promtool prints if a case of the file fails."""
    result = subprocess.run(
        [promtool, "test", "rules", file.name],
        cwd=file.parent,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    return result.stdout + result.stderr if result.returncode else ""


def needs_all_rules(file: Path, monitoring: Monitoring) -> bool:
    """
    Return whether a file of cases must be evaluated with all rules, as users do.

    That takes minutes for all files, so only those are that have all texts or all recorded series,
    with Prometheus 3, and those that also say what alerts without a name must not do.
    """
    has_all = file.stem.startswith("notifications") or file.stem.endswith("-series")
    if has_all and monitoring is Monitoring.BUILT:
        return True
    expectations = [x for case in read_cases(file) for x in case.expectations]
    return not all("alertname" in expectation.labels for expectation in expectations)


def with_rules_needed(file: Path, folder: Path) -> Path:
    """Copy a file of cases, and the rules that it names, into a folder."""
    text = file.read_text()
    words = {*re.findall(r"\w+", text), *re.findall(r"[\w:]+", text)}
    has_texts = "alert_rule_test" in text
    needed = rules_about(RULES.parent, words & RULE_NAMES, with_texts=has_texts)["groups"]
    for rules in (RULES, OPTIONAL_RULES):
        here = {group["name"] for group in yaml.safe_load(rules.read_text())["groups"]}
        groups = [group for group in needed if group["name"] in here]
        (folder / rules.name).write_text(yaml.safe_dump({"groups": groups}, sort_keys=False))
    (folder / "tests").mkdir()
    return Path(shutil.copy(file, folder / "tests"))


def expected_of(rule: dict[str, Any]) -> list[tuple[Case, list[bool]]]:
    """Return the cases about a rule, each with whether the alert fires, in the order of time."""
    found = [(case, [expectation.fires for expectation in case.about(rule)]) for case in CASES]
    return [(case, fires) for case, fires in found if fires]


def rule_id(rule: dict[str, Any]) -> str:
    return "-".join([rule["alert"], *rule["labels"].values()])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_cases_of_the_rules(
    file: Path, monitoring: Monitoring, promtool: str, tmp_path: Path
) -> None:
    """All cases of a file pass, in the folder that users get as well."""
    if not needs_all_rules(file, monitoring):
        file = with_rules_needed(file, tmp_path)
    assert not (failures := promtool_fails(promtool, file)), failures


@pytest.mark.parametrize("file", CHANGED_FILES, ids=lambda file: file.stem)
def test_cases_of_changed_thresholds(file: Path, promtool: str, tmp_path: Path) -> None:
    """The alerts use the thresholds that a user sets."""
    changed = with_thresholds(RULES.read_text(), CHANGED_THRESHOLDS)
    (tmp_path / "changed-thresholds.rules.yml").write_text(changed)
    changed = with_thresholds(OPTIONAL_RULES.read_text(), CHANGED_SERVICE_LEVELS)
    (tmp_path / "changed-service-levels.rules.yml").write_text(changed)
    copy = Path(shutil.copy(file, tmp_path))
    assert not (failures := promtool_fails(promtool, copy)), failures


def test_another_label_to_keep(promtool: str, tmp_path: Path) -> None:
    """The documented replacement makes alerts keep one more label of their targets."""
    (tmp_path / "tests").mkdir()
    changed = RULES.read_text().replace("namespace, job", "namespace, team, job")
    (tmp_path / RULES.name).write_text(changed)
    cases = (RULES.parent / "tests/target-labels.yml").read_text()
    assert "s/namespace, job/namespace, team, job/" in ALERTMANAGER_PAGE.read_text()
    file = tmp_path / "tests/team.yml"
    file.write_text(cases.replace('namespace="rk"', 'namespace="rk", team="media"'))
    assert not (failures := promtool_fails(promtool, file)), failures
    # Without the replacement, the cases fail.
    (tmp_path / RULES.name).write_text(RULES.read_text())
    assert promtool_fails(promtool, file)


def test_every_threshold_is_changed() -> None:
    """Each threshold of the rules is among the changed ones."""
    for file, changed in ((RULES, CHANGED_THRESHOLDS), (OPTIONAL_RULES, CHANGED_SERVICE_LEVELS)):
        shipped = set(re.findall(r"record: (rk:\w+:threshold)", file.read_text()))
        assert shipped == changed.keys()


def test_case_names() -> None:
    """Each case has a name of its own within its file."""
    changed = [case for file in CHANGED_FILES for case in read_cases(file)]
    names = [(case.file, case.name) for case in [*CASES, *changed]]
    assert len(names) == len({*names})
    assert all(name for _, name in names)


@pytest.mark.parametrize("rule", ALERTS, ids=rule_id)
def test_kinds_of_cases(rule: dict[str, Any]) -> None:
    """Each alert has cases in which it fires, stays silent, resolves, and survives a gap."""
    cases = expected_of(rule)
    assert any(True in fires for _, fires in cases), "no case in which it fires"
    assert any(True not in fires for _, fires in cases), "no case in which it stays silent"
    resolves = [True in fires and False in fires[fires.index(True) :] for _, fires in cases]
    assert any(resolves), "no case in which it resolves"
    assert any(case.has_gaps for case, _ in cases), "no case with missed scrapes"


@pytest.mark.parametrize("rule", ALERTS, ids=rule_id)
def test_a_case_with_the_texts_of_an_alert(rule: dict[str, Any]) -> None:
    """The labels and annotations of each alert are written down once."""
    files = [file for file in FILES if file.name.startswith("notifications")]
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["tests"]]
    assert any(
        rule["labels"].items() <= expected["exp_labels"].items()
        for group in groups
        for test in group.get("alert_rule_test", [])
        if test["alertname"] == rule["alert"]
        for expected in test["exp_alerts"]
    )
