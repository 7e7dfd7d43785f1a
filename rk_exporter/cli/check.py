"""The calls of `check`: one pass, a call for each meeting that may not exist, or a probe."""

import asyncio
import uuid

from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rk_exporter.api.endpoints import MEETING
from rk_exporter.api.probe import ask_everything, meeting_path
from rk_exporter.api.probe_calls import MOST_CALLS, ProbeCalls
from rk_exporter.api.probe_findings import Finding
from rk_exporter.api.probe_headers import reported_limit
from rk_exporter.api.probe_result import findings
from rk_exporter.api.replies import Reply
from rk_exporter.cli import check_meetings
from rk_exporter.cli.check_meetings import Existence
from rk_exporter.cli.probe_report import ProbeReport
from rk_exporter.cli.progress import Begin, Stage
from rk_exporter.collector.app_collector import CALL_TIMEOUT_SECONDS
from rk_exporter.collector.app_parts import AppParts
from rk_exporter.collector.scrape_interval import USUAL_INTERVAL_SECONDS
from rk_exporter.config.apps import AppConfig
from rk_exporter.config.config import Config
from rk_exporter.exporter import Exporter
from rk_exporter.model.errors import ApiError
from rk_exporter.model.meeting import ReadMode
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import WINDOW_SECONDS
from rk_exporter.ratelimit.limiter import RateLimitWait
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.snapshot import AppSnapshot, Snapshot


