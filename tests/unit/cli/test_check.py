"""`check` against simulators: which meetings it reads and asks about, and what it finds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rk_exporter.api.endpoints import MEETING
from rk_exporter.api.replies import Reply
from rk_exporter.cli import check_meetings, check_report, check_verdicts
from rk_exporter.cli.check import CheckResult, check, config_for_check
from rk_exporter.cli.check_meetings import Existence, existence
from rk_exporter.cli.progress import Stage
from rk_exporter.exporter import Exporter
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.simulator import Fault, Recording, Session
from rk_exporter.simulator.api.settings import NotFoundBody
from tests.support.building import NOW, Call, Simulation, config, in_process, simulate
from tests.support.check_documents import document_of


RUNNING = Recording.scripted("busy", invoked_at=NOW - 500, started_at=NOW - 498)
EXISTING = ["busy", "idle", "other"]


def nothing(simulation: Simulation) -> None:
    """Leave the simulator as it is."""


def checked(
    *listed: str,
    prepare: Callable[[Simulation], object] = nothing,
    recordings: tuple[Recording, ...] = (RUNNING,),
    meetings: tuple[str, ...] = (),
    settings: dict[str, str] | None = None,
    **switches: Any,
) -> tuple[CheckResult, list[Call]]:
    """Return what a check of the *listed* meetings finds, and the calls that it makes."""
    configuration = config(meeting_ids=[*listed], **(settings or {}))

    async def steps(simulation: Simulation) -> tuple[CheckResult, list[Call]]:
        prepare(simulation)
        await simulation.exporter.close()
        simulation.exporter = Exporter(
            config_for_check(configuration),
            make_client=in_process(simulation.proxy),
            clock=simulation.clock,
            persistent=False,
        )
        result = await check(simulation.exporter, configuration, 600.0, place)
        return result, simulation.proxy.calls

    return simulate(
        steps,
        *recordings,
        meetings=[*EXISTING, *meetings],
        configuration=configuration,
        **switches,
    )


def place(meeting_id: str, **_: object) -> str:
    return f"rk.yml:7: {meeting_id}"


def report(result: CheckResult) -> list[str]:
    return list(check_report.lines(result.snapshot, result.existence))


def known(result: CheckResult) -> Existence:
    (only,) = result.existence.values()
    return only


def is_fine(result: CheckResult) -> bool:
    return check_verdicts.is_fine(result.snapshot, result.existence)


def before_each(fault: Fault, path: str) -> Callable[[Simulation], object]:
    """Return a preparation after which the calls to a *path* fail."""

    def prepare(simulation: Simulation) -> None:
        def before(call: Call) -> None:
            if call.path.startswith(path):
                simulation.simulator.inject("*", fault, times=1)

        simulation.proxy.before = before

    return prepare


def test_mistyped_id() -> None:
    """An id that the API does not know is a failure, with its place in the configuration."""
    result, _ = checked("busy", "idle", "tpyo")
    app, busy, idle, mistyped = report(result)
    assert ": FAILED, 3 of 3 meetings read" in app
    assert "RECORDING" in busy
    assert idle.endswith("no active recording")
    assert mistyped.endswith(
        "FAILED not_found: the API has no meeting with this id; correct or remove it: "
        "rk.yml:7: tpyo"
    )
    assert not is_fine(result)
    document = document_of(result.snapshot, result.existence)
    meetings = {meeting["meeting_id"]: meeting for meeting in document["apps"][0]["meetings"]}
    assert not document["ok"]
    assert {"busy": True, "idle": True, "tpyo": False} == {
        key: meeting["ok"] for key, meeting in meetings.items()
    }
    assert "rk.yml:7: tpyo" in meetings["tpyo"]["failure"]["advice"]


def test_only_mistyped_ids() -> None:
    """If no id is right, each one is a failure."""
    result, _ = checked("tpyo", "typpo")
    assert {"tpyo", "typpo"} == {*known(result).missing}
    assert not is_fine(result)


def test_right_ids() -> None:
    """Meetings that exist are fine, and those with a recording are not asked about."""
    result, calls = checked(*EXISTING)
    assert is_fine(result)
    assert {"meetings/idle", "meetings/other"} == {
        call.path for call in calls if call.path.startswith("meetings/")
    }
    assert not any("note" in line for line in report(result))


@pytest.mark.parametrize("fault", [Fault.FORBIDDEN, Fault.UNAUTHORIZED, Fault.GATEWAY_NOT_FOUND])
def test_refused_endpoint(fault: Fault) -> None:
    """If the API refuses to say which meetings exist, a note says so, and the check passes."""
    result, calls = checked("busy", "idle", "tpyo", prepare=before_each(fault, "meetings/"))
    assert is_fine(result)
    assert report(result)[-1].startswith("  note: the API ")
    assert "cannot see whether meetings without a recording exist" in report(result)[-1]
    # One for the refusal, and at most one about a meeting that certainly exists.
    assert 2 >= sum(call.path.startswith("meetings/") for call in calls)


def test_proof() -> None:
    """If no answer shows that the endpoint works, a meeting with a recording is asked about too."""
    result, calls = checked("busy", "tpyo")
    assert {"tpyo"} == {*known(result).missing}
    assert ["meetings/tpyo", "meetings/busy"] == [
        call.path for call in calls if call.path.startswith("meetings/")
    ]


def test_endpoint_that_knows_no_meeting() -> None:
    """If the API does not even know a meeting with a recording, its answers mean nothing."""
    body = b'{"success":false,"error":{"code":404,"message":"no"}}'
    missing = Reply(endpoint=MEETING, answered_at=0.0, status=404, body=body)
    found = existence({"a": missing}, place=str, proven=missing, unverified=2, left_out=0)
    assert "the API answered 404 about a meeting with a recording" == found.refusal
    assert ({}, 3) == (found.missing, found.unverified)


@pytest.mark.parametrize("body", [body for body in NotFoundBody if body is not NotFoundBody.HTML])
def test_any_404(body: NotFoundBody) -> None:
    """Whatever RealtimeKit's 404 contains, it means that there is no such meeting."""
    result, _ = checked("busy", "tpyo", not_found_body=body, settings={"api__read": "list"})
    assert {"tpyo"} == {*known(result).missing}


