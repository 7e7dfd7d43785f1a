from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from itertools import permutations
from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.model.recording import Kind, Outcome, Status
from rk_exporter.tracking.counters import Histogram, RecordingCounters, is_possible


# The possible next states, step by step.
NEXT: Mapping[Status, set[Status]] = {
    Status.INVOKED: {Status.RECORDING, Status.ERRORED},
    Status.RECORDING: {Status.PAUSED, Status.UPLOADING, Status.ERRORED},
    Status.PAUSED: {Status.RECORDING, Status.UPLOADING, Status.ERRORED},
    Status.UPLOADING: {Status.UPLOADED, Status.ERRORED},
    Status.UPLOADED: set(),
    Status.ERRORED: set(),
}

WHOLE = st.integers(-1000, 1000).map(float)
BOUNDS = st.lists(WHOLE, min_size=1, max_size=8, unique=True).map(
    lambda bounds: tuple(sorted(bounds))
)
EVENTS: st.SearchStrategy[Callable[[RecordingCounters], RecordingCounters]] = st.one_of(
    st.builds(lambda delay: lambda counters: counters.start(delay), st.none() | WHOLE),
    st.builds(lambda outcome: lambda counters: counters.finish(outcome), st.sampled_from(Outcome)),
    st.builds(lambda delay: lambda counters: counters.upload(delay), WHOLE),
    st.builds(lambda count: lambda counters: counters.drop(count), st.integers(1, 9)),
    st.builds(
        lambda before, after: lambda counters: counters.move(before, after),
        st.sampled_from(Status),
        st.sampled_from(Status),
    ),
)


def after_all(events: list[Callable[[RecordingCounters], RecordingCounters]]) -> RecordingCounters:
    counters = RecordingCounters()
    for event in events:
        counters = event(counters)
    return counters


COUNTERS = st.lists(EVENTS, max_size=9).map(after_all)


def changes(before: RecordingCounters, after: RecordingCounters) -> dict[str, float]:
    """Return the counts that differ from *before*, and the differences."""
    return {
        key: number - flat(before).get(key, 0)
        for key, number in flat(after).items()
        if number != flat(before).get(key, 0)
    }


def flat(counters: RecordingCounters) -> dict[str, float]:
    return {
        f"{field.name} {key}".strip(): number
        for field in fields(counters)
        for key, number in numbers(getattr(counters, field.name))
    }


def numbers(counted: Any) -> Iterator[tuple[str, float]]:
    match counted:
        case Histogram():
            yield "sum", counted.total
            yield from ((str(at), count) for at, count in enumerate(counted.counts))
        case {}:
            for key, inner in counted.items():
                yield from ((f"{key} {rest}".strip(), number) for rest, number in numbers(inner))
        case _:
            yield "", counted


class TestHistogram:
    """Values counted in buckets."""

    @given(BOUNDS, st.lists(WHOLE, max_size=30))
    def test_counts(self, bounds: tuple[float, ...], values: list[float]) -> None:
        """A bucket counts the values above the previous bound, up to and including its own."""
        histogram = Histogram.empty(bounds)
        for value in [*values, *bounds]:
            histogram = histogram.observe(value)
        observed = sorted([*values, *bounds])
        upto = [sum(1 for value in observed if value <= bound) for bound in bounds]
        expected = [
            more - less for less, more in zip([0, *upto], [*upto, len(observed)], strict=True)
        ]
        assert tuple(expected) == histogram.counts
        assert sum(observed) == histogram.total
        assert bounds == histogram.bounds

    def test_frozen(self) -> None:
        """Another value does not change the histogram in a snapshot."""
        before = Histogram.empty((1.0, 2.0)).observe(1.5)
        before.observe(9.0)
        assert Histogram((1.0, 2.0), (0, 1, 0), 1.5) == before


