"""
Meetings, sessions and recordings of the simulated account.

They are immutable data with timestamps. Pure functions compute the state at any moment.
"""

import math
import uuid

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple, Self, TypedDict, Unpack


URL_LIFETIME_SECONDS = 7 * 86_400.0
"""Download URLs are valid for seven days after the recording stops ("Start recording" page)."""

_NAMESPACE = uuid.UUID("5b1c3c2e-7d0a-4d55-9a3f-0c6f3b5d2e11")


class Status(StrEnum):
    """The states of a recording, as listed on the endpoint's page."""

    INVOKED = "INVOKED"
    RECORDING = "RECORDING"
    PAUSED = "PAUSED"
    UPLOADING = "UPLOADING"
    UPLOADED = "UPLOADED"
    ERRORED = "ERRORED"


TERMINAL = frozenset({Status.UPLOADED, Status.ERRORED})
IN_PROGRESS = frozenset(Status) - TERMINAL


class Phase(NamedTuple):
    """A *status* and the unix time *at* which it begins."""

    status: Status
    at: float


class RecordingDetails(TypedDict, total=False):
    """The fields of a `Recording` that `Recording.scripted` passes on."""

    id: str
    session_id: str | None
    file_size_bytes: int
    output_file_name: str
    bucket_enabled: bool
    storage_type: str | None
    audio: bool
    track: bool
    zero_duration: bool
    start_reason: str
    stop_reason: str | None
    vanishes_at: float
    url_refreshed_at: float | None


@dataclass(frozen=True, slots=True)
class Recording:
    """The whole life of a recording, from the call that invoked it to its file."""

    id: str
    meeting_id: str
    session_id: str | None
    phases: tuple[Phase, ...]
    file_size_bytes: int = 20_212_537
    output_file_name: str = "recording.mp4"
    bucket_enabled: bool = True
    """Whether RealtimeKit's own bucket is used; without it there is no download URL."""
    storage_type: str | None = None
    """The customer's own storage: aws, azure, digitalocean, gcs, sftp, cloudflare."""
    audio: bool = False
    """Whether the audio is also exported to a separate file."""
    track: bool = False
    """Whether there is a file, and so a URL, for each participant."""
    zero_duration: bool = False
    """Report a recording_duration of 0, as the vendor's sample of a 47 s recording does."""
    start_reason: str = "API_CALL"
    stop_reason: str | None = "ALL_PEERS_LEFT"
    vanishes_at: float = math.inf
    """When the API deletes it, as it does with recordings of an empty meeting."""
    url_refreshed_at: float | None = None
    """When its download URL is renewed for another full lifetime."""

    @classmethod
    def scripted(  # noqa: PLR0913 - one keyword for each state change
        cls,
        meeting_id: str,
        *,
        invoked_at: float,
        started_at: float | None = None,
        paused: Sequence[tuple[float, float | None]] = (),
        stopped_at: float | None = None,
        uploaded_at: float | None = None,
        errored_at: float | None = None,
        **details: Unpack[RecordingDetails],
    ) -> Self:
        """
        Create a recording from the times of its state changes.

        *paused* holds pairs of (paused at, resumed at); the last may end with None. Omitted
        changes do not happen: without *stopped_at* and *errored_at* it records forever.
        """
        moments = [
            (Status.INVOKED, invoked_at),
            (Status.RECORDING, started_at),
            *((Status.PAUSED, begin) for begin, _ in paused),
            *((Status.RECORDING, end) for _, end in paused),
            (Status.UPLOADING, stopped_at),
            (Status.UPLOADED, uploaded_at),
            (Status.ERRORED, errored_at),
        ]
        phases = sorted((Phase(s, at) for s, at in moments if at is not None), key=lambda p: p.at)
        all_details: RecordingDetails = {
            "id": str(uuid.uuid5(_NAMESPACE, f"recording/{meeting_id}/{invoked_at!r}")),
            "session_id": str(uuid.uuid5(_NAMESPACE, f"session/{meeting_id}/{invoked_at!r}")),
            "output_file_name": file_name(
                meeting_id, invoked_at, track=details.get("track", False)
            ),
            **details,
        }
        return cls(meeting_id=meeting_id, phases=tuple(phases), **all_details)

    @property
    def invoked_at(self) -> float:
        """When it was invoked."""
        return self.phases[0].at

    @property
    def started_at(self) -> float | None:
        """When RECORDING begins, if it ever does."""
        return next((phase.at for phase in self.phases if phase.status == Status.RECORDING), None)

    @property
    def stopped_at(self) -> float | None:
        """When it stops: when the upload begins, or by an error after it has started."""
        started = False
        for phase in self.phases:
            if phase.status == Status.UPLOADING or (started and phase.status in TERMINAL):
                return phase.at
            started = started or phase.status == Status.RECORDING
        return None

    @property
    def recorded_seconds(self) -> float:
        """The total time recorded, without pauses; 0 if it never ends."""
        return sum(
            later.at - earlier.at
            for earlier, later in pairwise(self.phases)
            if earlier.status == Status.RECORDING
        )

    def url_expires_at(self, now: float) -> float | None:
        """Return when the download URL valid at *now* expires, or None if it never gets one."""
        made_at, refreshed_at = self.stopped_at, self.url_refreshed_at
        if made_at is None or not self.bucket_enabled:
            return None
        if refreshed_at is not None and refreshed_at <= now:
            made_at = refreshed_at
        return made_at + URL_LIFETIME_SECONDS

    def status(self, now: float) -> Status | None:
        """Return the state at *now*: None before it is invoked and after the API deletes it."""
        if now >= self.vanishes_at:
            return None
        for status, begins_at in self.phases[::-1]:
            if begins_at <= now:
                return status
        return None

    def is_active(self, now: float, linger_seconds: float = 0.0) -> bool:
        """Return whether it is in progress, or ended less than *linger_seconds* ago."""
        status = self.status(now)
        if status in TERMINAL:
            return now - self.phases[-1].at < linger_seconds
        return status is not None


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting: the room in which sessions take place."""

    id: str
    title: str = "Untitled meeting"
    record_on_start: bool = False
    active: bool = True
    """Whether people can join it."""
    created_at: float = 1_700_000_000.0
    bucket_enabled: bool = True
    storage_type: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session of a meeting, with people in the room from *started_at* to *ended_at*."""

    id: str
    meeting_id: str
    started_at: float
    ended_at: float | None = None
    live_participants: int = 2
    """The number of participants while it is live."""

    def is_live(self, now: float) -> bool:
        """Return whether people are in the room at *now*."""
        return self.started_at <= now and (self.ended_at is None or now < self.ended_at)


def file_name(meeting_id: str, invoked_at: float, *, track: bool) -> str:
    """Return the name that the API gives the file of a recording."""
    suffix = "_{{peer_id}}.webm" if track else ".mp4"
    return f"{meeting_id}_{int(invoked_at * 1000)}{suffix}"
