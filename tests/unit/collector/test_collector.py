import asyncio
import logging

from collections.abc import Mapping
from pathlib import Path

import pytest

from rk_exporter.config.loader import load
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.model.failure import Reason
from rk_exporter.model.remedies import REMEDIES
from rk_exporter.simulator import Fault
from tests.support.building import (
    BLOCKING_FAULTS,
    NOW,
    Call,
    Setup,
    Simulation,
    config,
    run,
    samples,
    scripted,
    setup,
    simulate,
    value,
)
from tests.support.exporters import current


def scrape_all(
    given_setup: Setup, *, count: int = 1, headers: Mapping[str, str] | None = None
) -> list[str]:
    async def scrapes() -> list[str]:
        answers = await asyncio.gather(*(given_setup.get(headers=headers) for _ in range(count)))
        assert [200] * count == [answer.status_code for answer in answers]
        return [answer.text for answer in answers]

    return run(scrapes())


# A pass of 1 s, in which a call may take 0.5 s, even on a busy machine.
SHORT = {"X-Prometheus-Scrape-Timeout-Seconds": "1.5"}


class TestPass:
    """Whole scrapes, in process, against the simulator."""

    def test_parallel_scrapes_share_a_pass(self) -> None:
        """Twenty parallel scrapes cost one call per meeting, and get the same bytes."""
        given = setup(*[scripted(f"meeting-{number}") for number in range(30)])
        texts = scrape_all(given, count=20)
        assert [1] * 30 == list(given.simulator.requests.by_meeting.values())
        assert 1 == len(set(texts))

    def test_every_scrape_reads(self) -> None:
        """A scrape after the end of a pass starts the next one, and sees changes."""
        given = setup(scripted())

        async def scrapes() -> list[str]:
            texts = [(await given.get()).text]
            given.time.now += 10
            return [*texts, (await given.get()).text]

        first, second = run(scrapes())
        assert [1, 0] == [
            value(text, "rk_recording_status", status="INVOKED") for text in (first, second)
        ]
        assert 1 == value(second, "rk_recording_status", status="RECORDING")

    def test_late_meetings(self) -> None:
        """Meetings that the deadline leaves unread keep their reading, and are first next time."""
        names = ["meeting-1", "meeting-2", "meeting-3"]
        given = setup(*[scripted(name) for name in names], workers_per_app=1)

        async def scrapes() -> list[str]:
            # The third scrape shows the current values of counters.
            *_, first = [await given.get() for _ in range(3)]
            given.time.now += 10
            given.simulator.inject("meeting-1", Fault.HANG)
            given.simulator.inject("meeting-2", Fault.HANG)
            second = await given.get(headers=SHORT)
            third = await given.get(headers=SHORT)
            return [first.text, second.text, third.text]

        first, second, third = run(scrapes())
        # The first call timed out, the deadline ended the second, the third did not start. In the
        # next pass only the second call did not start.
        assert [0, 2, 1] == [value(text, "rk_meetings_deferred") for text in (first, second, third)]
        age = "rk_meeting_last_success_timestamp_seconds"
        assert [NOW] * 3 == [value(second, age, meeting_id=name) for name in names]
        assert [NOW, NOW, NOW + 10] == [value(third, age, meeting_id=name) for name in names]
        assert 1 == value(second, "rk_recording_status", meeting_id="meeting-2", status="INVOKED")
        assert [0, 0, 1] == [value(second, "rk_meeting_up", meeting_id=name) for name in names]
        assert 2 == value(
            second, "rk_api_request_failures_total", endpoint="active-recording", reason="timeout"
        )

    @pytest.mark.parametrize("fault", [f for f in Fault if f not in BLOCKING_FAULTS])
    def test_one_bad_meeting_costs_no_other(self, fault: Fault) -> None:
        """Whatever is wrong with one meeting, the others are shown as usual."""
        given = setup(scripted("bad"), scripted("good-1"), scripted("good-2"))
        given.time.now += 120
        good = scrape_all(given)[0]
        given = setup(scripted("bad"), scripted("good-1"), scripted("good-2"))
        given.time.now += 120
        given.simulator.inject("bad", fault)
        text = scrape_all(given, headers=SHORT)[0]
        for name in ("rk_recording_status", "rk_recording_file_size_bytes", "rk_meeting_up"):
            unharmed = {
                series: number for series, number in samples(good, name).items() if "good" in series
            }
            assert unharmed.items() <= samples(text, name).items()
        assert 1 == value(text, "rk_up")

    def test_hanging_meetings_cost_no_other(self) -> None:
        """If as many meetings hang as there are workers, the others are still read."""
        hanging = [f"a-hanging-{number}" for number in range(8)]
        given = setup(*[scripted(name) for name in hanging], scripted("good-1"), scripted("good-2"))
        for name in hanging:
            given.simulator.inject(name, Fault.HANG)
        text = scrape_all(given, headers=SHORT)[0]
        ups = samples(text, "rk_meeting_up")
        assert [0] * 8 + [1] * 2 == list(ups.values())
        assert 0 == value(text, "rk_meetings_deferred")
        failures = "rk_api_request_failures_total"
        counted = current(given)
        assert 8 == value(counted, failures, endpoint="active-recording", reason="timeout")

    def test_slow_app_costs_no_other(self, tmp_path: Path) -> None:
        """An app whose calls all hang does not delay another app."""
        slow = [f"slow-{number}" for number in range(20)]
        file = tmp_path / "rk.yml"
        file.write_text(
            "account_id: account\napi: {read: active-recording}\napps:\n"
            f"  - {{app_id: slow, meetings: {{ids: {slow}}}}}\n"
            "  - {app_id: fast, meetings: {ids: [fast]}}\n"
        )
        two_apps = load(file, {}, {TOKEN_VARIABLE: "simulated"})
        given = setup(scripted("fast"), *[scripted(name) for name in slow], configuration=two_apps)

        def hang(call: Call) -> None:
            if call.app_id == "slow":
                given.simulator.inject("*", Fault.HANG, times=1)

        given.proxy.before = hang
        text = scrape_all(given, headers=SHORT)[0]
        # One of eight calls was for the list of recordings.
        assert 13 == value(text, "rk_meetings_deferred", rk_app="slow")
        assert 0 == value(text, "rk_meetings_deferred", rk_app="fast")
        assert [0, 1] == [value(text, "rk_up", rk_app=app) for app in ("slow", "fast")]
        assert 7 == len(samples(text, "rk_recording_status"))

    def test_failures_are_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        """Failures are logged when their reasons change, not at every scrape."""
        caplog.set_level(logging.INFO)
        given = setup(scripted("bad"), scripted("good"))

        async def scrapes() -> None:
            given.simulator.inject("bad", Fault.SERVER_ERROR)
            for _ in range(3):
                await given.get()
            given.simulator.clear()
            for _ in range(3):
                await given.get()

        run(scrapes())
        ours = [
            record for record in caplog.records if record.name == "rk_exporter.collector.pass_log"
        ]
        assert [
            "meetings cannot be read: the API answered 500",
            "all meetings can be read again",
        ] == [record.getMessage() for record in ours]
        fields = vars(ours[0])
        assert ("server_error:1", 1) == (fields["reasons"], fields["failed"])
        assert ("bad", "server_error") == (fields["meeting_ids"], fields["reason"])
        assert REMEDIES[Reason.SERVER_ERROR] == fields["remedy"]

    def test_stale_series_end(self) -> None:
        """Series of a meeting that cannot be read end after `stale_after`; its read time stays."""
        given = setup(scripted(), configuration=config(scrape__stale_after="1m"))

        async def scrapes() -> list[str]:
            texts = [(await given.get()).text]
            given.simulator.inject("meeting-1", Fault.SERVER_ERROR)
            for later in (60, 1):
                given.time.now += later
                texts.append((await given.get()).text)
            return texts

        texts = run(scrapes())
        assert [7, 7, 0] == [len(samples(text, "rk_recording_status")) for text in texts]
        assert [1, 1, None] == [value(text, "rk_meeting_active_recordings") for text in texts]
        age = "rk_meeting_last_success_timestamp_seconds"
        assert [NOW] * 3 == [value(text, age) for text in texts]
        assert [1, 0, 0] == [value(text, "rk_up") for text in texts]


