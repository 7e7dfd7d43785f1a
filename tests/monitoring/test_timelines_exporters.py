"""Alerts about the exporter, its apps and the API, at every supported scrape interval."""

import math

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.monitoring.firing import Expected, Fires, Silent
from tests.support.monitoring.shown import app, growing, meeting, read_at
from tests.support.monitoring.timelines import (
    APP,
    INTERVALS_SECONDS,
    Scraping,
    Series,
    Steps,
    Target,
    Timeline,
    check,
)


APP_LABELS = {"rk_app": APP}
DOWN = "RealtimeKitExporterDown"
MISSING = "RealtimeKitMetricsMissing"
UNSTABLE = "RealtimeKitExporterUnstable"
TOO_LONG = "RealtimeKitScrapeIntervalTooLong"
NOTHING = "RealtimeKitNothingRead"
STALE = "RealtimeKitDataStale"
AUTH = "RealtimeKitAPIAuthFailing"
LIMITED = "RealtimeKitAPIRateLimited"
CRITICAL, WARNING = {"severity": "critical"}, {"severity": "warning"}
# One call that Cloudflare rejects.
REFUSED: Steps = [(0, 0), (20, 1)]
SHOWN = [*app(), *meeting("ward"), *meeting("round")]


@pytest.fixture(scope="module")
def rules(root: Path) -> Path:
    """Return the shipped rules."""
    return root / "dashboards/rules/rk-exporter.rules.yml"


def failures(reason: str, steps: Steps) -> Series:
    labels = {**APP_LABELS, "api_endpoint": "active-recording", "reason": reason}
    return Series("rk_api_request_failures_total", labels, steps)


def blocked(name: str, steps: Steps) -> Series:
    return Series("rk_api_blocked_until_timestamp_seconds", {"rk_app": name}, steps)


class TestExporterDown:
    def test_the_only_exporter(self, promtool: str, rules: Path) -> None:
        """One page with the name of the app, until the exporter answers again."""
        outage = Timeline(90, [Target("a", SHOWN, down=[(20, 60)])])
        page = Fires(DOWN, begins=20, waits=7, ends=60, labels=CRITICAL, counts_from_read=True)
        check(promtool, rules, outage, page, Silent(DOWN, WARNING), Silent(STALE), Silent(NOTHING))

    def test_one_of_two(self, promtool: str, rules: Path) -> None:
        """One warning without interruption, although the other exporter misses scrapes too."""
        outage = Timeline(90, [Target("a", SHOWN, down=[(20, 60)]), Target("b", SHOWN)])
        warning = Fires(DOWN, begins=20, waits=7, ends=60, labels=WARNING, counts_from_read=True)
        check(promtool, rules, outage, warning, Silent(DOWN, CRITICAL), Silent(STALE))

    def test_both(self, promtool: str, rules: Path) -> None:
        """The warning about the first exporter ends when the second one is down too."""
        outage = Timeline(
            100, [Target("a", SHOWN, down=[(20, 80)]), Target("b", SHOWN, down=[(50, 80)])]
        )
        pages = Fires(
            DOWN, begins=50, waits=7, ends=80, labels=CRITICAL, count=2, counts_from_read=True
        )
        check(promtool, rules, outage, pages)

    def test_two_clusters_without_a_label(self, promtool: str, rules: Path) -> None:
        """Two targets that differ only in a label that no rule knows break no rule."""
        other = [*app("other"), *meeting("lesson", app="other")]
        outage = Timeline(
            90,
            [
                Target("a", SHOWN, labels={"region": "west"}, down=[(20, 60)]),
                Target("a", other, labels={"region": "east"}),
            ],
        )
        page = Fires(
            DOWN,
            begins=20,
            waits=7,
            ends=60,
            labels={**CRITICAL, **APP_LABELS},
            counts_from_read=True,
        )
        check(promtool, rules, outage, page, Silent(DOWN, {"rk_app": "other"}))

    def test_two_clusters(self, promtool: str, rules: Path) -> None:
        """The exporter of another cluster does not read the app of this one."""
        outage = Timeline(
            90,
            [
                Target("a", SHOWN, labels={"cluster": "west"}, down=[(20, 60)]),
                Target("a", SHOWN, labels={"cluster": "east"}),
            ],
        )
        west = {**CRITICAL, "cluster": "west"}
        page = Fires(DOWN, begins=20, waits=7, ends=60, labels=west, counts_from_read=True)
        check(promtool, rules, outage, page, Silent(DOWN, {"cluster": "east"}))

    def test_a_removed_app(self, promtool: str, rules: Path) -> None:
        """An app that was removed from the configuration before the outage does not alert."""
        shown = [*SHOWN, *app("removed", until=10)]
        outage = Timeline(90, [Target("a", shown, down=[(20, 60)])])
        page = Fires(DOWN, begins=20, waits=7, ends=60, labels=APP_LABELS, counts_from_read=True)
        check(promtool, rules, outage, page, Silent(DOWN, {"rk_app": "removed"}))

    def test_a_new_address(self, promtool: str, rules: Path) -> None:
        """A restart in another pod is no outage."""
        moved = Timeline(60, [Target("a", SHOWN, until=20), Target("b", SHOWN, since=23)])
        check(promtool, rules, moved, Silent(DOWN))

    def test_an_exporter_that_never_answers(self, promtool: str, rules: Path) -> None:
        """A target that has never answered has no app, but nobody reads anything."""
        never = Timeline(60, [Target("a", [], since=10, down=[(10, math.inf)])])
        page = Fires(DOWN, begins=10, waits=7, labels=CRITICAL)
        scrapings = [Scraping(seconds, None) for seconds in INTERVALS_SECONDS]
        check(promtool, rules, never, page, scrapings=scrapings)


