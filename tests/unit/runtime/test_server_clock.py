from email.utils import formatdate

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.runtime.server_clock import ServerClock
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
        self.clock.observe(date)
        return self.offset


@pytest.mark.parametrize("date", [None, "", "  "])
def test_without_a_date(date: str | None) -> None:
    """Without a Date, the API's clock counts as equal to this machine's."""
    clock = ServerClock(Time())
    clock.observe(date)
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
    """A clock that is corrected, or set to a wrong time, counts from the next answer."""
    upstream = Upstream(300.0)
    assert upstream.answer() == pytest.approx(300, abs=1)
    upstream.ahead = 0.0
    assert 0 == upstream.answer()
    upstream.time.now += 3600
    upstream.ahead = -3600.0
    assert upstream.answer() == pytest.approx(-3600, abs=1)


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
    upstream.clock.observe(date)
    assert offset == upstream.offset


def test_spaces_around_a_date() -> None:
    """Spaces around a header's value do not count."""
    upstream = Upstream(0.0)
    upstream.clock.observe(f" {formatdate(NOW + 60, usegmt=True)}\t")
    assert upstream.offset == pytest.approx(60, abs=1)
