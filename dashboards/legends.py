"""Legends with the values of their series."""

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.models import common as models


def names() -> common.VizLegendOptions:
    """Return a legend without values."""
    return (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(models.LegendDisplayMode.LIST)
        .placement(models.LegendPlacement.BOTTOM)
    )


def in_table(*values: str) -> common.VizLegendOptions:
    """Return a legend with a line for each series and a column for each of its *values*."""
    return names().display_mode(models.LegendDisplayMode.TABLE).calcs(list(values))


def compact(*values: str) -> common.VizLegendOptions:
    """Return a legend for small panels: all series, with their *values*, in two or three lines."""
    return names().calcs(list(values))