class TestScrapes:
    def test_another_program(self, promtool: str, rules: Path) -> None:
        """A page if the target answers, but not with the metrics of the exporter."""
        wrong = Timeline(90, [Target("a", [Series("go_info", {}, [(0, 1)])])])
        page = Fires(MISSING, begins=0, waits=5, labels=CRITICAL)
        check(promtool, rules, wrong, page, Silent(MISSING, WARNING), Silent(DOWN))

    def test_another_program_from_now_on(self, promtool: str, rules: Path) -> None:
        """The same if the exporter's port was changed while it ran."""
        before = [Target("a", SHOWN, until=20), Target("a", [], since=20, until=70)]
        wrong = Timeline(110, [*before, Target("a", SHOWN, since=70)])
        page = Fires(MISSING, begins=20, waits=20, ends=70, labels=CRITICAL, counts_from_read=True)
        check(promtool, rules, wrong, page, Silent(DOWN))

    def test_another_program_beside_an_exporter(self, promtool: str, rules: Path) -> None:
        """A warning if another target of the job is an exporter."""
        wrong = Timeline(90, [Target("a", []), Target("b", SHOWN)])
        warning = Fires(MISSING, begins=0, waits=5, labels=WARNING)
        check(promtool, rules, wrong, warning, Silent(MISSING, CRITICAL))

    @pytest.mark.parametrize("seconds", INTERVALS_SECONDS)
    def test_crash_loop(self, promtool: str, rules: Path, seconds: int) -> None:
        """A warning if three of four scrapes fail, and no alert that the exporter is down."""
        cycle = 4 * seconds / 60
        down = [
            (20 + number * cycle, 20 + (number + 0.75) * cycle)
            for number in range(math.ceil(100 / cycle))
        ]
        loop = Timeline(200, [Target("a", SHOWN, down=down)])
        warning = Fires(UNSTABLE, begins=20, waits=50, ends=120, lags=25, counts_from_read=True)
        check(promtool, rules, loop, warning, scrapings=[Scraping(seconds, None)])

    @pytest.mark.parametrize("minutes", [10, 20, 25, 60])
    def test_an_outage_is_no_crash_loop(self, promtool: str, rules: Path, minutes: int) -> None:
        """An exporter that is down once does not alert as unstable, not even afterwards."""
        outage = Timeline(180, [Target("a", SHOWN, down=[(40, 40 + minutes)])])
        scrapings = [Scraping(seconds, None) for seconds in INTERVALS_SECONDS]
        check(promtool, rules, outage, Silent(UNSTABLE), scrapings=scrapings)

    def test_every_fourth_scrape_missed(self, promtool: str, rules: Path) -> None:
        """What the alerts support is no reason to alert."""
        fine = Timeline(180, [Target("a", SHOWN)])
        check(promtool, rules, fine, *map(Silent, (DOWN, MISSING, UNSTABLE, TOO_LONG, NOTHING)))

    @pytest.mark.parametrize("seconds", [360, 420, 600, 900])
    def test_too_long_an_interval(self, promtool: str, rules: Path, seconds: int) -> None:
        """A warning if the scrape interval is longer than the alerts support."""
        slow = Timeline(240, [Target("a", SHOWN)])
        warning = Fires(TOO_LONG, begins=0, waits=90, counts_from_read=True)
        check(promtool, rules, slow, warning, scrapings=[Scraping(seconds, None)])

    def test_a_pause_of_prometheus(self, promtool: str, rules: Path) -> None:
        """A gap in all series does not look like a long interval."""
        pause = Timeline(180, [Target("a", SHOWN, until=40), Target("a", SHOWN, since=70)])
        check(promtool, rules, pause, Silent(TOO_LONG), Silent(UNSTABLE))


