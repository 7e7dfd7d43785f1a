"""`check --probe` against simulators that behave in different ways."""

import json

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from rk_exporter.api.probe_calls import MOST_CALLS
from rk_exporter.api.probe_findings import Question, Verdict
from rk_exporter.cli import probe_report
from rk_exporter.cli.check import probe
from rk_exporter.cli.probe_report import ProbeReport
from rk_exporter.config.config import OPTIONS
from rk_exporter.simulator import CANARY, Fault, Meeting, Recording, malformed_headers, no_headers
from rk_exporter.simulator.api.settings import NotFoundBody
from tests.support.building import NOW, Call, Simulation, config, simulate
from tests.support.check_documents import probe_document_of


DAY = 86_400.0
PERMANENT, ONCE, BUSY, IDLE = (str(UUID(int=number)) for number in range(1, 5))
MEETINGS = [
    Meeting(id=PERMANENT, title="Secret title", created_at=NOW - 90 * DAY),
    Meeting(id=ONCE, title="Secret title", created_at=NOW - 8000),
    Meeting(id=BUSY, title="Secret title", created_at=NOW - 90 * DAY),
    Meeting(id=IDLE, title="Secret title", created_at=NOW - 90 * DAY),
]


def uploaded(meeting_id: str, ago: float, **changes: Any) -> Recording:
    """Return a recording that began some seconds *ago* and is uploaded."""
    begun = NOW - ago
    moments: dict[str, Any] = {"started_at": begun + 2, "stopped_at": begun + 60}
    moments = {**moments, "uploaded_at": begun + 70, **changes}
    return Recording.scripted(meeting_id, invoked_at=begun, **moments)


FINISHED = uploaded(PERMANENT, 3000)
ERRORED = Recording.scripted(ONCE, invoked_at=NOW - 7000, errored_at=NOW - 6900)
RUNNING = Recording.scripted(BUSY, invoked_at=NOW - 500, started_at=NOW - 498)
RECORDINGS = (FINISHED, ERRORED, RUNNING, uploaded(ONCE, 7900))


def no_preparation(simulation: Simulation) -> None:
    """Leave the simulator as it is."""


def probed(
    *recordings: Recording,
    configured: list[str] | None = None,
    prepare: Callable[[Simulation], object] = no_preparation,
    budget: str = "100000",
    **switches: Any,
) -> ProbeReport:
    """Return the report of a probe of a simulator with these *recordings* and *switches*."""
    configuration = config(
        meeting_ids=[IDLE, PERMANENT] if configured is None else configured, api__budget=budget
    )

    async def steps(simulation: Simulation) -> ProbeReport:
        prepare(simulation)
        report = await probe(simulation.exporter, configuration)
        assert simulation.simulator.requests.total <= report.calls <= MOST_CALLS
        return report

    options = {"linger_seconds": 0.0, "rate_limit": 1200, **switches}
    return simulate(steps, *recordings, meetings=MEETINGS, configuration=configuration, **options)


def verdicts(report: ProbeReport) -> dict[Question, Verdict]:
    return {finding.question: finding.verdict for finding in report.findings}


def explanation(report: ProbeReport, question: Question) -> str:
    (text,) = (item.explanation for item in report.findings if item.question is question)
    return text


def ignoring(*names: str) -> Callable[[Simulation], object]:
    """Return a preparation after which the API ignores these parameters."""

    def prepare(simulation: Simulation) -> None:
        simulation.proxy.ignored = frozenset(names)

    return prepare


def failing(fault: Fault, is_meant: Callable[[Call], bool]) -> Callable[[Simulation], object]:
    """Return a preparation after which the meant calls fail."""

    def prepare(simulation: Simulation) -> None:
        def before(call: Call) -> None:
            if is_meant(call):
                simulation.simulator.inject("*", fault, times=1)

        simulation.proxy.before = before

    return prepare


