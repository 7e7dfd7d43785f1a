from email.utils import formatdate

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.runtime.server_clock import ServerClock, age_seconds
from tests.support.building import NOW, Time


LATENCIES = st.floats(0.0, 1.0)
DAY = 86_400.0


class Upstream:
    """An API whose clock is *ahead* of this machine's, and the server clock that learns from it."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead
        self.time = Time()
        self.clock = ServerClock(self.time)

    @property
    def offset(self) -> float:
        return self.clock.offset_seconds

    def answer(self, latency: float = 0.0) -> float:
        """Send an answer that arrives after *latency* seconds; return the offset after that."""
        date = formatdate(self.time.now + self.ahead, usegmt=True)
        self.time.now += latency
        self.clock.observe(date, took_seconds=latency)
        return self.offset

    def answers(self, count: int, *, every: float = 15.0) -> list[float]:
        """Send answers *every* few seconds; return the offset after each."""
        offsets = []
        for _ in range(count):
            self.time.advance(every)
            offsets.append(self.answer())
        return offsets

    def cached(self, seconds: float, *, age: str | None) -> float:
        """Send an answer that a cache stored *seconds* ago; return the offset after that."""
        date = formatdate(self.time.now + self.ahead - seconds, usegmt=True)
        self.clock.observe(date, age=age, took_seconds=0.0)
        return self.offset


@pytest.mark.parametrize("date", [None, "", "  "])
def test_without_a_date(date: str | None) -> None:
    """Without a Date, the API's clock counts as equal to this machine's."""
    clock = ServerClock(Time())
    clock.observe(date, took_seconds=0.0)
    assert 0 == clock.offset_seconds
    assert NOW == clock()


@given(st.floats(-0.5, 0.5), st.lists(LATENCIES, min_size=1, max_size=20))
def test_correct_clock(phase: float, latencies: list[float]) -> None:
    """Rounding and latency of a Date do not count as an offset."""
    upstream = Upstream(phase)
    assert {0.0} == {upstream.answer(latency) for latency in latencies}


@pytest.mark.parametrize("ahead", [-29 * DAY, -3600.0, -90.0, -3.0, 3.0, 90.0, 3600.0, 29 * DAY])
def test_wrong_clock(ahead: float) -> None:
    """Offsets from seconds to weeks, in both directions, are known to within a second."""
    upstream = Upstream(ahead)
    upstream.time.now += 0.7
    assert upstream.answer() == pytest.approx(ahead, abs=1)
    assert upstream.time.now + ahead == pytest.approx(upstream.clock(), abs=1)


@given(
    st.floats(-5.0, 5.0) | st.floats(-29 * DAY, 29 * DAY),
    st.lists(st.tuples(st.floats(0.0, 30.0), LATENCIES), min_size=1, max_size=30),
)
# The offset is close to the limit of rounding.
@example(2.0, [(0.0, 0.0), (0.9, 0.0), (0.2, 0.0), (0.8, 0.0)])
def test_jitter(ahead: float, answers: list[tuple[float, float]]) -> None:
    """Different latencies do not change a known offset."""
    upstream = Upstream(ahead)
    offsets = []
    for pause, latency in answers:
        upstream.time.now += pause
        offsets.append(upstream.answer(latency))
    known = [offset for offset in offsets if offset != 0]
    assert known == known[:1] * len(known)
    # A known offset does not become 0 again.
    assert offsets == sorted(offsets, key=lambda offset: offset != 0)


def test_clock_that_is_set() -> None:
    """A clock that is corrected, or set to a wrong time, counts from the third answer."""
    upstream = Upstream(300.0)
    assert upstream.answer() == pytest.approx(300, abs=1)
    upstream.ahead = 0.0
    *before, after = upstream.answers(3)
    assert before == pytest.approx([300, 300], abs=1)
    assert after == 0
    upstream.time.now += 3600
    upstream.ahead = -3600.0
    assert upstream.answers(3) == [0, 0, pytest.approx(-3600, abs=1)]


def test_clock_that_is_set_back() -> None:
    """If this machine's clock is set back, the offset changes as well, after three answers."""
    upstream = Upstream(0.0)
    upstream.answer()
    upstream.ahead, upstream.time.now = 500.0, upstream.time.now - 500
    assert upstream.answers(3) == [0, 0, pytest.approx(500, abs=1)]


class TestCaches:
    """Answers that a cache has stored."""

    @given(st.integers(0, 10_000_000), st.floats(-DAY, DAY))
    def test_age(self, seconds: int, ahead: float) -> None:
        """The Age of an answer, from a second to months, does not shift the clock."""
        upstream = Upstream(ahead)
        offset = upstream.cached(seconds, age=f" {seconds} ")
        assert offset == pytest.approx(ahead, abs=3)
        assert offset == upstream.answer()

    @pytest.mark.parametrize("age", [None, "", "-600", "600.5", "ten", "9" * 40])
    def test_without_a_usable_age(self, age: str | None) -> None:
        """An old Date without a valid Age contradicts the known time and is ignored."""
        upstream = Upstream(60.0)
        offset = upstream.answer()
        for _ in range(10):
            assert offset == upstream.cached(600.0, age=age)

    def test_one_stored_answer_again_and_again(self) -> None:
        """A stored answer gets older with each time it is sent, so it never confirms itself."""
        upstream = Upstream(60.0)
        offset = upstream.answer()
        for number in range(50):
            upstream.time.now += 15
            assert offset == upstream.cached(600.0 + 15 * number, age=None)

    def test_answers_between(self) -> None:
        """Three stored answers do not count if a fresh one comes between them."""
        upstream = Upstream(60.0)
        offset = upstream.answer()
        for _ in range(9):
            upstream.time.now += 15
            assert offset == upstream.cached(600.0, age=None)
            assert offset == upstream.answer()


