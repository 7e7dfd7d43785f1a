"""The changes that Prometheus sees of recordings, as lines of text."""

import re

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tests.support.building import NOW


_SERIES = re.compile(
    r"(?P<name>rk_record\w*|rk_meeting_active_recordings|rk_meeting_up)"
    r"\{(?P<labels>.*)\} (?P<value>\S+)"
)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_SHORTER = {
    "meeting_id": "meeting",
    "recording_id": "recording",
    "session_id": "session",
    "output_file_name": "file",
}
# One label of these metrics is the state: the series with the value 1 counts.
_STATES = {"rk_recording_status": "status", "rk_recording_stop_reason": "reason"}
# Values that change at each scrape are shown only with other changes of the recording.
_MOVING = frozenset(
    {
        "rk_recording_last_success_timestamp_seconds",
        "rk_recording_download_url_expires_in_seconds",
    }
)
_MOVING_WHILE_IT_RUNS = "rk_recording_duration_seconds"
_RUNNING = frozenset({"RECORDING", "PAUSED"})
_COUNTED = ("_total", "_count", "_sum")
_HOUR = 3600


class Series(NamedTuple):
    """A series without the label of its state."""

    name: str
    labels: tuple[tuple[str, str], ...]

    @property
    def recording(self) -> str | None:
        """Return the id of its recording, if it has one."""
        return dict(self.labels).get("recording")


Seen = Mapping[Series, str]
"""The value or the state of a series."""


class Timeline:
    """The changes from scrape to scrape, as *lines* without the labels *dropped*."""

    def __init__(self, *, dropped: Iterable[str]) -> None:
        self.lines: list[str] = []
        self._dropped = frozenset(dropped)
        self._shown: Seen = {}

    def add(self, exposition: str, at: float) -> None:
        """Add the changes in an *exposition*, scraped *at* this number of seconds."""
        seen = dict(self._read(exposition))
        changed = {series for series in seen if self._has_changed(series, seen)}
        recordings = {series.recording for series in changed} - {None}
        news = {
            series: shown
            for series, shown in seen.items()
            if series in changed or (_is_moving(series, seen) and series.recording in recordings)
        }
        lines = [*(_line(series, shown) for series, shown in news.items()), *self._gone(seen)]
        self.lines += [f"+{time_text(at):>10}  {line}" for line in lines]
        self._shown = {
            series: shown for series, shown in self._shown.items() if series in seen
        } | news

    def add_event(self, at: float, what: str) -> None:
        """Add an event that happened *at* this number of seconds, after the scrape."""
        self.lines.append(f"+{time_text(at):>10}  # {what}")

    def _has_changed(self, series: Series, seen: Seen) -> bool:
        if series not in self._shown and series.name.endswith(_COUNTED):
            # Counters exist from the start.
            return seen[series] != "0"
        return not _is_moving(series, seen) and self._shown.get(series) != seen[series]

    def _gone(self, seen: Seen) -> Iterator[str]:
        recordings = {series.recording for series in seen}
        gone = set()
        for series in self._shown:
            if series in seen:
                continue
            if series.recording is None or series.recording in recordings:
                yield _line(series, "gone")
            else:
                gone.add(series.recording)
        yield from (f'rk_recording_*{{recording="{recording}"}} gone' for recording in sorted(gone))

    def _read(self, exposition: str) -> Iterator[tuple[Series, str]]:
        for match in _SERIES.finditer(exposition):
            name, value = match["name"], float(match["value"])
            labels = {
                _SHORTER.get(key, key): label
                for key, label in _LABEL.findall(match["labels"])
                if key not in self._dropped
            }
            state = labels.pop(_STATES[name]) if name in _STATES else None
            if name.endswith("_bucket") or (state and not value):
                continue
            first = [name for name in ("meeting", "recording") if name in labels]
            ordered = tuple((key, labels[key]) for key in dict.fromkeys([*first, *labels]))
            yield Series(name, ordered), state or _value_text(name, value)


def time_text(seconds: float) -> str:
    """Return a duration; from one hour, in days, hours, minutes and seconds."""
    rest, parts = abs(seconds), []
    if rest >= _HOUR:
        for unit, size in (("d", 24 * _HOUR), ("h", _HOUR), ("m", 60)):
            whole, rest = divmod(rest, size)
            parts += [f"{whole:.0f}{unit}"] if whole else []
    if round(rest, 3) or not parts:
        parts.append(f"{_number(rest)}s")
    return "-" * (seconds < 0) + "".join(parts)


def _is_moving(series: Series, seen: Seen) -> bool:
    if series.name == _MOVING_WHILE_IT_RUNS:
        return seen[Series("rk_recording_status", series.labels)] in _RUNNING
    return series.name in _MOVING


def _value_text(name: str, value: float) -> str:
    if name.endswith("_timestamp_seconds"):
        since_start = time_text(value - NOW)
        return since_start if since_start.startswith("-") else f"+{since_start}"
    return time_text(value) if name.endswith("_expires_in_seconds") else _number(value)


def _number(value: float) -> str:
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _line(series: Series, shown: str) -> str:
    labels = dict(series.labels)
    if series.name in _STATES and shown != "gone":
        labels[_STATES[series.name]], shown = shown, "1"
    text = ",".join(f'{key}="{label}"' for key, label in labels.items())
    return f"{series.name}{{{text}}} {shown}" if text else f"{series.name} {shown}"
