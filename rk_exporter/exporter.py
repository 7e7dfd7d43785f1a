"""The exporter put together: from a configuration to an application that can be scraped."""

import time

from collections.abc import Callable, Iterable
from itertools import chain

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector

from rk_exporter.api import RealtimeKit
from rk_exporter.call_metrics import ApiCallMetrics
from rk_exporter.config import AppConfig, Config
from rk_exporter.connection import ClientFactory, Connection, client_factory
from rk_exporter.exposition import Exposition
from rk_exporter.metrics import families
from rk_exporter.recordings import Snapshot
from rk_exporter.scrape import AppScraper, Scraper
from rk_exporter.web import Application


# Four calls a second are all that the API's limit allows; more connections would gain nothing.
WORKERS_PER_APP = 8


class Exporter:
    """
    All parts of one exporter, sharing nothing with another.

    *clock* gives unix seconds; *make_client* is the door to the network, by default httpx.
    Raises SetupError.
    """

    def __init__(
        self,
        config: Config,
        *,
        make_client: ClientFactory | None = None,
        clock: Callable[[], float] = time.time,
        workers_per_app: int = WORKERS_PER_APP,
    ) -> None:
        self._stale_after_seconds = config.stale_after_seconds
        self._clock = clock
        self._registry = CollectorRegistry()
        self._call_metrics = ApiCallMetrics(
            (app.app.name for app in config.apps), registry=self._registry
        )
        ProcessCollector(registry=self._registry)
        make_client = make_client or client_factory(config.base_url)
        scrapers = [
            self._app_scraper(
                app, config, [Connection(make_client) for _ in range(workers_per_app)]
            )
            for app in config.apps
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

    def _app_scraper(
        self, app: AppConfig, config: Config, connections: Iterable[Connection]
    ) -> AppScraper:
        readers = [
            RealtimeKit(
                app.app,
                base_url=config.base_url,
                connection=connection,
                observer=self._call_metrics.of(app.app.name),
            )
            for connection in connections
        ]
        return AppScraper(
            app.app,
            app.meetings,
            token=app.token,
            readers=readers,
            stale_after_seconds=config.stale_after_seconds,
            clock=self._clock,
        )

    def families(self, snapshot: Snapshot) -> Iterable[Metric]:
        """Return all that is exposed: the *snapshot*, and the exporter's own counters as of now."""
        return chain(families(snapshot), self._registry.collect())

    def is_ready(self) -> bool:
        """Tell whether what is shown is no older than it may be; before the first pass it is."""
        ended_at = self.scraper.last_pass_ended_at
        return ended_at is None or self._clock() - ended_at <= self._stale_after_seconds

    async def close(self) -> None:
        """Close all connections to the API, and stop the thread that renders."""
        await self.scraper.close()
        self.exposition.close()