class TestNothingRead:
    @pytest.mark.parametrize("reason", ["connect", "rate_limited", "auth"])
    def test_whatever_the_cause(self, promtool: str, rules: Path, reason: str) -> None:
        """One page after 15 minutes, until something can be read again."""
        shown = [*SHOWN, failures(reason, growing(*range(21, 70, 4)))]
        blind = Timeline(120, [Target("a", shown, unreadable=[(20, 70)])])
        page = Fires(NOTHING, begins=20, waits=15, ends=70, counts_from_read=True)
        others = [
            Silent(alert, CRITICAL) for alert in (DOWN, AUTH, STALE, "RealtimeKitAPIRateLimited")
        ]
        check(promtool, rules, blind, page, *others)

    def test_one_of_two_exporters(self, promtool: str, rules: Path) -> None:
        """No page if one of two exporters has an old token and the other one reads all."""
        refused = [*SHOWN, failures("auth", growing(*range(21, 100, 4)))]
        old_token = Timeline(
            110, [Target("a", refused, unreadable=[(20, 100)]), Target("b", SHOWN)]
        )
        warning = Fires(
            AUTH,
            begins=20,
            waits=6,
            ends=100,
            labels=WARNING,
            counts_from_read=True,
        )
        check(promtool, rules, old_token, warning, Silent(NOTHING), Silent(STALE))

    def test_the_other_exporter_goes_down(self, promtool: str, rules: Path) -> None:
        """What a failing exporter last read does not hide that nothing can be read."""
        blind = Timeline(
            120,
            [
                Target("a", SHOWN, unreadable=[(10, 110)]),
                Target("b", SHOWN, down=[(40, 110)]),
            ],
        )
        page = Fires(NOTHING, begins=40, waits=21, ends=110, counts_from_read=True)
        check(promtool, rules, blind, page)

    def test_a_removed_app(self, promtool: str, rules: Path) -> None:
        """The alert ends when the app is removed from the configuration."""
        shown = [*SHOWN, *app("gone", until=60)]
        blind = Timeline(120, [Target("a", shown, unreadable=[(20, 110)])])
        page = Fires(
            NOTHING, begins=20, waits=15, ends=60, labels={"rk_app": "gone"}, counts_from_read=True
        )
        check(promtool, rules, blind, page)


