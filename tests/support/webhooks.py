"""Signed events, and what receives them."""

import asyncio
import contextlib
import json

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any, Self

import httpx

from rk_exporter.exporter import Exporter
from rk_exporter.exporter.webhooks import Webhooks
from rk_exporter.simulator import Scenario, Simulator
from rk_exporter.simulator.webhooks.deliveries import Deliveries
from rk_exporter.simulator.webhooks.faults import WebhookFault
from rk_exporter.simulator.webhooks.signing import public_pem, sign
from rk_exporter.web.http import WEBHOOK_PATH
from rk_exporter.webhooks.signature import PublicKey, parse_public_key
from tests.support.building import APP, in_process


KEY_URL = "https://api.cloudflare.test/.well-known/webhooks.json"


def key(number: int = 0) -> PublicKey:
    """Return a public key of the simulator."""
    return parse_public_key(public_pem(number).encode())


def event_body(meeting_id: str = "meeting-1", **changes: Any) -> bytes:
    """Return the body of an event about a recording, with *changes* in the recording."""
    recording = {
        "id": "recording-1",
        "recordingId": "recording-1",
        "status": "RECORDING",
        "meetingId": meeting_id,
        "organizationId": "2a95132c-1573-2412-d22c-16fd0a01e000",
        **changes,
    }
    content = {
        "event": "recording.statusUpdate",
        "recording": recording,
        "meeting": {"id": meeting_id, "title": "Weekly"},
    }
    return json.dumps(content).encode()


def signed(
    body: bytes, *, event_id: str | None = "delivery-1", number: int = 0
) -> Mapping[str, str]:
    """Return the headers of an event, signed by the key with this *number*."""
    headers = {"rtk-signature": sign(number, body)}
    return headers if event_id is None else {**headers, "rtk-uuid": event_id}


class WebhookSimulation:
    """
    The webhooks of a simulated API, and what receives them for an *exporter*.

    The events are about the simulator's own *scenario*, or about another one.
    """

    def __init__(
        self,
        exporter: Exporter,
        simulator: Simulator,
        now: Callable[[], float],
        *,
        scenario: Scenario | None = None,
    ) -> None:
        self._now = now
        self._simulator = simulator
        self.webhooks = Webhooks(exporter, make_client=in_process(simulator))
        self.deliveries = Deliveries(
            scenario or simulator.scenario,
            begin=now(),
            app_id=APP,
            sign=lambda body: sign(self._simulator.settings.webhook_key, body),
        )
        transport = httpx.ASGITransport(app=self.webhooks.application)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://exporter")
        self.statuses = Counter[int]()
        """The statuses of all answers."""

    def set_fault(self, fault: WebhookFault) -> None:
        """Let all events from now on go wrong in this way."""
        self._simulator.settings = replace(self._simulator.settings, webhook_fault=fault)

    def set_key(self, number: int = 0, *, status: int = 200) -> None:
        """Sign with another key, and answer requests for its public part with *status*."""
        self._simulator.settings = replace(
            self._simulator.settings, webhook_key=number, webhook_key_status=status
        )

    async def post(self, headers: Mapping[str, str], body: bytes) -> int:
        """Send an event, and return the status of the answer."""
        response = await self._client.post(WEBHOOK_PATH, headers=dict(headers), content=body)
        self.statuses[response.status_code] += 1
        return response.status_code

    async def send_due(self) -> None:
        """Send the events that are due."""
        fault = self._simulator.settings.webhook_fault
        for delivery in self.deliveries.due(self._now(), fault):
            await self.post(delivery.headers, delivery.body)

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[Self]:
        """Send events each second, until the end of the block."""

        async def send() -> None:
            while True:
                await self.send_due()
                await asyncio.sleep(1.0)

        task = asyncio.create_task(send())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self._client.aclose()

    @property
    def counts(self) -> dict[tuple[str, str], int]:
        """Return the numbers of events that are not 0, by name and result."""
        return {
            (sample.labels["event"], sample.labels["result"]): int(sample.value)
            for family in self.webhooks.metrics.collect()
            for sample in family.samples
            if sample.value
        }

    @property
    def results(self) -> Counter[str]:
        """Return the numbers of events by result."""
        results = Counter[str]()
        for (_, result), number in self.counts.items():
            results[result] += number
        return results