def test_documented_api() -> None:
    """If the API behaves as assumed, all answers are confirmed and no option is suggested."""
    report = probed(*RECORDINGS, budget="600")
    assert dict.fromkeys(Question, Verdict.CONFIRMED) == verdicts(report)
    assert report.is_complete
    assert [] == list(probe_report.suggestions(report))
    assert "Suggested options: none" in list(probe_report.lines(report))


def test_few_calls() -> None:
    """Questions that one answer can answer share a call."""
    assert 12 == probed(*RECORDINGS).calls


def test_empty_account() -> None:
    """Without recordings, the answer to each question about them is what is missing."""
    report = probed()
    unknown = {key for key, verdict in verdicts(report).items() if verdict is Verdict.UNKNOWN}
    assert {
        Question.START_TIME,
        Question.STATUS_PAUSED,
        Question.STATUS_ERRORED,
        Question.STATUS_LIST,
        Question.FINISHED_NOT_ACTIVE,
        Question.EXPIRY_FIXED,
    } == unknown
    assert report.is_complete
    assert "run the probe after a recording" in explanation(report, Question.EXPIRY_FIXED)
    assert "needs two recordings" in explanation(report, Question.START_TIME)
    assert "needs finished recordings in two states" in explanation(report, Question.STATUS_LIST)
    assert "no recording to compare" in explanation(report, Question.STATUS_PAUSED)


@pytest.mark.parametrize("body", [body for body in NotFoundBody if body is not NotFoundBody.ERROR])
def test_other_404(body: NotFoundBody) -> None:
    """Another body of a 404 is a difference, and the list is suggested."""
    report = probed(*RECORDINGS, not_found_body=body)
    found = verdicts(report)
    assert Verdict.DIFFERS is found[Question.UNKNOWN_MEETING]
    assert Verdict.DIFFERS is found[Question.IDLE_MEETING]
    is_page = body is NotFoundBody.HTML
    expected = Verdict.DIFFERS if is_page else Verdict.CONFIRMED
    assert expected is found[Question.MEETING_EXISTS]
    options = [item.option for item in probe_report.suggestions(report)]
    assert "--api.read=list" in options


@pytest.mark.parametrize(("knows_meetings", "same"), [(False, "yes"), (True, "no")])
def test_404_of_a_missing_meeting(*, knows_meetings: bool, same: str) -> None:
    """The evidence says whether both 404s have the same body."""
    report = probed(*RECORDINGS, knows_meetings=knows_meetings)
    text = "\n".join(probe_report.lines(report))
    assert f"same body as about an unknown meeting: {same}" in text


@pytest.mark.parametrize(
    ("configured", "reason"),
    [
        ([BUSY], "each configured meeting has a recording in progress"),
        (["11111111-0000-4000-8000-000000000000"], "the configured meeting does not exist"),
    ],
)
def test_no_idle_meeting(configured: list[str], reason: str) -> None:
    """Without an idle meeting that exists, the question about it has no answer."""
    report = probed(*RECORDINGS, configured=configured)
    assert Verdict.UNKNOWN is verdicts(report)[Question.IDLE_MEETING]
    assert explanation(report, Question.IDLE_MEETING).startswith(reason)


def test_no_configured_meeting() -> None:
    """With discovery only, there may be no meeting to ask about."""
    configuration = config(meeting_ids=[], meetings__discover="true")

    async def steps(simulation: Simulation) -> ProbeReport:
        return await probe(simulation.exporter, configuration)

    report = simulate(steps, configuration=configuration)
    assert "needs a configured meeting" in explanation(report, Question.IDLE_MEETING)


@pytest.mark.parametrize("status", [400, 422])
def test_smaller_pages(status: int) -> None:
    """A refused page size is tried smaller."""
    report = probed(*RECORDINGS, most_recordings=25, page_refusal=status)
    assert Verdict.DIFFERS is verdicts(report)[Question.PAGE_SIZE]
    assert "per_page=50 is refused, per_page=25 is accepted" == explanation(
        report, Question.PAGE_SIZE
    )
    # The exporter copes with that, and the other questions are asked with smaller pages.
    assert [] == list(
        probe_report.suggestions(probed(*RECORDINGS, most_recordings=25, budget="60"))
    )
    assert Verdict.CONFIRMED is verdicts(report)[Question.STATUS_LIST]


