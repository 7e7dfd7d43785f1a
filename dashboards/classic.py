"""
Convert dashboards to Grafana's classic JSON, which import and file provisioning accept.

This adds the parts that the builders leave to Grafana's editor: ids and requirements.
"""

import json

from collections.abc import Iterator
from string import ascii_uppercase
from typing import Any

from grafana_foundation_sdk.builders import dashboard

from dashboards.settings import Threshold


# Grafana 10 uses this version, and newer versions migrate it on load.
SCHEMA_VERSION = 39
_OLDEST_GRAFANA = "10.0.0"


def document(builder: dashboard.Dashboard) -> dict[str, Any]:
    """Return a dashboard as a JSON object."""
    made: dict[str, Any] = json.loads(json.dumps(_plain(builder.build())))
    for number, panel in enumerate(_panels(made["panels"]), 1):
        panel["id"] = number
        for target, letter in zip(panel.get("targets", []), ascii_uppercase, strict=False):
            target["refId"] = letter
    for item in (*made["links"], *made["annotations"]["list"]):
        # With a placement, newer Grafana versions hide it in a menu.
        item.pop("placement", None)
    made["schemaVersion"] = SCHEMA_VERSION
    requires = [
        {"type": "grafana", "id": "grafana", "name": "Grafana", "version": _OLDEST_GRAFANA},
        {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
        *(
            {"type": "panel", "id": kind, "name": kind, "version": ""}
            for kind in sorted({panel["type"] for panel in _panels(made["panels"])} - {"row"})
        ),
    ]
    return {"__inputs": [], "__elements": {}, "__requires": requires, "id": None, **made}


def _plain(value: object) -> object:
    """Return what JSON can express, with tokens in the places of thresholds."""
    match value:
        case Threshold():
            return value.in_json()
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    to_json = getattr(value, "to_json", None)
    return _plain(to_json()) if callable(to_json) else value


def _panels(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels") or [])
