"""A real Prometheus makes a sentence of the texts of every alert, whatever its value and labels."""

import re

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from tests.support.monitoring.series import read_rules, rules_of
from tests.support.monitoring.servers import Prometheus, eventually, started_prometheus


VALUES = (0, 1, 2, 1000, 2048)
NAMES = (
    'Dr. "Who"',
    "R&D #1 (50% + x)",
    "{{ .Value }} {{ query",
    "one\n\n  two",
    "<script>alert('x')</script> \\ 🎥",
)
ABOUT = {
    "cluster": "eu & us",
    "job": "rk-exporter",
    "rk_app": "R&D #1 (50% + x)",
    "recording_id": "id/of + recording",
    "instance": "host:10058",
}
_NAME = "meeting:rk_meeting_info:started_timestamp_seconds"
_VALUE = "given:value"
# A word that does not agree with its number, a size without a space, and broken templates.
_WRONG = re.compile(
    r"\b1 (?:people|recordings|meetings|files|exporters|scrapes|bytes)\b"
    r"|\b(?:0|2|1000|2048) (?:person|recording|meeting|file|exporter|scrape|byte)\b"
    r"|\b1 \w+ are\b|\b(?:[02]|1000|2048) \w+ is\b|\b0B\b|<error|<no value>|NaN|%!"
)


def named(number: int, name: str) -> list[dict[str, Any]]:
    """Return rules that record a meeting with a name, and other names of the same meeting."""
    labels = {**ABOUT, "meeting_id": f"meeting {number}", "meeting_name": name}
    older = {**labels, "meeting_name": "Name of an exporter that started earlier"}
    elsewhere = {**labels, "cluster": "asia", "meeting_name": "Name in another cluster"}
    return [
        {"record": _NAME, "expr": "vector(2)", "labels": labels},
        {"record": _NAME, "expr": "vector(1)", "labels": older},
        {"record": _NAME, "expr": "vector(3)", "labels": elsewhere},
    ]


def with_values(alerts: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield rules that let each of the *alerts* fire with each value, about each meeting."""
    for number, name in enumerate((*NAMES, None)):
        if name is not None:
            yield from named(number, name)
        for value in VALUES:
            labels = {**ABOUT, "meeting_id": f"meeting {number}", "value": str(value)}
            yield {"record": _VALUE, "expr": f"vector({value})", "labels": labels}
    for alert in alerts:
        yield {key: alert[key] for key in ("alert", "labels", "annotations")} | {"expr": _VALUE}


@pytest.fixture(scope="module")
def fired(
    prometheus: str, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[dict[str, Any]]]:
    """Return all alerts."""
    folder = tmp_path_factory.mktemp("texts")
    alerts = list(rules_of(read_rules(root), "alert"))
    group = {"name": "all", "interval": "1s", "rules": list(with_values(alerts))}
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [group]}))

    def found(server: Prometheus) -> list[dict[str, Any]]:
        return [alert for rule in server.rules() for alert in rule.get("alerts", [])]

    with started_prometheus(
        prometheus, folder, targets={}, rule_files=[folder / "rules.yml"]
    ) as server:
        count = len(alerts) * len(VALUES) * (len(NAMES) + 1)
        eventually(lambda: len(found(server)) == count, what=f"{count} alerts fire")
        yield found(server)


def test_numbers_agree(fired: list[dict[str, Any]]) -> None:
    """No text is broken, and words agree with their numbers."""
    texts = {
        text.replace(name, "").replace(" ".join(name.split()), "")
        for alert in fired
        for key, text in alert["annotations"].items()
        for name in NAMES
        if not key.endswith("url")
    }
    assert [] == [(found[0], text) for text in texts if (found := _WRONG.search(text))]


def test_summaries_have_the_name(fired: list[dict[str, Any]]) -> None:
    """
    The summary is one line with the meeting's name, or else its id.

    The name is that of the exporter that started last in the same cluster. Alerts that are not
    about one meeting name the app, or what is wrong with the exporter.
    """
    for alert in fired:
        summary = alert["annotations"]["summary"]
        assert re.fullmatch(r"[^\n]+\.", summary), summary
        number = int(alert["labels"]["meeting_id"].removeprefix("meeting "))
        name = NAMES[number] if number < len(NAMES) else alert["labels"]["meeting_id"]
        if '"' in summary:
            assert f'"{" ".join(name.split())}"' in summary
    assert any('"' in alert["annotations"]["summary"] for alert in fired)


def test_links_have_every_character(fired: list[dict[str, Any]]) -> None:
    """The link sets the variables of the dashboard, and plus signs are no spaces."""
    variables = {
        "var-cluster": "cluster",
        "var-job": "job",
        "var-app": "rk_app",
        "var-meeting": "meeting_id",
        "var-recording": "recording_id",
    }
    links = [
        (alert["annotations"]["dashboard_url"], alert["labels"])
        for alert in fired
        if "dashboard_url" in alert["annotations"]
    ]
    assert links
    for link, labels in links:
        query = urlsplit(link).query
        assert "+" not in query
        passed = dict(parse_qsl(query, strict_parsing=True))
        assert ("now-24h", "now") == (passed.pop("from"), passed.pop("to"))
        assert passed == {key: labels[variables[key]] for key in passed}
        if "rk-recording" in link:
            assert passed.keys() == variables.keys()
