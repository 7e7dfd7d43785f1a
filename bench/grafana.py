"""What Grafana asks Prometheus for a panel of a dashboard."""

import json

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rk_exporter.config.parsers import parse_duration
from tests.support.monitoring.grafana import Question, panels_of, questions
from tests.support.monitoring.servers import Prometheus


SCRAPE_SECONDS = 15.0
# Grafana's `concurrent_query_count`, since Grafana 12 also for Prometheus.
_PARALLEL_QUERIES = 10
_SCREEN_PIXELS, _GRID_COLUMNS = 1920, 24
# Grafana rounds the time between two points to one of these, at the border before it.
_STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600)
_BORDERS = (1.5, 3.5, 7.5, 12.5, 17.5, 25, 45, 90, 210, 450, 750, 1050, 1500, 2700)


@dataclass(frozen=True, slots=True)
class PanelQueries:
    """The queries of one panel; *dashboard* also has queries of its variables."""

    dashboard: str
    title: str
    questions: tuple[Question, ...]
    range_seconds: float
    step_seconds: float

    @property
    def points(self) -> int:
        """Return the number of points of a line."""
        return int(self.range_seconds / self.step_seconds)

    def ask(self, prometheus: Prometheus) -> int:
        """Ask all of them at the same time, and return the number of series."""
        with ThreadPoolExecutor(_PARALLEL_QUERIES) as executor:
            answers = executor.map(partial(self._answer, prometheus), self.questions)
            return sum(map(len, answers))

    def _answer(self, prometheus: Prometheus, question: Question) -> list[Any]:
        if question.label:
            selectors = [question.promql] if question.promql else []
            return list(prometheus.label_values(question.label, *selectors))
        if not question.is_range:
            return prometheus.query(question.promql)
        return prometheus.query_range(
            question.promql, seconds=self.range_seconds, step_seconds=self.step_seconds
        )


def panel_queries(
    file: Path,
    chosen: Mapping[str, str],
    selected: Mapping[str, Sequence[str]],
    *,
    most_seconds: float,
) -> Iterator[PanelQueries]:
    """
    Yield the queries of each panel of a dashboard.

    They have the number of points of its default time range, also if that is longer than
    *most_seconds*. The number of points times that of the series is the cost.
    """
    dashboard = json.loads(file.read_text())
    wanted = parse_duration(dashboard["time"]["from"].removeprefix("now-"))
    seconds = min(wanted, most_seconds)
    for panel in panels_of(dashboard["panels"]):
        if panel.get("targets"):
            step = _step_seconds(panel, wanted) * seconds / wanted
            alone = {**dashboard, "panels": [panel], "annotations": {"list": []}}
            found = tuple(
                question
                for question in questions(
                    alone, chosen, _built_in(seconds, step), selected=selected
                )
                if question.panel
            )
            yield PanelQueries(file.stem, panel["title"], found, seconds, step)
    around = {**dashboard, "panels": []}
    step = _rounded(wanted / _SCREEN_PIXELS) * seconds / wanted
    of_frame = tuple(questions(around, chosen, _built_in(seconds, step), selected=selected))
    yield PanelQueries(file.stem, "(variables, annotations)", of_frame, seconds, step)


def _step_seconds(panel: Mapping[str, Any], range_seconds: float) -> float:
    """Return the time between two points: one pixel, but no less than a scrape."""
    pixels = panel.get("maxDataPoints") or _SCREEN_PIXELS * panel["gridPos"]["w"] / _GRID_COLUMNS
    least = parse_duration(panel.get("interval") or f"{SCRAPE_SECONDS:.0f}s")
    return max(_rounded(range_seconds / pixels), least)


def _rounded(seconds: float) -> float:
    index = sum(seconds >= border for border in _BORDERS)
    return max(float(_STEPS[index]), SCRAPE_SECONDS)


def _built_in(range_seconds: float, step_seconds: float) -> Mapping[str, str]:
    rate_seconds = max(step_seconds + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)
    return {
        "__rate_interval": f"{rate_seconds:.0f}s",
        "__interval": f"{step_seconds:.0f}s",
        "__interval_ms": f"{1000 * step_seconds:.0f}",
        "__range": f"{range_seconds:.0f}s",
        "__range_s": f"{range_seconds:.0f}",
        "__range_ms": f"{1000 * range_seconds:.0f}",
    }
