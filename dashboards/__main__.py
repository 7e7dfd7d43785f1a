"""Write the dashboards' JSON beside their code."""

import json

from pathlib import Path

from dashboards import exporter, overview, recording, recordings
from dashboards.classic import document


FOLDER = Path(__file__).parent
DASHBOARDS = {
    "overview": overview.build,
    "recordings": recordings.build,
    "recording": recording.build,
    "exporter": exporter.build,
}


def texts() -> dict[str, str]:
    """Return what each file holds, by its name."""
    return {
        f"{name}.json": json.dumps(document(build()), indent=2, ensure_ascii=False) + "\n"
        for name, build in DASHBOARDS.items()
    }


def main() -> None:
    """Write the files."""
    for name, text in texts().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
