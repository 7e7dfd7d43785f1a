from collections import Counter
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rk_exporter.simulator import (
    DEMO_PACE,
    REAL_PACE,
    GeneratedScenario,
    Pace,
    Recording,
    Scenario,
    Status,
)


STARTS_AT = 1_772_000_000.0
HOUR = 3600.0
DAY = 86_400.0


def demo(seed: int = 1, meetings: int = 20) -> GeneratedScenario:
    """Generate a scenario at the demo's pace."""
    return GeneratedScenario(seed, meetings, STARTS_AT, DEMO_PACE)


class TestDeterminism:
    """The same seed gives the same scenario."""

    @given(
        seed=st.integers(),
        offsets=st.lists(st.floats(0, HOUR), min_size=1, max_size=6),
        data=st.data(),
    )
    @settings(max_examples=15, deadline=None)
    def test_any_order(self, seed: int, offsets: list[float], data: st.DataObject) -> None:
        """The same seed gives the same scenario, whatever the order of the requests."""
        shuffled = data.draw(st.permutations(offsets))
        one, other = demo(seed, 3), demo(seed, 3)

        expected = {offset: _everything(one, STARTS_AT + offset) for offset in offsets}

        assert expected == {offset: _everything(other, STARTS_AT + offset) for offset in shuffled}

    @given(offsets=st.lists(st.floats(-DAY, 365 * DAY), min_size=2, max_size=5))
    @settings(max_examples=15, deadline=None)
    def test_far_jumps(self, offsets: list[float]) -> None:
        """Jumps of months change nothing, although the cache evicts distant blocks."""
        scenario = GeneratedScenario(7, 2, STARTS_AT, DEMO_PACE, retention_seconds=HOUR)

        for offset in offsets:
            now = STARTS_AT + offset
            fresh = GeneratedScenario(7, 2, STARTS_AT, DEMO_PACE, retention_seconds=HOUR)
            assert _everything(fresh, now) == _everything(scenario, now)

    def test_seeds_differ(self) -> None:
        """Another seed gives another scenario."""
        assert demo(1).meetings() != demo(2).meetings()

    def test_more_meetings(self) -> None:
        """A larger scenario starts with the same meetings."""
        assert demo(1, 5).meetings() == demo(1, 9).meetings()[:5]

    def test_ids_from_elsewhere(self) -> None:
        """A new scenario knows the ids of another one with the same seed."""
        now = STARTS_AT + HOUR
        recording, session = demo().recordings(now)[0], demo().sessions(now)[0]

        assert recording == demo().recording(recording.id, now)
        assert session == demo().session(session.id, now)


