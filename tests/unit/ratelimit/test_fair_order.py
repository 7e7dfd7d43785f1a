"""The order in which apps of a budget group get calls."""

from collections import Counter
from itertools import cycle, islice

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.ratelimit.fair_order import FairOrder


FOREVER = 1e9


def run_passes(needs: list[int], *, calls: int, passes: int) -> Counter[int]:
    """
    Return the calls of each app, by its position, in some passes.

    In each pass there are some *calls*, and each app takes as many as it *needs*, in the order of
    the configuration, as far as the others let it.
    """
    order, made = FairOrder(), Counter[int]()
    for _ in range(passes):
        left = calls
        for app, need in enumerate(needs):
            missing = need
            while missing and left > order.reserved(app, 0.0):
                order.serve(app)
                made[app] += 1
                missing, left = missing - 1, left - 1
            if missing:
                order.reserve(app, calls=missing, until=FOREVER)
            else:
                order.satisfy(app)
    return made


def run_lists(needs: list[int], *, calls: int, passes: int) -> tuple[Counter[int], int]:
    """
    Return how many lists each app has read, by its position, and how many were not read to the end.

    In each pass, each app asks for as many calls as its list *needs*, and makes them at the same
    time as the others. Then it wants one more. Unused calls are saved.
    """
    order, complete, partial, left = FairOrder(), Counter[int](), 0, 0
    for _ in range(passes):
        left = min(left, max(needs)) + calls
        missing: dict[int, int] = {}
        for app, need in enumerate(needs):
            is_affordable = left - order.reserved(app, 0.0) >= need
            order.reserve(app, calls=need, until=FOREVER, together=True)
            if is_affordable:
                order.grant(app)
                missing[app] = need
        for app in islice(cycle(missing), len(missing) * max(needs)):
            if missing[app] and left > order.reserved(app, 0.0):
                order.serve(app)
                missing[app], left = missing[app] - 1, left - 1
        complete.update(app for app in missing if not missing[app])
        partial += sum(map(bool, missing.values()))
        for app in range(len(needs)):
            if app in missing and left > order.reserved(app, 0.0):
                order.serve(app)
                left -= 1
                order.satisfy(app)
            else:
                order.reserve(app, calls=1, until=FOREVER)
                order.end_turn(app)
    return complete, partial


def test_first_come_first_served() -> None:
    """While nobody was refused, nothing is reserved."""
    order = FairOrder()
    for app in "aabc":
        order.serve(app)
    assert [0, 0, 0, 0] == [order.reserved(app, 0.0) for app in "abcd"]


def test_fewest_calls_first() -> None:
    """Calls are reserved for apps that had fewer, not for those that had as many or more."""
    order = FairOrder()
    for app in "abc":
        order.reserve(app, calls=5, until=FOREVER)
    for app in "aab":
        order.serve(app)
    assert [4 + 5, 5, 0] == [order.reserved(app, 0.0) for app in "abc"]


def test_several_calls_together() -> None:
    """An app that needs several calls together keeps its turn until it has made all of them."""
    order = FairOrder()
    for _ in range(2):
        order.serve("b")
    order.reserve("b", calls=9, until=FOREVER)
    order.serve("b")
    order.reserve("a", calls=3, until=FOREVER, together=True)
    reserved = []
    for _ in range(3):
        order.serve("b")
        reserved.append(order.reserved("b", 0.0))
        order.serve("a")
    assert [3, 2, 1, 0] == [*reserved, order.reserved("b", 0.0)]


def test_nobody_waits_for_each_other() -> None:
    """Of several apps that need calls together, at least one can always make them."""
    order = FairOrder()
    for _ in range(5):
        for app in "abc":
            order.reserve(app, calls=3, until=FOREVER, together=True)
            order.serve(app)
        assert 0 in [order.reserved(app, 0.0) for app in "abc"]


def test_no_credit() -> None:
    """An app that begins to need more does not make up for the time when it needed few calls."""
    order = FairOrder()
    order.reserve("c", calls=1000, until=FOREVER)
    for _ in range(100):
        order.serve("a")
    order.reserve("b", calls=1, until=FOREVER)
    order.serve("b")
    assert 0 == order.reserved("b", 0.0) - order.reserved("a", 0.0)


def test_app_that_does_not_come_back() -> None:
    """A reservation ends by itself, e.g. if the app was removed."""
    order = FairOrder()
    order.reserve("a", calls=1, until=30.0)
    order.serve("b")
    assert [1, 0] == [order.reserved("b", now) for now in (29.0, 30.0)]


def test_app_that_comes_back() -> None:
    """Each new reservation of an app lasts longer than the one before."""
    order = FairOrder()
    for until in (30.0, 60.0):
        order.reserve("a", calls=1, until=until)
    order.serve("b")
    assert [1, 0] == [order.reserved("b", now) for now in (59.0, 60.0)]


