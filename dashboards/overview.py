"""RealtimeKit / Overview: whether recording works, at a glance."""

from grafana_foundation_sdk.builders import dashboard

from dashboards.frame import Framing, Row, framed
from dashboards.links import OVERVIEW
from dashboards.overview_alerts import alerts
from dashboards.overview_details import delays, failures, files, live
from dashboards.overview_figures import tiles
from dashboards.overview_meetings import meetings
from dashboards.panels import About, Panel, Size, events, history, query
from dashboards.queries import in_states
from dashboards.selectors import CHOSEN, of_app
from dashboards.states import COLOURS, IN_PROGRESS
from dashboards.totals import growth_of_apps
from rk_exporter.model.palette import SOON


_SMALL = Size(7, 8)
_OUTCOME_COLOURS = {
    "uploaded": COLOURS["UPLOADED"],
    "errored": COLOURS["ERRORED"],
    "upload_failed": SOON,
    "vanished": COLOURS["UNKNOWN"],
}


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    return framed(
        Framing(
            "Overview",
            OVERVIEW,
            "Shows whether recording works: meetings with problems, recordings in progress, and "
            "files that expire soon. It fits on one screen and needs no rules.",
            has_expiry=True,
        ),
        [
            Row("", [*tiles(), meetings(), _states(), _ended(), alerts()]),
            Row("Live meetings that nobody records", live(), collapsed=True),
            Row("Failures", failures(), collapsed=True),
            Row("Delays", delays(), collapsed=True),
            Row("Files", files(), collapsed=True),
        ],
    )


def _states() -> Panel:
    return history(
        About("In progress", "Recordings in each state that is not final."),
        [query(f"sum({in_states(name)})", name) for name in IN_PROGRESS],
        size=_SMALL,
        colours=COLOURS,
        stacked=True,
        absent="Nothing is known about recordings at this time.",
    )


def _ended() -> Panel:
    ended = growth_of_apps(CHOSEN, of_app("rk_recordings_finished_total"), more="outcome")
    return events(
        About(
            "Ended",
            "Ended recordings by outcome. Vanished recordings no longer exist in the API, e.g. "
            "those of empty meetings.",
        ),
        [query(f"sum by (outcome) ({ended})", "{{outcome}}")],
        size=_SMALL,
        colours=_OUTCOME_COLOURS,
    )
