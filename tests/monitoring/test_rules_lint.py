"""The rules pass pint's checks and the project's own, and each check finds its faults."""

import copy
import subprocess

from pathlib import Path
from typing import Any

import pytest

from tests.support.monitoring.promql import Labels
from tests.support.monitoring.rules_lint import CHECKS, CHECKS_OF_ALERTS, findings
from tests.support.monitoring.series import (
    RULES_FILES,
    TARGET,
    all_series,
    read_rules,
    rules_of,
    with_alerts,
    with_recorded,
)


ALERTS = (
    "RealtimeKitExporterDown",
    "RealtimeKitExporterAbsent",
    "RealtimeKitMetricsMissing",
    "RealtimeKitExporterUnstable",
    "RealtimeKitScrapeIntervalTooLong",
    "RealtimeKitShardMissing",
    "RealtimeKitNothingRead",
    "RealtimeKitDataStale",
    "RealtimeKitMeetingsFileUnreadable",
    "RealtimeKitArchiveUnreadable",
    "RealtimeKitNoMeetings",
    "RealtimeKitAccountUnreadable",
    "RealtimeKitStateFileNotWritten",
    "RealtimeKitAPIAuthFailing",
    "RealtimeKitAPIRateLimited",
    "RealtimeKitBudgetExhausted",
    "RealtimeKitConfigReloadFailed",
    "RealtimeKitWebhookSilent",
    "RealtimeKitRecordingErrored",
    "RealtimeKitRecordingInterrupted",
    "RealtimeKitRecordingErrorRatioHigh",
    "RealtimeKitRecordingStuckInvoked",
    "RealtimeKitRecordingStuckUploading",
    "RealtimeKitRecordingPausedTooLong",
    "RealtimeKitRecordingStateUnknown",
    "RealtimeKitRecordingNearTimeLimit",
    "RealtimeKitRecordingEmptyFile",
    "RealtimeKitDownloadBroken",
    "RealtimeKitDownloadURLExpiringSoon",
    "RealtimeKitDownloadURLExpired",
    "RealtimeKitRecordingsHidden",
    "RealtimeKitMeetingNotRecorded",
    "RealtimeKitStartDelayHigh",
    "RealtimeKitErrorBudgetBurn",
    "RealtimeKitRecordingRunaway",
)
# The check and the rule for each exception.
EXCEPTIONS = {
    # They compare a counter with what it was at the last evaluation, and notice a reset.
    ("promql/counter", "instance:rk_objective_recordings:count"),
    ("promql/counter", "instance:rk_objective_recordings:new"),
    ("promql/counter", "instance:rk_recorded_seconds:count"),
    ("promql/counter", "instance:rk_recorded_seconds:new"),
    ("promql/counter", "instance:rk_recorded_bytes:count"),
    ("promql/counter", "instance:rk_recorded_bytes:new"),
    # Another exporter leads only if the first one fails, and then the totals go on.
    ("promql/fragile", "instance:rk_up:leader"),
}
RUNBOOK = "# Runbook\n\n## RealtimeKitFailing\n"
KNOWN: dict[str, Labels] = {
    "up": TARGET,
    "rk_up": TARGET | {"app"},
    "rk_calls": TARGET | {"app", "code"},
    "rk_calls_total": TARGET | {"app", "code"},
}


@pytest.fixture
def sound() -> dict[str, Any]:
    """Return a correct file of rules."""
    return {
        "groups": [
            {
                "name": "all",
                "interval": "30s",
                "rules": [
                    {"record": "rk:calls:threshold", "expr": "5"},
                    {
                        "alert": "RealtimeKitFailing",
                        "expr": "sum by (app) (increase(rk_calls_total[10m]))"
                        " > scalar(max(rk:calls:threshold))",
                        "for": "5m",
                        "labels": {"severity": "warning"},
                        "annotations": {
                            "summary": "Calls fail.",
                            "description": "{{ $value }} calls of app {{ $labels.app }} failed:"
                            ' {{ with printf "rk_up{app=%q}" $labels.app | query }}{{ end }}'
                            "{{ with $labels.instance }} {{ . }}{{ end }}",
                            "runbook_url": "docs/how-to/runbook.md#realtimekitfailing",
                        },
                    },
                ],
            }
        ]
    }


def found_by(document: dict[str, Any]) -> list[str]:
    """Return the checks that find a problem."""
    known = with_alerts(with_recorded(KNOWN, document), document)
    return sorted({finding.check for finding in findings(document, known, RUNBOOK)})