class TestCalls:
    """The calls of a pass that are not for meetings."""

    def test_list_after_the_first_meeting(self) -> None:
        """The list of recordings is second, so that a meeting shows problems with the token."""

        async def steps(simulation: Simulation) -> list[str]:
            await simulation.scrape()
            return [call.path for call in simulation.proxy.calls]

        called = simulate(steps, configuration=config(meeting_ids=[*"abc"]), workers_per_app=1)
        paths = [f"recordings/active-recording/{name}" for name in "abc"]
        assert [paths[0], "recordings", *paths[1:]] == called

    @pytest.mark.parametrize(
        ("interval", "seconds"),
        [(15.0, 60.0), (14.8, 59.2), (5.0, 60.0), (60.0, 60.0), (120.0, 120.0)],
    )
    def test_list_each_minute(self, interval: float, seconds: float) -> None:
        """The list is polled each minute, or at each scrape if scrapes are rarer."""

        async def steps(simulation: Simulation) -> int:
            await simulation.last_scrape(1 + round(10 * seconds / interval), interval)
            return simulation.simulator.requests.by_endpoint["recordings"]

        assert 11 == simulate(steps, configuration=config())

    def test_list_with_a_small_budget(self) -> None:
        """With a small budget, polls take at most one call in fifty."""

        async def steps(simulation: Simulation) -> tuple[int, int]:
            await simulation.last_scrape(400)
            requests = simulation.simulator.requests
            return requests.by_endpoint["recordings"], requests.total

        few = config(meeting_ids=[*"abcdef"], api__budget="60")
        polls, total = simulate(steps, configuration=few)
        assert total / 50 - 3 <= polls <= total / 50 + 1

    def test_recording_that_is_gone(self) -> None:
        """A recording that its meeting no longer shows is read by its id next."""
        ending = scripted("b", paused=(), stopped_at=NOW + 10, uploaded_at=NOW + 12)

        async def steps(simulation: Simulation) -> list[list[str]]:
            texts = await simulation.scrapes(1)
            simulation.proxy.new_calls()
            texts += await simulation.scrapes(1)
            called = [call.path for call in simulation.proxy.new_calls()]
            await simulation.scrape()
            assert 1 == value(texts[1], "rk_recording_status", status="UPLOADED")
            assert 1 == value(texts[1], "rk_recording_stop_reason", reason="ALL_PEERS_LEFT")
            return [called, [call.path for call in simulation.proxy.new_calls()]]

        called, later = simulate(
            steps,
            ending,
            configuration=config(meeting_ids=[*"abc"]),
            workers_per_app=1,
            linger_seconds=0,
        )
        paths = {name: f"recordings/active-recording/{name}" for name in "abc"}
        # The state of b is short, and the urgent queue starts in this pass.
        assert [paths["b"], f"recordings/{ending.id}", paths["a"], paths["c"]] == called
        assert sorted(paths.values()) == sorted(later)


