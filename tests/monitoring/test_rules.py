"""
The rules, as promtool evaluates them: when each alert fires, and when not.

A test tells what exporters show, in minutes, and what the alert is to do. promtool judges many of
them in one run (see rule_timeline): the first test that asks waits for it.
"""

import math
import re

from collections import ChainMap
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
import yaml

from tests.support.monitoring.rule_timeline import (
    DAYS,
    JOB,
    MEETING,
    MINUTES,
    Exporter,
    Pace,
    Scene,
    changing,
    failures,
    now,
    selector,
    with_thresholds,
)


RULES = Path("dashboards/rules/rk-exporter.rules.yml")
HOUR, DAY = 60, 24 * 60
OWN_THRESHOLDS = {
    "rk:recording_invoked_seconds:threshold": "60",
    "rk:recording_uploading_seconds:threshold": "120",
    "rk:recording_paused_seconds:threshold": "180",
    "rk:recording_running_seconds:threshold": "240",
    "rk:recording_ended_seconds:threshold": "600",
    "rk:recording_bytes_per_second:threshold": "10",
    "rk:recording_duration_seconds:threshold": "60",
    "rk:recordings_errored_ratio:threshold": "0.6",
    "rk:recordings_finished:threshold": "2",
    "rk:recording_start_delay_seconds:threshold": "10",
    "rk:recordings_started:threshold": "1",
    "rk:download_url_expires_in_seconds:threshold": "1800",
    "rk:data_age_seconds:threshold": "120",
    "rk:api_budget_remaining_ratio:threshold": "0.5",
}


class Kind(Enum):
    """What a test shows of an alert; each rule has a test of each of the first four."""

    FIRES = auto()
    NEAR_MISS = auto()
    RESOLVES = auto()
    MISSED_SCRAPES = auto()
    THRESHOLD = auto()
    OTHER = auto()


FIRES, NEAR_MISS, RESOLVES, MISSED_SCRAPES, THRESHOLD, OTHER = Kind


@dataclass(frozen=True, slots=True)
class Case:
    """A test that promtool judges."""

    scene: Scene
    kinds: tuple[Kind, ...]
    play: Callable[[Scene], None]

    @property
    def name(self) -> str:
        return self.scene.name

    @property
    def has_own_thresholds(self) -> bool:
        return Kind.THRESHOLD in self.kinds

    @property
    def world(self) -> str:
        """Name what the case can share with others: rules, pace, and whether it is alone."""
        return f"{self.has_own_thresholds} {self.scene.pace} {self.scene.is_alone and self.name}"


CASES: list[Case] = []


def case(
    alert: str, *kinds: Kind, pace: Pace = MINUTES, alone: bool = False, **labels: str
) -> Callable[[Callable[[Scene], None]], Callable[[Mapping[str, str]], None]]:
    """Make a test of what an *alert* does in a scene; *labels* tell it from another of its name."""

    def test_of(play: Callable[[Scene], None]) -> Callable[[Mapping[str, str]], None]:
        name = play.__name__.removeprefix("test_")
        CASES.append(Case(Scene(name, alert, labels, pace, alone), kinds, play))

        def test(verdicts: Mapping[str, str]) -> None:
            if name in verdicts:
                pytest.fail(verdicts[name], pytrace=False)

        test.__name__, test.__doc__ = play.__name__, play.__doc__
        return test

    return test_of


@pytest.fixture(scope="module")
def verdicts(
    request: pytest.FixtureRequest, promtool: str, root: Path, tmp_path_factory: Any
) -> dict[str, str]:
    """Return what promtool says of each case that fails; of those that were asked for."""
    folder = tmp_path_factory.mktemp("rules")
    own = folder / "own.rules.yml"
    own.write_text(with_thresholds((root / RULES).read_text(), OWN_THRESHOLDS))
    asked = {item.name.removeprefix("test_") for item in request.session.items}
    chosen = sorted((each for each in CASES if each.name in asked), key=attrgetter("world"))
    sharing = [list(cases) for _, cases in groupby(chosen, key=attrgetter("world"))]
    for each in chosen:
        each.play(each.scene)

    def judged(cases: list[Case]) -> dict[str, str]:
        rules = own if cases[0].has_own_thresholds else root / RULES
        return failures(promtool, rules, [each.scene for each in cases], folder)

    # Most of it is waiting for promtool.
    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(ChainMap(*pool.map(judged, sharing)))


