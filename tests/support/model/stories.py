"""Stories of simulated apps: which recordings their meetings have, and when each changes."""

import math
import random

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any

from rk_exporter.simulator import (
    URL_LIFETIME_SECONDS,
    Meeting,
    Recording,
    ScriptedScenario,
    Session,
)


# Shorter than two scrapes, or longer than most of them.
_SECONDS = (1.0, 3.0, 14.0, 31.0, 75.0, 180.0, 400.0)
_EARLIER_SECONDS = 1500.0
# When the files of two recordings of each meeting expire, a week after they were made.
_EXPIRES_IN_SECONDS = ((0.0, 7200.0), (7200.0, 4 * 86_400.0))


@dataclass(frozen=True, slots=True)
class Story:
    """The *recordings* of one app, its *meetings*, and when people are in these."""

    meetings: tuple[Meeting, ...]
    recordings: tuple[Recording, ...]
    sessions: tuple[Session, ...]
    scenario: ScriptedScenario = field(init=False)
    """The same for a simulator."""
    changes: Mapping[tuple[str, str], Sequence[float]] = field(init=False)
    """When recordings may be seen in a state after they were seen in another one, in order."""

    def __post_init__(self) -> None:
        scenario = ScriptedScenario(
            meetings=self.meetings, recordings=self.recordings, sessions=self.sessions
        )
        object.__setattr__(self, "scenario", scenario)
        changes: dict[tuple[str, str], list[float]] = {}
        for before, after, at in sorted(
            chain.from_iterable(map(_changes, self.recordings)), key=itemgetter(2)
        ):
            changes.setdefault((before, after), []).append(at)
        object.__setattr__(self, "changes", changes)


def story(
    seed: str, meetings: Sequence[str], *, begin: float, seconds: float, idle_seconds: float = 20.0
) -> Story:
    """
    Return a story that depends on *seed* only: recordings from before *begin* until the end.

    A meeting has one recording at a time, and pauses of *idle_seconds* and more between two.
    """
    chance = random.Random(seed)  # noqa: S311 # not a secret
    recordings: list[Recording] = []
    sessions: list[Session] = []
    for meeting_id in meetings:
        for expires_in in _EXPIRES_IN_SECONDS:
            stopped_at = begin + chance.uniform(*expires_in) - URL_LIFETIME_SECONDS
            recordings.append(_with_file(chance, meeting_id, round(stopped_at, 3)))
        now = begin - chance.uniform(0.0, _EARLIER_SECONDS)
        while now < begin + seconds:
            recording = _recording(chance, meeting_id, round(now, 3))
            recordings.append(recording)
            sessions += _sessions(chance, recording, begin=now - idle_seconds / 2)
            now = _end(recording) + idle_seconds + _duration(chance)
    titled = [
        Meeting(x, title=f"Title of {x}", record_on_start=chance.random() < 0.5) for x in meetings
    ]
    return Story(tuple(titled), tuple(recordings), tuple(sessions))


def _sessions(chance: random.Random, recording: Recording, *, begin: float) -> Iterator[Session]:
    """
    Return when people are in the meeting of a recording, from *begin* at the earliest.

    Perhaps nobody is; perhaps they leave for a while, before the recording ends or after it.
    """
    moments = sorted(
        chance.uniform(begin, _end(recording)) for _ in range(chance.choice((0, 2, 2, 4)))
    )
    if len(moments) == 2 and chance.random() < 0.7:
        moments = [begin, _end(recording)]
    for number, (joined_at, left_at) in enumerate(zip(moments[::2], moments[1::2], strict=True)):
        yield Session(
            f"{recording.id}-{number}",
            recording.meeting_id,
            started_at=round(joined_at, 3),
            ended_at=round(left_at, 3),
            live_participants=chance.randrange(1, 20),
        )


def _changes(recording: Recording) -> Iterator[tuple[str, str, float]]:
    """Return which states of a recording may be seen after which one, and when they begin."""
    states = [status for status, _ in recording.phases]
    for before in {*states}:
        first = states.index(before)
        yield from ((before, after, at) for after, at in recording.phases[first + 1 :])


def _end(recording: Recording) -> float:
    is_gone = math.isfinite(recording.vanishes_at)
    return recording.vanishes_at if is_gone else recording.phases[-1].at


def _duration(chance: random.Random) -> float:
    return round(chance.choice(_SECONDS) * chance.uniform(0.5, 1.5), 3)


def _recording(chance: random.Random, meeting_id: str, invoked_at: float) -> Recording:
    started_at = invoked_at + _duration(chance) / 4
    pauses, stopped_at = _pauses(chance, started_at)
    course = chance.choices(("uploaded", "failed", "not started", "vanished"), (16, 4, 2, 1))[0]
    moments: dict[str, Any] = {
        "uploaded": {
            "started_at": started_at,
            "stopped_at": stopped_at,
            "uploaded_at": stopped_at + _duration(chance) / 2,
        },
        "failed": {"started_at": started_at, "errored_at": stopped_at},
        "not started": {"errored_at": stopped_at},
        "vanished": {"started_at": started_at, "vanishes_at": stopped_at},
    }[course]
    return Recording.scripted(
        meeting_id,
        invoked_at=invoked_at,
        paused=[] if course == "not started" else pauses,
        file_size_bytes=chance.randrange(1, 10**9),
        bucket_enabled=chance.random() < 0.9,
        audio=chance.random() < 0.3,
        track=chance.random() < 0.15,
        session_id=None if chance.random() < 0.1 else f"session-{meeting_id}-{invoked_at:.0f}",
        zero_duration=chance.random() < 0.1,
        stop_reason=chance.choice(["ALL_PEERS_LEFT", "API_CALL"]),
        **{name: round(moment, 3) for name, moment in moments.items()},
    )


def _with_file(chance: random.Random, meeting_id: str, stopped_at: float) -> Recording:
    """Return a recording whose file is there until a week after *stopped_at*."""
    return Recording.scripted(
        meeting_id,
        invoked_at=stopped_at - 100.0,
        started_at=stopped_at - 90.0,
        stopped_at=stopped_at,
        uploaded_at=stopped_at + 20.0,
        file_size_bytes=chance.randrange(1, 10**9),
        audio=chance.random() < 0.5,
    )


def _pauses(chance: random.Random, started_at: float) -> tuple[list[tuple[float, float]], float]:
    """Return the pauses of a recording, and when it stops."""
    pauses, now = [], started_at + _duration(chance)
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        resumed_at = now + _duration(chance) / 2
        pauses.append((round(now, 3), round(resumed_at, 3)))
        now = resumed_at + _duration(chance) / 2
    return pauses, now


def states_between(recording: Recording, begin: float, end: float) -> Iterator[str | None]:
    """Return the states of a recording from *begin* to *end*; None while it does not exist."""
    yield recording.status(begin)
    changes = [at for _, at in recording.phases] + [recording.vanishes_at]
    yield from (recording.status(at) for at in sorted(changes) if begin < at <= end)
