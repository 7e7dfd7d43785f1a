"""How soon a change is visible with webhooks, without them, and after they fall silent."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.cases import BUDGET, INTERVAL_SECONDS, LISTED, ONE_BY_ONE, SEED, pair
from rk_exporter.simulator import REAL_PACE, GeneratedScenario, Simulator
from rk_exporter.simulator.webhooks.faults import WebhookFault
from tests.support.fleet import STARTS_AT, Course, run_fleet
from tests.support.observer import Outcome


MEETINGS = 1000
_WARM_UP_SECONDS = 1200.0


@dataclass(frozen=True, slots=True)
class Case:
    """A way to read *meetings*."""

    name: str
    settings: Mapping[str, str]
    sends_webhooks: bool
    meetings: int = MEETINGS
    is_silent: bool = False

    def run(self) -> Outcome:
        """Run the fleet for an hour, after a start of 20 minutes."""
        course = Course(
            settings=self.settings,
            sends_webhooks=self.sends_webhooks,
            warm_up_seconds=_WARM_UP_SECONDS,
            events=[(_WARM_UP_SECONDS, _silence)] if self.is_silent else [],
        )
        return run_fleet(GeneratedScenario(SEED, self.meetings, STARTS_AT, REAL_PACE), course)


def _silence(simulator: Simulator) -> None:
    simulator.settings = replace(simulator.settings, webhook_fault=WebhookFault.SILENT)


CASES = (
    Case("one call each", ONE_BY_ONE, sends_webhooks=False),
    Case("one call each, with webhooks", ONE_BY_ONE, sends_webhooks=True),
    Case("one call each, webhooks fall silent", ONE_BY_ONE, sends_webhooks=True, is_silent=True),
    Case("list", LISTED, sends_webhooks=False),
    Case("list, with webhooks", LISTED, sends_webhooks=True),
    Case("one call each", ONE_BY_ONE, sends_webhooks=False, meetings=30),
    Case("one call each, with webhooks", ONE_BY_ONE, sends_webhooks=True, meetings=30),
)


def print_webhooks() -> None:
    """Run all cases and print the results."""
    print(
        f"webhooks, one simulated hour each: scraped each {INTERVAL_SECONDS:.0f} s, with a budget "
        f"of {BUDGET} calls in 5 minutes\n(from a change to the end of the scrape that shows it, "
        "median / p99 in seconds):\n\n"
        "| fleet | meetings | changes | start | progress | never seen | calls | idle read each "
        "| 429 | true | took |\n"
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | :--- | ---: |"
    )
    for case in CASES:
        print(_row(case, case.run()))
    print()


def _row(case: Case, outcome: Outcome) -> str:
    seen, gaps, requests = outcome.visibility, outcome.idle_gaps, outcome.requests
    cells = (
        case.name,
        f"{case.meetings:,}",
        f"{seen.all.count:,}",
        pair(seen.start),
        pair(seen.progress),
        f"{seen.missed_share:.0%}",
        f"{requests.total:,}",
        f"{gaps.median:.0f} / {gaps.longest:.0f} s",
        f"{requests.refused:,}",
        "NO" if outcome.differences else "yes",
        f"{outcome.took_seconds:.1f} s",
    )
    return f"| {' | '.join(cells)} |"
