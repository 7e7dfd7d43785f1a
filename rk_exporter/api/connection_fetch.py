"""Fetch a small public document, with a connection of its own."""

import asyncio

import httpx

from rk_exporter.api.connection import REQUEST_HEADERS, connection_error, is_packed
from rk_exporter.api.connection_setup import ClientFactory
from rk_exporter.model.errors import ApiTimeout, BodyTooLarge, ClientError, InvalidResponse


_PEER = "the server"


async def fetch_public(
    make_client: ClientFactory, url: str, *, largest_body_bytes: int, timeout_seconds: float
) -> bytes:
    """
    Return the body of the answer to a GET of *url*, without a token.

    It follows no redirects. Raises ApiError for anything but a complete answer 200.
    """
    client = make_client()
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            client.stream("GET", url, headers=REQUEST_HEADERS) as response,
        ):
            return await _body(response, largest_body_bytes)
    except (TimeoutError, httpx.TimeoutException):
        raise ApiTimeout(f"{_PEER} did not answer in time") from None
    except (httpx.TransportError, OSError) as error:
        raise connection_error(error, peer=_PEER) from None
    finally:
        await client.aclose()


async def _body(response: httpx.Response, largest_body_bytes: int) -> bytes:
    if response.status_code != httpx.codes.OK:
        raise ClientError(f"{_PEER} answered {response.status_code} instead of 200")
    if is_packed(response.headers):
        raise InvalidResponse(f"{_PEER} compressed its answer although the request forbids it")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > largest_body_bytes:
            raise BodyTooLarge(f"the answer is larger than {largest_body_bytes >> 10} KiB")
    return bytes(body)
