import asyncio
import logging

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from rk_exporter.collector.collector import Collector
from rk_exporter.config.apps import TOKEN_VARIABLE
from rk_exporter.config.config import load
from rk_exporter.model.meeting import App
from rk_exporter.simulator import Fault
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tracking.state_file import StateFileStatus
from tests.support.building import (
    HOLDING_BACK,
    NOW,
    Call,
    Setup,
    Stage,
    config,
    life,
    play,
    run,
    samples,
    setup,
    value,
)


def scrape_all(
    given_setup: Setup, *, count: int = 1, headers: Mapping[str, str] | None = None
) -> list[str]:
    async def scrapes() -> list[str]:
        answers = await asyncio.gather(*(given_setup.get(headers=headers) for _ in range(count)))
        assert [200] * count == [answer.status_code for answer in answers]
        return [answer.text for answer in answers]

    return run(scrapes())


# A pass of a second, in which a call may take half of one: room for a busy machine.
SHORT = {"X-Prometheus-Scrape-Timeout-Seconds": "1.5"}


class TestPass:
    """Whole scrapes, in process, against the simulator."""

    def test_twenty_scrapes_at_once_are_one_pass(self) -> None:
        """Twenty parallel scrapes cost one call a meeting, and get the same bytes."""
        each = setup(*[life(f"meeting-{number}") for number in range(30)])
        texts = scrape_all(each, count=20)
        assert [1] * 30 == list(each.simulator.requests.by_meeting.values())
        assert 1 == len(set(texts))

    def test_every_scrape_reads_anew(self) -> None:
        """A scrape after the end of a pass begins the next, and sees what has changed."""
        each = setup(life())

        async def scrapes() -> list[str]:
            texts = [(await each.get()).text]
            each.time.now += 10
            return [*texts, (await each.get()).text]

        first, second = run(scrapes())
        assert [1, 0] == [
            value(text, "rk_recording_status", status="INVOKED") for text in (first, second)
        ]
        assert 1 == value(second, "rk_recording_status", status="RECORDING")

    def test_late_meetings(self) -> None:
        """What the deadline leaves unread is deferred, keeps its reading, and leads the next."""
        names = ["meeting-1", "meeting-2", "meeting-3"]
        each = setup(*[life(name) for name in names], workers_per_app=1)

        async def scrapes() -> list[str]:
            first = await each.get()
            each.time.now += 10
            each.simulator.inject("meeting-1", Fault.HANG)
            each.simulator.inject("meeting-2", Fault.HANG)
            second = await each.get(headers=SHORT)
            third = await each.get(headers=SHORT)
            return [first.text, second.text, third.text]

        first, second, third = run(scrapes())
        # One timed out, one was cut off, one was not begun; then only the second was.
        assert [0, 2, 1] == [value(text, "rk_meetings_deferred") for text in (first, second, third)]
        age = "rk_meeting_last_success_timestamp_seconds"
        assert [NOW] * 3 == [value(second, age, meeting_id=name) for name in names]
        assert [NOW, NOW, NOW + 10] == [value(third, age, meeting_id=name) for name in names]
        assert 1 == value(second, "rk_recording_status", meeting_id="meeting-2", status="INVOKED")
        assert [0, 0, 1] == [value(second, "rk_meeting_up", meeting_id=name) for name in names]
        assert 2 == value(
            second, "rk_api_request_failures_total", endpoint="active-recording", reason="timeout"
        )

    @pytest.mark.parametrize("fault", [f for f in Fault if f not in HOLDING_BACK])
    def test_one_bad_meeting_costs_no_other(self, fault: Fault) -> None:
        """Whatever is wrong with one meeting, the others are shown as if nothing was."""
        each = setup(life("bad"), life("good-1"), life("good-2"))
        each.time.now += 120
        good = scrape_all(each)[0]
        each = setup(life("bad"), life("good-1"), life("good-2"))
        each.time.now += 120
        each.simulator.inject("bad", fault)
        text = scrape_all(each, headers=SHORT)[0]
        for name in ("rk_recording_status", "rk_recording_file_size_bytes", "rk_meeting_up"):
            unharmed = {
                series: number for series, number in samples(good, name).items() if "good" in series
            }
            assert unharmed.items() <= samples(text, name).items()
        assert 1 == value(text, "rk_up")

    def test_hanging_meetings_cost_no_other(self) -> None:
        """Where as many meetings hang as there are workers, the others are read all the same."""
        hanging = [f"a-hanging-{number}" for number in range(8)]
        each = setup(*[life(name) for name in hanging], life("good-1"), life("good-2"))
        for name in hanging:
            each.simulator.inject(name, Fault.HANG)
        text = scrape_all(each, headers=SHORT)[0]
        ups = samples(text, "rk_meeting_up")
        assert [0] * 8 + [1] * 2 == list(ups.values())
        assert 0 == value(text, "rk_meetings_deferred")
        assert 8 == value(
            text, "rk_api_request_failures_total", endpoint="active-recording", reason="timeout"
        )

    def test_slow_app_costs_no_other(self, tmp_path: Path) -> None:
        """An app whose calls all hang does not keep another's meetings from being read."""
        slow = [f"slow-{number}" for number in range(20)]
        file = tmp_path / "rk.yml"
        file.write_text(
            f"account_id: account\napps:\n  - {{app_id: slow, meetings: {{ids: {slow}}}}}\n"
            "  - {app_id: fast, meetings: {ids: [fast]}}\n"
        )
        two_apps = load(file, {}, {TOKEN_VARIABLE: "simulated"})
        each = setup(life("fast"), *[life(name) for name in slow], configuration=two_apps)

        def hang(call: Call) -> None:
            if call.app_id == "slow":
                each.simulator.inject("*", Fault.HANG, times=1)

        each.front.before = hang
        text = scrape_all(each, headers=SHORT)[0]
        # Of eight calls one was for the list of recordings.
        assert 13 == value(text, "rk_meetings_deferred", app="slow")
        assert 0 == value(text, "rk_meetings_deferred", app="fast")
        assert [0, 1] == [value(text, "rk_up", app=app) for app in ("slow", "fast")]
        assert 7 == len(samples(text, "rk_recording_status"))

    def test_failures_are_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        """The log says what fails when that changes, not at every scrape."""
        caplog.set_level(logging.INFO)
        each = setup(life("bad"), life("good"))

        async def scrapes() -> None:
            each.simulator.inject("bad", Fault.SERVER_ERROR)
            for _ in range(3):
                await each.get()
            each.simulator.clear()
            for _ in range(3):
                await each.get()

        run(scrapes())
        ours = [
            record
            for record in caplog.records
            if record.name == "rk_exporter.collector.app_collector"
        ]
        assert [
            "meetings could not be read; the first: the API answered 500",
            "all meetings can be read again",
        ] == [record.getMessage() for record in ours]
        assert ("server_error:1", 1) == (
            ours[0].__dict__["reasons"],
            ours[0].__dict__["failed"],
        )

    def test_stale_series_leave(self) -> None:
        """Series of a meeting that cannot be read leave after `stale_after`; its age stays."""
        each = setup(life(), configuration=config(scrape__stale_after="1m"))

        async def scrapes() -> list[str]:
            texts = [(await each.get()).text]
            each.simulator.inject("meeting-1", Fault.UNAVAILABLE)
            for later in (60, 1):
                each.time.now += later
                texts.append((await each.get()).text)
            return texts

        texts = run(scrapes())
        assert [7, 7, 0] == [len(samples(text, "rk_recording_status")) for text in texts]
        assert [1, 1, None] == [value(text, "rk_meeting_active_recordings") for text in texts]
        age = "rk_meeting_last_success_timestamp_seconds"
        assert [NOW] * 3 == [value(text, age) for text in texts]
        assert [1, 0, 0] == [value(text, "rk_up") for text in texts]


