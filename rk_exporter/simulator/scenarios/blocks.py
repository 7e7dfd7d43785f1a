"""Generate what happens in one meeting during one block of time."""

import math

from random import Random
from typing import NamedTuple, TypeAlias

from rk_exporter.simulator.scenarios.model import (
    Meeting,
    Phase,
    Recording,
    Session,
    Status,
    file_name,
)
from rk_exporter.simulator.scenarios.pace import Pace
from rk_exporter.simulator.scenarios.session_plans import SessionPlan, draw_session_plan
from rk_exporter.simulator.scenarios.titles import draw_title


_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_BYTES_PER_SECOND = 300e6 / 3600
"""About 300 MB for each recorded hour ("Start recording" page)."""


class SessionRun(NamedTuple):
    """A session with its recording, if there is one, and the time when both have ended."""

    session: Session
    recording: Recording | None
    ends_at: float


class MeetingProfile(NamedTuple):
    """A meeting and the properties that determine its sessions."""

    meeting: Meeting
    busy: bool
    """Whether it has sessions at all."""
    offset: float
    """The shift of its blocks, as a fraction of a block (0 to 1)."""
    audio: bool
    track: bool


Block: TypeAlias = tuple[SessionRun, ...]
"""The sessions of a meeting in a block of time, oldest first; they do not overlap."""


def draw_meeting_profile(rng: Random, pace: Pace, starts_at: float) -> MeetingProfile:
    """Draw a meeting; the id of one in twelve is the room name of a V1 meeting."""
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
    return MeetingProfile(meeting, busy, offset, audio, track)


def draw_block(rng: Random, profile: MeetingProfile, pace: Pace, begins_at: float) -> Block:
    """Draw one block of a meeting; each session that begins in the block ends in it."""
    planned: list[tuple[float, SessionPlan, float]] = []
    left = pace.block_seconds
    while True:
        idle = rng.uniform(*pace.idle_seconds)
        plan = draw_session_plan(rng, pace, record_on_start=profile.meeting.record_on_start)
        seconds = plan.total_seconds()
        if idle + seconds > left:
            break
        left -= idle + seconds
        planned.append((idle, plan, seconds))
    # Spread the remaining time evenly; otherwise each block would end with a visible gap.
    extra = left / max(len(planned), 1)
    runs = []
    at = begins_at
    for idle, plan, seconds in planned:
        at += idle + extra
        runs.append(_run_session(rng, profile, plan, at))
        at += seconds
    return tuple(runs)


def _run_session(rng: Random, profile: MeetingProfile, plan: SessionPlan, at: float) -> SessionRun:
    """Turn a plan into a session that starts *at* a time."""
    session_ends_at = round(at + plan.session_seconds, 3)
    session = Session(
        id=_draw_uuid(rng),
        meeting_id=profile.meeting.id,
        started_at=round(at, 3),
        ended_at=session_ends_at,
        live_participants=rng.randint(2, 12),
    )
    if not plan.steps:
        return SessionRun(session, None, session_ends_at)
    recording = _record(rng, profile, plan, session)
    ends_at = recording.vanishes_at if plan.vanishes else recording.phases[-1].at
    return SessionRun(session, recording, max(session_ends_at, ends_at))


def _record(rng: Random, profile: MeetingProfile, plan: SessionPlan, session: Session) -> Recording:
    """Create the recording that *plan* describes for a *session*."""
    meeting = profile.meeting
    at = session.started_at + plan.lead_seconds
    phases = []
    recorded_seconds = 0.0
    for status, seconds in plan.steps:
        phases.append(Phase(status, round(at, 3)))
        at += seconds
        recorded_seconds += seconds if status == Status.RECORDING else 0.0
    file_size = int(recorded_seconds * _BYTES_PER_SECOND * rng.uniform(0.8, 1.2))
    stopped_by_call = rng.random() < 1 / 4
    errored = plan.steps[-1][0] == Status.ERRORED
    return Recording(
        id=_draw_uuid(rng),
        meeting_id=meeting.id,
        session_id=session.id,
        phases=tuple(phases),
        file_size_bytes=0 if plan.empty_file else file_size,
        output_file_name=file_name(meeting.id, phases[0].at, track=profile.track),
        bucket_enabled=meeting.bucket_enabled,
        storage_type=meeting.storage_type,
        audio=profile.audio,
        track=profile.track,
        start_reason="RECORD_ON_START" if meeting.record_on_start else "API_CALL",
        stop_reason=(
            "INTERNAL_ERROR" if errored else "API_CALL" if stopped_by_call else "ALL_PEERS_LEFT"
        ),
        vanishes_at=round(at, 3) if plan.vanishes else math.inf,
    )


def _draw_uuid(rng: Random) -> str:
    """Draw a random UUID as text."""
    digits = f"{rng.getrandbits(128):032x}"
    # The UUID class takes three times as long; version and variant are constant digits here.
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
