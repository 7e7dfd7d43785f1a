"""
The questions of `check --probe`: they ask the API about what its documentation leaves open.

Each call that an earlier answer makes pointless is left out, and its question gets the reason.
"""

import asyncio

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from rk_exporter.api.endpoints import (
    ACTIVE_RECORDING,
    MEETING,
    RECORDING,
    RECORDINGS,
    SESSIONS,
    segment,
)
from rk_exporter.api.probe_calls import ProbeCalls
from rk_exporter.api.probe_findings import is_size_refused
from rk_exporter.api.probe_samples import Sample, iso_time, sample_of, two_statuses
from rk_exporter.api.replies import Asked, NotAsked, Reply
from rk_exporter.model.recording import Recording, Status


PAGE_SIZES = (100, 50, 25, 10)
# URLs that are signed for each answer have times in whole seconds.
_BETWEEN_READS_SECONDS = 2.0
_FEW = 10
_SESSIONS_PATH = f"/sessions?status=LIVE&page_no=1&per_page={PAGE_SIZES[0]}"
_NO_LIST = "the list of recordings cannot be read"
_NO_FINISHED = NotAsked(
    "no finished recording of an idle meeting in the list; run the probe after a recording"
)
_NO_URL = NotAsked("no recording with a download URL in the list; run the probe after a recording")
_NO_START = NotAsked(
    "needs two recordings, the newest in a meeting that was created before; run the probe after a "
    "recording in a permanent meeting"
)
_NO_TWO_STATES = NotAsked("needs finished recordings in two states, e.g. UPLOADED and ERRORED")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeetingAnswers:
    """The answers about a meeting that does not exist, and about an idle one that does."""

    unknown_id: str
    unknown_active: Asked
    unknown_meeting: Asked
    idle_id: str | NotAsked
    idle_active: Asked
    idle_meeting: Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingAnswers:
    """The answers about finished recordings; one of them is *followed*, and read twice."""

    finished_active: Asked
    followed: Recording | None
    first_read: Asked
    second_read: Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterAnswers:
    """The answers to filters of the list of recordings, and about the list of sessions."""

    since: Asked
    start: float | None
    paused: Asked
    errored: Asked
    several: Asked
    several_statuses: tuple[Status, ...]
    sessions: Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """All answers; *pages* are those to the tried page sizes, and *sample* is the accepted page."""

    pages: tuple[tuple[int, Asked], ...]
    sample: Sample | None
    meetings: MeetingAnswers
    recordings: RecordingAnswers
    filters: FilterAnswers


