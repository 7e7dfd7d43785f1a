"""Alerts about recordings that fail or do not go on."""

from dashboards.alerting.rule import Alert, Link, Severity


ALERTS = (
    Alert(
        name="RealtimeKitRecordingErrored",
        expr="""\
recording:rk_recording_status:since_timestamp_seconds{status="ERRORED"}
> time() - <recording_ended_seconds>
unless on (<recording>)
recording:rk_recording_invoked_timestamp_seconds:max
<= time() - <recording_ended_seconds> - 24 * 60 * 60
""",
        pending="1m",
        severity=Severity.WARNING,
        summary="A recording failed.",
        description=(
            "Recording {{ $labels.recording_id }} of meeting {{ $labels.meeting_id }} (app {{ "
            "$labels.rk_app }}) is ERRORED. There will be no file. If people are still in the "
            "meeting, start another recording now."
        ),
        link=Link.RECORDING,
        names_meeting=True,
        note=(
            "A recording lasts 24 hours at most. An older one has failed long ago, even if "
            "Prometheus sees it only now."
        ),
    ),
    Alert(
        name="RealtimeKitRecordingErrorRatioHigh",
        expr="""\
sum by (<app>) (
  instance:rk_recordings_finished:increase1h{outcome=~"errored|upload_failed"}
)
/ on (<app>)
sum by (<app>) (
  instance:rk_recordings_finished:increase1h{outcome=~"errored|upload_failed|uploaded"}
)
> <recordings_errored_ratio>
and on (<app>)
max by (<app>) (
  round(
    sum by (<exporter app>) (
      instance:rk_recordings_finished:increase1h{outcome=~"errored|upload_failed|uploaded"}
    )
  )
)
>= <recordings_finished>
""",
        pending="5m",
        severity=Severity.CRITICAL,
        summary="Many recordings fail.",
        description=(
            "{{ $value | humanizePercentage }} of the recordings of app {{ $labels.rk_app }} "
            "that ended recently failed. Running recordings will probably fail too. Check "
            "Cloudflare's status page and the storage that receives the files."
        ),
        link=Link.OVERVIEW,
        labels={"window": "1h"},
        note=(
            "The 1h window reacts quickly. The 1d window is for sites that finish too few "
            "recordings per hour."
        ),
    ),
    Alert(
        name="RealtimeKitRecordingErrorRatioHigh",
        expr="""\
sum by (<app>) (
  instance:rk_recordings_finished:increase1d{outcome=~"errored|upload_failed"}
)
/ on (<app>)
sum by (<app>) (
  instance:rk_recordings_finished:increase1d{outcome=~"errored|upload_failed|uploaded"}
)
> <recordings_errored_ratio>
and on (<app>)
max by (<app>) (
  round(
    sum by (<exporter app>) (
      instance:rk_recordings_finished:increase1d{outcome=~"errored|upload_failed|uploaded"}
    )
  )
)
>= <recordings_finished>
""",
        pending="15m",
        severity=Severity.CRITICAL,
        summary="Many recordings fail.",
        description=(
            "{{ $value | humanizePercentage }} of the recordings of app {{ $labels.rk_app }} "
            "that ended recently failed. Running recordings will probably fail too. Check "
            "Cloudflare's status page and the storage that receives the files."
        ),
        link=Link.OVERVIEW,
        labels={"window": "1d"},
    ),
    Alert(
        name="RealtimeKitRecordingStuckInvoked",
        expr="""\
recording:rk_recording_last_success_timestamp_seconds:max
- on (<recording>)
(
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
        summary="A requested recording does not start.",
        description=(
            "Recording {{ $labels.recording_id }} of meeting {{ $labels.meeting_id }} (app {{ "
            "$labels.rk_app }}) was requested {{ $value | humanizeDuration }} ago and has not "
            "started. Nothing is being recorded, although it looks to participants as if it "
            "were. Inform them, stop this recording, and start another one."
        ),
        link=Link.RECORDING,
        names_meeting=True,
        note=(
            "Compares with the last read, not with now, because a recording that cannot be "
            "read has probably started."
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
        summary="A recording ended but its file does not arrive.",
        description=(
            "Recording {{ $labels.recording_id }} of meeting {{ $labels.meeting_id }} (app {{ "
            "$labels.rk_app }}) ended {{ $value | humanizeDuration }} ago and is still "
            "UPLOADING. Its file may get lost. If you use your own storage, check that it "
            "accepts files. Otherwise give the recording id to Cloudflare support."
        ),
        link=Link.RECORDING,
        names_meeting=True,
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
        summary="A recording has been paused for a long time.",
        description=(
            "Recording {{ $labels.recording_id }} of meeting {{ $labels.meeting_id }} (app {{ "
            "$labels.rk_app }}) has been paused for {{ $value | humanizeDuration }}. Nothing "
            "is recorded during a pause, and somebody may have forgotten it. Ask the "
            "participants whether to resume the recording."
        ),
        link=Link.RECORDING,
        names_meeting=True,
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
        summary="A recording will soon reach its time limit.",
        description=(
            "Recording {{ $labels.recording_id }} of meeting {{ $labels.meeting_id }} (app {{ "
            "$labels.rk_app }}) started {{ $value | humanizeDuration }} ago. RealtimeKit stops "
            "it after 24 hours, even if the meeting goes on. Start another recording if the "
            "meeting goes on, or stop this one if somebody forgot it."
        ),
        link=Link.RECORDING,
        names_meeting=True,
    ),
)
