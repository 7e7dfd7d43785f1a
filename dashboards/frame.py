"""Everything around the panels of a dashboard: variables, links, annotations, time range."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from dashboards.annotations import annotations
from dashboards.links import TAG, links_from
from dashboards.panels import Panel
from dashboards.variables import expires_within, latest, variables


@dataclass(frozen=True, slots=True)
class Framing:
    """
    The properties of one dashboard without its panels.

    With *has_expiry*, users choose within which time a file expires soon. With *has_latest*, there
    is a variable for the meetings that recorded last.
    """

    title: str
    uid: str
    description: str
    since: str = "now-24h"
    of_one_meeting: bool = False
    has_expiry: bool = False
    has_latest: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels, below a heading if there is a title. A *collapsed* row opens on a click."""

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
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
    )
    for variable in variables(of_one_meeting=about.of_one_meeting):
        framing.with_variable(variable)
    if about.has_expiry:
        framing.with_variable(expires_within())
    if about.has_latest:
        framing.with_variable(latest())
    for link in links_from(about.uid):
        framing.link(link)
    for annotation in annotations():
        framing.annotation(annotation)
    for row in rows:
        _add(framing, row)
    return framing


def _add(framing: dashboard.Dashboard, row: Row) -> None:
    heading = dashboard.Row(row.title).collapsed(row.collapsed)
    if row.title and not row.collapsed:
        framing.with_row(heading)
    for panel in row.panels:
        # In the classic format, a collapsed row contains its panels, and an open one precedes them.
        (heading if row.collapsed else framing).with_panel(panel)
    if row.collapsed:
        framing.with_row(heading)
