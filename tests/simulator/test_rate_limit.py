import asyncio

from typing import Any

import httpx
import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.simulator import (
    HeaderWriter,
    Recording,
    RequestLog,
    ScriptedScenario,
    Simulator,
    late_headers,
    malformed_headers,
    misnamed_headers,
    no_headers,
)
from rk_exporter.simulator.api.rate_limit import RateLimit
from tests.support.simulator import APP, NOW, call, send


PATH = f"{APP}/recordings/active-recording/m1"


TOKEN = "simulated"


class FakeClock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def ask(simulator: Simulator, token: str = TOKEN) -> httpx.Response:
    """Request an active recording."""
    return call(PATH, simulator, authorization=f"Bearer {token}")


def make_simulator(clock: FakeClock, limit: int, **options: Any) -> Simulator:
    """Simulate one recording under a rate limit, for two tokens."""
    scenario = ScriptedScenario(recordings=[Recording.scripted("m1", invoked_at=0)])
    tokens = {"simulated", "other"}
    users = {"other": "another user", "forbidden": "a third user"}
    return Simulator(
        scenario, clock=clock, rate_limit=limit, token=tokens, **{"users": users, **options}
    )


class TestOverHttp:
    """The limit as clients see it."""

    def test_headers(self) -> None:
        """Every response reports the remaining calls and the limit."""
        clock = FakeClock()
        simulator = make_simulator(clock, 1200)
        ask(simulator)
        clock.now += 100.5

        response = ask(simulator)

        assert response.headers["ratelimit"] == '"default";r=1198;t=200'
        assert response.headers["ratelimit-policy"] == '"default";q=1200;w=300'
        assert "retry-after" not in response.headers

    def test_rejection(self) -> None:
        """One call too many is rejected with code 971 and a Retry-After header."""
        clock = FakeClock()
        simulator = make_simulator(clock, 2)
        statuses = [ask(simulator).status_code for _ in range(2)]
        clock.now += 0.5

        response = ask(simulator)

        assert statuses == [200, 200]
        assert response.status_code == 429
        error = {
            "code": 971,
            "message": "Please wait and consider throttling your request speed",
        }
        assert [error] == response.json()["errors"]
        assert response.headers["retry-after"] == "300"
        assert response.headers["ratelimit"] == '"default";r=0;t=300'
        assert simulator.requests.refused == 1

    def test_block(self) -> None:
        """A client over the limit is blocked for five minutes, even after the window moves."""
        clock = FakeClock()
        simulator = make_simulator(clock, 1)
        ask(simulator)
        clock.now += 299
        blocked = ask(simulator)
        clock.now += 250.2
        still = ask(simulator)
        clock.now += 49.8
        free = ask(simulator)

        assert [response.status_code for response in (blocked, still, free)] == [429, 429, 200]
        assert still.headers["retry-after"] == "50"

    def test_tokens_apart(self) -> None:
        """Each user has a limit of its own, including that of a token without the permission."""
        simulator = make_simulator(FakeClock(), 1)

        assert [ask(simulator).status_code for _ in range(2)] == [200, 429]
        assert ask(simulator, "other").status_code == 200
        assert [ask(simulator, "forbidden").status_code for _ in range(2)] == [403, 429]

    def test_wrong_tokens(self) -> None:
        """Calls with a wrong token do not count and get no rate limit headers."""
        response = ask(make_simulator(FakeClock(), 1), "wrong")

        assert "ratelimit" not in response.headers

    def test_off(self) -> None:
        """A limit of 0 is off."""
        response = ask(make_simulator(FakeClock(), 0))

        assert response.status_code == 200
        assert "ratelimit" not in response.headers


class TestSeveralLimits:
    """A second limit, as in Cloudflare's examples."""

    def test_headers(self) -> None:
        """One header lists both limits."""
        response = ask(make_simulator(FakeClock(), 1200, burst_limit=100))

        assert response.headers["ratelimit"] == '"burst";r=99;t=60, "default";r=1199;t=300'
        policy = '"burst";q=100;w=60, "default";q=1200;w=300'
        assert response.headers["ratelimit-policy"] == policy

    def test_burst(self) -> None:
        """The stricter limit blocks for its own window."""
        clock = FakeClock()
        simulator = make_simulator(clock, 10, burst_limit=2)
        statuses = [ask(simulator).status_code for _ in range(3)]
        rejected = ask(simulator)
        clock.now += 60

        assert statuses == [200, 200, 429]
        assert rejected.headers["retry-after"] == "60"
        assert ask(simulator).headers["ratelimit"] == '"burst";r=1;t=60, "default";r=5;t=240'

    def test_burst_alone(self) -> None:
        """The main limit can be off while the burst limit is on."""
        response = ask(make_simulator(FakeClock(), 0, burst_limit=1))

        assert response.headers["ratelimit"] == '"burst";r=0;t=60'


