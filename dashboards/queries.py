"""PromQL that several panels of the overview share."""

from dashboards.selectors import BY_APP, BY_MEETING, BY_RECORDING, of_app, of_meeting, once


_DAY_SECONDS = 86_400
_UNRECORDED = of_meeting("instance:rk_meeting_live_participants:unrecorded")
# Three samples in a row, because participants are read less often than recordings. A recording that
# ends with its meeting must not look like a meeting without a recording.
LIVE_UNRECORDED = (
    f"({once(BY_MEETING, _UNRECORDED)}\nand on ({BY_MEETING})\n"
    f"count_over_time({_UNRECORDED}[2m]) > 2)"
)
_EXPIRES_IN = once(BY_RECORDING, of_meeting("rk_recording_download_url_expires_in_seconds"))
EXPIRING = f"({_EXPIRES_IN} > 0) < {_DAY_SECONDS}"


FAILED = "errored|upload_failed"
EXPIRING_WITHIN_A_DAY = once(BY_APP, of_app("rk_recordings_expiring", 'within="24h"'))
HIDDEN = once(BY_APP, of_app("rk_recordings_hidden"))


def in_states(statuses: str) -> str:
    """Return how many recordings are known in one or several states, separated by `|`."""
    matcher = f'status=~"{statuses}"' if "|" in statuses else f'status="{statuses}"'
    return once(f"{BY_APP}, status", of_app("rk_recordings", matcher))


def ended_within(window: str, outcomes: str) -> str:
    """Return how many recordings ended with one or several outcomes, separated by `|`."""
    matcher = f'outcome=~"{outcomes}"' if "|" in outcomes else f'outcome="{outcomes}"'
    return once(
        "rk_app, outcome", of_app(f"instance:rk_recordings_finished:increase{window}", matcher)
    )
