"""
Recorded series: what each exporter knows, although scrapes may be missed.

A rule that reads its own series remembers. That costs much less than a window over all series.
"""

from dashboards.alerting.rule import Record


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
            "somebody removed them, or they are over. Their last values no longer count."
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
        note="Recordings that another exporter has read later. These values do not count.",
    ),
    Record(
        "meeting:rk_meeting_info:started_timestamp_seconds",
        """\
max by (<meeting>, meeting_name) (
    instance:rk_meeting_info:known
    * on (<exporter>) group_left ()
    max by (<exporter>) (
      process_start_time_seconds and on (<exporter>) rk_exporter_build_info
      or on (<exporter>)
      rk_config_last_reload_success_timestamp_seconds
    )
  or
    instance:rk_meeting_info:known
)
""",
        note=(
            "The names of the meetings, and when the exporter that has them started, or loaded its "
            "configuration if its system reports no start. If exporters disagree, the texts of "
            "alerts have the name from the one that started last."
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
