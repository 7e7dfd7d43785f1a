"""Alerts about the files of recordings."""

from dashboards.alerting.rule import Alert, Link, Severity


ALERTS = (
    Alert(
        name="RealtimeKitRecordingEmptyFile",
        expr="""\
max by (<recording>) (
  last_over_time(instance:rk_recording_file_size_bytes:empty[10m])
)
and on (<recording>)
(
    recording:rk_recording_stopped_timestamp_seconds:max
  or on (<recording>)
    recording:rk_recording_invoked_timestamp_seconds:max
)
> time() - <recording_ended_seconds>
""",
        pending="5m",
        severity=Severity.WARNING,
        summary="A recording has an almost empty file.",
        description=(
            "The file of recording {{ $labels.recording_id }} of meeting {{ $labels.meeting_id "
            "}} (app {{ $labels.rk_app }}) has only {{ $value | humanize1024 }}B, which is too "
            "little for its length. The meeting may have no usable record. Download the file "
            "and check it while the participants still remember the meeting."
        ),
        link=Link.RECORDING,
        names_meeting=True,
    ),
    Alert(
        name="RealtimeKitDownloadURLExpiringSoon",
        expr="""\
count by (<meeting>) (
  (
    max by (<recording>) (
      last_over_time(rk_recording_download_url_expiry_timestamp_seconds[10m])
    )
    - time()
    > 0
  )
  < <download_url_expires_in_seconds>
)
""",
        pending="15m",
        severity=Severity.INFO,
        summary="Recordings will be deleted soon.",
        description=(
            "RealtimeKit will delete {{ $value }} recordings of meeting {{ $labels.meeting_id "
            "}} (app {{ $labels.rk_app }}) when their download URLs expire. The files will be "
            "lost. Download them now, unless you have copies."
        ),
        link=Link.RECORDING,
        names_meeting=True,
    ),
    Alert(
        name="RealtimeKitDownloadURLExpiringSoon",
        expr="""\
(
  max by (<app>) (last_over_time(rk_recordings_expiring{within="24h"}[10m]))
  - on (<app>)
  (
      count by (<app>) (
        (
          max by (<recording>) (
            last_over_time(rk_recording_download_url_expiry_timestamp_seconds[10m])
          )
          - time()
          > 0
        )
        - 24 * 60 * 60
        < 0
      )
    or on (<app>)
      0 * max by (<app>) (last_over_time(rk_recordings_hidden[10m]))
  )
)
> 0
and on (<app>)
max by (<app>) (last_over_time(rk_recordings_hidden[10m])) > 0
unless on ()
rk:download_url_expires_in_seconds:threshold == 0
""",
        pending="15m",
        severity=Severity.INFO,
        summary="Recordings that are not shown will be deleted soon.",
        description=(
            "RealtimeKit will delete {{ $value }} recordings of app {{ $labels.rk_app }} "
            "within a day that have no series of their own. The files will be lost. Download "
            "them now, unless you have copies, and raise `--follow.max-recordings` to see "
            "which ones they are."
        ),
        link=Link.OVERVIEW,
        labels={"what": "hidden"},
        note=(
            "Files of recordings without series of their own. Their meetings are unknown, but "
            "not their number."
        ),
    ),
    Alert(
        name="RealtimeKitDownloadURLExpired",
        expr="""\
count by (<meeting>) (
  (
    time() + 6 * 60
    - max by (<recording>) (
      last_over_time(rk_recording_download_url_expiry_timestamp_seconds[10m])
    )
    >= 0
  )
  - 6 * 60
  < <download_url_expired_seconds>
)
""",
        pending="5m",
        severity=Severity.INFO,
        summary="Recordings were deleted.",
        description=(
            "The download URLs of {{ $value }} recordings of meeting {{ $labels.meeting_id }} "
            "(app {{ $labels.rk_app }}) have expired within the last day, and RealtimeKit has "
            "deleted the files. If there is no copy, the recordings are lost. Check that your "
            "archive has them."
        ),
        link=Link.RECORDING,
        names_meeting=True,
        note=(
            "Pending begins six minutes before the expiry, so that this alert fires before "
            "RealtimeKitDownloadURLExpiringSoon resolves."
        ),
    ),
)