# The expression of an alert, and the check that finds a problem.
EXPRESSIONS = [
    ("rk_up ==", "promql/syntax"),
    ("rk_up", "alerts/comparison"),
    ("sum by (app) (rk_up)", "alerts/comparison"),
    ("rk_up == bool 0", "alerts/comparison"),
    ("rk_up == 0 or rk_up", "alerts/comparison"),
    ("rk_up unless on (app) rk_up == 0", "alerts/comparison"),
    ("rk_up == 0 unless on (app) rk_up", ""),
    ("max by (app) (rk_up == 0)", ""),
    ("rk_up and on (app) rk_up == 0", ""),
    ('absent(up{app="x"})', "promql/series"),
    ('absent(rk_up{app="x"})', ""),
    ("absent(up)", "alerts/template"),
    ("sum(rk_up) == 0", "alerts/template"),
    ("max by (instance) (rk_up) == 0", "alerts/template"),
    ("max by (job, app) (rk_up) == 0", "promql/place"),
    ("rk_up == 0 and on (job, app) rk_calls", "promql/place"),
    ("max by (cluster, env, namespace, job, app) (rk_up) == 0", ""),
    ("max without (job) (rk_up) == 0", ""),
    ("topk by (app) (1, rk_up) == 0", "promql/fragile"),
    ("max by (app) (max by (app) (rk_up) / on (app) max by (app) (rk_up)) > 0", "promql/nan"),
    ("max by (app) (max by (app) (rk_up) / on (app) max by (app) (rk_up > 0)) > 0", ""),
    ("max by (app) (rk_up) / on (app) max by (app) (rk_up) > 0", ""),
    ("max by (app) (rk_up / scalar(rk_up)) > 0", ""),
    ("rk_up / rk_calls > 0", "promql/vector_matching"),
    ("rk_up and rk_calls > 0", "promql/vector_matching"),
    ("rk_up > rk_calls", "promql/vector_matching"),
    ("rk_up > rk_up", "promql/vector_matching"),
    ("rk_up > 0 unless rk_up == 0", "promql/vector_matching"),
    ("rk_up == 0 or rk_calls == 0", "promql/vector_matching"),
    ("rk_up == 0 or rk_up == 1", ""),
    ("rk_calls > on (app) rk_up", "promql/ambiguity"),
    ("rk_calls > on (app) group_left () rk_up", "promql/ambiguity"),
    ("rk_calls > on (app) group_left () max by (app) (rk_up)", ""),
    ("rk_up > scalar(rk_calls)", ""),
    ("rate(rk_calls[5m]) > 0", "promql/rate"),
    ("rate(rk_calls_total[1m]) > 0", "promql/rate"),
    ("increase(rk_calls_total[2m]) > 0", ""),
    ("rk_calls_total > 0", "promql/counter"),
    ("last_over_time(rk_calls_total[5m]) > 0", "promql/counter"),
    ('rk_up{job=~"rk-exporter"} == 0', "promql/regexp"),
    ('rk_up{job!~"rk-exporter"} == 0', "promql/regexp"),
    ('rk_up{job=~"^rk-.+"} == 0', "promql/regexp"),
    ('rk_up{job=~"rk-.+"} == 0', ""),
    ("rk_up == 0 and on () rk_upp", "promql/series"),
    ("max by (app) (rk_up) == on (app, code) max by (app) (rk_up)", "promql/series"),
    ("rk_up > 5", "alerts/threshold"),
    ("5 * 60 < rk_up", "alerts/threshold"),
    ("time() - rk_up > time() - 60", "alerts/threshold"),
    ("rk_up > 0.9 * scalar(max(rk:calls:threshold))", ""),
    ("max by (app) (rk_up == 1) > 0", ""),
]
# Fields of the alert, and the check that finds a problem.
FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"alert": "RKfailing"}, "rule/name"),
    ({"alert": "Failing"}, "rule/name"),
    ({"for": "0s"}, "alerts/for"),
    ({"for": None}, "alerts/for"),
    ({"keep_firing_for": "0m"}, "alerts/for"),
    ({"keep_firing_for": "5m"}, ""),
    ({"expr": 'absent(rk_up{app="x"})', "for": "1m"}, "alerts/absent"),
    ({"labels": {"severity": "page"}}, "alerts/severity"),
    ({"labels": {}}, "alerts/severity"),
    ({"labels": {"severity": "info", "much": "{{ $value }}"}}, "alerts/template"),
    ({"labels": {"severity": "info", "of": "{{ $labels.code }}"}}, "alerts/template"),
    ({"labels": {"severity": "info", "of": "{{ $labels.app }}"}}, ""),
]
ANNOTATIONS = [
    ({"summary": "Calls of {{ $labels.app }} fail."}, ""),
    ({"summary": "Calls fail"}, "alerts/annotation"),
    ({"dashboard_url": "/d/x?var-app={{ $labels.app }}"}, "alerts/link"),
    ({"dashboard_url": "/d/x?{{ with $labels.app }}&var-app={{ . }}{{ end }}"}, "alerts/link"),
    ({"dashboard_url": "/d/x?var-app={{ $labels.app | urlquery }}"}, ""),
    ({"summary": "Calls fail. So do others."}, "alerts/annotation"),
    ({"summary": ""}, "alerts/annotation"),
    ({"description": ""}, "alerts/annotation"),
    ({"runbook_url": ""}, "alerts/annotation"),
    ({"runbook_url": "docs/how-to/runbook.md#realtimekitfailed"}, "alerts/annotation"),
    ({"runbook_url": "docs/alerting.md#realtimekitfailing"}, "alerts/annotation"),
    ({"runbook_url": "https://example.org/docs/how-to/runbook.md#realtimekitfailing"}, ""),
    ({"description": "{{ $labels.code }}"}, "alerts/template"),
    ({"description": "{{ if $labels.code }}by code{{ end }}"}, ""),
    ({"more": '{{ printf "rk_ap{app=%q}" $labels.app | query }}'}, "alerts/template_query"),
    ({"more": '{{ printf "rk_up{ap=%q}" $labels.app | query }}'}, "alerts/template_query"),
    ({"more": '{{ printf "rk_up{app=%q" $labels.app | query }}'}, "alerts/template_query"),
]
# An additional rule, and the check that finds a problem.
MORE: list[tuple[dict[str, Any], str]] = [
    ({"record": "rk:calls:threshold", "expr": "6"}, "rule/duplicate"),
    ({"record": "rk:calls:threshold", "expr": "6", "labels": {"of": "others"}}, ""),
    ({"record": "app_calls", "expr": "sum by (app) (rk_calls)"}, "rule/name"),
    ({"record": "app:rk_calls", "expr": "sum by (app) (rk_calls)"}, "rule/name"),
    ({"record": "app:rk_calls:sum", "expr": "sum by (app) (rk_calls)"}, ""),
    ({"record": "app:rk_calls:total", "expr": "sum by (app) (rk_calls_total)"}, "promql/counter"),
    ({"record": "app:rk_calls:few", "expr": "sum by (app) (rk_calls) < 7"}, ""),
]


