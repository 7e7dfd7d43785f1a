"""RealtimeKit / Service level: objectives, error budgets, delays, and what was recorded."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, dashboard, timeseries
from grafana_foundation_sdk.models import common as models

from dashboards import service_level_queries as queries
from dashboards.frame import Framing, Row, framed
from dashboards.legends import in_table
from dashboards.links import RECORDING, SERVICE_LEVEL, link_to
from dashboards.panels import (
    DURATION,
    About,
    Panel,
    Size,
    dashed,
    history,
    instant,
    query,
    tile,
)
from dashboards.queries import REQUESTED_AT
from dashboards.selectors import as_time
from dashboards.tables import Label, Value, table_of
from rk_exporter.model.palette import BAD, GOOD, SOON


_RULES = "rk-exporter-service-levels.rules.yml"
_NEEDS_RULES = f"No recording has ended, or Prometheus does not have {_RULES}."
_NO_DAY = f"No day is over, or Prometheus does not have {_RULES}."
_UPDATED = f"It needs the optional rules, {_RULES}."
_LEFT = {-1e9: BAD, 0: SOON, 0.5: GOOD}
_BURNS = {1: SOON, queries.CRITICAL_BURN: BAD}
_MEANINGS = {
    "succeed": ("Recordings succeed", "leave a file"),
    "start": ("Recordings start in time", "start within 30 seconds"),
    "arrive": ("Files arrive in time", "are UPLOADED within an hour of their end"),
}
_THIRD, _HALF = Size(8, 4), Size(12, 9)
_APP = "{{rk_app}}"
_APP_AND_OBJECTIVE = "{{rk_app}}, {{objective}}"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    return framed(
        Framing(
            "Service level",
            SERVICE_LEVEL,
            "Whether recordings are as good as agreed over 28 days, how much of the error budgets "
            "is left, the slowest starts and uploads, and what was recorded and what it costs.",
            since="now-28d",
        ),
        [
            Row("Objectives", [*_tiles(), _objectives(), _left(), _burning()]),
            Row("Delays", [*_slowest(), *_quantiles()]),
            Row("Recorded, by day", _by_day()),
        ],
    )


def _tiles() -> Sequence[Panel]:
    return [
        tile(
            About(
                f"{title}: budget left",
                f"Error budget of 28 days that is left, of the app with the least: the share of "
                f"recordings that {meaning}. Yellow: less than half is left. Red: the objective is "
                f"missed. {_UPDATED}",
                unit="percentunit",
            ),
            instant(queries.least_left(name)),
            size=_THIRD,
            colours=_LEFT,
            absent="no recording, or no rules",
        )
        for name, (title, meaning) in _MEANINGS.items()
    ]


def _objectives() -> Panel:
    return table_of(
        About(
            "Objectives by app",
            "Share of recordings that met each objective within 28 days, and how fast the error "
            "budget is used up: at 1, it lasts exactly 28 days. succeed: recordings that leave a "
            "file. start: recordings that start within 30 seconds. arrive: files that are there "
            f"within an hour. {_UPDATED}",
        ),
        [
            Label("App", "rk_app"),
            Label("Objective", "objective", width=120),
            Value("Met", queries.met(), unit="percentunit", width=110, decimals=2),
            Value("Agreed", queries.agreed(), unit="percentunit", width=110, decimals=2),
            Value(
                "Budget left",
                queries.budget_left(),
                unit="percentunit",
                width=120,
                colours=_LEFT,
                is_filled=True,
                decimals=0,
            ),
            _burn("Burn, 1 h", "1h"),
            _burn("Burn, 6 h", "6h"),
            _burn("Burn, 3 d", "3d"),
            Value("Recordings", queries.recordings("28d"), unit="none", width=120),
        ],
        size=Size(24, 11),
        sorted_by="Budget left",
        descending=False,
        empty=_NEEDS_RULES,
    )


def _burn(title: str, window: str) -> Value:
    rate = queries.burn_rate(window)
    return Value(title, rate, width=110, colours=_BURNS, is_filled=True, decimals=1)


def _left() -> Panel:
    panel = history(
        About(
            "Error budget left",
            "Share of the error budget of the 28 days before that is left. Values below -100 % are "
            f"only in the legend. {_UPDATED}",
            unit="percentunit",
        ),
        [query(queries.budget_left(), _APP_AND_OBJECTIVE)],
        size=_HALF,
        absent=_NEEDS_RULES,
    )
    # The budget may be overdrawn many times, which would hide the rest.
    return panel.min(-1).max(1).legend(_beside("lastNotNull", "min"))


def _burning() -> Panel:
    panel = history(
        About(
            "Burn rate, 6 hours",
            "How many times too fast the error budget is used up, by the recordings of 6 hours. "
            f"Above the dashed line, the alert becomes critical. {_UPDATED}",
        ),
        [
            query(queries.burn_rate("6h"), _APP_AND_OBJECTIVE),
            query(queries.critical(), "critical"),
        ],
        size=_HALF,
        colours={"critical": BAD},
        absent=_NEEDS_RULES,
    )
    panel.legend(_beside("lastNotNull", "max"))
    return panel.override_by_name("critical", dashed())


def _beside(*values: str) -> common.VizLegendOptions:
    """Return a legend with many lines, because each app has three objectives."""
    return in_table(*values).placement(models.LegendPlacement.RIGHT)


def _slowest() -> Sequence[Panel]:
    return [
        _ranking(
            About(
                "Slowest starts",
                f"The {queries.ROWS} known recordings that took longest from the request to the "
                "start. About 2 s is normal.",
            ),
            Value("Delay", queries.slowest_starts(), unit=DURATION, width=110),
            empty="No recording has started.",
        ),
        _ranking(
            About(
                "Longest uploads",
                f"The {queries.ROWS} recordings that have been UPLOADING for the longest time "
                "since they ended.",
            ),
            Value("Since", queries.slowest_uploads(), unit=DURATION, width=110),
            empty="Nothing is being uploaded.",
        ),
    ]


def _ranking(about: About, value: Value, *, empty: str) -> Panel:
    to_recording = link_to(RECORDING, meeting="Meeting id", recording="Id")
    return table_of(
        about,
        [
            Label("App", "rk_app", width=140),
            Label("Meeting", "meeting_name", link=to_recording, link_title="Open recording"),
            Value("Requested", as_time(REQUESTED_AT), unit="dateTimeAsIso", width=165),
            value,
            Label("Meeting id", "meeting_id", is_hidden=True),
            Label("Id", "recording_id", is_hidden=True),
        ],
        size=_HALF,
        sorted_by=value.title,
        only_with=value.title,
        empty=empty,
    )


def _quantiles() -> Sequence[Panel]:
    panels = {
        "Start delay within a day": "rk_recording_start_delay_seconds",
        "Upload delay within a day": "rk_recording_upload_delay_seconds",
    }
    return [
        table_of(
            About(
                title,
                "How long the fastest half, 90 % and 99 % of the recordings of each app took at "
                "most, within a day.",
            ),
            [
                Label("App", "rk_app"),
                *(
                    Value(
                        f"p{100 * share:.0f}",
                        queries.delays(metric, share),
                        unit=DURATION,
                        width=130,
                    )
                    for share in (0.5, 0.9, 0.99)
                ),
            ],
            size=Size(12, 7),
            sorted_by="p99",
            empty="No recording within a day.",
        )
        for title, metric in panels.items()
    ]


def _by_day() -> Sequence[Panel]:
    day = "Each bar is the day before it, from midnight to midnight (UTC)."
    return [
        _days(
            About("Hours", f"Length of the recordings that were uploaded. {day} {_UPDATED}"),
            f"{queries.recorded('seconds')} / 3600",
            absent=_NO_DAY,
        ),
        _days(
            About("Data", f"Size of the files that were uploaded. {day} {_UPDATED}", "bytes"),
            queries.recorded("bytes"),
            absent=_NO_DAY,
        ),
        _days(
            About(
                "Cost",
                "Price of the recordings that were uploaded, as an estimate: the API reports no "
                f"prices. {day} {_UPDATED}",
                "currencyUSD",
            ),
            queries.recorded("cost"),
            absent="No price is set (rk-exporter assets --set price_ratio=1), or no day is over.",
        ),
    ]


def _days(about: About, promql: str, *, absent: str) -> timeseries.Panel:
    panel = history(about, [query(promql, _APP)], size=Size(8, 9), stacked=True, absent=absent)
    return panel.interval("24h").draw_style(models.GraphDrawStyle.BARS).legend(in_table("sum"))
