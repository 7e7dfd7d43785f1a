"""Send the events of a simulated account over HTTP."""

import asyncio
import contextlib

from collections.abc import Callable
from urllib.parse import urlsplit

from rk_exporter.simulator.webhooks.deliveries import Deliveries, Delivery
from rk_exporter.simulator.webhooks.faults import WebhookFault


_INTERVAL_SECONDS = 0.5
_TIMEOUT_SECONDS = 3.0
_TRIES = 5
_SERVER_ERROR = 500


async def send_events(
    deliveries: Deliveries,
    url: str,
    *,
    clock: Callable[[], float],
    fault: Callable[[], WebhookFault],
) -> None:
    """Send what is due to *url*, until this is cancelled; *fault* returns what is wrong."""
    while True:
        for delivery in deliveries.due(clock(), fault()):
            await _deliver(delivery, url)
        await asyncio.sleep(_INTERVAL_SECONDS)


async def _deliver(delivery: Delivery, url: str) -> None:
    """Send an event; repeat it after an answer with 5xx, or none, but not forever."""
    for _ in range(_TRIES):
        status = None
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                status = await post(url, delivery)
        if status is not None and status < _SERVER_ERROR:
            return
        await asyncio.sleep(_INTERVAL_SECONDS)


async def post(url: str, delivery: Delivery) -> int:
    """Return the status of the answer to a POST of an event."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    try:
        headers = {
            "host": parts.netloc,
            "content-length": str(len(delivery.body)),
            "connection": "close",
            **delivery.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"POST {parts.path or '/'} HTTP/1.1\r\n{lines}\r\n".encode() + delivery.body)
        await writer.drain()
        return int((await reader.readline()).split()[1])
    except IndexError:
        raise ValueError("no answer") from None
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
