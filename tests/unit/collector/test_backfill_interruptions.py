"""How the list is read on after failures, limits and slow answers."""

import asyncio
import logging

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.model.errors import (
    ApiError,
    ApiTimeout,
    ConnectFailed,
    InvalidResponse,
    RateLimited,
    ServerError,
    TlsFailed,
    Unauthorized,
    Unreachable,
)
from rk_exporter.model.failure import Reason
from rk_exporter.model.remedies import REMEDIES
from rk_exporter.ratelimit.limiter import RateLimitWait
from rk_exporter.simulator import Fault
from tests.support.backfill import HOUR, MEETING, Poller, invoked, older, with_poller
from tests.support.building import NOW, Call, Simulation, config, scripted, simulate, value
from tests.support.log_lines import lines


class TestInterruptions:
    """Polls that are rate limited, or fail."""

    def test_rate_limited(self) -> None:
        """If the budget allows some of the pages, the rest is read as soon as there are calls."""

        async def steps(poller: Poller) -> None:
            poller.fail(None, None, RateLimitWait(), RateLimitWait())
            with pytest.raises(RateLimitWait):
                await poller.poll()
            assert [1, 2, 3] == poller.new_pages()
            for after in (15.0, 0.0):
                assert poller.is_due()
                assert not poller.is_restored()
                if after:
                    with pytest.raises(RateLimitWait):
                        await poller.poll(after)
                    assert [3] == poller.new_pages()
            assert [3, 4, 5] == await poller.poll(15)
            assert poller.is_restored()
            assert 450 == len(poller.shown)
            assert "old-0" == poller.backfill.newest_ids[0]
            # The next poll sees the new recordings.
            poller.pages.recordings = [invoked(10), *poller.pages.recordings]
            assert [1] == await poller.poll_when_due()
            assert 1 == poller.tracker.counters.started

        with_poller(steps, older(450))

    def test_begun_in_the_meantime(self) -> None:
        """What is invoked while the first list is read counts as soon as a meeting shows it."""

        async def steps(poller: Poller) -> None:
            poller.fail(None, RateLimitWait())
            with pytest.raises(RateLimitWait):
                await poller.poll(after=60)
            await asyncio.sleep(20)
            poller.tracker.observe_meeting(MEETING, [invoked(70), invoked(50)])
            assert 1 == poller.tracker.counters.started

        with_poller(steps, older(250))

    @given(st.lists(st.booleans(), max_size=40))
    def test_rate_limited_at_any_time(self, is_allowed: list[bool]) -> None:
        """Whichever calls are rate limited, each page is read once."""

        async def steps(poller: Poller) -> None:
            coming = iter(is_allowed)
            read = []

            def problem(page_no: int) -> Exception | None:
                if not next(coming, True):
                    return RateLimitWait()
                read.append(page_no)
                return None

            poller.pages.problem_of = problem
            poller.pages.per_page = 10
            while not poller.is_restored():
                try:
                    await poller.poll(15)
                except RateLimitWait:
                    assert poller.is_due()
            assert [1, 2, 3, 4, 5] == read

        with_poller(steps, older(45))

    def test_failures(self) -> None:
        """A failed poll starts again after 10 s, doubled each time up to ten minutes."""

        async def steps(poller: Poller) -> None:
            poller.fail(*[None, ServerError("no")] * 12)
            for pause in [10, 20, 40, 80, 160, 320, 600, 600, 600, 600, 600, 600]:
                assert [1, 2] == await poller.poll()
                assert pause == await poller.due_after()
            assert [1, 2, 3] == await poller.poll()
            assert 59 == await poller.due_after()
            # After a success, the back-off starts again.
            poller.fail(InvalidResponse("no"))
            assert [1] == await poller.poll()
            assert 10 == await poller.due_after()
            assert [1] == await poller.poll()

        with_poller(steps, older(250))

    def test_forgotten_failure(self) -> None:
        """A failure that was not about the list delays it no longer."""

        async def steps(poller: Poller) -> None:
            poller.fail(*[ServerError("no")] * 3)
            for _ in range(3):
                await poller.poll()
                assert not poller.is_due()
                poller.backfill.forget_failure()
                assert poller.is_due()

        with_poller(steps, older(5))

    def test_each_failure_is_logged_for_debugging(self, caplog: pytest.LogCaptureFixture) -> None:
        """Each failed poll has a debug message with its error and its app, before any warning."""
        caplog.set_level(logging.DEBUG, logger="rk_exporter")

        async def steps(poller: Poller) -> None:
            poller.fail(ServerError("first"), None, ConnectFailed("second"))
            for _ in range(3):
                await poller.poll_when_due()

        with_poller(steps, [])
        assert lines(caplog, "collector.backfill", least=logging.DEBUG) == [
            ("DEBUG", "first", {"app": "app-1"}),
            ("DEBUG", "second", {"app": "app-1"}),
        ]

    def test_whole_list_fails(self) -> None:
        """After a failed poll of the whole list, the next poll reads the whole list."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            poller.fail(None, ServerError("no"))
            assert [1, 2] == await poller.poll(after=1800)
            assert [1, 2, 3] == await poller.poll_when_due()
            assert [1] == await poller.poll_when_due()

        with_poller(steps, older(250), reread_seconds=1800.0)

    def test_given_up(self, caplog: pytest.LogCaptureFixture) -> None:
        """After five failures, readiness no longer waits for the list; this is logged once."""
        caplog.set_level(logging.INFO)
        message = (
            "list of recordings cannot be read (no); recordings that come and go between two "
            "scrapes, or ended before the start, are not shown"
        )
        why = {"reason": "server_error", "remedy": REMEDIES[Reason.SERVER_ERROR]}
        given_up = ("WARNING", message, {"app": "app-1", **why})
        again = ("INFO", "list of recordings can be read again", {"app": "app-1"})

        async def steps(poller: Poller) -> None:
            poller.fail(*[ServerError("no")] * 9)
            for is_restored in [False] * 4 + [True] * 5:
                await poller.poll_when_due()
                assert is_restored == poller.is_restored()
            assert lines(caplog, "collector.backfill") == [given_up]
            caplog.clear()
            # The whole list is read once that works; recordings since the fifth failure count.
            poller.pages.recordings = [invoked(200), invoked(100), *older(250)]
            assert [1, 2, 3] == await poller.poll_when_due()
            assert 252 == len(poller.shown)
            assert 1 == poller.tracker.counters.started
            for _ in range(3):
                await poller.poll_when_due()
            assert lines(caplog, "collector.backfill") == [again]
            caplog.clear()
            poller.backfill.rename("renamed")
            poller.fail(*[ServerError("no")] * 5)
            for _ in range(6):
                await poller.poll_when_due()
            renamed = [fields["app"] for _, _, fields in lines(caplog, "collector.backfill")]
            assert renamed == ["renamed"] * 2

        with_poller(steps, [])

    @pytest.mark.parametrize(
        "error",
        [
            *(error("no") for error in (Unauthorized, RateLimited, ConnectFailed, TlsFailed)),
            Unreachable(ApiTimeout("no").failure),
        ],
        ids=repr,
    )
    def test_not_given_up(self, error: ApiError, caplog: pytest.LogCaptureFixture) -> None:
        """If the list cannot be requested, readiness waits for it."""

        async def steps(poller: Poller) -> None:
            poller.fail(*[error] * 20)
            for _ in range(20):
                await poller.poll_when_due()
                assert not poller.is_restored()
            assert not [record for record in caplog.records if record.levelno == logging.WARNING]
            await poller.poll_when_due()
            assert poller.is_restored()

        with_poller(steps, older(5))

    @pytest.mark.parametrize("others", [1, 4, 5, 9])
    def test_given_up_after_other_failures(self, others: int) -> None:
        """Other failures do not delay giving up a list that fails."""

        async def steps(poller: Poller) -> None:
            poller.fail(*[ConnectFailed("no")] * others, *[ServerError("no")] * 99)
            for _ in range(others):
                await poller.poll_when_due()
                assert not poller.is_restored()
            for _ in range(5):
                await poller.poll_when_due()
            assert poller.is_restored()

        with_poller(steps, older(5))

    def test_slow_pages(self, caplog: pytest.LogCaptureFixture) -> None:
        """If the list takes several scrapes, each of them continues; that is no failure."""

        async def steps(poller: Poller) -> None:
            poller.pages.seconds = 3.0
            read: list[int] = []
            for _ in range(10):
                assert not poller.is_restored()
                read += await poller.poll(15)
                if poller.is_restored():
                    break
            # A page that was requested when the pass ended is requested again.
            assert list(range(1, 21)) == sorted(set(read))
            assert read == sorted(read)
            assert 1950 == len(poller.shown)
            assert not caplog.records

        with_poller(steps, older(1950), max_recordings=10_000)

    def test_a_page_that_hangs(self) -> None:
        """A page that never comes in time counts as a failure."""

        async def steps(poller: Poller) -> None:
            poller.pages.problem_of = lambda page_no: ApiTimeout("no") if page_no == 2 else None
            assert [1, 2] == await poller.poll()
            pauses = []
            while not poller.is_restored():
                pauses.append(await poller.due_after())
                assert [2] == await poller.poll()
            assert pauses == sorted(pauses)
            assert len(pauses) in {4, 5}

        with_poller(steps, older(250))


def test_a_clock_that_is_wrong() -> None:
    """After the list is given up, recordings count from that moment of the API's clock."""

    async def steps(simulation: Simulation) -> float | None:
        def refuse(call: Call) -> None:
            if call.path == "recordings":
                simulation.simulator.inject("*", Fault.SERVER_ERROR, times=1)

        simulation.proxy.before = refuse
        simulation.clock.ahead_seconds = HOUR
        await simulation.last_scrape(20)
        assert simulation.exporter.why_not_ready() is None
        return value(await simulation.scrape(60), "rk_recordings_started_total")

    come = scripted(
        invoked_at=NOW + 301, started_at=NOW + 303, paused=[], stopped_at=None, uploaded_at=None
    )
    assert 1 == simulate(steps, come, configuration=config())
