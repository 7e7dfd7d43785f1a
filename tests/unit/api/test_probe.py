"""The calls of the probe, one by one, and what the report says about their answers."""

from collections.abc import Mapping
from typing import Any

import pytest

from rk_exporter.api.connection import Answer
from rk_exporter.api.probe import Answers, ask_everything
from rk_exporter.api.probe_calls import MOST_CALLS, ProbeCalls
from rk_exporter.api.probe_findings import Finding, Question, Verdict
from rk_exporter.api.probe_result import findings
from rk_exporter.api.replies import Asked, NotAsked, Reply
from rk_exporter.model.errors import ApiError, ApiTimeout
from rk_exporter.ratelimit.limiter import RateLimiter
from rk_exporter.ratelimit.pass_context import PassContext
from tests.support.building import limiter_of, pass_context
from tests.support.probe_answers import ENDED, NO_ROUTE, answer, item, page, success
from tests.support.virtual_time import run


NOW = 1_795_773_600.0
HEADERS = {
    "Ratelimit": '"default";r=50;t=30',
    "Ratelimit-Policy": '"default";q=100;w=60',
    "Date": "Fri, 27 Nov 2026 10:00:00 GMT",
}
URL = {"download_url": "https://host/a", "download_url_expiry": "2026-12-01T00:00:00Z"}
FINISHED = item(
    "r-1", meeting="room", invoked=NOW - 3000.5, created=NOW - 90_000, status="UPLOADED", **URL
)
ERRORED = item("r-2", meeting="once", invoked=NOW - 7000, created=NOW - 8000, status="ERRORED")
RUNNING = item("r-3", meeting="busy", invoked=NOW - 500, created=NOW - 501, status="RECORDING")
LIST = "/recordings?page_no=1&per_page={}&sort_by=invokedTime&sort_order=DESC"
ACTIVE, ONE, SESSIONS = (
    "/recordings/active-recording/",
    "/meetings/",
    "/sessions?status=LIVE&page_no=1",
)
START = "start_time=2026-11-27T09%3A09%3A58Z"


def documented() -> dict[str, Answer]:
    """Return the answers of the documented API, by the paths of the calls in their order."""
    bodies: dict[str, tuple[int, Any]] = {
        LIST.format(100): (200, page(RUNNING, FINISHED, ERRORED, total=3)),
        f"{ACTIVE}unknown%2F": (404, ENDED),
        f"{ACTIVE}room": (404, ENDED),
        f"{ONE}room": (200, success({"id": "room", "title": "secret"})),
        f"{ONE}unknown%2F": (404, ENDED),
        "/recordings/r-1": (200, success(FINISHED)),
        f"{LIST.format(10)}&{START}": (200, page(RUNNING, FINISHED, total=2)),
        f"{LIST.format(10)}&status=PAUSED": (200, page(total=0)),
        f"{LIST.format(10)}&status=ERRORED": (200, page(ERRORED, total=1)),
        f"{LIST.format(10)}&status=RECORDING,UPLOADED": (200, page(RUNNING, FINISHED, total=2)),
        f"{SESSIONS}&per_page=100": (200, success({"sessions": []})),
    }
    return {path: answer(body, status, HEADERS) for path, (status, body) in bodies.items()}


class Api:
    """An API with an answer, or a failure, for each path."""

    def __init__(self, answers: Mapping[str, Answer | ApiError], limiter: RateLimiter) -> None:
        self._answers = answers
        self._limiter = limiter
        self.asked: list[tuple[str, str]] = []

    async def exchange(self, endpoint: str, path: str, context: PassContext) -> Answer:
        """Return the answer to a call."""
        async with self._limiter.acquire(context):
            self.asked.append((endpoint, path))
            found = self._answers[path]
        if isinstance(found, ApiError):
            raise found
        return found


