import math

from rk_exporter.simulator import Meeting, Recording, Scenario, ScriptedScenario, Session


def test_is_a_scenario() -> None:
    """A scripted scenario is a `Scenario` with no limit on the length of recordings."""
    scenario: Scenario = ScriptedScenario()

    assert math.inf == scenario.longest_seconds


def test_meetings() -> None:
    """The scenario includes meetings that only recordings and sessions name."""
    scenario = ScriptedScenario(
        meetings=["m0", Meeting(id="m1", title="One")],
        recordings=[Recording.scripted("m2", invoked_at=0)],
        sessions=[Session("s", "m3", started_at=0)],
    )

    assert [meeting.id for meeting in scenario.meetings()] == ["m0", "m1", "m2", "m3"]
    assert scenario.meeting("m9") is None


def test_recordings() -> None:
    """Recordings are listed, newest first, from their invocation until they vanish."""
    old = Recording.scripted("m1", invoked_at=10)
    new = Recording.scripted("m2", invoked_at=20, vanishes_at=40)
    scenario = ScriptedScenario(recordings=[old, new])

    assert scenario.recordings(9) == ()
    assert (new, old) == scenario.recordings(20)
    assert (new,) == scenario.recordings(20, since=15)
    assert (old,) == scenario.recordings(20, meeting_id="m1")
    assert (old,) == scenario.recordings(40)
    assert scenario.recording(new.id, 20) == new
    assert scenario.recording(new.id, 40) is None


def test_active() -> None:
    """Several recordings of a meeting can be active, the newest first."""
    first, second = (Recording.scripted("m1", invoked_at=at) for at in (1, 2))
    scenario = ScriptedScenario(recordings=[first, second, Recording.scripted("m2", invoked_at=3)])

    assert (second, first) == scenario.active("m1", 5)


def test_sessions() -> None:
    """Sessions appear when they start."""
    session = Session("s1", "m1", started_at=10)
    scenario = ScriptedScenario(sessions=[session])

    assert scenario.sessions(9) == ()
    assert (session,) == scenario.sessions(10, meeting_id="m1")
    assert scenario.sessions(10, meeting_id="m2") == ()
    assert session == scenario.session("s1", 10)
    assert scenario.session("s1", 9) is None