class TestScenario:
    """Properties of a scenario at every moment."""

    def test_is_a_scenario(self) -> None:
        """A generated scenario is a `Scenario`."""
        scenario: Scenario = demo()

        assert len(scenario.meetings()) == 20

    def test_agreement(self) -> None:
        """All methods agree about the same moment."""
        scenario = demo()
        for now in (STARTS_AT, STARTS_AT + 777.7, STARTS_AT + 5 * HOUR):
            everything = scenario.recordings(now)
            active = [r for m in scenario.meetings() for r in scenario.active(m.id, now)]
            by_meeting = [
                r for m in scenario.meetings() for r in scenario.recordings(now, meeting_id=m.id)
            ]

            assert {r.id for r in everything if r.is_active(now)} == {r.id for r in active}
            assert {r.id for r in everything} == {r.id for r in by_meeting}
            assert all(r == scenario.recording(r.id, now) for r in everything)
            assert all(s == scenario.session(s.id, now) for s in scenario.sessions(now))

    def test_order(self) -> None:
        """Lists are newest first, for one meeting and for all."""
        scenario = demo()
        meeting_id = scenario.meetings()[0].id
        now = STARTS_AT + 3 * HOUR

        for only in (None, meeting_id):
            invoked = [r.invoked_at for r in scenario.recordings(now, meeting_id=only)]
            started = [s.started_at for s in scenario.sessions(now, meeting_id=only)]
            assert sorted(invoked, reverse=True) == invoked
            assert sorted(started, reverse=True) == started

    def test_since(self) -> None:
        """A list can start at a given time."""
        scenario = demo()
        now = STARTS_AT + HOUR

        assert [r for r in scenario.recordings(now) if r.invoked_at >= now - 60] == list(
            scenario.recordings(now, since=now - 60)
        )

    def test_list_generates_little_more_than_it_returns(self) -> None:
        """A list of the last hours generates little more, even for many meetings."""
        scenario = GeneratedScenario(1, 300, STARTS_AT, REAL_PACE)

        returned = scenario.recordings(STARTS_AT, since=STARTS_AT - 5 * HOUR)

        generated = len(scenario._cache.by_id) / 2  # noqa: SLF001 - no other trace of generated data
        assert len(returned) > 50
        assert generated < 1.6 * len(scenario.recordings(STARTS_AT + DAY, since=STARTS_AT))

    def test_unknown_ids(self) -> None:
        """Unknown ids give no results."""
        scenario = demo()
        recording, session = scenario.recordings(STARTS_AT)[0], scenario.sessions(STARTS_AT)[0]

        assert scenario.meeting("nobody") is None
        assert scenario.active("nobody", STARTS_AT) == []
        assert scenario.recordings(STARTS_AT, meeting_id="nobody") == []
        assert scenario.recording("nobody", STARTS_AT) is None
        assert scenario.recording(session.id, STARTS_AT) is None
        assert scenario.session("nobody", STARTS_AT) is None
        assert scenario.session(recording.id, STARTS_AT) is None

    def test_not_outside_its_time(self) -> None:
        """A recording exists neither before it was invoked nor after the retention time."""
        scenario = GeneratedScenario(1, 5, STARTS_AT, DEMO_PACE, retention_seconds=HOUR)
        recording = scenario.recordings(STARTS_AT + HOUR)[0]
        session = scenario.sessions(STARTS_AT + HOUR)[0]

        assert scenario.recording(recording.id, STARTS_AT) is None
        assert scenario.session(session.id, STARTS_AT) is None
        assert scenario.recording(recording.id, STARTS_AT + 3 * HOUR) is None
        assert scenario.session(session.id, STARTS_AT + 3 * HOUR) is None

    def test_lingering(self) -> None:
        """With lingering, recordings that ended recently count as active."""
        scenario = demo()
        now = STARTS_AT + HOUR

        found = {r.id for m in scenario.meetings() for r in scenario.active(m.id, now, 30.0)}

        assert {r.id for r in scenario.recordings(now) if r.is_active(now, 30.0)} == found
        assert any(r.status(now) == Status.UPLOADED for r in scenario.recordings(now))

    def test_retention(self) -> None:
        """Recordings disappear eight days after they were invoked."""
        scenario = GeneratedScenario(1, 2, STARTS_AT, REAL_PACE)
        now = STARTS_AT + 30 * DAY

        assert all(r.invoked_at >= now - 8 * DAY for r in scenario.recordings(now))

    def test_bounded(self) -> None:
        """The cache stays small, whatever times are requested."""
        scenario = GeneratedScenario(1, 3, STARTS_AT, DEMO_PACE, retention_seconds=HOUR)
        sizes = []
        for days in range(0, 365, 12):
            now = STARTS_AT + days * DAY
            scenario.recordings(now)
            sizes.append(len(scenario._cache.by_id))  # noqa: SLF001 - no other trace of cached data

        assert max(sizes) < 3 * 2 * 5 * DEMO_PACE.block_seconds / 40

    def test_consistency(self) -> None:
        """Phases are in order, recordings belong to sessions, and a meeting has one at a time."""
        scenario = demo()
        now = STARTS_AT + 6 * HOUR
        for meeting in scenario.meetings():
            recordings = scenario.recordings(now, meeting_id=meeting.id)
            for recording in recordings:
                assert all(a.at <= b.at for a, b in pairwise(recording.phases))
                session = scenario.session(recording.session_id or "", recording.invoked_at)
                assert session is not None
                assert session.started_at <= recording.invoked_at
            for newer, older in pairwise(recordings):
                assert not older.is_active(newer.invoked_at)

    def test_no_meetings(self) -> None:
        """A scenario without meetings, or without busy ones, has no recordings."""
        unused = replace(DEMO_PACE, busy_share=0.0)

        assert demo(1, 0).recordings(STARTS_AT) == []
        assert GeneratedScenario(1, 3, STARTS_AT, unused).recordings(STARTS_AT) == []
        assert GeneratedScenario(1, 3, STARTS_AT, unused).sessions(STARTS_AT) == []

    def test_meeting_ids(self) -> None:
        """Ids are unique: UUIDs, except a few room names of V1 meetings."""
        ids = [meeting.id for meeting in demo(1, 600).meetings()]

        assert len(set(ids)) == 600
        assert {36, 13} == {len(meeting_id) for meeting_id in ids}
        assert 20 < sum(len(meeting_id) == 13 for meeting_id in ids) < 80


