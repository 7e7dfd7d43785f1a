"""Recorded series of recordings, from the exporter that read the recording last."""

import textwrap

from dashboards.alerting.everything import EVERYTHING
from dashboards.alerting.rule import Record
from dashboards.expressions import empty_file


ACTIVE = """\
  recording:rk_recording_status:latest{status=~"INVOKED|RECORDING|PAUSED"}
or
  # The API may have a new word for a recording that runs.
  recording:rk_recording_status:latest{status="UNKNOWN"}
  unless on (<recording>)
  recording:rk_recording_stopped_timestamp_seconds:max"""
"""Recordings that record, or will, or may."""
_INTERRUPTED = """\
(
  recording:rk_recording_interrupted:timestamp_seconds
  or on (<recording>)
  recording:rk_recording_stop_reason:internal_error_timestamp_seconds > time() - <known seconds>
  or on (<recording>)
  max by (<recording>) (
    recording:rk_recording_status:since_timestamp_seconds{status="ERRORED"}
    > time() - <known seconds>
    unless on (<recording>)
    recording:rk_recording_stopped_timestamp_seconds:max < time() - <known seconds>
  )
)"""

RECORDINGS = (
    Record(
        "recording:rk_recording_status:latest",
        """\
max by (<recording>, status) (
  instance:rk_recording_status:known
  unless on (<exporter recording>)
  instance:rk_recording_last_success_timestamp_seconds:outdated
)
""",
        note=(
            "1 for the current state, according to the exporter that read the recording last. "
            "Without UPLOADED."
        ),
    ),
    Record(
        "recording:rk_recording_status:since_timestamp_seconds",
        """\
(
    last_over_time(recording:rk_recording_status:since_timestamp_seconds{status="ERRORED"}[2d])
  or
    recording:rk_recording_status:since_timestamp_seconds
)
and on (<recording>, status)
recording:rk_recording_status:latest
or on (<recording>, status)
time() * recording:rk_recording_status:latest
""",
        note=(
            "When Prometheus first saw the current state, because the API does not report it. "
            "ERRORED survives gaps of two days. Otherwise an old failure would look like a new "
            "one after a gap."
        ),
    ),
    *(
        Record(
            f"recording:rk_recording_{event}_timestamp_seconds:max",
            f"""\
max by (<recording>) (
  rk_recording_{event}_timestamp_seconds
  and on (<recording>)
  recording:rk_recording_status:latest
)
or on (<recording>)
recording:rk_recording_{event}_timestamp_seconds:max
and on (<recording>)
recording:rk_recording_status:latest
""",
            note=f"When the recording was {what}, according to the API. Without UPLOADED ones.",
        )
        for event, what in (
            ("invoked", "requested"),
            ("started", "started"),
            ("stopped", "stopped"),
        )
    ),
    Record(
        "recording:rk_recording_stop_reason:internal_error_timestamp_seconds",
        """\
(
    max by (<recording>) (
      rk_recording_stopped_timestamp_seconds
      and on (<exporter recording>)
      rk_recording_stop_reason{reason="INTERNAL_ERROR"} == 1
      unless on (<exporter recording>)
      instance:rk_recording_last_success_timestamp_seconds:outdated
    )
  or on (<recording>)
    recording:rk_recording_stop_reason:internal_error_timestamp_seconds
    and on (<recording>)
    instance:rk_recording_last_success_timestamp_seconds:known
  or on (<recording>)
    time() * max by (<recording>) (rk_recording_stop_reason{reason="INTERNAL_ERROR"} == 1)
)
""",
        note=(
            "When a recording was interrupted by an internal error of the API: its stop time, or "
            "else when Prometheus first saw the reason."
        ),
    ),
    Record(
        "recording:rk_recording_interrupted:timestamp_seconds",
        f"""\
(
{textwrap.indent(_INTERRUPTED, "    ")}
  unless on (<recording>)
  (
{textwrap.indent(_INTERRUPTED, "      ")}
    < on (<meeting>) group_left ()
    max by (<meeting>) (rk_recording_invoked_timestamp_seconds)
  )
)
and on (<meeting>)
meeting:rk_meeting_live_participants:known
unless on (<meeting>)
(
{textwrap.indent(ACTIVE, "  ")}
)
""",
        note=(
            "When a recording failed or was interrupted, as long as people have stayed in its "
            "meeting since, and no other recording was requested."
        ),
    ),
    Record(
        "recording:rk_recording_download_url_expiry_timestamp_seconds:near",
        """\
(
    max by (<recording>) (
      rk_recording_download_url_expiry_timestamp_seconds
      < time() + 60 * 60
      + scalar(clamp_min(max(rk:download_url_expires_in_seconds:threshold), 24 * 60 * 60))
      unless on (<exporter recording>)
      instance:rk_recording_last_success_timestamp_seconds:outdated
    )
  or on (<recording>)
    recording:rk_recording_download_url_expiry_timestamp_seconds:near
    and on (<recording>)
    instance:rk_recording_last_success_timestamp_seconds:known
    unless on (<recording>)
    rk_recording_download_url_expiry_timestamp_seconds
)
""",
        note=(
            "When a download URL has expired or will soon, according to the exporter that read it "
            "last."
        ),
    ),
    Record(
        "recording:rk_recording_archived:near",
        """\
max by (<recording>) (last_over_time(rk_recording_archived[<known>]))
and on (<recording>)
recording:rk_recording_download_url_expiry_timestamp_seconds:near
""",
        note=(
            "1 if any exporter has found a copy in the archive, 0 if none has; nothing if there is "
            "no archive."
        ),
    ),
    Record(
        "recording:rk_recording_file_size_bytes:empty",
        f"""\
(
    max by (<recording>) (
{textwrap.indent(empty_file(EVERYTHING), "      ")}
      and on (<exporter recording>)
      (
          rk_recording_stopped_timestamp_seconds > time() - <recording_ended_seconds>
        or on (<exporter recording>)
          rk_recording_invoked_timestamp_seconds > time() - <recording_ended_seconds>
      )
      unless on (<exporter recording>)
      instance:rk_recording_last_success_timestamp_seconds:outdated
    )
  or on (<recording>)
    recording:rk_recording_file_size_bytes:empty
    and on (<recording>)
    instance:rk_recording_last_success_timestamp_seconds:known
    unless on (<recording>)
    rk_recording_file_size_bytes
)
""",
        note=(
            "Size of files that are too small for the length of their recording, which ended "
            "recently. It excludes recordings with one file per participant, because the API "
            "always reports size 0 for them."
        ),
    ),
)
