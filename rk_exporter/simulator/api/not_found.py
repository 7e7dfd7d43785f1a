"""The bodies that RealtimeKit's own 404 may have."""

from http import HTTPStatus

from rk_exporter.simulator.api.responses import (
    HTML_HEADERS,
    JsonResponse,
    Response,
    gateway_error,
)
from rk_exporter.simulator.api.settings import NotFoundBody


_NOT_FOUND_CODE = 404


def not_found_response(body: NotFoundBody, response: JsonResponse) -> Response:
    """Return a 404 with the chosen *body*."""
    status = HTTPStatus.NOT_FOUND
    match body:
        case NotFoundBody.ERRORS:
            return gateway_error(status, _NOT_FOUND_CODE, "not found").encode()
        case NotFoundBody.MESSAGE:
            return JsonResponse(status, {"message": "not found"}).encode()
        case NotFoundBody.EMPTY:
            return Response(status, b"", ())
        case NotFoundBody.TEXT:
            return Response(status, b"not found", ((b"content-type", b"text/plain"),))
        case NotFoundBody.HTML:
            return Response(status, b"<html>not found</html>", HTML_HEADERS)
    return response.encode()
