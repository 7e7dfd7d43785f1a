"""When alerts must fire, and what is wrong with when they did."""

import math

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.support.monitoring.simulated import EVALUATION_SECONDS, Sample


# An alert fires within its time and two scrapes, and resolves three scrapes after the recovery.
_INTERVALS_TO_FIRE = 2
_INTERVALS_TO_RESOLVE = 3

History: TypeAlias = Sequence[tuple[float, Sequence[Sample]]]
"""The firing alerts at each evaluation, with its time in seconds."""
_Firing: TypeAlias = Sequence[tuple[float, Sequence[Mapping[str, str]]]]


@dataclass(frozen=True, slots=True)
class Fires:
    """
    An alert that must fire about a trouble that *begins* and *ends* in these minutes.

    It *waits* before it fires, and *lags* behind the end, both in minutes. *count* alerts fire that
    have these *labels*. An alert that *counts_from_read* may fire two scrapes earlier, because the
    last read before the trouble was then.
    """

    alert: str
    begins: float
    waits: float
    ends: float = math.inf
    lags: float = 0
    count: int = 1
    counts_from_read: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Silent:
    """An alert that must not fire."""

    alert: str
    labels: Mapping[str, str] = field(default_factory=dict)


Expected: TypeAlias = Fires | Silent


@dataclass(frozen=True, slots=True)
class _Window:
    """When one trouble lets an alert fire, and when it must fire, in seconds."""

    first: float
    must_from: float
    must_until: float
    last: float

    @classmethod
    def of(cls, fires: Fires, interval_seconds: int) -> "_Window":
        waited = 60 * (fires.begins + fires.waits)
        recovered = 60 * fires.ends
        early = _INTERVALS_TO_FIRE * interval_seconds if fires.counts_from_read else 0
        return cls(
            first=waited - early - EVALUATION_SECONDS,
            must_from=waited + _INTERVALS_TO_FIRE * interval_seconds + EVALUATION_SECONDS,
            must_until=recovered,
            last=(
                recovered
                + 60 * fires.lags
                + _INTERVALS_TO_RESOLVE * interval_seconds
                + EVALUATION_SECONDS
            ),
        )


def problems_of(
    history: History, expected: Sequence[Expected], interval_seconds: int
) -> Iterator[str]:
    """Yield what is wrong with a history of alerts, for a scrape interval."""
    about: dict[tuple[str, frozenset[tuple[str, str]]], list[Fires]] = {}
    for item in expected:
        episodes = about.setdefault((item.alert, frozenset(item.labels.items())), [])
        episodes += [item] if isinstance(item, Fires) else []
    for (alert, labels), episodes in about.items():
        wanted = {"alertname": alert, **dict(labels)}
        firing = [(seconds, _matching(samples, wanted)) for seconds, samples in history]
        which = f"{alert} {dict(labels)}" if labels else alert
        for problem in _problems(firing, episodes, interval_seconds):
            yield f"{which} {problem}; it fired {_times(firing)}"


def _matching(samples: Sequence[Sample], wanted: Mapping[str, str]) -> list[Mapping[str, str]]:
    return [sample.labels for sample in samples if wanted.items() <= sample.labels.items()]


def _problems(firing: _Firing, episodes: Sequence[Fires], interval_seconds: int) -> Iterator[str]:
    windows = [(_Window.of(fires, interval_seconds), fires.count) for fires in episodes]
    for seconds, alerts in firing:
        count = len(alerts)
        must = sum(n for window, n in windows if window.must_from <= seconds <= window.must_until)
        may = sum(n for window, n in windows if window.first <= seconds <= window.last)
        if not must <= count <= may:
            yield f"must fire {_times_over(must, may)} at {_minute(seconds)}, not {count} times"
            return
    due = sum(n for window, n in windows if window.must_from <= firing[-1][0])
    if (begun := _begun(firing)) != due:
        yield f"must begin to fire {due} times, not {begun} times"


def _begun(firing: _Firing) -> int:
    """Return how many alerts began to fire. An alert with other labels is another alert."""
    begun, before = 0, set[frozenset[tuple[str, str]]]()
    for _, alerts in firing:
        now = {frozenset(labels.items()) for labels in alerts}
        begun += len(now - before)
        before = now
    return begun


def _times_over(must: int, may: int) -> str:
    return f"{must} times" if must == may else f"{must} to {may} times"


def _times(firing: _Firing) -> str:
    """Return when alerts fired, e.g. "from 5 min to 7.5 min, from 9 min"."""
    spans: list[list[float]] = []
    is_firing = False
    for seconds, alerts in firing:
        if alerts and not is_firing:
            spans.append([seconds])
        if not alerts and is_firing:
            spans[-1].append(seconds)
        is_firing = bool(alerts)
    texts = ["from " + " to ".join(map(_minute, span)) for span in spans]
    return ", ".join(texts) or "never"


def _minute(seconds: float) -> str:
    return f"{seconds / 60:g} min"
