"""The thresholds as recorded series, which the other rules read."""

from collections.abc import Container, Iterator

from dashboards.alerting.rule import Record
from dashboards.settings import THRESHOLDS
from rk_exporter.model.thresholds import MEANINGS


def threshold_rules(names: Container[str]) -> Iterator[Record]:
    """Yield a rule for each threshold that has one of these *names*."""
    for name, meaning in MEANINGS.items():
        if name in names:
            yield Record(f"rk:{name}:threshold", str(getattr(THRESHOLDS, name)), note=meaning)
