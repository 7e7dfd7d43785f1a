"""
What happens in the simulated account: meetings, sessions and the lives of recordings.

All of it is data with a time attached; the state at any moment follows from it by pure functions.
"""

import math
import uuid

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple, Protocol, Self, TypedDict, Unpack


URL_LIFETIME_SECONDS = 7 * 86_400.0
"""Download URLs live for seven days after the recording stopped ("Start recording" page)."""

_NAMESPACE = uuid.UUID("5b1c3c2e-7d0a-4d55-9a3f-0c6f3b5d2e11")


class Status(StrEnum):
    """The states of a recording, as the endpoint's page lists them."""

    INVOKED = "INVOKED"
    RECORDING = "RECORDING"
    PAUSED = "PAUSED"
    UPLOADING = "UPLOADING"
    UPLOADED = "UPLOADED"
    ERRORED = "ERRORED"


TERMINAL = frozenset({Status.UPLOADED, Status.ERRORED})
UNDER_WAY = frozenset(Status) - TERMINAL


class Phase(NamedTuple):
    """A *status* and the unix seconds *at* which it begins."""

    status: Status
    at: float


class RecordingDetails(TypedDict, total=False):
    """The fields of a `Recording` that `Recording.scripted` hands through."""

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
    """A recording's whole life, from the call that invoked it to its file."""

    id: str
    meeting_id: str
    session_id: str | None
    phases: tuple[Phase, ...]
    file_size_bytes: int = 20_212_537
    output_file_name: str = "recording.mp4"
    bucket_enabled: bool = True
    """Without RealtimeKit's own bucket no download URL is ever made."""
    storage_type: str | None = None
    """The customer's own storage: aws, azure, digitalocean, gcs, sftp, cloudflare."""
    audio: bool = False
    """Whether the audio is exported to a file of its own."""
    track: bool = False
    """Track recordings have a file for each participant, and a list of URLs."""
    zero_duration: bool = False
    """Report a recording_duration of 0, as the vendor's sample of a 47 s recording does."""
    start_reason: str = "API_CALL"
    stop_reason: str | None = "ALL_PEERS_LEFT"
    vanishes_at: float = math.inf
    """From when on the API denies that it ever was (recordings of an empty meeting)."""
    url_refreshed_at: float | None = None
    """From when on its download URL lives for a whole lifetime again."""

    @classmethod
    def scripted(  # noqa: PLR0913 - one keyword for each moment in a recording's life
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
        Write a recording from the moments at which it changed.

        *paused* holds pairs of (paused at, resumed at); the last may end with None. Moments left
        out do not happen: without *stopped_at* and *errored_at* it records for ever.
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
        suffix = "_{{peer_id}}.webm" if details.get("track") else ".mp4"
        name = f"{meeting_id}_{int(invoked_at * 1000)}{suffix}"
        all_details: RecordingDetails = {
            "id": str(uuid.uuid5(_NAMESPACE, f"recording/{meeting_id}/{invoked_at!r}")),
            "session_id": str(uuid.uuid5(_NAMESPACE, f"session/{meeting_id}/{invoked_at!r}")),
            "output_file_name": name,
            **details,
        }
        return cls(meeting_id=meeting_id, phases=tuple(phases), **all_details)

    @property
    def invoked_at(self) -> float:
        """When it was asked for."""
        return self.phases[0].at

    @property
    def started_at(self) -> float | None:
        """When a worker began to record, if one ever does."""
        return next((phase.at for phase in self.phases if phase.status == Status.RECORDING), None)

    @property
    def stopped_at(self) -> float | None:
        """When it stopped recording: on upload, or by an error after it had started."""
        started = False
        for phase in self.phases:
            if phase.status == Status.UPLOADING or (started and phase.status in TERMINAL):
                return phase.at
            started = started or phase.status == Status.RECORDING
        return None

    @property
    def recorded_seconds(self) -> float:
        """How long it recorded in all, pauses not counted; 0 while it never ends."""
        return sum(
            later.at - earlier.at
            for earlier, later in pairwise(self.phases)
            if earlier.status == Status.RECORDING
        )

    def url_expires_at(self, now: float) -> float | None:
        """Tell when the download URL of *now* expires, if it has one once uploaded."""
        made_at, refreshed_at = self.stopped_at, self.url_refreshed_at
        if made_at is None or not self.bucket_enabled:
            return None
        if refreshed_at is not None and refreshed_at <= now:
            made_at = refreshed_at
        return made_at + URL_LIFETIME_SECONDS

    def status(self, now: float) -> Status | None:
        """Tell the state at *now*, or None before it was invoked and once it has vanished."""
        if now >= self.vanishes_at:
            return None
        for status, begins_at in self.phases[::-1]:
            if begins_at <= now:
                return status
        return None

    def is_active(self, now: float, linger_seconds: float = 0.0) -> bool:
        """Tell whether it is under way, or ended less than *linger_seconds* ago."""
        status = self.status(now)
        if status in TERMINAL:
            return now - self.phases[-1].at < linger_seconds
        return status is not None


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting, the room that sessions are held in again and again."""

    id: str
    title: str = "Untitled meeting"
    record_on_start: bool = False
    active: bool = True
    """Nobody can join an inactive meeting."""
    created_at: float = 1_700_000_000.0
    bucket_enabled: bool = True
    storage_type: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session of a meeting: people are in the room from *started_at* to *ended_at*."""

    id: str
    meeting_id: str
    started_at: float
    ended_at: float | None = None
    live_participants: int = 2
    """How many are in the room while it is live; nobody is afterwards."""

    def is_live(self, now: float) -> bool:
        """Tell whether people are in the room at *now*."""
        return self.started_at <= now and (self.ended_at is None or now < self.ended_at)


class Story(Protocol):
    """What a simulated account contains at any time *now*; all sequences newest first."""

    @property
    def longest_seconds(self) -> float:
        """How long a recording can be under way; it spares lists a look at older ones."""
        ...

    def meetings(self) -> Sequence[Meeting]:
        """Return all meetings, oldest first."""
        ...

    def meeting(self, meeting_id: str) -> Meeting | None:
        """Return one meeting."""
        ...

    def recordings(
        self, now: float, *, meeting_id: str | None = None, since: float = -math.inf
    ) -> Sequence[Recording]:
        """Return what was invoked from *since* to *now*, of one meeting or of all."""
        ...

    def active(
        self, meeting_id: str, now: float, linger_seconds: float = 0.0
    ) -> Sequence[Recording]:
        """Return the recordings of a meeting that are under way, or ended a moment ago."""
        ...

    def recording(self, recording_id: str, now: float) -> Recording | None:
        """Return one recording, if it exists by *now*."""
        ...

    def sessions(self, now: float, *, meeting_id: str | None = None) -> Sequence[Session]:
        """Return the sessions begun by *now*, of one meeting or of all."""
        ...

    def session(self, session_id: str, now: float) -> Session | None:
        """Return one session, if it has begun by *now*."""
        ...
