"""The parts of an app whose API is simulated, without a configuration."""

from rk_exporter.api.calls import ApiCaller
from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.api.connection import ConnectionPool
from rk_exporter.api.connection_pool import ClientPool
from rk_exporter.collector.active_recordings import ActiveRecordingsLister
from rk_exporter.collector.app_parts import AppParts
from rk_exporter.collector.backfill import Backfill
from rk_exporter.collector.discovery import Discovery
from rk_exporter.collector.meeting_list import MeetingList
from rk_exporter.collector.read_mode import ReadModeSelector
from rk_exporter.config.tokens import FixedToken
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import App, Meeting, ReadMode
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.simulator import Recording, ScriptedScenario, Session, Simulator
from rk_exporter.tracking.lifecycle import FollowRules
from rk_exporter.tracking.tracker import RecordingTracker
from tests.support.building import (
    BASE_URL,
    NOW,
    TOKEN,
    ApiProxy,
    VirtualClock,
    free_limiter,
    in_process,
)


class NoObserver:
    """An observer of calls that counts nothing."""

    def called(self, endpoint: str, code: str, duration_seconds: float) -> None:
        pass

    def failed(self, endpoint: str, reason: Reason) -> None:
        pass

    def malformed(self, fields: object) -> None:
        pass


def app_parts(name: str, clock: Clock, read: ReadMode) -> AppParts:
    """Return the parts of an app with meeting `b` that discovers `a`, which is recorded."""
    scenario = ScriptedScenario(
        meetings=["a", "b"],
        recordings=[Recording.scripted("a", invoked_at=NOW - 60, started_at=NOW - 58)],
        sessions=[Session("s", "a", NOW - 60, None, 2)],
    )
    app = App(name, "account", name)
    limiter, server_clock = free_limiter(), ServerClock(clock)
    rules = FollowRules(
        retain_seconds=3600.0,
        max_recordings=100,
        reread_seconds=3600.0,
        keep_removed=False,
        longest_pause_seconds=225.0,
        any_meeting=True,
    )
    tracker = RecordingTracker(name, rules, clock=clock.wall, server_clock=server_clock)
    client = RealtimeKitClient(
        ApiCaller(
            app,
            base_url=BASE_URL,
            pool=ConnectionPool(
                ClientPool(
                    in_process(
                        ApiProxy(Simulator(scenario, clock=VirtualClock().wall, rate_limit=0))
                    )
                ),
                size=2,
            ),
            limiter=limiter,
            observer=NoObserver(),
            server_clock=server_clock,
        )
    )
    return AppParts(
        app=app,
        clock=clock,
        meetings=MeetingList([Meeting("b", "b")]),
        token=FixedToken(TOKEN),
        client=client,
        limiter=limiter,
        server_clock=server_clock,
        tracker=tracker,
        lister=ActiveRecordingsLister(name, client, clock=clock),
        selector=ReadModeSelector(name, read),
        discovery=Discovery(name, client, clock=clock, stale_after_seconds=300.0),
        backfill=Backfill(name, client, tracker, clock=clock),
        verifier=None,
        stale_after_seconds=300.0,
    )