class TestPace:
    """Durations and shares."""

    def test_demo_changes_within_a_minute(self) -> None:
        """At the demo's pace, nearly every meeting changes within a minute, or hangs."""
        scenario = demo(3, 50)
        moments = [STARTS_AT + 2000 + second for second in range(0, 61, 2)]
        hangs = {r.meeting_id for r in _hanging(scenario, moments[0], seconds=30)}

        healthy = [meeting.id for meeting in scenario.meetings() if meeting.id not in hangs]
        changed = sum(
            len({_appearance(scenario, meeting_id, now) for now in moments}) > 1
            for meeting_id in healthy
        )

        assert len(healthy) >= 40
        assert changed >= 0.9 * len(healthy)

    def test_demo_hangs(self) -> None:
        """At the demo's pace, one in twelve meetings hangs, often for more than 5 minutes."""
        scenario = demo(4, 240)
        moments = [STARTS_AT + second for second in range(0, 7200, 300)]

        hanging, alerting = (
            sum(len(_hanging(scenario, now, seconds=seconds)) for now in moments)
            / len(moments)
            / 20
            for seconds in (30, 300)
        )

        assert 0.8 < hanging < 1.5
        assert alerting > hanging / 3

    def test_demo_ends_errored(self) -> None:
        """At the demo's pace, about one recording in seven ends ERRORED."""
        ends = _ends(demo(4, 60), STARTS_AT + HOUR)

        assert 0.11 < ends[Status.ERRORED] / ends.total() < 0.18

    def test_demo_has_every_state(self) -> None:
        """At the demo's pace, all states exist at the same moment."""
        scenario = demo(5, 160)

        assert set(Status) == {r.status(STARTS_AT) for r in scenario.recordings(STARTS_AT)}

    def test_real_share_of_active(self) -> None:
        """At the real pace, about one meeting in twenty is recording, from the start."""
        scenario = GeneratedScenario(6, 2000, STARTS_AT, REAL_PACE)
        for offset in (0.0, HOUR, DAY * 0.7, DAY * 3):
            now = STARTS_AT + offset
            active = sum(bool(scenario.active(meeting.id, now)) for meeting in scenario.meetings())
            assert 0.04 < active / 2000 < 0.06

    def test_real_durations(self) -> None:
        """At the real pace, most recordings take 10 to 90 minutes and rarely end ERRORED."""
        scenario = GeneratedScenario(6, 1000, STARTS_AT, REAL_PACE)
        now = STARTS_AT + DAY
        uploaded = [r for r in scenario.recordings(now) if r.status(now) == Status.UPLOADED]

        assert all(600 <= r.recorded_seconds + 0.1 <= 5401 for r in uploaded)
        assert _ends(scenario, now)[Status.ERRORED] < 0.05 * len(uploaded)

    def test_defects(self) -> None:
        """Each defect that the pace allows occurs."""
        scenario = GeneratedScenario(8, 30, STARTS_AT, _DEFECTIVE)
        now = STARTS_AT + HOUR
        recordings = scenario.recordings(now)
        recorded = {recording.session_id for recording in recordings}

        assert any(r.file_size_bytes == 0 for r in recordings)
        assert any(r.phases[1].at - r.invoked_at > 399 for r in recordings if len(r.phases) == 2)
        assert any(_uploading_seconds(r.phases) > 399 for r in recordings)
        assert any(0 < r.recorded_seconds < 5 for r in recordings)
        assert any(session.id not in recorded for session in scenario.sessions(now))

    def test_vanishing(self) -> None:
        """Vanishing recordings exist for a while; then the API denies them."""
        scenario = GeneratedScenario(8, 30, STARTS_AT, _DEFECTIVE)
        now = STARTS_AT + HOUR
        seen = {r.id for ago in range(0, 300, 5) for r in scenario.recordings(now - ago)}
        gone = seen - {r.id for r in scenario.recordings(now)}

        assert gone
        assert all(scenario.recording(recording_id, now) is None for recording_id in gone)

    def test_longest(self) -> None:
        """No recording is in progress for longer than the pace allows."""
        scenario = GeneratedScenario(8, 40, STARTS_AT, _DEFECTIVE)

        for recording in scenario.recordings(STARTS_AT + HOUR):
            assert recording.phases[-1].at - recording.invoked_at <= scenario.longest_seconds

    def test_titles(self) -> None:
        """Meetings have readable titles of several kinds."""
        titles = {meeting.title for meeting in demo(1, 200).meetings()}

        assert len(titles) > 50
        assert any(title.startswith("Exam ") for title in titles)


_DEFECTIVE: Pace = replace(
    DEMO_PACE,
    stuck_invoked_share=0.1,
    stuck_uploading_share=0.1,
    vanished_share=0.2,
    short_share=0.1,
    zero_byte_share=0.2,
    unrecorded_share=0.2,
)


def _everything(scenario: Scenario, now: float) -> object:
    return (
        list(scenario.recordings(now)),
        list(scenario.sessions(now)),
        [list(scenario.active(meeting.id, now)) for meeting in scenario.meetings()],
    )


def _appearance(scenario: Scenario, meeting_id: str, now: float) -> tuple[object, ...]:
    return tuple((r.id, r.status(now)) for r in scenario.active(meeting_id, now))


def _hanging(scenario: Scenario, now: float, *, seconds: float) -> list[Recording]:
    """Return the recordings that have been INVOKED for more than *seconds*."""
    return [
        recording
        for meeting in scenario.meetings()
        for recording in scenario.active(meeting.id, now)
        if recording.status(now) == Status.INVOKED and now - recording.invoked_at > seconds
    ]


def _ends(scenario: Scenario, now: float) -> Counter[Status]:
    ends: Counter[Status] = Counter()
    for recording in scenario.recordings(now):
        status = recording.status(now)
        if status in {Status.UPLOADED, Status.ERRORED}:
            ends[status] += 1
    return ends


def _uploading_seconds(phases: tuple[tuple[Status, float], ...]) -> float:
    return sum(b[1] - a[1] for a, b in pairwise(phases) if a[0] == Status.UPLOADING)
