"""The simulator's own paths, outside the API's prefix and without a token."""

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

from rk_exporter.simulator.answers import METHOD_NOT_ALLOWED, NO_ROUTE, Answer, Reply, gateway_error
from rk_exporter.simulator.faults import Fault, FaultBoard
from rk_exporter.simulator.journal import RequestLog
from rk_exporter.simulator.listing import Query


INDEX = """\
A simulated Cloudflare RealtimeKit REST API. Nothing here is real; any account and app id will do.

GET    /client/v4/accounts/ACCOUNT/realtime/kit/APP/recordings/active-recording/MEETING
GET    /client/v4/accounts/ACCOUNT/realtime/kit/APP/{recordings,sessions,meetings}[/ID]
GET    /client/v4/accounts/ACCOUNT/realtime/kit/APP/meetings/MEETING/active-session

PUT    /simulator/faults/MEETING?kind=KIND[&times=N]   let calls about a meeting fail (* for all)
DELETE /simulator/faults/MEETING                       let them succeed again
GET    /simulator/faults                               what was asked for
GET    /simulator/requests                             what was called, how often

Kinds of faults: """ + ", ".join(Fault)

_TEXT_HEADERS = ((b"content-type", b"text/plain; charset=utf-8"),)


@dataclass(frozen=True, slots=True)
class Control:
    """Orders faults and shows what was called."""

    faults: FaultBoard
    requests: RequestLog

    def answer(self, method: str, path: str, query: Query) -> Answer:
        """Answer a request for *path*, percent-encoded."""
        parts = [unquote(part) for part in path.split("/")[1:]]
        match method, parts:
            case "GET", [""]:
                return Answer(HTTPStatus.OK, f"{INDEX}\n".encode(), _TEXT_HEADERS)
            case "GET", ["simulator", "requests"]:
                return Reply(HTTPStatus.OK, self.requests.content()).encode()
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
                    return Reply(HTTPStatus.BAD_REQUEST, {"message": str(error)}).encode()
            case _, [""] | ["simulator", "requests" | "faults", *_]:
                return gateway_error(HTTPStatus.METHOD_NOT_ALLOWED, *METHOD_NOT_ALLOWED).encode()
            case _:
                return gateway_error(HTTPStatus.NOT_FOUND, *NO_ROUTE).encode()
        return Reply(HTTPStatus.OK, self.faults.content()).encode()

    def _inject(self, meeting_id: str, query: Query) -> None:
        """Order the fault that *query* describes."""
        fault = Fault(query.get("kind", [""])[-1])
        times = query.get("times", [])
        self.faults.inject(meeting_id, fault, int(times[-1]) if times else None)
