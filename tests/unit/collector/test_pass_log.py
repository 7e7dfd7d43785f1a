import logging

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.collector.pass_log import PassLog, PassReport
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import App, Meeting, Reading, Room
from rk_exporter.model.remedies import REMEDIES, WAIT_REMEDIES, Wait
from rk_exporter.ratelimit.status import BudgetStatus, Outage
from rk_exporter.snapshot import AppSnapshot


SERVER_ERROR = Failure(Reason.SERVER_ERROR, "the API answered 500")
REJECTED = Failure(Reason.AUTH, "the API rejected the token")
TIMEOUT = Failure(Reason.TIMEOUT, "the API did not answer in time")
LOGGER = logging.getLogger("rk_exporter.collector")
Line = tuple[str, str, dict[str, Any]]
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
        self._lines.append((record.levelname, record.getMessage(), vars(record)))

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


def warnings(lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if line[0] == "WARNING"]


class TestFailures:
    """Meetings that cannot be read."""

    def test_one_meeting(self) -> None:
        """The line has the id, the reason, and what to do; the end is logged too."""
        passes = Passes()
        passes.make(fine(3))
        ((level, message, fields),) = passes.make(fine(3) | {"m-1": SERVER_ERROR})
        assert ("WARNING", "meetings cannot be read: the API answered 500") == (level, message)
        assert ("app-1", "m-1", 1) == tuple(fields[key] for key in ("app", "meeting_ids", "failed"))
        assert ("server_error", REMEDIES[Reason.SERVER_ERROR]) == (
            fields["reason"],
            fields["remedy"],
        )
        assert [] == passes.make(fine(3) | {"m-1": SERVER_ERROR})
        ((level, message, fields),) = passes.make(fine(3))
        assert ("INFO", "all meetings can be read again", "m-1") == (
            level,
            message,
            fields["meeting_ids"],
        )

    def test_from_one_to_three(self) -> None:
        """Each meeting that begins to fail is named, even if others fail for the same reason."""
        passes = Passes()
        passes.make(fine(3) | {"m-0": TIMEOUT})
        ((_, _, fields),) = passes.make(dict.fromkeys(fine(3), TIMEOUT))
        assert ("m-1, m-2", 2, 3, "timeout:3") == tuple(
            fields[key] for key in ("meeting_ids", "meetings", "failed", "reasons")
        )
        ((_, message, fields),) = passes.make(dict.fromkeys(fine(3), TIMEOUT) | {"m-1": None})
        assert ("meetings can be read again", "m-1", 2) == (
            message,
            fields["meeting_ids"],
            fields["failed"],
        )

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
        """A recording that cannot be read by its id is named as well, until it can."""
        passes = Passes()
        ((_, message, fields),) = passes.make({}, recordings={"r": SERVER_ERROR})
        assert "recordings cannot be read: the API answered 500" == message
        assert ("r", "server_error") == (fields["recording_ids"], fields["reason"])

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
        ((level, message, fields),) = warnings(passes.make(fine(1), listed="ab", cause=cause))
        assert message.startswith("meetings have to wait: ")
        assert ("WARNING", "a, b", cause.value, WAIT_REMEDIES[cause]) == (
            level,
            *(fields[key] for key in ("meeting_ids", "reason", "remedy")),
        )
        assert [] == warnings(passes.make({}, listed="ab", cause=cause))

    def test_waiting_now_and_then(self) -> None:
        """Near the limit of the budget, the log has no line for every other pass."""
        passes = Passes()
        lines = []
        for number in range(40):
            lines += passes.make(fine(2) if number % 2 else {"m-0": None}, listed=fine(2))
        assert 1 == len(warnings(lines))
        lines = [line for _ in range(21) for line in passes.make(fine(2))]
        assert ["no meeting has to wait any longer"] == [message for _, message, _ in lines]

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
        ((level, message, fields),) = passes.make(failing, stale=["m-0"])
        assert ("WARNING", "values of meetings are too old, and no longer shown") == (
            level,
            message,
        )
        assert ("m-0", "timeout") == (fields["meeting_ids"], fields["reasons"])
        assert [] == passes.make(failing, stale=["m-0"])
        messages = [message for _, message, _ in passes.make(fine(3))]
        assert ["all meetings can be read again", "values of meetings are shown again"] == messages

    def test_blocked(self) -> None:
        """A block is logged with its reason when it begins and when it ends."""
        passes = Passes()
        passes.make(fine(1))
        lines = passes.make(fine(1), blocked=REJECTED)
        ((level, message, fields),) = lines
        assert "WARNING" == level
        expected = "API calls are suspended, and meetings keep their last values: "
        assert message == f"{expected}the API rejected the token"
        assert ("auth", REMEDIES[Reason.AUTH]) == (fields["reason"], fields["remedy"])
        assert [] == passes.make(fine(1), blocked=REJECTED)
        assert ["API calls are made again"] == [line[1] for line in passes.make(fine(1))]


class TestList:
    """Which meetings are read."""

    def test_changes(self) -> None:
        """Meetings that come and go are named; those at the start are not, they are counted."""
        passes = Passes()
        passes.make(fine(2), live=fine(2))
        lines = passes.make(fine(3), live=fine(3))
        assert [("meetings are read from now on", "m-2")] == [
            (message, fields["meeting_ids"]) for _, message, fields in lines
        ]
        ((_, message, fields),) = passes.make(fine(1), live=fine(1))
        assert message.startswith("meetings are no longer read: no list has them")
        assert "m-1, m-2" == fields["meeting_ids"]

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
        ((_, message, fields),) = passes.make(fine(2), live=fine(2), duplicates=("m-0",))
        assert message.startswith("meetings are listed more than once")
        assert "m-0" == fields["meeting_ids"]
        assert [] == passes.make(fine(2), live=fine(2), duplicates=("m-0",))

    def test_meetings_without_recording(self) -> None:
        """As soon as all meetings were read, the idle ones are named, because ids may be wrong."""
        passes = Passes()
        assert [] == [
            line
            for line in passes.make({"a": None}, listed="ab", live="b")
            if "mistyped" in line[1]
        ]
        ((level, message, fields),) = passes.make({"b": None, "a": None}, live="b")
        assert ("INFO", "a") == (level, fields["meeting_ids"])
        assert "meetings have no recording in progress; a mistyped id looks the same" == message
        assert "rk-exporter check" in fields["remedy"]
        assert [] == passes.make({"b": None, "a": None})
