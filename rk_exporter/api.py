"""RealtimeKit's REST API: a method per endpoint, each call counted."""

import time

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar
from urllib.parse import quote

from rk_exporter.api_errors import ApiError, ConnectionStale
from rk_exporter.connection import Answer, Connection
from rk_exporter.credentials import Secret
from rk_exporter.payloads import ActiveRecordings, parse_active_recordings
from rk_exporter.recordings import App, Reason


T = TypeVar("T")

ACTIVE_RECORDING = "active-recording"
ENDPOINTS = (ACTIVE_RECORDING,)

NO_STATUS = "none"


class CallObserver(Protocol):
    """What is told of each call: the exporter's own counters."""

    def called(self, endpoint: str, code: str, duration_seconds: float) -> None:
        """Note a call that was made; *code* is the HTTP status or `none`."""

    def failed(self, endpoint: str, reason: Reason) -> None:
        """Note a call that gave no reading."""

    def malformed(self, fields: Iterable[str]) -> None:
        """Note the fields that were lost in an answer that was otherwise fine."""


class RealtimeKit:
    """The API as one app's token sees it, over one connection."""

    def __init__(
        self,
        app: App,
        *,
        base_url: str,
        connection: Connection,
        observer: CallObserver,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = (
            f"{base_url.rstrip('/')}/accounts/{_segment(app.account_id)}"
            f"/realtime/kit/{_segment(app.app_id)}"
        )
        self._connection = connection
        self._observer = observer
        self._monotonic = monotonic

    async def active_recordings(
        self, meeting_id: str, *, token: Secret, deadline: float
    ) -> ActiveRecordings:
        """
        Return the recordings of a meeting that are in progress ("Fetch active recording").

        Raises ApiError.
        """
        path = f"/recordings/active-recording/{_segment(meeting_id)}"

        async def call() -> ActiveRecordings:
            answer = await self._get(ACTIVE_RECORDING, path, token=token, deadline=deadline)
            return parse_active_recordings(answer.status, answer.body)

        active = await self._observed(ACTIVE_RECORDING, call)
        self._observer.malformed(active.malformed_fields)
        return active

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _observed(self, endpoint: str, call: Callable[[], Awaitable[T]]) -> T:
        try:
            try:
                return await call()
            except ConnectionStale:
                return await call()
        except ApiError as error:
            self._observer.failed(endpoint, error.reason)
            raise

    async def _get(self, endpoint: str, path: str, *, token: Secret, deadline: float) -> Answer:
        begun = self._monotonic()
        code = NO_STATUS
        try:
            answer = await self._connection.get(self._root + path, token=token, deadline=deadline)
            code = str(answer.status)
        finally:
            self._observer.called(endpoint, code, self._monotonic() - begun)
        return answer


def _segment(identifier: str) -> str:
    return quote(identifier, safe="")