class TestCalls:
    """Which calls a pass makes besides those for the meetings, and when."""

    def test_list_after_the_first_meeting(self) -> None:
        """The app's list is looked at second: what is wrong with a token is told of a meeting."""

        async def scenario(stage: Stage) -> list[str]:
            await stage.scrape()
            return [call.path for call in stage.front.calls]

        called = play(scenario, configuration=config(meeting_ids=[*"abc"]), workers_per_app=1)
        each = [f"recordings/active-recording/{name}" for name in "abc"]
        assert [each[0], "recordings", *each[1:]] == called

    @pytest.mark.parametrize(
        ("interval", "seconds"),
        [(15.0, 60.0), (14.8, 59.2), (5.0, 60.0), (60.0, 60.0), (120.0, 120.0)],
    )
    def test_list_each_minute(self, interval: float, seconds: float) -> None:
        """It is looked at each minute, or at each scrape if these are rarer."""

        async def scenario(stage: Stage) -> int:
            await stage.scrapes(1 + round(10 * seconds / interval), interval)
            return stage.simulator.requests.by_endpoint["recordings"]

        assert 11 == play(scenario, configuration=config())

    def test_list_with_a_small_budget(self) -> None:
        """With a small budget it takes no more than one call in fifty."""

        async def scenario(stage: Stage) -> tuple[int, int]:
            await stage.scrapes(400)
            requests = stage.simulator.requests
            return requests.by_endpoint["recordings"], requests.total

        few = config(meeting_ids=[*"abcdef"], api__budget="60")
        looks, total = play(scenario, configuration=few)
        assert total / 50 - 3 <= looks <= total / 50 + 1

    def test_recording_that_is_gone(self) -> None:
        """What a meeting no longer shows is read by its id at once, before other meetings."""
        ending = life("b", paused=(), stopped_at=NOW + 10, uploaded_at=NOW + 12)

        async def scenario(stage: Stage) -> list[list[str]]:
            texts = await stage.scrapes(1)
            stage.front.take()
            texts += await stage.scrapes(1)
            called = [call.path for call in stage.front.take()]
            await stage.scrape()
            assert 1 == value(texts[1], "rk_recording_status", status="UPLOADED")
            assert 1 == value(texts[1], "rk_recording_stop_reason", reason="ALL_PEERS_LEFT")
            return [called, [call.path for call in stage.front.take()]]

        called, later = play(
            scenario,
            ending,
            configuration=config(meeting_ids=[*"abc"]),
            workers_per_app=1,
            linger_seconds=0,
        )
        each = {name: f"recordings/active-recording/{name}" for name in "abc"}
        # The state of b passes quickly, and it is the express lane's turn to lead.
        assert [each["b"], f"recordings/{ending.id}", each["a"], each["c"]] == called
        assert sorted(each.values()) == sorted(later)


