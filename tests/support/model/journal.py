"""What the API of one app was asked, and what it has answered."""

import json
import math

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple


STATUSES = ("INVOKED", "RECORDING", "PAUSED", "UPLOADING", "UPLOADED", "ERRORED", "UNKNOWN")
FINE = frozenset({200, 404})
"""The statuses of right answers."""
_LARGEST = 2.0**63
_REMEMBERED = 64
TOGETHER_SECONDS = 4.0
"""Two answers that come in this time may be to calls that were made together."""
_WITH_RECORDINGS = frozenset({"active-recording", "recording", "recordings"})


class Called(NamedTuple):
    """One call: when it was made, for what, and the status of the answer, if there was one."""

    at: float
    endpoint: str
    status: int | None
    is_in_doubt: bool
    """Whether the answer may not have been the right one."""
    seconds: float
    """How long it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one answer says about a recording; None stands for missing and malformed values."""

    answered_at: float
    meeting_id: str | None
    status: str
    size: float | None
    duration: float | None
    expires_at: float | None
    invoked_at: float | None
    started_at: float | None
    stopped_at: float | None
    reason: str | None
    has_url: bool | None
    has_audio_url: bool | None
    labels: tuple[str, str, str]
    """The session, the name of the file, and the kind, as `rk_recording_info` has them."""
    has_labels: bool
    """Whether these are final: the session may be missing before the start."""

    @classmethod
    def of(cls, item: Mapping[str, Any], meeting_id: str | None, answered_at: float) -> "Sighting":
        """Return what an *item* of an answer says."""
        status, reason = item.get("status"), item.get("stop_reason")
        meeting, session_id = item.get("meeting") or {}, item.get("session_id")
        url, file_name = item.get("download_url"), item.get("output_file_name") or ""
        session = session_id if isinstance(session_id, str) else ""
        kind = "track" if isinstance(url, list) or file_name.endswith(".webm") else "composite"
        return cls(
            answered_at=answered_at,
            meeting_id=meeting.get("id", meeting_id),
            status=status if status in STATUSES else "UNKNOWN",
            size=_number(item.get("file_size")),
            duration=_number(item.get("recording_duration")),
            expires_at=_moment(item.get("download_url_expiry")),
            invoked_at=_moment(item.get("invoked_time")),
            started_at=_moment(item.get("started_time")),
            stopped_at=_moment(item.get("stopped_time")),
            reason=reason["reason"] if reason else None,
            has_url=_is_given(url),
            has_audio_url=_is_given(item.get("audio_download_url")),
            labels=(session, file_name, kind),
            has_labels=session != "" or status != "INVOKED",
        )


@dataclass(eq=False)
class Journal:
    """The calls about one app, and the recordings in their answers, oldest first."""

    calls: list[Called] = field(default_factory=list)
    sightings: defaultdict[str, list[Sighting]] = field(default_factory=lambda: defaultdict(list))
    uploaded: dict[str, list[float]] = field(default_factory=dict)
    """When each recording was first seen in the state UPLOADED, and when again."""
    live: list[tuple[float, Mapping[str, int]]] = field(default_factory=list)
    """When the live sessions were listed, and how many people were in each meeting."""
    listed: list[tuple[float, frozenset[str]]] = field(default_factory=list)
    """When the apps of an account were listed, and their ids."""
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many calls were made, by endpoint and status; the process that counts begins with 0."""
    took: Counter[tuple[str, float]] = field(default_factory=Counter)
    """How many of these took so many seconds, by endpoint and duration."""
    in_doubt: Counter[str] = field(default_factory=Counter)
    """How many of these may have failed, by endpoint."""
    uncertain: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many of *answered* may not count, because their app was found again since then."""
    uncertainly_took: Counter[tuple[str, float]] = field(default_factory=Counter)
    """The same of *took*."""
    has_malformed: bool = False
    """Whether an answer may have had malformed fields."""

    def restart(self, *, is_saved: bool) -> None:
        """Expect a new process, which begins to count, and knows no answer unless it *is_saved*."""
        self.answered.clear()
        self.took.clear()
        self.in_doubt.clear()
        self.uncertain.clear()
        self.uncertainly_took.clear()
        self.live.clear()
        self.listed.clear()
        if not is_saved:
            self.sightings.clear()
            self.uploaded.clear()

    def forget(self, *, is_counted: bool) -> None:
        """Expect that the exporter forgets the app; unless *is_counted*, perhaps its calls, too."""
        self.sightings.clear()
        self.uploaded.clear()
        if not is_counted:
            self.uncertain, self.uncertainly_took = Counter(self.answered), Counter(self.took)

    def take(self, called: Called, path: str, body: bytes, answered_at: float) -> None:
        """Take in a call, which has the *path* below the app's, and the answer's *body*."""
        self.calls.append(called)
        code = "none" if called.status is None else str(called.status)
        self.answered[called.endpoint, code] += 1
        self.took[called.endpoint, round(called.seconds, 6)] += 1
        self.in_doubt[called.endpoint] += called.is_in_doubt
        _, _, asked_for = path.partition("active-recording/")
        data = _data(called.status, body)
        if called.endpoint == "sessions" and isinstance(data, dict) and "sessions" in data:
            self.live.append((answered_at, _live(data["sessions"])))
        if called.endpoint == "apps" and isinstance(data, list):
            self.listed.append((answered_at, frozenset(item["id"] for item in data)))
        if called.endpoint not in _WITH_RECORDINGS:
            return
        for item in data if isinstance(data, list) else [data]:
            if not isinstance(item, dict) or "id" not in item:
                continue
            sighting = Sighting.of(item, asked_for or None, answered_at)
            sightings = self.sightings[item["id"]]
            sightings.append(sighting)
            self._note_upload(item["id"], sighting)
            _forget_repeated(sightings)

    def _note_upload(self, recording_id: str, sighting: Sighting) -> None:
        if sighting.status != "UPLOADED":
            return
        seen_at = self.uploaded.setdefault(recording_id, [sighting.answered_at])
        if len(seen_at) == 1 and sighting.answered_at > seen_at[0] + TOGETHER_SECONDS:
            seen_at.append(sighting.answered_at)


def _forget_repeated(sightings: list[Sighting]) -> None:
    """Forget one that was long ago and said the same as the next one: a day has too many."""
    if len(sightings) > _REMEMBERED:
        first, second = sightings[-_REMEMBERED], sightings[1 - _REMEMBERED]
        if replace(first, answered_at=second.answered_at) == second:
            del sightings[-_REMEMBERED]


def _data(status: int | None, body: bytes) -> object:
    """Return what an answer is about; None for one that is no success."""
    try:
        content = json.loads(body) if status == 200 else None  # OK
    except ValueError:
        return None
    return content.get("data") if isinstance(content, dict) and content.get("success") else None


def _live(sessions: Iterable[Mapping[str, Any]]) -> Mapping[str, int]:
    """Return the meetings of live sessions, and how many people are in each."""
    return {x["associated_id"]: x["live_participants"] for x in sessions if x["status"] == "LIVE"}


def _is_given(value: object) -> bool | None:
    is_readable = value is None or isinstance(value, str | list)
    return bool(value) if is_readable else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    number = float(value)
    return number if math.isfinite(number) and 0 <= number < _LARGEST else None


def _moment(value: object) -> float | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
