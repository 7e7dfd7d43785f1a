"""Whole accounts: their apps are found through the API, and read like all others."""

import json
import logging

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.sources import Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.simulator import CANARY, Fault, Recording, Session
from rk_exporter.snapshot import Snapshot
from rk_exporter.web.status.accounts import account_status
from tests.support.building import (
    BASE_URL,
    NOW,
    Simulation,
    labelled,
    samples,
    scripted,
    simulate,
    value,
)


T = TypeVar("T")
ONE = "accounts: [{account_id: acme, apps: {exclude: '.*-test'}}]\n"
THREE_APPS = "a=production,b=staging,c=my-test"
LIVE = Session("s", "weekly", NOW - 60, None, 3)
IN_PROGRESS = scripted(
    "weekly", invoked_at=NOW - 50, started_at=NOW - 48, paused=[], stopped_at=None, uploaded_at=None
)
FINISHED = scripted(
    "daily",
    invoked_at=NOW - 7200,
    started_at=NOW - 7198,
    paused=[],
    stopped_at=NOW - 3600,
    uploaded_at=NOW - 3500,
)


def of(folder: Path, text: str = ONE, **flags: str) -> Config:
    path = folder / "rk.yml"
    path.write_text(f"api: {{base_url: '{BASE_URL}'}}\n{text}")
    settings = {key.replace("__", "."): Setting(flag, key) for key, flag in flags.items()}
    return load(path, settings, {TOKEN_VARIABLE: "simulated"})


def story(
    steps: Callable[[Simulation], Awaitable[T]],
    configuration: Config,
    *recordings: Recording,
    **options: Any,
) -> T:
    """Run *steps* with the three apps, or with the *options* of the simulator."""
    options = {"apps": THREE_APPS, "sessions": [LIVE], **options}
    return simulate(steps, *recordings, configuration=configuration, **options)


def change(simulation: Simulation, **settings: Any) -> None:
    """Change settings of the simulator."""
    simulation.simulator.settings = replace(simulation.simulator.settings, **settings)


async def minutes(simulation: Simulation, count: float) -> str:
    """Scrape for some minutes, and return the last exposition."""
    return await simulation.last_scrape(round(4 * count))


def apps(text: str) -> list[str]:
    return sorted(labels["rk_app"] for labels, _ in labelled(text, "rk_up"))


def lists(simulation: Simulation) -> int:
    return simulation.simulator.requests.by_endpoint["apps"]


def test_first_scrape(tmp_path: Path) -> None:
    """The first scrape finds the apps, and shows their recordings, those that ended, too."""

    async def steps(simulation: Simulation) -> str:
        return await simulation.scrape()

    text = story(steps, of(tmp_path), IN_PROGRESS, FINISHED)
    assert ["production", "staging"] == apps(text)
    for name in ("production", "staging"):
        states = labelled(text, "rk_recording_status")
        shown = {
            (labels["meeting_id"], labels["status"])
            for labels, is_on in states
            if is_on and labels["rk_app"] == name
        }
        assert {("weekly", "RECORDING"), ("daily", "UPLOADED")} == shown
    account = '{rk_account="acme"}'
    assert {account: 1.0} == samples(text, "rk_account_up")
    assert {account: 2.0} == samples(text, "rk_account_apps")
    assert {account: NOW} == samples(text, "rk_account_last_success_timestamp_seconds")


def test_interval(tmp_path: Path) -> None:
    """The apps are listed every ten minutes, with one call."""

    async def steps(simulation: Simulation) -> int:
        await minutes(simulation, 60)
        return lists(simulation)

    assert 6 <= story(steps, of(tmp_path)) <= 7


def test_app_appears(tmp_path: Path) -> None:
    """A new app is read without a restart, ten minutes later at most."""

    async def steps(simulation: Simulation) -> list[list[str]]:
        before = apps(await minutes(simulation, 2))
        change(simulation, apps=f"{THREE_APPS},d=new,e=other-test")
        return [before, apps(await minutes(simulation, 11))]

    before, after = story(steps, of(tmp_path))
    assert (["production", "staging"], ["new", "production", "staging"]) == (before, after)