def test_a_correct_file(sound: dict[str, Any]) -> None:
    """The checks find nothing in a correct file."""
    assert [] == found_by(sound)


@pytest.mark.parametrize(("promql", "check"), EXPRESSIONS)
def test_expressions(sound: dict[str, Any], promql: str, check: str) -> None:
    """Exactly the check for a faulty expression finds it."""
    sound["groups"][0]["rules"][1]["expr"] = promql
    assert check.split() == found_by(sound)


@pytest.mark.parametrize(("fields", "check"), FIELDS)
def test_fields(sound: dict[str, Any], fields: dict[str, Any], check: str) -> None:
    """Exactly the check for a faulty name, duration or label finds it."""
    rule = sound["groups"][0]["rules"][1]
    rule.update(fields)
    sound["groups"][0]["rules"][1] = {k: v for k, v in rule.items() if v is not None}
    assert check.split() == found_by(sound)


@pytest.mark.parametrize(("texts", "check"), ANNOTATIONS)
def test_annotations(sound: dict[str, Any], texts: dict[str, str], check: str) -> None:
    """Exactly the check for a faulty annotation finds it."""
    sound["groups"][0]["rules"][1]["annotations"].update(texts)
    assert check.split() == found_by(sound)


@pytest.mark.parametrize(("rule", "check"), MORE)
def test_more_rules(sound: dict[str, Any], rule: dict[str, Any], check: str) -> None:
    """Exactly the check for a faulty recording rule finds it."""
    sound["groups"][0]["rules"].append(rule)
    assert check.split() == found_by(sound)


def test_an_alert_twice(sound: dict[str, Any]) -> None:
    """Two alerts with the same name must have different labels."""
    rules = sound["groups"][0]["rules"]
    rules.append(copy.deepcopy(rules[1]))
    assert ["rule/duplicate"] == found_by(sound)
    rules[2]["labels"]["severity"] = "critical"
    assert [] == found_by(sound)


def test_the_interval_of_a_group(sound: dict[str, Any]) -> None:
    """An interval of more than 5 minutes is a fault, because it leaves gaps."""
    sound["groups"][0]["interval"] = "5m"
    assert [] == found_by(sound)
    sound["groups"][0]["interval"] = "6m"
    assert ["group/interval"] == found_by(sound)


def test_each_check_is_tested() -> None:
    """For each check there is a fault that it finds."""
    shown = {check for _, check in (*EXPRESSIONS, *FIELDS, *ANNOTATIONS, *MORE)}
    assert {*CHECKS, *CHECKS_OF_ALERTS} == shown - {"", "promql/syntax", "rule/duplicate"}


@pytest.fixture(scope="module")
def rules() -> Any:
    return read_rules(Path(__file__).parents[2])


def test_the_checks_find_nothing(root: Path, rules: Any, tmp_path: Path) -> None:
    """The checks find no problem in the project's rules, except those that are none."""
    runbook = (root / "docs/how-to/runbook.md").read_text()
    every = findings(rules, all_series(tmp_path, rules), runbook)
    found = [finding for finding in every if (finding.check, finding.name) not in EXCEPTIONS]
    assert [] == found, "\n".join(map(str, found))
    assert EXCEPTIONS <= {(finding.check, finding.name) for finding in every}


def test_the_set_of_alerts(rules: Any) -> None:
    """The rules have exactly these alerts."""
    assert {*ALERTS} == {rule["alert"] for rule in rules_of(rules, "alert")}


def test_promtool_accepts_the_rules(root: Path, promtool: str) -> None:
    """Prometheus's own checks find nothing wrong with the rules."""
    files = [root / file for file in RULES_FILES]
    done = subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", *files],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
