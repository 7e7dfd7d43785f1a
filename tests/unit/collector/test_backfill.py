"""How the list of recordings is restored, and what is read of it afterwards."""

import asyncio

from dataclasses import replace

import pytest

from rk_exporter.collector import backfill
from rk_exporter.model.errors import ApiTimeout, ServerError
from rk_exporter.model.recording import Recording, Status
from tests.support.backfill import DAY, HOUR, MEETING, Poller, invoked, older, with_poller
from tests.support.building import NOW


class TestRestoring:
    """The first poll."""

    def test_whole_list(self) -> None:
        """The whole list is read page by page, and shown; then the app is restored."""

        async def steps(poller: Poller) -> None:
            assert poller.is_due()
            assert not poller.is_restored()
            assert [1, 2, 3] == await poller.poll()
            assert poller.is_restored()
            assert sorted(recording.recording_id for recording in older(250)) == sorted(
                poller.shown
            )
            assert not poller.is_due()

        with_poller(steps, older(250))

    def test_an_empty_list(self) -> None:
        """One call restores an app without recordings; its first recording counts."""

        async def steps(poller: Poller) -> None:
            assert [1] == await poller.poll()
            assert poller.is_restored()
            poller.pages.recordings = [invoked(30)]
            assert [1] == await poller.poll_when_due()
            assert 1 == poller.tracker.counters.started

        with_poller(steps, [])

    @pytest.mark.parametrize(
        "at_first",
        [
            pytest.param([], id="empty"),
            pytest.param([replace(invoked(-60), invoked_timestamp_seconds=None)], id="no-time"),
            pytest.param([invoked(-60)], id="old"),
        ],
    )
    def test_lacking_recordings(self, at_first: list[Recording]) -> None:
        """Older recordings that the first list lacks are not counted when a later one has them."""

        async def steps(poller: Poller) -> None:
            await poller.poll(after=100)
            await poller.poll_when_due()
            poller.pages.recordings = [invoked(110), invoked(90), *older(20)]
            await poller.poll_when_due()
            assert 1 == poller.tracker.counters.started
            assert 1 == sum(poller.tracker.counters.finished.values())

        with_poller(steps, at_first)

    def test_first_list_is_not_counted(self) -> None:
        """Recordings in the first list are not counted, later ones are."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            assert NOW - 1 == poller.tracker.state.listed_until
            assert 0 == poller.tracker.counters.started
            poller.pages.recordings = [invoked(20), *older(150)]
            await poller.poll_when_due()
            assert 1 == poller.tracker.counters.started
            assert NOW + 20 == poller.tracker.state.listed_until

        with_poller(steps, older(150))

    @pytest.mark.parametrize("max_recordings", [1, 1000])
    def test_no_limit_of_series(self, max_recordings: int) -> None:
        """The limit on the number of series does not end the poll, because totals need the rest."""

        async def steps(poller: Poller) -> None:
            assert list(range(1, 21)) == await poller.poll()
            assert 2000 == sum(poller.tracker.shown(oldest=0.0).totals.by_status.values())

        with_poller(steps, older(2000), max_recordings=max_recordings)

    def test_stops_at_the_limit_of_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The poll stops one page after the number of recordings that the exporter keeps."""
        monkeypatch.setattr(backfill, "MOST_RECORDINGS", 200)

        async def steps(poller: Poller) -> None:
            assert [1, 2, 3] == await poller.poll()
            assert poller.is_restored()

        with_poller(steps, older(500))

    @pytest.mark.parametrize(("retain", "days"), [(HOUR, 8), (8 * DAY, 8), (30 * DAY, 30)])
    def test_stops_at_the_age(self, retain: float, days: int) -> None:
        """The poll ends at recordings that cannot be shown: a file is kept for seven days."""
        limit = days * DAY + 25 * HOUR
        recordings = [
            *older(150),
            *(invoked(10 - limit - number, f"young-{number}") for number in range(9)),
            *(invoked(-limit - number, f"old-{number}") for number in range(1, 800)),
        ]

        async def steps(poller: Poller) -> None:
            assert [1, 2] == await poller.poll()
            assert poller.is_restored()
            assert [1] == await poller.poll_when_due()

        with_poller(steps, recordings, retain_seconds=retain)

    def test_list_that_is_not_sorted(self) -> None:
        """If the API ignores the order, nothing is missed, and the number of pages is limited."""
        ancient = [invoked(-99 * DAY + number, f"ancient-{number}") for number in range(250)]

        async def steps(poller: Poller) -> None:
            assert [*range(1, 5)] == await poller.poll()
            assert {recording.recording_id for recording in older(150)} <= set(poller.shown)
            poller.pages.recordings = [*reversed(older(150)), *ancient, *older(5000)]
            assert 11 >= len(await poller.poll(after=6 * HOUR))

        with_poller(steps, [*ancient, *reversed(older(150))])

    def test_smaller_pages_in_the_middle(self) -> None:
        """If the size of the pages changes, the list is read from its beginning."""

        async def steps(poller: Poller) -> None:
            def shrink(page_no: int) -> None:
                poller.pages.largest = 50 if page_no == 3 else poller.pages.largest

            poller.pages.problem_of = shrink
            assert [1, 2, 3, 4, *range(1, 10)] == await poller.poll()
            assert {recording.recording_id for recording in older(430)} == set(poller.shown)
            assert [1] == await poller.poll_when_due()

        with_poller(steps, older(430))

    def test_smaller_pages_between_two_polls(self) -> None:
        """A poll that goes on after a timeout does not skip recordings if pages are smaller now."""

        async def steps(poller: Poller) -> None:
            errors = iter([None, None, ApiTimeout("no answer")])
            poller.pages.problem_of = lambda _: next(errors, None)
            assert [1, 2, 3] == await poller.poll()
            poller.pages.per_page = 50
            assert [3, *range(1, 10)] == await poller.poll_when_due()
            assert {recording.recording_id for recording in older(430)} == set(poller.shown)

        with_poller(steps, older(430))

    def test_retained_forever(self) -> None:
        """A retention that is longer than the unix epoch works as well."""

        async def steps(poller: Poller) -> None:
            assert [1] == await poller.poll()
            assert 5 == len(poller.shown)

        with_poller(steps, older(5), retain_seconds=1e12)

    def test_known_from_the_state_file(self) -> None:
        """If the state file has the ids of an earlier first page, the poll ends at one of them."""

        async def steps(poller: Poller) -> None:
            assert [1, 2] == await poller.poll()
            assert poller.is_restored()
            assert [1] == await poller.poll_when_due()

        newest_ids = tuple(recording.recording_id for recording in older(1000)[150:250])
        with_poller(steps, older(1000), newest_ids=newest_ids)


