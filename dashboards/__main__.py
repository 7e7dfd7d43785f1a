"""Write the dashboards' JSON, the rules, and the copies of both in the Helm chart."""

import json

from pathlib import Path

from dashboards import exporter, overview, recording, recordings
from dashboards.alerting.rules_file import rules_file
from dashboards.classic import document


ROOT = Path(__file__).parents[1]
# A chart can only read files in its own folder.
_CHART_FILES = "deploy/helm/rk-exporter/files"
_RULES = "rk-exporter.rules.yml"
DASHBOARDS = {
    "overview": overview.build,
    "recordings": recordings.build,
    "recording": recording.build,
    "exporter": exporter.build,
}


def texts() -> dict[str, str]:
    """Return the content of each generated file by its path in the project."""
    found = {}
    for name, build in DASHBOARDS.items():
        text = json.dumps(document(build()), indent=2, ensure_ascii=False) + "\n"
        found[f"dashboards/{name}.json"] = found[f"{_CHART_FILES}/dashboards/{name}.json"] = text
    found[f"dashboards/rules/{_RULES}"] = found[f"{_CHART_FILES}/{_RULES}"] = rules_file()
    return found


def main() -> None:
    """Write the files."""
    for path, text in texts().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
