"""Receive webhooks for an exporter. This and what it imports are loaded only if they are on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from rk_exporter.api.connection_fetch import fetch_public
from rk_exporter.api.connection_setup import ClientFactory, client_factory
from rk_exporter.config.sources import ConfigError
from rk_exporter.exporter.exporter import Exporter
from rk_exporter.metrics.webhooks import WebhookEvents
from rk_exporter.runtime.files import FileError
from rk_exporter.webhooks.application import WebhookApplication
from rk_exporter.webhooks.events import OTHER, EventName
from rk_exporter.webhooks.keys import FetchedKey, KeyFile, KeySource
from rk_exporter.webhooks.receiver import Receiver, Result
from rk_exporter.webhooks.signature import LARGEST_KEY_BYTES


# RealtimeKit's predecessor waited for an answer for 3 s.
_FETCH_SECONDS = 2.5
_KEY_FILE = "webhook.public_key_file"


class Webhooks:
    """
    Receives the events for an *exporter*.

    Tests replace *make_client*, which opens connections. Raises ConfigError and SetupError.
    """

    def __init__(self, exporter: Exporter, *, make_client: ClientFactory | None = None) -> None:
        self._fetched: FetchedKey | None = None
        self._keys = self._source(exporter, make_client)
        self.metrics = WebhookEvents(events=[*EventName, OTHER], results=Result)
        receiver = Receiver(
            self._keys,
            # After a reload there are others.
            apps=lambda: exporter.parts.values(),  # noqa: PLW0108 # see above
            count=self.metrics.count,
        )
        self.application = WebhookApplication(receiver.take)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fetch the key before the first event, and no more after the block."""
        if self._fetched:
            self._fetched.start()
        try:
            yield
        finally:
            if self._fetched:
                await self._fetched.close()

    def _source(self, exporter: Exporter, make_client: ClientFactory | None) -> KeySource:
        config = exporter.config
        if config.webhook_key_file:
            return key_file(config.webhook_key_file)
        url = config.webhook_key_url
        fetch = partial(
            fetch_public,
            make_client or client_factory(url),
            url,
            largest_body_bytes=LARGEST_KEY_BYTES,
            timeout_seconds=_FETCH_SECONDS,
        )
        self._fetched = FetchedKey(fetch, monotonic=exporter.clock.monotonic)
        return self._fetched


def key_file(path: Path) -> KeyFile:
    """Return the public key in a file. Raises ConfigError."""
    try:
        return KeyFile(path, option=_KEY_FILE)
    except FileError as error:
        raise ConfigError(f"{_KEY_FILE}: {error}") from None
