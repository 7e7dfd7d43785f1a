"""The exporter put together: from a configuration to an application that can be scraped."""

import time

from collections.abc import Callable, Iterable
from itertools import chain

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector

from rk_exporter.api.client import RealtimeKit
from rk_exporter.api.connection import ClientFactory, Connection, client_factory
from rk_exporter.collector.app_collector import AppCollector, PassRules
from rk_exporter.collector.backfill import Backfill
from rk_exporter.collector.collector import Collector
from rk_exporter.collector.discovery import Discovery
from rk_exporter.collector.meeting_list import MeetingList
from rk_exporter.collector.reader import MeetingReader
from rk_exporter.config.apps import AppConfig
from rk_exporter.config.config import Config
from rk_exporter.metrics.api_calls import ApiCallMetrics
from rk_exporter.metrics.exposition import Exposition
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.limiter import LimitsByToken, RateLimiter
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.snapshot import Snapshot
from rk_exporter.tracking.lifecycle import FollowRules
from rk_exporter.tracking.state_file import LAST_MAX_WAIT_SECONDS, StateFile, StateFileStatus
from rk_exporter.tracking.tracker import RecordingTracker
from rk_exporter.web.application import Application


# Four calls a second are all that the API's limit allows; more connections would gain nothing.
WORKERS_PER_APP = 8
_OFTEN_ENOUGH = 0.75


class Exporter:
    """
    All parts of one exporter, sharing nothing with another.

    *clock* gives unix seconds, *monotonic* seconds that nobody sets; *make_client* is the door to
    the network, by default httpx. It *remembers* what an exporter before it showed, and keeps
    what it shows itself, unless only what goes on now is of interest. Raises SetupError, and
    StateFileError.
    """

    def __init__(
        self,
        config: Config,
        *,
        make_client: ClientFactory | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        workers_per_app: int = WORKERS_PER_APP,
        remembers: bool = True,
    ) -> None:
        self._config = config
        self._clock = clock
        self._monotonic = monotonic
        self._workers_per_app = workers_per_app
        self._remembers = remembers
        self._make_client = make_client or client_factory(config.base_url)
        self._limits = LimitsByToken(reserve_ratio=config.reserve_ratio, monotonic=monotonic)
        self._state_file = None
        if config.state_file and remembers:
            self._state_file = StateFile(config.state_file, clock=clock)
        self._kept_revisions: list[int] | None = None
        self._registry = CollectorRegistry()
        self._call_metrics = ApiCallMetrics(
            (app.app.name for app in config.apps), registry=self._registry
        )
        ProcessCollector(registry=self._registry)
        tokens = [app.token.current() for app in config.apps]
        self._app_scrapers = [
            self._app_scraper(app, token, _budget_of(token, tokens, config.apps))
            for app, token in zip(config.apps, tokens, strict=True)
        ]
        keep = self._keep if self._state_file else None
        self.scraper = Collector(self._app_scrapers, clock=clock, keep=keep)
        self._snapshot_families = SnapshotFamilies()
        self.exposition = Exposition(self.families)
        self.application = Application(
            scrape=self.scraper.scrape,
            why_not_ready=self.why_not_ready,
            exposition=self.exposition,
            telemetry_path=config.telemetry_path,
            timeout_offset_seconds=config.timeout_offset_seconds,
            max_requests=config.max_requests,
        )

    def _app_scraper(self, config: AppConfig, token: Secret, budget: int) -> AppCollector:
        app = config.app
        limiter = RateLimiter(
            self._limits, token=token, budget=budget, clock=self._clock, monotonic=self._monotonic
        )
        server_clock = ServerClock(self._clock)
        saved = self._state_file.restored(app) if self._state_file else None
        readers = [
            RealtimeKit(
                app,
                base_url=self._config.base_url,
                connection=Connection(self._make_client),
                limiter=limiter,
                observer=self._call_metrics.of(app.name),
                server_clock=server_clock,
            )
            for _ in range(self._workers_per_app)
        ]
        rules = PassRules(
            mode=config.read,
            stale_after_seconds=self._config.stale_after_seconds,
            min_interval_seconds=self._config.min_interval_seconds,
        )
        discovery = None
        if config.discover:
            discovery = Discovery(
                app=app.name, clock=self._clock, stale_after_seconds=rules.stale_after_seconds
            )
        tracker = RecordingTracker(
            app.name,
            self._follow_rules(any_meeting=config.discover),
            clock=self._clock,
            server_clock=server_clock,
            state=saved.tracker if saved else None,
        )
        review = None
        if self._remembers:
            newest_ids = saved.newest_ids if saved else ()
            review = Backfill(app.name, tracker, clock=self._clock, newest_ids=newest_ids)
        return AppCollector(
            app,
            MeetingList(config.meetings, config.meeting_files),
            token=config.token,
            reader=MeetingReader(
                app.name,
                readers,
                tracker=tracker,
                review=review,
                discovery=discovery,
                clock=self._clock,
            ),
            limiter=limiter,
            rules=rules,
            clock=self._clock,
            monotonic=self._monotonic,
            tracker=tracker,
            server_clock=server_clock,
            discovery=discovery,
            readings=saved.readings if saved else (),
        )

    def _follow_rules(self, *, any_meeting: bool) -> FollowRules:
        config = self._config
        return FollowRules(
            retain_seconds=config.follow_retain_seconds,
            max_recordings=config.follow_max_recordings,
            reread_seconds=config.follow_reread_seconds,
            keep_removed=config.follow_keep_removed,
            # Before what it showed last is too old to be shown.
            longest_pause_seconds=_OFTEN_ENOUGH * config.stale_after_seconds,
            any_meeting=any_meeting,
        )

    def families(self, snapshot: Snapshot) -> Iterable[Metric]:
        """Return all that is exposed: the *snapshot*, and the exporter's own counters as of now."""
        return chain(self._snapshot_families(snapshot), self._registry.collect())

    def why_not_ready(self) -> str | None:
        """Return why what is shown is not all that it should be; None where it is."""
        ended_at = self.scraper.last_pass_ended_at
        if ended_at is not None and self._clock() - ended_at > self._config.stale_after_seconds:
            return "the last pass is out of date; is the exporter scraped?"
        pending = [app for app in self.scraper.snapshot.apps if not app.is_restored]
        if pending:
            names = ", ".join(app.app.name for app in pending)
            return f"recordings from before the start are being restored by scrapes: {names}"
        return None

    async def _keep(self) -> StateFileStatus | None:
        """Write the state file where that is worth it."""
        file = self._state_file
        if file is None:
            return None
        revisions = [app.revision for app in self._app_scrapers]
        if revisions != self._kept_revisions or file.is_due():
            is_kept = await file.save([app.saved for app in self._app_scrapers])
            self._kept_revisions = revisions if is_kept else None
        return file.status

    async def close(self) -> None:
        """Close all connections to the API, and stop the thread that renders."""
        try:
            await self.scraper.close()
        finally:
            if self._state_file:
                apps = [app.saved for app in self._app_scrapers]
                await self._state_file.save(apps, max_wait_seconds=LAST_MAX_WAIT_SECONDS)
                self._state_file.close()
            self.exposition.close()


def _budget_of(token: Secret, tokens: Iterable[Secret], apps: Iterable[AppConfig]) -> int:
    """Return the budget of a token: the smallest of those of the apps that share it."""
    return min(app.budget for app, its in zip(apps, tokens, strict=True) if its == token)
