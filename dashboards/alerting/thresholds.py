"""The thresholds as recorded series, which the other rules read."""

from collections.abc import Iterator
from dataclasses import asdict

from dashboards.alerting.rule import Record
from rk_exporter.model.thresholds import MEANINGS, Thresholds


def threshold_rules(thresholds: Thresholds) -> Iterator[Record]:
    """Yield a rule for each threshold."""
    for name, value in asdict(thresholds).items():
        yield Record(f"rk:{name}:threshold", f"{value:g}", note=MEANINGS[name])