class Probe:
    """A probe of an API that answers so."""

    def __init__(
        self,
        answers: Mapping[str, Answer | ApiError],
        *,
        configured: tuple[str, ...] = ("other", "busy", "room"),
        calls_allowed: int = 100,
        made_before: int = 0,
    ) -> None:
        limiter = limiter_of(calls_allowed)
        context = pass_context(wait_until=0.0)
        api = Api(answers, limiter)
        self.slept: list[float] = []

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        async def steps() -> Answers:
            for _ in range(made_before):
                async with limiter.acquire(context):
                    pass
            self.calls = ProbeCalls(api, limiter, context, clock=lambda: NOW + 0.25)
            return await ask_everything(self.calls, configured, unknown_id="unknown/", sleep=sleep)

        self.answers = run(steps())
        self.asked = api.asked
        self.findings: dict[Question, Finding] = {
            finding.question: finding for finding in findings(self.answers, self.calls.replies)
        }

    def explanation(self, question: Question) -> str:
        """Return why there is no verdict."""
        finding = self.findings[question]
        assert finding.verdict is Verdict.UNKNOWN
        return finding.explanation

    def evidence(self, question: Question) -> list[str]:
        """Return what the report shows."""
        return [*self.findings[question].evidence]


def test_calls() -> None:
    """Each call has its endpoint and path, without a second call for what one answer tells."""
    probe = Probe(documented())
    paths = [path for _, path in probe.asked]
    read = "/recordings/r-1"
    assert [*sorted(documented()), read] == [*sorted({*paths}), read]
    assert 2 == paths.count(read)
    assert len(documented()) + 1 == len(paths) == probe.calls.made == len(probe.calls.replies)
    # The most important ones come first.
    assert [*documented()][:6] == paths[:6]
    assert [2.0] == probe.slept
    endpoints = {path: endpoint for endpoint, path in probe.asked}
    assert {
        "recordings": 5,
        "active-recording": 2,
        "meeting": 2,
        "recording": 1,
        "sessions": 1,
    } == {name: [*endpoints.values()].count(name) for name in {*endpoints.values()}}
    assert {"active-recording", "recording"} == {
        endpoints[path] for path in paths if path.startswith("/recordings/")
    }
    assert "recording" == endpoints[read]
    assert "meeting" == endpoints[f"{ONE}room"] == endpoints[f"{ONE}unknown%2F"]
    assert [reply.endpoint for reply in probe.calls.replies] == [name for name, _ in probe.asked]


def test_report() -> None:
    """Each question has its verdict, the reason, and the evidence without ids."""
    probe = Probe(documented())
    confirmed = "as assumed"
    error = "404; RealtimeKit's `error`; codes 404; fields success, error (code, message)"
    listed = "GET /recordings"
    fields = "200; a success with `data`; fields id, status, meeting, invoked_time"
    details = f"{fields}, download_url, download_url_expiry"
    active = "GET /recordings/active-recording/ID"
    limits = 'Ratelimit: "default";r=50;t=30; Ratelimit-Policy: "default";q=100;w=60'
    selected = "3 recordings, 2 of them invoked after TIME, 1 in meetings created after TIME"
    expected: dict[Question, tuple[str, list[str]]] = {
        Question.UNKNOWN_MEETING: (confirmed, [f"{active}: {error}"]),
        Question.IDLE_MEETING: (
            confirmed,
            [
                f"{active}: {error}",
                "GET /meetings/ID: 200; a success with `data`",
                "same body as about an unknown meeting: yes",
            ],
        ),
        Question.MEETING_EXISTS: (
            confirmed,
            [
                "GET /meetings/ID (configured): 200; a success with `data`; fields id, title",
                f"GET /meetings/ID (unknown): {error}",
            ],
        ),
        Question.RATE_LIMIT_HEADERS: (
            "all 5 asked endpoints report it",
            [
                f"{endpoint}: {limits}"
                for endpoint in (
                    "recordings",
                    "active-recording",
                    "meeting",
                    "recording",
                    "sessions",
                )
            ],
        ),
        Question.PAGE_SIZE: (
            "accepted; 3 of 3 recordings on the page",
            [
                f"{listed}?per_page=100: {fields}",
                "GET /sessions?per_page=100: 200; a success with `data`",
            ],
        ),
        Question.START_TIME: (
            "2 of 3 recordings selected, exactly those invoked after it",
            [
                f"{listed}?start_time=TIME: 200; a success with `data`",
                f"without start_time: {selected}",
            ],
        ),
        Question.STATUS_PAUSED: (
            "accepted; there is no PAUSED recording, and others are left out",
            [f"{listed}?status=PAUSED: 200; a success with `data`"],
        ),
        Question.STATUS_ERRORED: (
            "all 1 recordings on the page are ERRORED",
            [f"{listed}?status=ERRORED: 200; a success with `data`"],
        ),
        Question.STATUS_LIST: (
            "the page has RECORDING and UPLOADED recordings only",
            [f"{listed}?status=RECORDING,UPLOADED: 200; a success with `data`"],
        ),
        Question.FINISHED_NOT_ACTIVE: ("404 after the end", [f"{active}: {error}"]),
        Question.EXPIRY_FIXED: (
            "the same in two reads",
            [
                f"GET /recordings/ID: {details}",
                "GET /recordings/ID: 200; a success with `data`",
            ],
        ),
        Question.CLOCK: (
            "the clocks agree to within 2 s",
            ["Date minus this machine's clock: +0.2 s", "largest Age: 0 s"],
        ),
    }
    assert expected == {
        question: (finding.explanation, [*finding.evidence])
        for question, finding in probe.findings.items()
    }
    assert [*Question] == [*probe.findings]
    assert {Verdict.CONFIRMED} == {finding.verdict for finding in probe.findings.values()}


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, ["yes"]),
        # The ids in the bodies are no difference.
        (
            {
                f"{ACTIVE}unknown%2F": answer({"error": {"message": "no unknown/"}}, 404),
                f"{ACTIVE}room": answer({"error": {"message": "no room"}}, 404),
            },
            ["yes"],
        ),
        ({f"{ACTIVE}room": answer({"error": {"message": "idle"}}, 404)}, ["no"]),
        ({f"{ACTIVE}room": answer(success(None))}, []),
        ({f"{ACTIVE}room": ApiTimeout("no"), f"{ACTIVE}unknown%2F": ApiTimeout("no")}, []),
    ],
)
def test_bodies_about_meetings(changed: dict[str, Answer | ApiError], same: list[str]) -> None:
    """The bodies are compared if both answers have the same status."""
    evidence = Probe({**documented(), **changed}).evidence(Question.IDLE_MEETING)
    prefix = "same body as about an unknown meeting: "
    assert same == [line.removeprefix(prefix) for line in evidence if line.startswith(prefix)]


