"""Plans for sessions: how long each state of the recording lasts, and how it ends."""

import random

from typing import NamedTuple

from rk_exporter.simulator.scenarios.model import Status
from rk_exporter.simulator.scenarios.pace import Pace


Steps = tuple[tuple[Status, float], ...]
"""States with their durations in seconds; a final state (UPLOADED, ERRORED) lasts 0 s."""

_ENDS_ERRORED = (Status.ERRORED, 0.0)
_ENDS_UPLOADED = (Status.UPLOADED, 0.0)


class SessionPlan(NamedTuple):
    """A session without a start time: all times are relative to it."""

    lead_seconds: float
    """Time from the start of the session to the call that invokes the recording."""
    steps: Steps
    """The states of the recording; empty if nobody records."""
    session_seconds: float
    vanishes: bool = False
    empty_file: bool = False

    def total_seconds(self) -> float:
        """Return the time until both the session and its recording have ended."""
        recording = self.lead_seconds + sum([seconds for _, seconds in self.steps])
        return max(recording, self.session_seconds)


def draw_session_plan(rng: random.Random, pace: Pace, *, record_on_start: bool) -> SessionPlan:
    """Draw a session from *pace*."""
    lead = 0.0 if record_on_start else rng.uniform(*pace.lead_seconds)
    if rng.random() < pace.unrecorded_share:
        return SessionPlan(lead, (), rng.uniform(*pace.recording_seconds))
    defect = _draw_defect(rng, pace)
    if defect == "stuck_invoked":
        stuck = rng.uniform(*pace.stuck_seconds)
        steps: Steps = ((Status.INVOKED, stuck), _ENDS_ERRORED)
        return SessionPlan(lead, steps, lead + min(stuck, rng.uniform(*pace.recording_seconds)))
    invoked = (Status.INVOKED, rng.uniform(*pace.invoked_seconds))
    if defect == "vanished":
        steps = (invoked, (Status.RECORDING, rng.uniform(*pace.vanishing_seconds)))
        # The API deletes the file because the room is empty: the session has just ended.
        return SessionPlan(lead, steps, lead + invoked[1], vanishes=True)
    steps = (invoked, *_draw_rest(rng, pace, defect))
    in_room = (Status.INVOKED, Status.RECORDING, Status.PAUSED)
    session_seconds = lead + sum(seconds for status, seconds in steps if status in in_room)
    empty_file = rng.random() < pace.zero_byte_share
    return SessionPlan(lead, steps, session_seconds, empty_file=empty_file)


def _draw_defect(rng: random.Random, pace: Pace) -> str:
    """Draw the defect of a recording; most have none ("")."""
    roll = rng.random()
    for defect, share in (
        ("stuck_invoked", pace.stuck_invoked_share),
        ("stuck_uploading", pace.stuck_uploading_share),
        ("vanished", pace.vanished_share),
        ("short", pace.short_share),
        ("errored", pace.errored_share),
    ):
        roll -= share
        if roll < 0.0:
            return defect
    return ""


def _draw_rest(rng: random.Random, pace: Pace, defect: str) -> Steps:
    """Draw the states after INVOKED."""
    if defect == "short":
        return ((Status.RECORDING, rng.uniform(1.0, 4.9)), _ENDS_ERRORED)
    recorded = _draw_recorded(rng, pace)
    uploading = rng.uniform(*pace.uploading_seconds)
    if defect == "stuck_uploading":
        stuck = rng.uniform(*pace.stuck_seconds)
        end = rng.choice((_ENDS_UPLOADED, _ENDS_ERRORED))
        return (*recorded, (Status.UPLOADING, stuck), end)
    if defect != "errored":
        return (*recorded, (Status.UPLOADING, uploading), _ENDS_UPLOADED)
    # ERRORED can follow any state: no worker is found, it crashes, or the upload fails.
    return rng.choice(
        (
            (_ENDS_ERRORED,),
            (*recorded, _ENDS_ERRORED),
            (*recorded, (Status.UPLOADING, uploading), _ENDS_ERRORED),
        )
    )


def _draw_recorded(rng: random.Random, pace: Pace) -> Steps:
    """Draw the time in RECORDING, sometimes with a pause."""
    seconds = rng.uniform(*pace.recording_seconds)
    if rng.random() >= pace.paused_share:
        return ((Status.RECORDING, seconds),)
    before = seconds * rng.uniform(0.2, 0.8)
    paused = rng.uniform(*pace.paused_seconds)
    return (
        (Status.RECORDING, before),
        (Status.PAUSED, paused),
        (Status.RECORDING, seconds - before),
    )