class TestBlocked:
    """The exposition while calls are blocked."""

    def test_no_series_ends_during_a_block(self) -> None:
        """A block as long as `stale_after` ends no series, during or after the block."""

        async def steps(simulation: Simulation) -> list[str]:
            texts = await simulation.scrapes(4)
            simulation.simulator.inject("*", Fault.RATE_LIMITED, times=1)
            return [*texts, *await simulation.scrapes(30)]

        texts = simulate(
            steps,
            scripted("a", stopped_at=NOW + 9000, uploaded_at=NOW + 9100, paused=()),
            scripted("b", stopped_at=NOW + 9000, uploaded_at=NOW + 9100, paused=()),
            configuration=config(meeting_ids=["a", "b"]),
        )
        assert {2} == {len(samples(text, "rk_meeting_active_recordings")) for text in texts}
        blocked = [bool(samples(text, "rk_api_blocked_until_timestamp_seconds")) for text in texts]
        assert 19 <= sum(blocked) <= 22
        ups = [value(text, "rk_up") for text in texts]
        assert ups[-1] == 1
        # The first of these scrapes may also have a successful call; the others make no call.
        blocked_ups = [up for up, is_blocked in zip(ups, blocked, strict=True) if is_blocked]
        assert set(blocked_ups[1:]) == {0}

    def test_nothing_is_shown_forever(self) -> None:
        """Readings from before a token was rejected end in time."""

        async def steps(simulation: Simulation) -> list[str]:
            texts = await simulation.scrapes(2)
            simulation.simulator.inject("*", Fault.FORBIDDEN)
            return [*texts, *await simulation.scrapes(120)]

        texts = simulate(steps, scripted("meeting-1", stopped_at=None), configuration=config())
        shown = [len(samples(text, "rk_recording_status")) for text in texts]
        assert 7 == shown[30]
        assert 0 == shown[-1]
        assert [1, 0] == [value(text, "rk_up") for text in (texts[1], texts[-1])]