class TestStale:
    def test_meetings(self, promtool: str, rules: Path) -> None:
        """A meeting that fails alone is a warning, until it is removed from the list."""
        failing = [
            Series("rk_meeting_up", {**APP_LABELS, "meeting_id": "bad"}, until([(0, 1), (20, 0)])),
            Series(
                "rk_meeting_last_success_timestamp_seconds",
                {**APP_LABELS, "meeting_id": "bad"},
                until([(0, read_at), (20, 1200.0)]),
            ),
        ]
        shown = [*app(), *meeting("ward"), *meeting("bad", until=70), *failing]
        stale = Timeline(110, [Target("a", shown)])
        warning = Fires(STALE, begins=20, waits=15, ends=70, labels={"what": "meetings"})
        check(promtool, rules, stale, warning, Silent(NOTHING))

    def test_discovery(self, promtool: str, rules: Path) -> None:
        """Live meetings that cannot be listed are a warning."""
        failing = [
            Series("rk_discovery_up", APP_LABELS, [(0, 1), (20, 0), (70, 1)]),
            Series(
                "rk_discovery_last_success_timestamp_seconds",
                APP_LABELS,
                [(0, read_at), (20, 1200.0), (70, read_at)],
            ),
        ]
        stale = Timeline(110, [Target("a", [*SHOWN, *failing])])
        warning = Fires(STALE, begins=20, waits=15, ends=70, labels={"what": "discovery"})
        check(promtool, rules, stale, warning, Silent(STALE, {"what": "meetings"}))


def until(steps: Steps, minute: float = 70) -> Steps:
    return [*steps, (minute, None)]


class TestFiles:
    def test_meetings_file(self, promtool: str, rules: Path) -> None:
        """A file of meetings that cannot be read for an hour is a warning."""
        labels = {**APP_LABELS, "file": "/etc/meetings.txt"}
        file = Series("rk_meetings_file_last_read_successful", labels, [(0, 1), (20, 0), (120, 1)])
        self.check(
            promtool, rules, [file], Fires("RealtimeKitMeetingsFileUnreadable", 20, 60, ends=120)
        )

    def test_empty_list(self, promtool: str, rules: Path) -> None:
        """An empty list of meetings is a warning, unless meetings are discovered."""
        empty = Series("rk_meetings", APP_LABELS, [(0, 3), (20, 0), (120, 3)])
        shown = [*app(discovers=False), empty]
        alert = "RealtimeKitNoMeetings"
        listed = Timeline(150, [Target("a", shown)])
        check(promtool, rules, listed, Fires(alert, 20, 60, ends=120))
        discovered = Timeline(150, [Target("a", [*app(), empty])])
        check(promtool, rules, discovered, Silent(alert))

    def test_account(self, promtool: str, rules: Path) -> None:
        """An account whose apps cannot be listed is a warning."""
        account = Series("rk_account_up", {"rk_account": "acme"}, [(0, 1), (20, 0), (80, 1)])
        self.check(
            promtool, rules, [account], Fires("RealtimeKitAccountUnreadable", 20, 15, ends=80)
        )

    def test_state_file(self, promtool: str, rules: Path) -> None:
        """A state file that cannot be written is a warning."""
        file = Series("rk_state_file_last_write_successful", {}, [(0, 1), (20, 0), (80, 1)])
        self.check(
            promtool, rules, [file], Fires("RealtimeKitStateFileNotWritten", 20, 15, ends=80)
        )

    @pytest.mark.parametrize("kind", ["config", "web_config"])
    def test_reload(self, promtool: str, rules: Path, kind: str) -> None:
        """A configuration that could not be reloaded is a warning."""
        reload = Series(f"rk_{kind}_last_reload_successful", {}, [(0, 1), (20, 0), (80, 1)])
        self.check(
            promtool, rules, [reload], Fires("RealtimeKitConfigReloadFailed", 20, 10, ends=80)
        )

    def test_hidden_recordings(self, promtool: str, rules: Path) -> None:
        """Recordings that are hidden for an hour are a warning."""
        hidden = Series("rk_recordings_hidden", APP_LABELS, [(0, 0), (20, 7), (120, 0)])
        self.check(
            promtool, rules, [hidden], Fires("RealtimeKitRecordingsHidden", 20, 60, ends=120)
        )

    @staticmethod
    def check(promtool: str, rules: Path, series: Sequence[Series], fires: Expected) -> None:
        timeline = Timeline(150, [Target("a", [*SHOWN, *series])])
        check(promtool, rules, timeline, fires)