class TestOddHeaders:
    """Headers that differ from the documentation."""

    def test_late(self) -> None:
        """Headers can be missing until less than a tenth of the calls is left."""
        simulator = make_simulator(FakeClock(), 20, limit_headers=late_headers)

        have_headers = ["ratelimit" in ask(simulator).headers for _ in range(20)]

        assert [False] * 18 + [True] * 2 == have_headers

    @pytest.mark.parametrize(
        ("writer", "expected"),
        [
            (no_headers, {}),
            (
                malformed_headers,
                {
                    "ratelimit": "default; r=lots;t",
                    "ratelimit-policy": 'default;;q="many", w=5m',
                    "retry-after": "soon",
                },
            ),
            (
                misnamed_headers,
                {
                    "ratelimit": '"default";r=0;t=300',
                    "ratelimit-policy": '"default-policy";q=1;w=300',
                    "retry-after": "300",
                },
            ),
            (
                lambda decisions: ((b"ratelimit", b"%d" % decisions[0].quota),),
                {"ratelimit": "1"},
            ),
        ],
    )
    def test_rejection(self, writer: HeaderWriter, expected: dict[str, str]) -> None:
        """A rejected call can have headers of any kind, including the test's own."""
        simulator = make_simulator(FakeClock(), 1, limit_headers=writer)
        ask(simulator)

        response = ask(simulator)

        names = ("ratelimit", "ratelimit-policy", "retry-after")
        assert response.status_code == 429
        assert expected == {
            name: response.headers[name] for name in names if name in response.headers
        }


class TestOtherClients:
    """Calls of other clients with the same token."""

    def test_consume_quota(self) -> None:
        """Calls of other clients reduce the quota for one window and are not logged."""
        clock = FakeClock()
        simulator = make_simulator(clock, 1200)
        simulator.consume_quota(700)
        clock.now += 200
        before = ask(simulator).headers["ratelimit"]
        clock.now += 100

        assert before == '"default";r=499;t=100'
        assert ask(simulator).headers["ratelimit"] == '"default";r=1198;t=200'
        assert simulator.requests.total == 2

    def test_others_exceed(self) -> None:
        """If another client exceeds the limit, only calls with the same token are blocked."""
        simulator = make_simulator(FakeClock(), 3)

        simulator.consume_quota(4)

        assert ask(simulator).status_code == 429
        assert ask(simulator, "other").status_code == 200


@given(
    limit=st.integers(1, 5),
    pauses=st.lists(st.floats(0, 400, allow_subnormal=False), max_size=40),
)
def test_never_more_than_the_limit(limit: int, pauses: list[float]) -> None:
    """No window contains more allowed calls than the limit, whatever the pauses."""
    rate_limit = RateLimit(limit)
    now = 0.0
    allowed: list[float] = []
    for pause in pauses:
        now += pause
        if rate_limit.acquire("token", now).allowed:
            allowed.append(now)

    assert all(sum(end - 300 < at <= end for at in allowed) <= limit for end in allowed)


def test_request_log() -> None:
    """The log counts calls by endpoint, meeting and app, and the peak of any five minutes."""
    log = RequestLog()
    for at, meeting_id in ((0, "m1"), (10, "m1"), (299, None), (305, "m2"), (900, "m2")):
        log.count("active_recording", meeting_id, at, "app" if meeting_id else "")

    assert log.content() == {
        "total": 5,
        "refused": 0,
        "peak": 3,
        "window_seconds": 300.0,
        "by_endpoint": {"active_recording": 5},
        "by_meeting": {"m1": 2, "m2": 2},
        "by_app": {"app": 4},
        "files": 0,
    }


def test_peak_of_all_tokens() -> None:
    """The peak has the calls with any token, including rejected and forbidden ones."""
    clock = FakeClock()
    simulator = make_simulator(clock, 2)
    for token in ("simulated", "simulated", "simulated", "other", "forbidden", "forbidden"):
        ask(simulator, token)
        clock.now += 1
    clock.now += 300
    ask(simulator, "other")

    assert simulator.requests.peak == 6


def test_abandoned_calls() -> None:
    """A call counts even if the client disconnects before the response."""
    simulator = make_simulator(FakeClock(), 5, latency_seconds=60.0)

    async def abandon() -> None:
        sent = asyncio.create_task(send(simulator, PATH))
        await asyncio.sleep(0.01)
        sent.cancel()
        await asyncio.wait([sent])

    asyncio.run(abandon())

    assert simulator.requests.total == 1
    simulator.latency_seconds = 0.0
    assert ask(simulator).headers["ratelimit"] == '"default";r=3;t=300'
