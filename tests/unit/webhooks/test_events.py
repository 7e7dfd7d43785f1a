import contextlib
import json

from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.model.recording import Status
from rk_exporter.webhooks.events import OTHER, EventName, MalformedEvent, parse_event
from tests.support.webhooks import event_body


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
_PART = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("id", "recordingId", "meetingId", "status", "roomName"), _JSON)
)


def parsed(content: Any) -> Any:
    return parse_event(json.dumps(content).encode())


def test_recording() -> None:
    """An event about a recording names it, its state, its meeting and its app."""
    event = parse_event(event_body("Meeting-1", status="UPLOADED"))
    assert event.name == EventName.RECORDING
    assert event.app_id == "2a95132c-1573-2412-d22c-16fd0a01e000"
    assert event.notice.meeting_ids == ("Meeting-1", "Meeting-1")
    assert event.notice.recording_id == "recording-1"
    assert event.notice.status is Status.UPLOADED
    assert event.notice.changes_something


def test_old_room() -> None:
    """A meeting of the API's first version has its id in `roomName`."""
    event = parsed({"event": "meeting.started", "meeting": {"roomName": "abcdef-ghijkl"}})
    assert event.notice.meeting_ids == ("abcdef-ghijkl",)


def test_half_a_character() -> None:
    """A title that is cut in the middle of a character makes no event malformed."""
    body = event_body("Meeting-1").replace(b"Weekly", rb"Weekly \ud83d")
    assert parse_event(body) == parse_event(event_body("Meeting-1"))


def test_only_recording_id() -> None:
    """The recording's id may be in either of two fields."""
    assert parse_event(event_body(recordingId=None)).notice.recording_id == "recording-1"


@pytest.mark.parametrize("name", EventName)
def test_documented_names(name: EventName) -> None:
    """Only events about recordings, livestreams, starts and ends make anything due."""
    event = parsed({"event": name.value, "meeting": {"id": "a"}})
    assert event.name == name
    assert event.notice.changes_something is (
        name.value.endswith(("statusUpdate", "meeting.started", "meeting.ended"))
    )


def test_unknown_name() -> None:
    """All names that are not documented are one label value."""
    event = parsed({"event": "recording.transcoded", "meeting": {"id": "a"}})
    assert event.name == OTHER
    assert not event.notice.changes_something


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"\xff", b"[]", b"1", b"{}", b'{"event": 1}', b'{"event": null}', b"[" * 60_000),
        b'{"event": "meeting.ended", "reason": "\xd8\xce"}',
        b'{"\xff": 1, "event": "meeting.ended"}',
    ],
)
def test_malformed(body: bytes) -> None:
    """A body that is not an object with the name of an event is malformed."""
    with pytest.raises(MalformedEvent):
        parse_event(body)


@given(recording=_PART | _JSON, meeting=_PART | _JSON, name=st.sampled_from(EventName) | st.text())
def test_any_fields(recording: Any, meeting: Any, name: str) -> None:
    """Whatever the fields contain, the event has only valid ids and a bounded name."""
    event = parsed({"event": name, "recording": recording, "meeting": meeting})
    assert event.name in {*EventName, OTHER}
    for found in (*event.notice.meeting_ids, event.notice.recording_id or "x"):
        assert 0 < len(found) <= 128
        assert found.isascii()


@given(body=st.binary())
def test_any_body(body: bytes) -> None:
    """Any body is an event or malformed."""
    with contextlib.suppress(MalformedEvent):
        assert parse_event(body).name in {*EventName, OTHER}
