import re

from typing import Any

import pytest

from rk_exporter.cli import check_report as report
from rk_exporter.cli.check_meetings import Existence
from rk_exporter.cli.check_verdicts import is_fine, summary
from rk_exporter.cli.tones import coloured
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import App, DiscoveryState, Meeting, Reading, ReadMode, Room
from rk_exporter.model.recording import Recording, Status
from rk_exporter.ratelimit.status import BudgetStatus
from rk_exporter.snapshot import AppSnapshot, Snapshot
from tests.support.check_documents import document_of


NOW = 1_795_000_000.0
MEETING = Meeting("meeting-1", "meeting-1")


def snapshot(*readings: Reading, **fields: Any) -> Snapshot:
    app = App("production", "account", "app-id")
    return Snapshot((AppSnapshot(app=app, readings=readings, **fields),), NOW)


def reading(*recordings: Recording, meeting: Meeting = MEETING, **fields: Any) -> Reading:
    return Reading(
        meeting=meeting, recordings=recordings, last_attempt_timestamp_seconds=NOW, **fields
    )


def test_states_and_names() -> None:
    """The app has a line, followed by a line for each meeting with its name and state."""
    recording = Recording(
        recording_id="recording-1",
        status=Status.UPLOADED,
        file_size_bytes=20_212_537,
        reported_duration_seconds=3723,
        download_url_expiry_timestamp_seconds=NOW + 6 * 86400 + 23 * 3600 + 5,
    )
    shown = snapshot(
        reading(recording, meeting=Meeting("meeting-1", "weekly review")),
        reading(meeting=Meeting("m2", "m2")),
    )
    assert [
        "production: account account, app app-id: ok, 2 of 2 meetings read",
        (
            "  meeting-1  weekly review  UPLOADED (recording recording-1), 1h 2m long, 20.2 MB, "
            "download URL expires in 6d 23h"
        ),
        "  m2                        no active recording",
    ] == list(report.lines(shown))
    assert is_fine(shown)


@pytest.mark.parametrize("reason", Reason)
def test_failures_have_advice(reason: Reason) -> None:
    """The line of a failed meeting has the reason and the fix, and the check fails."""
    shown = snapshot(reading(failure=Failure(reason, "what happened")), reading())
    app, failed, fine = report.lines(shown)
    assert app.endswith("FAILED, 1 of 2 meetings read")
    assert f"FAILED {reason}: what happened; " in failed
    assert fine.endswith("no active recording")
    assert not is_fine(shown)
    (meeting, _) = document_of(shown)["apps"][0]["meetings"]
    assert meeting["failure"]["advice"] in failed


def test_message_of_the_api() -> None:
    """A failure shows what the API says about it, after the exporter's own words."""
    failure = Failure(Reason.NOT_FOUND, "the API answered 404", "No route for that URI")
    shown = snapshot(Reading(meeting=MEETING, failure=failure))
    line = list(report.lines(shown))[1]
    assert line.endswith('check account_id and app_id; the API says "No route for that URI"')
    (meeting,) = document_of(shown)["apps"][0]["meetings"]
    assert "No route for that URI" == meeting["failure"]["api_message"]


def test_unread_meeting() -> None:
    """A meeting that the exporter had no time for is a failure with a fix."""
    shown = snapshot(Reading(meeting=MEETING))
    assert (
        "because the budget or the time ran out; raise --api.budget" in list(report.lines(shown))[1]
    )
    assert not is_fine(shown)


def test_suspended_calls() -> None:
    """If API calls are suspended, the line says for how long."""
    budget_status = BudgetStatus(limit=600, remaining=0, blocked_until_timestamp_seconds=NOW + 290)
    shown = snapshot(Reading(meeting=MEETING), up=False, budget_status=budget_status)
    _, meeting = report.lines(shown)
    assert meeting.endswith("suspends API calls for 4m 50s; try again after that")
    (app,) = document_of(shown)["apps"]
    assert NOW + 290 == app["blocked_until_timestamp_seconds"]


def test_failed_discovery() -> None:
    """A failed discovery has a line with the fix, and the check fails."""
    discovery = DiscoveryState(Failure(Reason.AUTH, "the API answered 403"))
    shown = snapshot(reading(), up=True, discovery=discovery)
    app, live, _ = report.lines(shown)
    assert "FAILED, 1 of 1 meetings read" in app
    assert live.startswith("  live meetings: FAILED auth: the API answered 403; give the token the")
    assert not is_fine(shown)
    assert "auth" == document_of(shown)["apps"][0]["discovery_failure"]["reason"]


@pytest.mark.parametrize(
    ("last_success", "notes"),
    [
        (None, ["not all live meetings are listed; check uses at most a tenth of the budget"]),
        (NOW, []),
    ],
)
def test_live_meetings_that_are_not_all_listed(
    last_success: float | None, notes: list[str]
) -> None:
    """A list of live sessions that takes more than a check is a note, as meetings left out are."""
    discovery = DiscoveryState(last_success_timestamp_seconds=last_success)
    shown = snapshot(reading(), up=True, discovery=discovery)
    assert [f"  note: {note}" for note in notes] == list(report.lines(shown))[2:]
    assert is_fine(shown)
    assert notes == document_of(shown)["apps"][0]["notes"]


def test_read_through_the_list() -> None:
    """The app's line says that the exporter reads the list."""
    shown = snapshot(reading(), read_mode=ReadMode.LIST)
    assert "ok, 1 of 1 meetings read through the list" in next(report.lines(shown))
    assert "list" == document_of(shown)["apps"][0]["read"]


