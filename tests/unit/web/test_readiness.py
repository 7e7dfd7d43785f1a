import asyncio
import ssl

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.exporter import Exporter
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import DiscoveryState
from rk_exporter.ratelimit.status import BudgetStatus, Outage
from rk_exporter.simulator import Fault
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.web.status.readiness import cause_text, in_one_line, reasons
from tests.support.building import (
    ACCOUNT,
    BASE_URL,
    NOW,
    Setup,
    Simulation,
    Time,
    config,
    run,
    scripted,
    setup,
    simulate,
)
from tests.support.statuses import app, progress, reading


TWO_APPS = f"""\
account_id: {ACCOUNT}
api: {{budget: 100000, read: active-recording, base_url: "{BASE_URL}"}}
scrape: {{min_interval: 0s}}
apps:
  - {{name: production, app_id: a, api_token_env: TOKEN, meetings: {{ids: [meeting-1]}}}}
  - {{name: staging, app_id: b, api_token_env: OTHER, meetings: {{ids: [meeting-1]}}}}
"""


async def ready(exporter: Exporter) -> str:
    """Return the text of `/-/ready`, and check that its status fits."""
    transport = httpx.ASGITransport(app=exporter.application)
    async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
        answer = await client.get("/-/ready")
    assert answer.text.count("\n") == 1
    assert (200 if answer.text == "ready\n" else 503) == answer.status_code
    return answer.text.rstrip()


def two_apps(folder: Path, *, other: str = "simulated") -> Config:
    file = folder / "rk.yml"
    file.write_text(TWO_APPS)
    return load(file, {}, {"TOKEN": "simulated", "OTHER": other})


def after_a_scrape(system: Setup) -> str:
    """Return the readiness after a scrape, which makes no further call."""

    async def steps() -> str:
        await system.get()
        calls = len(system.proxy.calls)
        text = await ready(system.exporter)
        assert calls == len(system.proxy.calls)
        return text

    return run(steps())


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault.UNAUTHORIZED, "token refused (401)"),
        (Fault.FORBIDDEN, "token refused (403)"),
        (Fault.RATE_LIMITED, "API calls rate limited (429)"),
        (Fault.SERVER_ERROR, "API failing (500)"),
        (Fault.UNAVAILABLE, "API failing (503)"),
    ],
)
def test_refused_calls(fault: Fault, text: str) -> None:
    """Readiness says why no call succeeds, for which app, and since when."""
    system = setup(scripted())
    system.simulator.inject("*", fault)
    found = after_a_scrape(system)
    assert found.startswith(f"not ready: {text}")
    assert f"for app {system.exporter.config.apps[0].app.name} since 11:06 UTC" in found
    assert "restored" not in found


def test_blocked_calls_name_the_next_one() -> None:
    """If calls are suspended, readiness says until when."""
    system = setup(scripted())
    system.simulator.inject("*", Fault.RATE_LIMITED)
    assert after_a_scrape(system).endswith("since 11:06 UTC, next call in 5m")


def unreachable(error: Exception) -> Callable[[], httpx.AsyncClient]:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise error

    return lambda: httpx.AsyncClient(transport=httpx.MockTransport(refuse))


def caused(error: httpx.TransportError, cause: Exception) -> httpx.TransportError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (httpx.ConnectError("x"), "no connection to the API"),
        (
            caused(httpx.ConnectError("x"), OSError(101, "Network is unreachable")),
            "no connection to the API",
        ),
        (
            caused(httpx.ConnectError("x"), ssl.SSLError(1, "wrong version number")),
            "no trusted connection to the API",
        ),
        (httpx.ConnectTimeout("x"), "the API did not answer in time"),
        (httpx.ReadTimeout("x"), "the API did not answer in time"),
    ],
)
def test_no_network(error: httpx.TransportError, text: str) -> None:
    """Without a connection to the API, readiness says so, and not that something is restored."""
    clock = Time()
    exporter = Exporter(config(), make_client=unreachable(error), clock=clock)
    clock.fill_budget()

    async def steps() -> str:
        await exporter.collector.scrape(1.0)
        return await ready(exporter)

    found = run(steps())
    assert text in found
    assert "since 11:06 UTC" in found
    assert "restored" not in found


def test_since_when(tmp_path: Path) -> None:
    """The time is that of the first failure, and a success ends it."""

    async def steps(simulation: Simulation) -> list[str]:
        await simulation.scrape()
        found = [await ready(simulation.exporter)]
        simulation.simulator.inject("*", Fault.SERVER_ERROR)
        for seconds in (60, 60, 86_400):
            await simulation.scrape(seconds)
            found.append(await ready(simulation.exporter))
        simulation.simulator.clear()
        await simulation.scrape()
        return [*found, await ready(simulation.exporter)]

    found = simulate(steps, scripted(), configuration=two_apps(tmp_path))
    fine, first, second, next_day, again = found
    assert ("ready", "ready") == (fine, again)
    for text in (first, second):
        assert "API failing (500) for app production since 11:07 UTC; " in text
    assert "for app production since 2026-11-18 11:07 UTC" in next_day


def test_several_apps_have_their_own_reasons(tmp_path: Path) -> None:
    """Readiness names only the apps with a problem, each with its reason."""
    system = setup(scripted(), configuration=two_apps(tmp_path, other="refused"))
    found = after_a_scrape(system)
    assert found.startswith("not ready: token refused (401) for app staging since 11:06 UTC")
    assert "production" not in found


