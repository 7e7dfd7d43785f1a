import os
import re
import subprocess

from collections.abc import Callable
from pathlib import Path

import pytest

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from rk_exporter.api import ENDPOINTS
from rk_exporter.config import Config, load
from rk_exporter.exposition import Format
from rk_exporter.metrics import families
from rk_exporter.payload_shapes import MALFORMABLE_FIELDS
from rk_exporter.simulator import Fault, Recording, Session
from rk_exporter.snapshot import Snapshot
from tests.building import HOLDING_BACK, NOW, Setup, life, run, samples, setup, value


Build = Callable[[Path], Setup]

GOLDEN = Path(__file__).parent / "golden"
# What one process has of its own, and what time has passed.
VOLATILE = re.compile(
    r"^(#.* )?(process_|rk_exporter_build|rk_scrape_duration|rk_api_request_duration|"
    r"rk_api_budget_remaining|rk_api_ratelimit_remaining|rk_meetings_file_last_read_success_).*\n",
    re.MULTILINE,
)
PLENTY = 100_000
TWO_APPS = """\
account_id: 023e105f4ecef8ad9ca31a8372d0c353
api: {budget: 100000, read: active-recording}
scrape: {min_interval: 0s}
apps:
  - name: telehealth
    app_id: 2a95132c-1573-2412-d22c-16fd0a01e000
    api_token_env: TOKEN
    meetings:
      ids:
        - {id: invoked, name: "Ward round \\"3\\""}
        - recording
        - paused
        - uploading
        - uploaded
        - errored
        - idle
        - idle
      files: [meetings.txt]
      discover: true
  - app_id: 7f0c5d2e-0000-4000-8000-000000000001
    api_token_env: TOKEN
    meetings: {ids: [no-bucket, several]}
"""


def every_state() -> list[Recording]:
    """Return recordings of which each is in another state at NOW."""
    return [
        life("invoked", started_at=None, paused=(), stopped_at=None, uploaded_at=None),
        life("recording", invoked_at=NOW - 10, started_at=NOW - 8.5, paused=()),
        life("paused", invoked_at=NOW - 31, started_at=NOW - 29, paused=[(NOW - 1, None)]),
        life("uploading", invoked_at=NOW - 70, started_at=NOW - 68, paused=(), stopped_at=NOW - 10),
        life(
            "uploaded",
            invoked_at=NOW - 70,
            started_at=NOW - 68,
            paused=[(NOW - 50, NOW - 40)],
            stopped_at=NOW - 20,
            uploaded_at=NOW - 5,
        ),
        life(
            "errored",
            invoked_at=NOW - 70,
            started_at=None,
            paused=(),
            stopped_at=None,
            uploaded_at=None,
            errored_at=NOW - 60,
        ),
        life(
            "no-bucket",
            invoked_at=NOW - 70,
            started_at=NOW - 68,
            paused=(),
            stopped_at=NOW - 20,
            uploaded_at=NOW - 5,
            bucket_enabled=False,
            zero_duration=True,
        ),
        life("several", invoked_at=NOW - 70, started_at=NOW - 68, stopped_at=None, paused=()),
        life("several", invoked_at=NOW - 5, started_at=NOW - 3, stopped_at=None, paused=()),
    ]


def two_apps(folder: Path) -> Config:
    file = folder / "rk.yml"
    file.write_text(TWO_APPS)
    (folder / "meetings.txt").write_text("from-file\n")
    return load(file, {}, {"TOKEN": "simulated"})


def full(folder: Path) -> Setup:
    return setup(
        *every_state(),
        sessions=[Session("session", "live", NOW - 60)],
        configuration=two_apps(folder),
        active_as_list=True,
        rate_limit=PLENTY,
    )


def failing(folder: Path) -> Setup:
    each = full(folder)
    every_fault = [fault for fault in Fault if fault not in {*HOLDING_BACK, Fault.HANG}]
    ids = [meeting.id for meeting in each.simulator.story.meetings()]
    for meeting_id, fault in zip(ids, every_fault, strict=False):
        each.simulator.inject(meeting_id, fault)
    return each


def held_back(folder: Path) -> Setup:
    each = full(folder)
    each.simulator.inject("*", Fault.RATE_LIMITED)
    return each


def scrape(each: Setup, form: Format = Format.TEXT) -> str:
    return run(each.get(headers={"Accept": form.value})).text


@pytest.mark.parametrize("form", Format)
def test_golden_exposition(tmp_path: Path, form: Format) -> None:
    """All metrics of a fleet in every state look as they did when somebody looked at them."""
    each = full(tmp_path)
    text = VOLATILE.sub("", scrape(each, form)).replace(str(tmp_path), "/etc/rk-exporter")
    golden = GOLDEN / f"every-state.{form.name.lower()}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert golden.read_text() == text


@pytest.mark.parametrize("build", [full, failing, held_back])
def test_promtool_finds_nothing(tmp_path: Path, promtool: str, build: Build) -> None:
    """Prometheus' own linter has nothing to say, whether all is well or everything fails."""
    text = scrape(build(tmp_path))
    result = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (0, "", "") == (result.returncode, result.stdout, result.stderr)


