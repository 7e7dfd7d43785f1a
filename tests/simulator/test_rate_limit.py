import asyncio

from typing import Any

import httpx
import pytest

from hypothesis import given
from hypothesis import strategies as st
from rk_exporter.simulator.journal import RequestLog
from rk_exporter.simulator.ratelimit import RateLimit

from rk_exporter.simulator import (
    HeaderWriter,
    Recording,
    ScriptedStory,
    Simulator,
    malformed_headers,
    misnamed_headers,
    no_headers,
)


PATH = "/client/v4/accounts/a/realtime/kit/b/recordings/active-recording/m1"


class FakeClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_772_000_000.0

    def __call__(self) -> float:
        return self.now


TOKEN = "simulated"


def call(simulator: Simulator, token: str = TOKEN) -> httpx.Response:
    """Ask for an active recording."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(simulator)
        async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
            return await client.get(PATH, headers={"authorization": f"Bearer {token}"})

    return asyncio.run(send())


def make_simulator(clock: FakeClock, limit: int, **options: Any) -> Simulator:
    """Simulate one recording under a rate limit, for two tokens."""
    story = ScriptedStory(recordings=[Recording.scripted("m1", invoked_at=0)])
    tokens = {"simulated", "other"}
    return Simulator(story, clock=clock, rate_limit=limit, token=tokens, **options)


class TestOverHttp:
    """The limit as clients meet it."""

    def test_headers(self) -> None:
        """Every answer tells what is left, and of what."""
        clock = FakeClock()
        simulator = make_simulator(clock, 1200)
        call(simulator)
        clock.now += 100.5

        answer = call(simulator)

        assert answer.headers["ratelimit"] == '"default";r=1198;t=200'
        assert answer.headers["ratelimit-policy"] == '"default";q=1200;w=300'
        assert "retry-after" not in answer.headers

    def test_refusal(self) -> None:
        """One call too many is refused with code 971 and told when to come again."""
        clock = FakeClock()
        simulator = make_simulator(clock, 2)
        statuses = [call(simulator).status_code for _ in range(2)]
        clock.now += 0.5

        answer = call(simulator)

        assert statuses == [200, 200]
        assert answer.status_code == 429
        error = {
            "code": 971,
            "message": "Please wait and consider throttling your request speed",
        }
        assert [error] == answer.json()["errors"]
        assert answer.headers["retry-after"] == "300"
        assert answer.headers["ratelimit"] == '"default";r=0;t=300'
        assert simulator.requests.refused == 1

    def test_block(self) -> None:
        """Whoever exceeded the limit is refused for five minutes, though the window has moved."""
        clock = FakeClock()
        simulator = make_simulator(clock, 1)
        call(simulator)
        clock.now += 299
        blocked = call(simulator)
        clock.now += 250.2
        still = call(simulator)
        clock.now += 49.8
        free = call(simulator)

        assert [a.status_code for a in (blocked, still, free)] == [429, 429, 200]
        assert still.headers["retry-after"] == "50"

    def test_tokens_apart(self) -> None:
        """Tokens are counted each on its own; a weak one is counted too."""
        simulator = make_simulator(FakeClock(), 1)

        assert [call(simulator).status_code for _ in range(2)] == [200, 429]
        assert call(simulator, "other").status_code == 200
        assert [call(simulator, "forbidden").status_code for _ in range(2)] == [403, 429]

    def test_wrong_tokens(self) -> None:
        """Calls with a wrong token are not counted, nor told any limit."""
        answer = call(make_simulator(FakeClock(), 1), "wrong")

        assert "ratelimit" not in answer.headers

    def test_off(self) -> None:
        """A limit of 0 counts nothing."""
        answer = call(make_simulator(FakeClock(), 0))

        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers


class TestSeveralLimits:
    """A second limit, as Cloudflare's examples have one."""

    def test_headers(self) -> None:
        """Both limits are told in one list."""
        answer = call(make_simulator(FakeClock(), 1200, burst_limit=100))

        assert answer.headers["ratelimit"] == '"burst";r=99;t=60, "default";r=1199;t=300'
        policy = '"burst";q=100;w=60, "default";q=1200;w=300'
        assert answer.headers["ratelimit-policy"] == policy

    def test_burst(self) -> None:
        """The stricter limit refuses for its own time."""
        clock = FakeClock()
        simulator = make_simulator(clock, 10, burst_limit=2)
        statuses = [call(simulator).status_code for _ in range(3)]
        refused = call(simulator)
        clock.now += 60

        assert statuses == [200, 200, 429]
        assert refused.headers["retry-after"] == "60"
        assert call(simulator).headers["ratelimit"] == '"burst";r=1;t=60, "default";r=5;t=240'

    def test_burst_alone(self) -> None:
        """The other limit can be switched off."""
        answer = call(make_simulator(FakeClock(), 0, burst_limit=1))

        assert answer.headers["ratelimit"] == '"burst";r=0;t=60'


