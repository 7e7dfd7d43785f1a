from rk_exporter.webhooks.seen_events import SeenEvents


def test_id_or_body() -> None:
    """An event is known by its id and by its body, because anybody can change the id."""
    seen = SeenEvents()
    assert not seen.has("one", b"body")
    seen.add("one", b"body")
    assert seen.has("one", b"body")
    assert seen.has("two", b"body")
    assert seen.has("one", b"other")
    assert not seen.has("two", b"other")
    assert seen.has(None, b"body")
    assert not seen.has(None, b"one")


def test_bounded() -> None:
    """Only the last events are kept, so the memory is bounded."""
    seen = SeenEvents(most=4)
    for number in range(3):
        seen.add(f"{number}", b"%d" % number)
    assert not seen.has("0", b"0")
    assert seen.has("1", b"1")
    assert seen.has("2", b"2")
