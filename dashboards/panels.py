"""Panel types and styles that all dashboards share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from dashboards import legends
from dashboards.histograms import known_quantile
from rk_exporter.model.palette import UNKNOWN


DATASOURCE = common_models.DataSourceRef(type_val="prometheus", uid="${datasource}")

DURATION, LONG_DURATION = "dthms", "dtdhms"
"""Hours, minutes and seconds, and the same with days."""
Steps = Mapping[float, str]
"""The colour from each value on."""
Panel = Builder[models.Panel]


P = TypeVar("P", stat.Panel, timeseries.Panel, bargauge.Panel, statetimeline.Panel, table.Panel)

_SHADES = models.FieldColorModeId.SHADES
# A long delay may be normal, so no colour looks like an alarm.
_QUANTILES = {
    "p50": (0.5, "light-blue"),
    "p90": (0.9, "blue"),
    "p99": (0.99, "purple"),
}


@dataclass(frozen=True, slots=True)
class About:
    """Title and description of a panel, and the unit of its values."""

    title: str
    description: str
    unit: str = "short"


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a panel in the dashboard's grid, which has 24 columns."""

    width: int
    height: int


def query(promql: str, legend: str = "") -> prometheus.Dataquery:
    """Return a range query over the dashboard's time range."""
    target = prometheus.Dataquery().datasource(DATASOURCE).expr(promql).range()
    return target.legend_format(legend) if legend else target


def instant(promql: str, legend: str = "") -> prometheus.Dataquery:
    """Return an instant query."""
    target = prometheus.Dataquery().datasource(DATASOURCE).expr(promql).instant()
    return target.legend_format(legend) if legend else target


def steps(colours: Steps, below: str = "text") -> dashboard.ThresholdsConfig:
    """Return the colours of values. Values below the first step have the colour *below*."""
    first = models.Threshold(value=None, color=below)
    others = [models.Threshold(value=value, color=colour) for value, colour in colours.items()]
    config = dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE)
    return config.steps([first, *others])


def described(panel: P, about: About, size: Size) -> P:
    """Set the properties that every panel has."""
    return (
        panel.title(about.title)
        .description(about.description)
        .datasource(DATASOURCE)
        .unit(about.unit)
        .span(size.width)
        .height(size.height)
    )


def number(  # noqa: PLR0913 # each is a property of the panel
    about: About,
    target: prometheus.Dataquery,
    *,
    size: Size,
    colours: Steps | None = None,
    texts: Sequence[models.ValueMapping] = (),
    absent: str = "unknown",
    decimals: int | None = None,
) -> stat.Panel:
    """Show one number, or the text *absent* if there is no value."""
    panel = (
        described(stat.Panel(), about, size)
        .with_target(target)
        .thresholds(steps(colours or {}))
        .color_mode(common_models.BigValueColorMode.VALUE)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value(absent)
    )
    if texts:
        panel.mappings(list(texts))
    if decimals is not None:
        panel.decimals(decimals)
    return panel


def tile(  # noqa: PLR0913 # each is a property of the panel
    about: About,
    target: prometheus.Dataquery,
    *,
    size: Size,
    colours: Steps,
    texts: Sequence[models.ValueMapping] = (),
    link: str | None = None,
    absent: str = "unknown",
) -> stat.Panel:
    """Show one number on a solid colour, which is grey if there is no value."""
    panel = number(about, target, size=size, texts=texts, absent=absent, decimals=0)
    if link:
        details = dashboard.DashboardLink("Details").type(models.DashboardLinkType.LINK)
        panel.links([details.url(link)])
    return panel.thresholds(steps(colours, UNKNOWN)).color_mode(
        common_models.BigValueColorMode.BACKGROUND
    )


def text_of(about: About, target: prometheus.Dataquery, *, label: str, size: Size) -> stat.Panel:
    """Show a label of the series instead of its value."""
    target.legend_format(f"{{{{{label}}}}}")
    return number(about, target, size=size).text_mode(common_models.BigValueTextMode.NAME)