def test_failing_endpoint() -> None:
    """A server error leaves a doubt, which is no failure."""
    result, _ = checked("idle", prepare=before_each(Fault.SERVER_ERROR, "meetings/"))
    assert is_fine(result)
    assert (
        "no active recording; cannot see whether the meeting exists: the API failed (500)"
        in report(result)[-1]
    )


def test_rejected_id() -> None:
    """If the API rejects an id, the failure has its place in the configuration."""
    result, _ = checked("idle", prepare=before_each(Fault.UNPROCESSABLE, "recordings/active"))
    assert "FAILED client_error: the API answered 422; check the meeting id" in report(result)[-1]
    assert report(result)[-1].endswith(" (rk.yml:7: idle)")
    assert not is_fine(result)


@pytest.mark.parametrize("token", ["refused", "forbidden"])
def test_rejected_token(token: str) -> None:
    """A rejected token is said once, whatever the number of meetings."""
    result, calls = checked(
        *(f"meeting-{number}" for number in range(30)),
        forbidden_token="simulated" if token == "forbidden" else "another",
        token="another",
    )
    app, line = report(result)
    assert ": FAILED, 0 of 30 meetings read" in app
    assert line.startswith("  token: FAILED auth: the API answered 40")
    assert not is_fine(result)
    assert not any(call.path.startswith("meetings/") for call in calls)
    document = document_of(result.snapshot, result.existence)
    assert "auth" == document["apps"][0]["token_failure"]["reason"]


def test_more_meetings_than_calls() -> None:
    """The first meetings are checked, and the report counts the others."""
    listed = [f"meeting-{number}" for number in range(40)]
    settings = {"api__budget": "200", "api__read": "active-recording"}
    result, calls = checked(*listed, meetings=tuple(listed), settings=settings)
    app, *lines = report(result)
    assert ": ok, 10 of 10 meetings read" in app
    assert "not checked: 30 meetings, the last in the list; check uses at most a tenth" in lines[-1]
    assert is_fine(result)
    assert 20 == len(calls)
    assert {f"meetings/{meeting_id}" for meeting_id in listed[:10]} == {
        call.path for call in calls if call.path.startswith("meetings/")
    }


