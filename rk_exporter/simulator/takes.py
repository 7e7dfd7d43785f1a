"""One session drawn from a pace: how long each state of its recording lasts, and how it ends."""

import random

from typing import NamedTuple

from rk_exporter.simulator.pace import Pace
from rk_exporter.simulator.story import Status


Steps = tuple[tuple[Status, float], ...]
"""States with the seconds that each lasts; an end (UPLOADED, ERRORED) lasts 0."""

_ENDS_ERRORED = (Status.ERRORED, 0.0)
_ENDS_UPLOADED = (Status.UPLOADED, 0.0)


class Take(NamedTuple):
    """A session without its place in time: all figures are seconds from its start."""

    lead_seconds: float
    """From the session's start to the call that invokes the recording."""
    steps: Steps
    """Empty when nobody records."""
    session_seconds: float
    vanishes: bool = False
    empty_file: bool = False

    def total_seconds(self) -> float:
        """Tell how long it takes until both the session and its recording have ended."""
        recording = self.lead_seconds + sum([seconds for _, seconds in self.steps])
        return max(recording, self.session_seconds)


def draw_take(rng: random.Random, pace: Pace, *, record_on_start: bool) -> Take:
    """Draw a session from *pace* by way of *rng*."""
    lead = 0.0 if record_on_start else rng.uniform(*pace.lead_seconds)
    if rng.random() < pace.unrecorded_share:
        return Take(lead, (), rng.uniform(*pace.recording_seconds))
    kind = _draw_kind(rng, pace)
    if kind == "stuck_invoked":
        stuck = rng.uniform(*pace.stuck_seconds)
        steps: Steps = ((Status.INVOKED, stuck), _ENDS_ERRORED)
        return Take(lead, steps, lead + min(stuck, rng.uniform(*pace.recording_seconds)))
    invoked = (Status.INVOKED, rng.uniform(*pace.invoked_seconds))
    if kind == "vanished":
        seen = rng.uniform(*pace.vanishing_seconds)
        # The room is empty, which is why the file is thrown away: the session has just ended.
        return Take(lead, (invoked, (Status.RECORDING, seen)), lead + invoked[1], vanishes=True)
    steps = (invoked, *_draw_rest(rng, pace, kind))
    in_room = (Status.INVOKED, Status.RECORDING, Status.PAUSED)
    session_seconds = lead + sum(seconds for status, seconds in steps if status in in_room)
    empty_file = rng.random() < pace.zero_byte_share
    return Take(lead, steps, session_seconds, empty_file=empty_file)


def _draw_kind(rng: random.Random, pace: Pace) -> str:
    """Draw what is special about a recording: mostly nothing ("")."""
    roll = rng.random()
    for kind, share in (
        ("stuck_invoked", pace.stuck_invoked_share),
        ("stuck_uploading", pace.stuck_uploading_share),
        ("vanished", pace.vanished_share),
        ("short", pace.short_share),
        ("errored", pace.errored_share),
    ):
        roll -= share
        if roll < 0.0:
            return kind
    return ""


def _draw_rest(rng: random.Random, pace: Pace, kind: str) -> Steps:
    """Draw what comes after INVOKED."""
    if kind == "short":
        return ((Status.RECORDING, rng.uniform(1.0, 4.9)), _ENDS_ERRORED)
    recorded = _draw_recorded(rng, pace)
    uploading = rng.uniform(*pace.uploading_seconds)
    if kind == "stuck_uploading":
        stuck = rng.uniform(*pace.stuck_seconds)
        end = rng.choice((_ENDS_UPLOADED, _ENDS_ERRORED))
        return (*recorded, (Status.UPLOADING, stuck), end)
    if kind != "errored":
        return (*recorded, (Status.UPLOADING, uploading), _ENDS_UPLOADED)
    # ERRORED can follow any state: no worker was found, it crashed, or the upload failed.
    return rng.choice(
        (
            (_ENDS_ERRORED,),
            (*recorded, _ENDS_ERRORED),
            (*recorded, (Status.UPLOADING, uploading), _ENDS_ERRORED),
        )
    )


def _draw_recorded(rng: random.Random, pace: Pace) -> Steps:
    """Draw the time recorded, at times with a pause in it."""
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
