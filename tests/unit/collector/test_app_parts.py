import asyncio

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rk_exporter.archive.reader import AppArchive
from rk_exporter.archive.status import ArchiveStatus
from rk_exporter.collector.app_parts import AppParts, AppState
from rk_exporter.collector.app_webhook import AppWebhook, Notice
from rk_exporter.collector.meeting_list import MeetingList
from rk_exporter.collector.read_mode import Load
from rk_exporter.collector.readings import StalenessGrace
from rk_exporter.collector.scrape_interval import ScrapeInterval
from rk_exporter.config.tokens import FixedToken
from rk_exporter.downloads.verifier import DownloadVerifier
from rk_exporter.model.archive import Bucket
from rk_exporter.model.download import DownloadChecks, FileCheck, FileKind
from rk_exporter.model.errors import RateLimited
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import (
    App,
    DiscoveryState,
    FileState,
    Meeting,
    Reading,
    ReadMode,
    Room,
)
from rk_exporter.model.recording import Recording, Status
from rk_exporter.model.webhook import WebhookStatus
from rk_exporter.ratelimit.status import BudgetStatus
from rk_exporter.snapshot import AppSnapshot
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.state_records import SavedApp
from rk_exporter.tracking.tracker_state import TrackerState
from tests.support import virtual_time
from tests.support.app_parts import app_parts
from tests.support.building import NOW, TOKEN, VirtualClock, limiter_of, pass_context


B = Meeting("b", "b")
EACH, LIST = ReadMode.ACTIVE_RECORDING, ReadMode.LIST
BUCKET = Bucket(name="bucket")
CHECKS = tuple(
    FileCheck(recording_id="r", kind=kind, checked_at=NOW)
    for kind in (FileKind.COMPOSITE, FileKind.AUDIO)
)
FAILURE = Failure(Reason.TIMEOUT, "slow")
STATUS = BudgetStatus(limit=1, remaining=1)


class Archive(AppArchive):
    """What is known about copies, which is something else after each update."""

    def __init__(self) -> None:
        self.status = ArchiveStatus(bucket=BUCKET)
        self.updates: list[tuple[tuple[KnownRecording, ...], bool]] = []

    def update(self, recordings: tuple[KnownRecording, ...], *, is_complete: bool) -> ArchiveStatus:
        self.updates.append((recordings, is_complete))
        self.status = replace(self.status, last_success_timestamp_seconds=NOW)
        return self.status


class Verifier(DownloadVerifier):
    """A verifier with the results of two checks."""

    def __init__(self) -> None:
        self.result = DownloadChecks({"r": CHECKS})


class Token(FixedToken):
    """A token in a file that is empty now."""

    problem = "is empty"  # type: ignore[assignment]


class File:
    """A file with a meeting."""

    path = Path("meetings")
    meetings = (Meeting("b", "B"), Meeting("c", "c"))
    last_read_successful = False
    problem: str | None = "is gone"
    last_success_timestamp_seconds: float | None = NOW

    async def refresh(self) -> bool:
        return False


FILE_STATE = FileState(
    "meetings", is_read=False, last_success_timestamp_seconds=NOW, problem="is gone"
)


def parts_of(read: ReadMode = EACH, **changes: Any) -> AppParts:
    """Return the parts of an app with all that can be switched on, and 600 calls."""
    clock = VirtualClock()
    parts = app_parts("app", clock, read)
    full = {
        "archive": Archive(),
        "verifier": Verifier(),
        "webhook": AppWebhook(clock),
        "token": Token(TOKEN),
        "limiter": limiter_of(600),
        "usual_interval_seconds": 20.0,
    }
    return replace(parts, **{**full, **changes})


def with_parts(steps: Callable[[AppParts], None], read: ReadMode = EACH, **changes: Any) -> None:
    """Run *steps* with the parts of an app, some seconds after they were made."""

    async def run_steps() -> None:
        parts = parts_of(read, **changes)
        await asyncio.sleep(30)
        steps(parts)

    virtual_time.run(run_steps())


def recorded(parts: AppParts) -> KnownRecording:
    """Return a recording that begins now, as the tracker knows it."""
    recording = Recording(
        recording_id="r",
        status=Status.RECORDING,
        invoked_timestamp_seconds=parts.clock.wall(),
    )
    parts.tracker.observe_meeting(B, [recording])
    (known,) = parts.tracker.state.recordings
    return known


def make_healthy(parts: AppParts) -> None:
    """Let an event announce the recording that polling sees."""
    assert parts.webhook
    parts.webhook.take(Notice(("b",), "r", Status.RECORDING), finds_meetings=False)
    parts.initial_state(None)


