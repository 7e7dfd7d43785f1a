"""The control endpoints of the simulator itself, which need no token."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple, Protocol
from urllib.parse import unquote

from rk_exporter.simulator.api.endpoints import ACCOUNT_PREFIX, APP_PREFIX, APPS_PATH, PATHS
from rk_exporter.simulator.api.faults import Fault, FaultRegistry
from rk_exporter.simulator.api.listing import Query
from rk_exporter.simulator.api.request_log import RequestLog
from rk_exporter.simulator.api.responses import (
    METHOD_NOT_ALLOWED,
    NO_ROUTE,
    JsonObject,
    JsonResponse,
    Response,
    gateway_error,
)
from rk_exporter.simulator.api.settings import SimulatorSettings


class ControlEndpoint(NamedTuple):
    """The documentation of a control endpoint."""

    method: str
    path: str
    description: str


CONTROL_ENDPOINTS = (
    ControlEndpoint("GET", "/", "list all endpoints and faults"),
    ControlEndpoint(
        "PUT",
        "/simulator/faults/MEETING?kind=KIND[&times=N]",
        "make all calls, or the next N calls, about a meeting fail; * means all meetings",
    ),
    ControlEndpoint("DELETE", "/simulator/faults/MEETING", "remove the fault of a meeting"),
    ControlEndpoint("DELETE", "/simulator/faults", "remove all faults"),
    ControlEndpoint("GET", "/simulator/faults", "show the injected faults"),
    ControlEndpoint("GET", "/simulator/requests", "count the calls by endpoint, meeting and app"),
    ControlEndpoint(
        "GET",
        "/simulator/busiest-window?seconds=N[&user=USER]",
        "count the calls of the busiest user that arrived within N seconds (300)",
    ),
    ControlEndpoint("GET", "/simulator/settings", "show the settings that can change"),
    ControlEndpoint("PUT", "/simulator/settings/NAME?value=VALUE", "change a setting"),
    ControlEndpoint("GET", "/.well-known/webhooks.json", "show the public key of webhooks"),
)

_NO_WINDOW: JsonObject = {"message": "seconds must be a number above 0"}
_TEXT_HEADERS = ((b"content-type", b"text/plain; charset=utf-8"),)


class HasSettings(Protocol):
    """The owner of the settings."""

    settings: SimulatorSettings


@dataclass(frozen=True, slots=True)
class Control:
    """Inject faults and show the request log."""

    faults: FaultRegistry
    requests: RequestLog
    owner: HasSettings

    def respond(self, method: str, path: str, query: Query) -> Response:
        """Answer a request for a percent-encoded *path*."""
        parts = [unquote(part) for part in path.split("/")[1:]]
        match method, parts:
            case "GET", [""] | [".well-known", "webhooks.json"]:
                return _public_key(self.owner.settings) if parts[0] else _index()
            case "GET", ["simulator", "requests"]:
                return JsonResponse(HTTPStatus.OK, self.requests.content()).encode()
            case method, ["simulator", "settings" | "busiest-window", *_]:
                return self._settings(method, parts[1:], query).encode()
            case "GET", ["simulator", "faults"]:
                pass
            case "DELETE", ["simulator", "faults"]:
                self.faults.clear()
            case "DELETE", ["simulator", "faults", meeting_id]:
                self.faults.clear(meeting_id)
            case "PUT", ["simulator", "faults", meeting_id] if meeting_id:
                try:
                    self._inject(meeting_id, query)
                except ValueError as error:
                    return JsonResponse(HTTPStatus.BAD_REQUEST, {"message": str(error)}).encode()
            case _, [""] | ["simulator", "requests" | "faults", *_]:
                return gateway_error(HTTPStatus.METHOD_NOT_ALLOWED, *METHOD_NOT_ALLOWED).encode()
            case _:
                return gateway_error(HTTPStatus.NOT_FOUND, *NO_ROUTE).encode()
        return JsonResponse(HTTPStatus.OK, self.faults.content()).encode()

    def _settings(self, method: str, parts: list[str], query: Query) -> JsonResponse:
        """Show or change the settings, or count the calls of the busiest window."""
        try:
            match method, parts:
                case "GET", ["busiest-window"]:
                    seconds = float(query.get("seconds", ["300"])[-1])
                    if not seconds > 0:
                        return JsonResponse(HTTPStatus.BAD_REQUEST, _NO_WINDOW)
                    user = query.get("user", [None])[-1]
                    calls = self.requests.busiest_window(seconds, user)
                    return JsonResponse(HTTPStatus.OK, {"seconds": seconds, "calls": calls})
                case "GET", ["settings"]:
                    pass
                case "PUT", ["settings", name]:
                    value = query.get("value", [""])[-1]
                    self.owner.settings = self.owner.settings.changed(name, value)
                case _:
                    return gateway_error(HTTPStatus.METHOD_NOT_ALLOWED, *METHOD_NOT_ALLOWED)
        except ValueError as error:
            return JsonResponse(HTTPStatus.BAD_REQUEST, {"message": str(error)})
        return JsonResponse(HTTPStatus.OK, self.owner.settings.content())

    def _inject(self, meeting_id: str, query: Query) -> None:
        """Inject the fault that *query* describes."""
        fault = Fault(query.get("kind", [""])[-1])
        times = query.get("times", [])
        self.faults.inject(meeting_id, fault, int(times[-1]) if times else None)


def _public_key(settings: SimulatorSettings) -> Response:
    """Return the key that verifies webhooks, as RealtimeKit publishes it."""
    if settings.webhook_key_status != HTTPStatus.OK:
        return Response(settings.webhook_key_status, b"", _TEXT_HEADERS)
    # Not above, because the package that makes keys is optional.
    from rk_exporter.simulator.webhooks.signing import public_pem  # noqa: PLC0415

    data: JsonObject = {"publicKey": public_pem(settings.webhook_key)}
    return JsonResponse(HTTPStatus.OK, {"success": True, "data": data, "message": ""}).encode()


def _index() -> Response:
    """Return a page that lists all endpoints and faults."""
    lines = [
        "A simulated Cloudflare RealtimeKit REST API; it accepts any account and app id.",
        "",
        f"GET    {ACCOUNT_PREFIX}{APPS_PATH}",
        *(f"GET    {APP_PREFIX}{path}" for path in PATHS.values()),
        "",
        *(f"{item.method:6} {item.path:47}  {item.description}" for item in CONTROL_ENDPOINTS),
        "",
        f"Kinds of faults: {', '.join(Fault)}",
    ]
    return Response(HTTPStatus.OK, ("\n".join(lines) + "\n").encode(), _TEXT_HEADERS)