class TestCatchingUp:
    """The later polls, each minute."""

    @pytest.mark.parametrize(("new", "pages"), [(0, 1), (1, 1), (99, 1), (100, 2), (230, 3)])
    def test_new_recordings(self, new: int, pages: int) -> None:
        """Pages are read until one has a known recording."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            come = [invoked(30 + number) for number in reversed(range(new))]
            poller.pages.recordings = [*come, *poller.pages.recordings]
            assert list(range(1, pages + 1)) == await poller.poll_when_due()
            assert new == poller.tracker.counters.started
            assert poller.pages.recordings[0].recording_id == poller.backfill.newest_ids[0]
            assert 100 == len(poller.backfill.newest_ids)

        with_poller(steps, older(800))

    def test_newest_recordings_deleted(self) -> None:
        """If the newest recordings were deleted, the others of their page end the poll."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            poller.pages.recordings = poller.pages.recordings[99:]
            assert [1] == await poller.poll_when_due()

        with_poller(steps, older(800))

    @pytest.mark.parametrize(
        ("calls_per_second", "pause"), [(100.0, 59), (2.0, 59), (0.5, 100), (10 / 300, 1500)]
    )
    def test_poll_interval(self, calls_per_second: float, pause: float) -> None:
        """The list is polled each minute, but uses at most one call in fifty of the budget."""

        async def steps(poller: Poller) -> None:
            for _ in range(3):
                assert await poller.poll()
                assert pause == await poller.due_after(calls_per_second)

        with_poller(steps, older(5))

    @pytest.mark.parametrize(
        ("before", "after", "pause"), [(10 / 300, 2.0, 59), (2.0, 10 / 300, 1500)]
    )
    def test_another_budget(self, before: float, after: float, pause: float) -> None:
        """After a reload the interval is that of the new budget, also for the next poll."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            await asyncio.sleep(10)
            assert not poller.is_due(before)
            assert pause - 10 == await poller.due_after(after)

        with_poller(steps, older(5))

    @pytest.mark.parametrize(
        ("calls_per_second", "pause"), [(100.0, 1), (2.0, 5), (0.5, 20), (10 / 300, 300)]
    )
    def test_hurried(self, calls_per_second: float, pause: float) -> None:
        """However often events ask for the list, that takes at most one call in ten."""

        async def steps(poller: Poller) -> None:
            for _ in range(3):
                assert [1] == (await poller.poll())[:1]
                poller.backfill.hurry()
                poller.backfill.hurry()
                assert pause == await poller.due_after(calls_per_second)
            # Once only.
            await poller.poll()
            assert max(59, 50 / calls_per_second) == await poller.due_after(calls_per_second)

        with_poller(steps, older(5))

    def test_hurried_with_many_calls(self) -> None:
        """If there are many calls, the next scrape follows an event, however soon it comes."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            poller.backfill.hurry()
            assert not poller.is_due(100.0)
            await asyncio.sleep(0.1)
            assert poller.is_due(100.0)

        with_poller(steps, older(5))

    def test_whole_list_on_request(self) -> None:
        """The whole list is read in the next poll if somebody needs it, but once in an hour."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            for _ in range(2):
                assert poller.backfill.read_whole_soon()
                assert [1, 2, 3] == await poller.poll(after=60)
                assert [1] == await poller.poll(after=60)
                await asyncio.sleep(3479.9)
                assert not poller.backfill.read_whole_soon()
                assert [1] == await poller.poll()
                await asyncio.sleep(0.2)

        with_poller(steps, older(250))

    def test_more_to_include(self) -> None:
        """The whole list is read again if it has more to follow, and then not within an hour."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            poller.backfill.include_more()
            assert [1, 2, 3] == await poller.poll(after=60)
            # Each of these is within an hour, and none is forgotten, nor puts the next one off.
            for _ in range(3):
                poller.backfill.include_more()
                assert [1] == await poller.poll(after=60)
            await asyncio.sleep(3600 - 4 * 60)
            assert [1, 2, 3] == await poller.poll(after=60)
            assert [1] == await poller.poll(after=3600)

        with_poller(steps, older(250))

    def test_hurried_after_a_failure(self) -> None:
        """An event does not shorten the pause after a failure."""

        async def steps(poller: Poller) -> None:
            poller.fail(*[ServerError("no")] * 3)
            for pause in (10, 20, 40):
                await poller.poll()
                poller.backfill.hurry()
                assert pause == await poller.due_after()

        with_poller(steps, older(5))

    def test_a_scrape_each_minute(self) -> None:
        """If scrapes come each minute, each of them polls, even if it is a little early."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            for _ in range(5):
                await asyncio.sleep(59.1)
                assert poller.is_due()
                await poller.poll()

        with_poller(steps, older(5))

    def test_whole_list_again(self) -> None:
        """The whole list is read again after follow.reread_interval, and not before."""

        async def steps(poller: Poller) -> None:
            polls = [(await poller.poll_when_due(), poller.now() - NOW) for _ in range(100)]
            whole = [at for pages, at in polls if pages == [1, 2, 3]]
            assert [0, 1800, 3600, 5400] == pytest.approx(whole, abs=120)
            assert 96 == sum(1 for pages, _ in polls if pages == [1])

        with_poller(steps, older(250), reread_seconds=1800.0)

    def test_whole_list_after_a_state_file(self) -> None:
        """After a start with a state file, the whole list is read after the same interval."""

        async def steps(poller: Poller) -> None:
            whole = None
            while whole is None:
                if len(await poller.poll_when_due()) > 1:
                    whole = poller.now() - NOW
            assert 1800 == pytest.approx(whole, abs=120)

        newest_ids = tuple(recording.recording_id for recording in older(100))
        with_poller(steps, older(250), reread_seconds=1800.0, newest_ids=newest_ids)

    def test_a_url_that_was_refreshed(self) -> None:
        """The whole list updates known recordings."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            changed = Recording(
                recording_id="old-240",
                status=Status.UPLOADED,
                download_url_expiry_timestamp_seconds=NOW + 9 * DAY,
            )
            poller.pages.recordings[240] = changed
            await poller.poll(after=6 * HOUR)
            (known,) = (known for known in poller.all_shown if known.recording_id == "old-240")
            assert NOW + 9 * DAY == known.recording.download_url_expiry_timestamp_seconds

        with_poller(steps, older(250))

    def test_late_answer(self) -> None:
        """An answer for a meeting that arrives during the poll is newer than the list."""

        async def steps(poller: Poller) -> None:
            poller.pages.seconds = 2.0
            polling = asyncio.create_task(poller.poll())
            await asyncio.sleep(1)
            ended = Recording(recording_id="old-1", status=Status.UPLOADED)
            poller.tracker.observe_meeting(MEETING, [ended])
            await polling
            states = {known.recording_id: known.recording.status for known in poller.all_shown}
            assert {"old-0": Status.ERRORED, "old-1": Status.UPLOADED} == states

        with_poller(steps, older(2))

    def test_call_that_waits(self) -> None:
        """A list is newer than the answers that came while its call waited for the limiter."""

        async def steps(poller: Poller) -> None:
            poller.pages.waits_seconds = 2.0
            polling = asyncio.create_task(poller.poll())
            await asyncio.sleep(1)
            running = Recording(recording_id="old-1", status=Status.RECORDING)
            poller.tracker.observe_meeting(MEETING, [running])
            await polling
            states = {known.recording.status for known in poller.all_shown}
            assert {Status.ERRORED} == states

        with_poller(steps, older(2))
