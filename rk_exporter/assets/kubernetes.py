"""Resources of Kubernetes: rules for the Prometheus Operator, dashboards for Grafana's sidecar."""

import json
import textwrap

from collections.abc import Mapping
from pathlib import PurePosixPath


_FOLDER = PurePosixPath("kubernetes")
_NAME = "rk-exporter"
_LABELS = {"app.kubernetes.io/name": _NAME}
_SIDECAR = {"grafana_dashboard": "1"}
_GROUPS = "groups:\n"


def prometheus_rules(
    rules: str, service_levels: str, labels: Mapping[str, str]
) -> dict[PurePosixPath, str]:
    """
    Return a PrometheusRule with the content of each file of rules.

    The optional one is in a folder of its own, because `kubectl apply` takes whole folders.
    """
    return {
        _FOLDER / "prometheusrule.yml": _prometheus_rule(_NAME, rules, labels),
        _FOLDER / "service-levels" / "prometheusrule.yml": _prometheus_rule(
            f"{_NAME}-service-levels", service_levels, labels
        ),
    }


def _prometheus_rule(name: str, rules: str, labels: Mapping[str, str]) -> str:
    comments, _, groups = rules.partition(_GROUPS)
    head = _head("monitoring.coreos.com/v1", "PrometheusRule", name, {**_LABELS, **labels})
    return f"{comments}{head}spec:\n{textwrap.indent(_GROUPS + groups, '  ')}"


def config_maps(
    dashboards: Mapping[PurePosixPath, str], labels: Mapping[str, str]
) -> dict[PurePosixPath, str]:
    """Return a ConfigMap for each dashboard."""
    return {
        _FOLDER / f"dashboard-{path.stem}.yml": _config_map(path, text, labels)
        for path, text in dashboards.items()
    }


def _config_map(path: PurePosixPath, text: str, labels: Mapping[str, str]) -> str:
    head = _head("v1", "ConfigMap", f"{_NAME}-{path.stem}", {**_LABELS, **_SIDECAR, **labels})
    folder = "  annotations:\n    grafana_folder: RealtimeKit\n"
    data = f"data:\n  {_NAME}-{path.name}: |\n{textwrap.indent(text, '    ')}"
    return head + folder + data


def _head(api_version: str, kind: str, name: str, labels: Mapping[str, str]) -> str:
    lines = "".join(f"    {key}: {json.dumps(value)}\n" for key, value in labels.items())
    return f"""\
apiVersion: {api_version}
kind: {kind}
metadata:
  name: {name}
  labels:
{lines}"""
