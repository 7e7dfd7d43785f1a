"""
What is fuzzed: each target takes any bytes, and fails if something is true that must not be.

A target knows which exceptions its parser declares. Any other exception is a fault. It returns the
exposition that shows what it has read, if there is one, for parsers that are too slow for a fuzzer.
"""

import math
import re
import tempfile

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx

from rk_exporter.api import parsers
from rk_exporter.api.envelope import api_message
from rk_exporter.api.replies import Reply
from rk_exporter.api.results import Page, Parsed
from rk_exporter.config.loader import load
from rk_exporter.config.meeting_file import parse_meeting_file
from rk_exporter.config.sources import ConfigError
from rk_exporter.config.web_config import parse_web_config
from rk_exporter.model.errors import ApiError
from rk_exporter.model.meeting import ListedRecording, Meeting, Reading
from rk_exporter.model.recording import Recording
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.headers import (
    LONGEST_WAIT_SECONDS,
    MalformedHeader,
    parse_policies,
    retry_after_seconds,
)
from rk_exporter.ratelimit.status import BudgetStatus
from rk_exporter.runtime.files import FileError
from rk_exporter.runtime.redaction import without_token
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.state_records import UnreadableState, decode, encode
from rk_exporter.webhooks.events import MalformedEvent, parse_event
from rk_exporter.webhooks.signature import parse_public_key
from tests.fuzz.http_side import http_requests
from tests.fuzz.invariants import check_exposition, check_secrets, queries_in, shown
from tests.support.building import NOW, config, run, scripted, setup


Target = Callable[[bytes], str | None]
_MEETING = Meeting("meeting-1", "Weekly")
_RECORDING_ID = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e"
_TOKEN = Secret("a-token-that-is-not-shown")
_PARSERS: tuple[Callable[[int, bytes], Parsed[Any]], ...] = (
    parsers.parse_active_recordings,
    partial(parsers.parse_recording, recording_id=_RECORDING_ID),
    parsers.parse_recordings_page,
    parsers.parse_sessions_page,
    parsers.parse_apps_page,
    parsers.parse_record_on_start,
    parsers.parse_any,
)
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")
# A shorter one may be in a name by chance.
_SHORTEST_QUERY = 12
_STATUSES = (200, 201, 204, 301, 400, 401, 403, 404, 429, 500, 503, 522)


def payloads(data: bytes) -> str | None:
    """
    Parse an answer of the API.

    The first line has the numbers of a parser and of a status; the rest is the body.
    """
    head, _, body = data.partition(b"\n")
    which = [*head, 0, 0]
    parse, status = _PARSERS[which[0] % len(_PARSERS)], _STATUSES[which[1] % len(_STATUSES)]
    # As the connection does it.
    body = without_token(body, _TOKEN.reveal())
    told, exposition = _told_of_answer(parse, status, body)
    check_secrets(body, told, lambda changed: _told_of_answer(parse, status, changed)[0])
    return exposition


def _told_of_answer(
    parse: Callable[[int, bytes], Parsed[Any]], status: int, body: bytes
) -> tuple[str, str | None]:
    """Return everything that anybody sees of an answer, and the exposition in it."""
    exposition = None
    try:
        parsed = parse(status, body)
    except ApiError as error:
        told = f"{error!r} {error} {error.failure} {api_message(body, _TOKEN)}"
    else:
        exposition = shown(_recordings(parsed.value))
        told = repr(parsed) + exposition
    # What `check` says about the answer.
    reply = Reply(endpoint="any", answered_at=NOW, status=status, body=body)
    told += f"{reply.problem} {reply.describe('GET', with_fields=True)}"
    assert _TOKEN.reveal() not in told, told
    return told, exposition


def _recordings(value: Any) -> list[KnownRecording]:
    found = value.items if isinstance(value, Page) else value
    found = found if isinstance(found, tuple) else (found,)
    recordings = [item.recording if isinstance(item, ListedRecording) else item for item in found]
    by_id = {
        recording.recording_id: KnownRecording(meeting=_MEETING, recording=recording, read_at=NOW)
        for recording in recordings
        if isinstance(recording, Recording)
    }
    return list(by_id.values())