_PROBE_SECONDS = 60.0
# Returns the place of a meeting in the configuration.
Place = Callable[..., str]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check: the *snapshot* of its pass, and which meetings exist, by app."""

    snapshot: Snapshot
    existence: dict[str, Existence]


def config_for_check(config: Config) -> Config:
    """Return *config* with no more meetings than a check has calls for."""
    calls = check_meetings.calls_per_app(config)
    apps = tuple(check_meetings.affordable(app, calls) for app in config.apps)
    return replace(config, apps=apps)


async def check(
    exporter: Exporter,
    config: Config,
    seconds: float,
    place: Place,
    *,
    begin: Begin = lambda _: None,
) -> CheckResult:
    """
    Read all meetings once with *exporter*, and find out which of those in *config* exist.

    It calls *begin* with each stage of the work.
    """
    begin(_stage("reading meetings", exporter, total=_known_calls(exporter.config)))
    snapshot = await exporter.collector.scrape(seconds)
    begin(_stage("looking up meetings without a recording", exporter))
    found = await asyncio.gather(*_existences(exporter, config, snapshot, seconds, place))
    names = (app.app.name for app in config.apps)
    # The apps that accounts have found list no meetings.
    return CheckResult(snapshot, dict(zip(names, found, strict=True)))


def _existences(
    exporter: Exporter, config: Config, snapshot: Snapshot, seconds: float, place: Place
) -> Iterator[Coroutine[Any, Any, Existence]]:
    """Return for each app the calls that find out which of its meetings exist."""
    calls = check_meetings.calls_per_app(config)
    shown_apps = {shown.app.name: shown for shown in snapshot.apps}
    for number, app in enumerate(config.apps):
        yield _existence(
            exporter.parts[app.app.name],
            app,
            shown_apps[app.app.name],
            calls=calls,
            seconds=seconds,
            place=partial(place, app_number=number, files=app.meeting_files),
        )


def _stage(label: str, exporter: Exporter, *, total: int | None = None) -> Stage:
    """Return a stage that counts the calls of *exporter*."""

    def calls_made() -> int:
        return exporter.calls_made

    return Stage(label, calls_made, "calls made", total)


def _known_calls(config: Config) -> int | None:
    """Return how many calls a pass makes; None if it does not make one call per meeting."""
    if config.accounts or any(app.read is ReadMode.LIST or app.discover for app in config.apps):
        return None
    return sum(len(check_meetings.listed_meetings(app)) for app in config.apps)


async def _existence(
    parts: AppParts,
    app: AppConfig,
    shown: AppSnapshot,
    *,
    calls: int,
    seconds: float,
    place: Callable[[str], str],
) -> Existence:
    listed = {meeting.meeting_id for meeting in check_meetings.listed_meetings(app)}
    readings = [reading for reading in shown.readings if reading.meeting.meeting_id in listed]
    doubtful = check_meetings.doubtful(readings)
    asked = doubtful[: max(0, calls - parts.limiter.counts.made)]
    context = _context(parts, seconds)
    replies = await _ask(parts, asked, context)
    certain = check_meetings.recorded(shown.readings)
    proven = None
    has_calls = parts.limiter.counts.made < calls
    if certain and replies and has_calls and not any(reply.is_ok for reply in replies.values()):
        proven = (await _ask(parts, [certain], context)).get(certain)
    known = check_meetings.existence(
        replies,
        place=place,
        proven=proven,
        unverified=len(doubtful) - len(replies),
        left_out=len(listed) - len(readings),
    )
    suspects = {key: place(key) for key in check_meetings.rejected(readings)}
    return replace(known, suspects=suspects)


async def _ask(parts: AppParts, meeting_ids: list[str], context: PassContext) -> dict[str, Reply]:
    """Return the answers about meetings; the first alone, because it may refuse all of them."""
    replies: dict[str, Reply] = {}

    async def ask(meeting_id: str) -> None:
        try:
            answer = await parts.client.exchange(MEETING, meeting_path(meeting_id), context)
        except RateLimitWait:
            return
        except ApiError as error:
            replies[meeting_id] = Reply.failed(MEETING, error.failure, parts.clock.wall())
        else:
            replies[meeting_id] = Reply.of(MEETING, answer, parts.clock.wall())

    for meeting_id in meeting_ids[:1]:
        await ask(meeting_id)
    if any(reply.refusal for reply in replies.values()):
        return replies
    async with asyncio.TaskGroup() as calls:
        for meeting_id in meeting_ids[1:]:
            calls.create_task(ask(meeting_id))
    return replies


async def probe(
    exporter: Exporter, config: Config, *, begin: Begin = lambda _: None
) -> ProbeReport:
    """Ask the API of one app in *config* about all assumptions."""
    begin(_stage("asking the API", exporter, total=MOST_CALLS))
    app = probed_app(config)
    parts = exporter.parts[app.app.name]
    seconds = _PROBE_SECONDS + MOST_CALLS * WINDOW_SECONDS / app.budget
    calls = ProbeCalls(
        parts.client, parts.limiter, _context(parts, seconds), clock=parts.clock.wall
    )
    meetings = [meeting.meeting_id for meeting in check_meetings.listed_meetings(app)]
    answers = await ask_everything(calls, meetings, unknown_id=str(uuid.uuid4()))
    return ProbeReport(
        made_at=parts.clock.wall(),
        calls=calls.made,
        app_number=config.apps.index(app) + 1,
        app_count=len(config.apps),
        budget=app.budget,
        findings=_redacted(findings(answers, calls.replies), parts.token.current()),
        has_list=answers.sample is not None,
        reported_limit=reported_limit(calls.replies),
        stopped=calls.stopped or _failure(calls),
    )


def _redacted(found: Iterable[Finding], token: Secret) -> tuple[Finding, ...]:
    """Return *found* without the token, which an API may repeat anywhere."""
    return tuple(
        replace(
            finding,
            evidence=tuple(line.replace(token.reveal(), repr(token)) for line in finding.evidence),
        )
        for finding in found
    )


def probed_app(config: Config) -> AppConfig:
    """Return the first app that lists meetings, because some questions need one."""
    return next(filter(check_meetings.listed_meetings, config.apps), config.apps[0])


def _failure(calls: ProbeCalls) -> str | None:
    """Return why the probe found out nothing; None if it found out something."""
    problems = [reply.problem for reply in calls.replies]
    return problems[0] if problems and all(problems) else None


def _context(parts: AppParts, seconds: float) -> PassContext:
    now = asyncio.get_running_loop().time()
    return PassContext(
        token=parts.token.current(),
        deadline=now + seconds,
        call_timeout_seconds=CALL_TIMEOUT_SECONDS,
        wait_until=now + seconds,
        interval_seconds=USUAL_INTERVAL_SECONDS,
    )
