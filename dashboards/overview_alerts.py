"""The firing alerts on the overview."""

from dashboards.links import RECORDING, link_to
from dashboards.names import with_names_if_known
from dashboards.panels import About, Panel, Size
from dashboards.selectors import CHOSEN, firing
from dashboards.states import values
from dashboards.tables import Label, Value, table_of
from rk_exporter.model.palette import BAD, SOON, UNKNOWN


_ROWS = 50
# Users may change severities.
_OTHER, _INFO, _WARNING, _CRITICAL = range(4)
_SEVERITIES = {
    _CRITICAL: ("critical", BAD),
    _WARNING: ("warning", SOON),
    _INFO: ("info", UNKNOWN),
    _OTHER: ("other", UNKNOWN),
}
_LABELS = "alert, rk_app, meeting_id"


def alerts() -> Panel:
    """Return the table."""
    to_meeting = link_to(RECORDING, meeting="Meeting id")
    return table_of(
        About(
            "Alerts",
            f"The {_ROWS} most severe alerts that fire for the chosen jobs and apps, by meeting. "
            "Prometheus must have the rules.",
        ),
        [
            Value("Severity", most_severe(), width=95, texts=values(_SEVERITIES)),
            Label("Alert", "alert", width=195),
            Label("Meeting", "meeting_name", link=to_meeting, link_title="Open recordings"),
            Label("App", "rk_app", width=90),
            Label("Meeting id", "meeting_id", is_hidden=True),
        ],
        size=Size(10, 8),
        sorted_by="Severity",
        empty="No alert fires, or Prometheus does not have the rules.",
    )


def most_severe() -> str:
    """Return the severity of each alert with a row as a number, with its meeting's name or id."""
    of_severity = {
        'severity="critical"': _CRITICAL,
        'severity="warning"': _WARNING,
        'severity="info"': _INFO,
        'severity!~"critical|warning|info"': _OTHER,
    }
    ranks = "\nor\n".join(f"{rank} * {firing(matcher)}" for matcher, rank in of_severity.items())
    ranked = f'label_replace({ranks}, "alert", "$1", "alertname", "RealtimeKit(.+)")'
    shown = f"topk({_ROWS}, max by ({_LABELS}) ({ranked}))"
    return with_names_if_known(CHOSEN, shown, _LABELS)