class TestInitialState:
    """The state before the first pass."""

    @pytest.mark.parametrize("read", ReadMode)
    def test_new(self, read: ReadMode) -> None:
        """Nothing is known but the meetings, and what the parts know."""

        def steps(parts: AppParts) -> None:
            assert parts.backfill
            parts.backfill.newest_ids = ("newest",)
            parts.server_clock.offset_seconds = 90.0
            readings = (Reading(meeting=B),)
            shown = parts.tracker.shown(oldest=0.0)
            assert parts.initial_state(None) == AppState(
                snapshot=AppSnapshot(
                    app=parts.app,
                    readings=readings,
                    read_mode=read,
                    totals=shown.totals,
                    counters=parts.tracker.counters,
                    downloads=DownloadChecks({"r": CHECKS}),
                    is_restored=False,
                    archive=ArchiveStatus(bucket=BUCKET),
                    webhook=WebhookStatus(),
                    clock_offset_seconds=90.0,
                ),
                saved=SavedApp(
                    app=parts.app,
                    tracker=TrackerState(),
                    readings=readings,
                    newest_ids=("newest",),
                    downloads=CHECKS,
                ),
                revision=parts.tracker.revision,
                grace=StalenessGrace(300.0),
                interval=ScrapeInterval(usual_seconds=20.0),
            )

        with_parts(steps, read)

    def test_least(self) -> None:
        """What is switched off is not known; without a list, nothing has to be restored."""

        def steps(parts: AppParts) -> None:
            state = parts.initial_state(None)
            snapshot = state.snapshot
            assert (snapshot.downloads, snapshot.archive, snapshot.webhook) == (None, None, None)
            assert snapshot.is_restored
            assert (state.saved.newest_ids, state.saved.downloads) == ((), ())

        with_parts(steps, archive=None, verifier=None, webhook=None, backfill=None, discovery=None)

    def test_restored(self) -> None:
        """The readings from before are shown, those of meetings that are read."""

        def steps(parts: AppParts) -> None:
            readings = tuple(
                Reading(meeting=Meeting(name, name), last_attempt_timestamp_seconds=NOW - 5)
                for name in "cb"
            )
            restored = SavedApp(app=parts.app, tracker=TrackerState(), readings=readings)
            state = parts.initial_state(restored)
            assert state.snapshot.readings == state.saved.readings == readings[1:]

        with_parts(steps)

    def test_recordings(self) -> None:
        """Recordings are shown and saved; in progress, only if they are not too old to be shown."""

        def steps(parts: AppParts) -> None:
            known = recorded(parts)
            parts.tracker.counters = counters = replace(parts.tracker.counters, started=7)
            state = parts.initial_state(None)
            assert state.snapshot.recordings == state.saved.tracker.recordings == (known,)
            assert state.snapshot.counters == counters
            assert state.revision == parts.tracker.revision > 0
            old = parts.with_recordings(state, state.snapshot, oldest=known.read_at + 1)
            assert (old.snapshot.recordings, old.saved.tracker.recordings) == ((), (known,))
            # It is older than `stale_after` and the longest time between two reads.
            later = replace(parts, clock=VirtualClock(NOW + 400))
            assert later.initial_state(None).snapshot.recordings == ()

        with_parts(steps)

    def test_webhook(self) -> None:
        """The webhook takes in what is shown, by the clock of the API."""

        def steps(parts: AppParts) -> None:
            recorded(parts)
            parts.server_clock.offset_seconds = 60.0
            make_healthy(parts)
            # By the clock of the API, it began before the start.
            assert parts.webhook
            assert parts.webhook.status.up is None

        with_parts(steps)


