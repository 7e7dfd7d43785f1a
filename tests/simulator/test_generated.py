from collections import Counter
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from rk_exporter.simulator.improvise import Improvisation
from rk_exporter.simulator.memory import Memory, Page
from rk_exporter.simulator.story import Recording

from rk_exporter.simulator import DEMO_PACE, REAL_PACE, Pace, Status, Story, improvise


STARTS_AT = 1_772_000_000.0
HOUR = 3600.0
DAY = 86_400.0


def demo(seed: int = 1, meetings: int = 20) -> Improvisation:
    """Improvise at the demo's pace."""
    return improvise(seed, meetings, STARTS_AT, DEMO_PACE)


class TestDeterminism:
    """The same seed, the same story."""

    @given(
        seed=st.integers(),
        offsets=st.lists(st.floats(0, HOUR), min_size=1, max_size=6),
        data=st.data(),
    )
    @settings(max_examples=15, deadline=None)
    def test_any_order(self, seed: int, offsets: list[float], data: st.DataObject) -> None:
        """The same seed tells the same story, in whichever order moments are asked for."""
        shuffled = data.draw(st.permutations(offsets))
        one, other = demo(seed, 3), demo(seed, 3)

        told = {offset: _everything(one, STARTS_AT + offset) for offset in offsets}

        assert told == {offset: _everything(other, STARTS_AT + offset) for offset in shuffled}

    @given(offsets=st.lists(st.floats(-DAY, 365 * DAY), min_size=2, max_size=5))
    @settings(max_examples=15, deadline=None)
    def test_far_jumps(self, offsets: list[float]) -> None:
        """Jumping about by months changes nothing, though what is far off is forgotten."""
        story = improvise(7, 2, STARTS_AT, DEMO_PACE, remembered_seconds=HOUR)

        for offset in offsets:
            now = STARTS_AT + offset
            fresh = improvise(7, 2, STARTS_AT, DEMO_PACE, remembered_seconds=HOUR)
            assert _everything(fresh, now) == _everything(story, now)

    def test_seeds_differ(self) -> None:
        """Another seed tells another story."""
        assert demo(1).meetings() != demo(2).meetings()

    def test_more_meetings(self) -> None:
        """A larger story begins with the same meetings."""
        assert demo(1, 5).meetings() == demo(1, 9).meetings()[:5]

    def test_ids_from_elsewhere(self) -> None:
        """An id learnt from another process with the same seed is known at once."""
        now = STARTS_AT + HOUR
        recording, session = demo().recordings(now)[0], demo().sessions(now)[0]

        assert recording == demo().recording(recording.id, now)
        assert session == demo().session(session.id, now)


