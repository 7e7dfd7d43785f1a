"""The checks of downloads of an exporter: what its apps share, and the part of each app."""

from collections.abc import Callable

from rk_exporter.api.connection_setup import tls_context
from rk_exporter.config.apps import AppConfig
from rk_exporter.config.config import Config
from rk_exporter.downloads.check_queue import CheckQueue
from rk_exporter.downloads.fetch import Fetcher, FetchFailed
from rk_exporter.downloads.hosts import DownloadRules, download_rules
from rk_exporter.downloads.verdict import Answer
from rk_exporter.downloads.verifier import CheckTools, DownloadVerifier, Fetch
from rk_exporter.model.download import CheckFailure
from rk_exporter.model.secret import Secret
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.tracking.state_records import SavedApp


def make_fetch(config: Config) -> Fetch | None:
    """
    Return what requests files, in any thread, because it reads certificates.

    None if no app's downloads are verified. Raises SetupError.
    """
    # The apps of an account are found later.
    of_accounts = (account.app_values["verify_downloads"] for account in config.accounts)
    is_needed = any(app.verify_downloads for app in config.apps) or any(of_accounts)
    return Fetcher(tls_context()) if is_needed else None


class Downloads:
    """
    Checks downloads with *fetch*; a process that is not *persistent* makes no checks.

    *clock* gives unix seconds. *count_bug* counts an unexpected exception of the app that it names.
    """

    def __init__(
        self,
        fetch: Fetch | None,
        *,
        clock: Callable[[], float],
        persistent: bool,
        count_bug: Callable[[str], None],
    ) -> None:
        self.fetch = fetch
        """Requests a file; a reload replaces it."""
        self.queue = CheckQueue()
        self._persistent = persistent
        self._tools = CheckTools(
            fetch=self._request, queue=self.queue, clock=clock, count_bug=count_bug
        )

    def new_verifier(
        self,
        config: Config,
        app: AppConfig,
        server_clock: ServerClock,
        restored: SavedApp | None = None,
    ) -> DownloadVerifier | None:
        """Return what checks the downloads of an app; None if they are not verified."""
        if not (app.verify_downloads and self._persistent):
            return None
        return DownloadVerifier(
            app.app.name,
            _rules(app),
            self._tools,
            server_clock=server_clock,
            list_seconds=config.follow_reread_seconds,
            checks=restored.downloads if restored else (),
        )

    def changed_verifier(
        self,
        config: Config,
        app: AppConfig,
        before: DownloadVerifier | None,
        server_clock: ServerClock,
    ) -> DownloadVerifier | None:
        """Return what checks the downloads of a running app after a change."""
        if before is None:
            return self.new_verifier(config, app, server_clock)
        if not app.verify_downloads:
            before.leave()
            return None
        before.change(app.app.name, _rules(app), list_seconds=config.follow_reread_seconds)
        return before

    async def _request(self, url: Secret, rules: DownloadRules) -> Answer:
        if self.fetch is None:
            # The check has waited, and a reload has switched all checks off.
            raise FetchFailed(CheckFailure.CONNECT)
        return await self.fetch(url, rules)


def _rules(app: AppConfig) -> DownloadRules:
    return download_rules(app.download_hosts, allow_private_addresses=app.allow_private_addresses)