class TestChange:
    """The state after a change of the configuration."""

    def test_change(self) -> None:
        """What the parts know is new; the rest stays, but nothing waits because it has failed."""

        def steps(parts: AppParts) -> None:
            failed = Reading(
                meeting=B, last_attempt_timestamp_seconds=NOW, failure=FAILURE, failures_alone=7
            )
            state = parts.initial_state(None)
            before = replace(
                state,
                snapshot=replace(state.snapshot, readings=(failed,), budget_status=STATUS, up=True),
                configured=(B,),
                token=TOKEN,
                has_read=True,
                last_pass_at=NOW,
                left_over=3,
            )
            assert parts.discovery
            parts.discovery.state = DiscoveryState(FAILURE, NOW)
            changed = replace(
                parts,
                app=App("renamed", "account", "app"),
                meetings=MeetingList([], [File()]),
                stale_after_seconds=900.0,
                archive=Archive(),
            )
            known, empty = recorded(parts), Room(is_live=False)
            readings = (
                replace(failed, meeting=Meeting("b", "B"), failures_alone=0, room=empty),
                Reading(meeting=Meeting("c", "c"), room=empty),
            )
            shown = parts.tracker.shown(oldest=0.0)
            after = changed.changed_state(before)
            assert after == replace(
                before,
                snapshot=replace(
                    before.snapshot,
                    app=changed.app,
                    readings=readings,
                    files=(FILE_STATE,),
                    discovery=DiscoveryState(FAILURE, NOW),
                    token_problem="is empty",
                    budget_status=BudgetStatus(limit=600, remaining=600),
                    recordings=(known,),
                    totals=shown.totals,
                    counters=parts.tracker.counters,
                    archive=ArchiveStatus(bucket=BUCKET),
                    webhook=WebhookStatus(),
                ),
                saved=replace(
                    before.saved, app=changed.app, readings=readings, tracker=parts.tracker.state
                ),
                grace=StalenessGrace(900.0),
                configured=None,
                revision=parts.tracker.revision,
            )
            assert after.revision > before.revision

        with_parts(steps)

    def test_switched_off(self) -> None:
        """What is switched off now is no longer known; an unknown budget stays unknown."""

        def steps(parts: AppParts) -> None:
            before = parts.initial_state(None)
            before = replace(before, snapshot=replace(before.snapshot, discovery=DiscoveryState()))
            changed = replace(parts, archive=None, discovery=None, token=FixedToken(TOKEN))
            snapshot = changed.changed_state(before).snapshot
            assert (snapshot.archive, snapshot.discovery) == (None, None)
            assert (snapshot.token_problem, snapshot.budget_status) == (None, None)

        with_parts(steps)

    def test_old_recordings(self) -> None:
        """Values that are too old by the new configuration are no longer shown."""

        def steps(parts: AppParts) -> None:
            recorded(parts)
            before = parts.initial_state(None)
            later = replace(parts, clock=VirtualClock(NOW + 200))
            assert len(later.changed_state(before).snapshot.recordings) == 1
            strict = replace(later, stale_after_seconds=60.0)
            assert strict.changed_state(before).snapshot.recordings == ()
            # A meeting may wait that long for its turn.
            strict.selector.select(Load(1, 20.0, 1.0), list_calls=4, list_works=True)
            assert len(strict.changed_state(before).snapshot.recordings) == 1

        with_parts(steps, limiter=limiter_of(1))

    def test_blocked(self) -> None:
        """A block goes on after a change, until the same time."""

        async def steps() -> None:
            parts = parts_of()
            before = parts.initial_state(None)
            before = replace(before, snapshot=replace(before.snapshot, budget_status=STATUS))
            with pytest.raises(RateLimited):
                async with parts.limiter.acquire(pass_context()):
                    raise RateLimited("wait")
            status = parts.changed_state(before).snapshot.budget_status
            assert status
            assert status.blocked_until_timestamp_seconds
            assert status.blocked_until_timestamp_seconds - NOW == pytest.approx(300, abs=60)

        virtual_time.run(steps())


class TestArchive:
    """What is known about copies."""

    def test_update(self) -> None:
        """After a pass, the archive gets all recordings, and its new status is shown."""

        def steps(parts: AppParts) -> None:
            known = recorded(parts)
            state = parts.initial_state(None)
            assert isinstance(parts.archive, Archive)
            status = parts.archive.status
            for is_restored in (False, True):
                snapshot = replace(state.snapshot, is_restored=is_restored, recordings=())
                after = parts.with_archive(replace(state, snapshot=snapshot))
                status = replace(status, last_success_timestamp_seconds=NOW)
                assert after == replace(state, snapshot=replace(snapshot, archive=status))
            assert parts.archive.updates == [((known,), False), ((known,), True)]

        with_parts(steps)

    def test_none(self) -> None:
        """Without an archive nothing changes."""

        def steps(parts: AppParts) -> None:
            state = parts.initial_state(None)
            assert parts.with_archive(state) is state

        with_parts(steps, archive=None)


class TestDue:
    """The meetings whose turn it is."""

    READINGS = tuple(
        Reading(
            meeting=Meeting(name, name),
            recordings=(),
            last_attempt_timestamp_seconds=NOW + 30 - age,
            last_success_timestamp_seconds=NOW + 30 - age,
        )
        for name, age in (("b", 100.0), ("idle", 100.0), ("old", 560.0), ("fresh", 4.0))
    )

    def due(self, parts: AppParts, *, is_up: bool | None = None) -> list[str]:
        state = replace(parts.initial_state(None), interval=ScrapeInterval((0.0, 20.0)))
        state = replace(state, snapshot=replace(state.snapshot, up=is_up))
        found = parts.due(state, self.READINGS, fresh_seconds=5.0)
        return [reading.meeting.meeting_id for reading in found]

    def test_healthy_webhooks(self) -> None:
        """While webhooks are healthy, idle meetings wait; one that is recorded does not."""

        def steps(parts: AppParts) -> None:
            recorded(parts)
            assert self.due(parts) == ["b", "idle", "old"]
            make_healthy(parts)
            assert self.due(parts) == ["b", "old"]
            assert parts.idle_age_seconds == 600.0

        with_parts(steps)

    def test_outage(self) -> None:
        """While calls fail, idle meetings do not wait: their calls show when the outage is over."""

        def steps(parts: AppParts) -> None:
            recorded(parts)
            self.due(parts)
            make_healthy(parts)
            assert self.due(parts, is_up=True) == ["b", "old"]
            assert self.due(parts, is_up=False) == ["b", "idle", "old"]

        with_parts(steps)

    def test_without_webhooks(self) -> None:
        """Without webhooks, no meeting waits for longer than the others."""

        def steps(parts: AppParts) -> None:
            assert self.due(parts) == ["b", "idle", "old"]
            assert parts.idle_age_seconds == 0.0

        with_parts(steps, webhook=None)


