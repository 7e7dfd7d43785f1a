"""What a Prometheus answers to all queries of the dashboards at one time."""

import json
import math
import re

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tests.support.monitoring.grafana import Question, questions
from tests.support.monitoring.servers import Prometheus, QueryRefusedError


Labels: TypeAlias = Mapping[str, str]
_RANGE_SECONDS = 120.0
_STEP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Series:
    """A series in an answer, with its last value at the asked time, or None if it had ended."""

    labels: Labels
    last: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question, or an *error*."""

    question: Question
    series: Sequence[Series] = ()
    error: str = ""

    @property
    def panel(self) -> str:
        """Return the dashboard and the panel."""
        return self.question.place.rpartition(", ")[0]

    @property
    def current(self) -> Sequence[Series]:
        """Return the series that exist at the asked time."""
        return [series for series in self.series if series.last is not None]


def ask(
    server: Prometheus,
    root: Path,
    at: float,
    *,
    chosen: Mapping[str, str],
    selected: Mapping[str, Sequence[str]],
) -> list[Answer]:
    """Ask a server all queries of all dashboards."""
    return [
        _answer(server, question, at)
        for file in sorted((root / "dashboards").glob("*.json"))
        for question in questions(json.loads(file.read_text()), chosen, selected=selected)
    ]


def _answer(server: Prometheus, question: Question, at: float) -> Answer:
    try:
        return Answer(question, list(_asked(server, question, at)))
    except QueryRefusedError as refused:
        return Answer(question, error=str(refused))


def _asked(server: Prometheus, question: Question, at: float) -> Iterator[Series]:
    if question.label:
        selectors = [question.promql] if question.promql else []
        for value in server.label_values(question.label, *selectors):
            yield Series({question.label: value}, math.nan)
        return
    if not question.is_range:
        for result in server.query(question.promql, at=at):
            yield Series(result["metric"], float(result["value"][1]))
        return
    for result in server.query_range(
        question.promql, seconds=_RANGE_SECONDS, step_seconds=_STEP_SECONDS, at=at
    ):
        time, value = result["values"][-1]
        yield Series(result["metric"], float(value) if math.isclose(time, at) else None)


def options(answer: Answer) -> list[tuple[str, str]]:
    """
    Return the texts and values that a variable offers, as Grafana finds them.

    Grafana writes each series of `query_result()` as text, without escaping, and applies the
    variable's pattern to it.
    """
    if answer.question.label:
        return [(value, value) for series in answer.series for value in series.labels.values()]
    pattern = _javascript(answer.question.source.get("regex", ""))
    found = [pattern.search(_written(series.labels)) for series in answer.series]
    if not pattern.groupindex:
        return [(match[1], match[1]) for match in found if match]
    return [(match["text"], match["value"]) for match in found if match]


def _javascript(regex: str) -> re.Pattern[str]:
    """Return a pattern of JavaScript, whose dot matches no end of line, in Python's notation."""
    return re.compile(regex.strip("/").replace("(?<", "(?P<"))


def _written(labels: Labels) -> str:
    pairs = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{{{pairs}}} 1 1795000000000"


def merged(answers: Sequence[Answer]) -> list[dict[str, str | float]]:
    """
    Return the rows of a table of several instant queries, as Grafana's transformation `merge` does.

    Rows are merged if they agree in the labels that all queries have, and differ in no other one.
    """
    frames = [
        (f"Value #{number}", answer) for number, answer in enumerate(answers) if answer.series
    ]
    labels = [
        {label for series in answer.series for label in series.labels} for _, answer in frames
    ]
    key_labels = sorted(set.intersection(*labels)) if labels else []
    rows: dict[tuple[str, ...], list[dict[str, str | float]]] = {}
    for name, answer in frames:
        for series in answer.series:
            row: dict[str, str | float] = {**series.labels, name: series.last or 0.0}
            same = rows.setdefault(tuple(series.labels.get(label, "") for label in key_labels), [])
            fitting = [old for old in same if all(old.get(k, v) == v for k, v in row.items())]
            for old in fitting:
                old.update(row)
            if not fitting:
                same.append(row)
    return [row for same in rows.values() for row in same]
