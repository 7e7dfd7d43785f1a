"""Calls to a simulator, without a network, and the account that most of its tests use."""

import asyncio

from typing import Any

import httpx

from rk_exporter.simulator import Meeting, Recording, ScriptedScenario, Session, Simulator


APP = "/client/v4/accounts/account-1/realtime/kit/app_1"
NOW = 1_772_000_000.0  # 2026-02-25T06:13:20Z

UPLOADED = Recording.scripted(
    "m1",
    id="r-uploaded",
    invoked_at=NOW - 900,
    started_at=NOW - 898,
    stopped_at=NOW - 700,
    uploaded_at=NOW - 690,
)
ERRORED = Recording.scripted("m1", id="r-errored", invoked_at=NOW - 600, errored_at=NOW - 500)
RUNNING = Recording.scripted(
    "m1", id="r-running", invoked_at=NOW - 300, started_at=NOW - 298, storage_type="gcs"
)
PAUSED = Recording.scripted(
    "m2", id="r-paused", invoked_at=NOW - 100, started_at=NOW - 98, paused=[(NOW - 50, None)]
)
EXPIRED = Recording.scripted(
    "m3",
    id="r-expired",
    invoked_at=NOW - 700_000,
    started_at=NOW - 699_998,
    stopped_at=NOW - 690_000,
    uploaded_at=NOW - 689_000,
)
LIVE = Session("s-live", "m1", started_at=NOW - 300, live_participants=3)
ENDED = Session("s-ended", "m1", started_at=NOW - 900, ended_at=NOW - 700)
SCENARIO = ScriptedScenario(
    meetings=[
        Meeting(id="m1", title="Cardiology follow-up"),
        Meeting(id="m2", title="Algebra II, group 4", active=False),
        Meeting(id="a/b c", title="Odd id"),
    ],
    recordings=[UPLOADED, ERRORED, RUNNING, PAUSED, EXPIRED],
    sessions=[LIVE, ENDED],
)


# Recorded for 90 s, in two parts.
INVOKED_AT = 1_772_366_400.0  # 2026-03-01T12:00:00Z
WHOLE_LIFE = Recording.scripted(
    "m1",
    invoked_at=INVOKED_AT,
    started_at=INVOKED_AT + 2,
    paused=[(INVOKED_AT + 62, INVOKED_AT + 92)],
    stopped_at=INVOKED_AT + 122,
    uploaded_at=INVOKED_AT + 140,
)


def uploaded(**details: object) -> Recording:
    """Return a recording of m1 that was invoked at 0, stopped at 50 and uploaded at 60."""
    return Recording.scripted(
        "m1",
        invoked_at=0,
        started_at=2,
        stopped_at=50,
        uploaded_at=60,
        **details,  # type: ignore[arg-type]
    )


def make_simulator(**options: Any) -> Simulator:
    """Simulate the account above at NOW."""
    return Simulator(SCENARIO, clock=lambda: NOW, **options)


async def send(
    simulator: Simulator,
    path: str,
    *,
    method: str = "GET",
    authorization: str | None = "Bearer simulated",
) -> httpx.Response:
    """Send one request to a simulator."""
    headers = {} if authorization is None else {"authorization": authorization}
    transport = httpx.ASGITransport(simulator)
    async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
        return await client.request(method, path, headers=headers)


def call(
    path: str,
    simulator: Simulator | None = None,
    *,
    method: str = "GET",
    authorization: str | None = "Bearer simulated",
) -> httpx.Response:
    """Send one request to a simulator, by default that of the account above, and wait for it."""
    request = send(simulator or make_simulator(), path, method=method, authorization=authorization)
    return asyncio.run(request)
