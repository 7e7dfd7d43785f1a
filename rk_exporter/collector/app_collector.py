"""The passes over one app: when to read, with which token, and within which limits."""

import asyncio

from dataclasses import replace

from rk_exporter.collector.app_parts import AppParts, AppState
from rk_exporter.collector.app_pass import AppPass
from rk_exporter.collector.pass_log import PassLog
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import LONGEST_PACED_SECONDS
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.tracking.state_records import SavedApp


# A call that takes longer gives its worker to another meeting.
CALL_TIMEOUT_SECONDS = 5.0
# How long calls wait for the budget. Until there is something to show, they wait for most of the
# pass.
_MAX_WAIT_SECONDS = 1.0
_FIRST_MAX_WAIT_RATIO = 0.9
# A scraper whose interval is the minimum interval may be early.
_FRESH_RATIO = 0.9


class AppCollector:
    """
    Makes the passes over one app, one at a time.

    Its state changes once per pass, at the end. Readings that are younger than
    *min_interval_seconds* also answer the next scrape.
    """

    def __init__(
        self, parts: AppParts, *, min_interval_seconds: float, restored: SavedApp | None = None
    ) -> None:
        self._parts = parts
        self._min_interval_seconds = min_interval_seconds
        self._pass_log = PassLog(parts.app.name)
        self.state = parts.initial_state(restored)
        """The state after the last pass; it is replaced as a whole, and never changed."""

    def change(self, parts: AppParts, *, min_interval_seconds: float) -> None:
        """Go on with other *parts* of the same app; no pass may be running."""
        if parts.app.name != self._parts.app.name:
            self._pass_log = PassLog(parts.app.name)
        self._parts, self._min_interval_seconds = parts, min_interval_seconds
        self.state = parts.changed_state(self.state)

    async def run_pass(self, deadline: float) -> None:
        """Read the meetings that are due, as far as there are calls and time until *deadline*."""
        self.state = await self._next_state(deadline)

    async def _next_state(self, deadline: float) -> AppState:
        parts, state = self._parts, self.state
        begun = parts.clock.monotonic()
        await parts.meetings.refresh()
        await parts.token.refresh()
        token = parts.token.current()
        # A new token is used immediately: the one before it may have been rejected.
        fresh_seconds = _FRESH_RATIO * self._min_interval_seconds if token == state.token else 0.0
        if self._is_fresh(fresh_seconds):
            snapshot = replace(
                state.snapshot, files=parts.meetings.files, token_problem=parts.token.problem
            )
            return parts.with_archive(replace(state, snapshot=snapshot))
        state = replace(state, interval=state.interval.observe(begun))
        context = self._context(state, token, deadline)
        app_pass = AppPass(parts, state, context, fresh_seconds=fresh_seconds)
        try:
            state = parts.with_archive(await app_pass.run())
        finally:
            # Also after a bug, because the calls that it left must not be kept from other apps.
            parts.limiter.end_pass()
        app_pass.settle_hints()
        self._pass_log.log(app_pass.report(state))
        return state

    def leave(self) -> None:
        """Make no more passes."""
        self._parts.client.leave()

    async def close(self) -> None:
        """Close all connections."""
        await self._parts.client.close()

    def _is_fresh(self, fresh_seconds: float) -> bool:
        """Return whether no meeting is due, and the list of meetings is the same."""
        state, parts, now = self.state, self._parts, self._parts.clock.wall()
        if state.last_pass_at is None or parts.meetings.meetings is not state.configured:
            return False
        is_recent = 0 <= now - state.last_pass_at < fresh_seconds
        readings = state.snapshot.readings
        return is_recent and not parts.due(state, readings, fresh_seconds=fresh_seconds)

    def _context(self, state: AppState, token: Secret, deadline: float) -> PassContext:
        parts, now = self._parts, asyncio.get_running_loop().time()
        seconds = deadline - now
        max_wait = _MAX_WAIT_SECONDS if state.has_read else _FIRST_MAX_WAIT_RATIO * seconds
        return PassContext(
            token=token,
            deadline=deadline,
            # However many meetings hang, each worker gets to a second one.
            call_timeout_seconds=min(CALL_TIMEOUT_SECONDS, seconds / 2),
            wait_until=now + min(max_wait, seconds),
            # If the budget is too small for the list in every pass, calls are saved up for it.
            interval_seconds=max(
                min(state.interval.seconds, LONGEST_PACED_SECONDS), parts.saving_seconds(state)
            ),
        )
