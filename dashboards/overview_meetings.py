"""The table of the overview: one row for each meeting, those with problems first."""

from dashboards import expressions
from dashboards.links import RECORDING, link_to
from dashboards.panels import DURATION, LONG_DURATION, About, Panel, Size
from dashboards.queries import MISSED, STATE_CODE, TROUBLE_LEVEL
from dashboards.selectors import (
    BY_MEETING,
    BY_RECORDING,
    CHOSEN,
    as_time,
    named,
    of_meeting,
    once,
    threshold,
)
from dashboards.states import as_text, values
from dashboards.tables import Label, Value, table_of
from dashboards.troubles import TROUBLES
from rk_exporter.model.palette import BAD, SOON


_ROWS = 50
# More than any time in seconds.
_RANK = "1e10"
_UNREAD, _UNRECORDED = expressions.STUCK + 1, expressions.STUCK + 2
_TROUBLES = {_UNRECORDED: ("unrecorded", BAD), _UNREAD: ("unread", SOON), **TROUBLES}


def meetings() -> Panel:
    """Return the table."""
    to_recording = link_to(RECORDING, app="App", meeting="Meeting id")
    return table_of(
        About(
            "Meetings, problems first",
            f"The {_ROWS} meetings that need attention most, with their latest recording. "
            "Unrecorded: people are in a meeting that should record from the start. Unread: the "
            "exporter cannot read it. Stuck: the recording does not start, or its upload does not "
            "end. Failed, empty: of the last 24 h. Check: it is PAUSED or in an unknown state. "
            "Expires: the next file that RealtimeKit deletes. A dash is an unknown value, e.g. the "
            "size of a running recording.",
        ),
        [
            Value("Trouble", named(_most_urgent()), width=95, texts=values(_TROUBLES)),
            Value("State", _of_latest(STATE_CODE), width=110, texts=as_text()),
            Label("Meeting", "meeting_name", link=to_recording, link_title="Open recordings"),
            Value(
                "Started",
                as_time(_of_latest(_of_recording("invoked_timestamp_seconds"))),
                unit="dateTimeFromNow",
                width=140,
            ),
            Value(
                "Duration",
                _of_latest(_of_recording("duration_seconds")),
                unit=DURATION,
                width=90,
            ),
            Value(
                "Size",
                _of_latest(_of_recording("file_size_bytes")),
                unit="bytes",
                width=85,
                decimals=1,
            ),
            Value(
                "Expires in",
                f"min by ({BY_MEETING}) ({_of_recording(_EXPIRES)} > 0)",
                unit=LONG_DURATION,
                width=110,
            ),
            Value("People", _of_meeting("live_participants"), width=85),
            Label("App", "rk_app", width=110),
            Label("Meeting id", "meeting_id", is_hidden=True),
        ],
        size=Size(24, 9),
        sorted_by="Trouble",
        then_by="Started",
        only_with="Trouble",
        empty="The exporter watches no meeting, or Prometheus has no data.",
    )


def _of_recording(metric: str) -> str:
    return once(BY_RECORDING, of_meeting(f"rk_recording_{metric}"))


def _of_meeting(metric: str) -> str:
    return once(BY_MEETING, of_meeting(f"rk_meeting_{metric}"))


def _of_latest(promql: str) -> str:
    """Return the value of each meeting's most recently requested recording."""
    return f"max by ({BY_MEETING}) ({promql}\nand on ({BY_RECORDING})\n({_LATEST}))"


def _most_urgent() -> str:
    """Return the trouble of the meetings with a row: of equal ones, those that started last."""
    latest = f"{_LATEST_AT}\nor on ({BY_MEETING}) 0 * {expressions.names(CHOSEN)}"
    rank = f"{_RANK} * {_trouble()}\n+ on ({BY_MEETING}) ({latest})"
    return f"floor(topk({_ROWS}, {rank}) / {_RANK})"


def _trouble() -> str:
    """Return the most urgent problem of each meeting."""
    ended_at = f"({_of_recording('stopped_timestamp_seconds')} or {_REQUESTED_AT})"
    is_old = f"{ended_at} < time() - {threshold('recording_ended_seconds')}"
    is_over = of_meeting("rk_recording_status", 'status=~"ERRORED|UPLOADED"')
    is_past = f"({is_over} == 1\nand on ({BY_RECORDING}) {is_old})"
    expires = f"{expressions.EXPIRES} * ({expressions.expiring_once(CHOSEN)}) ^ 0"
    return (
        f"({_UNRECORDED} * {MISSED} ^ 0\n"
        f"or on ({BY_MEETING}) {_UNREAD} * ({_unread()}) ^ 0\n"
        f"or on ({BY_MEETING}) max by ({BY_MEETING}) (\n"
        f"{TROUBLE_LEVEL}\nunless on ({BY_RECORDING}) {is_past}\n"
        f"or on ({BY_RECORDING}) {expires})\n"
        f"or on ({BY_MEETING}) 0 * {expressions.names(CHOSEN)})"
    )


def _unread() -> str:
    """Return the meetings that have not been read for a while, or never."""
    read_at = _of_meeting("last_success_timestamp_seconds")
    return (
        f"{_of_meeting('up')} == 0\nunless on ({BY_MEETING}) "
        f"time() - {read_at} <= {threshold('data_age_seconds')}"
    )


_EXPIRES = "download_url_expires_in_seconds"
_REQUESTED_AT = _of_recording("invoked_timestamp_seconds")
_LATEST_AT = once(BY_MEETING, of_meeting("rk_recording_invoked_timestamp_seconds"))
_LATEST = f"{_REQUESTED_AT} == on ({BY_MEETING}) group_left () {_LATEST_AT}"
