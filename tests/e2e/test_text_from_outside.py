"""Names, paths, locales and variables from outside, with the program as users start it."""

import os
import subprocess
import sys

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from prometheus_client.parser import text_string_to_metric_families

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.building import NOW, labelled, scripted
from tests.support.processes import TOKEN, listening_lines, started, url_in
from tests.support.serving import served


NAME = "第一\u3000会議室 \u202e\u00a0é"
CLEANED = "第一 会議室   é"
LOCALES = [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "POSIX"},
    {"LC_ALL": "C.UTF-8"},
    {"LANG": "does_not_exist"},
]


@pytest.fixture
def base_url() -> Iterator[str]:
    scenario = ScriptedScenario(recordings=[scripted("weekly")])
    with served(Simulator(scenario, clock=lambda: NOW + 35)) as url:
        yield f"{url}/client/v4"


@pytest.fixture
def arguments(base_url: str, tmp_path: Path) -> tuple[str, ...]:
    """Return options for a meetings file whose name is not UTF-8, and a meeting's that is odd."""
    folder = os.fsencode(tmp_path) + b"/\xff\n\xe2\x80\xae"
    os.mkdir(folder)  # noqa: PTH102 # a path in bytes
    path = os.fsdecode(folder + b"/meetings.yml")
    Path(path).write_text(f"- {{id: weekly, name: '{NAME}'}}\n", encoding="utf-8")
    ids = ("--account-id", "account", "--app-id", "app", "--api.base-url", base_url)
    return (*ids, "--meetings.file", path)


@pytest.mark.parametrize("locale", LOCALES, ids=lambda locale: " ".join(locale.values()))
@pytest.mark.parametrize("command", ["scrape", "check"])
def test_output_in_any_locale(
    command: str, locale: dict[str, str], arguments: tuple[str, ...]
) -> None:
    """The exposition is UTF-8 in any locale, and the report of `check` is printed as well."""
    done = subprocess.run(
        [sys.executable, "-m", "rk_exporter", command, *arguments],
        capture_output=True,
        env={**TOKEN, **locale},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if command == "scrape":
        text = done.stdout.decode()
        assert list(text_string_to_metric_families(text))
        names = [labels["meeting_name"] for labels, _ in labelled(text, "rk_meeting_info")]
        assert names == [CLEANED]
    else:
        assert b"weekly" in done.stdout


def test_paths_that_are_not_utf_8(arguments: tuple[str, ...]) -> None:
    """The metrics have the path of such a file with escapes, and are valid UTF-8."""
    serve = ("serve", *arguments, "--web.listen-address", "127.0.0.1:0")
    with started(*serve, environment=TOKEN) as process:
        answer = httpx.get(f"{url_in(*listening_lines(process))}/metrics")
    assert answer.status_code == 200
    text = answer.content.decode()
    name = "rk_meetings_file_last_read_successful"
    families = {family.name: family for family in text_string_to_metric_families(text)}
    (sample,) = families[name].samples
    assert sample.value == 1
    assert sample.labels["file"].endswith(r"/\xff\n\u202e/meetings.yml")


def test_broken_file_with_an_odd_path(arguments: tuple[str, ...]) -> None:
    """An error about such a file is one printable line."""
    Path(arguments[-1]).write_text("- [\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "rk_exporter", "check", *arguments],
        capture_output=True,
        env=TOKEN,
        check=False,
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    text = done.stderr.decode()
    assert text.removesuffix("\n").isprintable()
    assert r"\xff\n\u202e/meetings.yml" in text
