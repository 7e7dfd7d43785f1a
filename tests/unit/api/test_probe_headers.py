"""What the headers of answers say: the rate limit and the clock."""

import pytest

from rk_exporter.api import probe_headers as headers
from rk_exporter.api.probe_findings import Judgement, confirmed, differs, unknown
from rk_exporter.api.probe_headers import ClockOffset
from rk_exporter.api.replies import Reply
from rk_exporter.model.failure import Failure, Reason
from tests.support.probe_answers import reply


LIMIT, POLICY = '"default";r=50;t=30', '"default";q=100;w=60'
MALFORMED = '"default;r=50'
TIMEOUT = Reply.failed("sessions", Failure(Reason.TIMEOUT, "the API did not answer in time"), 0.0)


def limited(endpoint: str, value: str | None = LIMIT) -> Reply:
    given = {} if value is None else {"Ratelimit": value}
    return reply(headers=given, endpoint=endpoint)


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([], unknown("no call made")),
        ([TIMEOUT], unknown("the API did not answer in time")),
        (
            [reply(status=500), reply(status=403)],
            unknown("the API failed (500)"),
        ),
        (
            [limited("recordings"), limited("sessions"), limited("recordings"), TIMEOUT],
            confirmed("all 2 asked endpoints report it"),
        ),
        (
            [limited("recordings"), limited("sessions", None), limited("meeting", None)],
            differs("there are none: sessions, meeting"),
        ),
        (
            [limited("recordings", MALFORMED), limited("meeting", MALFORMED), limited("a", None)],
            differs("the headers cannot be read: recordings, meeting"),
        ),
        (
            [limited("recordings", None), limited("recordings")],
            differs("there are none: recordings"),
        ),
        (
            [limited("recordings"), limited("recordings", None)],
            differs("there are none: recordings"),
        ),
        (
            [limited("recordings"), limited("recordings", MALFORMED), limited("recordings")],
            differs("the headers cannot be read: recordings"),
        ),
    ],
)
def test_rate_limit(replies: list[Reply], expected: Judgement) -> None:
    """Each endpoint must report it in each answer; the endpoints that do not are named."""
    assert expected == headers.rate_limit_judgement(replies)


def test_rate_limit_evidence() -> None:
    """The headers of each endpoint are shown once, and each Retry-After."""
    replies = [
        limited("recordings"),
        limited("recordings", "another"),
        TIMEOUT,
        limited("sessions", None),
        reply(headers={"Ratelimit-Policy": POLICY, "Retry-After": "30"}),
    ]
    assert [
        f"recordings: Ratelimit: {LIMIT}",
        "sessions: no rate limit headers",
        f"recordings: Ratelimit-Policy: {POLICY}; Retry-After: 30",
    ] == [*headers.rate_limit_evidence(replies)]


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([], None),
        (["nonsense", '"a";q=100', '"a";w=60', '"a";q=1;w=0'], None),
        (['"a";q=100;w=60'], 500),
        (['"a";q=100;w=60', '"a";q=10;w=60, "b" ; q=1000 ; w=600'], 50),
        (['"a";q=100;w=60, "b" ; q=20 ; w=600'], 10),
        (['"a";q=1;w=7'], 42),
    ],
)
def test_reported_limit(policies: list[str], expected: int | None) -> None:
    """The strictest policy is converted to calls in five minutes."""
    replies = [reply(), *(reply(headers={"Ratelimit-Policy": policy}) for policy in policies)]
    assert expected == headers.reported_limit(replies)


DATE = "Fri, 27 Nov 2026 10:00:00 GMT"
DATE_SECONDS = 1_795_773_600.0


def dated(ahead: float = 0.0, **given: str) -> Reply:
    """Return an answer that a clock received that is so far *ahead* of its Date."""
    return reply(headers={"Date": DATE, **given}, answered_at=DATE_SECONDS + ahead)


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([], None),
        ([reply(), dated(Date="today"), dated(Date="")], None),
        # A Date is half a second late on average.
        ([dated()], ClockOffset(0.5, 0.0)),
        ([reply(), dated(0.5)], ClockOffset(0.0, 0.0)),
        ([dated(9), dated(2), dated(1)], ClockOffset(-1.5, 0.0)),
        ([dated(Date=f" {DATE} ")], ClockOffset(0.5, 0.0)),
        ([dated(100, Age="100"), dated(7, Age=" 7 ")], ClockOffset(0.5, 100.0)),
        ([dated(Age="-1"), dated(Age="\u00b2"), dated(Age="")], ClockOffset(0.5, 0.0)),
        ([dated(Age="0" * 9 + "9")], ClockOffset(0.5, 0.0)),
        ([dated(Age="0" * 8 + "9")], ClockOffset(9.5, 9.0)),
    ],
)
def test_clock_offset(replies: list[Reply], expected: ClockOffset | None) -> None:
    """The offset is the median; what a cache has kept is as old as it says."""
    assert expected == headers.clock_offset(replies)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (None, unknown("no answer has a Date header")),
        (ClockOffset(0.0, 0.0), confirmed("the clocks agree to within 2 s")),
        (ClockOffset(2.0, 0.0), confirmed("the clocks agree to within 2 s")),
        (ClockOffset(-2.0, 0.0), confirmed("the clocks agree to within 2 s")),
        (ClockOffset(2.6, 0.0), differs("this machine's clock is 3 s behind the API's")),
        (ClockOffset(-90.0, 0.0), differs("this machine's clock is 90 s ahead of the API's")),
        (ClockOffset(0.0, 600.0), differs("answers come from a cache, up to 600 s old")),
    ],
)
def test_clock(offset: ClockOffset | None, expected: Judgement) -> None:
    """A cache explains an old Date, so it is named first."""
    assert expected == headers.clock_judgement(offset)
