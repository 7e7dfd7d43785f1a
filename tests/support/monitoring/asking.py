"""What dashboards' expressions return in simulated time, with all variables on All."""

import re

from collections.abc import Mapping, Sequence

from rk_exporter.assets.template import filled
from tests.support.monitoring.simulated import Question, Sample, answers
from tests.support.monitoring.timelines import Scraping, Target, Timeline, case_of


QUARTER_MINUTE = Scraping(15, first_missed=None)
_VARIABLE = re.compile(r'"\$[a-z]\w*\|?"')


def asked(
    promtool: str,
    promql: str,
    targets: Sequence[Target],
    *,
    minutes: Sequence[float],
    scraping: Scraping = QUARTER_MINUTE,
) -> list[list[Sample]]:
    """Return the result of an expression at each of these *minutes*. No rules are loaded."""
    chosen = _VARIABLE.sub('".*"', filled(promql, {}))
    questions = [Question(chosen, 60 * minute) for minute in minutes]
    timeline = Timeline(max(minutes) + 1, targets)
    (found,) = answers(promtool, None, [case_of(timeline, scraping, questions)])
    return found


def by_label(samples: Sequence[Sample], label: str) -> Mapping[str, float]:
    """Return the values by a label, of which no value may occur twice."""
    found = {sample.labels.get(label, ""): sample.value for sample in samples}
    assert len(found) == len(samples), samples
    return found
