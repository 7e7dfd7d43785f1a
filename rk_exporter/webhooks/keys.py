"""Where the public key comes from: a URL, or a file."""

import asyncio
import contextlib
import logging

from collections.abc import Awaitable, Callable
from typing import Protocol

from rk_exporter.model.errors import ApiError
from rk_exporter.runtime.last_logged import LastLogged
from rk_exporter.runtime.watched_file import WatchedFile
from rk_exporter.webhooks.signature import LARGEST_KEY_BYTES, PublicKey, parse_public_key


logger = logging.getLogger(__name__)
_VALID_SECONDS = 86_400.0
# A client that sends bad signatures must not cause many requests.
_PAUSE_SECONDS = 60.0
_REMEDY = "check the network, or download the key and set webhook.public_key_file"


class KeySource(Protocol):
    """Where the public key comes from."""

    async def current(self) -> PublicKey | None:
        """Return the key; None if there is none yet."""
        ...

    async def renewed(self, used: PublicKey) -> PublicKey | None:
        """Return another key than *used*, whose check has failed; None if there is none now."""
        ...


class KeyFile(WatchedFile[PublicKey]):
    """The public key in a file; the file can be replaced at any time."""

    kind = "public key of webhooks"
    content = "key"
    max_bytes = LARGEST_KEY_BYTES

    def parse(self, content: bytes) -> PublicKey:
        """Return the key in the *content* of the file."""
        try:
            return parse_public_key(content)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None

    async def current(self) -> PublicKey:
        """Return the last good key."""
        await self.refresh()
        return self.value

    async def renewed(self, used: PublicKey) -> PublicKey | None:
        """Return the key if it is not the *used* one."""
        return None if self.value == used else self.value


class FetchedKey:
    """
    The public key from a URL; *fetch* returns the answer's body, or raises ApiError.

    It is valid for a day. A key that cannot be fetched again stays in use. It is fetched at most
    once a minute, and by one request at a time. *monotonic* gives seconds.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[bytes]], *, monotonic: Callable[[], float]
    ) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._key: PublicKey | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._running: asyncio.Task[None] | None = None
        self._logged: LastLogged[str | None] = LastLogged(None)

    def start(self) -> None:
        """Fetch the key in the background, unless that was tried a moment ago."""
        is_early = self._monotonic() - self._tried_at < _PAUSE_SECONDS
        if is_early or (self._running and not self._running.done()):
            return
        self._tried_at = self._monotonic()
        self._running = asyncio.create_task(self._try())

    async def current(self) -> PublicKey | None:
        """Return the key; wait for it if there is none yet."""
        if self._monotonic() - self._fetched_at >= _VALID_SECONDS:
            self.start()
        if self._key is None:
            await self._wait()
        return self._key

    async def renewed(self, used: PublicKey) -> PublicKey | None:
        """Fetch the key again, because it may have changed, and return it if it has."""
        # Another request may have done so in the meantime.
        if self._key == used:
            self.start()
            await self._wait()
        return None if self._key == used else self._key

    async def close(self) -> None:
        """Fetch nothing more."""
        if self._running:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    async def _wait(self) -> None:
        if self._running and not self._running.done():
            # The others still need the key if the client of one request gives up.
            await asyncio.shield(self._running)

    async def _try(self) -> None:
        try:
            key = parse_public_key(await self._fetch())
        except ApiError as error:
            self._log(str(error))
        except ValueError as error:
            self._log(f"what is there is no key: {error}")
        else:
            if self._key is not None and self._key != key:
                logger.info("public key of webhooks has changed")
            self._key, self._fetched_at = key, self._monotonic()
            self._log(None)

    def _log(self, problem: str | None) -> None:
        if not self._logged.changes_to(problem):
            return
        if problem is None:
            logger.info("public key of webhooks can be fetched again")
        else:
            kept = "no webhook can be checked" if self._key is None else "the last one stays in use"
            logger.warning(
                "public key of webhooks cannot be fetched, %s: %s",
                kept,
                problem,
                extra={"remedy": _REMEDY},
            )