@given(st.floats(-DAY, DAY), st.floats(0.0, 30.0), st.floats(0.0, 1.0))
def test_slow_answer(ahead: float, latency: float, part: float) -> None:
    """A Date that was made at any moment of a slow call does not change a known offset."""
    upstream = Upstream(ahead)
    known = upstream.answer()
    made_at = upstream.time.now + ahead + part * latency
    upstream.time.now += latency
    upstream.clock.observe(formatdate(made_at, usegmt=True), took_seconds=latency)
    assert known == upstream.offset


@pytest.mark.parametrize("ahead", [-31 * DAY, 31 * DAY, -NOW])
def test_absurd_dates(ahead: float) -> None:
    """A Date that is months away is ignored."""
    upstream = Upstream(60.0)
    offset = upstream.answer()
    upstream.ahead = ahead
    assert offset == upstream.answer() != 0


@given(
    st.sampled_from(
        [
            "now",
            "1795000000",
            "Mon, 32 Jan 2026 12:00:00 GMT",
            "Thu, 01 Jan 0000 00:00:00 GMT",
            "Fri, 31 Dec 9999 23:59:60 +9999",
            "Thu, 01 Jan 99999999999999999999 00:00:00 GMT",
        ]
    )
    | st.text(max_size=40)
    | st.lists(
        st.sampled_from(
            ["Mon,", "1", "31", "Jan", "9999", "0001", "12:00:00", "24:61", "+2359", "-"]
        )
    ).map(" ".join)
)
def test_malformed_dates(date: str) -> None:
    """An invalid or absurd Date is ignored."""
    upstream = Upstream(60.0)
    offset = upstream.answer()
    upstream.clock.observe(date, took_seconds=0.0)
    assert offset == upstream.offset


def test_spaces_around_a_date() -> None:
    """Spaces around a header's value do not count."""
    upstream = Upstream(0.0)
    upstream.clock.observe(f" {formatdate(NOW + 60, usegmt=True)}\t", took_seconds=0.0)
    assert upstream.offset == pytest.approx(60, abs=1)


@given(space=st.text(st.characters(categories=["Cc", "Zs", "Zl", "Zp"])), age=st.integers(0, 10**9))
@example(space="\x1c", age=0)
def test_spaces_around_an_age(space: str, age: int) -> None:
    """Whatever is around the number of an Age, it is the number or nothing."""
    assert age_seconds(f"{space}{age}{space}") in {age, 0.0}


@given(st.text())
def test_any_age(text: str) -> None:
    """An Age may be any text."""
    assert 0 <= age_seconds(text) < 10**9


class TestEarliest:
    """What is certain of the API's time, for decisions that cannot be taken back."""

    @pytest.mark.parametrize("ahead", [9 * DAY, -9 * DAY])
    def test_first_answer(self, ahead: float) -> None:
        """Before several answers, the earlier one of both clocks counts."""
        upstream = Upstream(ahead)
        assert NOW == upstream.clock.earliest()
        upstream.answer()
        assert upstream.clock.earliest() == pytest.approx(NOW + min(0.0, ahead), abs=1)

    @pytest.mark.parametrize("ahead", [9 * DAY, -9 * DAY, 0.0])
    def test_confirmed(self, ahead: float) -> None:
        """Three answers in ten seconds confirm the time."""
        upstream = Upstream(ahead)
        upstream.answers(3, every=5.0)
        assert upstream.clock.earliest() == pytest.approx(upstream.time.now + ahead, abs=1)

    @pytest.mark.parametrize(("answers", "every"), [(2, 60.0), (30, 0.3)])
    def test_too_few(self, answers: int, every: float) -> None:
        """Two answers, or many within a moment, confirm nothing."""
        upstream = Upstream(9 * DAY)
        upstream.answers(answers, every=every)
        assert upstream.clock.earliest() == pytest.approx(upstream.time.now, abs=1)

    def test_clock_that_jumps_early(self) -> None:
        """One answer is enough to know that a jump of this machine's clock is none of the API's."""
        upstream = Upstream(0.0)
        upstream.answer()
        upstream.time.now += 9 * DAY
        assert upstream.clock.earliest() == pytest.approx(NOW, abs=1)

    def test_one_wrong_date_at_the_start(self) -> None:
        """If only the first answer had a wrong date, its time is never certain."""
        upstream = Upstream(9 * DAY)
        upstream.answer()
        upstream.ahead = 0.0
        for _ in range(20):
            upstream.answers(1)
            assert upstream.clock.earliest() == pytest.approx(upstream.time.now, abs=1)

    @given(
        st.lists(
            st.tuples(st.floats(0.0, 600.0), st.floats(-400 * DAY, 400 * DAY), st.integers(0, 5)),
            max_size=20,
        ),
        st.floats(-29 * DAY, 29 * DAY),
    )
    def test_clock_that_jumps(self, steps: list[tuple[float, float, int]], ahead: float) -> None:
        """However this machine's clock is set, the time is never later than the API's."""
        upstream = Upstream(ahead)
        upstream.answers(3)
        for passed, jumped, answers in steps:
            upstream.time.advance(passed)
            upstream.time.now += jumped
            upstream.ahead -= jumped
            upstream.answers(answers, every=1.0)
            api_time = upstream.time.now + upstream.ahead
            assert upstream.clock.earliest() == pytest.approx(api_time, abs=3)
