"""
Recorded series: what is known, although scrapes may be missed and exporters may disagree.

A rule that reads its own series remembers. That costs much less than a window over all series.
"""

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
ENDED_WINDOWS = ("1h", "6h", "1d")
"""How long ago a recording may have ended that counts, from short to long."""
_ENDED = '{outcome=~"errored|upload_failed|uploaded"}'
_FAILED = '{outcome=~"errored|upload_failed"}'
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

KNOWN = (
    Record(
        "instance:rk_meeting_info:known",
        """\
rk_meeting_info
or on (<exporter meeting>)
last_over_time(rk_meeting_info[<known>])
""",
        note="Meetings and their names, also between scrapes that are missed.",
    ),
    Record(
        "instance:rk_meeting_info:gone",
        """\
instance:rk_meeting_info:known
unless on (<exporter meeting>)
rk_meeting_info
and on (<exporter>)
rk_exporter_build_info
unless on (<exporter app>)
(rk_up == 0 or on (<exporter app>) rk_discovery_up == 0)
""",
        note=(
            "Meetings that an exporter no longer has, although it answers and can read the API: "
            "somebody removed them, or they are over. What was known of them no longer counts."
        ),
    ),
    Record(
        "instance:rk_recording_status:known",
        """\
rk_recording_status{status!="UPLOADED"} == 1
or on (<exporter recording>)
(
  instance:rk_recording_status:known
  unless on (<exporter recording>)
  rk_recording_status{status="UPLOADED"}
  unless on (<exporter meeting>)
  instance:rk_meeting_info:gone
  and on (<exporter recording>)
  instance:rk_recording_last_success_timestamp_seconds:known
)
""",
        note=(
            "1 for the current state. UPLOADED is left out, because nearly all recordings are "
            "UPLOADED and no alert asks for it."
        ),
    ),
    Record(
        "instance:rk_recording_last_success_timestamp_seconds:known",
        """\
last_over_time(rk_recording_last_success_timestamp_seconds[<known>])
and on (<recording>)
(
    instance:rk_recording_status:known
  or on (<recording>)
    recording:rk_recording_download_url_expiry_timestamp_seconds:near
  or on (<recording>)
    recording:rk_recording_file_size_bytes:empty
  or on (<recording>)
    recording:rk_recording_stop_reason:internal_error_timestamp_seconds
)
unless on (<exporter meeting>)
instance:rk_meeting_info:gone
""",
        note="When an exporter last read the recording, of recordings that alerts look at.",
    ),
    Record(
        "instance:rk_recording_last_success_timestamp_seconds:outdated",
        """\
instance:rk_recording_last_success_timestamp_seconds:known
< on (<recording>) group_left ()
max by (<recording>) (instance:rk_recording_last_success_timestamp_seconds:known)
""",
        note="Recordings that another exporter has read later. What this one says does not count.",
    ),
    Record(
        "meeting:rk_meeting_info:started_timestamp_seconds",
        """\
max by (<meeting>, meeting_name) (
    instance:rk_meeting_info:known
    * on (<exporter>) group_left ()
    max by (<exporter>) (process_start_time_seconds and on (<exporter>) rk_exporter_build_info)
  or
    instance:rk_meeting_info:known
)
""",
        note=(
            "The names of the meetings, and when the exporter started that has them. If exporters "
            "disagree, the texts of alerts have the name of the one that started last."
        ),
    ),
    Record(
        "meeting:rk_meeting_live_participants:known",
        """\
max by (<meeting>) (
  rk_meeting_live_participants > 0
  and on (<exporter meeting>)
  rk_meeting_active_recordings
  and on (<exporter app>)
  timestamp(rk_discovery_last_success_timestamp_seconds)
  - on (<exporter app>)
  rk_discovery_last_success_timestamp_seconds
  < <data_age_seconds>
)
or on (<meeting>)
(
  meeting:rk_meeting_live_participants:known
  unless on (<meeting>)
  rk_meeting_active_recordings
  unless on (<meeting>)
  instance:rk_meeting_info:gone
  and on (<app>)
  time()
  - max by (<app>) (last_over_time(rk_discovery_last_success_timestamp_seconds[<known>]))
  < <data_age_seconds> + <known seconds>
)
""",
        note=(
            "People in meetings, if the list of live meetings is recent and the recordings of the "
            "meeting could be read."
        ),
    ),
)
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
            "1 for the current state, as the exporter saw it that read the recording last. "
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
APPS = (
    Record(
        "app:rk_recordings_earliest_expiry_timestamp_seconds:day",
        """\
min_over_time(
  (
    min by (<app>) (last_over_time(rk_recordings_earliest_expiry_timestamp_seconds[<known>]))
    < time() + 2 * <known seconds>
  )[1d:<known>]
)
and on (<app>)
max by (<app>) (last_over_time(rk_meetings[<known>]))
""",
        note=(
            "When the first download URL of the last day expired, or will in a moment. It counts "
            "recordings without series of their own as well."
        ),
    ),
    *(
        Record(
            f"app:rk_recordings_{result}:last_timestamp_seconds",
            f"""\
time() + 0 * (
  sum by (<app>) (increase(rk_recordings_finished_total{outcomes}[<known>])) > 0
)
or on (<app>)
last_over_time(app:rk_recordings_{result}:last_timestamp_seconds[6h])
""",
            note=f"When Prometheus last saw that a recording {what} within a quarter of an hour.",
        )
        for result, outcomes, what in (
            ("failed", _FAILED, "had failed"),
            ("uploaded", '{outcome="uploaded"}', "had succeeded"),
        )
    ),
    Record(
        "app:rk_recordings_failed:recent_timestamp_seconds",
        """\
(
    app:rk_recordings_failed:last_timestamp_seconds > time() - (60 * 60 - <known seconds>)
  or on (<app>)
    app:rk_recordings_failed:last_timestamp_seconds > time() - 6 * 60 * 60
    unless on (<app>)
    app:rk_recordings_uploaded:last_timestamp_seconds
    >= on (<app>)
    app:rk_recordings_failed:last_timestamp_seconds
)
and on (<app>)
count by (<app>) (count_over_time(rk_recordings_finished_total[<known>]))
""",
        note=(
            "When a recording last failed: within an hour, or within six hours if none has "
            "succeeded since."
        ),
    ),
    *(
        Record(
            f"app:rk_recordings_failed:ratio{window}",
            f"""\
sum by (<app>) (increase(rk_recordings_finished_total{_FAILED}[{window}]))
/ on (<app>)
sum by (<app>) (increase(rk_recordings_finished_total{_ENDED}[{window}]))
and on (<app>)
max by (<app>) (
  round(sum by (<exporter app>) (increase(rk_recordings_finished_total{_ENDED}[{window}])))
)
>= <recordings_finished>
""",
            note=f"Share of failed recordings within {window}, if enough have ended.",
        )
        for window in ENDED_WINDOWS
    ),
)
