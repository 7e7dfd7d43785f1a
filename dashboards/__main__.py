"""
Write the templates of dashboards and rules, and what they look like with the defaults.

The mixin, the Helm chart and `rk-exporter assets` fill the templates with their users' settings.
The files with the defaults are for people who read or copy them from the project.
"""

import json
import math

from collections.abc import Iterable, Mapping
from pathlib import Path

from dashboards import exporter, grafana_com, overview, recording, recordings, service_level
from dashboards.alerting.rules_file import optional_rules_template, rules_template
from dashboards.classic import document
from rk_exporter.assets.forms import TAKEN_LABELS
from rk_exporter.assets.settings import SEVERITIES, Setting, settings
from rk_exporter.assets.template import defaults, filled
from rk_exporter.model.thresholds import LARGEST


ROOT = Path(__file__).parents[1]
TEMPLATES = "dashboards/mixin/templates"
# A chart can only read files in its own folder.
_CHART_TEMPLATES = "deploy/helm/rk-exporter/files"
_MIXIN_SETTINGS = "dashboards/mixin/settings.json"
_CHART_SCHEMA = "deploy/helm/rk-exporter/values.schema.json"
_RULES = "rules/rk-exporter.rules.yml"
_OPTIONAL_RULES = "rules/rk-exporter-service-levels.rules.yml"
DASHBOARDS = {
    "overview": overview.build,
    "recordings": recordings.build,
    "recording": recording.build,
    "service-level": service_level.build,
    "exporter": exporter.build,
}


def texts() -> dict[str, str]:
    """Return the content of each generated file by its path in the project."""
    templates = {
        _RULES: rules_template(),
        _OPTIONAL_RULES: optional_rules_template(),
    }
    for name, build in DASHBOARDS.items():
        text = json.dumps(document(build()), indent=2, ensure_ascii=False) + "\n"
        templates[f"dashboards/{name}.json"] = text
    found = {}
    for path, template in templates.items():
        for folder in (TEMPLATES, _CHART_TEMPLATES):
            found[f"{folder}/{path}"] = template
        found[f"dashboards/{path.removeprefix('dashboards/')}"] = filled(template, {})
    documents = {name: json.loads(found[f"dashboards/{name}.json"]) for name in DASHBOARDS}
    for name in DASHBOARDS:
        found[f"dashboards/grafana.com/{name}.md"] = grafana_com.page(name, documents)
    found[_MIXIN_SETTINGS] = _mixin_settings(templates.values())
    found[_CHART_SCHEMA] = _chart_schema(settings([templates[_RULES], templates[_OPTIONAL_RULES]]))
    return found


def _mixin_settings(templates: Iterable[str]) -> str:
    """Return the defaults of the tokens, which Jsonnet cannot find in the templates."""
    tokens = defaults(templates)
    values = {
        "thresholds": {key: float(text) for key, text in tokens.items() if key in LARGEST},
        "severities": {key: text for key, text in tokens.items() if ".severity" in key},
        "tokens": tokens,
    }
    return json.dumps(values, indent=2) + "\n"


def _chart_schema(known: Mapping[str, Setting]) -> str:
    """Return the schema of the chart's values with the names of all settings."""
    schema = json.loads((ROOT / _CHART_SCHEMA).read_text())
    values = schema["properties"]
    values["clusterLabel"]["not"] = {"pattern": f"^({TAKEN_LABELS})$"}
    values["thresholds"]["properties"] = {
        key: {"type": "number", "minimum": 0, "maximum": LARGEST[key]}
        if LARGEST[key] < math.inf
        else {"type": "number", "minimum": 0}
        for key in known
        if key in LARGEST
    }
    values["prometheusRule"]["properties"]["severities"]["properties"] = {
        key: {"enum": SEVERITIES} for key in known if key not in LARGEST
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files."""
    for path, text in texts().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
