"""Links between the dashboards. They keep the time range and the chosen exporters."""

from collections.abc import Iterator, Sequence

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models


TAG = "realtimekit"
OVERVIEW, RECORDINGS, RECORDING, SERVICE_LEVEL, EXPORTER = (
    "rk-overview",
    "rk-recordings",
    "rk-recording",
    "rk-service-level",
    "rk-exporter",
)
_TITLES = {
    OVERVIEW: "Overview",
    RECORDINGS: "Recordings",
    RECORDING: "Recording",
    SERVICE_LEVEL: "Service level",
    EXPORTER: "Exporter",
}
_EXPORTERS = ("datasource", "cluster", "job", "instance")


def links_from(uid: str) -> Iterator[dashboard.DashboardLink]:
    """Yield the links at the top of a dashboard to all others."""
    for other, title in _TITLES.items():
        if other != uid:
            yield (
                dashboard.DashboardLink(title)
                .type(models.DashboardLinkType.LINK)
                .icon("dashboard")
                .url(f"/d/{other}?{'&'.join(_kept(_shared_with(other)))}")
                .keep_time(True)
            )


def link_to(uid: str, *kept: str, **columns: str) -> str:
    """
    Return the link from a table to a dashboard that keeps the exporters.

    It sets variables to the values of *columns* in the row. The variables *kept* stay, too. Ids of
    meetings and recordings are enough: some versions of Grafana decode the names in links.
    """
    # Names may contain characters with a meaning in URLs, e.g. &, # and +.
    chosen = [
        f'var-{name}=${{__data.fields["{column}"]:percentencode}}'
        for name, column in columns.items()
    ]
    return _link(uid, [*_kept((*_EXPORTERS, *kept)), *chosen])


def link_with_variables(uid: str) -> str:
    """Return the link from a panel to another dashboard that keeps the variables of both."""
    return _link(uid, _kept(_shared_with(uid)))


def _shared_with(uid: str) -> tuple[str, ...]:
    """Return the variables that a dashboard has in common with all others."""
    # All meetings are no choice on the dashboard that shows one recording.
    return (*_EXPORTERS, "app") if uid == RECORDING else (*_EXPORTERS, "app", "meeting")


def _kept(variables: Sequence[str]) -> list[str]:
    return [f"${{{name}:queryparam}}" for name in variables]


def _link(uid: str, parts: Sequence[str]) -> str:
    return f"/d/{uid}?{'&'.join(parts)}&${{__url_time_range}}"
