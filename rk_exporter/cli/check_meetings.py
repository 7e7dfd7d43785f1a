"""Which meetings `check` asks about, and what the answers say about their existence."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from rk_exporter.api.replies import Reply
from rk_exporter.collector.meeting_list import combine
from rk_exporter.config.apps import AppConfig
from rk_exporter.config.config import Config
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import Meeting, Reading, ReadMode


_CHECK_RATIO = 0.1
# A read of the list takes a call for each state of a recording in progress.
_LIST_CALLS = 4
_CALLS_PER_MEETING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Existence:
    """
    What the API says about the existence of an app's meetings.

    *missing* are the ids that it does not know, and *suspects* those that it rejects, each with
    its place in the configuration. *failures* are the reasons why it says nothing about others.
    *unverified* counts the meetings that it was not asked about, *left_out* those that were not
    even read. *refusal* says why it cannot be asked about any.
    """

    missing: Mapping[str, str] = field(default_factory=dict)
    suspects: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    unverified: int = 0
    left_out: int = 0
    refusal: str | None = None


def calls_per_app(config: Config) -> int:
    """Return how many calls `check` makes for each app: a tenth of the budget in all."""
    calls = int(min((entry.budget for entry in config.entries), default=0) * _CHECK_RATIO)
    return max(1, calls // max(1, len(config.entries)))


def listed_meetings(app: AppConfig) -> tuple[Meeting, ...]:
    """Return the meetings that the configuration and its files list."""
    in_files = (meeting for file in app.meeting_files for meeting in file.meetings)
    return combine([*app.meetings, *in_files])


def affordable(app: AppConfig, calls: int) -> AppConfig:
    """
    Return *app* as a check with this number of *calls* reads it.

    If there are more meetings, it reads the list, which takes a few calls for all meetings. If it
    must not or cannot, it reads the first meetings only.
    """
    meetings = listed_meetings(app)
    if app.read is ReadMode.LIST or _CALLS_PER_MEETING * len(meetings) <= calls:
        return app
    if app.read is None and calls >= _CALLS_PER_MEETING * _LIST_CALLS:
        return replace(app, read=ReadMode.LIST)
    first = meetings[: max(1, calls // _CALLS_PER_MEETING)]
    return replace(app, meetings=first, meeting_files=(), read=ReadMode.ACTIVE_RECORDING)


def doubtful(readings: Iterable[Reading]) -> list[str]:
    """Return the meetings that were read and have no recording, so may not exist."""
    return [
        reading.meeting.meeting_id for reading in readings if reading.up and not reading.recordings
    ]


def rejected(readings: Iterable[Reading]) -> list[str]:
    """Return the meetings whose ids the API may have rejected as invalid."""
    return [
        reading.meeting.meeting_id
        for reading in readings
        if reading.failure and reading.failure.reason is Reason.CLIENT_ERROR
    ]


def recorded(readings: Iterable[Reading]) -> str | None:
    """Return a meeting that certainly exists, because it has a recording."""
    return next((reading.meeting.meeting_id for reading in readings if reading.recordings), None)


def existence(
    replies: Mapping[str, Reply],
    *,
    place: Callable[[str], str],
    proven: Reply | None,
    unverified: int,
    left_out: int,
) -> Existence:
    """
    Return what the *replies* by meeting id say; *place* finds an id in the configuration.

    *proven* is the reply about a meeting that certainly exists, if it was asked for. If the API
    does not know that one either, its other answers mean nothing.
    """
    refusals = [reply.refusal for reply in replies.values() if reply.refusal]
    if proven is not None and not proven.is_ok:
        refusals.append(f"the API answered {proven.status} about a meeting with a recording")
    if refusals and not any(reply.is_ok for reply in replies.values()):
        unverified += len(replies)
        return Existence(refusal=refusals[0], unverified=unverified, left_out=left_out)
    return Existence(
        missing={key: place(key) for key, reply in replies.items() if reply.is_missing},
        failures={
            key: reply.problem or f"the API answered {reply.status}"
            for key, reply in replies.items()
            if not (reply.is_ok or reply.is_missing)
        },
        unverified=unverified,
        left_out=left_out,
    )
