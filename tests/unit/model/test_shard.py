"""Which of several exporters reads an app."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.model.shard import Shard


IDS = st.text("abcdef0123456789-_", min_size=1, max_size=40)
COUNTS = st.integers(1, 12)


def owners(count: int, account_id: str, app_id: str) -> list[int]:
    """Return the shards of *count* that read an app."""
    return [index for index in range(count) if Shard(index, count).owns(account_id, app_id)]


@given(COUNTS, IDS, IDS)
def test_one_owner(count: int, account_id: str, app_id: str) -> None:
    """Exactly one shard reads each app."""
    assert 1 == len(owners(count, account_id, app_id))


@given(COUNTS, IDS, IDS)
def test_one_more_shard(count: int, account_id: str, app_id: str) -> None:
    """With one more shard, an app stays where it is or moves to the new shard."""
    (before,), (after,) = (owners(number, account_id, app_id) for number in (count, count + 1))
    assert after in {before, count}


def test_same_in_every_process() -> None:
    """The shard of an app is the same in every process, machine and version."""
    found = [owners(3, "account", f"app-{number}") for number in range(8)]
    assert [[0], [2], [1], [1], [1], [2], [0], [0]] == found


def test_spelling_of_an_id() -> None:
    """Both spellings of a UUID are the same app."""
    app = "2a95132c-1573-2412-d22c-16fd0a01e000"
    assert owners(50, "account", app) == owners(50, "account", app.upper())


def test_even_parts() -> None:
    """Each of four shards reads about a quarter of 1,000 apps."""
    counts = Counter(owners(4, "account", f"app-{number}")[0] for number in range(1000))
    assert all(200 <= counts[index] <= 300 for index in range(4))


@given(st.integers(1, 100_000), COUNTS)
def test_share(budget: int, count: int) -> None:
    """The parts of a budget are never more than the budget, and lose less than a call each."""
    total = sum(Shard(index, count).share(budget) for index in range(count))
    assert budget - count < total <= budget
