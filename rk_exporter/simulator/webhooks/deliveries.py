"""The deliveries of a simulated account: what is sent, when, and what is wrong with it."""

import heapq
import json
import uuid

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from rk_exporter.simulator.api.responses import JsonObject
from rk_exporter.simulator.scenarios.model import Meeting, Recording, Session, Status
from rk_exporter.simulator.scenarios.scenario import Scenario
from rk_exporter.simulator.webhooks.faults import WebhookFault
from rk_exporter.simulator.webhooks.payloads import recording_event, session_event


_LATE_SECONDS = 300.0
_REORDERED_SECONDS = 30.0
_DAY_SECONDS = 86_400.0
_OVERSIZED = 100_000
_NAMESPACE = uuid.UUID("b0ba4c35-60a1-4c6c-9a9e-3f1d6a7d5b11")
_ANNOUNCED = frozenset({Status.RECORDING, Status.UPLOADING, Status.UPLOADED, Status.ERRORED})


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request to the receiver."""

    headers: dict[str, str]
    body: bytes


@dataclass(order=True, slots=True)
class _Due:
    at: float
    number: int
    item: Any = field(compare=False)
    """The delivery, or a function that makes the content of an event."""


class Deliveries:
    """
    The events of a *scenario* after *begin* (unix seconds), for the app with an id.

    *sign* returns the signature of a body.
    """

    def __init__(
        self, scenario: Scenario, *, begin: float, app_id: str, sign: Callable[[bytes], str]
    ) -> None:
        self._scenario = scenario
        self._app_id = app_id
        self._sign = sign
        self._numbers = count()
        self._events: list[_Due] = []
        self._outgoing: list[_Due] = []
        self._listed_until = begin
        self._begin = begin
        self._sent = 0
        longest = min(scenario.longest_seconds, 2 * _DAY_SECONDS)
        for recording in scenario.recordings(begin, since=begin - longest):
            self._add_recording(recording)
        for session in scenario.sessions(begin, since=begin - longest):
            self._add_session(session)

    def due(self, now: float, fault: WebhookFault = WebhookFault.NONE) -> list[Delivery]:
        """Return what must be sent since the last call; *fault* says what is wrong with it."""
        self._list(now)
        while self._events and self._events[0].at <= now:
            event = heapq.heappop(self._events)
            content: JsonObject = event.item()
            if _is_announced(content, fault):
                self._send(content, event.at, fault)
        deliveries = []
        while self._outgoing and self._outgoing[0].at <= now:
            deliveries.append(heapq.heappop(self._outgoing).item)
        return deliveries

    def _list(self, now: float) -> None:
        """Add what has begun since the last call."""
        for recording in self._scenario.recordings(now, since=self._listed_until):
            if recording.invoked_at > self._listed_until:
                self._add_recording(recording)
        for session in self._scenario.sessions(now, since=self._listed_until):
            if session.started_at > self._listed_until:
                self._add_session(session)
        self._listed_until = max(now, self._listed_until)

    def _add_recording(self, recording: Recording) -> None:
        meeting = self._scenario.meeting(recording.meeting_id) or Meeting(recording.meeting_id)
        for status, at in recording.phases:
            if self._begin < at < recording.vanishes_at:
                make = partial(recording_event, recording, meeting, status)
                self._add(at, partial(make, at=at, app_id=self._app_id))

    def _add_session(self, session: Session) -> None:
        meeting = self._scenario.meeting(session.meeting_id) or Meeting(session.meeting_id)
        for at, ended in ((session.started_at, False), (session.ended_at, True)):
            if at is not None and at > self._begin:
                make = partial(session_event, session, meeting)
                self._add(at, partial(make, ended=ended, app_id=self._app_id))

    def _add(self, at: float, make: Callable[[], JsonObject]) -> None:
        heapq.heappush(self._events, _Due(at, next(self._numbers), make))

    def _send(self, content: JsonObject, at: float, fault: WebhookFault) -> None:
        self._sent += 1
        is_second = self._sent % 2 == 0
        if fault is WebhookFault.SILENT or (fault is WebhookFault.DROPPED and is_second):
            return
        if fault is WebhookFault.LATE:
            at += _LATE_SECONDS
        elif fault is WebhookFault.REORDERED and is_second:
            at += _REORDERED_SECONDS
        for delivery in self._changed(content, fault):
            heapq.heappush(self._outgoing, _Due(at, next(self._numbers), delivery))

    def _changed(self, content: JsonObject, fault: WebhookFault) -> Iterator[Delivery]:
        body = _body(content, fault)
        delivery = self._delivery(body, f"{self._sent}")
        if fault is WebhookFault.FORGED:
            yield Delivery(delivery.headers, body.replace(b"event", b"Event"))
            return
        yield delivery
        if fault is WebhookFault.DUPLICATE:
            yield delivery
        elif fault is WebhookFault.REPLAYED:
            yield self._delivery(body, f"{self._sent} again")

    def _delivery(self, body: bytes, name: str) -> Delivery:
        headers = {
            "content-type": "application/json",
            "rtk-signature": self._sign(body),
            "rtk-uuid": str(uuid.uuid5(_NAMESPACE, f"{self._app_id} {name}")),
            "rtk-webhook-id": str(uuid.uuid5(_NAMESPACE, self._app_id)),
        }
        return Delivery(headers, body)


def _is_announced(content: JsonObject, fault: WebhookFault) -> bool:
    recording = content.get("recording")
    if not isinstance(recording, dict) or fault is WebhookFault.ANNOUNCES_INVOKED:
        return True
    return recording["status"] in _ANNOUNCED


def _body(content: JsonObject, fault: WebhookFault) -> bytes:
    """Return the body of an event, perhaps with something wrong."""
    text = json.dumps(_with_fault(content, fault))
    return text[: len(text) // 2].encode() if fault is WebhookFault.MALFORMED else text.encode()


def _with_fault(content: JsonObject, fault: WebhookFault) -> JsonObject:
    recording, meeting = content.get("recording"), content["meeting"]
    if not isinstance(meeting, dict):
        return content
    match fault:
        case WebhookFault.UNKNOWN_EVENT:
            return {**content, "event": "recording.transcoded"}
        case WebhookFault.OVERSIZED:
            return {**content, "padding": "x" * _OVERSIZED}
        case WebhookFault.UNKNOWN_MEETING:
            ids: JsonObject = {"id": "somebody-else", "roomName": "somebody-else"}
            changed: JsonObject = {**content, "meeting": {**meeting, **ids}}
            if isinstance(recording, dict):
                changed["recording"] = {**recording, "meetingId": "somebody-else"}
            return changed
        case WebhookFault.OTHER_ORGANIZATION:
            changed = {**content, "meeting": {**meeting, "organizedBy": {"id": "somebody-else"}}}
            if isinstance(recording, dict):
                changed["recording"] = {**recording, "organizationId": "somebody-else"}
            return changed
    return content
