"""The webhooks of all apps: signed events about the stories, and what must become of each."""

import json

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from rk_exporter.exporter import Exporter
from rk_exporter.exporter.webhooks import Webhooks
from rk_exporter.simulator.webhooks.deliveries import Deliveries, Delivery
from rk_exporter.simulator.webhooks.faults import WebhookFault
from rk_exporter.simulator.webhooks.signing import sign
from rk_exporter.web.http import WEBHOOK_PATH
from tests.support.model.shown import Shown
from tests.support.model.stories import Story


ACCEPTED, DUPLICATE, FORGED, MALFORMED = "accepted", "duplicate", "bad_signature", "malformed"
OVERSIZED = "oversized"
"""Such an event is not counted."""
PROVING_NOTHING = frozenset(
    {WebhookFault.SILENT, WebhookFault.FORGED, WebhookFault.MALFORMED, WebhookFault.OVERSIZED}
)
"""Faults with which no event of an app counts as one."""
_STATUSES = {ACCEPTED: 200, DUPLICATE: 200, FORGED: 403, MALFORMED: 400, OVERSIZED: 413}
# Whether a meeting is known depends on when the exporter has read its list.
_AS_ACCEPTED = "unknown_meeting"
_LARGEST_BYTES = 64 * 1024
_SETTLED_AFTER = 3


class Events:
    """
    The events of the apps of *stories*, and what receives them while an exporter runs.

    *now* returns unix seconds.
    """

    def __init__(self, stories: Mapping[str, Story], now: Callable[[], float]) -> None:
        self._now = now
        self._deliveries = {
            app_id: Deliveries(story.scenario, begin=now(), app_id=app_id, sign=_signed)
            for app_id, story in stories.items()
        }
        self.faults = dict.fromkeys(stories, WebhookFault.SILENT)
        self.proving = set[str]()
        """The apps of which this process may have got an event."""
        self.announced: dict[str, dict[str, float]] = {app_id: {} for app_id in stories}
        """When a change was last announced to this process, by app and meeting."""
        self._came_at = set[float]()
        self._unread = set[str]()
        self._client: httpx.AsyncClient | None = None
        self._problems: list[str] = []
        self._counted = Counter[str]()
        self._seen = set[object]()
        self._times_shown = 0
        self._number = 0

    def start(self, exporter: Exporter) -> None:
        """Send all events to this *exporter*, which knows none of those before."""
        webhooks = Webhooks(exporter)
        exporter.show(webhooks.metrics)
        transport = httpx.ASGITransport(app=webhooks.application)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://exporter")
        self._counted.clear()
        self._seen.clear()
        self._times_shown = 0
        self.proving = {app for app, fault in self.faults.items() if fault not in PROVING_NOTHING}
        for meetings in self.announced.values():
            meetings.clear()

    async def stop(self) -> None:
        """Lose all events from now on."""
        if self._client:
            await self._client.aclose()
        self._client = None

    def set_fault(self, app_id: str, fault: WebhookFault) -> None:
        """Let the events of an app go wrong from now on."""
        self.faults[app_id] = fault
        if fault not in PROVING_NOTHING:
            self.proving.add(app_id)

    def remove(self, app_id: str) -> None:
        """Expect that the events of an app mean nothing, because it is not read any more."""
        self._unread.add(app_id)
        self.proving.discard(app_id)
        self.announced[app_id].clear()

    def add(self, app_id: str) -> None:
        """Expect that the events of an app count again."""
        self._unread.discard(app_id)
        self.set_fault(app_id, self.faults[app_id])

    async def send_due(self) -> None:
        """Send what is due."""
        for app_id, deliveries in self._deliveries.items():
            for delivery in deliveries.due(self._now(), self.faults[app_id]):
                # One that was made before its app's fault changed may still come.
                await self._post(app_id, delivery)

    async def claim(self, app_id: str, meeting_id: str, recording: Mapping[str, Any]) -> None:
        """Send an event that is signed and wrong: the API knows nothing of such a *recording*."""
        self._number += 1
        about = {"meetingId": meeting_id, "organizationId": app_id, **recording}
        content = {"event": "recording.statusUpdate", "recording": about}
        body = json.dumps({**content, "number": self._number}).encode()
        headers = {"rtk-signature": _signed(body), "rtk-uuid": f"claim {self._number}"}
        self.proving.add(app_id)
        await self._post(app_id, Delivery(headers, body))

    async def _post(self, app_id: str, delivery: Delivery) -> None:
        if self._client is None:
            return
        expected = self._expected(delivery)
        answer = await self._client.post(
            WEBHOOK_PATH, headers=delivery.headers, content=delivery.body
        )
        if answer.status_code != _STATUSES[expected]:
            self._problems.append(f"an event is {expected}, but the answer is {answer.text!r}")
        if expected is ACCEPTED:
            self._came_at.add(self._now())
        if expected is ACCEPTED and app_id not in self._unread:
            self._accept(app_id, json.loads(delivery.body))
        self._counted[expected] += 1

    def _accept(self, app_id: str, content: Mapping[str, Any]) -> None:
        self.proving.add(app_id)
        recording = content.get("recording", {})
        if content["event"] == "recording.statusUpdate":
            self.announced[app_id][recording["meetingId"]] = self._now()

    def _expected(self, delivery: Delivery) -> str:
        if len(delivery.body) > _LARGEST_BYTES:
            return OVERSIZED
        if delivery.headers["rtk-signature"] != _signed(delivery.body):
            return FORGED
        try:
            json.loads(delivery.body)
        except ValueError:
            return MALFORMED
        keys = {delivery.body, delivery.headers["rtk-uuid"]}
        is_new = self._seen.isdisjoint(keys)
        self._seen |= keys
        return ACCEPTED if is_new else DUPLICATE

    def problems(self, shown: Shown, *, is_alone: bool) -> Iterator[str]:
        """
        Return what is wrong with the answers to the events, and with their counters.

        If the scrape was not alone, events came since it was answered.
        """
        yield from self._problems
        for app_id in self.announced:
            last = shown.value("rk_webhook_last_event_timestamp_seconds", app_id)
            # Without the id of an app, an event is about any that has a meeting with its id.
            if last is not None and last not in self._came_at:
                yield f"{app_id}: no event came at {last}"
        self._times_shown += 1
        shown_counts = Counter[str]()
        for labels, value in shown.of("rk_webhook_events_total"):
            result = labels["result"]
            shown_counts[ACCEPTED if result == _AS_ACCEPTED else result] += int(value)
        for result in {*shown_counts, *self._counted} - {OVERSIZED}:
            made, count = self._counted[result], shown_counts[result]
            is_settled = is_alone and self._times_shown > _SETTLED_AFTER
            if count > made or (is_settled and count != made):
                yield f"{made} events are {result}, and {count} are counted"


def _signed(body: bytes) -> str:
    return sign(0, body)
