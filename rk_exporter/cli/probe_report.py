"""The report of `check --probe`, as lines for people; it contains nothing confidential."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rk_exporter import __version__
from rk_exporter.api.probe_calls import MOST_CALLS
from rk_exporter.api.probe_findings import ASSUMPTIONS, Finding, Question, Verdict
from rk_exporter.cli.tones import Painter, Tone, plain
from rk_exporter.config.app_options import APP_OPTIONS
from rk_exporter.config.config import OPTIONS


_FLAGS: Mapping[str, str] = {option.path: option.flag for option in OPTIONS}
_VERDICT_WIDTH = max(map(len, Verdict))
_TONES = {
    Verdict.CONFIRMED: Tone.GOOD,
    Verdict.DIFFERS: Tone.BAD,
    Verdict.UNKNOWN: Tone.DOUBTFUL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """An option with the value that fits the API, and the *reason*."""

    option: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """
    The *findings* of a probe that made *calls* calls about one of *app_count* apps.

    *stopped* says why it failed or ended early. *reported_limit* is in calls per 5 minutes.
    """

    made_at: float
    calls: int
    app_number: int
    app_count: int
    budget: int
    findings: tuple[Finding, ...]
    has_list: bool
    reported_limit: int | None
    stopped: str | None

    @property
    def is_complete(self) -> bool:
        """Return whether the probe could ask what it wanted."""
        return self.stopped is None

    def differs(self, *questions: Question) -> bool:
        """Return whether the API differs in one of the *questions*."""
        return any(
            finding.verdict is Verdict.DIFFERS
            for finding in self.findings
            if finding.question in questions
        )


def suggestions(report: ProbeReport) -> Iterator[Suggestion]:
    """Return the options that make the exporter fit the API; none if its defaults do."""
    if report.differs(Question.PAGE_SIZE) and not report.has_list:
        yield _suggestion(
            "read", "active-recording", "the list of recordings cannot be read at any page size"
        )
    elif report.has_list and report.differs(Question.UNKNOWN_MEETING, Question.IDLE_MEETING):
        yield _suggestion(
            "read", "list", "in the list, an idle meeting cannot be mistaken for an error"
        )
    limit = report.reported_limit
    if limit is not None and report.budget > (half := max(1, limit // 2)):
        reason = f"the API allows {limit} calls in 5 minutes; half of them stays for other clients"
        yield _suggestion("budget", str(half), reason)
    if report.differs(Question.EXPIRY_FIXED):
        yield Suggestion(
            option=f"{_FLAGS['follow.reread_interval']}=10m",
            reason="the expiry moves, so read finished recordings more often",
        )


def _suggestion(name: str, value: str, reason: str) -> Suggestion:
    return Suggestion(option=f"{APP_OPTIONS[name].flag}={value}", reason=reason)


def lines(report: ProbeReport, *, paint: Painter = plain) -> Iterator[str]:
    """Return the report for people."""
    made_at = datetime.fromtimestamp(report.made_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    which = f", app {report.app_number} of {report.app_count}" if report.app_count > 1 else ""
    yield f"rk-exporter {__version__}, check --probe, {made_at}{which}"
    yield f"{report.calls} calls made, at most {MOST_CALLS} allowed"
    if report.stopped:
        yield f"{paint('FAILED', Tone.BAD)}: {report.stopped}"
    asked = [finding for finding in report.findings if finding.explanation != report.stopped]
    if skipped := len(report.findings) - len(asked):
        yield f"{skipped} questions were not asked"
    for finding in asked:
        yield ""
        verdict = paint(f"{finding.verdict:{_VERDICT_WIDTH}}", _TONES[finding.verdict])
        yield f"{verdict}  {ASSUMPTIONS[finding.question]}"
        indent = " " * (_VERDICT_WIDTH + 2)
        yield f"{indent}{finding.explanation}"
        yield from (f"{indent}- {evidence}" for evidence in finding.evidence)
    yield ""
    found = list(suggestions(report))
    yield "Suggested options:" if found else "Suggested options: none"
    yield from (f"  {suggestion.option}  ({suggestion.reason})" for suggestion in found)
    yield ""
    yield "This report contains no ids, names, URLs or tokens. You can paste it into an issue."