def test_smaller_pages_of_sessions() -> None:
    """The list of sessions may accept fewer items than that of recordings."""
    changed = {f"{SESSIONS}&per_page=100": answer(ENDED, 400)}
    finding = Probe({**documented(), **changed}).findings[Question.PAGE_SIZE]
    assert Verdict.DIFFERS is finding.verdict
    assert "the list of sessions refuses per_page=100" == finding.explanation


def test_start_time_of_the_meeting() -> None:
    """What `start_time` selects is compared with the page without it."""
    path = f"{LIST.format(10)}&{START}"
    probe = Probe({**documented(), path: answer(page(RUNNING), headers=HEADERS)})
    finding = probe.findings[Question.START_TIME]
    assert Verdict.DIFFERS is finding.verdict
    assert (
        "1 of 3 recordings selected, exactly those whose meeting was created after it"
        == finding.explanation
    )


@pytest.mark.parametrize(("status", "filters"), [("PAUSED", True), ("ERRORED", True), ("", False)])
def test_list_of_states(status: str, *, filters: bool) -> None:
    """If all recordings are in two states, it counts whether a single state is a filter."""
    listed = page(FINISHED, ERRORED, total=2)
    both = f"{LIST.format(10)}&status=UPLOADED,ERRORED"
    changed = {
        LIST.format(100): answer(listed),
        f"{LIST.format(10)}&start_time=2026-11-27T09%3A09%3A58Z": answer(listed),
        f"{LIST.format(10)}&status=PAUSED": answer(listed),
        f"{LIST.format(10)}&status=ERRORED": answer(listed),
        both: answer(listed),
    }
    if status:
        kept = [] if status == "PAUSED" else [ERRORED]
        changed[f"{LIST.format(10)}&status={status}"] = answer(page(*kept))
    finding = Probe({**documented(), **changed}).findings[Question.STATUS_LIST]
    assert (Verdict.CONFIRMED if filters else Verdict.UNKNOWN) is finding.verdict


def test_missing_states() -> None:
    """A filter that leaves out recordings of its own state differs from the documentation."""
    empty = answer(page(total=0))
    finding = Probe({**documented(), f"{LIST.format(10)}&status=ERRORED": empty}).findings[
        Question.STATUS_ERRORED
    ]
    expected = "accepted, but ERRORED recordings of the list are missing"
    assert (Verdict.DIFFERS, expected) == (finding.verdict, finding.explanation)


