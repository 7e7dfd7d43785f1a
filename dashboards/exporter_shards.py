"""The panels of the exporter dashboard about shards and about accounts, which are optional."""

from dashboards.panels import About, Panel, Size, events, history, instant, query, tile
from dashboards.scope import PLACE
from dashboards.selectors import (
    CHOSEN,
    by_exporter,
    nonzero,
    of_app,
    of_exporter,
    once,
    up,
)
from dashboards.states import values
from dashboards.tables import Label, Value, table_of
from dashboards.totals import counted
from rk_exporter.model.palette import BAD, GOOD


_SHARD, _SHARDS = of_exporter("rk_exporter_shard"), of_exporter("rk_exporter_shards")
_NO_ACCOUNT = "No account is configured: see accounts."


def exporters() -> Panel:
    """Show what each exporter reads."""
    return table_of(
        About(
            "Exporters",
            "Each selected exporter, the number of its shard if it has one, and how many apps and "
            "meetings it reads. An exporter that is DOWN shows nothing.",
            unit="none",
        ),
        [
            Label("Exporter", "exporter"),
            Value(
                "Scrape",
                _of_each(up()),
                width=85,
                texts=values({1: ("UP", GOOD), 0: ("DOWN", BAD)}),
            ),
            Value("Shard", _of_each(_SHARD), unit="none", width=75),
            Value("Of", _of_each(_SHARDS), unit="none", width=60),
            Value("Apps", _of_each(_by_exporter("count", "rk_up")), unit="none", width=70),
            Value("Meetings", _of_each(_by_exporter("sum", "rk_meetings")), unit="none", width=95),
        ],
        size=Size(9, 8),
        sorted_by="Exporter",
        descending=False,
        empty="Prometheus scrapes no exporter.",
    )


def missing() -> Panel:
    """Show how many shards do not run."""
    running = f'count by ({PLACE}) (count_values by ({PLACE}) ("shard", {_SHARD}))'
    return tile(
        About(
            "Shards missing",
            "How many shards do not run. Nobody reads their apps.",
            unit="none",
        ),
        instant(f"sum(clamp_min(max by ({PLACE}) ({_SHARDS}) - {running}, 0))"),
        size=Size(3, 8),
        colours={0: GOOD, 1: BAD},
        absent="no shards",
    )


def apps() -> Panel:
    """Show how many apps accounts have."""
    return history(
        About(
            "Apps of accounts",
            "Apps of each account that are read, by all shards together.",
        ),
        [query(once("rk_account", of_exporter("rk_account_apps")), "{{rk_account}}")],
        size=Size(6, 8),
        absent=_NO_ACCOUNT,
    )


def failures() -> Panel:
    """Show the failed calls for the lists of apps."""
    failed = counted(of_exporter("rk_account_api_request_failures_total"))
    panel = events(
        About(
            "Failed lists of apps",
            "API calls for the apps of an account that returned no usable data, by reason. The "
            "known apps are read as before.",
        ),
        [query(nonzero(failed, "reason"), "{{reason}}")],
        size=Size(6, 8),
        shades_of=BAD,
        colours={"none": GOOD},
        absent=_NO_ACCOUNT,
    )
    return panel.axis_soft_max(1)


def _by_exporter(function: str, metric: str) -> str:
    return f"{function} by ({CHOSEN.exporter}) ({of_app(metric)})"


def _of_each(promql: str) -> str:
    return once("exporter", by_exporter(promql))
