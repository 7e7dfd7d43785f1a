"""
What exporters show Prometheus over time, and what the rules are to make of it.

Cases become files for `promtool test rules`. Its clock starts at 0, times here are in minutes.
Cases of one pace share a world, in which each is an app of its own: a run costs promtool what
it evaluates, and that is the rules, more than the series.
"""

import json
import math
import re
import subprocess

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rk_exporter.recordings import Status


JOB = "rk-exporter"
MEETING, RECORDING = "meeting", "recording"
Value = float | Callable[[float], float | None]
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often rules are evaluated, and exporters scraped, and for how long at most."""

    step: int
    length: int


MINUTES = Pace(step=1, length=100)
# Below the five minutes for which Prometheus looks back.
DAYS = Pace(step=4, length=30 * 60)


def now(minute: float) -> float:
    """Return the unix time."""
    return 60 * minute


def changing(values: Mapping[int, float | None]) -> Callable[[float], float | None]:
    """Return what is worth the value of the latest minute that has come; None is absent."""

    def value(minute: float) -> float | None:
        return next((values[each] for each in sorted(values, reverse=True) if each <= minute), None)

    return value


def notation(values: Sequence[float | None]) -> str:
    """Write *values* as promtool reads them; where they end they are stale, as for Prometheus."""
    parts: list[str] = []
    at = 0
    while at < len(values):
        end = at + 1
        first, second = values[at], values[end] if end < len(values) else None
        if first is None:
            while end < len(values) and values[end] is None:
                end += 1
            # Where something was shown before, its end is a sample too.
            parts.append(f"stale _x{end - at - 1}" if at else f"_x{end}")
        else:
            step = 0 if second is None else second - first
            while end < len(values) and values[end] == first + (end - at) * step:
                end += 1
            parts.append(f"{_number(first)}{'' if step < 0 else '+'}{_number(step)}x{end - at - 1}")
        at = end
    return " ".join(parts).replace(" _x0", "")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def selector(metric: str, labels: Mapping[str, str]) -> str:
    """Write a series, or a selector of it."""
    quoted = {name: _quoted(value) for name, value in labels.items()}
    return f"{metric}{{{','.join(f'{name}={value}' for name, value in quoted.items())}}}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


@dataclass(frozen=True)
class Scene:
    """The app of one case: its exporters' series, and what is expected of the rules."""

    name: str
    alert: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    pace: Pace = MINUTES
    is_alone: bool = False
    """Whether nothing else is in its world: for what is not told of an app."""
    series: list[dict[str, str]] = field(default_factory=list)
    expected: list[dict[str, Any]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)

    def exporter(self, name: str = "a", **options: Any) -> "Exporter":
        """Return an exporter of the app that Prometheus scrapes from now on."""
        exporter = Exporter(self, name, **options)
        exporter.watched()
        return exporter

    def restarted(self, at: float) -> tuple["Exporter", "Exporter"]:
        """Return an exporter, and it after a restart of 3 minutes, with another address."""
        return self.exporter("a", ends=at), self.exporter("b", begins=at + 3)

    def add(self, metric: str, labels: Mapping[str, str], value: Callable[[float], Any]) -> None:
        """Add a series."""
        minutes = range(0, self.pace.length + 1, self.pace.step)
        values = notation([value(minute) for minute in minutes])
        self.series.append({"series": selector(metric, labels), "values": values})

    def fires(self, *minutes: float, count: int = 1, **labels: str) -> None:
        """Expect so many alerts to fire in these minutes."""
        for minute in minutes:
            self.expect(f"count({self._alerts(labels)})", minute, count)

    def silent(self, *minutes: float, **labels: str) -> None:
        """Expect the alert not to fire in these minutes."""
        for minute in minutes:
            self.expect(f"count({self._alerts(labels)})", minute, None)

    def _alerts(self, labels: Mapping[str, str]) -> str:
        firing = {"alertname": self.alert, "alertstate": "firing", **self.labels, **labels}
        return selector("ALERTS", firing if self.is_alone else {"app": self.name, **firing})

    def expect(self, promql: str, minute: float, value: float | None) -> None:
        """Expect one sample without labels, or with None nothing at all."""
        samples = [] if value is None else [{"labels": "{}", "value": value}]
        self.expected.append(
            {"expr": promql, "eval_time": f"{minute:g}m", "exp_samples": samples},
        )

    def tells(self, alert: str, minute: float, *alerts: Mapping[str, Mapping[str, str]]) -> None:
        """Expect these to be all that fire of *alert*, with these labels and annotations."""
        self.told.append(
            {
                "eval_time": f"{minute:g}m",
                "alertname": alert,
                "exp_alerts": [
                    {"exp_labels": dict(each["labels"]), "exp_annotations": dict(each["says"])}
                    for each in alerts
                ],
            }
        )