def history(
    about: About,
    targets: Sequence[prometheus.Dataquery],
    *,
    size: Size,
    colours: Mapping[str, str] | None = None,
    stacked: bool = False,
    absent: str | None = None,
) -> timeseries.Panel:
    """Show series over time. *colours* are by the name of the series."""
    panel = (
        described(timeseries.Panel(), about, size)
        .targets(list(targets))
        .min(0)
        .line_width(1)
        # Colours that shine through would look like others.
        .fill_opacity(100 if stacked else 0)
        .show_points(common_models.VisibilityMode.NEVER)
        # A gap means that the value was unknown.
        .span_nulls(False)
        .legend(legends.compact("lastNotNull"))
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
    )
    if stacked:
        mode = common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A")
        panel.stacking(mode)
    if absent is not None:
        panel.no_value(absent)
    for name, colour in (colours or {}).items():
        panel.override_by_name(name, [fixed(colour)])
    return panel


def quantiles(
    about: About,
    growth: Callable[[str], str],
    metric: str,
    *,
    size: Size,
    absent: str | None = None,
) -> timeseries.Panel:
    """Show the distribution of a histogram. *growth* is what a series has grown by."""
    return history(
        about,
        [
            query(known_quantile(share, growth, metric), name)
            for name, (share, _) in _QUANTILES.items()
        ],
        size=size,
        colours={name: colour for name, (_, colour) in _QUANTILES.items()},
        absent=absent,
    ).legend(legends.compact("lastNotNull", "max"))


def events(
    about: About,
    targets: Sequence[prometheus.Dataquery],
    *,
    size: Size,
    colours: Mapping[str, str] | None = None,
    shades_of: str | None = None,
    absent: str | None = None,
) -> timeseries.Panel:
    """
    Show the number of events in each `$__interval` as stacked bars.

    *colours* are by the name of the series. Others have shades of the colour *shades_of*, so that
    no bad event is green.
    """
    panel = history(about, targets, size=size, colours=colours, stacked=True, absent=absent)
    if shades_of:
        panel.color_scheme(dashboard.FieldColor().mode(_SHADES).fixed_color(shades_of))
    # Each bar has at least two scrapes, even with a long scrape interval.
    panel.interval("5m")
    panel.legend(legends.compact("sum"))
    return panel.draw_style(common_models.GraphDrawStyle.BARS).decimals(0)


def bars(  # noqa: PLR0913 # each is a property of the panel
    about: About,
    targets: Sequence[prometheus.Dataquery],
    *,
    size: Size,
    most: float | None = None,
    colours: Steps | None = None,
    fixed_colours: Mapping[str, str] | None = None,
    absent: str = "none",
) -> bargauge.Panel:
    """Show one bar for each series. *most* is the end of the scale."""
    panel = (
        described(bargauge.Panel(), about, size)
        .targets(list(targets))
        .min(0)
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .thresholds(steps(colours or {}))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .text(common.VizTextDisplayOptions().title_size(12).value_size(18))
        # Some colours are hard to read as text on a dark or a light page.
        .value_mode(common_models.BarGaugeValueMode.TEXT)
        .no_value(absent)
    )
    if most is not None:
        panel.max(most)
    for name, colour in (fixed_colours or {}).items():
        panel.override_by_name(name, [fixed(colour)])
    return panel


def timeline(
    about: About,
    targets: Sequence[prometheus.Dataquery],
    *,
    size: Size,
    texts: Sequence[models.ValueMapping],
    absent: str = "No state is known in this time range.",
) -> statetimeline.Panel:
    """Show the *texts* of values over time, one row per series."""
    return (
        described(statetimeline.Panel(), about, size)
        .targets(list(targets))
        .mappings(list(texts))
        .merge_values(True)
        .fill_opacity(100)
        .line_width(0)
        .per_page(20)
        .no_value(absent)
        .legend(legends.names())
    )


def fixed(colour: str) -> models.DynamicConfigValue:
    """Return the override for a fixed colour."""
    return models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def dashed() -> list[models.DynamicConfigValue]:
    """Return the overrides for a dashed line, which marks a limit."""
    style = {"fill": "dash", "dash": [8, 8]}
    return [
        models.DynamicConfigValue(id_val="custom.lineStyle", value=style),
        models.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
    ]
