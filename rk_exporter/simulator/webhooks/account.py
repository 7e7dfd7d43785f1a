"""Sign and send the events of a running simulator."""

from collections.abc import Callable

from rk_exporter.simulator.api.app import Simulator
from rk_exporter.simulator.webhooks.deliveries import Deliveries
from rk_exporter.simulator.webhooks.sender import send_events


async def send_signed_events(
    api: Simulator, url: str, *, clock: Callable[[], float], app_id: str
) -> None:
    """Send the events of *api* from now on to *url*, until this is cancelled."""
    # Not above, because the package that signs them is optional.
    from rk_exporter.simulator.webhooks.signing import sign  # noqa: PLC0415

    deliveries = Deliveries(
        api.scenario,
        begin=clock(),
        app_id=app_id,
        sign=lambda body: sign(api.settings.webhook_key, body),
    )
    await send_events(deliveries, url, clock=clock, fault=lambda: api.settings.webhook_fault)
