"""One exposition, parsed: what a scraper has read."""

import math
import re

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic_families


_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_COUNTED = ("_total", "_count", "_bucket", "_sum")
Labels = Mapping[str, str]
_parsed: set[str] = set()


@lru_cache(maxsize=1 << 16)
def _series(text: str) -> tuple[str, Labels]:
    name, _, labels = text.partition("{")
    return name, dict(_LABEL.findall(labels))


@dataclass(eq=False)
class ShownRecording:
    """The samples of one recording, by metric; those of a state have its name as their value."""

    meeting_id: str
    values: dict[str, float] = field(default_factory=dict)
    states: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    labels: tuple[str, str, str] | None = None
    """Its session, the name of its file, and its kind."""

    def get(self, name: str) -> float | None:
        """Return the value of the metric rk_recording_*name*, None without a sample."""
        return self.values.get(f"rk_recording_{name}")

    @property
    def status(self) -> str | None:
        """Return the only state that has the value 1; None if there is none, or several."""
        states = self.states["rk_recording_status"]
        return states[0] if len(states) == 1 else None

    @property
    def in_progress(self) -> bool:
        """Return whether it has not ended."""
        is_unknown = self.status == "UNKNOWN" and self.get("stopped_timestamp_seconds") is None
        return is_unknown or self.status in {"INVOKED", "RECORDING", "PAUSED", "UPLOADING"}


class Shown:
    """The samples in an exposition."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples: dict[str, float] = {}
        """All samples, by the text of their series."""
        self._by_name: defaultdict[str, list[tuple[Labels, float]]] = defaultdict(list)
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            series, _, number = line.rpartition(" ")
            value = self.samples[series] = float(number)
            name, labels = _series(series)
            self._by_name[name].append((labels, value))

    def problems(self) -> Iterator[str]:
        """Return what no scraper accepts, or what is no number."""
        lines = [line for line in self.text.splitlines() if not line.startswith("#")]
        if len(lines) != len(self.samples):
            yield "a series appears twice"
        yield from (
            f"{series} is {value}"
            for series, value in self.samples.items()
            if not math.isfinite(value)
        )
        new = [line for line in lines if line.rpartition(" ")[0] not in _parsed]
        # The parser is slow, and what it accepts once it accepts again.
        is_open = self.text.endswith("# EOF\n")
        text = self.text if is_open else "\n".join([*new, ""])
        parse: Any = openmetrics.text_string_to_metric_families if is_open else classic_families
        parsed = sum(len(family.samples) for family in parse(text))
        if parsed != len(lines if is_open else new):
            yield f"the parser finds {parsed} samples of {len(lines)}"
        _parsed.update(line.rpartition(" ")[0] for line in new)

    @property
    def names(self) -> set[str]:
        """Return the names of all samples."""
        return {*self._by_name}

    @property
    def apps(self) -> set[str]:
        """Return the names of all apps that have a sample."""
        pairs = chain.from_iterable(self._by_name.values())
        return {labels["rk_app"] for labels, _ in pairs if "rk_app" in labels}

    @staticmethod
    def app_of(series: str) -> str | None:
        """Return the app of a series, by its text; None if it is about none."""
        return _series(series)[1].get("rk_app")

    def counters(self, app: str | None = None) -> Iterator[tuple[str, float]]:
        """Return the series that only grow, of one app or of all, by their texts."""
        for series, value in self.samples.items():
            name, labels = _series(series)
            if name.endswith(_COUNTED) and app in (None, labels.get("rk_app")):
                yield series, value

    def of(self, name: str, app: str | None = None) -> list[tuple[Labels, float]]:
        """Return the samples of a metric of one app, or of none, with their labels."""
        return [pair for pair in self._by_name.get(name, ()) if pair[0].get("rk_app") == app]

    def value(self, name: str, app: str) -> float | None:
        """Return the one sample of a metric that an app has, None without it."""
        found = self.of(name, app)
        return found[0][1] if found else None

    def total(self, name: str, app: str, **labels: str) -> float:
        """Return the sum of the samples of a metric of one app that have *labels*."""
        wanted = labels.items()
        return sum(value for found, value in self.of(name, app) if wanted <= found.items())

    def by_meeting(self, name: str, app: str) -> dict[str, float]:
        """Return the samples of a metric that each meeting of an app has."""
        return {labels["meeting_id"]: value for labels, value in self.of(name, app)}

    def by_label(self, name: str, app: str, label: str) -> dict[str, str]:
        """Return the values of a label of a metric that each meeting of an app has."""
        return {labels["meeting_id"]: labels[label] for labels, _ in self.of(name, app)}

    def recordings(self, app: str) -> dict[str, ShownRecording]:
        """Return the recordings of an app, by id."""
        return self._recordings.get(app, {})

    @cached_property
    def _recordings(self) -> dict[str, dict[str, ShownRecording]]:
        found: dict[str, dict[str, ShownRecording]] = {}
        for name, pairs in self._by_name.items():
            if not name.startswith("rk_recording_") or "recording_id" not in pairs[0][0]:
                continue
            for labels, value in pairs:
                of_app = found.setdefault(labels["rk_app"], {})
                recording = of_app.get(labels["recording_id"])
                if recording is None:
                    recording = of_app[labels["recording_id"]] = ShownRecording(
                        labels["meeting_id"]
                    )
                _add(recording, name, labels, value)
        return found


def _add(shown: ShownRecording, name: str, labels: Labels, value: float) -> None:
    if name == "rk_recording_info":
        shown.labels = (labels["session_id"], labels["output_file_name"], labels["kind"])
    state = labels.get("status") or labels.get("reason")
    if state is None:
        suffix = f" {labels['kind']}" if name.endswith("_available") else ""
        shown.values[name + suffix] = value
    elif value:
        shown.states[name].append(state)
