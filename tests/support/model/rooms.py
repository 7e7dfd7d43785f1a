"""Discovery: which meetings an app finds, and what is shown of the people in them."""

from collections.abc import Iterator, Mapping

from rk_exporter.simulator import TERMINAL, Recording
from tests.support.model.journal import Journal
from tests.support.model.shown import Shown
from tests.support.model.stories import Story


# The live sessions are listed so often.
FOUND_SECONDS = 30.0
# A list of them is valid so long; and an exposition so long after it was asked for.
_VALID_SECONDS = 300.0
_SCRAPE_SECONDS = 12.0
# One that has vanished is shown until a second answer denies it.
DENIED_TWICE_SECONDS = 300.0
_ROUNDING_SECONDS = 0.002
LIVE = "rk_meeting_live"
_PARTICIPANTS = "rk_meeting_live_participants"
_ON_START = "rk_meeting_record_on_start"
_LISTED_AT = "rk_discovery_last_success_timestamp_seconds"
_ALL = (LIVE, _PARTICIPANTS, _ON_START, _LISTED_AT, "rk_discovery_up")


def invented_rooms(
    shown: Shown, app: str, story: Story, journal: Journal, *, finds_meetings: bool
) -> Iterator[str]:
    """Return what is shown of meetings although no answer in *journal* has said it."""
    if not finds_meetings:
        yield from (f"{app}: {name} is shown" for name in _ALL if shown.of(name, app))
    else:
        yield from _unlike_answer(shown, app, journal)
    settings = {x.id: float(x.record_on_start) for x in story.meetings}
    for meeting_id, value in shown.by_meeting(_ON_START, app).items():
        if value != settings[meeting_id]:
            yield f"{app}: {meeting_id} records on start: {value}"
    titles = {x.id: x.title for x in story.meetings}
    for labels, _ in shown.of("rk_meeting_info", app):
        meeting_id = labels["meeting_id"]
        if labels["meeting_name"] not in {meeting_id, titles[meeting_id]}:
            yield f"{app}: {meeting_id} has the name {labels}"


def _unlike_answer(shown: Shown, app: str, journal: Journal) -> Iterator[str]:
    listed_at = shown.value(_LISTED_AT, app)
    answers = [
        live
        for answered_at, live in journal.live
        if listed_at is not None and abs(answered_at - listed_at) <= _ROUNDING_SECONDS
    ]
    if listed_at is not None and not answers:
        yield f"{app}: the live sessions were not listed at {listed_at}"
    live: Mapping[str, int] = answers[-1] if answers else {}
    lives = shown.by_meeting(LIVE, app)
    if lives and listed_at is None:
        yield f"{app}: {lives} are live, but no sessions were listed"
    for meeting_id, value in lives.items():
        if value != (meeting_id in live):
            yield f"{app}: {meeting_id} is live: {value}, but {live} were"
    wanted = {meeting_id: float(live[meeting_id]) for meeting_id in lives if meeting_id in live}
    if shown.by_meeting(_PARTICIPANTS, app) != wanted:
        yield f"{app}: {shown.by_meeting(_PARTICIPANTS, app)} people are in meetings, not {wanted}"


def outdated(shown: Shown, app: str, begun_at: float) -> Iterator[str]:
    """Return the meetings that show an old list of sessions."""
    listed_at = shown.value(_LISTED_AT, app)
    limit = begun_at - _VALID_SECONDS
    if listed_at is not None and listed_at < limit and shown.of(LIVE, app):
        yield f"{app}: the sessions were listed at {listed_at}, and are still shown"


def lacking_rooms(
    shown: Shown, app: str, story: Story, *, begun_at: float, ended_at: float, knows_settings: bool
) -> Iterator[str]:
    """Return what is missing or out of date of the meetings that an app has found."""
    at = f"{app}, scraped at {begun_at:.3f}:"
    listed_at = shown.value(_LISTED_AT, app)
    if shown.value("rk_discovery_up", app) != 1:
        yield f"{at} discovery is {shown.value('rk_discovery_up', app)}"
    if listed_at is None or not begun_at - FOUND_SECONDS <= listed_at <= ended_at:
        yield f"{at} the live sessions were listed at {listed_at}"
    lives = shown.by_meeting(LIVE, app)
    ups = shown.by_meeting("rk_meeting_up", app)
    if {*lives} != {*ups}:
        yield f"{at} the rooms of {[*lives]} are known, but {[*ups]} are read"
    names = shown.by_label("rk_meeting_info", app, "meeting_name")
    on_start = shown.by_meeting(_ON_START, app)
    for meeting in story.meetings:
        if lives.get(meeting.id) != 1:
            continue
        if names.get(meeting.id) != meeting.title:
            yield f"{at} {meeting.id} has the name {names.get(meeting.id)}"
        if knows_settings and meeting.id not in on_start:
            yield f"{at} nobody knows whether {meeting.id} records on start"


def found_meetings(story: Story, begin: float, end: float) -> set[str]:
    """Return the meetings that people are in from *begin* to *end*, without a pause."""
    return {x.meeting_id for x in story.sessions if x.is_live(begin) and x.is_live(end)}


def used_meetings(story: Story, begin: float, end: float) -> set[str]:
    """Return the meetings with people, or a recording in progress, at some time of these."""
    sessions = {
        x.meeting_id
        for x in story.sessions
        if x.started_at <= end and (x.ended_at is None or x.ended_at >= begin)
    }
    return sessions | {
        x.meeting_id for x in story.recordings if x.invoked_at <= end and _shown_until(x) >= begin
    }


def _shown_until(recording: Recording) -> float:
    """Return until when a recording may be shown as one in progress."""
    status, at = recording.phases[-1]
    has_ended = status in TERMINAL and at <= recording.vanishes_at
    return at if has_ended else recording.vanishes_at + DENIED_TWICE_SECONDS