@dataclass(frozen=True)
class Exporter:
    """
    An exporter of the scene's app, from when to when it is a target, and which scrapes it missed.

    *labels* are on all its series, as those of a pod are.
    """

    scene: Scene
    name: str
    begins: float = 0
    ends: float = math.inf
    missed: Sequence[Span] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    app: str = ""

    def watched(self) -> None:
        """Show what Prometheus itself knows of a target."""

        def up(minute: float) -> float | None:
            return float(self.answers(minute)) if self.begins <= minute < self.ends else None

        self.scene.add("up", self._target, up)

    @property
    def _target(self) -> dict[str, str]:
        return {"job": JOB, "instance": f"{self.name}.{self.scene.name}", **self.labels}

    def answers(self, minute: float) -> bool:
        """Tell whether a scrape in this minute succeeds."""
        is_missed = any(begin <= minute < end for begin, end in self.missed)
        return self.begins <= minute < self.ends and not is_missed

    def show(self, metric: str, value: Value, **labels: str) -> None:
        """Show a metric of the app."""
        told = value if callable(value) else changing({0: value})
        self.scene.add(
            metric,
            {**self._target, "app": self.app or self.scene.name, **labels},
            lambda minute: told(minute) if self.answers(minute) else None,
        )

    def count(self, metric: str, counts: Mapping[int, float], **labels: str) -> None:
        """Show a counter that stands at 0 before the first of *counts*."""
        self.show(metric, changing({0: 0, **counts}), **labels)

    def meeting(
        self,
        meeting_id: str = MEETING,
        *,
        read: Value = now,
        up: Value = 1,
        name: str | None = None,
    ) -> None:
        """Show a meeting: when it was last *read*, and whether it could be."""
        self.show("rk_meeting_up", up, meeting_id=meeting_id)
        self.show("rk_meeting_last_success_timestamp_seconds", read, meeting_id=meeting_id)
        self.show("rk_meeting_info", 1, meeting_id=meeting_id, name=name or meeting_id)

    def recording(
        self,
        states: Mapping[int, str | None],
        *,
        unread: Span = (math.inf, math.inf),
        meeting_id: str = MEETING,
        recording_id: str = RECORDING,
        **facts: float | None,
    ) -> None:
        """
        Show a recording with its *states*, each since a minute, as they are at its last reading.

        *facts* are other timestamps than those that the states suggest (`invoked`, `started`,
        `stopped`, in minutes; None is unknown), and what is known once it is UPLOADED: its
        `size` in bytes, `duration` in seconds, and the minute of its `expiry`.
        """
        ids = {"meeting_id": meeting_id, "recording_id": recording_id}
        life = _Life(states, unread)
        for state in Status:
            self.show("rk_recording_status", life.is_in(state), **ids, status=state)
        read = life.shown(lambda minute: now(life.reading(minute)))
        self.show("rk_recording_last_success_timestamp_seconds", read, **ids)
        for event, at in (life.times() | facts).items():
            if event in _TIMES and at is not None:
                self.show(f"rk_recording_{event}_timestamp_seconds", life.since(at), **ids)
        for fact, metric in _OF_FILES.items():
            value = facts.get(fact)
            if value is not None:
                told = now(value) if fact == "expiry" else value
                self.show(metric, life.once_uploaded(told), **ids)


