"""Write the dashboards' JSON."""

import json

from pathlib import Path

from dashboards import exporter, overview, recording, recordings
from dashboards.classic import document


ROOT = Path(__file__).parents[1]
DASHBOARDS = {
    "overview": overview.build,
    "recordings": recordings.build,
    "recording": recording.build,
    "exporter": exporter.build,
}


def texts() -> dict[str, str]:
    """Return the content of each generated file by its path in the project."""
    return {
        f"dashboards/{name}.json": json.dumps(document(build()), indent=2, ensure_ascii=False)
        + "\n"
        for name, build in DASHBOARDS.items()
    }


def main() -> None:
    """Write the files."""
    for path, text in texts().items():
        (ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
