"""Which meetings are live, if a meeting has several sessions or some cannot be read."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.api.results import LiveSession, Page, Paging
from rk_exporter.collector.live_sessions import (
    MOST_SESSIONS,
    LiveMeeting,
    LiveSessions,
    live_meetings,
)
from rk_exporter.collector.session_walk import SessionWalk
from rk_exporter.model.errors import InvalidResponse
from tests.support.building import run


def session(name: str, people: int | None = 1, *, title: str | None = "Ward") -> LiveSession:
    """Return a session whose *name* begins with its meeting."""
    return LiveSession(name, name[0], title, people)


def by_id(*sessions: LiveSession) -> dict[str, LiveSession]:
    return {one.session_id: one for one in sessions}


def people(live: LiveSessions) -> dict[str, int | None]:
    return {key: meeting.participants for key, meeting in live.meetings.items()}


def walked(*pages: Sequence[LiveSession], is_complete: bool = True) -> SessionWalk:
    """Return a walk over *pages*."""
    walk = SessionWalk()

    async def fetch(page_no: int) -> Page[LiveSession]:
        shown = tuple(pages[page_no - 1])
        ids = tuple(f"{page_no} {one.session_id}" for one in shown) or (str(page_no),)
        return Page(shown, ids, Paging(len(pages), page_no), is_complete=is_complete)

    assert run(walk.go_on(fetch, most_calls=len(pages)))
    return walk


LISTED = st.lists(
    st.builds(
        lambda meeting, number, count, title: session(f"{meeting}{number}", count, title=title),
        st.sampled_from("abc"),
        st.integers(0, 3),
        st.none() | st.integers(0, 9),
        st.sampled_from([None, "Ward", "Round"]),
    ),
    unique_by=lambda one: one.session_id,
)


@given(data=st.data(), listed=LISTED)
def test_order(data: st.DataObject, listed: list[LiveSession]) -> None:
    """The order, the pages, and sessions that are on two pages make no difference."""
    again = data.draw(st.lists(st.sampled_from(listed))) if listed else []
    shown = data.draw(st.permutations([*listed, *again]))
    size = data.draw(st.integers(1, 5))
    pages = [shown[at : at + size] for at in range(0, len(shown), size)] or [[]]
    found = live_meetings(walked(*pages).found.values())
    assert live_meetings(listed) == found
    for meeting_id, meeting in found.items():
        of_it = [one for one in listed if one.meeting_id == meeting_id]
        known = [one.participants for one in of_it if one.participants is not None]
        assert meeting.participants == (sum(known) if known else None)
        assert meeting.name in ({one.meeting_name for one in of_it} - {None} or {None})


class TestMeeting:
    """A meeting with several sessions."""

    @pytest.mark.parametrize(
        ("counts", "expected"),
        [
            ((5, 0), 5),
            ((0, 5), 5),
            ((2, 3), 5),
            ((5, None), 5),
            ((None, 5), 5),
            ((0, None), 0),
            ((None, None), None),
        ],
    )
    def test_people(self, counts: Sequence[int | None], expected: int | None) -> None:
        """Its people are those of all sessions; an unknown number replaces none."""
        found = live_meetings(session(f"a{number}", n) for number, n in enumerate(counts))
        assert {"a": LiveMeeting("a", "Ward", expected)} == found

    def test_name(self) -> None:
        """It has the first name in the order of the sessions' ids."""
        listed = [session("a3", title="Last"), session("a2"), session("a1", title=None)]
        assert "Ward" == live_meetings(listed)["a"].name

    def test_two_pages(self) -> None:
        """A session that moves to another page counts once, as last seen."""
        walk = walked([session("a1", 5)], [session("a1", 7)])
        assert by_id(session("a1", 7)) == walk.found

    def test_unknown_on_another_page(self) -> None:
        """What a session does not have on the second page is still known."""
        walk = walked([session("a1", 5)], [session("a1", None, title=None)])
        assert by_id(session("a1", 5)) == walk.found


