"""Verdicts of `check --probe` on the assumptions: pure functions of the answers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Concatenate, ParamSpec

from rk_exporter.api import parsers
from rk_exporter.api.probe_samples import Sample, sample_of
from rk_exporter.api.replies import Asked, BodyKind, NotAsked, Reply
from rk_exporter.model.recording import TERMINAL, Recording, Status


P = ParamSpec("P")
_NO_LIST = "the list of recordings cannot be read"
_UNREADABLE = "the answer cannot be read"
# Times in answers have fractions of a second, and clocks of servers differ.
_MOVED_SECONDS = 0.5


class Verdict(StrEnum):
    """Whether an assumption holds."""

    CONFIRMED = "confirmed"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


class Question(StrEnum):
    """The questions, by their names in the JSON report."""

    UNKNOWN_MEETING = "unknown_meeting"
    IDLE_MEETING = "idle_meeting"
    MEETING_EXISTS = "meeting_exists"
    RATE_LIMIT_HEADERS = "rate_limit_headers"
    PAGE_SIZE = "page_size"
    START_TIME = "start_time"
    STATUS_PAUSED = "status_paused"
    STATUS_ERRORED = "status_errored"
    STATUS_LIST = "status_list"
    FINISHED_NOT_ACTIVE = "finished_not_active"
    EXPIRY_FIXED = "expiry_fixed"
    CLOCK = "clock"


ASSUMPTIONS = {
    Question.UNKNOWN_MEETING: (
        "active-recording answers 404 with RealtimeKit's `error` about a meeting that does not "
        "exist"
    ),
    Question.IDLE_MEETING: (
        "active-recording answers 404 with RealtimeKit's `error` about a meeting without a "
        "recording"
    ),
    Question.MEETING_EXISTS: "GET /meetings/ID answers 200 if the meeting exists, else 404",
    Question.RATE_LIMIT_HEADERS: "each endpoint reports the rate limit in its headers",
    Question.PAGE_SIZE: "the lists of recordings and sessions accept per_page=100",
    Question.START_TIME: "start_time of the list means when a recording was invoked",
    Question.STATUS_PAUSED: "the list filters by status=PAUSED",
    Question.STATUS_ERRORED: "the list filters by status=ERRORED",
    Question.STATUS_LIST: "the list filters by several states, separated by a comma",
    Question.FINISHED_NOT_ACTIVE: "active-recording does not return finished recordings",
    Question.EXPIRY_FIXED: "a download URL's expiry is the same in each answer",
    Question.CLOCK: "this machine's clock agrees with the API's, and answers are not cached",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of a *question*: why the verdict is what it is, and the *evidence*."""

    question: Question
    verdict: Verdict
    explanation: str
    evidence: tuple[str, ...] = ()


Judgement = tuple[Verdict, str]


def confirmed(explanation: str) -> Judgement:
    """Return that the assumption holds."""
    return Verdict.CONFIRMED, explanation


def differs(explanation: str) -> Judgement:
    """Return that the API behaves in another way."""
    return Verdict.DIFFERS, explanation


def unknown(explanation: str) -> Judgement:
    """Return what is missing."""
    return Verdict.UNKNOWN, explanation


def answered(
    judge: Callable[Concatenate[Reply, P], Judgement],
) -> Callable[Concatenate[Asked, P], Judgement]:
    """Let *judge* see only answers about the request itself; without one, the rest is unknown."""

    def judge_asked(asked: Asked, /, *arguments: P.args, **keywords: P.kwargs) -> Judgement:
        if isinstance(asked, NotAsked):
            return unknown(asked.reason)
        if asked.problem:
            return unknown(asked.problem)
        return judge(asked, *arguments, **keywords)

    return judge_asked


@answered
def none_judgement(reply: Reply) -> Judgement:
    """Return whether "no active recording" looks as assumed."""
    if reply.status == HTTPStatus.NOT_FOUND:
        if reply.kind is BodyKind.ERROR:
            return confirmed("as assumed")
        return differs(f"404 with {reply.kind}")
    if not reply.is_ok:
        return differs(f"{reply.status} with {reply.kind}")
    recordings = _recordings(reply)
    if recordings is None:
        return unknown(_UNREADABLE)
    if recordings:
        return unknown(f"the meeting has a recording ({recordings[0].status})")
    return differs("200 without a recording")


def exists_judgement(existing: Asked, missing: Asked) -> Judgement:
    """Return whether the endpoint of meetings distinguishes existing from missing ones."""
    verdict, explanation = _missing_judgement(missing)
    if verdict is not Verdict.CONFIRMED:
        return verdict, explanation
    return _existing_judgement(existing)


@answered
def _missing_judgement(reply: Reply) -> Judgement:
    if reply.status == HTTPStatus.NOT_FOUND and not reply.is_of_the_gateway:
        return confirmed("as assumed")
    return differs(f"{reply.status} with {reply.kind} about a meeting that does not exist")


@answered
def _existing_judgement(reply: Reply) -> Judgement:
    if reply.is_ok:
        return confirmed("as assumed")
    if reply.status == HTTPStatus.NOT_FOUND:
        return unknown("the configured meeting does not exist, or this endpoint does not work")
    return differs(f"{reply.status} with {reply.kind} about a meeting that exists")


