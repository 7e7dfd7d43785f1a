"""The variables at the top of the dashboards."""

from collections.abc import Iterator
from dataclasses import replace

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from dashboards.names import latest_names
from dashboards.panels import DATASOURCE
from dashboards.queries import REQUESTED_AT
from dashboards.scope import BY_MEETING, BY_RECORDING
from dashboards.selectors import CHOSEN, of_app, of_exporter, of_meeting, once
from dashboards.settings import CLUSTER, THRESHOLDS


# Prometheus 2 would look up each value of the label for `.+`, and there may be 10,000 recordings.
ALL = ".*"
# What dashboard-linter asks for.
_ALL_TARGETS = ".+"
LATEST_MEETINGS = 20
"""How many meetings a history shows, because more would not be legible."""
_EVERY = models.VariableOption(selected=True, text=["All"], value=["$__all"])
_HIDDEN = models.VariableHide.HIDE_VARIABLE
_WITHIN_SECONDS = {
    "as alerts": str(THRESHOLDS.download_url_expires_in_seconds),
    "1h": "3600",
    "6h": "21600",
    "1d": "86400",
    "3d": "259200",
    "7d": "604800",
}
# Grafana shows the series of query_result() as text, with labels in alphabetical order, and does
# not escape quotes.
_ID = r'/meeting_id="([^"]*)"/'
_BY_START = r'/recording_id="(?<value>[^"]*)",start="(?<text>[^"]*)"/'
# A name may have several lines, which a dot would not match.
_BY_NAME = r'/meeting_id="(?<value>[^"]*)",meeting_name="(?<text>[\s\S]*)"\} \S+ \S+$/'


def variables(*, of_one_meeting: bool) -> Iterator[dashboard.QueryVariable]:
    """Yield the variables. Each offers what the choices before it leave."""
    builds = "rk_exporter_build_info"
    yield any_of("cluster", "Cluster", f"label_values({builds}, {CLUSTER})")
    jobs = f'label_values({builds}{{{CLUSTER}=~"$cluster"}}, job)'
    yield any_of("job", "Job", jobs, every=_ALL_TARGETS)
    of_jobs = f'{CLUSTER}=~"$cluster", job=~"$job"'
    instances = f"label_values({builds}{{{of_jobs}}}, instance)"
    yield any_of("instance", "Instance", instances, every=_ALL_TARGETS)
    yield any_of("app", "App", f"label_values({of_exporter('rk_meetings')}, rk_app)")
    offered = f"query_result({meetings()})"
    if not of_one_meeting:
        yield any_of("meeting", "Meeting", offered).regex(_BY_NAME)
        return
    yield one_of("meeting", "Meeting", offered).regex(_BY_NAME)
    recordings = one_of("recording", "Recording", f"query_result({_recordings()})")
    yield recordings.regex(_BY_START).sort(models.VariableSort.ALPHABETICAL_DESC)


def latest() -> dashboard.QueryVariable:
    """
    Return the hidden variable for the meetings that recorded last.

    With their ids in a query, Prometheus reads a history of a few series instead of all.
    """
    requested = once(BY_MEETING, of_meeting("rk_recording_invoked_timestamp_seconds"))
    query = f"query_result(topk({LATEST_MEETINGS}, {requested}))"
    variable = one_of("latest", "Latest meetings", query).regex(_ID)
    return variable.multi(True).include_all(True).current(_EVERY).hide(_HIDDEN)


def expires_within() -> dashboard.CustomVariable:
    """Return the variable for the time in which a file expires soon, in seconds."""
    options = [
        models.VariableOption(text=text, value=seconds, selected=text == "as alerts")
        for text, seconds in _WITHIN_SECONDS.items()
    ]
    return (
        dashboard.CustomVariable("within")
        .label("Expires within")
        .values(", ".join(f"{text} : {seconds}" for text, seconds in _WITHIN_SECONDS.items()))
        .options(options)
        .current(options[0])
    )


def one_of(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """Return a variable with one of the values that a query returns."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    )


def any_of(name: str, label: str, query: str, *, every: str = ALL) -> dashboard.QueryVariable:
    """Return a variable with several of the values that a query returns, or *every* value."""
    return one_of(name, label, query).multi(True).include_all(True).all_value(every).current(_EVERY)


def meetings() -> str:
    """Return the meetings with one name each. Several with the same name also show their ids."""
    # The variable cannot depend on the meetings that it selects.
    names = latest_names(replace(CHOSEN, of_meeting=of_app))
    names = f"max by (meeting_id, meeting_name) ({names})"
    same = f"{names} and on (meeting_name) (count by (meeting_name) ({names}) > 1)"
    with_id = f'label_join({same}, "meeting_name", " ", "meeting_name", "meeting_id")'
    return f"{names} unless on (meeting_id) ({same}) or {with_id}"


def _recordings() -> str:
    """
    Return the recordings of the meeting with the label `start`, and an entry for the newest.

    Sorted by text in descending order, that entry is the first, so it is selected by default.
    """
    known = once(BY_RECORDING, of_meeting("rk_recording_status"))
    # A number with the digits of the time, because PromQL cannot format times.
    digits = " + ".join(
        f"{factor} * {part}({REQUESTED_AT})"
        for part, factor in (
            ("year", 10**8),
            ("month", 10**6),
            ("day_of_month", 10**4),
            ("hour", 100),
            ("minute", 1),
        )
    )
    digits = f'count_values by (recording_id) ("digits", {digits})'
    pattern = '"$1-$2-$3 $4:$5 UTC", "digits", "(....)(..)(..)(..)(..)"'
    # The API may report the time wrongly.
    unknown = f'label_replace({known}, "start", "$1", "recording_id", "(.+)")'
    newest = f'label_replace(vector(1), "recording_id", "{ALL}", "", "")'
    newest = f'label_replace({newest}, "start", "newest", "", "")'
    return (
        f'max by (recording_id, start) (label_replace({digits}, "start", {pattern})'
        f" or on (recording_id) {unknown} or {newest})"
    )