def test_app_goes(tmp_path: Path) -> None:
    """A deleted app is no longer read, and the others lose nothing."""

    async def steps(simulation: Simulation) -> tuple[str, str]:
        before = await minutes(simulation, 2)
        change(simulation, apps="b=staging,c=my-test")
        after = await minutes(simulation, 12)
        simulation.proxy.new_calls()
        await minutes(simulation, 2)
        assert "a" not in {call.app_id for call in simulation.proxy.new_calls()}
        return before, after

    before, after = story(steps, of(tmp_path), IN_PROGRESS, FINISHED)
    assert ["staging"] == apps(after)
    assert 'rk_app="production"' not in after
    assert 2 * after.count('meeting_id="daily"') == before.count('meeting_id="daily"')


def test_app_is_renamed(tmp_path: Path) -> None:
    """An app with a new name keeps what is known of it."""

    async def steps(simulation: Simulation) -> Snapshot:
        await minutes(simulation, 2)
        change(simulation, apps="a=live,b=staging")
        await minutes(simulation, 11)
        return await simulation.scrape_snapshot()

    snapshot = story(steps, of(tmp_path), FINISHED)
    live = next(app for app in snapshot.apps if app.app.name == "live")
    assert live.is_restored
    assert ["daily"] == [known.meeting.meeting_id for known in live.recordings]