class TestStory:
    """What holds at every moment of a story."""

    def test_is_a_story(self) -> None:
        """An improvisation is a Story."""
        story: Story = demo()

        assert len(story.meetings()) == 20

    def test_agreement(self) -> None:
        """All questions about a moment get answers that agree with each other."""
        story = demo()
        for now in (STARTS_AT, STARTS_AT + 777.7, STARTS_AT + 5 * HOUR):
            everything = story.recordings(now)
            active = [r for m in story.meetings() for r in story.active(m.id, now)]
            of_each = [r for m in story.meetings() for r in story.recordings(now, meeting_id=m.id)]

            assert {r.id for r in everything if r.is_active(now)} == {r.id for r in active}
            assert {r.id for r in everything} == {r.id for r in of_each}
            assert all(r == story.recording(r.id, now) for r in everything)
            assert all(s == story.session(s.id, now) for s in story.sessions(now))

    def test_order(self) -> None:
        """Lists are newest first, of one meeting as of all."""
        story = demo()
        meeting_id = story.meetings()[0].id
        now = STARTS_AT + 3 * HOUR

        for only in (None, meeting_id):
            invoked = [r.invoked_at for r in story.recordings(now, meeting_id=only)]
            started = [s.started_at for s in story.sessions(now, meeting_id=only)]
            assert sorted(invoked, reverse=True) == invoked
            assert sorted(started, reverse=True) == started

    def test_since(self) -> None:
        """A list can begin at a moment."""
        story = demo()
        now = STARTS_AT + HOUR

        assert [r for r in story.recordings(now) if r.invoked_at >= now - 60] == list(
            story.recordings(now, since=now - 60)
        )

    def test_a_list_draws_what_it_shows(self) -> None:
        """A list of the last hours draws little more than these hours, be there many meetings."""
        story = improvise(1, 300, STARTS_AT, REAL_PACE)

        shown = story.recordings(STARTS_AT, since=STARTS_AT - 5 * HOUR)

        drawn = len(story._memory.by_id) / 2  # noqa: SLF001 - what is drawn shows nowhere else
        assert len(shown) > 50
        assert drawn < 1.6 * len(story.recordings(STARTS_AT + DAY, since=STARTS_AT))

    def test_unknown_ids(self) -> None:
        """What the story does not know it does not invent."""
        story = demo()
        recording, session = story.recordings(STARTS_AT)[0], story.sessions(STARTS_AT)[0]

        assert story.meeting("nobody") is None
        assert story.active("nobody", STARTS_AT) == []
        assert story.recordings(STARTS_AT, meeting_id="nobody") == []
        assert story.recording("nobody", STARTS_AT) is None
        assert story.recording(session.id, STARTS_AT) is None
        assert story.session("nobody", STARTS_AT) is None
        assert story.session(recording.id, STARTS_AT) is None

    def test_not_before_its_time(self) -> None:
        """A recording known from later is not known earlier, nor once it is forgotten."""
        story = improvise(1, 5, STARTS_AT, DEMO_PACE, remembered_seconds=HOUR)
        recording = story.recordings(STARTS_AT + HOUR)[0]
        session = story.sessions(STARTS_AT + HOUR)[0]

        assert story.recording(recording.id, STARTS_AT) is None
        assert story.session(session.id, STARTS_AT) is None
        assert story.recording(recording.id, STARTS_AT + 3 * HOUR) is None
        assert story.session(session.id, STARTS_AT + 3 * HOUR) is None

    def test_lingering(self) -> None:
        """Recordings that ended a moment ago count as active when asked for."""
        story = demo()
        now = STARTS_AT + HOUR

        found = {r.id for m in story.meetings() for r in story.active(m.id, now, 30.0)}

        assert {r.id for r in story.recordings(now) if r.is_active(now, 30.0)} == found
        assert any(r.status(now) == Status.UPLOADED for r in story.recordings(now))

    def test_forgetting(self) -> None:
        """Recordings are forgotten eight days after they were invoked, and memory stays bounded."""
        story = improvise(1, 2, STARTS_AT, REAL_PACE)
        now = STARTS_AT + 30 * DAY

        assert all(r.invoked_at >= now - 8 * DAY for r in story.recordings(now))

    def test_consistency(self) -> None:
        """Phases follow each other, recordings lie in sessions, a meeting has one at a time."""
        story = demo()
        now = STARTS_AT + 6 * HOUR
        for meeting in story.meetings():
            recordings = story.recordings(now, meeting_id=meeting.id)
            for recording in recordings:
                assert all(a.at <= b.at for a, b in pairwise(recording.phases))
                session = story.session(recording.session_id or "", recording.invoked_at)
                assert session is not None
                assert session.started_at <= recording.invoked_at
            for newer, older in pairwise(recordings):
                assert not older.is_active(newer.invoked_at)

    def test_no_meetings(self) -> None:
        """A story without meetings, or in which nobody meets, is empty."""
        unused = replace(DEMO_PACE, busy_share=0.0)

        assert demo(1, 0).recordings(STARTS_AT) == []
        assert improvise(1, 3, STARTS_AT, unused).recordings(STARTS_AT) == []
        assert improvise(1, 3, STARTS_AT, unused).sessions(STARTS_AT) == []

    def test_meeting_ids(self) -> None:
        """Ids are UUIDs, but for a few room names of V1 meetings; all differ."""
        ids = [meeting.id for meeting in demo(1, 600).meetings()]

        assert len(set(ids)) == 600
        assert {36, 13} == {len(meeting_id) for meeting_id in ids}
        assert 20 < sum(len(meeting_id) == 13 for meeting_id in ids) < 80


