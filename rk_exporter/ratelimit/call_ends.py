"""When the calls ended that a budget counts: those that were made, and those that may have been."""

from collections.abc import Collection, Iterable


class CallEnd(float):
    """The end of one call. Several budgets may count it, so it is more than the moment alone."""

    __slots__ = ()


class AssumedEnd(CallEnd):
    """The end of a call that may have been made before the start."""

    __slots__ = ()


def merged(budgets: Iterable[Collection[CallEnd]]) -> list[CallEnd]:
    """
    Return the ends that one budget counts in place of several *budgets*, in order.

    A call that several of them count is there once. Each of them assumes the same unknown calls of
    one user before the start, so those of the budget that assumes the most are enough.
    """
    made: dict[int, CallEnd] = {}
    assumed: list[CallEnd] = []
    for ends in budgets:
        made |= {id(end): end for end in ends if not isinstance(end, AssumedEnd)}
        assumed = max(assumed, [end for end in ends if isinstance(end, AssumedEnd)], key=len)
    return sorted([*assumed, *made.values()])