class TestApi:
    def test_rate_limit(self, promtool: str, rules: Path) -> None:
        """One warning from the first 429 on, while one follows each block of 5 minutes."""
        shown = [*SHOWN, failures("rate_limited", growing(*range(20, 80, 6)))]
        limited = Timeline(130, [Target("a", shown)])
        warning = Fires(LIMITED, begins=20, waits=1, ends=74, lags=20)
        check(promtool, rules, limited, warning)

    def test_first_429_of_a_process(self, promtool: str, rules: Path) -> None:
        """A 429 in the first pass counts, because the exporter shows 0 first."""
        begin: Steps = [(0, None), (30, 0), (40, 1)]
        shown = [*SHOWN, failures("rate_limited", begin)]
        limited = Timeline(80, [Target("a", shown)])
        check(promtool, rules, limited, Fires(LIMITED, 40, 1, ends=40, lags=20))

    def test_rate_limit_of_another_app(self, promtool: str, rules: Path) -> None:
        """The warning is about each app that is blocked, whichever of them tries the calls."""
        shown = [*SHOWN, *app("other"), *app("free"), failures("rate_limited", REFUSED)]
        shown += [blocked(name, [(20, 60 * 95), (95, None)]) for name in (APP, "other")]
        warnings = [
            Fires(LIMITED, 20, 1, ends=95, lags=20, labels={"rk_app": name})
            for name in (APP, "other")
        ]
        free = Silent(LIMITED, {"rk_app": "free"})
        check(promtool, rules, Timeline(150, [Target("a", shown)]), *warnings, free)

    @pytest.mark.parametrize("reason", ["auth", "intercepted", "server_error"])
    def test_blocked_for_another_reason(self, reason: str, promtool: str, rules: Path) -> None:
        """An app that is refused for its own reason is not blocked by another one's 429."""
        own = {"rk_app": "other", "api_endpoint": "recording", "reason": reason}
        refused = Series("rk_api_request_failures_total", own, growing(20))
        shown = [*SHOWN, *app("other"), failures("rate_limited", REFUSED), refused]
        shown += [blocked("other", [(20, 60 * 75), (75, None)])]
        other = Silent(LIMITED, {"rk_app": "other"})
        check(promtool, rules, Timeline(100, [Target("a", shown)]), other)

    def test_blocked_without_a_429(self, promtool: str, rules: Path) -> None:
        """Calls that another refusal blocks are not rate limited."""
        shown = [*SHOWN, failures("rate_limited", [(0, 0)]), blocked(APP, [(20, 60 * 75)])]
        check(promtool, rules, Timeline(100, [Target("a", shown)]), Silent(LIMITED))

    def test_budget(self, promtool: str, rules: Path) -> None:
        """A budget that is too small at every scrape is a warning."""
        warning = Fires(
            "RealtimeKitBudgetExhausted", begins=20, waits=25, ends=100, counts_from_read=True
        )
        spent = [*deferred([(0, 0), (20, 7), (100, 0)])]
        check(promtool, rules, Timeline(150, [Target("a", [*SHOWN, *spent])]), warning)

    def test_budget_of_one_of_two(self, promtool: str, rules: Path) -> None:
        """The warning stays if the other exporter has calls left."""
        warning = Fires(
            "RealtimeKitBudgetExhausted", begins=20, waits=25, ends=100, counts_from_read=True
        )
        spent = [*SHOWN, *deferred([(0, 0), (20, 7), (100, 0)])]
        check(promtool, rules, Timeline(150, [Target("a", spent), Target("b", SHOWN)]), warning)


def deferred(steps: Steps) -> Iterator[Series]:
    yield Series("rk_meetings_deferred", APP_LABELS, steps)
    yield Series("rk_api_budget_remaining", APP_LABELS, [(0, 5)])
