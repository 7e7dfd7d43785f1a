"""Everything around the panels of a dashboard: variables, links, annotations, time range."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from dashboards.panels import DATASOURCE, Panel
from dashboards.selectors import of_app, of_exporter, of_meeting


TAG = "realtimekit"
OVERVIEW, RECORDINGS, RECORDING, EXPORTER = (
    "rk-overview",
    "rk-recordings",
    "rk-recording",
    "rk-exporter",
)
ALL = ".+"


@dataclass(frozen=True, slots=True)
class Framing:
    """The properties of one dashboard without its panels."""

    title: str
    uid: str
    description: str
    since: str = "now-24h"
    of_one_meeting: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels below a heading. A *collapsed* row opens on a click."""

    title: str
    panels: Sequence[Panel]
    collapsed: bool = False


def framed(about: Framing, rows: Sequence[Row]) -> dashboard.Dashboard:
    """Return a dashboard with these rows."""
    framing = (
        dashboard.Dashboard(f"RealtimeKit / {about.title}")
        .uid(about.uid)
        .description(about.description)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .time(about.since, "now")
        .refresh("1m")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(_links())
        .annotation(_alerts())
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
    )
    for variable in _variables(of_one_meeting=about.of_one_meeting):
        framing.with_variable(variable)
    for row in rows:
        _add(framing, row)
    return framing


def _add(framing: dashboard.Dashboard, row: Row) -> None:
    heading = dashboard.Row(row.title).collapsed(row.collapsed)
    if not row.collapsed:
        framing.with_row(heading)
    for panel in row.panels:
        # In the classic format, a collapsed row contains its panels, and an open one precedes them.
        (heading if row.collapsed else framing).with_panel(panel)
    if row.collapsed:
        framing.with_row(heading)


def link_to(uid: str, **columns: str) -> str:
    """
    Return the link from a table to another dashboard that keeps the exporters.

    It sets variables to the values of *columns* in the row.
    """
    kept = ("datasource", "job", "instance")
    parts = [f"${{{name}:queryparam}}" for name in kept]
    # Names may contain characters with a meaning in URLs, e.g. &, # and +.
    parts += [
        f'var-{name}=${{__data.fields["{column}"]:percentencode}}'
        for name, column in columns.items()
    ]
    return f"/d/{uid}?{'&'.join(parts)}&${{__url_time_range}}"


def _variables(*, of_one_meeting: bool) -> Iterator[dashboard.QueryVariable]:
    builds = "rk_exporter_build_info"
    meetings = f"label_values({of_app('rk_meeting_info')}, meeting_id)"
    yield _any_of("job", "Job", f"label_values({builds}, job)")
    yield _any_of("instance", "Instance", f'label_values({builds}{{job=~"$job"}}, instance)')
    yield _any_of("app", "App", f"label_values({of_exporter('rk_meetings')}, rk_app)")
    if not of_one_meeting:
        yield _any_of("meeting", "Meeting", meetings)
        return
    yield _one_of("meeting", "Meeting", meetings)
    recordings = f"label_values({of_meeting('rk_recording_status')}, recording_id)"
    yield _any_of("recording", "Recording", recordings)


def _one_of(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )


def _any_of(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        _one_of(name, label, query)
        .multi(True)
        .include_all(True)
        .all_value(ALL)
        .current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _links() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("RealtimeKit")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .keep_time(True)
        .include_vars(True)
    )


def _alerts() -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name("Alerts")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("red")
        .expr('ALERTS{alertname=~"RealtimeKit.+", alertstate="firing", severity!="info"}')
        .title_format("{{alertname}}")
        .text_format("{{rk_app}} {{meeting_id}}")
        .tag_keys("severity")
    )
