"""Marks in all charts: when alerts began to fire, and when exporters started."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import dashboard

from dashboards.panels import DATASOURCE
from dashboards.selectors import as_time, firing, of_process
from rk_exporter.model.thresholds import LONGEST_SCRAPE_INTERVAL_SECONDS


_OTHER_SEVERITIES = 'severity!="critical"'


def annotations() -> Iterator[dashboard.AnnotationQuery]:
    """Yield the annotations. The first and the last are shown until somebody switches them off."""
    critical = _beginning(firing('severity="critical"'))
    yield _of_alerts("Critical alerts", critical, "red").enable(True)
    yield _of_alerts("Other alerts", _beginning(firing(_OTHER_SEVERITIES)), "orange").enable(False)
    yield (
        _marks("Exporter starts", as_time(of_process("process_start_time_seconds")), "blue")
        .enable(True)
        .use_value_for_time(True)
        .title_format("Exporter started")
        .text_format("{{job}} {{instance}}")
    )


def _beginning(promql: str) -> str:
    """Return the start of each series. Alerts about failures fire for a day, a shade that long."""
    return f"{promql}\nunless\n{promql} offset {LONGEST_SCRAPE_INTERVAL_SECONDS}s"


def _of_alerts(name: str, promql: str, colour: str) -> dashboard.AnnotationQuery:
    return (
        _marks(name, promql, colour)
        .title_format("{{alertname}}")
        .text_format("{{rk_app}} {{meeting_id}}")
        .tag_keys("severity")
    )


def _marks(name: str, promql: str, colour: str) -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .icon_color(colour)
        .expr(promql)
    )
