"""Other exporters' views of one exposition: pure functions from text to text."""

import re

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from rk_exporter.model.recording import Status
from tests.support.monitoring.disagreeing import DESCRIBING, LAST_SUCCESS, STATES, with_labels


View: TypeAlias = Callable[[str], str]
ODD_APP = "R&D #1 (50% + x)"
"""The end of an app's name, with characters that mean something in URLs and patterns."""
ODD_NAME = ' "ward" \\ it\'s {{ $labels.x }} <script>alert(1)</script> $1 🎥\nsecond line'
"""The end of a meeting's name, with characters that mean something in every format."""
ELSEWHERE = "us-"
"""The beginning of the ids of another cluster's meetings and recordings."""
_BEHIND_SECONDS = 100
_READS_EARLIER_SECONDS = 5
_STATES: Mapping[str, tuple[str, Sequence[str]]] = {
    **STATES,
    "rk_recordings{": ("status", [*Status]),
}
_OTHER_NUMBERS = re.compile(
    r"^(rk_(?:recording_file_size_bytes|recording_duration_seconds|meeting_live_participants)\{.*)"
    r" (\S+)$",
    re.MULTILINE,
)
_ON_START = re.compile(r"^(rk_meeting_record_on_start.*) ([01])(?:\.0)?$", re.MULTILINE)
_STARTED = re.compile(r"^(process_start_time_seconds) (\S+)$", re.MULTILINE)


def unchanged(text: str) -> str:
    """Return what the exporter shows."""
    return text


def behind(text: str) -> str:
    """
    Return what an older exporter shows that read everything 100 seconds earlier.

    It knows other names, files, sessions, states, numbers and settings of the same recordings.
    """
    text = with_labels(text, "", DESCRIBING, lambda value: f"{value} of the other")
    for metric, (label, states) in _STATES.items():
        after = dict(zip(states, [*states[1:], states[0]], strict=True))
        text = with_labels(text, metric, (label,), after.__getitem__)
    text = _OTHER_NUMBERS.sub(lambda match: f"{match[1]} {2 * float(match[2]) + 1}", text)
    text = _ON_START.sub(lambda match: f"{match[1]} {1 - int(match[2])}", text)
    return _earlier(_BEHIND_SECONDS, text, LAST_SUCCESS, _STARTED)


def _earlier(seconds: float, text: str, *patterns: re.Pattern[str]) -> str:
    """Return an exposition with earlier times."""
    for pattern in patterns:
        text = pattern.sub(lambda match: f"{match[1]} {float(match[2]) - seconds}", text)
    return text


def odd(text: str) -> str:
    """Return what an exporter shows whose apps and meetings have odd names."""
    text = with_labels(text, "", ("rk_app",), lambda value: f"{value} {ODD_APP}")
    name = ODD_NAME.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return with_labels(text, "", ("meeting_name",), lambda value: f"{value}{name}")


def elsewhere(text: str) -> str:
    """
    Return what an exporter of an app with the same name shows in another cluster.

    It reads the API some seconds before the other one.
    """
    ids = ("meeting_id", "recording_id")
    text = with_labels(text, "", ids, lambda value: f"{ELSEWHERE}{value}")
    return _earlier(_READS_EARLIER_SECONDS, text, LAST_SUCCESS)


async def answer(text: str, send: Any, *, status: int = 200) -> None:
    """Send an exposition."""
    headers = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
