"""The exporter put together: from a configuration to an application that can be scraped."""

import time

from collections.abc import Callable, Iterable
from itertools import chain

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector

from rk_exporter.api import RealtimeKit
from rk_exporter.app_config import AppConfig
from rk_exporter.app_scraper import AppScraper, PassRules
from rk_exporter.call_metrics import ApiCallMetrics
from rk_exporter.config import Config
from rk_exporter.connection import ClientFactory, Connection, client_factory
from rk_exporter.credentials import Secret
from rk_exporter.discovery import Discovery
from rk_exporter.exposition import Exposition
from rk_exporter.meeting_reader import MeetingReader
from rk_exporter.meetings import MeetingDirectory
from rk_exporter.metrics import families
from rk_exporter.recordings import Snapshot
from rk_exporter.scrape import Scraper
from rk_exporter.throttle import LimitsByToken, Throttle
from rk_exporter.web import Application


# Four calls a second are all that the API's limit allows; more connections would gain nothing.
WORKERS_PER_APP = 8


class Exporter:
    """
    All parts of one exporter, sharing nothing with another.

    *clock* gives unix seconds, *monotonic* seconds that nobody sets; *make_client* is the door to
    the network, by default httpx. Raises SetupError.
    """

    def __init__(
        self,
        config: Config,
        *,
        make_client: ClientFactory | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        workers_per_app: int = WORKERS_PER_APP,
    ) -> None:
        self._config = config
        self._clock = clock
        self._monotonic = monotonic
        self._workers_per_app = workers_per_app
        self._make_client = make_client or client_factory(config.base_url)
        self._limits = LimitsByToken(reserve_ratio=config.reserve_ratio, monotonic=monotonic)
        self._registry = CollectorRegistry()
        self._call_metrics = ApiCallMetrics(
            (app.app.name for app in config.apps), registry=self._registry
        )
        ProcessCollector(registry=self._registry)
        tokens = [app.token.current() for app in config.apps]
        scrapers = [
            self._app_scraper(app, token, _budget_of(token, tokens, config.apps))
            for app, token in zip(config.apps, tokens, strict=True)
        ]
        self.scraper = Scraper(scrapers, clock=clock)
        self.exposition = Exposition(self.families)
        self.application = Application(
            scrape=self.scraper.scrape,
            is_ready=self.is_ready,
            exposition=self.exposition,
            telemetry_path=config.telemetry_path,
            timeout_offset_seconds=config.timeout_offset_seconds,
            max_requests=config.max_requests,
        )

    def _app_scraper(self, config: AppConfig, token: Secret, budget: int) -> AppScraper:
        app = config.app
        throttle = Throttle(
            self._limits, token=token, budget=budget, clock=self._clock, monotonic=self._monotonic
        )
        readers = [
            RealtimeKit(
                app,
                base_url=self._config.base_url,
                connection=Connection(self._make_client),
                throttle=throttle,
                observer=self._call_metrics.of(app.name),
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
        return AppScraper(
            app,
            MeetingDirectory(config.meetings, config.meeting_files),
            token=config.token,
            reader=MeetingReader(app.name, readers, discovery=discovery, clock=self._clock),
            throttle=throttle,
            rules=rules,
            clock=self._clock,
            monotonic=self._monotonic,
            discovery=discovery,
        )

    def families(self, snapshot: Snapshot) -> Iterable[Metric]:
        """Return all that is exposed: the *snapshot*, and the exporter's own counters as of now."""
        return chain(families(snapshot), self._registry.collect())

    def is_ready(self) -> bool:
        """Tell whether what is shown is no older than it may be; before the first pass it is."""
        ended_at = self.scraper.last_pass_ended_at
        return ended_at is None or self._clock() - ended_at <= self._config.stale_after_seconds

    async def close(self) -> None:
        """Close all connections to the API, and stop the thread that renders."""
        await self.scraper.close()
        self.exposition.close()


def _budget_of(token: Secret, tokens: Iterable[Secret], apps: Iterable[AppConfig]) -> int:
    """Return the budget of a token: the smallest of those of the apps that share it."""
    return min(app.budget for app, its in zip(apps, tokens, strict=True) if its == token)