class TestCounters:
    """The counters of an app."""

    def test_start_at_zero(self) -> None:
        """All outcomes and all possible transitions start at 0."""
        counters = RecordingCounters()
        assert set(Outcome) == set(counters.finished)
        moves = [(before, to) for before, onwards in counters.transitions.items() for to in onwards]
        documented = [status for status in Status if status is not Status.UNKNOWN]
        possible = {pair for pair in permutations(documented, 2) if is_possible(*pair)}
        assert possible == set(moves)
        assert not any(flat(counters).values())

    @given(COUNTERS, st.none() | WHOLE)
    def test_start(self, counters: RecordingCounters, delay: float | None) -> None:
        """A start counts once, with its delay if known; a negative delay is 0."""
        expected: dict[str, float] = {"started": 1}
        if delay is not None:
            seconds = max(0.0, delay)
            at = bisect_left(counters.start_delay.bounds, seconds)
            expected |= {f"start_delay {at}": 1} | ({"start_delay sum": seconds} if seconds else {})
        assert expected == changes(counters, counters.start(delay))

    @given(COUNTERS, st.sampled_from(Kind), WHOLE)
    def test_recorded(self, counters: RecordingCounters, kind: Kind, number: float) -> None:
        """Lengths and sizes add up by kind."""
        number = abs(number)
        expected = {f"recorded_seconds {kind}": number} if number else {}
        assert expected == changes(counters, counters.record_duration(kind, number))
        expected = {f"recorded_bytes {kind}": number} if number else {}
        assert expected == changes(counters, counters.record_size(kind, number))

    @given(COUNTERS, st.sampled_from(Outcome))
    def test_finish(self, counters: RecordingCounters, outcome: Outcome) -> None:
        """An end counts once, by its outcome."""
        assert {f"finished {outcome}": 1} == changes(counters, counters.finish(outcome))

    @given(COUNTERS, WHOLE)
    def test_upload(self, counters: RecordingCounters, delay: float) -> None:
        """An upload counts as one delay; a negative delay is 0."""
        seconds = max(0.0, delay)
        at = bisect_left(counters.upload_delay.bounds, seconds)
        expected = {f"upload_delay {at}": 1} | ({"upload_delay sum": seconds} if seconds else {})
        assert expected == changes(counters, counters.upload(delay))

    @given(COUNTERS, st.integers(1, 9))
    def test_drop(self, counters: RecordingCounters, count: int) -> None:
        """Dropped recordings count by their number."""
        assert {"dropped": count} == changes(counters, counters.drop(count))

    @given(COUNTERS, st.sampled_from(Status), st.sampled_from(Status))
    def test_move(self, counters: RecordingCounters, before: Status, after: Status) -> None:
        """A transition counts once, even an impossible one."""
        assert {f"transitions {before} {after}": 1} == changes(
            counters, counters.move(before, after)
        )

    @given(COUNTERS, EVENTS)
    def test_frozen(
        self, counters: RecordingCounters, event: Callable[[RecordingCounters], RecordingCounters]
    ) -> None:
        """Another event does not change the counters in a snapshot."""
        before = flat(counters)
        event(counters)
        assert before == flat(counters)

    @given(COUNTERS)
    def test_resumed(self, counters: RecordingCounters) -> None:
        """Counters of this version continue unchanged."""
        assert counters == counters.resumed()

    @pytest.mark.parametrize(
        "odd",
        [
            pytest.param(Histogram((1.0,), (2, 3), 9.0), id="other bounds"),
            pytest.param(
                Histogram(RecordingCounters().start_delay.bounds, (2,), 9.0),
                id="counts are missing",
            ),
        ],
    )
    def test_other_buckets(self, odd: Histogram) -> None:
        """A histogram with the buckets of another version starts at 0; other counts continue."""
        saved = RecordingCounters().start(2.0).upload(3.0).finish(Outcome.ERRORED)
        other_starts = replace(saved, start_delay=odd).resumed()
        assert {"start_delay 2": -1, "start_delay sum": -2} == changes(saved, other_starts)
        assert 1 == sum(other_starts.start(1.0).start_delay.counts)
        other_uploads = replace(saved, upload_delay=odd).resumed()
        assert {"upload_delay 0": -1, "upload_delay sum": -3} == changes(saved, other_uploads)
        assert 1 == sum(other_uploads.upload(1.0).upload_delay.counts)

    def test_missing_counts(self) -> None:
        """Outcomes and transitions that another version did not count start at 0."""
        moved = {Status.UNKNOWN: {Status.PAUSED: 4}, Status.INVOKED: {Status.RECORDING: 5}}
        old = replace(RecordingCounters(), finished={Outcome.ERRORED: 3}, transitions=moved)
        assert {
            "finished errored": 3,
            "transitions UNKNOWN PAUSED": 4,
            "transitions INVOKED RECORDING": 5,
        } == changes(RecordingCounters(), old.resumed())
        assert flat(RecordingCounters()).keys() <= flat(old.resumed()).keys()
        assert 1 == old.resumed().finish(Outcome.VANISHED).finished[Outcome.VANISHED]


class TestTransitions:
    """Which states can follow each other."""

    @pytest.mark.parametrize("before", NEXT)
    def test_possible(self, before: Status) -> None:
        """Every later state is possible, and no other."""
        later = set(NEXT[before])
        for _ in Status:
            later |= {further for status in later for further in NEXT[status]}
        expected = later - {before}
        assert expected == {
            after for after in NEXT if after != before and is_possible(before, after)
        }

    @pytest.mark.parametrize("status", Status)
    def test_unknown(self, status: Status) -> None:
        """Undocumented states allow everything."""
        assert is_possible(status, Status.UNKNOWN)
        assert is_possible(Status.UNKNOWN, status)
