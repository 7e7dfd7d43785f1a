from rk_exporter.collector.hints import Hints, PendingHints


def test_nothing() -> None:
    """Before any event nothing is due."""
    assert Hints().pending == PendingHints()


def test_order() -> None:
    """The hints have numbers in the order in which their events came."""
    hints = Hints()
    hints.add_meeting("a")
    hints.add_recording("r")
    hints.add_discovery()
    hints.add_meeting("b")
    hints.add_recordings_list()
    pending = hints.pending
    assert pending.discovery is not None
    assert pending.recordings_list is not None
    numbers = [
        pending.meetings["a"],
        pending.recordings["r"],
        pending.discovery,
        pending.meetings["b"],
        pending.recordings_list,
    ]
    assert numbers == sorted({*numbers})


def test_repeated() -> None:
    """A hint that is repeated asks for one read."""
    hints = Hints()
    for _ in range(3):
        hints.add_meeting("a")
        hints.add_recording("r")
    assert [*hints.pending.meetings] == ["a"]
    assert [*hints.pending.recordings] == ["r"]


def test_settled() -> None:
    """What was read is no longer due; what was not read still is."""
    hints = Hints()
    hints.add_meeting("a")
    hints.add_meeting("b")
    hints.add_recording("r")
    hints.add_discovery()
    hints.add_recordings_list()
    hints.settle(hints.pending, meetings={"a"}, recordings={"r"}, has_discovered=True)
    assert [*hints.pending.meetings] == ["b"]
    assert not hints.pending.recordings
    assert hints.pending.discovery is None
    assert hints.pending.recordings_list is None


def test_repeated_during_pass() -> None:
    """A hint that comes while its meeting is read stays, because the read may be older."""
    hints = Hints()
    hints.add_meeting("a")
    hints.add_discovery()
    hints.add_recordings_list()
    pending = hints.pending
    hints.add_meeting("a")
    hints.add_discovery()
    hints.add_recordings_list()
    hints.settle(pending, meetings={"a"}, recordings=(), has_discovered=True)
    assert [*hints.pending.meetings] == ["a"]
    assert hints.pending.discovery is not None
    assert hints.pending.recordings_list is not None


def test_spelling() -> None:
    """All spellings of a meeting's id are one hint."""
    hints = Hints()
    hints.add_meeting("182BD5E5-6E1A-4FE4-A799-AA6D9A6AB26E")
    hints.add_meeting("182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e")
    assert [*hints.pending.meetings] == ["182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e"]


def test_removed_meeting() -> None:
    """A hint for a meeting that is no longer read is dropped."""
    hints = Hints()
    hints.add_meeting("a")
    hints.add_meeting("b")
    hints.keep_meetings({"b"})
    assert [*hints.pending.meetings] == ["b"]
