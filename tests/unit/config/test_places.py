from pathlib import Path

import pytest

from rk_exporter.config.meeting_file import MeetingFile
from rk_exporter.config.places import place_of
from rk_exporter.config.sources import Setting


SINGLE = "account_id: a\nmeeting_ids:\n  - good\n  - {id: bad, name: Ward}\n"
SEVERAL = """\
apps:
  - meetings: {ids: [good]}
  - meetings:
      ids:
        - good
        - bad
"""


def place(
    folder: Path,
    *,
    config: str | None = None,
    settings: dict[str, Setting] | None = None,
    app_number: int = 0,
    files: tuple[str, ...] = (),
) -> str:
    """Return where the meeting `bad` is listed, without the folder."""
    config_file = None if config is None else folder / "rk.yml"
    if config_file:
        config_file.write_text(config or "")
    found = []
    for number, text in enumerate(files):
        path = folder / f"{number}.txt"
        path.write_text(text)
        found.append(MeetingFile(path, option="--meetings.file"))
    shown = place_of(
        "bad",
        config_file=config_file,
        settings=settings or {},
        app_number=app_number,
        files=found,
    )
    return shown.replace(f"{folder}/", "")


@pytest.mark.parametrize("origin", ["--meeting-id", "RK_MEETING_IDS"])
def test_flags_and_variables(origin: str, tmp_path: Path) -> None:
    """A flag or variable is named as people know it."""
    settings = {"meeting_ids": Setting(["good", "bad"], origin)}
    assert origin == place(tmp_path, settings=settings, config=SINGLE)


@pytest.mark.parametrize(
    ("config", "app_number", "expected"),
    [
        (SINGLE, 0, "rk.yml:4: meeting_ids[1]"),
        (SEVERAL, 1, "rk.yml:6: apps[1].meetings.ids[1]"),
        (SEVERAL, 0, "--meeting-id"),
        ("{", 0, "--meeting-id"),
        ("", 0, "--meeting-id"),
    ],
)
def test_configuration_file(config: str, app_number: int, expected: str, tmp_path: Path) -> None:
    """In the configuration file, a place is a line and a path; the files may have changed."""
    assert expected == place(tmp_path, config=config, app_number=app_number)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("good\nbad # comment\n",), "0.txt:2"),
        (("good\n", "\nbad\n"), "1.txt:2"),
        (("- good\n- id: bad\n",), "0.txt:2: [1]"),
        (('["good",\n "bad"]',), "0.txt:2: [1]"),
    ],
)
def test_meetings_files(files: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    """In a file of meetings, a place is a line."""
    assert expected == place(tmp_path, files=files)


def test_file_that_is_gone(tmp_path: Path) -> None:
    """A file that cannot be read any more has no places."""
    path = tmp_path / "meetings.txt"
    path.write_text("bad\n")
    file = MeetingFile(path, option="--meetings.file")
    path.unlink()
    shown = place_of("bad", config_file=path, settings={}, app_number=0, files=[file])
    assert "--meeting-id" == shown