def test_page_that_is_too_large() -> None:
    """A page that is too large is tried smaller."""
    tracks = [uploaded(PERMANENT, 3000 + 100 * number, track=True) for number in range(100)]
    report = probed(*tracks, track_files=100)
    assert Verdict.DIFFERS is verdicts(report)[Question.PAGE_SIZE]
    assert explanation(report, Question.PAGE_SIZE).endswith(" is accepted")


def test_smaller_pages_of_sessions() -> None:
    """A smaller limit of the list of sessions is a difference."""
    report = probed(*RECORDINGS, most_sessions=50)
    assert "the list of sessions refuses per_page=100" == explanation(report, Question.PAGE_SIZE)


def test_clamped_pages() -> None:
    """A list that accepts a page size and returns fewer recordings is a difference."""
    recordings = [uploaded(PERMANENT, 3000 + 100 * number) for number in range(40)]
    report = probed(*recordings, prepare=ignoring("per_page"))
    assert "accepted, but a page has 25 of 40 recordings" == explanation(report, Question.PAGE_SIZE)


def test_refused_list() -> None:
    """If no page size is accepted, reading meetings one by one is suggested."""
    report = probed(*RECORDINGS, most_recordings=5)
    assert Verdict.DIFFERS is verdicts(report)[Question.PAGE_SIZE]
    assert ["--api.read=active-recording"] == [
        item.option for item in probe_report.suggestions(report) if "read" in item.option
    ]
    assert "the list of recordings cannot be read" == explanation(report, Question.START_TIME)


def test_start_time_of_the_meeting() -> None:
    """`start_time` may be about the meeting's creation; the evidence has what each would select."""
    report = probed(*RECORDINGS, filter_by_creation=True)
    assert (
        "           - without start_time: 4 recordings, 1 of them invoked after TIME, "
        "0 in meetings created after TIME"
    ) in list(probe_report.lines(report))
    assert Verdict.DIFFERS is verdicts(report)[Question.START_TIME]
    assert "whose meeting was created after it" in explanation(report, Question.START_TIME)


def test_start_time_ignored() -> None:
    """`start_time` may be ignored."""
    report = probed(*RECORDINGS, prepare=ignoring("start_time"))
    assert "start_time is ignored" in explanation(report, Question.START_TIME)
    assert Verdict.DIFFERS is verdicts(report)[Question.START_TIME]


def test_start_time_refused() -> None:
    """`start_time` may be refused."""
    prepare = failing(Fault.BAD_REQUEST, lambda call: "start_time" in call.query)
    assert explanation(probed(*RECORDINGS, prepare=prepare), Question.START_TIME).startswith(
        "start_time is refused: 400"
    )


STATUS_QUESTIONS = (Question.STATUS_PAUSED, Question.STATUS_ERRORED, Question.STATUS_LIST)


@pytest.mark.parametrize(
    ("switch", "differing"),
    [
        ({"refuse_later_statuses": True}, {Question.STATUS_PAUSED, Question.STATUS_ERRORED}),
        ({"refuse_status_filter": True}, {*STATUS_QUESTIONS}),
        ({"refuse_status_lists": True}, {Question.STATUS_LIST}),
        ({"prepare": ignoring("status")}, {*STATUS_QUESTIONS}),
    ],
)
def test_status_filter(switch: dict[str, Any], differing: set[Question]) -> None:
    """The status filter may refuse or ignore later states, lists, or everything."""
    # RECORDING and UPLOADED are the most frequent states.
    others = [Recording.scripted(BUSY, invoked_at=NOW - 400, started_at=NOW - 398)]
    found = verdicts(probed(*RECORDINGS, *others, **switch))
    assert differing == {key for key in STATUS_QUESTIONS if found[key] is Verdict.DIFFERS}


def test_lingering_recording() -> None:
    """A finished recording may still be returned by active-recording."""
    report = probed(*RECORDINGS, linger_seconds=1e9)
    assert "it is still returned, with status UPLOADED" == explanation(
        report, Question.FINISHED_NOT_ACTIVE
    )


