"""What excuses an app for an exposition that is incomplete or out of date."""

from collections.abc import Iterator

from tests.support.model.history import AppHistory
from tests.support.model.shown import Shown
from tests.support.model.troubles import HARMLESS, SUCCEEDING
from tests.support.model.world import PLENTY, World


def must_be_exact(name: str, app: AppHistory, world: World, begun_at: float) -> bool:
    """Return whether nothing but a block excuses an app for wrong values."""
    api = world.api.apps[name]
    is_troubled = api.troubled is not None and api.troubled.trouble not in HARMLESS
    is_rejected = world.files.of(name).token != api.user.token
    is_excused = is_troubled or is_rejected or world.files.budget != PLENTY
    is_shared = api.user.is_troubled or api.user.may_probe(begun_at)
    # An app that a pass has found is read by the next one.
    since = max(api.exact_from, app.tracked_since)
    return not is_excused and not is_shared and begun_at >= since


def failing(
    shown: Shown, name: str, app: AppHistory, world: World, begun_at: float, *, may_rest: bool
) -> Iterator[str]:
    """Return what hides that no call about an app succeeds."""
    api = world.api.apps[name]
    is_failing = world.files.of(name).token != api.user.token or (
        api.troubled is not None
        and api.troubled.meeting_id is None
        and api.troubled.trouble not in SUCCEEDING
    )
    # Without a call, the result of the last one stays.
    last = api.journal.calls[-1:]
    may_be_idle = may_rest or not app.meetings
    has_called = bool(last) and last[0].at >= begun_at
    may_call = world.files.budget == PLENTY and (has_called or not may_be_idle)
    is_due = may_call and begun_at >= max(api.exact_from, app.tracked_since)
    if is_failing and is_due and shown.value("rk_up", name) != 0:
        yield f"{name}: rk_up is {shown.value('rk_up', name)} although no call succeeds"
