"""RealtimeKit / Exporter: the exporter's API calls, budget, failures and data age."""

from grafana_foundation_sdk.builders import dashboard

from dashboards import downloads
from dashboards import exporter_archives as archives
from dashboards import exporter_calls as calls
from dashboards import exporter_data as data
from dashboards import exporter_process as process
from dashboards import exporter_shards as shards
from dashboards import exporter_webhooks as webhooks
from dashboards.frame import Framing, Row, framed
from dashboards.links import EXPORTER
from dashboards.panels import DURATION, About, Panel, Size, instant, number, text_of, tile
from dashboards.selectors import CHOSEN, of_app, of_exporter, once, or_zero, up
from dashboards.settings import THRESHOLDS
from dashboards.states import values
from rk_exporter.model.palette import BAD, GOOD, SOON


_FIGURE = Size(3, 4)


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    return framed(
        Framing(
            "Exporter",
            EXPORTER,
            "The exporter's API calls and budget, and the meetings that it could not read.",
            since="now-3h",
        ),
        [
            Row("Now", [*_exporters(), *_meetings()]),
            Row("API budget", [calls.budget(), calls.rate_limit()]),
            Row("API calls", [calls.endpoints(), calls.codes(), calls.failures()]),
            Row("Passes", [calls.latency(), data.pass_duration(), data.deferred()]),
            Row("Data", [data.stale(), data.ages(), data.sources()]),
            Row(
                "Shards and accounts",
                [shards.exporters(), shards.missing(), shards.apps(), shards.failures()],
                collapsed=True,
            ),
            Row("Downloads", [downloads.checks()], collapsed=True),
            Row(
                "Archives",
                [archives.not_archived(), archives.objects(), archives.list_duration()],
                collapsed=True,
            ),
            Row(
                "Webhooks",
                [webhooks.health(), webhooks.received(), webhooks.missed()],
                collapsed=True,
            ),
            Row(
                "Processes",
                [process.memory(), process.cpu(), process.uptime(), process.malformed()],
                collapsed=True,
            ),
        ],
    )


def _exporters() -> list[Panel]:
    """Return the figures about exporters and their calls."""
    remaining = f"{of_app('rk_api_budget_remaining')} / {of_app('rk_api_budget_limit')}"
    blocked_until = of_app("rk_api_blocked_until_timestamp_seconds")
    return [
        tile(
            About(
                "Scrapes",
                "DOWN if Prometheus cannot scrape one of the selected exporters. Targets of other "
                "programs do not count.",
                unit="none",
            ),
            instant(f"min({up()})"),
            size=_FIGURE,
            colours={0: BAD, 1: GOOD},
            texts=values({1: ("UP", GOOD), 0: ("DOWN", BAD)}),
            absent="no target",
        ),
        text_of(
            About("Version", "Version of the selected exporters.", unit="none"),
            instant(f"count by (exporter_version) ({of_exporter('rk_exporter_build_info')})"),
            label="exporter_version",
            size=_FIGURE,
        ),
        text_of(
            About(
                "Read mode",
                "active-recording makes one call per meeting. list reads the app's list, a hundred "
                "recordings per call.",
                unit="none",
            ),
            instant(f"count by (read) ({of_app('rk_app_info')})"),
            label="read",
            size=_FIGURE,
        ),
        tile(
            About(
                "Budget left",
                "Share of the allowed calls in 5 minutes that is left, of the app that has the "
                "least. After a restart without --state.file, most of it counts as used.",
                unit="percentunit",
            ),
            instant(f"min({remaining})"),
            size=_FIGURE,
            colours={0: SOON, THRESHOLDS.api_budget_remaining_ratio: GOOD},
        ),
        tile(
            About(
                "Blocked for",
                "How long API calls remain suspended after Cloudflare's rate limit was exceeded or "
                "a token was rejected. `no` means that they are not suspended.",
                unit=DURATION,
            ),
            instant(or_zero(f"max({blocked_until}) - time() > 0")),
            size=_FIGURE,
            colours={0: BAD},
            texts=values({0: ("no", GOOD)}),
        ),
    ]


def _meetings() -> list[Panel]:
    """Return the figures about meetings."""
    in_list, deferred = (
        once(CHOSEN.app_in_place, of_app(metric))
        for metric in ("rk_meetings", "rk_meetings_deferred")
    )
    return [
        number(
            About("Meetings", "Number of meetings: configured, from files, and live ones."),
            instant(f"sum({in_list})"),
            size=_FIGURE,
        ),
        tile(
            About(
                "Deferred",
                "Meetings not read in the last pass because the budget or the time ran out, or "
                "calls were suspended. A later pass reads them.",
            ),
            instant(or_zero(f"sum({deferred})")),
            size=_FIGURE,
            colours={0: GOOD, 1: SOON},
        ),
        tile(
            About(
                "Unreadable",
                "Meetings whose last read failed. If two exporters read a meeting, both failed.",
            ),
            instant(or_zero(f"count({data.READ_FAILED})")),
            size=_FIGURE,
            colours={0: GOOD, 1: BAD},
        ),
    ]
