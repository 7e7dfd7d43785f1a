"""Exporters of the same apps that differ in all but the labels that identify a series."""

import re

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from rk_exporter.model.recording import Status, StopReason


DESCRIBING = (
    "meeting_name",
    "session_id",
    "output_file_name",
    "read",
    "rk_account_id",
    "rk_app_id",
    "exporter_version",
    "exporter_revision",
    "python_version",
)
"""Labels that describe what the other labels identify."""
STATES: Mapping[str, tuple[str, Sequence[str]]] = {
    "rk_recording_status": ("status", [*Status]),
    "rk_recording_stop_reason": ("reason", [*StopReason]),
    "rk_recording_info": ("kind", ["composite", "track"]),
}
"""Labels whose value is the state of what the other labels identify."""
UNUSUAL = "R&D: C#, A+B; 50% + x"
"""An app's name with all characters that have a meaning in URLs."""
_BEHIND_SECONDS = 100
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
LAST_SUCCESS = re.compile(r"^(rk_\w+_last_success_timestamp_seconds.*) (\S+)$", re.MULTILINE)


class Renaming:
    """
    An ASGI application that shows the metrics of the exporter at *url* with other labels.

    It changes what the labels describe, and later everything that can differ between two exporters.
    The names of apps, which are the same in all exporters, become *UNUSUAL*.
    """

    def __init__(self, url: str, name: str, *, is_behind: bool) -> None:
        self._url = url
        self._name = name
        self._is_behind = is_behind
        self._is_over = False

    def end_scenario(self) -> None:
        """Rename everything. An exporter that is behind has other states from now on."""
        self._is_over = True

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        """Answer a scrape."""
        async with httpx.AsyncClient() as client:
            response = await client.get(f"{self._url}/metrics", headers={"Accept": "text/plain"})
        headers = [(b"content-type", response.headers["content-type"].encode())]
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": headers}
        )
        body = self._changed(response.text).encode()
        await send({"type": "http.response.body", "body": body})

    def _changed(self, text: str) -> str:
        suffix = f" {self._name}, {'later' if self._is_over else 'earlier'}"
        text = with_labels(text, "", DESCRIBING, lambda value: value + suffix)
        text = with_labels(text, "", ("rk_app",), lambda value: f"{value} {UNUSUAL}")
        if self._is_over and self._is_behind:
            for metric, (label, states) in STATES.items():
                after = dict(zip(states, [*states[1:], states[0]], strict=True))
                text = with_labels(text, metric, (label,), after.__getitem__)
            text = LAST_SUCCESS.sub(_earlier, text)
        return text


def with_labels(text: str, metric: str, labels: Sequence[str], value: Callable[[str], str]) -> str:
    """Return an exposition in which the *labels* of the metric have another *value*."""

    def changed(match: re.Match[str]) -> str:
        return f'{match[1]}="{value(match[2])}"' if match[1] in labels else match[0]

    lines = text.splitlines(keepends=True)
    return "".join(
        _LABEL.sub(changed, line) if line.startswith(metric) and line[0] != "#" else line
        for line in lines
    )


def _earlier(match: re.Match[str]) -> str:
    return f"{match[1]} {float(match[2]) - _BEHIND_SECONDS}"
