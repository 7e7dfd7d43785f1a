"""The figures of an app agree with its recordings, with its configuration, and with the story."""

from collections import Counter
from collections.abc import Iterator

from tests.support.model.api import QUOTA_LIMIT, AppApi
from tests.support.model.shown import Shown, ShownRecording
from tests.support.model.world import Files, Scraped, World


_WITHIN_SECONDS = {"1h": 3600.0, "24h": 86_400.0, "72h": 3 * 86_400.0}
# A snapshot is older than the exposition that shows how much time is left.
_SNAPSHOT_SECONDS = 12.0
_ROUNDING_SECONDS = 0.002
_EXPIRY = "download_url_expiry_timestamp_seconds"
_NEVER = ("rk_exporter_log_lines_dropped_total", "rk_exporter_hanging_file_calls")


def of_recordings(shown: Shown, app: str, *, most_unseen: int | None) -> Iterator[str]:
    """
    Return the totals of an app that its recordings do not add up to.

    At most so many recordings are known, and not shown because their last reading is too old.
    """
    recordings = shown.recordings(app).values()
    hidden = shown.value("rk_recordings_hidden", app) or 0.0
    totals = {labels["status"]: value for labels, value in shown.of("rk_recordings", app)}
    counts = Counter(str(x.status) for x in recordings)
    if any(totals.get(status, 0.0) < count for status, count in counts.items()):
        yield f"{app}: there are {totals} recordings, but {counts} are shown"
    others = sum(totals.values()) - counts.total()
    if others < hidden or (most_unseen is not None and others > hidden + most_unseen):
        yield f"{app}: {others} recordings are not shown, but {hidden} are hidden"
    if shown.value("rk_recordings_dropped_total", app):
        yield f"{app}: recordings were dropped"
    yield from _expiring(shown, app, recordings=[*recordings], hidden=hidden)


def _expiring(
    shown: Shown, app: str, *, recordings: list[ShownRecording], hidden: float
) -> Iterator[str]:
    has_file = ("download_available composite", "download_available audio")
    files = [x for x in recordings if any(x.get(name) for name in has_file)]
    left = [(x.get("download_url_expires_in_seconds"), x.get(_EXPIRY)) for x in files]
    expiries = [(seconds, at) for seconds, at in left if seconds is not None and at is not None]
    for labels, value in shown.of("rk_recordings_expiring", app):
        within = _WITHIN_SECONDS[labels["within"]]
        least = sum(0.0 < seconds <= within - _SNAPSHOT_SECONDS for seconds, _ in expiries)
        most = sum(-_SNAPSHOT_SECONDS < seconds <= within for seconds, _ in expiries) + hidden
        if not least <= value <= most:
            yield f"{app}: {value} files expire in {within} s, not {least} to {most}"
    earliest = shown.value("rk_recordings_earliest_expiry_timestamp_seconds", app)
    next_ones = [at for seconds, at in expiries if seconds > 0.0]
    just_now = [at for seconds, at in expiries if -_SNAPSHOT_SECONDS < seconds <= 0.0]
    if earliest is None and next_ones:
        yield f"{app}: no file expires, although {next_ones} are shown"
    elif (
        earliest is not None
        and not hidden
        and earliest not in {min(next_ones, default=0.0), *just_now}
    ):
        yield f"{app}: the next file expires at {earliest}, not {next_ones}"


def of_app(
    shown: Shown, app: str, files: Files, api: AppApi, scraped: Scraped, *, is_alone: bool
) -> Iterator[str]:
    """Return what differs from the configuration of an app, or from what its API has said."""
    configured = files.of(app)
    infos = [labels for labels, _ in shown.of("rk_app_info", app)]
    reads = {"list", "active-recording"} if configured.read == "auto" else {configured.read}
    if [(x["rk_account_id"], x["rk_app_id"]) for x in infos] != [(configured.account_id, app)]:
        yield f"{app}: the app is {infos}"
    if not {x["read"] for x in infos} <= reads:
        yield f"{app}: it is read by {infos}"
    is_read = shown.value("rk_meetings_file_last_read_successful", app)
    if is_read != (not configured.is_list_broken if app in files.apps else None):
        yield f"{app}: the list of meetings is read: {is_read}"
    seconds = shown.value("rk_scrape_duration_seconds", app) or 0.0
    if seconds < 0 or (
        is_alone and seconds > scraped.ended_at - scraped.begun_at + _ROUNDING_SECONDS
    ):
        yield f"{app}: the pass took {seconds} s"
    # An app that was found in this pass is read by the next one.
    if shown.of("rk_up", app):
        yield from _budget(shown, app, files, api)


def _budget(shown: Shown, app: str, files: Files, api: AppApi) -> Iterator[str]:
    limit = shown.value("rk_api_budget_limit", app)
    remaining = shown.value("rk_api_budget_remaining", app)
    most, quota = files.budget, api.user.quota
    if limit != most and not (quota and limit is not None and limit < most):
        yield f"{app}: the budget is {limit}, not {most}"
    if remaining is None or not 0 <= remaining <= (limit or 0):
        yield f"{app}: {remaining} calls of {limit} remain"
    limits = {value for _, value in shown.of("rk_api_ratelimit_limit", app)}
    left = {value for _, value in shown.of("rk_api_ratelimit_remaining", app)}
    said = quota.said if quota else set()
    if not limits <= {QUOTA_LIMIT} or not left <= said:
        yield f"{app}: {left} calls of {limits} remain, but the API said {said}"


def of_exporter(shown: Shown, world: World, scraped: Scraped) -> Iterator[str]:
    """Return what differs from what has happened to the exporter itself."""
    for name in _NEVER:
        if shown.samples.get(name):
            yield f"{name} is {shown.samples[name]}"
    expected: dict[str, float | None] = {
        "rk_config_last_reload_successful": world.is_reloaded,
        "rk_config_last_reload_success_timestamp_seconds": world.loaded_at,
        "rk_state_file_last_write_successful": 1.0 if world.files.has_state else None,
    }
    for name, value in expected.items():
        if shown.samples.get(name) != value:
            yield f"{name} is {shown.samples.get(name)}, not {value}"
    written_at = shown.samples.get("rk_state_file_last_write_success_timestamp_seconds")
    if (written_at is not None) != world.files.has_state or (written_at or 0.0) > scraped.ended_at:
        yield f"the state file was written at {written_at}"