class TestOddHeaders:
    """What clients may be told instead of what is documented."""

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
                lambda verdicts: ((b"ratelimit", b"%d" % verdicts[0].quota),),
                {"ratelimit": "1"},
            ),
        ],
    )
    def test_refusal(self, writer: HeaderWriter, expected: dict[str, str]) -> None:
        """A call can be refused with headers of any kind, also with the test's own."""
        simulator = make_simulator(FakeClock(), 1, limit_headers=writer)
        call(simulator)

        answer = call(simulator)

        names = ("ratelimit", "ratelimit-policy", "retry-after")
        assert answer.status_code == 429
        assert expected == {name: answer.headers[name] for name in names if name in answer.headers}


class TestOtherSpenders:
    """Calls that somebody else makes with the same rights."""

    def test_spend(self) -> None:
        """What others spend is no longer there, until it is given back; they are not logged."""
        clock = FakeClock()
        simulator = make_simulator(clock, 1200)
        simulator.spend(700)
        clock.now += 200
        before = call(simulator).headers["ratelimit"]
        clock.now += 100

        assert before == '"default";r=499;t=100'
        assert call(simulator).headers["ratelimit"] == '"default";r=1198;t=200'
        assert simulator.requests.total == 2

    def test_others_exceed(self) -> None:
        """When others exceed the limit, all calls of the same user are blocked, no others."""
        simulator = make_simulator(FakeClock(), 3)

        simulator.spend(4)

        assert call(simulator).status_code == 429
        assert call(simulator, "other").status_code == 200


@given(
    limit=st.integers(1, 5),
    pauses=st.lists(st.floats(0, 400, allow_subnormal=False), max_size=40),
)
def test_never_more_than_the_limit(limit: int, pauses: list[float]) -> None:
    """However calls come, no window holds more allowed ones than the limit."""
    rate_limit = RateLimit(limit)
    now = 0.0
    allowed: list[float] = []
    for pause in pauses:
        now += pause
        if rate_limit.ask("token", now).allowed:
            allowed.append(now)

    assert all(sum(end - 300 < at <= end for at in allowed) <= limit for end in allowed)


def test_request_log() -> None:
    """The log tells how many calls were made to what, and the most in any five minutes."""
    log = RequestLog()
    for at, meeting_id in ((0, "m1"), (10, "m1"), (299, None), (305, "m2"), (900, "m2")):
        log.count("active_recording", meeting_id, at, "token" if meeting_id else None)

    assert log.content() == {
        "total": 5,
        "refused": 0,
        "peak": 3,
        "window_seconds": 300.0,
        "by_endpoint": {"active_recording": 5},
        "by_meeting": {"m1": 2, "m2": 2},
    }
    assert log.peak_by_token == {"token": 2}


def test_peak_by_token() -> None:
    """The busiest five minutes are known of each token, refused and forbidden ones included."""
    clock = FakeClock()
    simulator = make_simulator(clock, 2)
    for token in ("simulated", "simulated", "simulated", "other", "forbidden", "forbidden"):
        call(simulator, token)
        clock.now += 1
    clock.now += 300
    call(simulator, "other")

    assert {"simulated": 3, "other": 1, "forbidden": 2} == simulator.requests.peak_by_token
    assert simulator.requests.peak == 6


def test_abandoned_calls() -> None:
    """A call whose answer nobody waits for was made all the same."""
    simulator = make_simulator(FakeClock(), 5, latency_seconds=60.0)

    async def abandon() -> None:
        transport = httpx.ASGITransport(simulator)
        async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
            headers = {"authorization": f"Bearer {TOKEN}"}
            sent = asyncio.create_task(client.get(PATH, headers=headers))
            await asyncio.sleep(0.01)
            sent.cancel()
            await asyncio.wait([sent])

    asyncio.run(abandon())

    assert simulator.requests.total == 1
    simulator.latency_seconds = 0.0
    assert call(simulator).headers["ratelimit"] == '"default";r=3;t=300'
