import logging

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.collector.pass_log import PassLog, PassReport
from rk_exporter.collector.waiting_log import EXPLANATIONS
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import App, Meeting, Reading, Room
from rk_exporter.model.remedies import EXISTENCE_REMEDY, REMEDIES, WAIT_REMEDIES, Wait
from rk_exporter.ratelimit.status import BudgetStatus, Outage
from rk_exporter.snapshot import AppSnapshot
from tests.support.known import known
from tests.support.log_lines import Line, line_of


SERVER_ERROR = Failure(Reason.SERVER_ERROR, "the API answered 500")
REJECTED = Failure(Reason.AUTH, "the API rejected the token")
TIMEOUT = Failure(Reason.TIMEOUT, "the API did not answer in time")
LOGGER = logging.getLogger("rk_exporter.collector")
Outcomes = Mapping[str, Failure | None]


@pytest.fixture(autouse=True)
def handlers_removed() -> Iterator[None]:
    """Leave the logger without the handlers of a test."""
    yield
    LOGGER.handlers = []


class Lines(logging.Handler):
    """The lines of the log: level, message and fields."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Line] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(line_of(record))

    def new(self) -> list[Line]:
        """Return the lines since the last time."""
        lines, self._lines = self._lines, []
        return lines


class Passes:
    """Passes over an app, and what each of them adds to the log."""

    def __init__(self) -> None:
        self._lines = Lines()
        LOGGER.handlers = [self._lines]
        LOGGER.setLevel(logging.INFO)
        self._log = PassLog("app-1")
        self._now = 0.0
        self._readings: dict[str, Reading] = {}

    def make(
        self,
        outcomes: Outcomes,
        *,
        listed: Iterable[str] | None = None,
        stale: Iterable[str] = (),
        live: Iterable[str] = (),
        later: float = 15.0,
        cause: Wait = Wait.BUDGET,
        blocked: Failure | None = None,
        **changes: Any,
    ) -> list[Line]:
        """Make a pass with these *outcomes*; meetings that are listed without one have to wait."""
        self._now += later
        listed = [*(outcomes if listed is None else listed)]
        self._readings = {key: self._after(key, outcomes, stale, live) for key in listed}
        self._log.log(
            PassReport(
                now=self._now,
                snapshot=AppSnapshot(
                    app=App("app-1", "account", "app-1"),
                    readings=(*self._readings.values(),),
                    budget_status=status_of(blocked) if blocked else None,
                ),
                meetings=outcomes,
                recordings=changes.pop("recordings", {}),
                waiting=[key for key in listed if key not in outcomes],
                cause=cause,
                **changes,
            )
        )
        return self._lines.new()

    def _after(
        self, key: str, outcomes: Outcomes, stale: Iterable[str], live: Iterable[str]
    ) -> Reading:
        before = self._readings.get(key)
        success = before.last_success_timestamp_seconds if before else None
        recordings = before.recordings if before else None
        attempt = before.last_attempt_timestamp_seconds if before else None
        failure = outcomes.get(key)
        if key in outcomes:
            attempt = self._now
            success, recordings = (success, recordings) if failure else (self._now, ())
        return Reading(
            meeting=Meeting(key, key),
            recordings=None if key in stale else recordings,
            last_attempt_timestamp_seconds=attempt,
            last_success_timestamp_seconds=success,
            failure=failure,
            room=Room(is_live=True) if key in live else None,
        )


def status_of(blocked: Failure) -> BudgetStatus:
    block = Outage(failure=blocked, since_timestamp_seconds=0.0)
    return BudgetStatus(limit=600, remaining=0, block=block)


def fine(count: int) -> dict[str, Failure | None]:
    return dict.fromkeys((f"m-{number}" for number in range(count)), None)


def about(meeting_ids: str, meetings: int = 1, **fields: Any) -> dict[str, Any]:
    """Return the fields of a line about some meetings."""
    return {"app": "app-1", "meeting_ids": meeting_ids, "meetings": meetings, **fields}


def why(failure: Failure) -> dict[str, Any]:
    return {"reason": failure.reason.value, "remedy": REMEDIES[failure.reason]}


def warnings(lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if line[0] == "WARNING"]


class TestFailures:
    """Meetings that cannot be read."""

    def test_one_meeting(self) -> None:
        """The line has the id, the reason, and what to do; the end is logged too."""
        passes = Passes()
        passes.make(fine(3))
        failed = about("m-1", failed=1, reasons="server_error:1", **why(SERVER_ERROR))
        assert passes.make(fine(3) | {"m-1": SERVER_ERROR}) == [
            ("WARNING", "meetings cannot be read: the API answered 500", failed)
        ]
        assert [] == passes.make(fine(3) | {"m-1": SERVER_ERROR})
        assert passes.make(fine(3)) == [("INFO", "all meetings can be read again", about("m-1"))]

    def test_from_one_to_three(self) -> None:
        """Each meeting that begins to fail is named, even if others fail for the same reason."""
        passes = Passes()
        passes.make(fine(3) | {"m-0": TIMEOUT})
        ((_, _, fields),) = passes.make(dict.fromkeys(fine(3), TIMEOUT))
        assert fields == about("m-1, m-2", 2, failed=3, reasons="timeout:3", **why(TIMEOUT))
        two_left = about("m-1", failed=2, reasons="timeout:2")
        assert passes.make(dict.fromkeys(fine(3), TIMEOUT) | {"m-1": None}) == [
            ("INFO", "meetings can be read again", two_left)
        ]

    def test_two_reasons(self) -> None:
        """Each reason has its own line with its own remedy, and all lines count all failures."""
        passes = Passes()
        failing = {"a": TIMEOUT, "b": REJECTED, "c": TIMEOUT}
        counts: dict[str, Any] = {"failed": 3, "reasons": "auth:1,timeout:2"}
        assert passes.make(failing) == [
            (
                "WARNING",
                "meetings cannot be read: the API did not answer in time",
                about("a, c", 2, **counts, **why(TIMEOUT)),
            ),
            (
                "WARNING",
                "meetings cannot be read: the API rejected the token",
                about("b", **counts, **why(REJECTED)),
            ),
        ]

    def test_another_reason(self) -> None:
        """A meeting that fails for another reason is named again; another text is no change."""
        passes = Passes()
        passes.make({"a": SERVER_ERROR})
        assert [] == passes.make({"a": Failure(Reason.SERVER_ERROR, "the API answered 503")})
        ((_, message, _),) = passes.make({"a": TIMEOUT})
        assert "meetings cannot be read: the API did not answer in time" == message

    def test_5000_meetings(self) -> None:
        """However many fail, a reason has one line, which names ten and counts the others."""
        passes = Passes()
        ((_, _, fields),) = passes.make(dict.fromkeys(fine(5000), TIMEOUT))
        assert fields["meeting_ids"].startswith("m-0, m-1, m-2, ")
        assert fields["meeting_ids"].endswith("m-9 and 4,990 more")
        assert (5000, 5000) == (fields["meetings"], fields["failed"])
        lines = passes.make(fine(5000))
        assert [True] == [line[2]["meeting_ids"].endswith(" 4,990 more") for line in lines[:1]]
        assert len(lines) == 2

    def test_recordings(self) -> None:
        """Recordings that cannot be read by their ids are named as well, until they can."""
        passes = Passes()
        followed = [known(key, "m-1") for key in ("r-1", "r-2")] + [known("r-3", "m-2")]
        failing = {one.recording_id: SERVER_ERROR for one in followed}
        failed = {
            "app": "app-1",
            "recording_ids": "r-1, r-2, r-3",
            "meeting_ids": "m-1, m-2",
            "failed": 3,
            **why(SERVER_ERROR),
        }
        assert passes.make({}, recordings=failing, followed=followed) == [
            ("WARNING", "recordings cannot be read: the API answered 500", failed)
        ]
        assert [] == passes.make({}, recordings=failing, followed=followed)
        again = {"app": "app-1", "recording_ids": "r-1, r-3"}
        assert passes.make({}, recordings={"r-1": None, "r-3": None}, followed=followed) == [
            ("INFO", "recordings can be read again", again)
        ]
        # It fails for the first time since it could be read.
        assert 1 == len(passes.make({}, recordings={"r-1": SERVER_ERROR}, followed=followed))

    def test_recordings_that_are_no_longer_followed(self) -> None:
        """A recording that is forgotten does not count as failing, even if none is read."""
        passes = Passes()
        followed = [known("r-1", "m-1"), known("r-2", "m-1")]
        passes.make({}, recordings={"r-1": SERVER_ERROR}, followed=followed)
        passes.make({}, followed=followed[1:])
        ((_, _, fields),) = passes.make({}, recordings={"r-2": TIMEOUT}, followed=followed)
        assert (fields["recording_ids"], fields["failed"]) == ("r-2", 1)

    @given(
        passes=st.lists(
            st.dictionaries(
                st.sampled_from("abcdefgh"),
                st.sampled_from([None, *(Failure(reason, str(reason)) for reason in Reason)]),
            ),
            max_size=8,
        )
    )
    def test_the_log_is_enough(self, passes: list[dict[str, Failure | None]]) -> None:
        """Whatever happens, the log alone says which meetings fail now and why."""
        log, actual, shown = Passes(), dict[str, str](), dict[str, str]()
        for outcomes in passes:
            listed = [*"abcdefgh"]
            for key, failure in outcomes.items():
                actual.pop(key, None)
                actual |= {key: failure.reason.value} if failure else {}
            for _, message, fields in log.make(outcomes, listed=listed):
                ids = str(fields.get("meeting_ids")).split(", ")
                if "cannot be read" in message:
                    shown |= dict.fromkeys(ids, str(fields["reason"]))
                elif "can be read again" in message:
                    for key in ids:
                        del shown[key]
            assert shown == actual

    @given(
        passes=st.lists(
            st.lists(
                st.sampled_from([None, *(Failure(reason, str(reason)) for reason in Reason)]),
                min_size=60,
                max_size=60,
            ),
            max_size=4,
        ),
        is_stale=st.booleans(),
    )
    def test_short(self, passes: list[list[Failure | None]], is_stale: bool) -> None:  # noqa: FBT001
        """No pass has more than a few lines, and no line more than ten ids."""
        log = Passes()
        for outcomes in passes:
            by_id = {f"m-{number}": outcome for number, outcome in enumerate(outcomes)}
            lines = log.make(by_id, stale=by_id if is_stale else ())
            assert len(lines) <= len(Reason) + 4
            for _, _, fields in lines:
                assert str(fields.get("meeting_ids", "")).count(",") <= 9


class TestOldValues:
    """Meetings that are not read, or whose values are too old."""

    @pytest.mark.parametrize("cause", Wait)
    def test_waiting(self, cause: Wait) -> None:
        """Meetings that have to wait are named once, with the cause and what to do."""
        passes = Passes()
        fields = about("a, b", 2, reason=cause.value, remedy=WAIT_REMEDIES[cause])
        message = f"meetings have to wait: {EXPLANATIONS[cause]}"
        assert warnings(passes.make(fine(1), listed="ab", cause=cause)) == [
            ("WARNING", message, fields)
        ]
        assert [] == warnings(passes.make({}, listed="ab", cause=cause))

    def test_waiting_now_and_then(self) -> None:
        """Near the limit of the budget, the log has no line for every other pass."""
        passes = Passes()
        lines = []
        for number in range(40):
            lines += passes.make(fine(2) if number % 2 else {"m-0": None}, listed=fine(2))
        assert 1 == len(warnings(lines))
        # The last pass in which a meeting had to wait was 15 s ago.
        assert [] == [line for _ in range(18) for line in passes.make(fine(2))]
        over = ("INFO", "no meeting has to wait any longer", {"app": "app-1"})
        assert [over] == passes.make(fine(2))
        assert [] == [line for _ in range(30) for line in passes.make(fine(2))]
        # The next time is a new one.
        assert 1 == len(warnings(passes.make({"m-0": None}, listed=fine(2))))

    def test_two_causes(self) -> None:
        """Each cause has its own line."""
        passes = Passes()
        passes.make(fine(2))
        found = []
        for cause in (Wait.BUDGET, Wait.TIME, Wait.BUDGET):
            lines = warnings(passes.make({}, listed=fine(2), cause=cause))
            found += [fields["reason"] for _, _, fields in lines]
        assert ["budget", "time"] == found

    def test_too_old(self) -> None:
        """A line says when values end, why, and when they are back."""
        passes = Passes()
        passes.make(fine(3))
        failing = fine(3) | {"m-0": TIMEOUT}
        passes.make(failing)
        too_old = "values of meetings are too old, and no longer shown"
        assert passes.make(failing, stale=["m-0"]) == [
            ("WARNING", too_old, about("m-0", reasons="timeout"))
        ]
        assert [] == passes.make(failing, stale=["m-0"])
        assert passes.make(fine(3)) == [
            ("INFO", "all meetings can be read again", about("m-0")),
            ("INFO", "values of meetings are shown again", about("m-0")),
        ]
        assert [too_old] == [line[1] for line in passes.make(fine(3), stale=["m-0"])]

    def test_too_old_for_several_reasons(self) -> None:
        """Meetings that could not be read, and others that had to wait, have one line."""
        passes = Passes()
        passes.make(fine(4))
        failing: dict[str, Failure | None] = {"m-0": TIMEOUT, "m-1": SERVER_ERROR, "m-3": None}
        passes.make(failing, listed=fine(4))
        lines = passes.make(failing, listed=fine(4), stale=["m-0", "m-1", "m-2"])
        fields = about("m-0, m-1, m-2", 3, reasons="budget,server_error,timeout")
        assert [line[2] for line in lines] == [fields]
        back = passes.make(fine(4))[-1]
        assert back[2] == about("m-0, m-1, m-2", 3)

    def test_never_read(self) -> None:
        """A meeting that never had values has none that are too old."""
        passes = Passes()
        passes.make({"a": TIMEOUT})
        assert [] == passes.make({"a": TIMEOUT}, stale="a")

    def test_too_old_and_removed(self) -> None:
        """The values of a meeting that is no longer read are not shown again."""
        passes = Passes()
        passes.make(fine(2))
        passes.make({"m-0": None, "m-1": TIMEOUT})
        passes.make({"m-0": None, "m-1": TIMEOUT}, stale=["m-1"])
        messages = [message for _, message, _ in passes.make(fine(1))]
        assert messages == ["meetings are no longer read: no list has them, and they are not live"]

    def test_blocked(self) -> None:
        """A block is logged with its reason when it begins and when it ends."""
        passes = Passes()
        passes.make(fine(1))
        suspended = "API calls are suspended, and meetings keep their last values: "
        assert passes.make(fine(1), blocked=REJECTED) == [
            ("WARNING", f"{suspended}the API rejected the token", {"app": "app-1", **why(REJECTED)})
        ]
        assert [] == passes.make(fine(1), blocked=REJECTED)
        assert [("INFO", "API calls are made again", {"app": "app-1"})] == passes.make(fine(1))


class TestList:
    """Which meetings are read."""

    def test_changes(self) -> None:
        """Meetings that come and go are named; those at the start are not, they are counted."""
        passes = Passes()
        passes.make(fine(2), live=fine(2))
        assert passes.make(fine(3), live=fine(3)) == [
            ("INFO", "meetings are read from now on", about("m-2"))
        ]
        gone = "meetings are no longer read: no list has them, and they are not live"
        assert passes.make(fine(1), live=fine(1)) == [("INFO", gone, about("m-1, m-2", 2))]

    def test_failures_of_removed_meetings(self) -> None:
        """A meeting that has left the list is no longer counted as failing."""
        passes = Passes()
        passes.make({"a": TIMEOUT, "b": TIMEOUT})
        passes.make({"b": TIMEOUT})
        ((_, message, _),) = passes.make({"b": None}, live="b")
        assert "all meetings can be read again" == message

    def test_duplicates(self) -> None:
        """Meetings that several lists have are named once."""
        passes = Passes()
        twice = "meetings are listed more than once; each is read once"
        for duplicates in (("m-0",), ("m-0", "m-1")):
            assert passes.make(fine(2), live=fine(2), duplicates=duplicates) == [
                ("INFO", twice, about(", ".join(duplicates), len(duplicates)))
            ]
            assert [] == passes.make(fine(2), live=fine(2), duplicates=duplicates)
        assert [] == passes.make(fine(2), live=fine(2))

    def test_meetings_without_recording(self) -> None:
        """As soon as all meetings were read, the idle ones are named, because ids may be wrong."""
        passes = Passes()
        assert [] == [
            line
            for line in passes.make({"a": None}, listed="ab", live="b")
            if "mistyped" in line[1]
        ]
        idle = "meetings have no recording in progress; a mistyped id looks the same"
        assert passes.make({"b": None, "a": None}, live="b") == [
            ("INFO", idle, about("a", remedy=EXISTENCE_REMEDY))
        ]
        assert [] == passes.make({"b": None, "a": None})

    def test_new_meeting_without_recording(self) -> None:
        """A new meeting is named when it was read; one that failed first, as soon as it can be."""
        passes = Passes()
        passes.make({"a": None}, live="a")
        messages = [line[1:] for line in passes.make({"a": None, "b": TIMEOUT, "c": None})]
        idle = "meetings have no recording in progress; a mistyped id looks the same"
        assert messages[0] == ("meetings are read from now on", about("b, c", 2))
        assert messages[-1] == (idle, about("c", remedy=EXISTENCE_REMEDY))
        assert passes.make({"a": None, "b": None, "c": None})[-1][1:] == (
            idle,
            about("b", remedy=EXISTENCE_REMEDY),
        )
