"""The webhooks of the demo: the simulated API sends events, and the exporter receives them."""

import time

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rk_exporter.config.parsers import Address
from rk_exporter.exporter import Exporter
from rk_exporter.simulator import Simulator
from rk_exporter.simulator.webhooks.account import send_signed_events
from rk_exporter.web.http import WEBHOOK_PATH
from rk_exporter.web.server import Listener
from rk_exporter.web.sockets import bind


@dataclass(frozen=True, slots=True)
class DemoWebhooks:
    """What listens for events, and who sends them; nobody without webhooks."""

    simulator: Simulator
    app_id: str
    listeners: tuple[Listener, ...] = ()

    @property
    def urls(self) -> list[str]:
        """Return where events are sent."""
        return [f"{listener.url}{WEBHOOK_PATH}" for listener in self.listeners]

    async def send(self, url: str) -> None:
        """Send the events of the simulated API to *url*, until this is cancelled."""
        await send_signed_events(self.simulator, url, clock=time.time, app_id=self.app_id)


@asynccontextmanager
async def demo_webhooks(
    exporter: Exporter, simulator: Simulator, address: Address | None
) -> AsyncIterator[DemoWebhooks]:
    """
    Receive events on an *address*, if there is one.

    Raises AddressError.
    """
    off = DemoWebhooks(simulator, exporter.config.apps[0].app.app_id)
    if address is None:
        yield off
        return
    # Not above, because they need a package that is optional.
    from rk_exporter.exporter.webhooks import Webhooks  # noqa: PLC0415
    from rk_exporter.webhooks.application import MAX_REQUESTS  # noqa: PLC0415

    received = Webhooks(exporter)
    exporter.show(received.metrics)
    with bind(address) as socket:
        async with received.running():
            listener = Listener(received.application, socket, max_requests=lambda: MAX_REQUESTS)
            yield DemoWebhooks(simulator, off.app_id, (listener,))
