from pathlib import Path

import pytest

from rk_exporter.config.loader import load
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.simulator import Fault
from tests.support.building import (
    NOW,
    Setup,
    Simulation,
    config,
    run,
    samples,
    scripted,
    settings,
    setup,
    simulate,
    value,
)
from tests.support.read_modes import (
    ids,
    paths,
    states,
    written,
)


class TestMinInterval:
    """A fresh reading also answers the next scrape."""

    MEETING = "recordings/active-recording/meeting-1"

    def scrape_at(self, system: Setup, *moments: float) -> list[tuple[list[str], str]]:
        """Return the calls and the exposition of a scrape at each of these *moments*."""

        async def scrapes() -> list[tuple[list[str], str]]:
            seen = []
            for moment in moments:
                system.time.now = NOW + moment
                text = (await system.get()).text
                seen.append((paths(system.proxy.new_calls()), text))
            return seen

        return run(scrapes())

    def test_two_scrapers(self) -> None:
        """The second of two scrapers costs no call, and gets the same bytes."""
        configuration = config(scrape__min_interval="5s")
        system = setup(scripted(), configuration=configuration, workers_per_app=1)
        # A scraper with an interval of 5 s is sometimes early.
        first, second, third = self.scrape_at(system, 0, 4.4, 4.6)
        assert (first[0], second[0]) == ([self.MEETING, "recordings"], [])
        assert third[0] == [self.MEETING]
        assert first[1] == second[1] != third[1]
        assert states(third[1]) == {"meeting-1": "RECORDING"}

    @pytest.mark.parametrize("phase", [3.0, 7.0])
    def test_scrapers_close_in_time(self, phase: float) -> None:
        """Two scrapers that are close in time cost as much as one."""

        async def steps(simulation: Simulation) -> int:
            for _ in range(10):
                await simulation.scrape(15.0 - phase)
                text = await simulation.scrape(phase)
                age = simulation.now() - min(
                    samples(text, "rk_meeting_last_success_timestamp_seconds").values()
                )
                assert age < 5
            return simulation.simulator.requests.by_endpoint["active_recording"]

        each_second = config(meeting_ids=ids(3), scrape__min_interval="5s")
        assert simulate(steps, configuration=each_second) == 3 * 10 * (1 if phase < 5 else 2)

    @pytest.mark.parametrize("mode", ["active-recording", "list"])
    def test_failure(self, mode: str) -> None:
        """A failure is not retried within the interval."""
        system = setup(scripted(), configuration=config(scrape__min_interval="5s", api__read=mode))
        system.simulator.inject("*", Fault.SERVER_ERROR)
        (first, text), (second, _), (third, _) = self.scrape_at(system, 0, 4, 5)
        assert (bool(first), second, bool(third)) == (True, [], True)
        assert value(text, "rk_up") == 0

    def test_apps(self, tmp_path: Path) -> None:
        """A new meeting of one app costs the other app nothing."""
        path = tmp_path / "meetings"
        file = tmp_path / "rk.yml"
        file.write_text(
            "account_id: account\napps:\n"
            f"  - {{app_id: one, meetings: {{ids: [a], files: [{written(path, ['b'])}]}}}}\n"
            "  - {app_id: two, meetings: {ids: [c, d]}}\n"
        )
        options = settings(scrape__min_interval="5s")
        for single in ("account_id", "app_id", "meeting_ids"):
            del options[single]
        two_apps = load(file, options, {TOKEN_VARIABLE: "simulated"})
        system = setup(scripted("e"), configuration=two_apps)
        assert self.scrape_at(system, 0, 2)[1][0] == []
        written(path, ["b", "e"])

        async def scrape() -> str:
            return (await system.get()).text

        text = run(scrape())
        assert [(call.app_id, call.path[-2:]) for call in system.proxy.calls] == [("one", "/e")]
        assert states(text) == {"e": "RECORDING"}
        assert samples(text, "rk_meetings_deferred") == {'{rk_app="one"}': 0, '{rk_app="two"}': 0}

    def test_new_token(self, tmp_path: Path) -> None:
        """A token that replaces a rejected one is tried immediately."""
        file = tmp_path / "token"
        file.write_text("refused")
        choice = config(scrape__min_interval="5s", api__token_file=str(file))
        system = setup(scripted(), configuration=choice, workers_per_app=1)
        refused, kept = self.scrape_at(system, 0, 1)
        file.write_text("simulated")
        (accepted,) = self.scrape_at(system, 2)
        # With a rejected token, no other call is made.
        assert [calls for calls, _ in (refused, kept)] == [[self.MEETING], []]
        assert sorted(accepted[0]) == ["recordings", self.MEETING]
        assert [value(text, "rk_up") for _, text in (refused, kept, accepted)] == [0, 0, 1]

    @pytest.mark.parametrize("mode", ["active-recording", "list"])
    def test_clock_that_is_set_back(self, mode: str) -> None:
        """Readings from the future are not fresh; after the next pass the interval counts."""
        system = setup(scripted(), configuration=config(scrape__min_interval="5s", api__read=mode))
        is_read = [bool(calls) for calls, _ in self.scrape_at(system, 7200, 10, 12, 3610)]
        assert is_read == [True, True, False, True]
