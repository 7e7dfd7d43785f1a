"""Recorded series of each exporter that only dashboards read."""

from dashboards.alerting.rule import Record


DASHBOARDS = (
    Record(
        "instance:rk_recording_state:code",
        """\
sum without (status) (
    1 * (rk_recording_status{status="INVOKED"} == 1)
  or
    2 * (rk_recording_status{status="RECORDING"} == 1)
  or
    3 * (rk_recording_status{status="PAUSED"} == 1)
  or
    4 * (rk_recording_status{status="UPLOADING"} == 1)
  or
    5 * (rk_recording_status{status="UPLOADED"} == 1)
  or
    6 * (rk_recording_status{status="ERRORED"} == 1)
  or
    7 * (rk_recording_status{status="UNKNOWN"} == 1)
)
""",
        note=(
            "The state as a number, for state timelines and sorted tables: 1 INVOKED, 2 "
            "RECORDING, 3 PAUSED, 4 UPLOADING, 5 UPLOADED, 6 ERRORED, 7 UNKNOWN."
        ),
    ),
    Record(
        "instance:rk_recording_file_size_bytes:empty",
        """\
rk_recording_file_size_bytes
< on (<exporter recording>)
<recording_bytes_per_second> * rk_recording_duration_seconds
and on (<exporter recording>)
rk_recording_duration_seconds > <recording_duration_seconds>
and on (<exporter recording>)
rk_recording_status{status="UPLOADED"} == 1
unless on (<exporter recording>)
rk_recording_info{kind="track"}
""",
        note=(
            "Size of files that are too small for the length of their recording. It excludes "
            "recordings with one file per participant, because the API always reports size 0 "
            "for them."
        ),
    ),
    Record(
        "instance:rk_recording_trouble:level",
        """\
5 * (
    instance:rk_recording_state:code == 1
    and on (<exporter recording>)
    time() - rk_recording_invoked_timestamp_seconds
    > <recording_invoked_seconds>
  or
    instance:rk_recording_state:code == 4
    and on (<exporter recording>)
    time() - rk_recording_stopped_timestamp_seconds
    > <recording_uploading_seconds>
) ^ 0
or
4 * (instance:rk_recording_state:code == 6) ^ 0
or
3 * (
  instance:rk_recording_state:code == 5
  and on (<exporter recording>)
  instance:rk_recording_file_size_bytes:empty
) ^ 0
or
2 * (instance:rk_recording_state:code == 3 or instance:rk_recording_state:code == 7) ^ 0
or
1 * (
  instance:rk_recording_state:code == 5
  and on (<exporter recording>)
  (rk_recording_download_url_expires_in_seconds > 0)
  < <download_url_expires_in_seconds>
) ^ 0
or
0 * instance:rk_recording_state:code
""",
        note=(
            "How urgently a recording needs attention: 5 stuck, 4 failed, 3 empty file, 2 "
            "paused or in an unknown state, 1 file expires soon, 0 fine."
        ),
    ),
    Record(
        "instance:rk_recordings_finished:increase1h",
        """\
increase(rk_recordings_finished_total[1h])
""",
        note="Recordings that ended within an hour, by outcome.",
    ),
    Record(
        "instance:rk_recordings_finished:increase1d",
        """\
increase(rk_recordings_finished_total[1d])
""",
        note="Recordings that ended within a day, by outcome.",
    ),
    Record(
        "instance:rk_meeting_live_participants:unrecorded",
        """\
(
  rk_meeting_live_participants > 0
  and on (<exporter meeting>)
  rk_meeting_active_recordings
)
unless on (<exporter meeting>)
(
    rk_recording_status{status=~"INVOKED|RECORDING|PAUSED"} == 1
  or
    # The API may have a new word for a recording that runs.
    rk_recording_status{status="UNKNOWN"} == 1
    unless on (<exporter recording>)
    rk_recording_stopped_timestamp_seconds
)
""",
        note=(
            "People in meetings without an active recording. Meetings whose recordings could "
            "not be read are left out."
        ),
    ),
)