class TestHeldBack:
    """What is shown while calls are held back."""

    def test_nothing_vanishes_for_a_block(self) -> None:
        """A block as long as `stale_after` makes no series vanish, before or after it ends."""

        async def scenario(stage: Stage) -> list[str]:
            texts = await stage.scrapes(4)
            stage.simulator.inject("*", Fault.RATE_LIMITED, times=1)
            return [*texts, *await stage.scrapes(30)]

        texts = play(
            scenario,
            life("a", stopped_at=NOW + 9000, uploaded_at=NOW + 9100, paused=()),
            life("b", stopped_at=NOW + 9000, uploaded_at=NOW + 9100, paused=()),
            configuration=config(meeting_ids=["a", "b"]),
        )
        assert {2} == {len(samples(text, "rk_meeting_active_recordings")) for text in texts}
        blocked = [bool(samples(text, "rk_api_blocked_until_timestamp_seconds")) for text in texts]
        assert 19 <= sum(blocked) <= 22
        assert [value(text, "rk_up") for text in texts][-1] == 1

    def test_nothing_is_shown_for_ever(self) -> None:
        """What was read before a token was refused leaves in time."""

        async def scenario(stage: Stage) -> list[str]:
            texts = await stage.scrapes(2)
            stage.simulator.inject("*", Fault.FORBIDDEN)
            return [*texts, *await stage.scrapes(120)]

        texts = play(scenario, life("meeting-1", stopped_at=None), configuration=config())
        shown = [len(samples(text, "rk_recording_status")) for text in texts]
        assert 7 == shown[30]
        assert 0 == shown[-1]
        assert [1, 0] == [value(text, "rk_up") for text in (texts[1], texts[-1])]


