import asyncio

from collections.abc import Awaitable, Callable

import pytest

from rk_exporter.collector.work_queue import WorkQueue
from rk_exporter.ratelimit.limiter import RateLimitWait
from tests.support.virtual_time import run


class Diary:
    """Errands that take a second each, and who ran which of them, from when on."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, str, str]] = []
        self._busy: set[str] = set()

    def errand(self, name: str) -> Callable[[str], Awaitable[None]]:
        async def note(reader: str) -> None:
            assert reader not in self._busy
            self._busy.add(reader)
            self.entries.append((asyncio.get_running_loop().time(), reader, name))
            await asyncio.sleep(1)
            self._busy.remove(reader)

        return note

    @property
    def names(self) -> str:
        """The errands in the order in which they began."""
        return "".join(name for _, _, name in self.entries)


def errands(
    diary: Diary, names: str, *, readers: str = "1", deadline: float = 100
) -> WorkQueue[str]:
    """Return errands that have single letters as names, for readers that have as well."""
    found = WorkQueue(readers, deadline)
    found.add(*map(diary.errand, names))
    return found


async def held_back(reader: str) -> None:
    del reader
    raise RateLimitWait


def test_one_reader() -> None:
    """One reader runs them one after the other, as they were added."""
    diary = Diary()
    run(errands(diary, "abc").run())
    assert diary.entries == [(0, "1", "a"), (1, "1", "b"), (2, "1", "c")]


@pytest.mark.parametrize(("readers", "seconds"), [("12", 4), ("1234567", 1), ("123456789", 1)])
def test_several_readers(readers: str, seconds: int) -> None:
    """Each reader runs one at a time; there may be more readers than errands."""
    diary = Diary()

    async def act() -> float:
        await errands(diary, "abcdefg", readers=readers).run()
        return asyncio.get_running_loop().time()

    assert run(act()) == seconds
    assert diary.names == "abcdefg"


def test_none() -> None:
    """Without errands there is nothing to run."""
    given = errands(Diary(), "")
    run(given.run())
    assert len(given) == 0


def test_added_meanwhile() -> None:
    """What an errand adds is run as well: next, or when all others are done."""
    diary = Diary()
    given = errands(diary, "")

    async def first(reader: str) -> None:
        await diary.errand("a")(reader)
        given.add(diary.errand("z"))
        given.add_next(map(diary.errand, "b"))

    given.add(first, *map(diary.errand, "cd"))
    run(given.run())
    assert diary.names == "abcdz"


def test_added_next_in_their_order() -> None:
    """Several that are to be next are run in the order in which they were given."""
    diary = Diary()
    given = errands(diary, "d")
    given.add_next(map(diary.errand, "abc"))
    run(given.run())
    assert diary.names == "abcd"


@pytest.mark.parametrize(("deadline", "names", "left"), [(2, "ab", 2), (2.5, "abc", 1), (0, "", 4)])
def test_deadline(deadline: float, names: str, left: int) -> None:
    """From the deadline on none is begun; those left are counted."""
    diary = Diary()
    given = errands(diary, "abcd", deadline=deadline)
    run(given.run())
    assert (diary.names, len(given)) == (names, left)


def test_held_back() -> None:
    """Where calls are held back the errand is left, and those behind it; it is still the first."""
    diary = Diary()
    given = errands(diary, "a")
    given.add(held_back, *map(diary.errand, "bc"))
    run(given.run())
    assert (diary.names, len(given)) == ("a", 3)
    given.add_next([diary.errand("x")])
    run(given.run())
    assert (diary.names, len(given)) == ("ax", 3)


def test_held_back_for_one_reader() -> None:
    """A reader that is held back costs the others nothing: they may run its errand yet."""
    diary = Diary()
    refused: list[str] = []
    given = errands(diary, "a", readers="12")

    async def once(reader: str) -> None:
        if not refused:
            refused.append(reader)
            raise RateLimitWait
        await diary.errand("b")(reader)

    given.add(once, diary.errand("c"))
    run(given.run())
    assert refused == ["2"]
    assert diary.entries == [(0, "1", "a"), (1, "1", "b"), (2, "1", "c")]
    assert len(given) == 0