def test_together_after_single_calls() -> None:
    """An app that needs calls together keeps its turn, also if it has waited for single ones."""
    order = FairOrder()
    order.serve("b")
    order.reserve("a", calls=1, until=FOREVER)
    order.reserve("a", calls=3, until=FOREVER, together=True)
    for left in (3, 2, 1):
        assert left == order.reserved("b", 0.0)
        order.serve("a")


def test_satisfied_app() -> None:
    """An app that needs no more calls leaves them to the others."""
    order = FairOrder()
    order.reserve("a", calls=4, until=FOREVER)
    order.serve("b")
    assert 4 == order.reserved("b", 0.0)
    order.satisfy("a")
    assert 0 == order.reserved("b", 0.0)


@given(st.lists(st.integers(1, 20), min_size=2, max_size=30), st.integers(1, 12))
def test_no_app_starves(needs: list[int], calls: int) -> None:
    """Whatever the apps need, each gets that, or at least a third of an equal part."""
    passes = 60
    made = run_passes(needs, calls=calls, passes=passes)
    for app, need in enumerate(needs):
        assert made[app] >= min(passes * need, passes * calls // len(needs)) // 3 - 2


@given(st.lists(st.integers(2, 9), min_size=2, max_size=30), st.integers(1, 60))
@example([4, 4, 4], 3)
@example([4] * 30, 30)
def test_no_list_starves(needs: list[int], calls: int) -> None:
    """Whatever lists the apps read, each list that begins ends, and each app reads its list."""
    passes = 20 * len(needs)
    complete, partial = run_lists(needs, calls=calls, passes=passes)
    assert 0 == partial
    for app, need in enumerate(needs):
        fair = passes * calls // len(needs) // (need + 1)
        assert complete[app] >= min(passes, fair) // 3 - 1


def test_granted_calls_come_first() -> None:
    """Calls that an app may make now are reserved for it, whoever had fewer calls."""
    order = FairOrder()
    for _ in range(3):
        order.serve("a")
    order.reserve("b", calls=2, until=FOREVER)
    order.reserve("a", calls=4, until=FOREVER, together=True)
    assert [2, 0] == [order.reserved(app, 0.0) for app in "ab"]
    order.grant("a")
    assert [0, 4] == [order.reserved(app, 0.0) for app in "ab"]
    order.serve("a")
    assert [0, 3] == [order.reserved(app, 0.0) for app in "ab"]


def test_turns_end() -> None:
    """An app that did not make all calls that it was granted waits behind those that had fewer."""
    order = FairOrder()
    order.reserve("a", calls=6, until=FOREVER, together=True)
    order.serve("b")
    order.reserve("b", calls=5, until=FOREVER, together=True)
    order.serve("a")
    order.end_turn("a")
    assert [0, 5] == [order.reserved(app, 0.0) for app in "ab"]
    order.grant("a")
    for _ in range(4):
        order.serve("a")
    order.end_turn("a")
    assert [5, 0] == [order.reserved(app, 0.0) for app in "ab"]


def test_many_needy_apps() -> None:
    """Of 200 apps that all need more than there is, each gets about the same number of calls."""
    made = run_passes([5] * 200, calls=30, passes=200)
    assert 25 <= min(made.values()) <= max(made.values()) <= 40
    assert 200 == len(made)


def test_refused_again() -> None:
    """An app that is refused again keeps its turn, and the larger number of calls."""
    order = FairOrder()
    order.serve("c")
    order.reserve("a", calls=5, until=FOREVER)
    for _ in range(2):
        order.serve("b")
    order.reserve("a", calls=2, until=FOREVER)
    assert 5 == order.reserved("c", 0.0)


def test_it_had_calls_before() -> None:
    """An app that was refused some comes behind those that had fewer, or as many."""
    order = FairOrder()
    for app in "aaab":
        order.serve(app)
    order.reserve("a", calls=5, until=FOREVER)
    assert 0 == order.reserved("b", 0.0)


def test_together_once_is_together() -> None:
    """An app that needs its calls together still does after the refusal of a single call."""
    order = FairOrder()
    order.serve("b")
    order.reserve("a", calls=3, until=FOREVER, together=True)
    order.reserve("a", calls=1, until=FOREVER)
    order.serve("a")
    assert 2 == order.reserved("b", 0.0)


def test_nobody_waits() -> None:
    """Who had how many calls is forgotten when all apps got what they needed."""
    order = FairOrder()
    for _ in range(5):
        order.serve("b")
    order.reserve("a", calls=1, until=FOREVER)
    order.serve("a")
    order.reserve("b", calls=3, until=FOREVER)
    order.serve("c")
    assert 3 == order.reserved("c", 0.0)
