"""Check that the commit can be released; `make release-check` runs this."""

import subprocess
import sys

from datetime import UTC, datetime
from pathlib import Path

from rk_exporter import __version__
from tools.release.state import State, problems


ROOT = Path(__file__).parents[2]


def _git(*arguments: str) -> tuple[str, ...]:
    """Return the lines that git prints."""
    result = subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
    )
    return tuple(result.stdout.splitlines())


def main() -> None:
    """Print all problems, and exit with 1 if there are any."""
    state = State(
        version=__version__,
        changelog=(ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        changed_files=tuple(line[3:] for line in _git("status", "--porcelain")),
        tags=_git("tag", "--points-at", "HEAD"),
    )
    found = list(problems(state, today=datetime.now(UTC).date()))
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        sys.exit(1)
    print(f"{__version__} can be released")


if __name__ == "__main__":
    main()