_TIMES = ("invoked", "started", "stopped")
_OF_FILES = {
    "size": "rk_recording_file_size_bytes",
    "duration": "rk_recording_duration_seconds",
    "expiry": "rk_recording_download_url_expiry_timestamp_seconds",
}


@dataclass(frozen=True, slots=True)
class _Life:
    """A recording's states, each since a minute, as an exporter knows them that could not read."""

    states: Mapping[int, str | None]
    unread: Span

    def reading(self, minute: float) -> float:
        """Return when it was last read."""
        begin, end = self.unread
        return begin if begin <= minute < end else minute

    def status(self, minute: float) -> str | None:
        begun = [each for each in self.states if each <= self.reading(minute)]
        return self.states[max(begun)] if begun else None

    def shown(self, value: Callable[[float], float | None]) -> Callable[[float], float | None]:
        """Return the *value*, for as long as the recording is shown."""
        return lambda minute: value(minute) if self.status(minute) else None

    def is_in(self, state: Status) -> Callable[[float], float | None]:
        return self.shown(lambda minute: float(self.status(minute) == state))

    def since(self, at: float) -> Callable[[float], float | None]:
        """Return a timestamp that is known once it has come."""
        return self.shown(lambda minute: now(at) if self.reading(minute) >= at else None)

    def once_uploaded(self, value: float) -> Callable[[float], float | None]:
        return lambda minute: value if self.status(minute) == Status.UPLOADED else None

    def times(self) -> dict[str, float | None]:
        """Return the timestamps that the states suggest."""
        started = self._first("RECORDING", "PAUSED")
        stopped = None if started is None else self._first("UPLOADING", "UPLOADED", "ERRORED")
        return {"invoked": min(self.states), "started": started, "stopped": stopped}

    def _first(self, *names: str) -> int | None:
        begun = (minute for minute, state in self.states.items() if state in names)
        return min(begun, default=None)


def failures(promtool: str, rules: Path, scenes: Iterable[Scene], folder: Path) -> dict[str, str]:
    """Let promtool judge scenes that share a world; return what it says of those that fail."""
    scenes = list(scenes)
    pace = scenes[0].pace
    world = {
        "interval": f"{pace.step}m",
        "input_series": [each for scene in scenes for each in scene.series],
        "promql_expr_test": [each for scene in scenes for each in scene.expected],
        "alert_rule_test": [each for scene in scenes for each in scene.told],
    }
    file = folder / f"{scenes[0].name}.test.yml"
    document = {
        "rule_files": [str(rules)],
        "evaluation_interval": f"{pace.step}m",
        # Otherwise by chance, and what a group records reaches others a step later.
        "group_eval_order": re.findall(r"^  - name: (\S+)$", rules.read_text(), re.MULTILINE),
        "tests": [world],
    }
    file.write_text(json.dumps(document))  # which is YAML too
    ran = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False
    )
    if ran.returncode == 0:
        return {}
    said = ran.stdout + ran.stderr
    faults = re.split(r"\n(?=    (?:expr|alertname): )", said)[1:]
    found = {
        scene.name: "\n".join(each for each in faults if re.search(rf"\b{scene.name}\b", each))
        for scene in scenes
    }
    # What is said of none, as an error of evaluation, fails them all.
    return {name: said for name, said in found.items() if said} or dict.fromkeys(found, said)


def with_thresholds(rules: str, thresholds: Mapping[str, str]) -> str:
    """Return the *rules* with other thresholds, as a user writes them there."""
    for name, value in thresholds.items():
        pattern = rf"(- record: {re.escape(name)}\b.*\n +expr: ).*"
        rules, found = re.subn(pattern, rf'\g<1>"{value}"', rules)
        assert found == 1, f"the rules have no threshold {name}"
    return rules