async def ask_everything(
    calls: ProbeCalls,
    configured: Sequence[str],
    *,
    unknown_id: str,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Answers:
    """
    Return the answers to all questions about an app with these *configured* meetings.

    *unknown_id* is an id that no meeting has. The most important questions come first.
    """
    pages = await _pages(calls)
    sample = next((found for _, asked in pages if (found := _sample(asked))), None)
    meetings = await _about_meetings(calls, sample, configured, unknown_id)
    return Answers(
        pages=pages,
        sample=sample,
        meetings=meetings,
        recordings=await _about_recordings(calls, sample, meetings, sleep),
        filters=await _about_filters(calls, sample),
    )


async def _about_meetings(
    calls: ProbeCalls, sample: Sample | None, configured: Sequence[str], unknown_id: str
) -> MeetingAnswers:
    idle_id = _idle_id(sample, configured)
    return MeetingAnswers(
        unknown_id=unknown_id,
        unknown_active=await calls.ask(ACTIVE_RECORDING, _active_path(unknown_id)),
        idle_id=idle_id,
        idle_active=await _ask_meeting(calls, ACTIVE_RECORDING, idle_id),
        idle_meeting=await _ask_meeting(calls, MEETING, idle_id),
        unknown_meeting=await calls.ask(MEETING, meeting_path(unknown_id)),
    )


async def _about_recordings(
    calls: ProbeCalls,
    sample: Sample | None,
    meetings: MeetingAnswers,
    sleep: Callable[[float], Awaitable[None]],
) -> RecordingAnswers:
    followed = sample.with_url if sample else None
    first_read = await _read(calls, followed, sample)
    finished_active = await _finished(calls, sample, meetings)
    if isinstance(first_read, Reply):
        await sleep(_BETWEEN_READS_SECONDS)
    return RecordingAnswers(
        finished_active=finished_active,
        followed=followed,
        first_read=first_read,
        second_read=await _read(calls, followed, sample),
    )


async def _about_filters(calls: ProbeCalls, sample: Sample | None) -> FilterAnswers:
    since, start = await _since(calls, sample)
    paused, errored = [
        await calls.ask(RECORDINGS, list_path(per_page=_FEW, status=status.value))
        for status in (Status.PAUSED, Status.ERRORED)
    ]
    several, several_statuses = await _several(calls, sample)
    return FilterAnswers(
        since=since,
        start=start,
        paused=paused,
        errored=errored,
        several=several,
        several_statuses=several_statuses,
        sessions=await calls.ask(SESSIONS, _SESSIONS_PATH),
    )


def list_path(*, per_page: int, **filters: str) -> str:
    """Return the path of the first page of the list of recordings, newest first."""
    query = {"page_no": "1", "per_page": str(per_page), "sort_by": "invokedTime"}
    return f"/recordings?{urlencode({**query, 'sort_order': 'DESC', **filters}, safe=',')}"


def meeting_path(meeting_id: str) -> str:
    """Return the path of a meeting."""
    return f"/meetings/{segment(meeting_id)}"


def _active_path(meeting_id: str) -> str:
    return f"/recordings/active-recording/{segment(meeting_id)}"


async def _pages(calls: ProbeCalls) -> tuple[tuple[int, Asked], ...]:
    """Return the answers for smaller and smaller pages, until one is accepted."""
    pages: list[tuple[int, Asked]] = []
    for size in PAGE_SIZES:
        asked = await calls.ask(RECORDINGS, list_path(per_page=size))
        pages.append((size, asked))
        if isinstance(asked, NotAsked) or not is_size_refused(asked):
            break
    return tuple(pages)


def _no_list(calls: ProbeCalls) -> NotAsked:
    return NotAsked(calls.stopped or _NO_LIST)


def _sample(asked: Asked) -> Sample | None:
    return None if isinstance(asked, NotAsked) else sample_of(asked)


def _idle_id(sample: Sample | None, configured: Sequence[str]) -> str | NotAsked:
    if not configured:
        return NotAsked("needs a configured meeting without a recording in progress")
    idle = sample.idle_meetings(configured) if sample else configured
    return idle[0] if idle else NotAsked("each configured meeting has a recording in progress")


async def _ask_meeting(calls: ProbeCalls, endpoint: str, meeting_id: str | NotAsked) -> Asked:
    if isinstance(meeting_id, NotAsked):
        return meeting_id
    path = _active_path if endpoint == ACTIVE_RECORDING else meeting_path
    return await calls.ask(endpoint, path(meeting_id))


async def _read(calls: ProbeCalls, followed: Recording | None, sample: Sample | None) -> Asked:
    if followed is None:
        return _NO_URL if sample else _no_list(calls)
    return await calls.ask(RECORDING, f"/recordings/{segment(followed.recording_id)}")


async def _since(calls: ProbeCalls, sample: Sample | None) -> tuple[Asked, float | None]:
    start = sample.telling_start if sample else None
    if sample is None or start is None:
        return _NO_START if sample else _no_list(calls), None
    size = max(sample.item_count, _FEW)
    path = list_path(per_page=size, start_time=iso_time(start))
    return await calls.ask(RECORDINGS, path), start


async def _several(calls: ProbeCalls, sample: Sample | None) -> tuple[Asked, tuple[Status, ...]]:
    statuses = two_statuses(sample) if sample else ()
    if sample is None or not statuses:
        return _NO_TWO_STATES if sample else _no_list(calls), statuses
    wanted = ",".join(status.value for status in statuses)
    path = list_path(per_page=max(sample.item_count, _FEW), status=wanted)
    return await calls.ask(RECORDINGS, path), statuses


async def _finished(calls: ProbeCalls, sample: Sample | None, meetings: MeetingAnswers) -> Asked:
    """Return the answer of active-recording about a meeting whose recording has finished."""
    if sample is None:
        return _no_list(calls)
    idle_id, finished = meetings.idle_id, [item.meeting.meeting_id for item in sample.finished]
    if isinstance(idle_id, str) and idle_id.casefold() in map(str.casefold, finished):
        return meetings.idle_active
    if not finished:
        return _NO_FINISHED
    return await calls.ask(ACTIVE_RECORDING, _active_path(finished[0]))