@pytest.mark.parametrize(
    "settings",
    [
        {"apps_status": 500},
        {"apps_status": 403},
        {"apps_status": 404},
        {"apps_status": 204},
    ],
    ids=str,
)
def test_list_fails(
    settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While the list fails, the known apps are read as before, and metrics and log say so."""
    caplog.set_level(logging.INFO)

    async def steps(simulation: Simulation) -> list[str]:
        await minutes(simulation, 2)
        change(simulation, **settings)
        broken = await minutes(simulation, 20)
        calls = lists(simulation)
        change(simulation, apps_status=200)
        repaired = await minutes(simulation, 12)
        assert calls <= 16, "a failing list must not use up the budget"
        return [broken, repaired]

    broken, repaired = story(steps, of(tmp_path), IN_PROGRESS)
    account = '{rk_account="acme"}'
    for text, is_up in ((broken, 0.0), (repaired, 1.0)):
        assert ["production", "staging"] == apps(text)
        assert {1.0} == {is_up for _, is_up in labelled(text, "rk_up")}
        assert {account: is_up} == samples(text, "rk_account_up")
    messages = [record.getMessage() for record in caplog.records]
    failing = "apps of the account cannot be listed, so the known ones stay"
    assert 1 == sum(message.startswith(failing) for message in messages)
    assert "apps of the account can be listed again" in messages


def test_token_rejected(tmp_path: Path) -> None:
    """An account whose token is rejected at the start is down, and the exporter is not ready."""

    async def steps(simulation: Simulation) -> tuple[str, str | None]:
        return await simulation.scrape(), simulation.exporter.why_not_ready()

    text, reason = story(steps, of(tmp_path), token="another")
    assert {'{rk_account="acme"}': 0.0} == samples(text, "rk_account_up")
    assert [] == apps(text)
    assert reason is not None
    assert "token refused" in reason
    assert "for account acme" in reason
    failures = labelled(text, "rk_account_api_request_failures_total")
    assert {"auth"} == {labels["reason"] for labels, count in failures if count}


def test_token_is_replaced(tmp_path: Path) -> None:
    """The first pass after the token's file was replaced reads all apps with the new token."""
    file = tmp_path / "token"
    text = f"accounts: [{{account_id: acme, api_token_file: '{file}'}}]\n"

    def write(token: str) -> None:
        file.write_text(token)
        file.chmod(0o600)

    async def steps(simulation: Simulation) -> list[str]:
        texts = [await minutes(simulation, 1)]
        for token in ("another", "simulated"):
            write(token)
            texts.append(await simulation.scrape())
        return texts

    write("simulated")
    for shown, is_up in zip(story(steps, of(tmp_path, text)), (1.0, 0.0, 1.0), strict=True):
        assert {is_up} == {value for _, value in labelled(shown, "rk_up")}


def test_one_short_list(tmp_path: Path) -> None:
    """A single list without an app is not enough to stop reading it."""

    async def steps(simulation: Simulation) -> list[list[str]]:
        await minutes(simulation, 9)
        found = []
        change(simulation, apps="c=my-test")
        for _ in range(8):
            found.append(apps(await simulation.scrape()))
            if lists(simulation) > 1:
                change(simulation, apps=THREE_APPS)
        return [*found, apps(await minutes(simulation, 12))]

    assert [["production", "staging"]] * 9 == story(steps, of(tmp_path))


@pytest.mark.parametrize(
    "settings",
    [
        {"most_apps": 10},
        {"apps_in_object": True},
        {"apps_without_paging": True},
        {"most_apps": 50, "apps_without_paging": True, "page_refusal": 422},
    ],
    ids=str,
)
def test_pages(settings: dict[str, Any], tmp_path: Path) -> None:
    """All pages are read, whatever their size, with and without `paging`."""
    names = [f"app-{number}" for number in range(120)]

    async def steps(simulation: Simulation) -> str:
        return await simulation.scrape()

    text = story(steps, of(tmp_path), apps=",".join(names), **settings)
    assert {'{rk_account="acme"}': 120.0} == samples(text, "rk_account_apps")


def answer_lists_with(simulation: Simulation, answer: tuple[int, bytes] | None) -> None:
    """Answer the calls that list apps with a status and a body."""
    simulation.proxy.instead = lambda call: answer if call.app_id == "apps" else None


def body(data: Any) -> bytes:
    return json.dumps({"success": True, "data": data}).encode()


NO_LISTS = {
    "null": body(None),
    "string": body("a"),
    "number": body(5),
    "object": body({"items": []}),
    "null in an object": body({"apps": None}),
    "strings": body(["a", "b"]),
    "nulls": body([None]),
    "lists": body([[{"id": "a"}]]),
    "no ids": body([{"name": "production"}, {"name": "staging"}]),
    "odd ids": body(
        [{"id": "../a"}, {"id": "a b"}, {"id": ""}, {"id": "\u00e4"}, {"id": "a" * 200}]
    ),
    "numbers as ids": body([{"id": 1}, {"id": 2}]),
    "no data": b'{"success": true}',
    "no success": b'{"data": []}',
    "not successful": b'{"success": false, "data": [], "errors": [{"code": 7003, "message": "m"}]}',
    "a list": b"[]",
    "web page": b"<!DOCTYPE html><html><title>Sign in</title></html>",
    "nothing": b"",
    "half": body([{"id": "a"}])[:-5],
    "no UTF-8": body([{"id": "x"}]).replace(b"x", b"\xff"),
}


@pytest.mark.parametrize("answer", NO_LISTS.values(), ids=NO_LISTS.keys())
def test_no_list(answer: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    A success that has no list of apps is a failure with a reason, and the known apps are read on.

    It never looks like an account without apps, however often it comes.
    """

    async def steps(simulation: Simulation) -> list[str]:
        await minutes(simulation, 2)
        answer_lists_with(simulation, (200, answer))
        broken = await minutes(simulation, 30)
        answer_lists_with(simulation, None)
        return [broken, await minutes(simulation, 2)]

    broken, repaired = story(steps, of(tmp_path), IN_PROGRESS)
    for text, is_up in ((broken, 0.0), (repaired, 1.0)):
        assert ["production", "staging"] == apps(text)
        assert {'{rk_account="acme"}': is_up} == samples(text, "rk_account_up")
        assert {1.0} == {is_up for _, is_up in labelled(text, "rk_up")}
    failures = labelled(broken, "rk_account_api_request_failures_total")
    (reason,) = {labels["reason"] for labels, count in failures if count}
    assert reason in {"invalid_response", "intercepted", "client_error", "server_error"}
    (warning,) = (record for record in caplog.records if "cannot be listed" in record.getMessage())
    assert reason == warning.__dict__["reason"]
    assert warning.__dict__["remedy"]


def test_no_list_at_the_start(tmp_path: Path) -> None:
    """An account whose apps were never listed is down, not empty, and the exporter is not ready."""

    async def steps(simulation: Simulation) -> tuple[str, str | None]:
        answer_lists_with(simulation, (200, body([{"name": "production"}])))
        return await minutes(simulation, 5), simulation.exporter.why_not_ready()

    text, reason = story(steps, of(tmp_path))
    assert {'{rk_account="acme"}': 0.0} == samples(text, "rk_account_up")
    assert {} == samples(text, "rk_account_apps")
    assert {} == samples(text, "rk_account_list_complete")
    assert reason is not None
    assert "acme" in reason


def test_app_without_an_id(tmp_path: Path) -> None:
    """
    An app whose id cannot be used is not read; other new apps are, and no known app is dropped.

    Any known app may be the one without its id. It counts as gone when all have ids again.
    """

    async def steps(simulation: Simulation) -> list[list[str]]:
        await minutes(simulation, 2)
        answer_lists_with(simulation, (200, body([{"id": "a"}, {"id": "x/y"}, {"id": "new"}])))
        odd = apps(await minutes(simulation, 40))
        answer_lists_with(simulation, (200, body([{"id": "a"}, {"id": "new"}])))
        return [odd, apps(await minutes(simulation, 12))]

    odd, after = story(steps, of(tmp_path), IN_PROGRESS)
    assert ["a", "new", "staging"] == odd
    assert ["a", "new"] == after


def test_duplicate_apps(tmp_path: Path) -> None:
    """An app that is listed several times, in several spellings of its id, is read once."""
    app_id = "2a95132c-1573-2412-a221-6fd0a01e0000"
    twice = [{"id": app_id, "name": "old"}, {"id": app_id.upper(), "name": "new"}]

    async def steps(simulation: Simulation) -> str:
        answer_lists_with(simulation, (200, body([*twice, {"id": "b", "name": "other"}])))
        return await minutes(simulation, 2)

    text = story(steps, of(tmp_path), IN_PROGRESS)
    assert ["new", "other"] == apps(text)
    assert {'{rk_account="acme"}': 2.0} == samples(text, "rk_account_apps")


def test_ten_thousand_apps(tmp_path: Path) -> None:
    """
    An account with 10,000 apps is listed to its end, with one call for 100 of them.

    A pass has calls for a part of the pages only, so the next one goes on with the rest.
    """
    names = ",".join(f"app-{number}" for number in range(10_000))
    two = "accounts: [{account_id: acme, apps: {include: 'app-9999|app-0'}}]\n"

    async def steps(simulation: Simulation) -> list[tuple[list[str], int]]:
        found = []
        for count in (1, 1, 11):
            text = await minutes(simulation, count)
            found.append((apps(text), lists(simulation)))
        assert {'{rk_account="acme"}': 1.0} == samples(text, "rk_account_up")
        assert {'{rk_account="acme"}': 2.0} == samples(text, "rk_account_apps")
        assert {'{rk_account="acme"}': 1.0} == samples(text, "rk_account_list_complete")
        return found

    found = story(steps, of(tmp_path, two), IN_PROGRESS, apps=names)
    listed = ["app-0", "app-9999"]
    assert [(listed, 100), (listed, 100), (listed, 200)] == found


def test_no_app_is_wanted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log says once that the expressions leave out all apps, and the status until one comes."""
    none = "accounts: [{account_id: acme, apps: {include: 'prod-.*', exclude: 'prod-1'}}]\n"

    async def steps(simulation: Simulation) -> list[str | None]:
        found = []
        for names in ("", "prod-1,production", "prod-1,production", "prod-1,prod-2"):
            change(simulation, apps=names)
            await minutes(simulation, 11)
            (account,) = simulation.exporter.collector.snapshot.accounts
            found.append(account_status(account).problem)
        return found

    problem = "none of its 2 apps is to be read"
    assert story(steps, of(tmp_path, none)) == [None, problem, problem, None]
    said = "account has apps, and none of them is to be read"
    (warning,) = [record for record in caplog.records if record.message == said]
    assert (vars(warning)["account"], vars(warning)["apps"]) == ("acme", 2)
    assert "correct apps.include and apps.exclude" in vars(warning)["remedy"]


@pytest.mark.parametrize("has_paging", [True, False], ids=["paging", "no paging"])
def test_more_apps_than_pages(
    *, has_paging: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """
    The log, the metrics and the status say that an account has more apps than are listed.

    They say so once, and end when the list is complete again.
    """
    names = ",".join(f"app-{number}" for number in range(10_001))
    two = "accounts: [{account_id: acme, apps: {include: 'app-10000|app-0'}}]\n"
    cut = "account has more apps than the exporter lists, so the others are not read"
    complete, account = "rk_account_list_complete", '{rk_account="acme"}'

    async def steps(simulation: Simulation) -> list[tuple[float, str | None]]:
        found = []
        for settings, count in (({}, 1), ({}, 12), ({"apps": "app-0"}, 24)):
            change(simulation, **settings)
            text = await minutes(simulation, count)
            (shown,) = [
                account_status(account)
                for account in simulation.exporter.collector.snapshot.accounts
            ]
            found.append((samples(text, complete)[account], shown.problem))
        return found

    found = story(
        steps, of(tmp_path, two), IN_PROGRESS, apps=names, apps_without_paging=not has_paging
    )
    problem = "it has more apps than the 10,000 that the exporter lists"
    assert [(0.0, problem), (0.0, problem), (1.0, None)] == found
    (warning,) = [record for record in caplog.records if record.message == cut]
    assert (warning.levelname, vars(warning)["account"]) == ("WARNING", "acme")
    assert "name the apps that are missing in `apps`" in vars(warning)["remedy"]


def test_restart(tmp_path: Path) -> None:
    """
    With a state file, the apps are known after a restart, even if they cannot be listed.

    Their counters go on, and a scrape needs no list.
    """
    configuration = of(tmp_path, state__file=str(tmp_path / "state"))

    async def steps(simulation: Simulation) -> list[str]:
        before = await minutes(simulation, 3)
        change(simulation, apps_status=500)
        await simulation.restart()
        return [before, await minutes(simulation, 2)]

    before, after = story(steps, configuration, IN_PROGRESS, FINISHED)
    assert ["production", "staging"] == apps(before) == apps(after)
    name = "rk_recordings_started_total"
    assert samples(before, name) == samples(after, name)


def test_reload(tmp_path: Path) -> None:
    """A reload changes which apps of an account are read, and keeps what is known of them."""

    async def steps(simulation: Simulation) -> list[Any]:
        await minutes(simulation, 2)
        calls = lists(simulation)
        only = "accounts: [{account_id: acme, name: Acme, apps: {include: staging}}]\n"
        await simulation.reload(of(tmp_path, only))
        snapshot = simulation.exporter.collector.snapshot
        assert ["Acme"] == [account.account.name for account in snapshot.accounts]
        kept = [[app.app.name, len(app.recordings)] for app in snapshot.apps]
        text = await simulation.scrape()
        await simulation.reload(
            of(tmp_path, "apps: [{app_id: x, account_id: y, meetings: {ids: [weekly]}}]\n")
        )
        return [calls, kept, apps(text), apps(await simulation.scrape())]

    calls, kept, after, without = story(steps, of(tmp_path), FINISHED)
    assert (1, [["staging", 1]], ["staging"], ["x"]) == (calls, kept, after, without)


def test_nothing_without_accounts(tmp_path: Path) -> None:
    """Without accounts, no call lists apps, and the exposition has nothing about accounts."""
    text = "apps: [{app_id: x, account_id: y, meetings: {ids: [weekly]}}]\n"

    async def steps(simulation: Simulation) -> tuple[int, str]:
        shown = await minutes(simulation, 15)
        return lists(simulation), shown

    calls, shown = story(steps, of(tmp_path, text))
    assert 0 == calls
    assert "rk_account_up" not in shown
    assert "rk_account_api" not in shown


@pytest.mark.no_cover
def test_shared_budget(tmp_path: Path) -> None:
    """The lists of apps count within the budget of their group."""
    names = ",".join(f"app-{number}" for number in range(30))

    async def steps(simulation: Simulation) -> tuple[int, int]:
        await minutes(simulation, 60)
        return simulation.simulator.requests.busiest_window(300), lists(simulation)

    configuration = of(tmp_path, api__budget="60")
    most, listed = story(steps, configuration, IN_PROGRESS, apps=names)
    assert 55 <= most <= 60
    assert 6 <= listed <= 8


@pytest.mark.no_cover
def test_many_apps_take_turns(tmp_path: Path) -> None:
    """
    If 60 apps share a budget that is far too small, all of them are read equally often.

    In the order of the configuration, the first apps would take all calls of each pass.
    """
    count = 60

    async def steps(simulation: Simulation) -> tuple[dict[str, int], Snapshot]:
        await minutes(simulation, 60)
        return dict(simulation.simulator.requests.by_app), await simulation.scrape_snapshot()

    calls, snapshot = story(
        steps,
        of(tmp_path, api__budget="180"),
        IN_PROGRESS,
        FINISHED,
        apps=",".join(f"app-{number}" for number in range(count)),
    )
    assert count == len(calls)
    assert max(calls.values()) <= 1.5 * min(calls.values())
    assert all(app.is_restored for app in snapshot.apps)
    assert all(
        any(known.recording.in_progress for known in app.recordings) for app in snapshot.apps
    )


def test_secrets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No token and no secret of an answer appears in the log or in the metrics."""
    caplog.set_level(logging.DEBUG)

    async def steps(simulation: Simulation) -> str:
        texts = [await minutes(simulation, 1)]
        for fault in (Fault.HTML, Fault.UNAUTHORIZED, Fault.SERVER_ERROR):
            simulation.simulator.inject("*", fault)
            texts.append(await minutes(simulation, 2))
            simulation.simulator.clear()
        return "".join(texts)

    text = story(steps, of(tmp_path), IN_PROGRESS, FINISHED, token="simulated")
    for secret in (CANARY, "Bearer", "simulated"):
        assert secret not in text
        assert secret not in caplog.text.replace("simulated-user", "")


def test_lost_connection(tmp_path: Path) -> None:
    """A list that could not be asked for is read in the first pass with a connection."""

    async def steps(simulation: Simulation) -> list[float | None]:
        await simulation.last_scrape(38)
        simulation.proxy.is_unplugged = True
        # The next list is due in this time.
        lost = await simulation.last_scrape(4)
        simulation.proxy.is_unplugged = False
        change(simulation, apps=f"{THREE_APPS},d=another")
        texts = (lost, await simulation.scrape())
        return [
            value(text, name) for text in texts for name in ("rk_account_up", "rk_account_apps")
        ]

    assert story(steps, of(tmp_path)) == [0, 2, 1, 3]
