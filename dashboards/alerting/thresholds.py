"""The thresholds as recorded series, which the other rules read."""

from collections.abc import Iterator

from dashboards.alerting.rule import Record
from dashboards.settings import THRESHOLDS
from rk_exporter.model.thresholds import MEANINGS


def threshold_rules() -> Iterator[Record]:
    """Yield a rule for each threshold."""
    for name, meaning in MEANINGS.items():
        yield Record(f"rk:{name}:threshold", str(getattr(THRESHOLDS, name)), note=meaning)