def alert_rules(root: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load((root / RULES).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_every_rule_has_its_cases(root: Path) -> None:
    """Each alert rule has a test that it fires, one that it does not, and so on."""
    for rule in alert_rules(root):
        kinds = {
            kind
            for each in CASES
            if each.scene.alert == rule["alert"]
            and each.scene.labels.items() <= rule["labels"].items()
            for kind in each.kinds
        }
        missing = {FIRES, NEAR_MISS, RESOLVES, MISSED_SCRAPES} - kinds
        assert set() == missing, (rule["alert"], rule["labels"])


def test_every_threshold_is_changed(root: Path) -> None:
    """Each threshold has another value in the copy of the rules that tests of thresholds take."""
    shipped = set(re.findall(r"record: (rk:\w+:threshold)", (root / RULES).read_text()))
    assert shipped == OWN_THRESHOLDS.keys()


# --- RKExporterDown ---


@case("RKExporterDown", FIRES, RESOLVES, alone=True, severity="critical")
def test_an_exporter_that_is_down(scene: Scene) -> None:
    """It is told after 5 minutes, with the app that nobody watches, until it is back."""
    scene.exporter(missed=[(5, 30)]).show("rk_meetings", 3)
    scene.silent(9, 30)
    scene.fires(10, 29, app=scene.name)


@case("RKExporterDown", NEAR_MISS, MISSED_SCRAPES, alone=True)
def test_an_exporter_that_misses_scrapes(scene: Scene) -> None:
    """Four minutes without an answer are no alert, of no severity."""
    scene.exporter(missed=[(5, 9), (12, 16)]).show("rk_meetings", 3)
    scene.silent(*range(18))


@case("RKExporterDown", MISSED_SCRAPES, alone=True)
def test_an_exporter_that_restarts_elsewhere(scene: Scene) -> None:
    """A target that is gone is not down."""
    for exporter in scene.restarted(10):
        exporter.show("rk_meetings", 3)
    scene.silent(*range(8, 25))


@case("RKExporterDown", FIRES, RESOLVES, alone=True, severity="warning")
def test_one_of_two_exporters_is_down(scene: Scene) -> None:
    """The app is watched still: a warning, which does not turn critical."""
    scene.exporter("a", missed=[(5, 30)]).show("rk_meetings", 3)
    scene.exporter("b").show("rk_meetings", 3)
    scene.silent(9, 30)
    scene.fires(10, 29, instance=f"a.{scene.name}")
    scene.expect('count(ALERTS{severity="critical",alertstate="firing"})', 20, None)


@case("RKExporterDown", MISSED_SCRAPES, alone=True, severity="warning")
def test_one_exporter_is_down_and_the_other_misses_scrapes(scene: Scene) -> None:
    """The warning is neither withdrawn nor told again."""
    scene.exporter("a", missed=[(5, 40)]).show("rk_meetings", 3)
    scene.exporter("b", missed=[(20, 22), (25, 28)]).show("rk_meetings", 3)
    scene.fires(*range(10, 33), count=1, instance=f"a.{scene.name}")
    scene.expect('count(ALERTS{severity="critical",alertstate="firing"})', 28, None)


@case("RKExporterDown", OTHER, alone=True, severity="critical")
def test_both_exporters_of_an_app_are_down(scene: Scene) -> None:
    """That is critical, and no warning besides."""
    scene.exporter("a", missed=[(5, 40)]).show("rk_meetings", 3)
    scene.exporter("b", missed=[(20, 40)]).show("rk_meetings", 3)
    scene.silent(24)
    scene.fires(25, 39, count=2)
    scene.expect('count(ALERTS{severity="warning",alertstate="firing"})', 25, None)


@case("RKExporterDown", NEAR_MISS, alone=True, severity="warning")
def test_the_only_exporter_is_down(scene: Scene) -> None:
    """It is told once, as critical: that it showed something lately makes no second one of it."""
    scene.exporter(missed=[(5, 40)]).show("rk_meetings", 3)
    scene.silent(*range(5, 20))


@case("RKExporterDown", OTHER, alone=True, severity="critical")
def test_one_of_two_apps_is_not_watched(scene: Scene) -> None:
    """An exporter of another app does not stand in, though it has the same job."""
    scene.exporter("a", missed=[(5, 30)]).show("rk_meetings", 3)
    scene.exporter("b", app="other").show("rk_meetings", 3)
    scene.fires(10)
    scene.fires(10, app=scene.name)
    scene.silent(10, severity="warning")


@case("RKExporterDown", OTHER, alone=True, severity="critical")
def test_an_exporter_that_was_never_up(scene: Scene) -> None:
    """It is told without an app, since which it has is not known."""
    scene.exporter(missed=[(0, math.inf)])
    scene.silent(4)
    scene.fires(5, app="")


@case("RKExporterDown", OTHER, alone=True, severity="warning")
def test_an_exporter_that_was_never_up_beside_another(scene: Scene) -> None:
    """Perhaps the other one reads the same app: a warning."""
    scene.exporter("a", missed=[(0, math.inf)])
    scene.exporter("b").show("rk_meetings", 3)
    scene.fires(5, app="", instance=f"a.{scene.name}")
    scene.expect('count(ALERTS{severity="critical",alertstate="firing"})', 5, None)


# --- RKExporterAbsent ---


@case("RKExporterAbsent", FIRES, RESOLVES, alone=True)
def test_no_target(scene: Scene) -> None:
    """It is told after 10 minutes, until there is a target, though that be down."""
    scene.exporter("a", ends=5)
    scene.exporter("b", begins=20, missed=[(20, 99)])
    scene.silent(14, 20)
    scene.fires(15, 19)


@case("RKExporterAbsent", NEAR_MISS, alone=True)
def test_a_target_that_is_down(scene: Scene) -> None:
    """There is one: that it is down is another alert."""
    scene.exporter(missed=[(5, 40)])
    scene.silent(16, 30)


@case("RKExporterAbsent", MISSED_SCRAPES, alone=True)
def test_a_target_that_is_replaced(scene: Scene) -> None:
    """Three minutes without a target are a restart."""
    scene.restarted(10)
    scene.silent(*range(25))


# --- RKDataStale ---


@case("RKDataStale", FIRES, RESOLVES, what="meetings")
def test_a_meeting_that_is_not_read(scene: Scene) -> None:
    """It is told when its last reading is 10 minutes old for 5 minutes, until it is read."""
    exporter = scene.exporter()
    exporter.meeting("stale", read=lambda minute: now(minute if minute >= 40 else min(minute, 5)))
    exporter.meeting("fresh")
    scene.silent(20, 40)
    scene.fires(21, 39)


@case("RKDataStale", NEAR_MISS, what="meetings")
def test_a_meeting_that_is_read_in_time(scene: Scene) -> None:
    """A reading of 15 minutes is too old, but not for long enough."""
    scene.exporter().meeting(read=lambda minute: now(minute if minute >= 20 else min(minute, 5)))
    scene.silent(*range(15, 30))


@case("RKDataStale", OTHER, what="meetings")
def test_a_meeting_that_was_never_read(scene: Scene) -> None:
    """It is told after 5 minutes of failures, though it has no age."""
    scene.exporter().meeting(read=changing({0: None}), up=0)
    scene.silent(4)
    scene.fires(5, 20)


@case("RKDataStale", OTHER, what="meetings")
def test_a_meeting_that_waits_for_its_first_reading(scene: Scene) -> None:
    """What was not attempted has not failed."""
    scene.exporter().meeting(read=changing({0: None}), up=changing({0: None}))
    scene.silent(5, 20)


@case("RKDataStale", MISSED_SCRAPES, what="meetings")
def test_a_stale_meeting_through_missed_scrapes(scene: Scene) -> None:
    """Neither missed scrapes nor a restart, after which it was never read, make it well."""
    a, b = scene.exporter("a", ends=40, missed=[(25, 29)]), scene.exporter("b", begins=43)
    a.meeting(read=lambda minute: now(min(minute, 5)), up=0)
    b.meeting(read=changing({0: None}), up=0)
    scene.fires(*range(21, 55))


@case("RKDataStale", OTHER, what="meetings")
def test_a_meeting_that_another_exporter_reads(scene: Scene) -> None:
    """The freshest reading counts; an exporter that is blind is no matter of meetings."""
    scene.exporter("a").meeting(read=lambda minute: now(min(minute, 5)), up=0)
    scene.exporter("b").meeting()
    scene.silent(21, 60)


def discovering(exporter: Exporter, *, lists_until: float, again: float = math.inf) -> None:
    def fails(minute: float) -> bool:
        return lists_until < minute < again

    exporter.show("rk_discovery_up", lambda minute: float(not fails(minute)))
    exporter.show(
        "rk_discovery_last_success_timestamp_seconds",
        lambda minute: None if lists_until < 0 else now(lists_until if fails(minute) else minute),
    )


@case("RKDataStale", FIRES, RESOLVES, what="discovery")
def test_discovery_that_fails(scene: Scene) -> None:
    """It is told when the last list is 10 minutes old for 5 minutes, until there is another."""
    discovering(scene.exporter(), lists_until=5, again=40)
    scene.silent(20, 40)
    scene.fires(21, 39)


@case("RKDataStale", OTHER, what="discovery")
def test_discovery_that_never_worked(scene: Scene) -> None:
    """It is told after 5 minutes."""
    discovering(scene.exporter(), lists_until=-1)
    scene.silent(4)
    scene.fires(5, 30)


@case("RKDataStale", NEAR_MISS, what="discovery")
def test_discovery_that_recovers(scene: Scene) -> None:
    """A quarter of an hour of failures is not told if it works then."""
    discovering(scene.exporter(), lists_until=5, again=20)
    scene.silent(*range(15, 30))


@case("RKDataStale", MISSED_SCRAPES, what="discovery")
def test_failing_discovery_through_missed_scrapes(scene: Scene) -> None:
    """Neither missed scrapes nor a restart make it well."""
    a, b = scene.exporter("a", ends=40, missed=[(25, 29)]), scene.exporter("b", begins=43)
    discovering(a, lists_until=5)
    discovering(b, lists_until=-1)
    scene.fires(*range(21, 55))


@case("RKDataStale", OTHER, what="discovery")
def test_discovery_that_another_exporter_does(scene: Scene) -> None:
    """Where one of two can list the live meetings, they are known."""
    discovering(scene.exporter("a"), lists_until=5)
    discovering(scene.exporter("b"), lists_until=math.inf)
    scene.silent(21, 60)


# --- RKAPIAuthFailing, RKAPIRateLimited, RKBudgetExhausted ---

FAILURES = "rk_api_request_failures_total"
EVERY_FIVE_MINUTES = {each: each / 5 for each in range(5, 150, 5)}


@case("RKAPIAuthFailing", FIRES, RESOLVES)
def test_a_refused_token(scene: Scene) -> None:
    """It is told after 5 minutes of refusals, until a call is let in."""
    exporter = scene.exporter()
    exporter.count(FAILURES, EVERY_FIVE_MINUTES, reason="auth")
    exporter.show("rk_up", changing({0: 1, 5: 0, 22: 1}))
    scene.silent(9, 22)
    scene.fires(10, 21)


@case("RKAPIAuthFailing", NEAR_MISS)
def test_a_token_that_is_refused_now_and_then(scene: Scene) -> None:
    """While other calls are let in, the token is good."""
    exporter = scene.exporter()
    exporter.count(FAILURES, EVERY_FIVE_MINUTES, reason="auth")
    exporter.show("rk_up", 1)
    scene.silent(10, 60)


@case("RKAPIAuthFailing", NEAR_MISS)
def test_an_api_that_fails_otherwise(scene: Scene) -> None:
    """What keeps calls from succeeding is not the token."""
    exporter = scene.exporter()
    exporter.count(FAILURES, {}, reason="auth")
    exporter.count(FAILURES, {each: each for each in range(5, 150)}, reason="timeout")
    exporter.show("rk_up", changing({0: 1, 5: 0}))
    scene.silent(10, 60)


@case("RKAPIAuthFailing", MISSED_SCRAPES)
def test_a_refused_token_through_missed_scrapes(scene: Scene) -> None:
    """Neither missed scrapes nor a restart end it."""
    a, b = scene.exporter("a", ends=30, missed=[(12, 16)]), scene.exporter("b", begins=33)
    for exporter in (a, b):
        exporter.count(FAILURES, EVERY_FIVE_MINUTES, reason="auth")
        exporter.show("rk_up", changing({0: 1, 5: 0}))
    scene.fires(*range(10, 60))


@case("RKAPIRateLimited", FIRES, RESOLVES)
def test_a_refusal_for_too_many_calls(scene: Scene) -> None:
    """One is told, for 10 minutes."""
    scene.exporter().count(FAILURES, {5: 1}, reason="rate_limited")
    scene.silent(5, 16)
    scene.fires(6, 13)


@case("RKAPIRateLimited", NEAR_MISS)
def test_a_refusal_for_something_else(scene: Scene) -> None:
    """Other failures are none of it."""
    exporter = scene.exporter()
    exporter.count(FAILURES, {5: 1}, reason="server_error")
    exporter.count(FAILURES, {}, reason="rate_limited")
    scene.silent(6, 10)


@case("RKAPIRateLimited", MISSED_SCRAPES)
def test_a_refusal_through_missed_scrapes(scene: Scene) -> None:
    """It is not forgotten while the exporter restarts, nor counted anew."""
    a, b = scene.exporter("a", ends=10, missed=[(7, 9)]), scene.exporter("b", begins=13)
    for exporter in (a, b):
        exporter.count(FAILURES, {5: 1}, reason="rate_limited")
    scene.fires(*range(6, 14))
    scene.silent(*range(16, 25))


def spending(exporter: Exporter, *, deferred: Mapping[int, float], remaining: float = 10) -> None:
    exporter.show("rk_meetings_deferred", changing({0: 0, **deferred}))
    exporter.show("rk_api_budget_remaining", remaining)
    exporter.show("rk_api_budget_limit", 600)


@case("RKBudgetExhausted", FIRES, RESOLVES)
def test_a_budget_that_does_not_suffice(scene: Scene) -> None:
    """It is told when each scrape left meetings unread for 25 minutes, until one leaves none."""
    spending(scene.exporter(), deferred={5: 7, 40: 0})
    scene.silent(28, 40)
    scene.fires(30, 39)


@case("RKBudgetExhausted", NEAR_MISS)
def test_meetings_that_are_left_for_want_of_time(scene: Scene) -> None:
    """Where calls are left it is not the budget."""
    spending(scene.exporter(), deferred={5: 7}, remaining=300)
    scene.silent(30, 60)


@case("RKBudgetExhausted", NEAR_MISS)
def test_meetings_that_have_their_turn(scene: Scene) -> None:
    """A scrape in ten minutes that leaves none unread is enough."""
    spending(scene.exporter(), deferred={m: float(m % 8 > 0) for m in range(5, 150)})
    scene.silent(*range(20, 100, 5))


@case("RKBudgetExhausted", NEAR_MISS)
def test_calls_that_are_held_back(scene: Scene) -> None:
    """While all calls are held back the budget is not why, nor for a few minutes after."""
    exporter = scene.exporter()
    spending(exporter, deferred={5: 7})
    exporter.show("rk_api_blocked_until_timestamp_seconds", changing({0: None, 8: 9999, 40: None}))
    scene.silent(30, 40, 44)
    scene.fires(62)


@case("RKBudgetExhausted", MISSED_SCRAPES)
def test_a_budget_that_does_not_suffice_through_missed_scrapes(scene: Scene) -> None:
    """Neither missed scrapes nor a restart end it."""
    a, b = scene.exporter("a", ends=50, missed=[(20, 24), (35, 39)]), scene.exporter("b", begins=53)
    for exporter in (a, b):
        spending(exporter, deferred={5: 7})
    scene.fires(*range(30, 70))


# --- RKRecordingErrored ---

FAILS_AT_10 = {2: "INVOKED", 3: "RECORDING", 10: "ERRORED"}


@case("RKRecordingErrored", FIRES)
def test_a_recording_that_fails(scene: Scene) -> None:
    """It is told within two minutes."""
    scene.exporter().recording(FAILS_AT_10)
    scene.silent(10)
    scene.fires(11, 100)


@case("RKRecordingErrored", NEAR_MISS)
def test_a_recording_that_succeeds(scene: Scene) -> None:
    """No other state is a failure."""
    scene.exporter().recording(
        {2: "INVOKED", 3: "RECORDING", 5: "PAUSED", 9: "UPLOADING", 20: "UPLOADED", 40: "UNKNOWN"}
    )
    scene.silent(*range(2, 60, 3))


@case("RKRecordingErrored", MISSED_SCRAPES)
def test_a_failure_through_missed_scrapes(scene: Scene) -> None:
    """Neither missed scrapes nor a restart end it, or tell it twice."""
    a, b = scene.exporter("a", ends=40, missed=[(20, 25)]), scene.exporter("b", begins=43)
    for exporter in (a, b):
        exporter.recording(FAILS_AT_10)
    scene.fires(*range(11, 60))


@case("RKRecordingErrored", RESOLVES, OTHER, pace=DAYS)
def test_a_failure_is_told_for_a_day(scene: Scene) -> None:
    """It ends then, and an exporter or a Prometheus that was away for an hour does not renew it."""
    scene.exporter(missed=[(10 * HOUR, 11 * HOUR), (26 * HOUR, 27 * HOUR)]).recording(
        {40: "INVOKED", 44: "RECORDING", 60: "ERRORED"}
    )
    scene.fires(68, 9 * HOUR, 11 * HOUR + 8, 25 * HOUR - 4)
    scene.silent(64 - 4, 25 * HOUR, *range(25 * HOUR + 4, 30 * HOUR, 12))


@case("RKRecordingErrored", OTHER, pace=DAYS)
def test_a_failure_after_a_day(scene: Scene) -> None:
    """One that ran for 24 hours before is told for a day as well."""
    scene.exporter().recording({0: "RECORDING", 20: "ERRORED"}, invoked=20 - DAY, started=20 - DAY)
    scene.silent(20, DAY + 24)
    scene.fires(24, DAY + 16)


@case("RKRecordingErrored", OTHER)
def test_a_failure_of_last_week(scene: Scene) -> None:
    """What an exporter finds in the list when it starts is no news."""
    scene.exporter(begins=5).recording({0: "ERRORED"}, invoked=-7 * DAY)
    scene.silent(6, 30, 100)


@case("RKRecordingErrored", OTHER)
def test_a_failure_of_a_recording_without_times(scene: Scene) -> None:
    """Where the API does not tell when it was asked for, it is told all the same."""
    scene.exporter().recording(FAILS_AT_10, invoked=None)
    scene.fires(11)


@case("RKRecordingErrored", OTHER)
def test_a_failure_that_one_of_two_has_seen(scene: Scene) -> None:
    """It is told once, though the other shows it as recording still."""
    scene.exporter("a").recording(FAILS_AT_10, unread=(5, math.inf))
    scene.exporter("b").recording(FAILS_AT_10)
    scene.fires(11, 60)
    latest = selector("recording:rk_recording_status:latest", {"app": scene.name})
    scene.expect(f"count({latest})", 30, 1)


# --- RKRecordingErrorRatioHigh ---

FINISHED = "rk_recordings_finished_total"


def finishing(
    exporter: Exporter, *, errored: Mapping[int, float], uploaded: Mapping[int, float]
) -> None:
    exporter.count(FINISHED, errored, outcome="errored")
    exporter.count(FINISHED, uploaded, outcome="uploaded")
    exporter.count(FINISHED, {}, outcome="vanished")


@case("RKRecordingErrorRatioHigh", FIRES, RESOLVES, window="1h")
def test_many_failures_in_an_hour(scene: Scene) -> None:
    """Two of six are told after 5 minutes, until enough have succeeded."""
    finishing(scene.exporter(), errored={6: 2}, uploaded={5: 1, 10: 4, 40: 9})
    scene.silent(14, 40)
    scene.fires(15, 39)


@case("RKRecordingErrorRatioHigh", RESOLVES, window="1h")
def test_failures_of_an_hour_ago(scene: Scene) -> None:
    """They are forgotten, without an error of division."""
    finishing(scene.exporter(), errored={6: 3}, uploaded={10: 3})
    scene.fires(15, 60)
    scene.silent(70, 80)


@case("RKRecordingErrorRatioHigh", NEAR_MISS)
def test_a_few_failures(scene: Scene) -> None:
    """Of four a ratio says nothing, whichever the window."""
    finishing(scene.exporter(), errored={6: 3}, uploaded={10: 1})
    scene.silent(15, 30, 60)


@case("RKRecordingErrorRatioHigh", NEAR_MISS)
def test_few_failures_among_many(scene: Scene) -> None:
    """One of five is not more than a fifth."""
    finishing(scene.exporter(), errored={6: 1}, uploaded={10: 4})
    scene.silent(15, 30, 60)


@case("RKRecordingErrorRatioHigh", NEAR_MISS)
def test_nothing_has_finished(scene: Scene) -> None:
    """None of none is no ratio."""
    finishing(scene.exporter(), errored={}, uploaded={})
    scene.silent(15, 30, 60)


@case("RKRecordingErrorRatioHigh", OTHER)
def test_a_few_failures_that_two_exporters_count(scene: Scene) -> None:
    """Four remain four."""
    for name in ("a", "b"):
        finishing(scene.exporter(name), errored={6: 2}, uploaded={10: 2})
    scene.silent(15, 30, 60)


@case("RKRecordingErrorRatioHigh", MISSED_SCRAPES, window="1h")
def test_many_failures_through_missed_scrapes(scene: Scene) -> None:
    """Neither missed scrapes nor a restart, after which all counts are 0, end it."""
    a, b = scene.exporter("a", ends=35, missed=[(20, 25)]), scene.exporter("b", begins=38)
    finishing(a, errored={6: 3}, uploaded={10: 3})
    finishing(b, errored={}, uploaded={})
    scene.fires(*range(15, 60))


@case("RKRecordingErrorRatioHigh", FIRES, RESOLVES, MISSED_SCRAPES, window="1d", pace=DAYS)
def test_many_failures_in_a_day(scene: Scene) -> None:
    """Where too few end in an hour, the day's are told, after 15 minutes."""
    finishing(
        scene.exporter(missed=[(240, 300)]),
        errored={40: 1, 120: 2, 200: 3},
        uploaded={80: 1, 160: 2, 400: 22},
    )
    scene.silent(212, 400)
    scene.fires(*range(216, 400, 4))
    scene.silent(*range(40, 400, 20), window="1h")


# --- RKRecordingStuckInvoked ---


@case("RKRecordingStuckInvoked", FIRES, RESOLVES)
def test_a_recording_that_does_not_start(scene: Scene) -> None:
    """It is told once it has been INVOKED for more than 5 minutes, until it starts."""
    scene.exporter().recording({2: "INVOKED", 20: "RECORDING"})
    scene.silent(8, 20)
    scene.fires(9, 19)


@case("RKRecordingStuckInvoked", OTHER)
def test_a_recording_that_was_stuck_before_the_exporter_began(scene: Scene) -> None:
    """When it was asked for is the API's word: it is told at once."""
    scene.exporter(begins=5).recording({0: "INVOKED"}, invoked=-60)
    scene.fires(6)


@case("RKRecordingStuckInvoked", NEAR_MISS)
def test_a_recording_that_starts_slowly(scene: Scene) -> None:
    """Five minutes are not more than 5 minutes."""
    scene.exporter().recording({2: "INVOKED", 8: "RECORDING"})
    scene.silent(*range(2, 20))


@case("RKRecordingStuckInvoked", NEAR_MISS)
def test_a_recording_that_could_not_be_read_again(scene: Scene) -> None:
    """That one was INVOKED when it was last read, seconds after it was asked for, says nothing."""
    scene.exporter().recording({2: "INVOKED", 3: "RECORDING"}, unread=(2, math.inf))
    scene.silent(*range(8, 30))


@case("RKRecordingStuckInvoked", MISSED_SCRAPES)
def test_a_stuck_recording_through_missed_scrapes(scene: Scene) -> None:
    """Neither missed scrapes nor a restart end it."""
    a, b = scene.exporter("a", ends=30, missed=[(12, 17)]), scene.exporter("b", begins=33)
    for exporter in (a, b):
        exporter.recording({2: "INVOKED"})
    scene.fires(*range(9, 50))


@case("RKRecordingStuckInvoked", OTHER)
def test_a_recording_that_another_exporter_saw_start(scene: Scene) -> None:
    """The one that read it last is believed, also while it misses scrapes."""
    scene.exporter("a").recording({2: "INVOKED", 4: "RECORDING"}, unread=(3, math.inf))
    scene.exporter("b", missed=[(12, 17)]).recording({2: "INVOKED", 4: "RECORDING"})
    scene.silent(*range(3, 30))


@case("RKRecordingStuckInvoked", OTHER)
def test_a_stuck_recording_without_times(scene: Scene) -> None:
    """Where the API does not tell when it was asked for, since when it is seen counts."""
    scene.exporter().recording({2: "INVOKED"}, invoked=None)
    scene.silent(8)
    scene.fires(9)


# --- RKRecordingStuckUploading, RKRecordingPausedTooLong, RKRecordingNearTimeLimit ---

UPLOADS_AT_5 = {0: "INVOKED", 1: "RECORDING", 5: "UPLOADING"}


@case("RKRecordingStuckUploading", FIRES, RESOLVES)
def test_a_file_that_does_not_arrive(scene: Scene) -> None:
    """It is told more than an hour after the recording ended, until it is UPLOADED."""
    scene.exporter().recording({**UPLOADS_AT_5, 90: "UPLOADED"})
    scene.silent(66, 90)
    scene.fires(67, 89)


@case("RKRecordingStuckUploading", OTHER)
def test_a_file_that_does_not_arrive_of_a_recording_without_times(scene: Scene) -> None:
    """Where the API does not tell when it ended, since when it is seen to upload counts."""
    scene.exporter().recording(UPLOADS_AT_5, stopped=None)
    scene.silent(66)
    scene.fires(67)


@case("RKRecordingStuckUploading", NEAR_MISS)
def test_a_file_that_arrives_late(scene: Scene) -> None:
    """An hour is not more than an hour."""
    scene.exporter().recording({**UPLOADS_AT_5, 66: "UPLOADED"})
    scene.silent(*range(60, 80))


@case("RKRecordingStuckUploading", MISSED_SCRAPES)
def test_a_file_that_does_not_arrive_through_missed_scrapes(scene: Scene) -> None:
    """Neither missed scrapes nor a restart end it."""
    a, b = scene.exporter("a", ends=90, missed=[(60, 65), (75, 80)]), scene.exporter("b", begins=93)
    for exporter in (a, b):
        exporter.recording(UPLOADS_AT_5)
    scene.fires(*range(67, 110))


PAUSED_AT_5 = {0: "INVOKED", 1: "RECORDING", 5: "PAUSED"}


@case("RKRecordingPausedTooLong", FIRES, RESOLVES)
def test_a_recording_that_is_paused(scene: Scene) -> None:
    """It is told after half an hour, until it goes on; another pause counts from its own begin."""
    scene.exporter().recording({**PAUSED_AT_5, 50: "RECORDING", 60: "PAUSED"})
    scene.silent(36, 50, 80, 91)
    scene.fires(37, 49, 92)


@case("RKRecordingPausedTooLong", NEAR_MISS)
def test_a_recording_that_is_paused_again_and_again(scene: Scene) -> None:
    """Half an hour is not more than half an hour, and pauses do not add up."""
    scene.exporter().recording({**PAUSED_AT_5, 36: "RECORDING", 37: "PAUSED", 60: "RECORDING"})
    scene.silent(*range(30, 90))


@case("RKRecordingPausedTooLong", MISSED_SCRAPES)
def test_a_pause_through_missed_scrapes(scene: Scene) -> None:
    """Neither missed scrapes nor a restart end it, or let it count anew."""
    a, b = scene.exporter("a", ends=50, missed=[(20, 25), (40, 45)]), scene.exporter("b", begins=53)
    for exporter in (a, b):
        exporter.recording(PAUSED_AT_5)
    scene.silent(36)
    scene.fires(*range(37, 70))


@case("RKRecordingNearTimeLimit", FIRES, RESOLVES, pace=DAYS)
def test_a_recording_that_runs_for_a_day(scene: Scene) -> None:
    """It is told when nine tenths of 24 hours are over, until it ends, paused or not."""
    scene.exporter().recording(
        {
            0: "INVOKED",
            4: "RECORDING",
            22 * HOUR: "PAUSED",
            23 * HOUR: "RECORDING",
            DAY: "UPLOADING",
        }
    )
    scene.silent(1300, DAY)
    scene.fires(1308, 22 * HOUR, 22 * HOUR + 4, DAY - 4)


@case("RKRecordingNearTimeLimit", NEAR_MISS, pace=DAYS)
def test_a_recording_that_ends_before_its_limit(scene: Scene) -> None:
    """One that has ended reaches no limit."""
    scene.exporter().recording({0: "INVOKED", 4: "RECORDING", 1300: "UPLOADING"})
    scene.silent(*range(1280, 1400, 4))


@case("RKRecordingNearTimeLimit", MISSED_SCRAPES)
def test_a_long_recording_through_missed_scrapes(scene: Scene) -> None:
    """Neither missed scrapes nor a restart end it."""
    a, b = scene.exporter("a", ends=20, missed=[(5, 10)]), scene.exporter("b", begins=23)
    for exporter in (a, b):
        exporter.recording({0: "RECORDING"}, invoked=-1300, started=-1300)
    scene.fires(*range(1, 40))


# --- RKRecordingEmptyFile, RKDownloadURLExpiringSoon ---

UPLOADED_AT_10 = {0: "INVOKED", 1: "RECORDING", 8: "UPLOADING", 10: "UPLOADED"}
UPLOADED_AT_12 = {0: "INVOKED", 4: "RECORDING", 8: "UPLOADING", 12: "UPLOADED"}


@case("RKRecordingEmptyFile", FIRES)
def test_a_file_that_is_too_small(scene: Scene) -> None:
    """Of an hour fewer than 3.6 MB are told after 5 minutes, and none as well."""
    exporter = scene.exporter()
    exporter.recording(UPLOADED_AT_10, recording_id="small", size=3_599_999, duration=3600)
    exporter.recording(UPLOADED_AT_10, recording_id="none", size=0, duration=3600)
    exporter.recording(UPLOADED_AT_10, recording_id="enough", size=3_600_000, duration=3600)
    scene.silent(14)
    scene.fires(15, 100, count=2)
    scene.silent(15, recording_id="enough")


@case("RKRecordingEmptyFile", RESOLVES, pace=DAYS)
def test_a_file_that_was_too_small(scene: Scene) -> None:
    """It is told until a day after the recording ended."""
    scene.exporter().recording(UPLOADED_AT_12, size=0, duration=3600)
    scene.fires(20, DAY + 4)
    scene.silent(16, DAY + 8, DAY + 60)


@case("RKRecordingEmptyFile", NEAR_MISS)
def test_files_that_may_be_empty(scene: Scene) -> None:
    """Those of 5 seconds, those of a participant each, and those of which the size is not known."""
    exporter = scene.exporter()
    exporter.recording(UPLOADED_AT_10, recording_id="short", size=0, duration=5)
    exporter.recording(UPLOADED_AT_10, recording_id="track", size=0, duration=3600)
    of_track = {"meeting_id": MEETING, "recording_id": "track", "kind": "track"}
    exporter.show("rk_recording_info", 1, **of_track)
    exporter.recording(UPLOADED_AT_10, recording_id="unknown", duration=3600)
    scene.silent(15, 30, 60)


@case("RKRecordingEmptyFile", MISSED_SCRAPES)
def test_a_small_file_through_missed_scrapes(scene: Scene) -> None:
    """Neither missed scrapes nor a restart end it, and two exporters do not tell it twice."""
    a, b = scene.exporter("a", ends=40, missed=[(20, 25)]), scene.exporter("b", begins=43)
    for exporter in (a, b, scene.exporter("c", begins=20, missed=[(25, 60)])):
        exporter.recording(UPLOADED_AT_10, size=0, duration=3600)
    scene.fires(*range(15, 60))


@case("RKDownloadURLExpiringSoon", FIRES)
def test_a_download_url_that_expires(scene: Scene) -> None:
    """A meeting's are told as one, a quarter of an hour after less than a day is left."""
    exporter = scene.exporter()
    exporter.recording(UPLOADED_AT_10, recording_id="one", expiry=DAY + 20)
    exporter.recording(UPLOADED_AT_10, recording_id="two", expiry=DAY + 22)
    exporter.recording(UPLOADED_AT_10, meeting_id="other", expiry=7 * DAY)
    scene.silent(35)
    scene.fires(36, 100)


@case("RKDownloadURLExpiringSoon", RESOLVES)
def test_a_download_url_that_has_expired(scene: Scene) -> None:
    """There is nothing more to do then."""
    scene.exporter().recording(UPLOADED_AT_10, expiry=60)
    scene.fires(25, 59)
    scene.silent(60, 90)


@case("RKDownloadURLExpiringSoon", NEAR_MISS)
def test_download_urls_that_do_not_expire_soon(scene: Scene) -> None:
    """Neither one that was expired when it was first seen, nor one with more than a day left."""
    exporter = scene.exporter()
    exporter.recording(UPLOADED_AT_10, recording_id="old", expiry=10)
    exporter.recording(UPLOADED_AT_10, recording_id="new", expiry=DAY + 140)
    scene.silent(*range(10, 100, 5))


@case("RKDownloadURLExpiringSoon", MISSED_SCRAPES)
def test_a_download_url_that_expires_through_missed_scrapes(scene: Scene) -> None:
    """Neither missed scrapes nor a restart end it."""
    a, b = scene.exporter("a", ends=60, missed=[(20, 25), (40, 45)]), scene.exporter("b", begins=63)
    for exporter in (a, b):
        exporter.recording(UPLOADED_AT_10, expiry=DAY)
    scene.fires(*range(25, 80))


# --- RKMeetingNotRecorded ---


def room(
    exporter: Exporter,
    people: Mapping[int, float | None],
    *,
    record_on_start: float = 1,
    recordings: Mapping[int, float | None] | None = None,
    listed_until: float = math.inf,
) -> None:
    """Show a meeting that was found, with *people* in it, and its *recordings*: none."""
    discovering(exporter, lists_until=listed_until)
    shown: dict[str, Mapping[int, float | None]] = {
        "rk_meeting_live_participants": people,
        "rk_meeting_record_on_start": {0: record_on_start},
        "rk_meeting_active_recordings": recordings or {0: 0},
    }
    for metric, values in shown.items():
        exporter.show(metric, changing(values), meeting_id=MEETING)


@case("RKMeetingNotRecorded", FIRES, RESOLVES)
def test_people_whom_nobody_records(scene: Scene) -> None:
    """It is told after 5 minutes, until all have left."""
    room(scene.exporter(), {5: 3, 30: None})
    scene.silent(9, 30, 34)
    scene.fires(10, 29)


@case("RKMeetingNotRecorded", RESOLVES)
def test_people_who_are_recorded_at_last(scene: Scene) -> None:
    """It is told until a recording is asked for, and again when that has ended."""
    exporter = scene.exporter()
    room(exporter, {5: 3}, recordings={0: 0, 30: 1, 50: 0})
    exporter.recording({30: "INVOKED", 31: "RECORDING", 50: "UPLOADING"})
    scene.fires(10, 29, 55)
    scene.silent(30, 40, 54)


@case("RKMeetingNotRecorded", NEAR_MISS)
def test_people_who_leave_soon(scene: Scene) -> None:
    """Four minutes are not told, neither then nor later."""
    room(scene.exporter(), {5: 3, 9: None, 20: 3, 24: 0})
    scene.silent(*range(5, 35))


@case("RKMeetingNotRecorded", NEAR_MISS)
def test_people_who_need_not_be_recorded(scene: Scene) -> None:
    """Without record_on_start it is their affair."""
    room(scene.exporter(), {5: 3}, record_on_start=0)
    scene.silent(10, 60)


@case("RKMeetingNotRecorded", NEAR_MISS)
def test_people_in_a_meeting_that_cannot_be_read(scene: Scene) -> None:
    """Where the recordings are not known, it is not known that there is none."""
    room(scene.exporter(), {5: 3}, recordings={0: None})
    scene.silent(10, 60)


@case("RKMeetingNotRecorded", NEAR_MISS)
def test_people_who_may_have_left(scene: Scene) -> None:
    """A list of live meetings of 10 minutes ago says nothing of now."""
    room(scene.exporter(), {12: 3}, listed_until=5)
    scene.silent(*range(12, 40))


@case("RKMeetingNotRecorded", MISSED_SCRAPES)
def test_people_whom_nobody_records_through_missed_scrapes(scene: Scene) -> None:
    """Neither missed scrapes nor a restart, after which the meeting is read late, end it."""
    a, b = scene.exporter("a", ends=30, missed=[(7, 9), (15, 19)]), scene.exporter("b", begins=33)
    room(a, {5: 3})
    room(b, {5: 3}, recordings={33: None, 34: 0})
    scene.fires(*range(10, 50))


@case("RKMeetingNotRecorded", OTHER)
def test_people_of_whom_one_exporter_sees_the_recording(scene: Scene) -> None:
    """A recording that either of two exporters knows is a recording."""
    blind, seeing = scene.exporter("a"), scene.exporter("b", missed=[(12, 17)])
    for exporter in (blind, seeing):
        room(exporter, {5: 3})
    seeing.recording({6: "RECORDING"})
    scene.silent(*range(5, 40))


# --- RKStartDelayHigh ---


def starting(exporter: Exporter, *, fast: float = 0, slow: float = 0) -> None:
    """Show that in minute 5 so many start within 5 s, and so many within 5 to 60 s."""
    delay = "rk_recording_start_delay_seconds"
    for bound, number in {"5.0": fast, "60.0": fast + slow, "+Inf": fast + slow}.items():
        exporter.count(f"{delay}_bucket", {5: number}, le=bound)
    exporter.count(f"{delay}_count", {5: fast + slow})


@case("RKStartDelayHigh", FIRES, RESOLVES)
def test_recordings_that_start_late(scene: Scene) -> None:
    """It is told after 5 minutes, for an hour; then nothing is divided by nothing."""
    starting(scene.exporter(), slow=3)
    scene.silent(9, 67)
    scene.fires(10, 60)


@case("RKStartDelayHigh", NEAR_MISS)
def test_recordings_that_start_in_time(scene: Scene) -> None:
    """One of twenty may be late."""
    starting(scene.exporter(), fast=19, slow=1)
    scene.silent(10, 30)


@case("RKStartDelayHigh", NEAR_MISS)
def test_few_recordings_that_start_late(scene: Scene) -> None:
    """Of two a quantile says nothing, and two exporters do not make four of them."""
    for name in ("a", "b"):
        starting(scene.exporter(name), slow=2)
    scene.silent(10, 30)


@case("RKStartDelayHigh", MISSED_SCRAPES)
def test_recordings_that_start_late_through_missed_scrapes(scene: Scene) -> None:
    """Neither missed scrapes nor a restart, after which all counts are 0, end it."""
    a, b = scene.exporter("a", ends=35, missed=[(20, 25)]), scene.exporter("b", begins=38)
    starting(a, slow=3)
    starting(b)
    scene.fires(*range(10, 60))


# --- Thresholds of one's own: see OWN_THRESHOLDS ---


@case("RKRecordingStuckInvoked", THRESHOLD)
def test_own_threshold_of_invoked_seconds(scene: Scene) -> None:
    """It is told after a minute."""
    scene.exporter().recording({2: "INVOKED"})
    scene.silent(4)
    scene.fires(5)


@case("RKRecordingStuckUploading", THRESHOLD)
def test_own_threshold_of_uploading_seconds(scene: Scene) -> None:
    """It is told after 2 minutes."""
    scene.exporter().recording(UPLOADS_AT_5)
    scene.silent(8)
    scene.fires(9)


@case("RKRecordingPausedTooLong", THRESHOLD)
def test_own_threshold_of_paused_seconds(scene: Scene) -> None:
    """It is told after 3 minutes."""
    scene.exporter().recording(PAUSED_AT_5)
    scene.silent(9)
    scene.fires(10)


@case("RKRecordingNearTimeLimit", THRESHOLD)
def test_own_threshold_of_running_seconds(scene: Scene) -> None:
    """It is told after 4 minutes."""
    scene.exporter().recording({0: "INVOKED", 1: "RECORDING"})
    scene.silent(6)
    scene.fires(7)


@case("RKRecordingErrored", THRESHOLD)
def test_own_threshold_of_ended_seconds(scene: Scene) -> None:
    """A failure is told for 10 minutes."""
    scene.exporter().recording(FAILS_AT_10)
    scene.fires(19)
    scene.silent(20)


@case("RKRecordingEmptyFile", THRESHOLD)
def test_own_thresholds_of_empty_files(scene: Scene) -> None:
    """Ten bytes a second suffice, files of a minute may be empty, and 10 minutes are long ago."""
    exporter = scene.exporter()
    exporter.recording(UPLOADED_AT_10, recording_id="enough", size=36_000, duration=3600)
    exporter.recording(UPLOADED_AT_10, recording_id="short", size=0, duration=60)
    exporter.recording(UPLOADED_AT_10, recording_id="small", size=35_999, duration=3600)
    scene.fires(15, 17, recording_id="small")
    scene.fires(15)
    scene.silent(18)


@case("RKRecordingErrorRatioHigh", THRESHOLD, window="1h")
def test_own_thresholds_of_the_ratio(scene: Scene) -> None:
    """Two suffice, and more than six of ten have to fail."""
    finishing(scene.exporter(), errored={5: 2}, uploaded={12: 1, 20: 2})
    scene.silent(9, 20)
    scene.fires(10, 19)


@case("RKStartDelayHigh", THRESHOLD)
def test_own_thresholds_of_the_start_delay(scene: Scene) -> None:
    """One suffices, and 10 seconds are late."""
    starting(scene.exporter(), fast=85, slow=15)
    scene.silent(9)
    scene.fires(10)


@case("RKDownloadURLExpiringSoon", THRESHOLD)
def test_own_threshold_of_expiry(scene: Scene) -> None:
    """Half an hour is soon."""
    scene.exporter().recording(UPLOADED_AT_10, expiry=60)
    scene.silent(45)
    scene.fires(46)


@case("RKDataStale", THRESHOLD, what="meetings")
def test_own_threshold_of_data_age(scene: Scene) -> None:
    """Two minutes are too old."""
    scene.exporter().meeting(read=lambda minute: now(min(minute, 5)))
    scene.silent(12)
    scene.fires(13)


@case("RKBudgetExhausted", THRESHOLD)
def test_own_threshold_of_the_budget(scene: Scene) -> None:
    """Half of the budget counts as nothing."""
    spending(scene.exporter(), deferred={5: 7}, remaining=300)
    scene.fires(30)


# --- What is recorded ---

CODES = {
    "INVOKED": 1,
    "RECORDING": 2,
    "PAUSED": 3,
    "UPLOADING": 4,
    "UPLOADED": 5,
    "ERRORED": 6,
    "UNKNOWN": 7,
}


def of_recording(scene: Scene, metric: str, recording_id: str) -> str:
    return f"sum({selector(metric, {'app': scene.name, 'recording_id': recording_id})})"


@case("", OTHER)
def test_each_state_has_its_code(scene: Scene) -> None:
    """A recording is one series whatever state it is in, and none once it is not shown."""
    exporter = scene.exporter()
    for state, code in CODES.items():
        exporter.recording({0: "INVOKED", 2: state, 5: None}, recording_id=state)
        shown = of_recording(scene, "instance:rk_recording_state:code", state)
        for minute, expected in {1: 1, 2: code, 4: code, 5: None}.items():
            scene.expect(shown, minute, expected)


@case("", OTHER)
def test_the_level_of_trouble(scene: Scene) -> None:
    """What is worst about a recording counts."""
    exporter = scene.exporter()
    uploaded = {0: "INVOKED", 1: "RECORDING", 2: "UPLOADED"}
    exporter.recording({0: "INVOKED"}, recording_id="stuck")
    exporter.recording({0: "ERRORED"}, recording_id="failed")
    exporter.recording(uploaded, recording_id="empty", size=0, duration=3600)
    exporter.recording({0: "PAUSED"}, recording_id="paused")
    exporter.recording({0: "UNKNOWN"}, recording_id="unknown")
    exporter.recording(uploaded, recording_id="expiring", size=300_000_000, duration=3600)
    ids = {"meeting_id": MEETING, "recording_id": "expiring"}
    exporter.show("rk_recording_download_url_expires_in_seconds", 3600, **ids)
    exporter.recording(uploaded, recording_id="well", size=300_000_000, duration=3600)
    exporter.recording({0: "RECORDING"}, recording_id="running")
    levels = {"stuck": 5, "failed": 4, "empty": 3, "paused": 2, "unknown": 2, "expiring": 1}
    for recording_id, level in {**levels, "well": 0, "running": 0}.items():
        shown = of_recording(scene, "instance:rk_recording_trouble:level", recording_id)
        scene.expect(shown, 8, level)


# --- What alerts say ---

RECORDED, NAME = "recorded", 'Dr. "Who" \\ {{ 1 }} & "co": é'
UPLOADED_LONG_AGO = {-9: "INVOKED", -8: "RECORDING", -5: "UPLOADED"}
WHAT_IS_WRONG: dict[str, tuple[Mapping[int, str], dict[str, Any]]] = {
    "failed": ({-9: "INVOKED", -8: "RECORDING", 0: "ERRORED"}, {}),
    "stuck": ({-1: "INVOKED"}, {}),
    "uploading": ({-100: "RECORDING", -70: "UPLOADING"}, {}),
    "paused": ({-9: "RECORDING", 0: "PAUSED"}, {}),
    "long": ({-1300: "RECORDING"}, {}),
    "empty": (UPLOADED_LONG_AGO, {"size": 2048, "duration": 3600}),
    "expiring": (UPLOADED_LONG_AGO, {"expiry": 600}),
}


def everything(exporter: Exporter) -> None:
    """Show something that each rule is about, but those about targets and discovery."""
    exporter.show("rk_meetings", 3)
    exporter.meeting("stale", read=changing({0: None}), up=0)
    room(exporter, {0: 3})
    spending(exporter, deferred={0: 7})
    exporter.show("rk_up", 0)
    for reason in ("auth", "rate_limited"):
        exporter.count(FAILURES, {each: each for each in range(1, 150)}, reason=reason)
    finishing(exporter, errored={2: 3}, uploaded={2: 3})
    starting(exporter, slow=3)
    exporter.meeting(RECORDED, name=NAME)
    for recording_id, (states, facts) in WHAT_IS_WRONG.items():
        exporter.recording(states, meeting_id=RECORDED, recording_id=recording_id, **facts)


@case("", OTHER, alone=True)
def test_two_pods_of_one_app(scene: Scene) -> None:
    """Other labels of the same series break no rule, and nothing is told twice."""
    for name in ("a", "b"):
        everything(scene.exporter(name, labels={"pod": name, "namespace": "rk"}))
    rules = alert_rules(Path(__file__).parents[2])
    others = {"RKExporterDown", "RKExporterAbsent"}
    for rule in rules:
        if rule["alert"] not in others and rule["labels"].get("what") != "discovery":
            firing = {"alertname": rule["alert"], "alertstate": "firing", **rule["labels"]}
            scene.expect(f"count({selector('ALERTS', firing)})", 40, 1)
    for recording_id in WHAT_IS_WRONG:
        ids = {"app": scene.name, "recording_id": recording_id}
        latest = selector("recording:rk_recording_status:latest", ids)
        scene.expect(f"count({latest})", 40, 1)
        level = selector("instance:rk_recording_trouble:level", ids)
        scene.expect(f"count({level})", 40, 2)


def told(
    alert: str,
    value: str = "",
    *,
    dashboard: str = "",
    meeting: str = "",
    of: Mapping[str, str] | None = None,
    **labels: str,
) -> dict[str, dict[str, str]]:
    """Return an alert's labels, and its annotations with the *value* as they have it."""
    rules = alert_rules(Path(__file__).parents[2])
    (rule,) = (
        each
        for each in rules
        if each["alert"] == alert and labels.items() <= each["labels"].items()
    )
    its = {"job": JOB, **(of or {}), **rule["labels"]}
    says = dict(rule["annotations"])
    known = {f"{{{{ $labels.{name} }}}}": its[name] for name in its}
    known["{{ with $labels.app }}{{ . }}{{ else }}(not seen yet){{ end }}"] = its.get("app", "")
    for template in re.findall(r"{{ \$value[^}]*}}", says["description"]):
        known[template] = value
    for template, text in known.items():
        says["description"] = says["description"].replace(template, text)
    says |= {"dashboard": dashboard} if dashboard else {}
    says |= {"meeting": meeting} if meeting else {}
    return {"labels": its, "says": says}


APP = 'tele "health" & co \\ {{ 1 }}'
OF_APP = f"?var-job={JOB}&var-app={quote_plus(APP)}"


@case("", OTHER, alone=True)
def test_what_alerts_of_meetings_say(scene: Scene) -> None:
    """Labels and annotations are as promised, with whatever names meetings and apps have."""
    everything(scene.exporter(app=APP))

    def expect(alert: str, value: str, ids: Mapping[str, str], meeting: str) -> None:
        dashboard = f"/d/rk-recording{OF_APP}&var-meeting={ids['meeting_id']}"
        of = {"app": APP, **ids}
        scene.tells(alert, 40, told(alert, value, dashboard=dashboard, meeting=meeting, of=of))

    def of_recording(alert: str, recording_id: str, value: str = "", **labels: str) -> None:
        ids = {"meeting_id": RECORDED, "recording_id": recording_id, **labels}
        expect(alert, value, ids, NAME)

    of_recording("RKRecordingErrored", "failed", status="ERRORED")
    of_recording("RKRecordingStuckInvoked", "stuck", "41m 0s")
    of_recording("RKRecordingStuckUploading", "uploading", "1h 50m 0s")
    of_recording("RKRecordingPausedTooLong", "paused", "40m 0s", status="PAUSED")
    of_recording("RKRecordingNearTimeLimit", "long", "22h 20m 0s")
    of_recording("RKRecordingEmptyFile", "empty", "2ki")
    expect("RKDownloadURLExpiringSoon", "1", {"meeting_id": RECORDED}, NAME)
    # Where its name is not told, the id stands in.
    expect("RKMeetingNotRecorded", "3", {"meeting_id": MEETING}, MEETING)


@case("", OTHER, alone=True)
def test_what_alerts_of_apps_say(scene: Scene) -> None:
    """Labels and annotations are as promised, with whatever name an app has."""
    everything(scene.exporter("a", app=APP))
    discovering(scene.exporter("b", app="new"), lists_until=-1)
    exporters, overview = f"/d/rk-exporter{OF_APP}", f"/d/rk-overview{OF_APP}"

    def of_app(alert: str, value: str = "", dashboard: str = exporters, **labels: str) -> Any:
        return told(alert, value, dashboard=dashboard, of={"app": APP}, **labels)

    of_windows = [
        of_app("RKRecordingErrorRatioHigh", "50%", overview, window=window)
        for window in ("1h", "1d")
    ]
    scene.tells("RKRecordingErrorRatioHigh", 40, *of_windows)
    scene.tells("RKStartDelayHigh", 40, of_app("RKStartDelayHigh", "54.5s", overview))
    scene.tells("RKAPIAuthFailing", 40, of_app("RKAPIAuthFailing"))
    scene.tells("RKAPIRateLimited", 40, of_app("RKAPIRateLimited"))
    scene.tells("RKBudgetExhausted", 40, of_app("RKBudgetExhausted", "7"))
    of_new = told(
        "RKDataStale",
        dashboard=f"/d/rk-exporter?var-job={JOB}&var-app=new",
        of={"app": "new"},
        what="discovery",
    )
    scene.tells("RKDataStale", 40, of_app("RKDataStale", "1", what="meetings"), of_new)


@case("", OTHER, alone=True)
def test_what_alerts_of_targets_say(scene: Scene) -> None:
    """They name the exporter, and the app where there is one that nobody watches."""
    alert, dashboard = "RKExporterDown", f"/d/rk-exporter?var-job={JOB}"
    scene.exporter("a").show("rk_meetings", 3)
    scene.exporter("b", missed=[(10, 99)]).show("rk_meetings", 3)
    scene.exporter("c", app=APP, missed=[(10, 99)]).show("rk_meetings", 3)
    of_pair = {"instance": f"b.{scene.name}"}
    of_only = {"instance": f"c.{scene.name}", "app": APP}
    scene.tells(
        alert,
        40,
        told(alert, dashboard=dashboard, of=of_pair, severity="warning"),
        told(alert, dashboard=f"/d/rk-exporter{OF_APP}", of=of_only, severity="critical"),
    )


@case("", OTHER, alone=True)
def test_what_the_alert_of_no_exporter_says(scene: Scene) -> None:
    """It names the job."""
    scene.exporter(ends=1)
    scene.tells("RKExporterAbsent", 12, told("RKExporterAbsent"))