def test_smaller_pages() -> None:
    """The size is halved until the API accepts it, and filtered pages have the same length."""
    items = [replace_id(RUNNING, number) for number in range(8)]
    listed = answer(page(*items, FINISHED, ERRORED, item("r-9"), total=11), headers=HEADERS)
    refused = answer(ENDED, 400)
    paths = documented()
    changed = {
        LIST.format(100): refused,
        LIST.format(50): answer(ENDED, 422),
        LIST.format(25): listed,
        f"{LIST.format(11)}&{START}": listed,
        f"{LIST.format(11)}&status=RECORDING,UPLOADED": listed,
    }
    probe = Probe({**paths, **changed})
    assert [LIST.format(size) for size in (100, 50, 25)] == [path for _, path in probe.asked][:3]
    assert (
        "per_page=50 is refused, per_page=25 is accepted"
        == probe.findings[Question.PAGE_SIZE].explanation
    )
    assert [
        f"GET /recordings?per_page={size}: {status}"
        for size, status in ((100, "400"), (50, "422"), (25, "200"))
    ] == [line.partition(";")[0] for line in probe.evidence(Question.PAGE_SIZE)][:3]
    assert {*changed} <= {path for _, path in probe.asked}


def replace_id(listed: dict[str, Any], number: int) -> dict[str, Any]:
    """Return another recording like *listed*."""
    return {**listed, "id": f"r-1{number}"}


SIZES = [LIST.format(size) for size in (100, 50, 25, 10)]
NEEDS_LIST = (
    Question.START_TIME,
    Question.STATUS_LIST,
    Question.EXPIRY_FIXED,
    Question.FINISHED_NOT_ACTIVE,
)


def test_no_list() -> None:
    """Without a list, what it would tell is unknown, and the rest is asked about any meeting."""
    refused = dict.fromkeys(SIZES, answer(ENDED, 400))
    probe = Probe({**documented(), **refused, **documented_of("other")})
    assert ["the list of recordings cannot be read"] * 4 == [*map(probe.explanation, NEEDS_LIST)]
    assert [] == probe.slept
    assert (
        Verdict.DIFFERS,
        "no tried per_page is accepted",
    ) == (
        probe.findings[Question.PAGE_SIZE].verdict,
        probe.findings[Question.PAGE_SIZE].explanation,
    )
    assert Verdict.CONFIRMED is probe.findings[Question.IDLE_MEETING].verdict
    assert [[], []] == [
        probe.evidence(question) for question in (Question.EXPIRY_FIXED, Question.START_TIME)
    ]


def documented_of(meeting: str) -> dict[str, Answer]:
    """Return the documented answers about another idle meeting."""
    return {
        f"{ACTIVE}{meeting}": answer(ENDED, 404),
        f"{ONE}{meeting}": answer(success({"id": meeting})),
    }


def test_empty_list() -> None:
    """The report says which recordings are missing."""
    changed = {LIST.format(100): answer(page(total=0)), **documented_of("other")}
    probe = Probe({**documented(), **changed})
    later = "run the probe after a recording"
    two_recordings = "needs two recordings, the newest in a meeting that was created before"
    assert [
        f"{two_recordings}; {later} in a permanent meeting",
        "needs finished recordings in two states, e.g. UPLOADED and ERRORED",
        f"no recording with a download URL in the list; {later}",
        f"no finished recording of an idle meeting in the list; {later}",
    ] == [*map(probe.explanation, NEEDS_LIST)]


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        ((), "needs a configured meeting without a recording in progress"),
        (("BUSY", "busy"), "each configured meeting has a recording in progress"),
    ],
)
def test_no_idle_meeting(configured: tuple[str, ...], expected: str) -> None:
    """Without an idle meeting, the questions about it are not asked; others are."""
    probe = Probe({**documented(), f"{ACTIVE}room": answer(ENDED, 404)}, configured=configured)
    assert expected == probe.explanation(Question.IDLE_MEETING)
    assert expected == probe.explanation(Question.MEETING_EXISTS)
    assert [] == probe.evidence(Question.IDLE_MEETING)
    assert f"{ONE}room" not in [path for _, path in probe.asked]
    # A meeting that is not configured has a finished recording.
    assert Verdict.CONFIRMED is probe.findings[Question.FINISHED_NOT_ACTIVE].verdict


