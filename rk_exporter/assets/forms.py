"""The files for one user, in one or several formats."""

import re

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from urllib.parse import quote_plus

from rk_exporter.assets import kubernetes
from rk_exporter.assets.files import (
    ALERTMANAGER_EXAMPLE,
    RULES,
    SERVICE_LEVEL_RULES,
    TEMPLATES,
)
from rk_exporter.assets.job import DEFAULT_JOB, Job
from rk_exporter.assets.template import filled


RUNBOOK = "docs/how-to/runbook.md"
DEFAULT_CLUSTER_LABEL = "cluster"
TAKEN_LABELS = (
    "(rk_|meeting_|recording_|exporter_|__).*|alertname|alertstate|api_endpoint|bucket|code|env|event"
    "|field|file|from|instance|job|kind|le|namespace|objective|outcome|output_file_name|policy|prefix"
    "|python_version|read|reason|result|session_id|severity|status|to|what|within"
)
"""The labels that have another meaning in the rules and dashboards, as a regular expression."""
_DEFAULT_MATCHER = Job().matcher
_Texts = Mapping[PurePosixPath, str]


class Format(StrEnum):
    """Plain files, resources of Kubernetes, or the mixin for Jsonnet."""

    RULES = "rules"
    PROMETHEUSRULE = "prometheusrule"
    CONFIGMAPS = "configmaps"
    MIXIN = "mixin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """The settings of one user."""

    job: Job = field(default_factory=Job)
    cluster_label: str = DEFAULT_CLUSTER_LABEL
    grafana_url: str = ""
    runbook_url: str = RUNBOOK
    settings: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def values(self) -> dict[str, str]:
        """Return the value of each token in the templates that has another than its default."""
        return {
            **self.settings,
            "job": self.job.text,
            "job_is": self.job.operator,
            "cluster_label": self.cluster_label,
            "grafana_url": self.grafana_url,
            "runbook_url": self.runbook_url,
        }


def adapted(
    shipped: _Texts, choices: Choices, formats: Collection[str] = (Format.RULES,)
) -> dict[PurePosixPath, str]:
    """Return the text of each file to write, by its path."""
    runbook = PurePosixPath(RUNBOOK)
    texts = {runbook: shipped[runbook].replace(_DEFAULT_MATCHER, choices.job.matcher)}
    filled_in = {
        path.relative_to(TEMPLATES): filled(text, choices.values())
        for path, text in shipped.items()
        if path.is_relative_to(TEMPLATES)
    }
    dashboards = {path: text for path, text in filled_in.items() if path.suffix == ".json"}
    if Format.RULES in formats:
        texts |= filled_in | dict(_written_by_hand(shipped, choices))
    if Format.PROMETHEUSRULE in formats:
        texts |= kubernetes.prometheus_rules(
            filled_in[RULES], filled_in[SERVICE_LEVEL_RULES], choices.labels
        )
    if Format.CONFIGMAPS in formats:
        texts |= kubernetes.config_maps(dashboards, choices.labels)
    if Format.MIXIN in formats:
        texts |= {path: text for path, text in shipped.items() if path.parts[0] == "mixin"}
    return texts


def _written_by_hand(shipped: _Texts, choices: Choices) -> Iterator[tuple[PurePosixPath, str]]:
    for path, text in shipped.items():
        if path == ALERTMANAGER_EXAMPLE:
            yield path, _routes(text, choices)
        elif path.parts[0] == "examples":
            yield path, _with_job(text, choices.job.name)
        # A case is about one job; several match a pattern.
        elif path.parts[0] == "rules" and not choices.job.is_pattern:
            yield path, _case(text, choices)


def _case(text: str, choices: Choices) -> str:
    """Return test cases that expect the chosen names and addresses."""
    text = _with_job(text, choices.job.text)
    text = re.sub(rf'(runbook_url: "?){RUNBOOK}#', rf"\g<1>{choices.runbook_url}#", text)
    text = re.sub(r'(dashboard_url: (?:"|>-\n +))/d/', rf"\g<1>{choices.grafana_url}/d/", text)
    return re.sub(r"\bcluster(?==|!|: )", choices.cluster_label, text)


def _with_job(text: str, job: str) -> str:
    text = text.replace(_DEFAULT_MATCHER, f'job="{job}"')
    text = text.replace(f"var-job={DEFAULT_JOB}", f"var-job={quote_plus(job)}")
    return re.sub(rf'(?m)\b(job(?:_name)?: "?){DEFAULT_JOB}(?="?$)', rf"\g<1>{job}", text)


def _routes(text: str, choices: Choices) -> str:
    """Return the example for Alertmanager with other names of labels."""
    text = re.sub(r"\bcluster, ", f"{choices.cluster_label}, ", text)
    if not choices.job.is_pattern:
        return text
    # The alert about absent targets cannot say which of the matching jobs it means.
    mutes_one = """\
'alertname != "RealtimeKitExporterAbsent"']
    equal: [job]"""
    mutes_all = f"""\
'alertname != "RealtimeKitExporterAbsent"', 'job =~ "{choices.job.text}"']"""
    return text.replace(mutes_one, mutes_all)
