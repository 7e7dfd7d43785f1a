"""What a meeting does in a block of time: drawn at once, from a generator of its own."""

import math

from random import Random
from typing import NamedTuple, TypeAlias

from rk_exporter.simulator.pace import Pace
from rk_exporter.simulator.story import Meeting, Phase, Recording, Session, Status
from rk_exporter.simulator.takes import Take, draw_take
from rk_exporter.simulator.titles import draw_title


_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_BYTES_PER_SECOND = 300e6 / 3600
"""About 300 MB for each recorded hour ("Start recording" page)."""


class Episode(NamedTuple):
    """A session, its recording if there is one, and when both have ended."""

    session: Session
    recording: Recording | None
    ends_at: float


class Cast(NamedTuple):
    """A meeting with what its blocks depend on."""

    meeting: Meeting
    busy: bool
    """Whether anything ever happens in it."""
    offset: float
    """By which part of a block (0 to 1) its blocks begin later than others'."""
    audio: bool
    track: bool


Block: TypeAlias = tuple[Episode, ...]
"""Oldest first; an episode begins when the one before has ended."""


def draw_cast(rng: Random, pace: Pace, starts_at: float) -> Cast:
    """Draw a meeting; one in twelve has the room name of a V1 meeting for an id."""
    v1 = rng.random() < 1 / 12
    letters = "".join(rng.choices(_LETTERS, k=12))
    meeting = Meeting(
        id=f"{letters[:6]}-{letters[6:]}" if v1 else _draw_uuid(rng),
        title=draw_title(rng),
        record_on_start=rng.random() < 1 / 3,
        created_at=round(starts_at - rng.uniform(30.0, 400.0) * 86_400.0, 3),
        bucket_enabled=rng.random() >= 1 / 40,
        storage_type="aws" if rng.random() < 1 / 6 else None,
    )
    busy = rng.random() < pace.busy_share
    offset, audio, track = rng.random(), rng.random() < 1 / 10, rng.random() < 1 / 40
    return Cast(meeting, busy, offset, audio, track)


def draw_block(rng: Random, cast: Cast, pace: Pace, begins_at: float) -> Block:
    """Draw what happens in a block of one meeting; all that begins in it ends in it."""
    planned: list[tuple[float, Take, float]] = []
    left = pace.block_seconds
    while True:
        idle = rng.uniform(*pace.idle_seconds)
        take = draw_take(rng, pace, record_on_start=cast.meeting.record_on_start)
        seconds = take.total_seconds()
        if idle + seconds > left:
            break
        left -= idle + seconds
        planned.append((idle, take, seconds))
    # What is left is spread over all idle times: at the end alone it would show.
    extra = left / max(len(planned), 1)
    episodes = []
    at = begins_at
    for idle, take, seconds in planned:
        at += idle + extra
        episodes.append(_perform(rng, cast, take, at))
        at += seconds
    return tuple(episodes)


def _perform(rng: Random, cast: Cast, take: Take, at: float) -> Episode:
    """Put a take into time, beginning *at*."""
    left_at = round(at + take.session_seconds, 3)
    session = Session(
        id=_draw_uuid(rng),
        meeting_id=cast.meeting.id,
        started_at=round(at, 3),
        ended_at=left_at,
        live_participants=rng.randint(2, 12),
    )
    if not take.steps:
        return Episode(session, None, left_at)
    recording = _record(rng, cast, take, session)
    ended_at = recording.vanishes_at if take.vanishes else recording.phases[-1].at
    return Episode(session, recording, max(left_at, ended_at))


def _record(rng: Random, cast: Cast, take: Take, session: Session) -> Recording:
    """Record a *session* as *take* has it."""
    meeting = cast.meeting
    at = session.started_at + take.lead_seconds
    phases = []
    recorded_seconds = 0.0
    for status, seconds in take.steps:
        phases.append(Phase(status, round(at, 3)))
        at += seconds
        recorded_seconds += seconds if status == Status.RECORDING else 0.0
    file_size = int(recorded_seconds * _BYTES_PER_SECOND * rng.uniform(0.8, 1.2))
    stem = f"{meeting.id}_{int(phases[0].at * 1000)}"
    stopped_by_call = rng.random() < 1 / 4
    errored = take.steps[-1][0] == Status.ERRORED
    return Recording(
        id=_draw_uuid(rng),
        meeting_id=meeting.id,
        session_id=session.id,
        phases=tuple(phases),
        file_size_bytes=0 if take.empty_file else file_size,
        output_file_name=f"{stem}_{{{{peer_id}}}}.webm" if cast.track else f"{stem}.mp4",
        bucket_enabled=meeting.bucket_enabled,
        storage_type=meeting.storage_type,
        audio=cast.audio,
        track=cast.track,
        start_reason="RECORD_ON_START" if meeting.record_on_start else "API_CALL",
        stop_reason=(
            "INTERNAL_ERROR" if errored else "API_CALL" if stopped_by_call else "ALL_PEERS_LEFT"
        ),
        vanishes_at=round(at, 3) if take.vanishes else math.inf,
    )


def _draw_uuid(rng: Random) -> str:
    """Draw the text of a random UUID."""
    digits = f"{rng.getrandbits(128):032x}"
    # Version and variant are fixed digits; the class UUID takes three times as long.
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def generator(seed: str) -> Random:
    """Seed a generator; text seeds give the same numbers everywhere."""
    return Random(seed)  # noqa: S311 - a story for tests needs repeatable chance, not secrecy
