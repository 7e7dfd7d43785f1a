"""What each answer says about an assumption, in the words of the report."""

from typing import Any

import pytest

from rk_exporter.api import probe_findings as judge
from rk_exporter.api.probe_findings import ASSUMPTIONS, Judgement, Question, confirmed, differs
from rk_exporter.api.probe_findings import unknown as no_answer
from rk_exporter.api.probe_samples import EMPTY, Sample, sample_of
from rk_exporter.api.replies import Asked, NotAsked, Reply
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.recording import Status
from tests.support.probe_answers import ENDED, NO_ROUTE, item, page, reply, success


NOW = 1_795_000_000.0
HTML = b"<html>"
NOT_ASKED = NotAsked("not asked")
TIMEOUT = Reply.failed("recordings", Failure(Reason.TIMEOUT, "the API did not answer in time"), 0.0)
TOO_LARGE = Reply.failed("recordings", Failure(Reason.TOO_LARGE, "the answer is too large"), 0.0)
# Answers that say nothing about the request, and what is said about each.
SAYING_NOTHING: list[tuple[Asked, str]] = [
    (NOT_ASKED, "not asked"),
    (TIMEOUT, "the API did not answer in time"),
    (reply(status=401), "the API refuses this endpoint (401)"),
    (reply(status=403), "the API refuses this endpoint (403)"),
    (reply(status=429), "the API asks for fewer calls (429)"),
    (reply(status=500), "the API failed (500)"),
    (reply(status=503), "the API failed (503)"),
]
saying_nothing = pytest.mark.parametrize(("asked", "explanation"), SAYING_NOTHING)


def sample(*items: Any) -> Sample:
    found = sample_of(reply(page(*items)))
    assert found
    return found


def test_every_assumption_is_explained() -> None:
    """The report has a sentence for each question."""
    assert [*Question] == [*ASSUMPTIONS]


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        (reply(ENDED, 404), confirmed("as assumed")),
        (reply(HTML, 404), differs("404 with an HTML page")),
        (reply(NO_ROUTE, 404), differs("404 with the gateway's `errors`")),
        (reply(b"", 404), differs("404 with an empty body")),
        (reply(ENDED, 400), differs("400 with RealtimeKit's `error`")),
        (reply(success(None)), differs("200 without a recording")),
        (reply(success([])), differs("200 without a recording")),
        (
            reply(success({"id": "r-1", "status": "PAUSED"})),
            no_answer("the meeting has a recording (PAUSED)"),
        ),
        (reply(success({"status": "PAUSED"})), no_answer("the answer cannot be read")),
        (reply({"success": False}), differs("200 with other JSON")),
        *((asked, no_answer(explanation)) for asked, explanation in SAYING_NOTHING),
    ],
)
def test_no_recording(answered: Asked, expected: Judgement) -> None:
    """No recording is a 404 with the `error` object; a recording is no answer to the question."""
    assert expected == judge.none_judgement(answered)


@pytest.mark.parametrize(
    ("existing", "missing", "expected"),
    [
        (reply(success({})), reply(ENDED, 404), confirmed("as assumed")),
        (reply(success({})), reply(b"", 404), confirmed("as assumed")),
        (
            reply(success({})),
            reply(success({})),
            differs("200 with a success with `data` about a meeting that does not exist"),
        ),
        (
            reply(ENDED, 404),
            reply(NO_ROUTE, 404),
            differs("404 with the gateway's `errors` about a meeting that does not exist"),
        ),
        (
            reply(ENDED, 404),
            reply(ENDED, 404),
            no_answer("the configured meeting does not exist, or this endpoint does not work"),
        ),
        (
            reply(ENDED, 400),
            reply(ENDED, 404),
            differs("400 with RealtimeKit's `error` about a meeting that exists"),
        ),
    ],
)
def test_meeting(existing: Asked, missing: Asked, expected: Judgement) -> None:
    """Both answers must be as assumed; the one about a missing meeting counts first."""
    assert expected == judge.exists_judgement(existing, missing)


@saying_nothing
def test_meeting_without_an_answer(asked: Asked, explanation: str) -> None:
    """Each of both answers is needed."""
    assert no_answer(explanation) == judge.exists_judgement(asked, reply(ENDED, 404))
    assert no_answer(explanation) == judge.exists_judgement(reply(success({})), asked)


def sizes(*answered: Asked, sessions: Asked = NOT_ASKED) -> Judgement:
    return judge.page_size_judgement(zip((100, 50, 25), answered, strict=False), sessions)