class TestPace:
    """How fast and how badly things go."""

    def test_demo_changes_within_a_minute(self) -> None:
        """At the demo's pace nearly every meeting looks different within a minute, or hangs."""
        story = demo(3, 50)
        moments = [STARTS_AT + 2000 + second for second in range(0, 61, 2)]
        hangs = {r.meeting_id for r in _hanging(story, moments[0], seconds=30)}

        going = [meeting.id for meeting in story.meetings() if meeting.id not in hangs]
        changed = sum(len({_look(story, each, now) for now in moments}) > 1 for each in going)

        assert len(going) >= 40
        assert changed >= 0.9 * len(going)

    def test_demo_hangs(self) -> None:
        """At the demo's pace one in twelve meetings hangs, many for longer than 5 minutes."""
        story = demo(4, 240)
        moments = [STARTS_AT + second for second in range(0, 7200, 300)]

        hanging, alarming = (
            sum(len(_hanging(story, now, seconds=seconds)) for now in moments) / len(moments) / 20
            for seconds in (30, 300)
        )

        assert 0.8 < hanging < 1.5
        assert alarming > hanging / 3

    def test_demo_ends_errored(self) -> None:
        """At the demo's pace about one recording in seven ends ERRORED."""
        ends = _ends(demo(4, 60), STARTS_AT + HOUR)

        assert 0.11 < ends[Status.ERRORED] / ends.total() < 0.18

    def test_demo_has_every_state(self) -> None:
        """At the demo's pace all states can be seen at one moment."""
        story = demo(5, 160)

        assert set(Status) == {r.status(STARTS_AT) for r in story.recordings(STARTS_AT)}

    def test_real_share_of_active(self) -> None:
        """At a real pace about one meeting in twenty is recording, from the first moment on."""
        story = improvise(6, 2000, STARTS_AT, REAL_PACE)
        for offset in (0.0, HOUR, DAY * 0.7, DAY * 3):
            now = STARTS_AT + offset
            active = sum(bool(story.active(meeting.id, now)) for meeting in story.meetings())
            assert 0.04 < active / 2000 < 0.06

    def test_real_durations(self) -> None:
        """At a real pace most recordings take 10 to 90 minutes, and seldom end ERRORED."""
        story = improvise(6, 1000, STARTS_AT, REAL_PACE)
        now = STARTS_AT + DAY
        uploaded = [r for r in story.recordings(now) if r.status(now) == Status.UPLOADED]

        assert all(600 <= r.recorded_seconds + 0.1 <= 5401 for r in uploaded)
        assert _ends(story, now)[Status.ERRORED] < 0.05 * len(uploaded)

    def test_mishaps(self) -> None:
        """Each mishap that the pace allows does happen."""
        story = improvise(8, 30, STARTS_AT, _TROUBLED)
        now = STARTS_AT + HOUR
        recordings = story.recordings(now)
        recorded = {recording.session_id for recording in recordings}

        assert any(r.file_size_bytes == 0 for r in recordings)
        assert any(r.phases[1].at - r.invoked_at > 399 for r in recordings if len(r.phases) == 2)
        assert any(_uploading_seconds(r.phases) > 399 for r in recordings)
        assert any(0 < r.recorded_seconds < 5 for r in recordings)
        assert any(session.id not in recorded for session in story.sessions(now))

    def test_vanishing(self) -> None:
        """Recordings that vanish are seen for a while and then never were."""
        story = improvise(8, 30, STARTS_AT, _TROUBLED)
        now = STARTS_AT + HOUR
        seen = {r.id for ago in range(0, 300, 5) for r in story.recordings(now - ago)}
        gone = seen - {r.id for r in story.recordings(now)}

        assert gone
        assert all(story.recording(recording_id, now) is None for recording_id in gone)

    def test_longest(self) -> None:
        """No recording is under way for longer than the pace says."""
        story = improvise(8, 40, STARTS_AT, _TROUBLED)

        for recording in story.recordings(STARTS_AT + HOUR):
            assert recording.phases[-1].at - recording.invoked_at <= story.longest_seconds

    def test_titles(self) -> None:
        """Meetings have readable titles of several kinds."""
        titles = {meeting.title for meeting in demo(1, 200).meetings()}

        assert len(titles) > 50
        assert any(title.startswith("Exam ") for title in titles)