def test_before_and_during_the_first_pass() -> None:
    """Before the first scrape, readiness asks for one; during the first pass, it says so."""

    async def steps(simulation: Simulation) -> list[str]:
        found = [await ready(simulation.exporter)]
        simulation.proxy.delayed = lambda _: 2.0
        scrape = asyncio.create_task(simulation.scrape())
        await asyncio.sleep(1.0)
        found.append(await ready(simulation.exporter))
        await scrape
        return [*found, await ready(simulation.exporter)]

    expected = ["not ready: waiting for the first scrape", "not ready: first pass is running"]
    assert [*expected, "ready"] == simulate(steps, scripted(), configuration=config())


def test_budget_used_up() -> None:
    """If the budget is too small for all meetings, readiness says how many are missing."""
    meetings = [f"meeting-{number}" for number in range(40)]

    async def scrapes(simulation: Simulation) -> str:
        await simulation.scrape()
        return await ready(simulation.exporter)

    configuration = config(meeting_ids=meetings, api__budget="60")
    found = simulate(scrapes, meetings=meetings, configuration=configuration)
    assert found.startswith("not ready: API budget of 60 calls in 5 minutes used up, ")
    assert " of 40 meetings not read yet for app " in found


# --- all kinds, by their snapshots ---


def of(*apps: AppSnapshot, now: float = NOW, **fields: object) -> list[str]:
    return reasons(Snapshot(apps, NOW), progress(**fields), stale_after_seconds=300.0, now=now)


BLOCKED = BudgetStatus(
    limit=600,
    remaining=500,
    blocked_until_timestamp_seconds=NOW + 100,
    block=Outage(
        failure=Failure(Reason.RATE_LIMITED, "the API answered 429"),
        since_timestamp_seconds=NOW - 60,
    ),
)
FAILURE = Failure(Reason.SERVER_ERROR, "the API answered 500")
RESTORING = "recordings from before the start are being restored by scrapes"
UNREAD = reading(last_attempt_timestamp_seconds=None, last_success_timestamp_seconds=None)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"budget_status": BLOCKED}, []),
        (
            {"is_restored": False},
            [RESTORING],
        ),
        ({"readings": (UNREAD, reading("b"))}, ["1 of 2 meetings not read yet"]),
        (
            {"readings": (UNREAD,), "budget_status": BLOCKED},
            ["API calls rate limited (429)"],
        ),
        ({"discovery": DiscoveryState()}, ["live meetings not listed yet"]),
        ({"discovery": DiscoveryState(None, NOW)}, []),
        ({"discovery": DiscoveryState(None, NOW, is_late=True)}, []),
        ({"discovery": DiscoveryState(FAILURE), "readings": (reading("a"),)}, []),
        (
            {"discovery": DiscoveryState(FAILURE), "readings": ()},
            ["live meetings cannot be listed: API failing (500)"],
        ),
        ({"discovery": DiscoveryState(FAILURE, NOW), "readings": ()}, []),
        (
            {
                "discovery": DiscoveryState(),
                "budget_status": BudgetStatus(limit=600, remaining=2),
            },
            ["API budget of 600 calls in 5 minutes used up, live meetings not listed yet"],
        ),
        ({"up": False}, ["no API call succeeds"]),
        (
            {"is_restored": False, "budget_status": BudgetStatus(limit=600, remaining=2)},
            [f"API budget of 600 calls in 5 minutes used up, {RESTORING}"],
        ),
    ],
)
def test_reasons(fields: dict[str, Any], expected: list[str]) -> None:
    """An app is ready if it is completely read and calls succeed, even if later ones must wait."""
    assert expected == [text.partition(" for app ")[0] for text in of(app(**fields))]


def test_a_bug() -> None:
    """An app whose pass ended with a bug is not ready, because its readings are old."""
    bug = "internal error (see the exporter's log) for app production"
    assert [bug] == of(app(), app("other"), failed_apps=frozenset({"production"}))


def test_out_of_date() -> None:
    """An exporter that is no longer scraped says how long ago the last pass ended."""
    assert [] == of(app(), now=NOW + 300)
    assert ["last pass ended 5m 1s ago; is the exporter scraped?"] == of(app(), now=NOW + 301)
    text = "last pass ended 1h ago; is the exporter scraped?"
    assert [text] == of(app(), now=NOW + 3601)


def test_a_block_that_is_over() -> None:
    """When a block is over, the next scrape makes a call, so no time is given."""
    (text,) = of(app(up=False, budget_status=BLOCKED), now=NOW + 99)
    assert text.endswith("since 11:05 UTC, next call in 1s")
    (text,) = of(app(up=False, budget_status=BLOCKED), now=NOW + 100)
    assert text.endswith("since 11:05 UTC")


def test_many_apps_are_one_bounded_line() -> None:
    """A line names ten reasons, and counts the others."""
    found = of(*(app(f"app-{number}", up=False) for number in range(25)))
    assert 25 == len(found)
    assert in_one_line(found).endswith("for app app-9; and 15 more")


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_words(reason: Reason) -> None:
    """Each reason for a failure is explained in words, with the HTTP status if there is one."""
    text = cause_text(Failure(reason, "the API answered 418 with the error code 7"))
    assert "418" in text
    assert text == text.strip()
