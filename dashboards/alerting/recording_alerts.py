"""Alerts about recordings that fail or do not go on."""

from dashboards.alerting.recorded_apps import ENDED_WINDOWS
from dashboards.alerting.rule import Alert, Link, Severity


_STILL_RECENT = """\
unless on (<recording>)
recording:rk_recording_invoked_timestamp_seconds:max
<= time() - <recording_ended_seconds> - 24 * 60 * 60
"""
_SHORTEST_WINDOW = "\n  or on (<app>)\n".join(
    f"    app:rk_recordings_failed:ratio{window}" for window in ENDED_WINDOWS
)
ALERTS = (
    Alert(
        name="RealtimeKitRecordingErrored",
        expr=f"""\
recording:rk_recording_status:since_timestamp_seconds{{status="ERRORED"}}
> time() - <recording_ended_seconds>
{_STILL_RECENT}""",
        pending="1m",
        severity=Severity.WARNING,
        summary='A recording of "<name>" failed.',
        description=(
            "There will be no file of recording <recording> (app <app>). If people are still in "
            "the meeting, start another recording now. Otherwise inform those who need the record."
        ),
        link=Link.RECORDING,
        note=(
            "A recording lasts 24 hours at most. An older one has failed long ago, even if "
            "Prometheus sees it only now."
        ),
    ),
    Alert(
        name="RealtimeKitRecordingInterrupted",
        expr="""\
time() - recording:rk_recording_interrupted:timestamp_seconds >= 0
""",
        pending="1m",
        severity=Severity.CRITICAL,
        summary='The recording of "<name>" broke off, and people are still in the meeting.',
        description=(
            "Nothing has recorded the meeting since recording <recording> (app <app>) ended "
            "<duration> ago, and everything that people say now is lost. Start another recording "
            "and inform them."
        ),
        link=Link.RECORDING,
        note="Needs `--meetings.discover`, which shows how many people are in a meeting.",
    ),
    Alert(
        name="RealtimeKitRecordingInterrupted",
        expr=f"""\
recording:rk_recording_stop_reason:internal_error_timestamp_seconds
> time() - <recording_ended_seconds>
unless on (<recording>)
recording:rk_recording_status:latest{{status="ERRORED"}}
unless on (<recording>)
recording:rk_recording_interrupted:timestamp_seconds
{_STILL_RECENT}""",
        pending="1m",
        severity=Severity.WARNING,
        summary='A recording of "<name>" was cut off by an internal error of RealtimeKit.',
        description=(
            "The end of the meeting may be missing in recording <recording> (app <app>). Check the "
            "end of its file, and if people are still in the meeting, that another recording runs."
        ),
        link=Link.RECORDING,
    ),
    Alert(
        name="RealtimeKitRecordingErrorRatioHigh",
        expr=f"""\
(
{_SHORTEST_WINDOW}
)
> <recordings_errored_ratio>
and on (<app>)
app:rk_recordings_failed:recent_timestamp_seconds > 0
""",
        pending="5m",
        severity=Severity.CRITICAL,
        summary="Many recordings of app <app> fail.",
        description=(
            "<share> of the recordings that ended recently failed, and running recordings will "
            "probably fail too. Check Cloudflare's status page and the storage that receives the "
            "files."
        ),
        link=Link.OVERVIEW,
        note=(
            "The shortest window counts in which enough recordings ended. The alert ends an hour "
            "after the last failure, or later if no recording has succeeded since."
        ),
    ),
    Alert(
        name="RealtimeKitRecordingStuckInvoked",
        expr="""\
max by (<recording>) (instance:rk_recording_last_success_timestamp_seconds:known)
- on (<recording>) (
    recording:rk_recording_invoked_timestamp_seconds:max
  or on (<recording>)
    recording:rk_recording_status:since_timestamp_seconds{status="INVOKED"}
)
> <recording_invoked_seconds>
and on (<recording>)
recording:rk_recording_status:latest{status="INVOKED"}
""",
        pending="1m",
        severity=Severity.CRITICAL,
        summary='A requested recording of "<name>" does not start.',
        description=(
            "Nothing is being recorded, although it looks to participants as if it were: recording "
            "<recording> (app <app>) was requested <duration> ago. Inform them, stop this "
            "recording, and start another one."
        ),
        link=Link.RECORDING,
        note=(
            "Compares with the last read, not with now, because a recording that cannot be read "
            "has probably started. If the API reports no time of the request, the time at which "
            "INVOKED was first seen counts."
        ),
    ),
    Alert(
        name="RealtimeKitRecordingStuckUploading",
        expr="""\
time() - (
    recording:rk_recording_stopped_timestamp_seconds:max
  or on (<recording>)
    recording:rk_recording_status:since_timestamp_seconds{status="UPLOADING"}
)
> <recording_uploading_seconds>
and on (<recording>)
recording:rk_recording_status:latest{status="UPLOADING"}
""",
        pending="1m",
        severity=Severity.WARNING,
        summary='A recording of "<name>" ended, but its file does not arrive.',
        description=(
            "The file may get lost: recording <recording> (app <app>) ended <duration> ago and is "
            "still UPLOADING. If you use your own storage, check that it accepts files. Otherwise "
            "give the recording id to Cloudflare support."
        ),
        link=Link.RECORDING,
        note=(
            "If the API reports no stop time, the time at which UPLOADING was first seen counts."
        ),
    ),
    Alert(
        name="RealtimeKitRecordingPausedTooLong",
        expr="""\
time() - recording:rk_recording_status:since_timestamp_seconds{status="PAUSED"}
> <recording_paused_seconds>
""",
        pending="1m",
        severity=Severity.WARNING,
        summary='A recording of "<name>" has been paused for a long time.',
        description=(
            "Nothing is recorded during a pause, and somebody may have forgotten it: recording "
            "<recording> (app <app>) has been paused for <duration>. Ask the participants whether "
            "to resume the recording."
        ),
        link=Link.RECORDING,
    ),
    Alert(
        name="RealtimeKitRecordingStateUnknown",
        expr="""\
time() - recording:rk_recording_status:since_timestamp_seconds{status="UNKNOWN"}
> <recording_unknown_seconds>
unless on (<recording>)
recording:rk_recording_stopped_timestamp_seconds:max <= time() - <recording_ended_seconds>
""",
        pending="1m",
        severity=Severity.WARNING,
        summary='A recording of "<name>" is in a state that the exporter does not know.',
        description=(
            "Nobody knows whether recording <recording> (app <app>) records, failed or has a file: "
            "its state has been unknown for <duration>. Look at it in Cloudflare's dashboard, and "
            "update the exporter."
        ),
        link=Link.RECORDING,
        note="If the API gets a new state, many recordings have it. Old ones do not matter.",
    ),
    Alert(
        name="RealtimeKitRecordingNearTimeLimit",
        expr="""\
time() - recording:rk_recording_started_timestamp_seconds:max
> <recording_running_seconds>
and on (<recording>)
recording:rk_recording_status:latest{status=~"RECORDING|PAUSED"}
""",
        pending="1m",
        severity=Severity.WARNING,
        summary='The recording of "<name>" will soon reach its time limit.',
        description=(
            "RealtimeKit stops a recording after 24 hours, even if the meeting goes on: recording "
            "<recording> (app <app>) started <duration> ago. Start another recording if the "
            "meeting goes on, or stop this one if somebody forgot it."
        ),
        link=Link.RECORDING,
    ),
)