class TestMemory:
    """What is kept."""

    def test_capacity(self) -> None:
        """What was asked about longest ago is dropped when there is no room."""
        memory = Memory(capacity=2)
        for k in (1, 2, 3):
            memory.keep_block(0, k, ())

        assert memory.block(0, 1) is None
        assert memory.block(0, 3) == ()

    def test_pages(self) -> None:
        """A page is kept as long as all that it was collected from."""
        memory = Memory(capacity=2)
        memory.keep_block(0, 1, ())
        memory.keep_block(0, 2, ())
        page = Page.of([], 0.0, 1.0)

        memory.keep_page(7, page, {1, 2})
        memory.keep_page(8, page, {2})
        memory.keep_page(9, page, {2, 3})
        kept = [memory.page(number) for number in (7, 8, 9)]
        memory.keep_block(0, 3, ())

        assert kept == [page, page, None]
        assert [memory.page(number) for number in (7, 8)] == [None, page]

    def test_bounded(self) -> None:
        """Wherever it is asked about, a story remembers only so much."""
        story = improvise(1, 3, STARTS_AT, DEMO_PACE, remembered_seconds=HOUR)
        sizes = []
        for days in range(0, 365, 12):
            now = STARTS_AT + days * DAY
            story.recordings(now)
            sizes.append(len(story._memory.by_id))  # noqa: SLF001 - memory shows nowhere else

        assert max(sizes) < 3 * 2 * 5 * DEMO_PACE.block_seconds / 40


_TROUBLED: Pace = replace(
    DEMO_PACE,
    stuck_invoked_share=0.1,
    stuck_uploading_share=0.1,
    vanished_share=0.2,
    short_share=0.1,
    zero_byte_share=0.2,
    unrecorded_share=0.2,
)


def _everything(story: Story, now: float) -> object:
    return (
        list(story.recordings(now)),
        list(story.sessions(now)),
        [list(story.active(meeting.id, now)) for meeting in story.meetings()],
    )


def _look(story: Story, meeting_id: str, now: float) -> tuple[object, ...]:
    return tuple((r.id, r.status(now)) for r in story.active(meeting_id, now))


def _hanging(story: Story, now: float, *, seconds: float) -> list[Recording]:
    """Return the recordings that have been INVOKED for so long, and have not started."""
    return [
        recording
        for meeting in story.meetings()
        for recording in story.active(meeting.id, now)
        if recording.status(now) == Status.INVOKED and now - recording.invoked_at > seconds
    ]


def _ends(story: Story, now: float) -> Counter[Status]:
    ends: Counter[Status] = Counter()
    for recording in story.recordings(now):
        status = recording.status(now)
        if status in {Status.UPLOADED, Status.ERRORED}:
            ends[status] += 1
    return ends


def _uploading_seconds(phases: tuple[tuple[Status, float], ...]) -> float:
    return sum(b[1] - a[1] for a, b in pairwise(phases) if a[0] == Status.UPLOADING)