REFUSED = reply(ENDED, 400)
TWO = (item("a"), item("b"))


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        ([reply(page(*TWO, total=2))], confirmed("accepted; 2 of 2 recordings on the page")),
        ([reply(page(*TWO))], confirmed("accepted; 2 of ? recordings on the page")),
        (
            [reply(page(*(item(str(number)) for number in range(100)), total=300))],
            confirmed("accepted; 100 of 300 recordings on the page"),
        ),
        (
            [reply(page(*TWO, total=3))],
            differs("accepted, but a page has 2 of 3 recordings"),
        ),
        (
            [REFUSED, reply(page(*TWO, total=2))],
            differs("per_page=100 is refused, per_page=50 is accepted"),
        ),
        (
            [reply(ENDED, 422), TOO_LARGE, reply(page(*TWO, total=2))],
            differs("per_page=50 is refused, per_page=25 is accepted"),
        ),
        ([REFUSED, REFUSED, REFUSED], differs("no tried per_page is accepted")),
        ([REFUSED, NOT_ASKED], no_answer("not asked")),
        ([REFUSED, TIMEOUT], no_answer("the API did not answer in time")),
        ([reply(status=500)], no_answer("the API failed (500)")),
        ([reply(HTML)], no_answer("the list of recordings cannot be read")),
    ],
)
def test_page_size(answered: list[Asked], expected: Judgement) -> None:
    """The largest accepted size is named, and a page that has fewer recordings than it could."""
    assert expected == sizes(*answered)


def test_page_size_of_sessions() -> None:
    """The list of sessions may refuse the size that the list of recordings accepts."""
    whole = reply(page(*TWO, total=2))
    expected = differs("the list of sessions refuses per_page=100")
    assert expected == sizes(whole, sessions=REFUSED) == sizes(whole, sessions=TOO_LARGE)
    accepted = confirmed("accepted; 2 of 2 recordings on the page")
    assert accepted == sizes(whole, sessions=reply(page())) == sizes(whole, sessions=TIMEOUT)


BOTH = sample(item("p", status="PAUSED"), item("u"))


@pytest.mark.parametrize(
    ("answered", "whole", "expected"),
    [
        (
            reply(page(*(item(name, status="PAUSED") for name in "ab"))),
            BOTH,
            confirmed("all 2 recordings on the page are PAUSED"),
        ),
        (REFUSED, BOTH, differs("the filter is refused: 400 with RealtimeKit's `error`")),
        (
            reply(page(item("p", status="PAUSED"), item("u"))),
            BOTH,
            differs("the filter is ignored: the page has recordings in other states"),
        ),
        (
            reply(page()),
            EMPTY,
            no_answer("accepted, but there is no recording to compare with"),
        ),
        (
            reply(page()),
            BOTH,
            differs("accepted, but PAUSED recordings of the list are missing"),
        ),
        (
            reply(page()),
            sample(item("u")),
            confirmed("accepted; there is no PAUSED recording, and others are left out"),
        ),
        *((asked, BOTH, no_answer(explanation)) for asked, explanation in SAYING_NOTHING),
    ],
)
def test_filter(answered: Asked, whole: Sample, expected: Judgement) -> None:
    """A filtered page is compared with the list without a filter."""
    assert expected == judge.filter_judgement(answered, Status.PAUSED, whole)


WANTED = (Status.PAUSED, Status.UPLOADED)
PAUSED, UPLOADED = item("p", status="PAUSED"), item("u")
OTHER = item("e", status="ERRORED")


@pytest.mark.parametrize(
    ("answered", "whole", "filters", "expected"),
    [
        (
            reply(page(PAUSED, UPLOADED)),
            BOTH,
            True,
            confirmed("the page has PAUSED and UPLOADED recordings only"),
        ),
        (
            reply(page(PAUSED, UPLOADED)),
            sample(PAUSED, UPLOADED, OTHER),
            False,
            confirmed("the page has PAUSED and UPLOADED recordings only"),
        ),
        (
            reply(page(PAUSED, UPLOADED)),
            BOTH,
            False,
            no_answer("accepted, but a list that ignores the filter would look the same"),
        ),
        (reply(page()), BOTH, True, differs("accepted, but the page is empty")),
        (reply(page(PAUSED)), BOTH, True, differs("accepted, but UPLOADED recordings are missing")),
        (
            reply(page(PAUSED, OTHER)),
            BOTH,
            True,
            differs("the filter is ignored: the page has recordings in other states"),
        ),
        (
            REFUSED,
            BOTH,
            True,
            differs("the list of states is refused: 400 with RealtimeKit's `error`"),
        ),
        *((asked, BOTH, True, no_answer(explanation)) for asked, explanation in SAYING_NOTHING),
    ],
)
def test_list_of_states(
    answered: Asked,
    whole: Sample,
    filters: bool,  # noqa: FBT001 # a parameter
    expected: Judgement,
) -> None:
    """Several states are a filter if nothing else is on the page, and both are."""
    assert expected == judge.list_filter_judgement(answered, WANTED, whole, filters=filters)