class TestBudget:
    """What the passes need, and what the budget allows."""

    def test_load(self) -> None:
        """The load is that of one call per meeting; the share of two apps is half of the budget."""

        def steps(parts: AppParts) -> None:
            state = replace(parts.initial_state(None), interval=ScrapeInterval((0.0, 60.0)))
            assert parts.load(state, meetings=7) == Load(7, 60.0, 600.0)
            assert parts.calls_per_second == 2.0

        with_parts(steps)

    @pytest.mark.parametrize(
        ("read", "sessions", "left_over", "calls"),
        [(EACH, 3, 9, 3), (LIST, 3, 0, 3 + 4), (LIST, 1, 2, 1 + 6), (LIST, 1, 9, 1 + 8)],
    )
    def test_saving(self, read: ReadMode, sessions: int, left_over: int, calls: int) -> None:
        """A pass needs calls for the lists, and for a part of those that the last one left."""

        def steps(parts: AppParts) -> None:
            assert parts.discovery
            parts.discovery.usual_calls = sessions
            state = replace(parts.initial_state(None), left_over=left_over)
            assert parts.saving_seconds(state) == calls / 2.0
            without = replace(parts, discovery=None)
            assert without.saving_seconds(state) == (calls - sessions) / 2.0

        with_parts(steps, read)

    @pytest.mark.parametrize(
        ("read", "meetings", "wait"),
        [
            (EACH, 10, 0.0),
            (EACH, 1000, Load(1000, 20.0, 600.0).round_robin_seconds),
            (LIST, 10, 5 / 2.0),
            (LIST, 1000, 5 / 2.0),
        ],
    )
    @pytest.mark.parametrize("is_blocked", [False, True])
    def test_oldest_shown(
        self, read: ReadMode, meetings: int, wait: float, *, is_blocked: bool
    ) -> None:
        """Readings are shown until each meeting had its turn, and longer after a block."""

        def steps(parts: AppParts) -> None:
            now = parts.clock.wall()
            state = parts.initial_state(None)
            load = parts.load(state, meetings=meetings)
            parts.selector.select(load, list_calls=4, list_works=True)
            grace = 0.0
            if is_blocked:
                state = replace(state, grace=state.grace.record_block(now, 20.0))
                grace = 20.0 + 20.0
            oldest = parts.oldest_shown(state, meetings=meetings)
            assert now - oldest == pytest.approx(300.0 + grace + wait)

        with_parts(steps, read)


def test_forget_failures() -> None:
    """After a failure of the whole API, neither the list nor a recording waits any longer."""

    def steps(parts: AppParts) -> None:
        assert parts.backfill
        recorded(parts)
        parts.tracker.observe_meeting(B, [])
        parts.tracker.observe_failure("r")
        now = parts.clock.wall()
        assert parts.tracker.due_one("r", now=now, is_hinted=True) is None
        parts.forget_failures()
        assert parts.tracker.due_one("r", now=now, is_hinted=True)
        replace(parts, backfill=None).forget_failures()

    with_parts(steps)


def test_sync_meetings() -> None:
    """Configured meetings come first, and discovery adds others and what it knows of rooms."""

    async def steps() -> None:
        parts = parts_of()
        assert parts.discovery
        context_meetings = [Meeting("b", "title"), Meeting("c", "c")]
        parts.discovery.add_recorded(context_meetings)
        readings = parts.sync_meetings([Reading(meeting=B, failures_alone=2)])
        assert readings == (
            Reading(meeting=Meeting("b", "title"), failures_alone=2),
            Reading(meeting=Meeting("c", "c")),
        )
        assert parts.webhook
        assert parts.webhook.knows(Notice(("c",))) == "c"
        without = replace(parts, discovery=None, webhook=None)
        assert without.sync_meetings(readings) == (Reading(meeting=B, failures_alone=2),)

    virtual_time.run(steps())
