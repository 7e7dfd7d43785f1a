"""The panels of the exporter dashboard about archives: the buckets with copies of recordings."""

from dashboards.panels import About, Panel, Size, history, quantiles, query
from dashboards.scope import BY_APP
from dashboards.selectors import of_app, once


_THIRD = Size(8, 8)
_OFF = "No archive is configured: see downloads.archive."


def not_archived() -> Panel:
    """Show how many files get lost soon because they have no copy."""
    panel = history(
        About(
            "Files without a copy",
            "Recordings whose file RealtimeKit deletes within the time in the legend, and of which "
            "the archive has no copy. 72h includes 24h.",
        ),
        [
            query(
                once(f"{BY_APP}, within", of_app("rk_recordings_not_archived")),
                "{{rk_app}}, within {{within}}",
            )
        ],
        size=_THIRD,
        absent=_OFF,
    )
    # The axis of no files is short.
    return panel.axis_soft_max(1).decimals(0)


def objects() -> Panel:
    """Show how many objects the lists have."""
    return history(
        About("Objects", "Objects below the prefix of each archive, in the last list."),
        [query(once(BY_APP, of_app("rk_archive_objects")), "{{rk_app}}")],
        size=_THIRD,
        absent=_OFF,
    )


def list_duration() -> Panel:
    """Show how long lists take."""
    return quantiles(
        About(
            "List duration",
            "How long it took to list the bucket of an archive, for lists of the last hour.",
            unit="s",
        ),
        lambda series: f"increase({of_app(series)}[1h])",
        "rk_archive_list_duration_seconds",
        size=_THIRD,
        absent=_OFF,
    )