def page_size_judgement(pages: Iterable[tuple[int, Asked]], sessions: Asked) -> Judgement:
    """
    Return the largest accepted size.

    *pages* are the tried sizes of the list of recordings, largest first. *sessions* is the answer
    to the largest size for the other list.
    """
    refused: list[int] = []
    for size, asked in pages:
        sample = sample_of(asked) if isinstance(asked, Reply) else None
        if sample is None:
            if isinstance(asked, NotAsked):
                return unknown(asked.reason)
            if not is_size_refused(asked):
                return unknown(asked.problem or _NO_LIST)
            refused.append(size)
            continue
        total = sample.total_count
        if refused:
            return differs(f"per_page={refused[-1]} is refused, per_page={size} is accepted")
        if total is not None and sample.item_count < min(size, total):
            return differs(f"accepted, but a page has {sample.item_count} of {total} recordings")
        if isinstance(sessions, Reply) and is_size_refused(sessions):
            return differs(f"the list of sessions refuses per_page={size}")
        seen = f"{sample.item_count} of {'?' if total is None else total} recordings on the page"
        return confirmed(f"accepted; {seen}")
    return differs("no tried per_page is accepted")


def is_size_refused(reply: Reply) -> bool:
    """Return whether a smaller page may work."""
    is_too_large = reply.failure is not None and reply.failure.reason == "too_large"
    return reply.is_rejection or (reply.status is None and is_too_large)


@answered
def filter_judgement(reply: Reply, status: Status, sample: Sample) -> Judgement:
    """Return whether the list filters by one *status*; *sample* is the list without a filter."""
    found = sample_of(reply)
    if found is None:
        return differs(f"the filter is refused: {reply.status} with {reply.kind}")
    if any(other is not status for other in found.statuses):
        return differs("the filter is ignored: the page has recordings in other states")
    if found.statuses:
        return confirmed(f"all {found.statuses[status]} recordings on the page are {status}")
    if not sample.statuses:
        return unknown("accepted, but there is no recording to compare with")
    if status in sample.statuses:
        return differs(f"accepted, but {status} recordings of the list are missing")
    return confirmed(f"accepted; there is no {status} recording, and others are left out")


@answered
def list_filter_judgement(
    reply: Reply, wanted: tuple[Status, ...], sample: Sample, *, filters: bool
) -> Judgement:
    """Return whether the list takes several states; *filters*: it takes a single one."""
    found = sample_of(reply)
    if found is None:
        return differs(f"the list of states is refused: {reply.status} with {reply.kind}")
    missing = [status for status in wanted if status not in found.statuses]
    if len(missing) == len(wanted):
        return differs("accepted, but the page is empty")
    if any(status not in wanted for status in found.statuses):
        return differs("the filter is ignored: the page has recordings in other states")
    if missing:
        return differs(f"accepted, but {missing[0]} recordings are missing")
    if not filters and set(sample.statuses) <= set(wanted):
        return unknown("accepted, but a list that ignores the filter would look the same")
    return confirmed(f"the page has {' and '.join(wanted)} recordings only")


@answered
def start_time_judgement(reply: Reply, start: float, sample: Sample) -> Judgement:
    """Return what `start_time` selects: compare with the page that has no filter."""
    found = sample_of(reply)
    if found is None:
        return differs(f"start_time is refused: {reply.status} with {reply.kind}")
    selected = found.ids & sample.ids
    by_recording = sample.ids - sample.invoked_before(start)
    by_meeting = sample.ids - sample.created_before(start)
    counts = f"{len(selected)} of {len(sample.ids)} recordings selected"
    if selected == by_recording:
        return confirmed(f"{counts}, exactly those invoked after it")
    if selected == by_meeting:
        return differs(f"{counts}, exactly those whose meeting was created after it")
    if selected == sample.ids:
        return differs(f"{counts}: start_time is ignored")
    return differs(f"{counts}, neither by invocation nor by the meeting's creation")


@answered
def finished_judgement(reply: Reply) -> Judgement:
    """Return whether active-recording has forgotten a finished recording."""
    if reply.is_missing:
        return confirmed(f"{reply.status} after the end")
    if not reply.is_ok:
        return unknown(f"{reply.status} with {reply.kind}")
    recordings = _recordings(reply)
    if recordings is None:
        return unknown(_UNREADABLE)
    ended = [recording.status for recording in recordings if recording.status in TERMINAL]
    if ended:
        return differs(f"it is still returned, with status {ended[0]}")
    if recordings:
        return unknown("the meeting has a new recording; run the probe again after it")
    return confirmed("200 without a recording after the end")


def expiry_judgement(first: Asked, second: Asked, *, recording_id: str | None) -> Judgement:
    """Return whether the expiry has moved between two reads of a recording."""
    for asked in (first, second):
        if isinstance(asked, NotAsked) or asked.problem:
            return unknown(asked.reason if isinstance(asked, NotAsked) else str(asked.problem))
    before, after = (_expiry(asked, recording_id) for asked in (first, second))
    if before is None or after is None:
        return unknown("an answer has no readable expiry")
    moved = after - before
    if abs(moved) <= _MOVED_SECONDS:
        return confirmed("the same in two reads")
    return differs(f"it has moved by {moved:+.1f} s in the second read")


def _recordings(reply: Reply) -> tuple[Recording, ...] | None:
    return reply.read(parsers.parse_active_recordings)


def _expiry(asked: Asked, recording_id: str | None) -> float | None:
    if isinstance(asked, NotAsked) or recording_id is None:
        return None
    recording = asked.read(partial(parsers.parse_recording, recording_id=recording_id))
    return recording.download_url_expiry_timestamp_seconds if recording else None