def test_more_meetings_than_calls_in_the_list() -> None:
    """The list shows all meetings; the calls that are left ask about the first ones."""
    listed = [f"meeting-{number}" for number in range(40)]
    settings = {"api__budget": "200", "api__read": "auto"}
    result, calls = checked(*listed, meetings=tuple(listed), settings=settings)
    assert ": ok, 40 of 40 meetings read through the list" in report(result)[0]
    assert "not asked whether they exist: 24 meetings" in report(result)[-1]
    assert 20 == len(calls)


@pytest.mark.parametrize("read", ["auto", "list"])
def test_many_live_meetings(read: str) -> None:
    """A check does not wait minutes for calls that would only read the settings of meetings."""
    live = [f"meeting-{number}" for number in range(80)]
    settings = {"api__read": read, "api__budget": "600"}
    configuration = config(meeting_ids=[], meetings__discover="true", **settings)

    async def steps(simulation: Simulation) -> tuple[CheckResult, float]:
        exporter = Exporter(
            config_for_check(configuration),
            make_client=in_process(simulation.proxy),
            clock=simulation.clock,
            persistent=False,
            one_pass=True,
        )
        begun_at = simulation.clock.monotonic()
        result = await check(exporter, configuration, 600.0, place)
        await exporter.close()
        return result, simulation.clock.monotonic() - begun_at

    result, seconds = simulate(
        steps,
        meetings=live,
        sessions=[Session(f"of-{meeting_id}", meeting_id, NOW - 100) for meeting_id in live],
        configuration=configuration,
    )
    assert 80 == check_verdicts.summary(result.snapshot, result.existence).fine
    assert seconds < 5


@pytest.mark.parametrize("budget", ["1", "9", "20", "79"])
@pytest.mark.parametrize("read", ["auto", "active-recording"])
def test_tiny_budget(budget: str, read: str) -> None:
    """However small the budget is, one meeting is read, and the check stays within its part."""
    settings = {"api__budget": budget, "api__read": read}
    result, calls = checked("idle", "other", "busy", settings=settings)
    assert len(calls) <= max(1, int(budget) // 10)
    assert calls
    assert is_fine(result)


def test_several_apps_share_the_calls() -> None:
    """The apps of a process share its tenth of the budget."""
    configuration = config(api__budget="600")
    two_apps = replace(configuration, apps=configuration.apps * 2)
    assert 60 == check_meetings.calls_per_app(configuration)
    assert 30 == check_meetings.calls_per_app(two_apps)


def test_failed_call_about_a_meeting() -> None:
    """A call without an answer leaves a doubt about one meeting only."""
    failed = Reply.failed(MEETING, Failure(Reason.TIMEOUT, "the API did not answer in time"), 0.0)
    body = b'{"success":true,"data":{}}'
    good = Reply(endpoint=MEETING, answered_at=0.0, status=200, body=body)
    found = existence({"a": failed, "b": good}, place=str, proven=None, unverified=0, left_out=0)
    assert Existence(failures={"a": "the API did not answer in time"}) == found


@pytest.mark.parametrize(("read", "total"), [("auto", 3), ("list", None)])
def test_stages(read: str, total: int | None) -> None:
    """A check says what it is doing; the number of calls is known if each meeting has one."""
    configuration = config(meeting_ids=EXISTING, api__read=read)
    stages = list[Stage]()

    async def steps(simulation: Simulation) -> None:
        await check(simulation.exporter, configuration, 600.0, place, begin=stages.append)

    simulate(steps, RUNNING, meetings=EXISTING, configuration=configuration)
    reading, asking = stages
    assert ("reading meetings", total) == (reading.label, reading.total)
    assert ("looking up meetings without a recording", None) == (asking.label, asking.total)
    assert reading.done() >= 3