@pytest.mark.parametrize(("configured", "calls"), [(("ROOM",), 12), (("other",), 13)])
def test_finished_meeting(configured: tuple[str, ...], calls: int) -> None:
    """One call answers both questions about an idle meeting if it has a finished recording."""
    answers = {**documented(), **documented_of("other"), **documented_of("ROOM")}
    probe = Probe(answers, configured=configured)
    assert calls == probe.calls.made
    assert Verdict.CONFIRMED is probe.findings[Question.FINISHED_NOT_ACTIVE].verdict


@pytest.mark.parametrize("about", [answer(ENDED, 404), answer(NO_ROUTE, 404), answer(b"", 500)])
def test_meeting_that_does_not_exist(about: Answer) -> None:
    """Whether a meeting is idle is unknown if the API does not confirm that it exists."""
    probe = Probe({**documented(), f"{ONE}room": about})
    expected = "the configured meeting does not exist, or cannot be confirmed"
    assert expected == probe.explanation(Question.IDLE_MEETING)


@pytest.mark.parametrize(
    ("first", "stopped"),
    [
        (answer(ENDED, 401), "the API rejects the token (401)"),
        (answer(ENDED, 403), "the API rejects the token (403)"),
        (answer(ENDED, 429), "the API asks for fewer calls (429)"),
        (ApiTimeout("the API did not answer in time"), "the API did not answer in time"),
    ],
)
def test_refused_at_once(first: Answer | ApiError, stopped: str) -> None:
    """If all further calls would fail, too, there is none, and each question has the reason."""
    probe = Probe({**documented(), LIST.format(100): first})
    assert (1, stopped) == (probe.calls.made, probe.calls.stopped)
    (reply,) = probe.calls.replies
    assert ("recordings", NOW + 0.25) == (reply.endpoint, reply.answered_at)
    asked_headers = {Question.CLOCK, Question.RATE_LIMIT_HEADERS, Question.PAGE_SIZE}
    assert {stopped} == {probe.explanation(item) for item in Question if item not in asked_headers}


def test_failing_list() -> None:
    """A server error of the first call is about the list only: the others may have an answer."""
    changed = {LIST.format(100): answer(b"", 500), **documented_of("other")}
    probe = Probe({**documented(), **changed})
    assert (8, None) == (probe.calls.made, probe.calls.stopped)
    assert "the API failed (500)" == probe.explanation(Question.PAGE_SIZE)


@pytest.mark.parametrize(
    ("later", "stopped", "made"),
    [
        (answer(ENDED, 403), None, 12),
        (ApiTimeout("the API did not answer in time"), None, 12),
        (answer(b"", 500), None, 12),
        (answer(ENDED, 429), "the API asks for fewer calls (429)", 2),
    ],
)
def test_refused_later(later: Answer | ApiError, stopped: str | None, made: int) -> None:
    """After one answer, a refusal is about one endpoint, unless the API asks for fewer calls."""
    probe = Probe({**documented(), f"{ACTIVE}unknown%2F": later})
    assert (stopped, made) == (probe.calls.stopped, probe.calls.made)
    assert Verdict.UNKNOWN is probe.findings[Question.UNKNOWN_MEETING].verdict


def test_budget() -> None:
    """If the budget allows no further call in time, the probe stops."""
    probe = Probe(documented(), calls_allowed=5, made_before=2)
    stopped = "the budget or the time allows no further call"
    assert (3, stopped) == (probe.calls.made, probe.calls.stopped)
    assert stopped == probe.explanation(Question.MEETING_EXISTS)
    assert stopped == probe.explanation(Question.STATUS_PAUSED)


def test_most_calls() -> None:
    """Calls that were made again count, so that there are never too many."""

    async def steps() -> list[Asked]:
        limiter, context = limiter_of(100), pass_context(wait_until=0.0)
        calls = ProbeCalls(
            Api({"/a": answer(page())}, limiter), limiter, context, clock=lambda: NOW
        )
        for _ in range(MOST_CALLS - 2):
            async with limiter.acquire(context):
                pass
        return [await calls.ask("recordings", "/a") for _ in range(2)]

    made, not_made = run(steps())
    assert isinstance(made, Reply)
    assert NotAsked(f"the probe makes at most {MOST_CALLS} calls") == not_made