class TestPieces:
    """A list that has not ended."""

    def test_first_page(self) -> None:
        """A page with an old session of a meeting does not hide the other one."""
        live = LiveSessions()
        live.update(by_id(session("a1", 5), session("a2", 0)), has_pages=True)
        live.add(by_id(session("a2", 0)))
        assert {"a": 5} == people(live)

    def test_most(self) -> None:
        """There are at most 10,000 sessions, and those are still read."""
        live = LiveSessions()
        live.add(by_id(*(session(f"a{number}") for number in range(MOST_SESSIONS + 1))))
        assert {"a": MOST_SESSIONS} == people(live)
        live.add(by_id(session("a0", 2), session("b")))
        assert {"a": MOST_SESSIONS + 1} == people(live)


class TestMissing:
    """Sessions that a list does not have."""

    @pytest.mark.parametrize(("has_pages", "expected"), [(False, [0, 0]), (True, [5, 0])])
    def test_other_page(self, expected: list[int], *, has_pages: bool) -> None:
        """With pages, each session may be missing once, even if its meeting has another one."""
        live = LiveSessions()
        live.update(by_id(session("a1", 0), session("a2", 5)), has_pages=has_pages)
        for count in expected:
            live.update(by_id(session("a1", 0)), has_pages=has_pages)
            assert {"a": count} == people(live)

    def test_some_cannot_be_read(self) -> None:
        """Then what is missing stays for a while, because it may be one of those."""
        live = LiveSessions()
        live.update(by_id(session("a"), session("b")), has_pages=False)
        for now, expected in ((0.0, "abc"), (60.0, "abc"), (60.1, "bc"), (60.2, "bc")):
            listed = by_id(session("c"), session("b"))
            live.update_in_part(listed, now=now, keep_seconds=60.0)
            assert expected == "".join(sorted(people(live)))

    def test_seen_between(self) -> None:
        """What is seen again may be missing as long again."""
        live = LiveSessions()
        for now, listed in ((0.0, "ab"), (50.0, "a"), (60.0, "ab"), (70.0, "a"), (130.0, "a")):
            live.update_in_part(by_id(*map(session, listed)), now=now, keep_seconds=60.0)
            assert {"a": 1, "b": 1} == people(live)

    def test_readable_again(self) -> None:
        """A whole list ends the while, and begins its own count of what is missing."""
        live = LiveSessions()
        listed = by_id(session("a"), session("b"))
        live.update(listed, has_pages=True)
        live.update(by_id(session("a")), has_pages=True)
        live.update_in_part(by_id(session("a")), now=0.0, keep_seconds=60.0)
        live.update(by_id(session("a")), has_pages=True)
        assert {"a": 1, "b": 1} == people(live)
        live.update_in_part(by_id(session("a")), now=100.0, keep_seconds=60.0)
        assert {"a": 1, "b": 1} == people(live)
        live.update(by_id(session("a")), has_pages=False)
        assert {"a": 1} == people(live)

    def test_first_list(self) -> None:
        """What the pieces of the first list have found stays, too, if the list cannot be read."""
        live = LiveSessions()
        live.add(by_id(session("a")))
        live.update_in_part({}, now=0.0, keep_seconds=60.0)
        assert {"a": 1} == people(live)


class TestUnreadable:
    """Lists with sessions that cannot be read."""

    def test_some(self) -> None:
        """What can be read is found, and the list is known not to be whole."""
        walk = walked([session("a")], [], is_complete=False)
        assert (by_id(session("a")), False) == (walk.found, walk.is_readable)

    def test_all(self) -> None:
        """If none can be read, the list has failed."""
        with pytest.raises(InvalidResponse) as caught:
            walked([], [], is_complete=False)
        assert "no live session has a usable `id` and `associated_id`" == str(caught.value)

    def test_next_list(self) -> None:
        """The next list begins without what the last one had."""
        walk = SessionWalk()
        unreadable: Page[LiveSession] = Page((), ("1",), Paging(1, 1), is_complete=False)
        pages = iter([unreadable, replace(unreadable, is_complete=True)])

        async def fetch(page_no: int) -> Page[LiveSession]:
            assert page_no == 1
            return next(pages)

        with pytest.raises(InvalidResponse):
            run(walk.go_on(fetch, most_calls=1))
        walk.restart()
        assert run(walk.go_on(fetch, most_calls=1))
        assert walk.is_readable