class SlowApp:
    """An app whose pass lasts until it is released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.snapshot = AppSnapshot(app=App("app", "account", "id"), readings=())
        self.passes = 0

    async def run_pass(self, deadline: float) -> AppSnapshot:
        del deadline
        self.passes += 1
        await self.released.wait()
        return replace(self.snapshot, up=True)

    async def close(self) -> None:
        self.released.set()


class TestKeep:
    """What is written down before it is shown."""

    def test_kept_before_it_is_shown(self) -> None:
        """Until what a pass brought is kept, whoever asks gets what was shown before."""

        async def scrapes() -> tuple[list[bool | None], Snapshot]:
            app = SlowApp()
            app.released.set()
            shown_meanwhile: list[bool | None] = []

            async def keep() -> StateFileStatus:
                hasty = await scraper.scrape(0.01)
                shown_meanwhile.append(hasty.apps[0].up)
                return StateFileStatus(is_written=True, last_success_timestamp_seconds=NOW)

            scraper = Collector([app], clock=lambda: NOW, keep=keep)
            return shown_meanwhile, await scraper.scrape(30)

        shown_meanwhile, snapshot = run(scrapes())
        assert [None] == shown_meanwhile
        assert snapshot.apps[0].up
        assert snapshot.state_file == StateFileStatus(
            is_written=True, last_success_timestamp_seconds=NOW
        )

    def test_nothing_new(self) -> None:
        """Where neither an app nor the file has changed, the snapshot is the very same one."""
        written = [NOW, NOW, NOW + 60]

        async def scrapes() -> list[Snapshot]:
            app = SlowApp()
            app.snapshot = replace(app.snapshot, up=True)
            app.released.set()

            async def keep() -> StateFileStatus:
                return StateFileStatus(
                    is_written=True, last_success_timestamp_seconds=written.pop(0)
                )

            scraper = Collector([app], keep=keep)
            return [await scraper.scrape(30) for _ in range(3)]

        first, second, third = run(scrapes())
        assert first is second
        assert third is not second


class TestSingleFlight:
    """Who shares a pass, and for how long."""

    def test_joiner_with_less_time_gets_the_last_snapshot(self) -> None:
        """A scrape that joins a pass longer than its own time is answered with what there is."""

        async def scrapes() -> tuple[Snapshot, Snapshot, int]:
            app = SlowApp()
            scraper = Collector([app], clock=lambda: NOW)
            patient = asyncio.create_task(scraper.scrape(30))
            await asyncio.sleep(0)
            hasty = await scraper.scrape(0.01)
            app.released.set()
            return hasty, await patient, app.passes

        hasty, patient, passes = run(scrapes())
        assert (None, True, 1) == (hasty.apps[0].up, patient.apps[0].up, passes)

    def test_a_pass_that_overruns_holds_up_nobody(self) -> None:
        """Should a pass not end at its deadline, its scrapes are answered all the same."""

        async def scrapes() -> Snapshot:
            app = SlowApp()
            scraper = Collector([app])
            snapshot = await scraper.scrape(0.01)
            await scraper.close()
            return snapshot

        assert run(scrapes()).apps[0].up is None

    def test_a_scrape_given_up_leaves_the_pass_running(self) -> None:
        """When the client of one scrape is gone, the pass goes on for the others."""

        async def scrapes() -> Snapshot:
            app = SlowApp()
            scraper = Collector([app])
            first = asyncio.create_task(scraper.scrape(30))
            second = asyncio.create_task(scraper.scrape(30))
            await asyncio.sleep(0)
            first.cancel()
            app.released.set()
            return await second

        assert run(scrapes()).apps[0].up

    def test_close_ends_a_running_pass(self) -> None:
        """Closing does not wait for the deadline of the pass."""

        async def scrapes() -> None:
            scraper = Collector([SlowApp()])
            waiting = asyncio.create_task(scraper.scrape(30))
            await asyncio.sleep(0)
            await scraper.close()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        run(scrapes())