@pytest.mark.parametrize("body", [NotFoundBody.HTML, NotFoundBody.ERRORS])
def test_404_after_the_end(body: NotFoundBody) -> None:
    """A 404 of RealtimeKit means that the recording is no longer active; a page is no answer."""
    found = verdicts(probed(*RECORDINGS, not_found_body=body))
    is_page = body is NotFoundBody.HTML
    expected = Verdict.UNKNOWN if is_page else Verdict.CONFIRMED
    assert expected is found[Question.FINISHED_NOT_ACTIVE]


def test_other_idle_meeting_than_the_finished_one() -> None:
    """If no configured meeting has a finished recording, another meeting is asked about it."""
    report = probed(*RECORDINGS, configured=[IDLE])
    found = verdicts(report)
    assert found[Question.FINISHED_NOT_ACTIVE] is found[Question.IDLE_MEETING] is Verdict.CONFIRMED
    assert 13 == report.calls


def test_moving_expiry() -> None:
    """An expiry that moves suggests to read finished recordings more often."""
    report = probed(*RECORDINGS, moving_expiry=True)
    assert explanation(report, Question.EXPIRY_FIXED).startswith("it has moved by +")
    options = [item.option for item in probe_report.suggestions(report)]
    assert "--follow.reread-interval=10m" in options


@pytest.mark.parametrize(
    ("writer", "text"),
    [(no_headers, "there are none: "), (malformed_headers, "the headers cannot be read: ")],
)
def test_rate_limit_headers(writer: Any, text: str) -> None:
    """Missing and unreadable headers are differences, with the endpoints."""
    report = probed(*RECORDINGS, limit_headers=writer)
    assert explanation(report, Question.RATE_LIMIT_HEADERS).startswith(text)
    assert Verdict.DIFFERS is verdicts(report)[Question.RATE_LIMIT_HEADERS]


@pytest.mark.parametrize(("rate_limit", "option"), [(1200, None), (500, "--api.budget=250")])
def test_smaller_budget(rate_limit: int, option: str | None) -> None:
    """A reported limit below twice the budget suggests a smaller budget."""
    report = probed(*RECORDINGS, budget="600", rate_limit=rate_limit)
    assert [option] * (option is not None) == [
        item.option for item in probe_report.suggestions(report)
    ]


def test_cached_answers() -> None:
    """Answers from a cache are a difference, and their age does not count as an offset."""
    report = probed(*RECORDINGS, cached_seconds=600)
    assert "answers come from a cache, up to 600 s old" == explanation(report, Question.CLOCK)
    evidence = next(item.evidence for item in report.findings if item.question is Question.CLOCK)
    assert evidence[0].startswith(
        ("Date minus this machine's clock: +0.", "Date minus this machine's clock: -0.")
    )


@pytest.mark.parametrize(("ahead", "word"), [(90.0, "ahead of"), (-90.0, "behind")])
def test_wrong_clock(ahead: float, word: str) -> None:
    """A clock that is wrong is a difference."""

    def prepare(simulation: Simulation) -> None:
        simulation.clock.ahead_seconds = ahead

    report = probed(*RECORDINGS, prepare=prepare)
    assert f"{word} the API's" in explanation(report, Question.CLOCK)


@pytest.mark.parametrize("fault", [Fault.UNAUTHORIZED, Fault.FORBIDDEN, Fault.RATE_LIMITED])
def test_refused_from_the_start(fault: Fault) -> None:
    """After a refusal of all calls, no further call is made, and the report says so once."""
    report = probed(*RECORDINGS, prepare=failing(fault, lambda _: True))
    lines = list(probe_report.lines(report))
    assert (1, False) == (report.calls, report.is_complete)
    assert Verdict.DIFFERS not in verdicts(report).values()
    assert 1 == sum(str(report.stopped) in line for line in lines if line.startswith("FAILED"))
    assert not probe_document_of(report)["ok"]