def test_openmetrics_is_understood(tmp_path: Path) -> None:
    """The strict parser of OpenMetrics takes the exposition; the info metrics are info."""
    text = scrape(full(tmp_path), Format.OPENMETRICS)
    parsed = {each.name: each.type for each in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call] # has no annotations
    assert text.endswith("# EOF\n")
    assert "info" == parsed["rk_recording"] == parsed["rk_meeting"] == parsed["rk_app"]
    assert "counter" == parsed["rk_api_requests"]


@pytest.mark.parametrize("build", [full, failing])
def test_every_line_is_sound(tmp_path: Path, build: Build) -> None:
    """No sample twice, no timestamp, no `_created`, no NaN; the order is the same each time."""
    each = build(tmp_path)

    async def twice() -> list[str]:
        return [(await each.get()).text for _ in range(2)]

    first, second = run(twice())
    series = [line.rpartition(" ")[0] for line in first.splitlines() if line[0] != "#"]
    again = [line.rpartition(" ")[0] for line in second.splitlines() if line[0] != "#"]
    assert len(series) == len(set(series))
    assert series == again
    assert all(re.fullmatch(r"[a-z_:]+(\{.*\})?", each) for each in series)
    assert "_created" not in first
    assert "NaN" not in first


def test_states_are_exclusive(tmp_path: Path) -> None:
    """Of the states of a recording exactly one is 1."""
    text = scrape(full(tmp_path))
    sums: dict[str, float] = {}
    for series, number in samples(text, "rk_recording_status").items():
        recording = re.sub(r',status="[A-Z]+"', "", series)
        sums[recording] = sums.get(recording, 0) + number
    assert 9 == len(sums)
    assert {1.0} == set(sums.values())


def test_nothing_is_shown_before_it_is_known() -> None:
    """Before the first pass there are the list, the counters at 0, and no readings."""
    each = setup(life())
    shown = {family.name: family.samples for family in families(each.exporter.scraper.snapshot)}
    assert {"rk_meeting", "rk_meetings", "rk_app", "rk_exporter_build"} == {
        name for name, found in shown.items() if found
    }


def test_counters_begin_at_zero() -> None:
    """Every reason for a failure, every known status and every field has its series at once."""
    each = setup(meetings=["idle"])
    text = scrape(each)
    reasons = samples(text, "rk_api_request_failures_total")
    assert (10 * len(ENDPOINTS), {0.0}) == (len(reasons), set(reasons.values()))
    malformed = samples(text, "rk_api_malformed_fields_total")
    assert (len(MALFORMABLE_FIELDS) + 1, {0.0}) == (len(malformed), set(malformed.values()))
    codes = samples(text, "rk_api_requests_total")
    found = {"endpoint": "active-recording", "code": "404"}
    assert (1, 1) == (sum(codes.values()), value(text, "rk_api_requests_total", **found))
    durations = samples(text, "rk_api_request_duration_seconds_count")
    assert (len(ENDPOINTS), 1) == (len(durations), sum(durations.values()))


def test_absent_is_not_zero() -> None:
    """A recording that has only been asked for has no size, no duration and no expiry."""
    each = setup(life(started_at=None, paused=(), stopped_at=None, uploaded_at=None))
    text = scrape(each)
    for name in (
        "rk_recording_file_size_bytes",
        "rk_recording_duration_seconds",
        "rk_recording_download_url_expires_in_seconds",
        "rk_recording_started_timestamp_seconds",
        "rk_recording_stopped_timestamp_seconds",
    ):
        assert {} == samples(text, name)
    assert NOW == value(text, "rk_recording_invoked_timestamp_seconds")


def test_expiry_counts_down() -> None:
    """The time until the download URL expires falls from scrape to scrape, and below zero."""
    each = setup(life())
    name = "rk_recording_download_url_expires_in_seconds"

    async def scrapes() -> list[float | None]:
        found = []
        for later in (100, 60, 7 * 86400):
            each.time.now += later
            found.append(value((await each.get()).text, name))
        return found

    week = 7 * 86400
    assert [week - 40, week - 100, -100] == run(scrapes())


def test_malformed_fields_are_counted() -> None:
    """Each field that was left out is counted under its name; the recording is shown."""
    each = setup(life())
    each.simulator.inject("meeting-1", Fault.GARBAGE_FIELDS)
    text = scrape(each)
    counts = samples(text, "rk_api_malformed_fields_total")
    assert sum(counts.values()) >= 5
    assert 1 == value(text, "rk_meeting_up")
    assert 7 == len(samples(text, "rk_recording_status"))


def test_every_family_explains_itself() -> None:
    """Each metric has a HELP line; those with API values name the field and tell their age."""
    for family in families(Snapshot((), NOW)):
        assert family.documentation.endswith(".")
        if family.name.startswith("rk_recording"):
            assert "API field" in family.documentation
            assert "rk_meeting_last_success_timestamp_seconds" in family.documentation
