import json

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.simulator import Fault, Recording, ScriptedScenario, Simulator
from tests.support.building import (
    NOW,
    Simulation,
    by_meeting,
    config,
    labelled,
    samples,
    scripted,
    simulate,
    value,
)
from tests.support.state_files import (
    FINISHED,
    HISTOGRAMS,
    MEETINGS,
    RECORDINGS,
    STARTED,
    counts,
    read_state,
    restart,
    rewrite,
    series,
    with_state_file,
)


READINGS = (
    "rk_recording_status",
    "rk_recording_info",
    "rk_recording_stop_reason",
    "rk_recording_file_size_bytes",
    "rk_recording_duration_seconds",
    "rk_recording_download_available",
    "rk_recording_download_url_expiry_timestamp_seconds",
    "rk_recording_invoked_timestamp_seconds",
    "rk_recording_started_timestamp_seconds",
    "rk_recording_stopped_timestamp_seconds",
    "rk_recording_last_success_timestamp_seconds",
    "rk_meeting_active_recordings",
    "rk_meeting_last_success_timestamp_seconds",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "state"


def rollback(path: Path, *, is_killed: bool) -> Callable[[], object]:
    """Return a function that restores the present content, as if the last write were lost."""
    content = path.read_bytes()
    return partial(path.write_bytes, content) if is_killed else lambda: None


class TestRestart:
    def test_nothing_is_lost(self, path: Path) -> None:
        """A restart changes no series, even if the API does not answer."""
        configuration = with_state_file(path, meeting_ids=MEETINGS)

        async def steps(simulation: Simulation) -> tuple[str, str]:
            before = await simulation.last_scrape(9)
            simulation.simulator.inject("*", Fault.SERVER_ERROR)
            await restart(simulation, configuration)
            return before, await simulation.scrape()

        before, after = simulate(steps, *RECORDINGS, configuration=configuration)
        assert 0 == value(after, "rk_up")
        assert series(before) == series(after)
        assert series(before, READINGS) == series(after, READINGS)
        assert (4, 2) == counts(after)
        assert len(MEETINGS) == len(by_meeting(after, "rk_meeting_active_recordings"))

    @pytest.mark.parametrize("is_killed", [False, True])
    def test_nothing_is_counted_twice(self, path: Path, *, is_killed: bool) -> None:
        """An exporter that restarts after each scrape counts like one that never restarts."""
        configuration = with_state_file(path, meeting_ids=MEETINGS)

        async def restarted(simulation: Simulation) -> list[str]:
            texts = []
            for _ in range(15):
                texts.append(await simulation.scrape(10))
                await restart(
                    simulation, configuration, between=rollback(path, is_killed=is_killed)
                )
            return texts

        async def steady(simulation: Simulation) -> list[str]:
            return await simulation.scrapes(15, 10)

        texts = simulate(restarted, *RECORDINGS, configuration=configuration)
        others = simulate(steady, *RECORDINGS, configuration=config(meeting_ids=MEETINGS))
        for text, other in zip(texts, others, strict=True):
            assert series(other) == series(text)
        assert (4, 2) == counts(texts[-1])

    def test_what_a_kill_loses(self, path: Path) -> None:
        """A change of a recording is in the file with its scrape; nothing else is written often."""
        configuration = with_state_file(path, meeting_ids=["meeting-1"])

        async def steps(simulation: Simulation) -> tuple[list[str], int]:
            shown, states = [], set[str]()
            for _ in range(60):
                text = await simulation.scrape(5)
                (status,) = (
                    labels["status"]
                    for labels, is_state in labelled(text, "rk_recording_status")
                    if is_state
                )
                state = read_state(path)
                (recording,) = state["apps"][0]["past"]["recordings"]
                assert status == recording["recording"]["status"]
                shown.append(status)
                states.add(json.dumps(state))
            return shown, len(states)

        shown, writes = simulate(steps, scripted(), configuration=configuration)
        assert {"RECORDING", "PAUSED", "UPLOADING", "UPLOADED"} <= {*shown}
        assert writes < 20

    def test_events_during_a_restart(self, path: Path) -> None:
        """Starts and ends during a restart count once, even after another restart."""
        configuration = with_state_file(path, meeting_ids=["weekly", "daily", "short"])
        recordings = [
            scripted("weekly"),
            scripted("daily", stopped_at=None, uploaded_at=None, errored_at=NOW + 150, paused=[]),
            Recording.scripted(
                "short",
                invoked_at=NOW + 160,
                started_at=NOW + 162,
                stopped_at=NOW + 170,
                uploaded_at=NOW + 180,
            ),
        ]

        async def steps(simulation: Simulation) -> list[str]:
            texts = await simulation.scrapes(2)
            for _ in range(2):
                await restart(simulation, configuration)
                texts += [await simulation.scrape(200), await simulation.scrape()]
            return texts

        texts = simulate(steps, *recordings, configuration=configuration)
        assert [(0, 0), (2, 0), *[(3, 3)] * 4] == [counts(text) for text in texts]
        uploads = "rk_recording_upload_delay_seconds_sum"
        assert [0, 0, *[215 - 60 + 215 - 170] * 4] == [value(text, uploads) for text in texts]

    def test_api_was_down(self, path: Path) -> None:
        """A process that could not read the API does not make the next one miss events."""
        configuration = with_state_file(path)
        later = Recording.scripted(
            "meeting-1",
            invoked_at=NOW + 60,
            started_at=NOW + 62,
            stopped_at=NOW + 70,
            uploaded_at=NOW + 80,
        )

        async def steps(simulation: Simulation) -> list[str]:
            texts = await simulation.scrapes(2)
            simulation.simulator.inject("*", Fault.SERVER_ERROR)
            await restart(simulation, configuration)
            texts += await simulation.scrapes(2)
            simulation.simulator.clear()
            await restart(simulation, configuration)
            return [*texts, await simulation.scrape(60)]

        texts = simulate(steps, later, configuration=configuration)
        assert [*[(0, 0)] * 4, (1, 1)] == [counts(text) for text in texts]

    def test_list_is_not_read_again(self, path: Path) -> None:
        """After a restart the exporter reads only the new part of the list of recordings."""
        configuration = with_state_file(path)
        recordings = [
            Recording.scripted(
                "meeting-1",
                invoked_at=NOW - 100 * number,
                started_at=NOW - 100 * number + 2,
                stopped_at=NOW - 100 * number + 60,
                uploaded_at=NOW - 100 * number + 70,
            )
            for number in range(1, 251)
        ]

        async def steps(simulation: Simulation) -> list[tuple[int, int]]:
            pages_and_recordings = []
            for _ in range(2):
                text = await simulation.scrape()
                pages = [call for call in simulation.proxy.new_calls() if call.path == "recordings"]
                pages_and_recordings.append((len(pages), len(samples(text, "rk_recording_info"))))
                await restart(simulation, configuration)
            return pages_and_recordings

        assert [(3, 250), (1, 250)] == simulate(steps, *recordings, configuration=configuration)

    def test_vanished_recording_reappears(self, path: Path) -> None:
        """A recording that vanished before a restart and reappears after it counts once."""
        configuration = with_state_file(path)
        moments: dict[str, Any] = {"stopped_at": NOW + 60, "uploaded_at": NOW + 100, "paused": []}

        async def steps(simulation: Simulation) -> list[str]:
            texts = await simulation.scrapes(8)
            simulator = Simulator(
                ScriptedScenario(recordings=[scripted(**moments)]),
                clock=simulation.now,
                rate_limit=0,
                linger_seconds=600,
            )
            await restart(simulation, configuration, simulator=simulator)
            return texts + await simulation.scrapes(6)

        texts = simulate(
            steps, scripted(**moments, vanishes_at=NOW + 40), configuration=configuration
        )
        assert [*[0] * 7, *[1] * 7] == [counts(text)[1] for text in texts]
        last = texts[-1]
        assert 1 == value(last, "rk_recording_status", status="UPLOADED")
        assert 1 == value(last, FINISHED, outcome="vanished")
        assert 1 == value(last, STARTED)

    def test_hidden_recordings(self, path: Path) -> None:
        """Recordings that are hidden because there are too many stay hidden, and count once."""
        changes = {"follow__max_recordings": "1", "follow__reread_interval": "10m"}
        configuration = with_state_file(path, meeting_ids=["a", "b", "c"], **changes)

        async def steps(simulation: Simulation) -> list[str]:
            before = await simulation.last_scrape(20, 20)
            await restart(simulation, configuration)
            return [before, *await simulation.scrapes(3, 400)]

        recordings = [
            Recording.scripted(
                meeting_id,
                invoked_at=invoked_at,
                started_at=invoked_at + 2,
                stopped_at=invoked_at + 60,
                uploaded_at=invoked_at + 90,
            )
            for meeting_id, invoked_at in (("a", NOW + 10), ("b", NOW + 120), ("c", NOW + 240))
        ]
        texts = simulate(steps, *recordings, configuration=configuration, linger_seconds=0)
        assert [(3, 3)] * 4 == [counts(text) for text in texts]
        assert [2] * 4 == [value(text, "rk_recordings_hidden") for text in texts]
        assert [3] * 4 == [value(text, "rk_recordings", status="UPLOADED") for text in texts]
        assert [0] * 4 == [value(text, "rk_recordings_dropped_total") for text in texts]
        for text in texts:
            ((labels, _),) = labelled(text, "rk_recording_info")
            assert "a" == labels["meeting_id"]

    @pytest.mark.parametrize(
        "saved",
        [
            {"bounds": [1.0, 2.0], "counts": [5, 6, 7], "total": 30.0},
            {"bounds": [1.0, 2.0], "counts": [5, 6], "total": 30.0},
            {"bounds": [], "counts": [7], "total": 30.0},
            {"bounds": [], "counts": [], "total": 30.0},
        ],
    )
    @pytest.mark.parametrize("name", ["start_delay", "upload_delay"])
    def test_other_buckets(self, path: Path, name: str, saved: dict[str, Any]) -> None:
        """A histogram that another version saved with other buckets starts at 0; others do not."""
        configuration = with_state_file(path, meeting_ids=MEETINGS)

        def change(document: Any) -> None:
            document["apps"][0]["past"]["tally"][name] = saved

        async def steps(simulation: Simulation) -> list[str]:
            before = await simulation.last_scrape(2)
            await restart(simulation, configuration, between=partial(rewrite, path, change))
            # Nothing happens in these 5 s.
            return [before, await simulation.scrape(5), *await simulation.scrapes(9)]

        before, after, *_, last = simulate(steps, *RECORDINGS, configuration=configuration)
        (changed,) = [histogram for histogram in HISTOGRAMS if name in histogram]
        (other,) = [histogram for histogram in HISTOGRAMS if name not in histogram]
        buckets = f"{changed}_bucket"
        assert samples(before, buckets).keys() == samples(after, buckets).keys()
        assert {0} == {*samples(after, buckets).values()}
        assert 0 == value(after, f"{changed}_sum")
        for unchanged in (f"{other}_bucket", FINISHED, STARTED):
            assert samples(before, unchanged) == samples(after, unchanged)
        assert (4, 2) == counts(last)
        assert int(name == "upload_delay") == value(last, f"{changed}_count")


def config_of(file: Path, *apps: dict[str, Any]) -> Config:
    """Return a config of several *apps*, loaded from a *file*."""
    content = {
        "account_id": "account",
        "api": {"base_url": "https://api.test/client/v4", "budget": 5000},
        "scrape": {"min_interval": "0s"},
        "state": {"file": "state"},
        "apps": apps,
    }
    file.write_text(json.dumps(content))
    return load(file, {}, {TOKEN_VARIABLE: "simulated"})


ONE: dict[str, Any] = {"name": "one", "app_id": "1", "meetings": {"ids": ["a"]}}
TWO: dict[str, Any] = {"name": "two", "app_id": "2", "meetings": {"ids": ["b", "c"]}}


class TestApps:
    def counts_after(
        self, folder: Path, *generations: Sequence[dict[str, Any]]
    ) -> dict[str, float]:
        """Return the started recordings by app; each generation runs after a restart."""
        file = folder / "rk.json"

        async def steps(simulation: Simulation) -> dict[str, float]:
            texts = await simulation.scrapes(3)
            for apps in generations[1:]:
                await restart(simulation, config_of(file, *apps))
                texts = await simulation.scrapes(1)
            return {labels["rk_app"]: number for labels, number in labelled(texts[-1], STARTED)}

        recordings = [scripted(name, stopped_at=None, uploaded_at=None) for name in ("a", "b", "c")]
        return simulate(steps, *recordings, configuration=config_of(file, *generations[0]))

    def test_order_of_apps(self, tmp_path: Path) -> None:
        """Each app continues its own counters, whatever the order in the file."""
        started = self.counts_after(tmp_path, [ONE, TWO], [TWO, ONE])
        assert {"one": 1, "two": 2} == started

    @pytest.mark.parametrize("changed", [{"app_id": "3"}, {"account_id": "other"}])
    def test_another_app_of_the_same_name(self, tmp_path: Path, changed: dict[str, str]) -> None:
        """An app with the name of another one inherits nothing, and disturbs no other app."""
        other = {**TWO, **changed}
        assert {"one": 1, "two": 0} == self.counts_after(tmp_path, [ONE, TWO], [ONE, other])

    def test_removed_app(self, tmp_path: Path) -> None:
        """An app that was removed and added again starts at 0; other apps continue."""
        started = self.counts_after(tmp_path, [ONE, TWO], [ONE], [ONE, TWO])
        assert {"one": 1, "two": 0} == started
        apps = read_state(tmp_path / "state")["apps"]
        assert ["one", "two"] == sorted(saved["app"]["name"] for saved in apps)
