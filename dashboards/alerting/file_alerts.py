"""Alerts about the files of recordings."""

import textwrap

from dashboards.alerting.rule import Alert, Link, Severity


_CHECKED = "last_over_time(rk_recording_download_last_check_timestamp_seconds[<known>])"
_EXPIRY = "recording:rk_recording_download_url_expiry_timestamp_seconds:near"
_ARCHIVED = "recording:rk_recording_archived:near"
_NOT_ARCHIVED = """\
max by (<app>) (last_over_time(rk_recordings_not_archived{within="24h"}[<known>]))"""
_SOME_HIDDEN = """\
and on (<app>)
max by (<app>) (last_over_time(rk_recordings_hidden[<known>])) > 0
unless on ()
rk:download_url_expires_in_seconds:threshold == 0
"""
ALERTS = (
    Alert(
        name="RealtimeKitRecordingEmptyFile",
        expr="""\
recording:rk_recording_file_size_bytes:empty >= 0
""",
        pending="5m",
        severity=Severity.WARNING,
        summary='A recording of "<name>" has an almost empty file.',
        description=(
            "The meeting may have no usable record: the file of recording <recording> (app <app>) "
            "is <size>, which is too little for its length. Download the file and check it while "
            "the participants still remember the meeting."
        ),
        link=Link.RECORDING,
    ),
    Alert(
        name="RealtimeKitDownloadBroken",
        expr=f"""\
max by (<recording>, kind) (
  last_over_time(rk_recording_download_verified[<known>])
  and on (<exporter recording>, kind)
  (
    {_CHECKED}
    == on (<recording>, kind) group_left ()
    max by (<recording>, kind) ({_CHECKED})
  )
)
== 0
""",
        pending="15m",
        severity=Severity.WARNING,
        summary='The file of a recording of "<name>" cannot be downloaded.',
        description=(
            "The meeting may have no usable record: the {{ $labels.kind }} file of recording "
            "<recording> (app <app>) <fault>. Look for a copy of it now, because a new recording "
            "cannot be made, and RealtimeKit deletes its files after a week."
        ),
        link=Link.RECORDING,
        note=(
            "Only with `--downloads.verify`. If exporters disagree, the one that checked the file "
            "last is right."
        ),
    ),
    Alert(
        name="RealtimeKitDownloadURLExpiringSoon",
        expr=f"""\
count by (<meeting>) (
  ({_EXPIRY} - time() > 0)
  < <download_url_expires_in_seconds>
  unless on (<recording>)
  {_ARCHIVED}
)
""",
        pending="15m",
        severity=Severity.INFO,
        summary='RealtimeKit will soon delete <1 recording|recordings> of "<name>".',
        description=(
            "Files without a copy will be lost when their download URLs expire (meeting "
            "{{ $labels.meeting_id }}, app <app>). Download them now, unless you have copies."
        ),
        link=Link.RECORDING,
        note="Recordings whose copies the exporter does not look for.",
    ),
    Alert(
        name="RealtimeKitDownloadURLExpiringSoon",
        expr=f"""\
count by (<meeting>) (
  ({_EXPIRY} - time() > 0)
  < <download_url_expires_in_seconds>
  and on (<recording>)
  {_ARCHIVED} == 0
)
""",
        pending="15m",
        severity=Severity.CRITICAL,
        summary='<1 recording|recordings> of "<name>" will soon be lost: the archive has no copy.',
        description=(
            "RealtimeKit will delete the files when their download URLs expire (meeting "
            "{{ $labels.meeting_id }}, app <app>), and your bucket has no complete copy. Download "
            "them now, and find out why nothing has copied them."
        ),
        link=Link.RECORDING,
        labels={"what": "not archived"},
        note="Needs `downloads.archive`.",
    ),
    Alert(
        name="RealtimeKitDownloadURLExpiringSoon",
        expr=f"""\
(
  max by (<app>) (last_over_time(rk_recordings_expiring{{within="24h"}}[<known>]))
  - on (<app>)
  (
      count by (<app>) (({_EXPIRY} - time() > 0) - 24 * 60 * 60 < 0)
    or on (<app>)
      0 * max by (<app>) (last_over_time(rk_recordings_hidden[<known>]))
  )
)
> 0
unless on (<app>)
{_NOT_ARCHIVED}
{_SOME_HIDDEN}""",
        pending="15m",
        severity=Severity.INFO,
        summary=(
            "RealtimeKit will soon delete <1 recording|recordings> of app <app> without series."
        ),
        description=(
            "Files without a copy will be lost within a day. These recordings have no series of "
            "their own, because there are more than `--follow.max-recordings`. Download them now, "
            "unless you have copies, and raise the limit to see which ones they are."
        ),
        link=Link.OVERVIEW,
        labels={"what": "hidden"},
        note=(
            "Files of recordings without series of their own. Their meetings are unknown, but "
            "not their number."
        ),
    ),
    Alert(
        name="RealtimeKitDownloadURLExpiringSoon",
        expr=f"""\
(
{textwrap.indent(_NOT_ARCHIVED, "  ")}
  - on (<app>)
  (
      count by (<app>) (
        ({_EXPIRY} - time() > 0) - 24 * 60 * 60 < 0
        and on (<recording>)
        {_ARCHIVED} == 0
      )
    or on (<app>)
      0 * max by (<app>) (last_over_time(rk_recordings_hidden[<known>]))
  )
)
> 0
{_SOME_HIDDEN}""",
        pending="15m",
        severity=Severity.CRITICAL,
        summary=(
            "<1 recording|recordings> of app <app> without series will soon be lost: the archive "
            "has no copy."
        ),
        description=(
            "RealtimeKit will delete the files within a day, and your bucket has no complete copy. "
            "These recordings have no series of their own, because there are more than "
            "`--follow.max-recordings`. Find out why nothing has copied them, and raise the limit "
            "to see which ones they are."
        ),
        link=Link.OVERVIEW,
        labels={"what": "hidden"},
        note="Needs `downloads.archive`.",
    ),
    Alert(
        name="RealtimeKitDownloadURLExpired",
        expr=f"""\
count by (<meeting>) (
  (time() + 6 * 60 - {_EXPIRY} >= 0)
  - 6 * 60
  < <download_url_expired_seconds>
  unless on (<recording>)
  {_ARCHIVED} == 1
)
""",
        pending="5m",
        severity=Severity.INFO,
        summary='RealtimeKit has deleted <1 recording|recordings> of "<name>".',
        description=(
            "Files without a copy are lost, because their download URLs have expired within the "
            "last day (meeting {{ $labels.meeting_id }}, app <app>). Check that your archive has "
            "them."
        ),
        link=Link.RECORDING,
        note=(
            "Pending begins six minutes before the expiry, so that this alert fires before "
            "RealtimeKitDownloadURLExpiringSoon resolves."
        ),
    ),
    Alert(
        name="RealtimeKitDownloadURLExpired",
        expr=f"""\
time() - app:rk_recordings_earliest_expiry_timestamp_seconds:day >= 0
unless on (<app>)
(time() - {_EXPIRY} >= 0)
unless on ()
rk:download_url_expired_seconds:threshold <= 0
""",
        pending="15m",
        severity=Severity.INFO,
        summary="RealtimeKit has deleted recordings of app <app> that are not shown.",
        description=(
            "Files without a copy are lost: the first of these download URLs expired <duration> "
            "ago, and the recordings have no series of their own. Check that your archive has all "
            "recordings of a week ago, and raise `--follow.max-recordings` to see which ones they "
            "are."
        ),
        link=Link.OVERVIEW,
        labels={"what": "hidden"},
        note="Only if no recording is shown whose URL has expired.",
    ),
)
