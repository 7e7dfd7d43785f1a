"""The panels of the exporter dashboard about webhooks, which are optional."""

from collections.abc import Mapping

from dashboards import legends
from dashboards.panels import About, Panel, Size, events, query, timeline
from dashboards.scope import BY_APP
from dashboards.selectors import nonzero, of_app, of_exporter, once
from dashboards.states import values
from dashboards.totals import counted
from rk_exporter.model.palette import BAD, GOOD, SOON
from rk_exporter.webhooks.receiver import Result


_THIRD = Size(8, 8)
_OFF = "No exporter receives webhooks: see webhook.listen_address."
_COLOURS: Mapping[str, str] = {
    Result.ACCEPTED: GOOD,
    Result.DUPLICATE: "light-blue",
    Result.UNKNOWN_MEETING: SOON,
    Result.NO_KEY: "orange",
    Result.MALFORMED: "purple",
    Result.BAD_SIGNATURE: BAD,
}


def received() -> Panel:
    """Show what became of the events that arrived."""
    counts = counted(of_exporter("rk_webhook_events_total"))
    panel = events(
        About(
            "Events",
            "Events that arrived as webhooks, by result. `accepted` is normal, and so are some "
            "duplicates. Each exporter counts those that were sent to it.",
        ),
        [query(nonzero(counts, "result"), "{{result}}")],
        size=_THIRD,
        colours=_COLOURS,
        absent=_OFF,
    )
    return panel.axis_soft_max(1)


def missed() -> Panel:
    """Show the changes that no event announced."""
    counts = counted(of_app("rk_webhook_missed_total"))
    panel = events(
        About(
            "Missed changes",
            "Changes of recordings that polling saw, and that no event announced within 2 minutes. "
            "Of several exporters, the one that got most events counts. `none` means that every "
            "change was announced.",
        ),
        [query(nonzero(f"min by ({BY_APP}) ({counts})", "rk_app"), "{{rk_app}}")],
        size=_THIRD,
        shades_of=SOON,
        colours={"none": GOOD},
        absent=_OFF,
    )
    return panel.axis_soft_max(1)


def health() -> Panel:
    """Show when events announced the changes."""
    return timeline(
        About(
            "Webhooks",
            "Whether events announce the changes that polling sees, in at least one exporter. "
            "Empty while nothing shows it, e.g. after a start or a day without recordings.",
            unit="none",
        ),
        [query(once(BY_APP, of_app("rk_webhook_up")), "{{rk_app}}")],
        size=_THIRD,
        texts=values({1: ("ok", GOOD), 0: ("silent", BAD)}),
        absent=_OFF,
    ).legend(legends.names().show_legend(False))