def rate_limit_headers(data: bytes) -> str | None:
    """Parse the headers of an answer, one value in each line."""
    text = data.decode("latin-1")
    names = ("Ratelimit", "Ratelimit-Policy", "Retry-After", "Date", "Age")
    cleaned = without_token(data, _TOKEN.reveal(), mark="redacted").decode("latin-1")
    headers = dict(zip(names, cleaned.split("\n"), strict=False))
    # A URL ends where the name of a policy ends.
    queries = [*queries_in(text.replace('"', " "))]
    wait = retry_after_seconds(headers, now=datetime.fromtimestamp(NOW, UTC))
    assert wait is None or 1 <= wait <= LONGEST_WAIT_SECONDS, wait
    try:
        policies = parse_policies(headers)
    except MalformedHeader:
        return None
    for policy in policies:
        assert policy.remaining >= 0, policy
        seconds = policy.reset_seconds
        assert seconds is None or math.isfinite(seconds), policy
        assert _TOKEN.reveal() not in policy.policy
        for query in queries:
            # What no name can have is replaced, and long names are cut.
            begin = _NOT_IN_A_NAME.sub("_", query[:_SHORTEST_QUERY])
            is_only_there = _NOT_IN_A_NAME.sub("_", text).count(begin) == 1
            is_secret = len(query) >= _SHORTEST_QUERY and is_only_there
            assert not is_secret or begin not in policy.policy, policy
    status = BudgetStatus(limit=600, remaining=600, policies=policies)
    return shown(budget_status=status)


def meeting_files(data: bytes) -> str | None:
    """Parse a file of meetings."""
    try:
        meetings = parse_meeting_file(Path("meetings"), data)
    except FileError as error:
        _one_line(str(error))
        return None
    # An accident must not remove all meetings: only a list that is written out can be empty.
    assert meetings or (b"[" in data and b"]" in data)
    return shown(readings=[Reading(meeting=meeting) for meeting in meetings])


def configuration(data: bytes) -> None:
    """Load a configuration file."""
    file = _folder() / "rk.yml"
    file.write_bytes(data)
    try:
        loaded = load(file, {}, {"CLOUDFLARE_API_TOKEN": _TOKEN.reveal()})
    except ConfigError as error:
        told = str(error)
    else:
        told = repr(loaded)
    assert _TOKEN.reveal() not in told, told


def web_configuration(data: bytes) -> None:
    """Parse a web configuration file."""
    with suppress(ConfigError):
        parse_web_config(Path("web.yml"), data)


def state_files(data: bytes) -> str | None:
    """Read a state file, write it again, and start an exporter with it."""
    try:
        state = decode(data)
    except UnreadableState:
        return None
    again = decode(encode(state.apps, state.calls, state.accounts))
    assert again == replace(state, apps=again.apps)
    text = run(_shown_after_start(data))
    check_exposition(text)
    return text.decode()


async def _shown_after_start(state: bytes) -> bytes:
    """Return the metrics of a new exporter that finds a state file."""
    file = _folder() / "state.json"
    file.write_bytes(state)
    configuration = config(meeting_ids=["meeting-1"], state__file=str(file))
    started = setup(scripted("meeting-1"), configuration=configuration)
    try:
        answer = await started.get()
    finally:
        await started.exporter.close()
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.content


def webhook_keys(data: bytes) -> None:
    """Parse the public key of webhooks, from its URL or a file."""
    with suppress(ValueError):
        parse_public_key(data)


def webhook_bodies(data: bytes) -> None:
    """Parse the body of an event whose signature is right."""
    check_secrets(data, _told_of_event(data), _told_of_event)


def _told_of_event(data: bytes) -> str:
    try:
        return repr(parse_event(data))
    except MalformedEvent as error:
        return str(error)


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="rk-exporter-fuzz-"))


def _one_line(message: str) -> None:
    assert message.isprintable(), message


TARGETS: Mapping[str, Target] = {
    "payloads": payloads,
    "rate-limit-headers": rate_limit_headers,
    "meeting-files": meeting_files,
    "configuration": configuration,
    "web-configuration": web_configuration,
    "state-files": state_files,
    "webhook-bodies": webhook_bodies,
    "webhook-keys": webhook_keys,
    "http-requests": http_requests,
}
