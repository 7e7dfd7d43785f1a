"""Decide about each event: whether it is signed and new, and what it makes due."""

import logging

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rk_exporter.collector.app_parts import AppParts
from rk_exporter.model.ids import canonical
from rk_exporter.webhooks.events import OTHER, Event, MalformedEvent, parse_event
from rk_exporter.webhooks.keys import KeySource
from rk_exporter.webhooks.seen_events import SeenEvents


logger = logging.getLogger(__name__)
# The second names are those of the service's predecessor.
_SIGNATURES = ("rtk-signature", "dyte-signature")
_IDS = ("rtk-uuid", "dyte-uuid")


class Result(StrEnum):
    """What became of an event: the label `result`."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_MEETING = "unknown_meeting"
    MALFORMED = "malformed"
    NO_KEY = "no_key"


@dataclass(eq=False, repr=False)
class Receiver:
    """
    Takes the events for all *apps*, and reports each to *count* by its name and result.

    An event never changes a value that is shown: it only makes a read due.
    """

    keys: KeySource
    apps: Callable[[], Iterable[AppParts]]
    count: Callable[[str, Result], object]
    _seen: SeenEvents = field(default_factory=SeenEvents, init=False)

    async def take(self, headers: Mapping[str, str], body: bytes) -> Result:
        """Return what became of an event; when this returns, its hint is recorded."""
        name, result = await self._take(headers, body)
        self.count(name, result)
        logger.debug("webhook", extra={"event": name, "result": result.value})
        return result

    async def _take(self, headers: Mapping[str, str], body: bytes) -> tuple[str, Result]:
        refusal = await self._check(_first(headers, _SIGNATURES) or "", body)
        if refusal is not None:
            return OTHER, refusal
        try:
            event = parse_event(body)
        except MalformedEvent:
            return OTHER, Result.MALFORMED
        event_id = _first(headers, _IDS)
        if self._seen.has(event_id, body):
            return event.name, Result.DUPLICATE
        result = self._record(event)
        # Not before: if that fails, RealtimeKit repeats the event.
        self._seen.add(event_id, body)
        return event.name, result

    async def _check(self, signature: str, body: bytes) -> Result | None:
        """Return why a body must not be trusted; None if its signature is right."""
        if not signature:
            return Result.BAD_SIGNATURE
        key = await self.keys.current()
        if key is None:
            return Result.NO_KEY
        if key.verifies(signature, body):
            return None
        renewed = await self.keys.renewed(key)
        is_right = renewed is not None and renewed.verifies(signature, body)
        return None if is_right else Result.BAD_SIGNATURE

    def _record(self, event: Event) -> Result:
        apps = list(self.apps())
        # If the name of the app is not what it seems to be, its meeting decides.
        named = [parts for parts in apps if canonical(parts.app.app_id) == event.app_id]
        knowing = [
            parts for parts in named or apps if parts.webhook and parts.webhook.knows(event.notice)
        ]
        # The app of the event may not be read, or not yet. Then its webhooks say nothing about
        # those of the others, although any of them may find the meeting.
        is_certain = len(knowing or named) == 1
        taken = [
            parts.webhook.take(
                event.notice,
                finds_meetings=parts.discovery is not None,
                is_certain=is_certain,
            )
            for parts in knowing or named or apps
            if parts.webhook
        ]
        return Result.ACCEPTED if any(taken) else Result.UNKNOWN_MEETING


def _first(headers: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((headers[name] for name in names if headers.get(name)), None)