OLD = item("old", meeting="once", invoked=NOW - 7000, created=NOW - 8000)
NEW = item("new", meeting="permanent", invoked=NOW - 3000, created=NOW - 90_000)
YOUNG = item("young", meeting="new", invoked=NOW - 2000, created=NOW - 2500)


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        (
            reply(page(NEW, YOUNG)),
            confirmed("2 of 3 recordings selected, exactly those invoked after it"),
        ),
        (
            reply(page(YOUNG)),
            differs("1 of 3 recordings selected, exactly those whose meeting was created after it"),
        ),
        (
            reply(page(NEW, YOUNG, OLD)),
            differs("3 of 3 recordings selected: start_time is ignored"),
        ),
        (
            reply(page(OLD)),
            differs(
                "1 of 3 recordings selected, neither by invocation nor by the meeting's creation"
            ),
        ),
        # A recording that is newer than the page to compare with says nothing.
        (
            reply(page(item("newest"), NEW, YOUNG)),
            confirmed("2 of 3 recordings selected, exactly those invoked after it"),
        ),
        (REFUSED, differs("start_time is refused: 400 with RealtimeKit's `error`")),
        *((asked, no_answer(explanation)) for asked, explanation in SAYING_NOTHING),
    ],
)
def test_start_time(answered: Asked, expected: Judgement) -> None:
    """The selected recordings tell what the time is compared with."""
    whole = sample(NEW, YOUNG, OLD)
    assert expected == judge.start_time_judgement(answered, NOW - 3001, whole)


def active(status: str) -> dict[str, Any]:
    return {"id": f"r-{status}", "status": status}


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        (reply(ENDED, 404), confirmed("404 after the end")),
        (reply(b"", 404), confirmed("404 after the end")),
        (reply(NO_ROUTE, 404), no_answer("404 with the gateway's `errors`")),
        (reply(success(None)), confirmed("200 without a recording after the end")),
        (
            reply(success([active("RECORDING"), active("UPLOADED")])),
            differs("it is still returned, with status UPLOADED"),
        ),
        (
            reply(success(active("RECORDING"))),
            no_answer("the meeting has a new recording; run the probe again after it"),
        ),
        (reply(success({"status": "UPLOADED"})), no_answer("the answer cannot be read")),
        *((asked, no_answer(explanation)) for asked, explanation in SAYING_NOTHING),
    ],
)
def test_finished(answered: Asked, expected: Judgement) -> None:
    """A finished recording is no longer active."""
    assert expected == judge.finished_judgement(answered)


def details(seconds: float, recording_id: str = "r-1") -> Reply:
    """Return the answer about a recording whose URL expires so much later."""
    data = item(recording_id, download_url_expiry=f"2026-11-27T10:00:{seconds:06.3f}Z")
    return reply(success(data), endpoint="recording")


UNREADABLE = no_answer("an answer has no readable expiry")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (details(1), details(1), confirmed("the same in two reads")),
        (details(1), details(1.5), confirmed("the same in two reads")),
        (details(1.5), details(1), confirmed("the same in two reads")),
        (details(1), details(3), differs("it has moved by +2.0 s in the second read")),
        (details(3), details(1.75), differs("it has moved by -1.2 s in the second read")),
        (details(1), details(1, "r-2"), UNREADABLE),
        (details(1, "r-2"), details(1), UNREADABLE),
        (details(1), reply(ENDED, 404), UNREADABLE),
        (details(1), reply(success(item())), UNREADABLE),
    ],
)
def test_expiry(first: Asked, second: Asked, expected: Judgement) -> None:
    """The expiry in both reads of one recording must be the same, but for rounding."""
    assert expected == judge.expiry_judgement(first, second, recording_id="r-1")


@saying_nothing
def test_expiry_without_an_answer(asked: Asked, explanation: str) -> None:
    """Both reads are needed."""
    for pair in ((asked, details(1)), (details(1), asked)):
        assert no_answer(explanation) == judge.expiry_judgement(*pair, recording_id="r-1")


def test_expiry_of_no_recording() -> None:
    """Answers say nothing if it is unknown which recording they are about."""
    assert UNREADABLE == judge.expiry_judgement(details(1), details(1), recording_id=None)


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        (reply(status=400), True),
        (reply(status=422), True),
        (TOO_LARGE, True),
        (TIMEOUT, False),
        (reply(status=404), False),
        (reply(page()), False),
    ],
)
def test_refused_size(answered: Reply, *, expected: bool) -> None:
    """A smaller page may help after a rejection, and if the page was too large to be read."""
    assert expected is judge.is_size_refused(answered)
