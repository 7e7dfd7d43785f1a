"""What the documentation says is what the code does."""

import re

from collections import Counter
from pathlib import Path

import pytest

from rk_exporter.api.pagination import PER_PAGE
from rk_exporter.cli.main import main
from rk_exporter.collector.read_mode import Load
from rk_exporter.config.config import CONFIG_FILE_VARIABLE, OPTIONS
from tests.support.exporters import full, held_back, scrape, watched
from tests.support.markdown import rows


BUDGET = int(next(option.default or 0 for option in OPTIONS if option.path == "api.budget"))
PAGES = sorted(each.name for each in (Path(__file__).parents[2] / "docs").glob("*.md"))


@pytest.fixture
def readme(root: Path) -> str:
    return (root / "README.md").read_text()


def test_options_table(readme: str) -> None:
    """The table has each option with its variable and default, and no other."""
    written = [tuple(cell.strip("`") for cell in row[:3]) for row in rows(readme, "## Options")]
    actual = [
        (option.flag, option.variable, option.default or "") for option in OPTIONS if option.flag
    ]
    assert [("--config.file", CONFIG_FILE_VARIABLE, ""), *actual] == written


def test_every_option_is_clicks(readme: str) -> None:
    """What the table lists is what click takes, and the other way round."""
    written = {row[0].strip("`") for row in rows(readme, "## Options")}
    taken = {flag for each in main.commands["serve"].params for flag in each.opts}
    assert written == taken - {"--help"}


def test_metrics_table(readme: str, tmp_path: Path) -> None:
    """The table has each metric with its labels, and no other but those of the process."""
    text = watched(full(tmp_path)) + scrape(held_back(tmp_path))
    actual: dict[str, set[str]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name = re.sub(r"_(bucket|count|sum)$", "", re.split(r"[{ ]", line)[0])
            actual.setdefault(name, set()).update(re.findall(r'(\w+)="', line))
    table = rows(readme, "## Metrics")
    written = {row[0].strip("`"): {*filter(None, row[1].split(", "))} for row in table}
    shown = {
        name: labels - {"le"} for name, labels in actual.items() if not name.startswith("process_")
    }
    assert shown == written


def test_how_many_series(readme: str, tmp_path: Path) -> None:
    """The text tells how few and how many series a recording has, and a meeting besides."""
    recordings: Counter[str] = Counter()
    meetings: Counter[str] = Counter()
    for line in watched(full(tmp_path)).splitlines():
        if recording := re.search(r'recording_id="([^"]+)"', line):
            recordings[recording[1]] += 1
        elif meeting := re.search(r'meeting_id="([^"]+)"', line):
            meetings[meeting[1]] += 1
    bounds = [f"{min(each.values())} to {max(each.values())}" for each in (recordings, meetings)]
    assert f"A recording has {bounds[0]} series, a meeting {bounds[1]}." in readme


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{name}" for name in PAGES)])
def test_links_lead_somewhere(root: Path, page: str) -> None:
    """Each link to a file of the project finds it."""
    text = (root / page).read_text()
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    for target in targets:
        assert ((root / page).parent / target).exists(), target


def test_what_each_interval_affords(readme: str) -> None:
    """The table of intervals tells for how many meetings and recordings the calls suffice."""
    seconds = {"15 s": 15.0, "30 s": 30.0, "1 min": 60.0, "2 min": 120.0}
    table = rows(readme, "### How many meetings, how often")
    assert list(seconds) == [row[0] for row in table]
    for interval, meetings, recordings in table:
        affordable = int(meetings.removeprefix("up to ").removesuffix(" meetings"))
        demands = [Load(count, seconds[interval], BUDGET) for count in (affordable, affordable + 1)]
        assert [True, False] == [demand.ratio <= 1 for demand in demands]
        # Each of the other three statuses takes a call as well.
        pages = BUDGET // demands[0].passes - 3
        assert pages * PER_PAGE == int(recordings.replace(",", ""))
