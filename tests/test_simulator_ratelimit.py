import asyncio

import httpx

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.simulator import Recording, ScriptedStory, Simulator
from rk_exporter.simulator.journal import RequestLog
from rk_exporter.simulator.ratelimit import RateLimit


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


def make_simulator(clock: FakeClock, limit: int) -> Simulator:
    """Simulate one recording under a rate limit, for two tokens."""
    story = ScriptedStory(recordings=[Recording.scripted("m1", invoked_at=0)])
    return Simulator(story, clock=clock, rate_limit=limit, token={"simulated", "other"})


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
        log.count("active_recording", meeting_id, at)

    assert log.content() == {
        "total": 5,
        "refused": 0,
        "peak": 3,
        "window_seconds": 300.0,
        "by_endpoint": {"active_recording": 5},
        "by_meeting": {"m1": 2, "m2": 2},
    }