@pytest.mark.parametrize(("up", "verdict"), [(True, "ok"), (False, "FAILED")])
def test_app_without_meetings(*, up: bool, verdict: str) -> None:
    """Without live meetings, the app's line says whether the API accepts the token."""
    shown = snapshot(up=up)
    assert [f"production: account account, app app-id: {verdict}, 0 of 0 meetings read"] == list(
        report.lines(shown)
    )
    assert up is is_fine(shown)


def test_live_meeting() -> None:
    """The JSON report also has the live state of a meeting."""
    shown = snapshot(reading(room=Room(is_live=True, participants=3, record_on_start=False)))
    (meeting,) = document_of(shown)["apps"][0]["meetings"]
    assert (True, 3, False) == (
        meeting["live"],
        meeting["live_participants"],
        meeting["record_on_start"],
    )


def test_offline() -> None:
    """An offline report says that there were no API calls."""
    app, meeting = report.lines(snapshot(Reading(meeting=MEETING)), offline=True)
    assert app.endswith("1 meeting listed, no API calls made")
    assert "  meeting-1  listed" == meeting
    assert document_of(snapshot(Reading(meeting=MEETING)), offline=True)["ok"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"file_size_bytes": 0.0}, ""),
        ({"file_size_bytes": 999.0}, ", 999 B"),
        ({"file_size_bytes": 5e15}, ", 5e+03 TB"),
        ({"reported_duration_seconds": 59.9}, ", 59s long"),
        ({"started_timestamp_seconds": NOW}, ", 0s long"),
        ({"download_url_expiry_timestamp_seconds": NOW - 1}, ", download URL has expired"),
    ],
)
def test_sizes_and_times(fields: dict[str, float], expected: str) -> None:
    """Sizes and durations have units for people."""
    recording = Recording(recording_id="r", status=Status.RECORDING, **fields)  # type: ignore[arg-type] # floats only
    line = list(report.lines(snapshot(reading(recording))))[1]
    assert line.endswith(f"RECORDING (recording r){expected}")


def test_document_is_json() -> None:
    """The report for scripts is JSON, with null for unknown values."""
    recording = Recording(recording_id="r", status=Status.INVOKED, session_id="s")
    shown = snapshot(reading(recording), reading(), Reading(meeting=MEETING))
    document = document_of(shown)
    assert not document["ok"]
    first, second, third = document["apps"][0]["meetings"]
    assert ("INVOKED", "s", None) == (
        first["recordings"][0]["status"],
        first["recordings"][0]["session_id"],
        first["recordings"][0]["file_size_bytes"],
    )
    assert ([], True) == (second["recordings"], second["ok"])
    assert (None, None) == (third["recordings"], third["ok"])


def summarised(shown: Snapshot, existence: dict[str, Existence] | None = None) -> str:
    existence = existence or {}
    found = summary(shown, existence)
    assert found.meetings == (
        found.fine + found.missing + found.failed + found.unread + found.unverified + found.left_out
    )
    return report.summary_line(found, is_fine=is_fine(shown, existence))


def test_summary() -> None:
    """The last line counts each meeting once, by what is wrong with it."""
    failure = Failure(Reason.TIMEOUT, "what happened")
    shown = snapshot(
        *(reading(meeting=Meeting(f"m{number}", "")) for number in range(10)),
        reading(failure=failure),
        Reading(meeting=MEETING),
    )
    assert "1 app, 12 meetings: 10 fine, 1 cannot be read, 1 not read" == summarised(shown)
    known = Existence(
        missing={"m1": "a", "m2": "b"}, failures={"m3": "?"}, unverified=2, left_out=1200
    )
    assert (
        "1 app, 1,212 meetings: 5 fine, 2 do not exist, 1 cannot be read, 1 not read, "
        "3 read but perhaps mistyped, 1,200 not checked"
    ) == summarised(shown, {"production": known})


def test_summary_of_a_failed_discovery() -> None:
    """Without meetings the summary still says what is wrong."""
    discovery = DiscoveryState(Failure(Reason.AUTH, "the API answered 403"))
    shown = snapshot(up=False, discovery=discovery)
    assert ("1 app, 0 meetings: 1 token rejected, live meetings of 1 app not listed") == summarised(
        shown
    )
    assert "1 app, 0 meetings: fine" == summarised(snapshot(up=True))
    assert "1 app, 0 meetings: FAILED" == summarised(snapshot(up=False))


def test_colours_do_not_change_the_text() -> None:
    """Without its colours, the text is the same, columns included."""
    errored = Recording(recording_id="r", status=Status.ERRORED)
    discovery = DiscoveryState(Failure(Reason.TIMEOUT, "the API did not answer"))
    shown = snapshot(
        reading(errored, meeting=Meeting("meeting-1", "weekly")),
        reading(meeting=Meeting("m2", "m2")),
        Reading(meeting=Meeting("m3", "FAILED")),
        discovery=discovery,
    )
    existence = {"production": Existence(missing={"m2": "rk.yml:2"}, left_out=3)}
    painted = list(report.lines(shown, existence, paint=coloured))
    assert [*report.lines(shown, existence)] == [re.sub(r"\x1b\[\d*m", "", x) for x in painted]
    # The name of a meeting is never coloured.
    assert "FAILED  \x1b[91mFAILED\x1b[0m: not read" in painted[-2]
