"""
The texts and links of alerts.

A text may contain `<name>` for the name of the meeting, `<app>` and `<recording>` for what the
alert is about, `<duration>`, `<share>` and `<size>` for its value, `<miss>` for what its recordings
do, and `<1 person is|people are>` for its value and words that agree with it.
"""

import re

from dashboards.alerting.rule import Alert, Link
from dashboards.settings import CLUSTER, GRAFANA_URL, RUNBOOK_URL, of_any_job


# The name is looked up, because a label would make a renamed meeting another alert.
# The name of the exporter that started last comes last. It is one line, whatever it contains.
_NAME = (
    "{{ $name := $labels.meeting_id }}"
    '{{ range printf "sort(meeting:rk_meeting_info:started_timestamp_seconds'
    '{job=%q,rk_app=%q,meeting_id=%q})" '
    "$labels.job $labels.rk_app $labels.meeting_id | query }}"
    f"{{{{ if eq $labels.{CLUSTER} .Labels.{CLUSTER} }}}}"
    '{{ $name = label "meeting_name" . | reReplaceAll "\\\\s+" " " }}{{ end }}{{ end }}{{ $name }}'
)
_FAULTS = {
    "gone": "does not exist",
    "forbidden": "is refused by the storage",
    "empty": "has no content",
    "not_media": "is no recording",
    "tls": "is behind a certificate that cannot be trusted",
    "connect": "cannot be reached",
    "timeout": "does not arrive in time",
    "refused_host": "is on a host that is not in `--downloads.allowed-hosts`, or not public",
    "server_error": "cannot be read, because its storage answers with an error",
}
_OF_FILE = (
    '{{job=%q,rk_app=%q,meeting_id=%q,recording_id=%q{more}}}" $labels.job $labels.rk_app '
    "$labels.meeting_id $labels.recording_id{value} | query }}}}"
)
_OF_KIND = _OF_FILE.format(more=",kind=%q", value=" $labels.kind")
_OF_RECORDING = _OF_FILE.format(more="", value="")
_OF_CLUSTER = f"{{{{ if eq $labels.{CLUSTER} .Labels.{CLUSTER} }}}}"
# The reason is looked up, because a label would make each reason another alert.
_FAULT = (
    '{{ $reason := "" }}'
    f'{{{{ range printf "rk_recording_download_failure_info{_OF_KIND}{_OF_CLUSTER}'
    '{{ $reason = label "reason" . }}{{ end }}{{ end }}'
    '{{ if eq $reason "size_mismatch" }}has another size than the API reports'
    f'{{{{ range printf "rk_recording_download_size_bytes{_OF_KIND}{_OF_CLUSTER}'
    ", {{ humanize1024 .Value }}B{{ end }}{{ end }}"
    f'{{{{ range printf "rk_recording_file_size_bytes{_OF_RECORDING}{_OF_CLUSTER}'
    " instead of {{ humanize1024 .Value }}B{{ end }}{{ end }}"
    + "".join(
        f'{{{{ else if eq $reason "{reason}" }}}}{fault}' for reason, fault in _FAULTS.items()
    )
    + "{{ else }}cannot be downloaded{{ end }}"
)
_VALUES = {
    "name": _NAME,
    "account": "{{ $labels.rk_account }}",
    "app": "{{ $labels.rk_app }}",
    # An exporter that was never scraped has no app yet.
    "its app": "{{ with $labels.rk_app }}app {{ . }}{{ else }}its apps{{ end }}",
    "fault": _FAULT,
    "recording": "{{ $labels.recording_id }}",
    "duration": "{{ $value | humanizeDuration }}",
    "miss": (
        '{{ if eq $labels.objective "succeed" }}fail{{ else if eq $labels.objective "start" }}'
        "start late{{ else }}arrive late{{ end }}"
    ),
    "share": "{{ $value | humanizePercentage }}",
    "size": (
        "{{ if lt $value 1.0 }}empty{{ else if lt $value 1024.0 }}shorter than 1 KiB"
        "{{ else }}only {{ humanize1024 $value }}B{{ end }}"
    ),
}


def annotations(alert: Alert) -> dict[str, str]:
    """Return the annotations of an alert."""
    texts = {
        "summary": template(alert.summary),
        "description": template(of_any_job(alert.description)),
        "runbook_url": f"{RUNBOOK_URL}#{alert.name.lower()}",
    }
    if alert.link is not None:
        texts["dashboard_url"] = GRAFANA_URL + path(alert.link)
    return texts


def template(text: str) -> str:
    """
    Return a text as a template of Prometheus.

    Raises KeyError for a `<value>` that does not exist.
    """
    text = re.sub(r"<1 ([^|<>]+)\|([^<>]+)>", _agreeing, text)
    return re.sub(r"<([a-z][a-z ]*)>", lambda value: _VALUES[value[1]], text)


def _agreeing(words: re.Match[str]) -> str:
    one, many = words.groups()
    return (
        f'{{{{ if eq $value 1.0 }}}}1 {one}{{{{ else }}}}{{{{ printf "%.0f" $value }}}} {many}'
        "{{ end }}"
    )


def plain(template_text: str) -> str:
    """Return a template with words in place of the values, for people who read about an alert."""
    text = re.sub(r"\{\{ \$name := .*?\{\{ \$name \}\}", "NAME", template_text)
    text = text.replace(_VALUES["its app"], "app APP").replace(_VALUES["app"], "APP")
    text = text.replace(_VALUES["account"], "ACCOUNT")
    text = text.replace(_VALUES["miss"], "fail, start late or arrive late")
    agreeing = r"\{\{ if eq \$value .*?\{\{ else \}\}\{\{.*?\}\}(.*?)\{\{ end \}\}"
    return re.sub(agreeing, r"N\1", text)


def path(link: Link) -> str:
    """Return the path of a dashboard with what an alert is about, and the day before now."""
    labels = {"cluster": CLUSTER, "job": "job", "app": "rk_app"}
    if link is Link.RECORDING:
        labels |= {"meeting": "meeting_id", "recording": "recording_id"}
    variables = "".join(
        # A label may be missing: an exporter that was never scraped has no app yet.
        f"{{{{ with $labels.{label} }}}}var-{name}={_ENCODED}&{{{{ end }}}}"
        for name, label in labels.items()
    )
    return f"/d/rk-{link}?{variables}from=now-24h&to=now"


# In `urlquery`, a space becomes a plus sign, which not every program decodes.
_ENCODED = '{{ . | urlquery | reReplaceAll "[+]" "%20" }}'
