import logging

from typing import Any

import pytest

from rk_exporter.api.call_log import CallLog, CallTrace
from rk_exporter.api.endpoints import (
    ACTIVE_RECORDING,
    ENDPOINTS,
    MEETING,
    RECORDING,
    RECORDINGS,
    SESSIONS,
)
from rk_exporter.api.results import Page, Paging
from rk_exporter.model.errors import ServerError, Unreachable
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.recording import Recording, Status
from rk_exporter.ratelimit.status import RateLimitPolicy
from rk_exporter.simulator import Fault, Session
from tests.support.building import NOW, Setup, config, run, scripted, setup


def recording(status: Status) -> Recording:
    return Recording(recording_id="r", status=status)


def calls(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return the fields of the lines about calls."""
    return [vars(record) for record in caplog.records if record.name == "rk_exporter.api.call_log"]


@pytest.mark.parametrize(
    ("endpoint", "value", "expected"),
    [
        (ACTIVE_RECORDING, (), "no active recording"),
        (ACTIVE_RECORDING, (recording(Status.RECORDING),), "active recording RECORDING"),
        (
            ACTIVE_RECORDING,
            (recording(Status.INVOKED), recording(Status.PAUSED)),
            "2 active recordings: INVOKED, PAUSED",
        ),
        (RECORDING, recording(Status.UPLOADED), "recording UPLOADED"),
        (RECORDING, None, "no such recording"),
        (RECORDINGS, Page((1, 2), ("1", "2"), None), "2 recordings"),
        (SESSIONS, Page((1,), ("1",), Paging(40, 1)), "1 of 40 sessions"),
        (MEETING, True, "recorded from its start on: yes"),
        (MEETING, False, "recorded from its start on: no"),
        (MEETING, None, "answered"),
        (RECORDINGS, (200, b"secret body"), "answered"),
    ],
)
def test_what_was_learnt(
    endpoint: str, value: object, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The message says in words what the answer means, without any text from it."""
    caplog.set_level(logging.DEBUG, logger="rk_exporter")
    CallLog({"app": "app-1"}).succeeded(CallTrace(endpoint, "/path"), value)
    assert [f"API call: {expected}"] == [record.getMessage() for record in caplog.records]


def test_fields(caplog: pytest.LogCaptureFixture) -> None:
    """A line has the app, the endpoint, the id, the status, duration, attempts and what is left."""
    caplog.set_level(logging.DEBUG, logger="rk_exporter")
    trace = CallTrace(
        ACTIVE_RECORDING,
        "/recordings/active-recording/m-1",
        attempts=2,
        code="500",
        duration_seconds=0.12345,
    )
    trace.observe(RateLimitPolicy(policy=str(left), remaining=left) for left in (90, 7))
    CallLog({"app": "app-1"}).failed(trace, ServerError("the API answered 500"))
    (fields,) = calls(caplog)
    assert {
        "app": "app-1",
        "endpoint": "active-recording",
        "meeting_id": "m-1",
        "code": "500",
        "duration_seconds": 0.123,
        "attempts": 2,
        "ratelimit_remaining": 7,
        "reason": "server_error",
    }.items() <= fields.items()
    assert ["API call: the API answered 500"] == caplog.messages


@pytest.mark.parametrize(
    ("endpoint", "path", "subject"),
    [
        (ACTIVE_RECORDING, "/recordings/active-recording/a%2Fb", {"meeting_id": "a/b"}),
        (MEETING, "/meetings/a%2Fb", {"meeting_id": "a/b"}),
        (RECORDING, "/recordings/a%2Fb", {"recording_id": "a/b"}),
        (RECORDINGS, "/recordings?page_no=1&a=%2F", {"query": "page_no=1&a=%2F"}),
        (SESSIONS, "/sessions", {}),
    ],
)
def test_calls_that_are_not_made(
    endpoint: str, path: str, subject: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """A call that is not made has a line with what it would have been about, and why."""
    caplog.set_level(logging.DEBUG, logger="rk_exporter")
    log = CallLog({"account": "hospital"})
    log.postponed(CallTrace(endpoint, path))
    log.failed(CallTrace(endpoint, path), Unreachable(Failure(Reason.TLS, "no connection")))
    first, second = calls(caplog)
    made = {"code": "none", "duration_seconds": 0.0, "attempts": 0}
    expected = {"account": "hospital", "endpoint": endpoint, **subject, **made}
    assert expected == fields_of(first)
    assert {**expected, "reason": "tls"} == fields_of(second)
    assert [
        "API call: not made: the rate limiter would let it wait for too long",
        "API call: not made: no connection",
    ] == caplog.messages


def fields_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return what a line has beside the message."""
    usual = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}
    return {name: value for name, value in record.items() if name not in usual}


def test_nothing_at_info(caplog: pytest.LogCaptureFixture) -> None:
    """Calls are logged at level debug only."""
    caplog.set_level(logging.INFO, logger="rk_exporter")
    log = CallLog({"app": "app-1"})
    log.succeeded(CallTrace(MEETING, "/meetings/a"), value=True)
    log.failed(CallTrace(MEETING, "/meetings/a"), ServerError("the API answered 500"))
    log.postponed(CallTrace(MEETING, "/meetings/a"))
    assert [] == caplog.records


def every_endpoint() -> Setup:
    return setup(
        scripted("a"),
        scripted("ended", paused=(), stopped_at=NOW + 10, uploaded_at=NOW + 20),
        meetings=["a", "ended", "idle", "bad"],
        sessions=[Session("s", "a", NOW - 60)],
        linger_seconds=0,
        rate_limit=10_000,
        configuration=config(meeting_ids=["a", "ended", "idle", "bad"], meetings__discover="true"),
    )


def test_each_call_has_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """At level debug the log has each call that the API sees, with its endpoint and its id."""
    caplog.set_level(logging.DEBUG, logger="rk_exporter")
    system = every_endpoint()
    system.simulator.inject("bad", Fault.NOT_JSON)

    async def steps() -> None:
        await system.get()
        system.time.now += 30
        await system.get()
        await system.exporter.close()

    run(steps())
    logged = calls(caplog)
    assert {*ENDPOINTS} == {fields["endpoint"] for fields in logged}
    assert len(system.proxy.calls) == sum(fields["attempts"] for fields in logged)
    paths = {call.path.rpartition("/")[2] for call in system.proxy.calls}
    subjects = [fields.get("meeting_id") or fields.get("recording_id") for fields in logged]
    assert {*filter(None, subjects)} == paths - {"recordings", "sessions"}
    by_meeting = {
        fields["meeting_id"]: (fields["code"], fields["msg"] % fields["args"])
        for fields in logged
        if fields["endpoint"] == ACTIVE_RECORDING
    }
    assert ("404", "API call: no active recording") == by_meeting["idle"]
    assert "200" == by_meeting["bad"][0]
    assert {"invalid_response"} == {
        fields["reason"] for fields in logged if fields.get("meeting_id") == "bad"
    }
    assert all(fields["ratelimit_remaining"] > 9_000 for fields in logged)
