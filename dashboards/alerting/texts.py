"""Templates that the texts of several alerts share."""

from dashboards.alerting.rule import Alert, Link
from dashboards.settings import GRAFANA_URL, RUNBOOK_URL, of_any_job


_JOB = "var-job={{ $labels.job | urlquery }}"
_APP = "&var-app={{ $labels.rk_app | urlquery }}"
_PATHS = {
    Link.OVERVIEW: f"/d/rk-overview?{_JOB}{_APP}",
    Link.RECORDING: (
        f"/d/rk-recording?{_JOB}{_APP}&var-meeting={{{{ $labels.meeting_id | urlquery }}}}"
    ),
    # An exporter that was never scraped has no app yet.
    Link.EXPORTER: (
        f"/d/rk-exporter?{_JOB}"
        "{{ with $labels.rk_app }}&var-app={{ . | urlquery }}{{ end }}"
    ),
}
_MEETING_NAME = (
    '{{ with printf "rk_meeting_info{rk_app=%[1]q,meeting_id=%[2]q} or '
    'last_over_time(rk_meeting_info{rk_app=%[1]q,meeting_id=%[2]q}[1h])" '
    "$labels.rk_app $labels.meeting_id | query }}"
    '{{ . | first | label "meeting_name" }}{{ else }}{{ $labels.meeting_id }}{{ end }}'
)


def annotations(alert: Alert) -> dict[str, str]:
    """Return the annotations of an alert."""
    texts = {
        "summary": alert.summary,
        "description": of_any_job(alert.description),
        "runbook_url": f"{RUNBOOK_URL}#{alert.name.lower()}",
    }
    if alert.names_meeting:
        texts["meeting"] = _MEETING_NAME
    if alert.link is not None:
        texts["dashboard_url"] = GRAFANA_URL + _PATHS[alert.link]
    return texts
