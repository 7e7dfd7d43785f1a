"""What the documentation says is what the code does."""

import re

from pathlib import Path

import pytest

from rk_exporter.cli import main
from rk_exporter.cli_options import CONFIG_FILE_VARIABLE, OPTIONS
from rk_exporter.options import default_of
from tests.building import life, run, setup


@pytest.fixture
def readme(root: Path) -> str:
    return (root / "README.md").read_text()


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table below *heading*."""
    section = page.split(f"\n{heading}\n")[1]
    lines = section[section.index("\n|") :].lstrip().splitlines()
    table = [line for line in lines[: [*lines, ""].index("")] if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_options_table(readme: str) -> None:
    """The table has each option with its variable and default, and no other."""
    written = [tuple(cell.strip("`") for cell in row[:3]) for row in rows(readme, "## Options")]
    actual = [(each.flag, each.variable, default_of(each.place) or "") for each in OPTIONS]
    assert [("--config.file", CONFIG_FILE_VARIABLE, ""), *actual] == written


def test_every_option_is_clicks(readme: str) -> None:
    """What the table lists is what click takes, and the other way round."""
    written = {row[0].strip("`") for row in rows(readme, "## Options")}
    taken = {flag for each in main.commands["serve"].params for flag in each.opts}
    assert written == taken - {"--help"}


def test_metrics_table(readme: str) -> None:
    """The table has each metric with its labels, and no other but those of the process."""
    each = setup(life())
    each.time.now += 120
    text = run(each.get()).text
    actual: dict[str, set[str]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name = re.sub(r"_(bucket|count|sum)$", "", re.split(r"[{ ]", line)[0])
            actual.setdefault(name, set()).update(re.findall(r'(\w+)="', line))
    written = {row[0].strip("`"): set(row[1].split(", ")) for row in rows(readme, "## Metrics")}
    shown = {
        name: labels - {"le"} for name, labels in actual.items() if not name.startswith("process_")
    }
    assert shown == written


@pytest.mark.parametrize("page", ["README.md", "docs/configuration.md", "docs/development.md"])
def test_links_lead_somewhere(root: Path, page: str) -> None:
    """Each link to a file of the project finds it."""
    text = (root / page).read_text()
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    for target in targets:
        assert ((root / page).parent / target).exists(), target


def test_intervals_keep_to_half_of_the_limit(readme: str) -> None:
    """What the table of intervals advises makes at most 600 calls in 5 minutes."""
    seconds = {"15 s": 15, "30 s": 30, "1 min": 60, "2 min": 120}
    for meetings, alone, pair in rows(readme, "### Prometheus"):
        count = int(meetings.removeprefix("up to "))
        assert count * 300 / seconds[alone] <= 600
        if pair in seconds:
            assert 2 * count * 300 / seconds[pair] <= 600
