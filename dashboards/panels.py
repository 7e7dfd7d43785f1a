"""Panels as all dashboards have them: what stands in here stands in no dashboard."""

from collections.abc import Mapping, Sequence
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

from dashboards.states import as_text


DATASOURCE = common_models.DataSourceRef(type_val="prometheus", uid="${datasource}")

Steps = Mapping[float, str]
"""From which value on which colour."""
Panel = Builder[models.Panel]


P = TypeVar("P", stat.Panel, timeseries.Panel, bargauge.Panel, statetimeline.Panel, table.Panel)

# By their share of all values.
_QUANTILES = {
    "median": (0.5, "green"),
    "9 of 10": (0.9, "yellow"),
    "99 of 100": (0.99, "red"),
}


@dataclass(frozen=True, slots=True)
class About:
    """What a panel shows, and what it means where it shows nothing."""

    title: str
    description: str
    unit: str = "short"


@dataclass(frozen=True, slots=True)
class Size:
    """How much of the dashboard's grid, which is 24 wide, a panel takes."""

    width: int
    height: int


def query(promql: str, legend: str = "") -> prometheus.Dataquery:
    """Ask for a series over the dashboard's time."""
    asked = prometheus.Dataquery().datasource(DATASOURCE).expr(promql).range()
    return asked.legend_format(legend) if legend else asked


def instant(promql: str, legend: str = "") -> prometheus.Dataquery:
    """Ask for what is now."""
    asked = prometheus.Dataquery().datasource(DATASOURCE).expr(promql).instant()
    return asked.legend_format(legend) if legend else asked


def steps(colours: Steps) -> dashboard.ThresholdsConfig:
    """Return the colours of values; below the first step, and where there is none, that of text."""
    first = models.Threshold(value=None, color="text")
    others = [models.Threshold(value=value, color=colour) for value, colour in colours.items()]
    config = dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE)
    return config.steps([first, *others])


def described(panel: P, about: About, size: Size) -> P:
    """Give a panel what every one has."""
    return (
        panel.title(about.title)
        .description(about.description)
        .datasource(DATASOURCE)
        .unit(about.unit)
        .span(size.width)
        .height(size.height)
    )


def number(  # noqa: PLR0913 # what a figure can differ in
    about: About,
    target: prometheus.Dataquery,
    *,
    size: Size,
    colours: Steps | None = None,
    texts: Sequence[models.ValueMapping] = (),
    absent: str = "unknown",
    decimals: int | None = None,
    tracker: bool = False,
) -> stat.Panel:
    """Show one figure, with its *tracker* behind it; *absent* is said where there is none."""
    panel = (
        described(stat.Panel(), about, size)
        .with_target(target)
        .thresholds(steps(colours or {}))
        .color_mode(common_models.BigValueColorMode.VALUE)
        .graph_mode(
            common_models.BigValueGraphMode.AREA
            if tracker
            else common_models.BigValueGraphMode.NONE
        )
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value(absent)
    )
    if texts:
        panel.mappings(list(texts))
    if decimals is not None:
        panel.decimals(decimals)
    return panel


def text_of(
    about: About, target: prometheus.Dataquery, *, label: str, size: Size, absent: str = "unknown"
) -> stat.Panel:
    """Show the *label* of a series, as its legend tells it, in place of its value."""
    target.legend_format(f"{{{{{label}}}}}")
    return number(about, target, size=size, absent=absent).text_mode(
        common_models.BigValueTextMode.NAME
    )


def tracker(
    about: About,
    targets: Sequence[prometheus.Dataquery],
    *,
    size: Size,
    colours: Mapping[str, str] | None = None,
    stacked: bool = False,
    absent: str | None = None,
) -> timeseries.Panel:
    """Show series over time; *colours* by the series' names."""
    panel = (
        described(timeseries.Panel(), about, size)
        .targets(list(targets))
        .min(0)
        .line_width(1)
        .fill_opacity(60 if stacked else 0)
        .show_points(common_models.VisibilityMode.AUTO)
        # What was not known is not drawn as if it had been.
        .span_nulls(False)
        .legend(_legend())
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


def quantiles(about: About, buckets: str, *, size: Size) -> timeseries.Panel:
    """Show how values are spread; *buckets* is how many were counted, by the label le."""
    return tracker(
        about,
        [
            query(f"histogram_quantile({share}, sum by (le) ({buckets}))", name)
            for name, (share, _) in _QUANTILES.items()
        ],
        size=size,
        colours={name: colour for name, (_, colour) in _QUANTILES.items()},
    )


def events(
    about: About,
    targets: Sequence[prometheus.Dataquery],
    *,
    size: Size,
    colours: Mapping[str, str] | None = None,
) -> timeseries.Panel:
    """Show how often something happened in each `$__interval`, as bars on top of each other."""
    panel = tracker(about, targets, size=size, colours=colours, stacked=True)
    # Long enough for two scrapes in each bar, whatever the interval between them.
    panel.interval("5m")
    return panel.draw_style(common_models.GraphDrawStyle.BARS).fill_opacity(80).decimals(0)


def bars(  # noqa: PLR0913 # what a figure can differ in
    about: About,
    targets: Sequence[prometheus.Dataquery],
    *,
    size: Size,
    most: float | None = None,
    colours: Steps | None = None,
    fixed_colours: Mapping[str, str] | None = None,
    absent: str = "none",
) -> bargauge.Panel:
    """Show one bar for each series, up to *most*."""
    panel = (
        described(bargauge.Panel(), about, size)
        .targets(list(targets))
        .min(0)
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .thresholds(steps(colours or {}))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .text(common.VizTextDisplayOptions().title_size(12).value_size(18))
        .no_value(absent)
    )
    if most is not None:
        panel.max(most)
    for name, colour in (fixed_colours or {}).items():
        panel.override_by_name(name, [fixed(colour)])
    return panel


def timeline(about: About, target: prometheus.Dataquery, *, size: Size) -> statetimeline.Panel:
    """Show codes of states over time, a row for each series."""
    return (
        described(statetimeline.Panel(), about, size)
        .with_target(target)
        .mappings(as_text())
        .merge_values(True)
        .fill_opacity(80)
        .line_width(0)
        .per_page(20)
        .no_value("none")
        .legend(_legend())
    )


def fixed(colour: str) -> models.DynamicConfigValue:
    """Give a series its own colour."""
    return models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def dashed() -> list[models.DynamicConfigValue]:
    """Draw a series as a limit of others."""
    style = {"fill": "dash", "dash": [8, 8]}
    return [
        models.DynamicConfigValue(id_val="custom.lineStyle", value=style),
        models.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
    ]


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
    )