def test_unreachable_api() -> None:
    """An API that cannot be reached is asked once."""
    report = probed(*RECORDINGS, prepare=failing(Fault.HANG, lambda _: True))
    assert (1, "the API did not answer in time") == (report.calls, report.stopped)
    assert Verdict.UNKNOWN is verdicts(report)[Question.CLOCK]


def test_one_refused_endpoint() -> None:
    """An endpoint that refuses the token costs its own question only."""
    prepare = failing(Fault.FORBIDDEN, lambda call: call.path.startswith("sessions"))
    report = probed(*RECORDINGS, prepare=prepare)
    assert report.is_complete
    assert {Verdict.CONFIRMED} == {*verdicts(report).values()}


def test_failing_api() -> None:
    """Server errors say nothing about the assumptions."""
    report = probed(*RECORDINGS, prepare=failing(Fault.SERVER_ERROR, lambda _: True))
    found = {key: verdict for key, verdict in verdicts(report).items() if key is not Question.CLOCK}
    assert {Verdict.UNKNOWN} == {*found.values()}
    assert "FAILED: the API failed (500)" in list(probe_report.lines(report))


def test_used_up_budget() -> None:
    """Calls that the budget does not allow in time are left out, and the report says so."""

    def prepare(simulation: Simulation) -> None:
        simulation.simulator.consume_quota(1180)

    report = probed(*RECORDINGS, prepare=prepare, rate_limit=1200)
    assert report.calls < 5
    assert report.stopped == "the budget or the time allows no further call"


def test_capital_ids() -> None:
    """The API may write ids in capitals."""
    report = probed(*RECORDINGS, capital_ids=True)
    assert Verdict.CONFIRMED is verdicts(report)[Question.FINISHED_NOT_ACTIVE]
    assert Verdict.CONFIRMED is verdicts(report)[Question.IDLE_MEETING]


def test_suggested_options_exist() -> None:
    """Each suggested option is one of the exporter's."""
    reports = [
        probed(*RECORDINGS, not_found_body=NotFoundBody.EMPTY, moving_expiry=True),
        probed(*RECORDINGS, most_recordings=5),
    ]
    flags = {option.flag for option in OPTIONS}
    suggested = [item.option for report in reports for item in probe_report.suggestions(report)]
    assert {option.partition("=")[0] for option in suggested} <= flags
    assert len(suggested) >= 4


@pytest.mark.parametrize(
    "switches", [{}, {"not_found_body": NotFoundBody.TEXT}, {"track_files": 3}]
)
def test_nothing_confidential(switches: dict[str, Any]) -> None:
    """Neither report has an id, a name, a URL or a secret."""
    track = uploaded(PERMANENT, 2000, track=True)
    answers: list[bytes] = []

    def prepare(simulation: Simulation) -> None:
        simulation.proxy.after = lambda _, body: answers.append(body)

    recordings = [*RECORDINGS, track]
    report = probed(*recordings, prepare=prepare, **switches)
    assert any(CANARY.encode() in body for body in answers)
    text = "\n".join(probe_report.lines(report)) + json.dumps(probe_document_of(report))
    secrets = [CANARY, "Secret title", "http", "simulated", "X-Amz", *(m.id for m in MEETINGS)]
    secrets += [value for item in recordings for value in (item.id, item.output_file_name)]
    for secret in filter(None, secrets):
        assert secret.casefold() not in text.casefold(), secret


def test_echoing_api() -> None:
    """An API that repeats the token, an id or a URL in its headers does not get it printed."""
    long_id = "0123456789abcdef0123456789abcdef"
    values = (b'"simulated";r=9;t=9', f"https://host/{long_id}?X-Amz-Signature={long_id}".encode())

    def writer(_decisions: object) -> Any:
        return ((b"ratelimit", values[0]), (b"retry-after", values[1]))

    report = probed(*RECORDINGS, limit_headers=writer)
    text = "\n".join(probe_report.lines(report))
    assert "<secret>" in text
    assert "simulated" not in text
    assert long_id not in text
    assert "https://" not in text
