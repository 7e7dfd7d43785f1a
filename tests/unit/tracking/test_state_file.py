import asyncio
import json
import logging
import os
import resource
import signal
import socket
import stat
import threading
import time

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path, PosixPath
from subprocess import Popen
from typing import Any

import httpx
import pytest

from click.testing import CliRunner, Result

from rk_exporter.cli.main import main
from rk_exporter.config.apps import TOKEN_VARIABLE
from rk_exporter.config.config import Config, load
from rk_exporter.exporter import Exporter
from rk_exporter.simulator import CANARY, Fault, Recording, ScriptedScenario, Simulator
from rk_exporter.tracking.state_file import StateFile, StateFileError
from tests.support.building import (
    NOW,
    Front,
    Setup,
    Stage,
    Time,
    by_meeting,
    config,
    in_process,
    labelled,
    life,
    play,
    run,
    samples,
    settings,
    setup,
    value,
)
from tests.support.exporters import every_state
from tests.support.processes import started, url_in
from tests.support.serving import served


HISTOGRAMS = ("rk_recording_start_delay_seconds", "rk_recording_upload_delay_seconds")
STARTED = "rk_recordings_started_total"
COUNTERS = (
    STARTED,
    "rk_recordings_finished_total",
    "rk_recording_transitions_total",
    "rk_recordings_dropped_total",
    *(f"{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "count", "sum")),
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
WRITTEN = "rk_state_file_last_write_successful"
WRITTEN_AT = "rk_state_file_last_write_success_timestamp_seconds"

TOKEN = "canary-token-4f1b9a"
ENVIRONMENT = {"CLOUDFLARE_API_TOKEN": "simulated", "RK_API_BUDGET": "100000"}

# One for each end, or lack of one.
LIVES = [
    Recording.scripted(
        "before",
        invoked_at=NOW - 300,
        started_at=NOW - 298,
        stopped_at=NOW - 200,
        uploaded_at=NOW - 150,
    ),
    life("uploaded"),
    life("errored", uploaded_at=None, stopped_at=None, errored_at=NOW + 50),
    life("running", stopped_at=None, uploaded_at=None),
    life("paused", paused=[(NOW + 50, None)], stopped_at=None, uploaded_at=None),
    Recording.scripted("invoked", invoked_at=NOW + 110),
]
MEETINGS = ["idle", *(each.meeting_id for each in LIVES)]


def shown(text: str, names: Iterable[str] = COUNTERS) -> dict[str, float]:
    """Return all samples of the metrics *names* in an exposition."""
    return {f"{name}{at}": each for name in names for at, each in samples(text, name).items()}


def counts(text: str) -> tuple[float, float]:
    """Return how many recordings have begun, and ended in whichever way."""
    ended = samples(text, "rk_recordings_finished_total")
    return sum(samples(text, STARTED).values()), sum(ended.values())


def keeping(path: Path, **changes: str | list[str]) -> Config:
    """Return a config whose state file is at *path*, whatever kind of path it is."""
    return replace(config(**{"api__budget": "5000", **changes}), state_file=path)


def kept(path: Path) -> Any:
    """Return what a state file holds."""
    return json.loads(path.read_bytes())


def kept_counts(path: Path) -> tuple[float, float]:
    """Return how many recordings have begun, and ended, as the state file of one app has it."""
    (app,) = kept(path)["apps"]
    counters = app["past"]["tally"]
    return counters["started"], sum(counters["finished"].values())


def rewrite(path: Path, change: Callable[[Any], object]) -> None:
    """Let a *change* be made to what a state file holds."""
    document = kept(path)
    change(document)
    path.write_text(json.dumps(document))


async def scraped_once(each: Setup) -> httpx.Response:
    """Return the answer to a scrape, after which the exporter has ended."""
    answer = await each.get()
    await each.exporter.close()
    return answer


async def succeed(
    stage: Stage,
    configuration: Config,
    *,
    simulator: Simulator | None = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Let the exporter end, and put another in its place."""
    await stage.exporter.close()
    meanwhile()
    stage.exporter = Exporter(
        configuration,
        make_client=in_process(Front(simulator) if simulator else stage.front),
        clock=stage.now,
        monotonic=asyncio.get_running_loop().time,
    )


def as_now(path: Path, *, goes_back: bool) -> Callable[[], object]:
    """Return what lets a file *go back* to what is in it now, or leaves it."""
    content = path.read_bytes()
    return partial(path.write_bytes, content) if goes_back else lambda: None


def version_of(path: Path) -> tuple[int, int]:
    """Return what tells one state of a file that is replaced from the next."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def wait_for_another(path: Path, before: tuple[int, int]) -> None:
    """Return when a file is another than *before*."""
    while version_of(path) == before:
        pass


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in log.records if each.levelno == logging.WARNING]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "state"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a state file as it should be."""
    path = tmp_path_factory.mktemp("good") / "state"

    async def scenario(stage: Stage) -> None:
        await stage.scrapes(9)

    play(scenario, *LIVES, configuration=keeping(path, meeting_ids=MEETINGS))
    return path.read_bytes()


class TestRestart:
    def test_nothing_is_lost(self, path: Path) -> None:
        """What was shown before a restart is shown after it, even where the API answers nothing."""
        configuration = keeping(path, meeting_ids=MEETINGS)

        async def scenario(stage: Stage) -> tuple[str, str]:
            before = (await stage.scrapes(9))[-1]
            stage.simulator.inject("*", Fault.SERVER_ERROR)
            await succeed(stage, configuration)
            return before, await stage.scrape()

        before, after = play(scenario, *LIVES, configuration=configuration)
        assert 0 == value(after, "rk_up")
        assert shown(before) == shown(after)
        assert shown(before, READINGS) == shown(after, READINGS)
        assert (4, 2) == counts(after)
        assert len(MEETINGS) == len(by_meeting(after, "rk_meeting_active_recordings"))

    @pytest.mark.parametrize("is_killed", [False, True])
    def test_nothing_is_counted_twice(self, path: Path, *, is_killed: bool) -> None:
        """Whoever is started anew after each scrape counts as one that never ends."""
        configuration = keeping(path, meeting_ids=MEETINGS)

        async def restarted(stage: Stage) -> list[str]:
            texts = []
            for _ in range(15):
                texts.append(await stage.scrape(10))
                await succeed(stage, configuration, meanwhile=as_now(path, goes_back=is_killed))
            return texts

        async def steady(stage: Stage) -> list[str]:
            return await stage.scrapes(15, 10)

        texts = play(restarted, *LIVES, configuration=configuration)
        others = play(steady, *LIVES, configuration=config(meeting_ids=MEETINGS))
        for each, other in zip(texts, others, strict=True):
            assert shown(other) == shown(each)
        assert (4, 2) == counts(texts[-1])

    def test_what_happened_meanwhile(self, path: Path) -> None:
        """What began or ended while nobody looked is counted once, also after another restart."""
        configuration = keeping(path, meeting_ids=["weekly", "daily", "short"])
        lives = [
            life("weekly"),
            life("daily", stopped_at=None, uploaded_at=None, errored_at=NOW + 150, paused=[]),
            Recording.scripted(
                "short",
                invoked_at=NOW + 160,
                started_at=NOW + 162,
                stopped_at=NOW + 170,
                uploaded_at=NOW + 180,
            ),
        ]

        async def scenario(stage: Stage) -> list[str]:
            texts = await stage.scrapes(2)
            for _ in range(2):
                await succeed(stage, configuration)
                texts += [await stage.scrape(200), await stage.scrape()]
            return texts

        texts = play(scenario, *lives, configuration=configuration)
        assert [(0, 0), (2, 0), *[(3, 3)] * 4] == [counts(text) for text in texts]
        uploads = "rk_recording_upload_delay_seconds_sum"
        assert [0, 0, *[215 - 60 + 215 - 170] * 4] == [value(text, uploads) for text in texts]

    def test_api_that_was_down(self, path: Path) -> None:
        """A process that could read nothing costs the next one nothing that happened meanwhile."""
        configuration = keeping(path)
        later = Recording.scripted(
            "meeting-1",
            invoked_at=NOW + 60,
            started_at=NOW + 62,
            stopped_at=NOW + 70,
            uploaded_at=NOW + 80,
        )

        async def scenario(stage: Stage) -> list[str]:
            texts = await stage.scrapes(2)
            stage.simulator.inject("*", Fault.SERVER_ERROR)
            await succeed(stage, configuration)
            texts += await stage.scrapes(2)
            stage.simulator.clear()
            await succeed(stage, configuration)
            return [*texts, await stage.scrape(60)]

        texts = play(scenario, later, configuration=configuration)
        assert [*[(0, 0)] * 4, (1, 1)] == [counts(text) for text in texts]

    def test_list_is_not_walked_again(self, path: Path) -> None:
        """Of the list of recordings a restart reads no more than what is new."""
        configuration = keeping(path)
        lives = [
            Recording.scripted(
                "meeting-1",
                invoked_at=NOW - 100 * number,
                started_at=NOW - 100 * number + 2,
                stopped_at=NOW - 100 * number + 60,
                uploaded_at=NOW - 100 * number + 70,
            )
            for number in range(1, 251)
        ]

        async def scenario(stage: Stage) -> list[tuple[int, int]]:
            found = []
            for _ in range(2):
                text = await stage.scrape()
                pages = [call for call in stage.front.take() if call.path == "recordings"]
                found.append((len(pages), len(samples(text, "rk_recording_info"))))
                await succeed(stage, configuration)
            return found

        assert [(3, 250), (1, 250)] == play(scenario, *lives, configuration=configuration)

    def test_come_back(self, path: Path) -> None:
        """A recording that had vanished before a restart, and comes back, is not counted again."""
        configuration = keeping(path)
        moments: dict[str, Any] = {"stopped_at": NOW + 60, "uploaded_at": NOW + 100, "paused": []}

        async def scenario(stage: Stage) -> list[str]:
            texts = await stage.scrapes(4)
            simulator = Simulator(
                ScriptedScenario(recordings=[life(**moments)]),
                clock=stage.now,
                rate_limit=0,
                linger_seconds=600,
            )
            await succeed(stage, configuration, simulator=simulator)
            return texts + await stage.scrapes(6)

        texts = play(scenario, life(**moments, vanishes_at=NOW + 40), configuration=configuration)
        assert [0, 0, 0, *[1] * 7] == [counts(text)[1] for text in texts]
        last = texts[-1]
        assert 1 == value(last, "rk_recording_status", status="UPLOADED")
        assert 1 == value(last, "rk_recordings_finished_total", outcome="vanished")
        assert 1 == value(last, STARTED)

    def test_dropped(self, path: Path) -> None:
        """Recordings that left since there were too many are not counted again, nor shown."""
        changes = {"follow__max_recordings": "1", "follow__reread_interval": "10m"}
        configuration = keeping(path, meeting_ids=["a", "b", "c"], **changes)

        async def scenario(stage: Stage) -> list[str]:
            before = (await stage.scrapes(20, 20))[-1]
            await succeed(stage, configuration)
            return [before, *await stage.scrapes(3, 400)]

        lives = [
            Recording.scripted(
                meeting_id,
                invoked_at=begins_at,
                started_at=begins_at + 2,
                stopped_at=begins_at + 60,
                uploaded_at=begins_at + 90,
            )
            for meeting_id, begins_at in (("a", NOW + 10), ("b", NOW + 120), ("c", NOW + 240))
        ]
        texts = play(scenario, *lives, configuration=configuration)
        assert [(3, 3)] * 4 == [counts(text) for text in texts]
        assert [2] * 4 == [value(text, "rk_recordings_dropped_total") for text in texts]
        for text in texts:
            ((labels, _),) = labelled(text, "rk_recording_info")
            assert "c" == labels["meeting_id"]

    @pytest.mark.parametrize(
        "histogram",
        [
            {"bounds": [1.0, 2.0], "counts": [5, 6, 7], "total": 30.0},
            {"bounds": [1.0, 2.0], "counts": [5, 6], "total": 30.0},
            {"bounds": [], "counts": [7], "total": 30.0},
            {"bounds": [], "counts": [], "total": 30.0},
        ],
    )
    @pytest.mark.parametrize("name", ["start_delay", "upload_delay"])
    def test_other_bounds(self, path: Path, name: str, histogram: dict[str, Any]) -> None:
        """A histogram that another version kept with other bounds begins anew, and it alone."""
        configuration = keeping(path, meeting_ids=MEETINGS)

        def change(document: Any) -> None:
            document["apps"][0]["past"]["tally"][name] = histogram

        async def scenario(stage: Stage) -> list[str]:
            before = (await stage.scrapes(2))[-1]
            await succeed(stage, configuration, meanwhile=partial(rewrite, path, change))
            # In 5 s nothing happens.
            return [before, await stage.scrape(5), *await stage.scrapes(9)]

        before, after, *_, last = play(scenario, *LIVES, configuration=configuration)
        (changed,) = [each for each in HISTOGRAMS if name in each]
        (other,) = [each for each in HISTOGRAMS if name not in each]
        buckets = f"{changed}_bucket"
        assert samples(before, buckets).keys() == samples(after, buckets).keys()
        assert {0} == {*samples(after, buckets).values()}
        assert 0 == value(after, f"{changed}_sum")
        for unchanged in (f"{other}_bucket", "rk_recordings_finished_total", STARTED):
            assert samples(before, unchanged) == samples(after, unchanged)
        assert (4, 2) == counts(last)
        assert int(name == "upload_delay") == value(last, f"{changed}_count")


def config_of(file: Path, *apps: dict[str, Any]) -> Config:
    """Return a config of several *apps*, which stands in a *file*."""
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
        """Return what was started, by app, after restarts with other apps each."""
        file = folder / "rk.json"

        async def scenario(stage: Stage) -> dict[str, float]:
            texts = await stage.scrapes(3)
            for apps in generations[1:]:
                await succeed(stage, config_of(file, *apps))
                texts = await stage.scrapes(1)
            return {labels["app"]: each for labels, each in labelled(texts[-1], STARTED)}

        lives = [life(name, stopped_at=None, uploaded_at=None) for name in ("a", "b", "c")]
        return play(scenario, *lives, configuration=config_of(file, *generations[0]))

    def test_each_its_own(self, tmp_path: Path) -> None:
        """Each of several apps goes on with what was kept of it, in whichever order they stand."""
        found = self.counts_after(tmp_path, [ONE, TWO], [TWO, ONE])
        assert {"one": 1, "two": 2} == found

    @pytest.mark.parametrize("changed", [{"app_id": "3"}, {"account_id": "other"}])
    def test_another_app_of_the_same_name(self, tmp_path: Path, changed: dict[str, str]) -> None:
        """An app with the name of another inherits nothing of it, and costs no other app."""
        other = {**TWO, **changed}
        assert {"one": 1, "two": 0} == self.counts_after(tmp_path, [ONE, TWO], [ONE, other])

    def test_removed(self, tmp_path: Path) -> None:
        """An app that was taken out begins anew when it is put in again; the others go on."""
        found = self.counts_after(tmp_path, [ONE, TWO], [ONE], [ONE, TWO])
        assert {"one": 1, "two": 0} == found
        assert {"one", "two"} == {each["app"]["name"] for each in kept(tmp_path / "state")["apps"]}


def following(moment: Callable[[str], object]) -> type[PosixPath]:
    """Return a kind of path that tells, with its name, of each file that takes another's place."""

    class Followed(PosixPath):
        def replace(self, target: Any) -> Any:
            moment(str(self))
            return super().replace(target)

    return Followed


class TestWriting:
    def test_rhythm(self, path: Path) -> None:
        """The file is written when something has happened, and each minute; no more often."""

        async def scenario(stage: Stage) -> list[bool]:
            await stage.scrape()
            versions = [version_of(path)]
            for _ in range(12):
                await stage.scrape()
                versions.append(version_of(path))
            return [before != after for before, after in pairwise(versions)]

        # It is seen at 90 s and 105 s. The first pass, which waits for the budget, took a moment.
        later = Recording.scripted("meeting-1", invoked_at=NOW + 80, started_at=NOW + 91)
        written = play(scenario, later, configuration=keeping(path))
        assert [75, 90, 105, 165] == [15 * number for number, each in enumerate(written, 1) if each]

    def test_clock_set_back(self, path: Path) -> None:
        """A clock that is set back does not keep the file from being written each minute."""

        async def scenario(stage: Stage) -> bool:
            await stage.scrape()
            stage.ahead_seconds = -3600.0
            await stage.scrape()
            before = version_of(path)
            await stage.scrapes(5)
            return version_of(path) != before

        assert play(scenario, configuration=keeping(path))

    def test_written_before_it_is_shown(self, path: Path) -> None:
        """While the file takes its place what is shown is still what the one before it holds."""
        shown_then, in_file_then = [], []

        async def scenario(stage: Stage) -> list[int]:
            def note(new: str) -> None:
                snapshot = stage.exporter.scraper.snapshot
                shown_then.append(snapshot.apps[0].counters.started)
                in_file_then.append(kept_counts(Path(new))[0])

            configuration = keeping(following(note)(path), meeting_ids=MEETINGS)
            await succeed(stage, configuration)
            return [int(value(await stage.scrape(1.0), STARTED) or 0) for _ in range(5)]

        now_shown = play(scenario, *LIVES, configuration=keeping(path, meeting_ids=MEETINGS))
        # They start after 2 s.
        assert [0, 0, 4, 4, 4] == now_shown
        first_of_all = in_file_then.index(4)
        assert (0, 4) == (shown_then[first_of_all], in_file_then[first_of_all])

    def test_readers(self, path: Path) -> None:
        """Who reads the file again and again, while it is replaced, sees each time all of it."""
        is_over = threading.Event()

        def read() -> set[bytes]:
            seen = set()
            while not is_over.is_set():
                seen.add(path.read_bytes())
            return seen

        def enlarge(document: Any) -> None:
            document["apps"][0]["past"]["departed"] = {f"{n:0>99}": {} for n in range(9000)}

        async def scenario(stage: Stage) -> set[bytes]:
            await stage.scrape()
            await succeed(stage, keeping(path), meanwhile=partial(rewrite, path, enlarge))
            with ThreadPoolExecutor(1) as pool:
                seen = pool.submit(read)
                try:
                    await stage.scrapes(25, 60)
                finally:
                    is_over.set()
                return seen.result()

        contents = play(scenario, configuration=keeping(path))
        assert len(contents) > 2
        for each in contents:
            assert 9000 == len(json.loads(each)["apps"][0]["past"]["departed"])

    def test_nothing_beside_it(self, path: Path) -> None:
        """Nobody else may read it, whatever the umask, and nothing is left but it and its lock."""
        before = os.umask(0)
        try:
            each = setup(*every_state(), configuration=keeping(path))
            run(scraped_once(each))
        finally:
            os.umask(before)
        files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert {"state": 0o600, "state.lock": 0o600} == files

    def test_no_secrets(self, path: Path) -> None:
        """Neither the token nor a download URL is in it."""
        given = settings(meeting_ids=[recording.meeting_id for recording in every_state()])
        configuration = replace(load(None, given, {TOKEN_VARIABLE: TOKEN}), state_file=path)
        each = setup(*every_state(), configuration=configuration, token=TOKEN)
        run(scraped_once(each))
        content = path.read_text()
        assert all(recording.id in content for recording in every_state())
        for canary in (CANARY, TOKEN, "X-Amz", "https:"):
            assert canary not in content


def with_tally(**values: str) -> Callable[[bytes], bytes]:
    """Return what puts JSON of whatever kind in place of counters."""

    def change(content: bytes) -> bytes:
        document = json.loads(content)
        counters = document["apps"][0]["past"]["tally"]
        counters.update({key: f"<{key}>" for key in values})
        text = json.dumps(document)
        for key, each in values.items():
            text = text.replace(f'"<{key}>"', each)
        return text.encode()

    return change


def edited(change: Callable[[Any], object]) -> Callable[[bytes], bytes]:
    """Return what makes a *change* to what a state file holds."""

    def edit(content: bytes) -> bytes:
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return edit


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda good: good[: len(good) // 2],
    "all but the end": lambda good: good[:-1],
    "twice": lambda good: good + good,
    "something after it": lambda good: good + b"\0",
    "zeros": lambda good: bytes(len(good)),
    "text": lambda _: b"rk-exporter\n",
    "binary": lambda _: bytes(range(256)),
    "not UTF-8": lambda good: good.replace(b"uploaded", b"\xff\xfe"),
    "list": lambda _: b"[]",
    "null": lambda _: b"null",
    "no version": lambda _: b"{}",
    "no apps": lambda _: b'{"version": 1}',
    "apps of another type": lambda _: b'{"version": 1, "apps": {}}',
    "wrong type": with_tally(started='"4"'),
    "fraction": with_tally(started="4.5"),
    "null for a count": with_tally(dropped="null"),
    "NaN": with_tally(start_delay='{"bounds": [1], "counts": [0, 0], "total": NaN}'),
    "infinity": with_tally(start_delay='{"bounds": [1], "counts": [0, 0], "total": Infinity}'),
    "too large a number": with_tally(
        start_delay='{"bounds": [1], "counts": [0, 0], "total": 1e400}'
    ),
    "too large a count": with_tally(started=f"1{400 * '0'}"),
    "count of thousands of digits": with_tally(started=f"1{9000 * '0'}"),
    "negative count": with_tally(started="-4"),
    "outcome that there is none": with_tally(finished='{"exploded": 1}'),
    "nested": lambda _: 100_000 * b"[" + 100_000 * b"]",
    "nested in what is not known": lambda good: good.replace(
        b"{", b'{"x": ' + 100_000 * b"[" + 100_000 * b"]" + b",", 1
    ),
    "nested in what is known": with_tally(transitions=100_000 * '{"PAUSED": ' + 100_000 * "}"),
    "later version": edited(lambda document: document.update(version=2)),
    "version of another type": edited(lambda document: document.update(version="1")),
}


class TestDamage:
    @pytest.mark.parametrize("name", DAMAGES)
    def test_set_aside(
        self, path: Path, good: bytes, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A file that is damaged is set aside with one warning, and the exporter starts afresh."""
        damaged = DAMAGES[name](good)
        path.write_bytes(damaged)
        aside = path.with_name("state.damaged")
        aside.write_text("of the last time")
        each = setup(*LIVES, configuration=keeping(path, meeting_ids=MEETINGS))
        (warning,) = warnings(caplog)
        what = "was written by another version" if name == "later version" else "is damaged"
        assert f"state file: it {what}, and was set aside; counters begin at 0" == warning
        fields = caplog.records[0].__dict__
        assert (str(path), str(aside)) == (fields["path"], fields["aside"])
        assert damaged == aside.read_bytes()
        answer = run(scraped_once(each))
        assert (200, (0, 0)) == (answer.status_code, counts(answer.text))
        StateFile(path, clock=Time()).close()
        assert 1 == caplog.text.count("was set aside")

    def test_later_version_of_another_shape(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What another version wrote is called that, and not damaged."""
        path.write_text('{"version": 2, "apps": {"one": {}}}')
        StateFile(path, clock=Time()).close()
        (warning,) = warnings(caplog)
        assert "it was written by another version, and was set aside" in warning

    @pytest.mark.parametrize(
        ("place", "odd"),
        [
            (("past", "tally", "finished"), {}),
            (("past", "tally", "finished"), {"uploaded": 1}),
            (("past", "tally", "transitions"), {}),
            (("past", "tally", "transitions"), {"DANCING": {"SINGING": 1}}),
            (("past", "tally"), {}),
            (("past", "departed"), {"": {}}),
            (("past", "listed_until"), -1e308),
            (("past", "listed_until"), None),
            (("past",), {}),
            (("past", "recordings", 1, "recording", "status"), "DANCING"),
            (("past", "recordings", 1, "recording", "recording_id"), "../\n\0/x"),
            (("past", "recordings", 1, "recording", "recording_id"), ""),
            (("past", "recordings", 1, "recording", "started_timestamp_seconds"), -1e308),
            (("past", "recordings", 1, "read_at"), 1e308),
            (("past", "recordings", 1, "missing_since"), -1e308),
            (("past", "recordings", 1, "meeting", "meeting_id"), "../\n\0/x"),
            (("past", "recordings", 1, "meeting", "name"), "\n\0"),
            (("meetings", 0, "read_at"), -1e308),
            (("meetings", 0, "read_at"), 1e308),
            (("meetings", 0, "meeting_id"), "nobody's"),
            (("newest_ids",), ["", "x"]),
            (("newest_ids",), []),
        ],
        ids=str,
    )
    def test_odd_values(
        self,
        path: Path,
        place: tuple[str | int, ...],
        odd: object,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Whatever is in a file that can be read, the exporter works, and counts what comes."""
        configuration = keeping(path, meeting_ids=MEETINGS)

        def change(document: Any) -> None:
            *way, last = place
            part = document["apps"][0]
            for each in way:
                part = part[each]
            part[last] = odd

        async def scenario(stage: Stage) -> list[str]:
            await stage.scrapes(2)
            await succeed(stage, configuration, meanwhile=partial(rewrite, path, change))
            return await stage.scrapes(8)

        *_, last = play(scenario, *LIVES, configuration=configuration)
        assert {1} == {*by_meeting(last, "rk_meeting_up").values()}
        assert 1 == value(last, "rk_recordings_finished_total", outcome="errored")
        assert 1 == value(last, WRITTEN)
        StateFile(path, clock=Time()).close()
        assert not path.with_name("state.damaged").exists()
        assert "state file" not in caplog.text


IDS = ("--account-id", "account", "--app-id", "app", "--meeting-id", "weekly")


def invoke(command: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, [command, *IDS, *arguments], env=ENVIRONMENT)


def occupy_by_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        # The path of a socket may have no more than 107 characters.
        before = Path.cwd()
        os.chdir(path.parent)
        try:
            listening.bind(path.name)
        finally:
            os.chdir(before)


ROOT_MAY = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write whatever there is")


class TestRefusals:
    @pytest.mark.parametrize(
        ("prepare", "message"),
        [
            (Path.mkdir, "--state.file: {path} is a folder; give the path of a file in it"),
            (os.mkfifo, "state.file: {path}: has to be a file"),
            (lambda path: path.symlink_to("/dev/zero"), "state.file: {path}: has to be a file"),
            (occupy_by_socket, "state.file: {path}: cannot be read (No such device or address)"),
            (lambda path: path.symlink_to(path), "--state.file: cannot be looked at (Too many"),
            (
                lambda path: path.parent.rmdir(),
                "--state.file: there is no folder {path.parent}; create it, or give another path",
            ),
            (
                lambda path: path.with_name("state.lock").mkdir(),
                "state.file: {path}.lock: cannot be written (Is a directory)",
            ),
            pytest.param(
                lambda path: path.touch(mode=0),
                "state.file: {path}: cannot be read (Permission denied)",
                marks=ROOT_MAY,
            ),
            pytest.param(
                lambda path: path.parent.chmod(0o500),
                "state.file: {path}.lock: cannot be written (Permission denied)",
                marks=ROOT_MAY,
            ),
        ],
        ids=[
            *("folder", "FIFO", "device", "socket", "loop", "no folder", "no lock"),
            *("unreadable", "read-only"),
        ],
    )
    def test_what_cannot_be_used(
        self, path: Path, prepare: Callable[[Path], object], message: str
    ) -> None:
        """What can be no state file is one line that says why, and exit code 2; nothing hangs."""
        prepare(path)
        result = invoke("scrape", "--state.file", str(path), "--api.budget", "1200")
        assert 2 == result.exit_code
        assert result.output.startswith(f"Error: {message.format(path=path)}")
        assert 1 == result.output.count("\n")

    def test_file_system_without_files(self) -> None:
        """A folder in which nobody can make a file, be he root, is refused as well."""
        if not Path("/proc/self").is_dir():
            pytest.skip("there is no /proc")
        result = invoke("scrape", "--state.file", "/proc/self/state")
        assert 2 == result.exit_code
        assert "Error: state.file: /proc/self/state.lock: cannot be written (" in result.output

    def test_damaged_and_kept(self, path: Path) -> None:
        """What is damaged and cannot be set aside is refused, and left as it is."""
        path.touch()
        aside = path.with_name("state.damaged")
        aside.mkdir()
        with pytest.raises(StateFileError, match="is damaged, and cannot be moved"):
            StateFile(path, clock=Time())
        assert path.exists()


class TestTrouble:
    def test_disk_that_fails(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Scrapes go on, the log tells once of each change, and what was missed is written."""
        caplog.set_level(logging.INFO, logger="rk_exporter.tracking.state_file")
        away = path.parent.with_name("away")

        async def scenario(stage: Stage) -> list[str]:
            texts = [await stage.scrape()]
            path.parent.rename(away)
            # Nothing to be written, then a recording begins.
            texts += await stage.scrapes(3)
            path.parent.mkdir()
            path.with_name("state.new").mkdir()
            texts += await stage.scrapes(2)
            path.with_name("state.new").rmdir()
            path.parent.rmdir()
            away.rename(path.parent)
            texts.append(await stage.scrape())
            assert (1, 0) == kept_counts(path)
            return [*texts, *await stage.scrapes(2)]

        later = Recording.scripted("meeting-1", invoked_at=NOW + 20, started_at=NOW + 22)
        texts = play(scenario, later, configuration=keeping(path))
        assert [0, 0, 1, 1, 1, 1, 1, 1, 1] == [value(text, STARTED) for text in texts]
        assert [1, 1, 0, 0, 0, 0, 1, 1, 1] == [value(text, WRITTEN) for text in texts]
        written_at = [value(text, WRITTEN_AT) for text in texts]
        assert [written_at[0]] * 6 == written_at[:6]
        assert [NOW + 90] * 3 == written_at[6:]
        says = [each.getMessage() for each in caplog.records]
        end = "; what happens now is not known after a restart"
        assert [
            f"state file: cannot be written (No such file or directory){end}",
            f"state file: cannot be written (Is a directory){end}",
            "state file: it can be written again",
        ] == says

    def test_tried_again_at_once(self, path: Path) -> None:
        """A write that failed is made up for by the next pass, also where nothing happened."""
        away = path.parent.with_name("away")

        async def scenario(stage: Stage) -> list[str]:
            texts = [await stage.scrape()]
            path.parent.rename(away)
            texts.append(await stage.scrape(75))
            away.rename(path.parent)
            return [*texts, await stage.scrape()]

        texts = play(scenario, configuration=keeping(path))
        assert [1, 0, 1] == [value(text, WRITTEN) for text in texts]

    def test_file_system_that_hangs(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A write that hangs, as on NFS, holds no scrape up; "written" is said of what is shown."""
        caplog.set_level(logging.INFO, logger="rk_exporter.tracking.state_file")
        answers = threading.Event()
        answers.set()
        its_path = following(lambda _: answers.wait(30))(path)
        each = setup(life(paused=[]), configuration=keeping(its_path), linger_seconds=0.0)

        async def scrapes() -> list[str]:
            while not value((await each.get()).text, WRITTEN):
                pass
            caplog.clear()
            answers.clear()
            texts = []
            # It starts, stops, and is uploaded.
            for seconds in (10, 60, 50):
                each.time.now += seconds
                texts.append((await each.get()).text)
            answers.set()
            while not value((await each.get()).text, WRITTEN):
                pass
            assert (1, 1) == kept_counts(path)
            await each.exporter.close()
            return texts

        texts = run(scrapes())
        assert [0, 0, 0] == [value(text, WRITTEN) for text in texts]
        assert [(1, 0), (1, 0), (1, 1)] == [counts(text) for text in texts]
        trouble, end = [record.getMessage() for record in caplog.records]
        assert "state file: the file system does not answer; what happens now is not" in trouble
        assert "state file: it can be written again" == end

    def test_slow_disk(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A disk that answers, but never in time, is warned of once, and all gets written."""
        answers = threading.Event()
        answers.set()
        its_path = following(lambda _: answers.wait(30))(path)
        each = setup(life(paused=[]), configuration=keeping(its_path), linger_seconds=0.0)

        async def scrapes() -> list[str]:
            while not value((await each.get()).text, WRITTEN):
                pass
            caplog.clear()
            texts = []
            for seconds in (10, 60, 50):
                each.time.now += seconds
                before = version_of(path)
                answers.clear()
                texts.append((await each.get()).text)
                answers.set()
                wait_for_another(path, before)
                assert counts(texts[-1]) == kept_counts(path)
            await each.exporter.close()
            return texts

        texts = run(scrapes())
        assert [0, 0, 0] == [value(text, WRITTEN) for text in texts]
        assert [NOW, NOW + 70, NOW + 120] == [value(text, WRITTEN_AT) for text in texts]
        assert 1 == len(warnings(caplog))

    def test_end_after_a_hang(self, path: Path) -> None:
        """What happened while a write hung is written at the end, once that is possible."""
        answers = threading.Event()
        answers.set()
        its_path = following(lambda _: answers.wait(30))(path)
        each = setup(life(paused=[]), configuration=keeping(its_path), linger_seconds=0.0)

        async def scrapes() -> None:
            await each.get()
            answers.clear()
            for seconds in (10, 110):
                each.time.now += seconds
                await each.get()
            answers.set()
            await each.exporter.close()

        run(scrapes())
        assert (1, 1) == kept_counts(path)

    def test_end_on_a_slow_disk(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """The last write may take longer than one that a scrape waits for."""
        answers = threading.Event()
        answers.set()
        its_path = following(lambda _: answers.wait(30))(path)
        each = setup(life(paused=[]), configuration=keeping(its_path), linger_seconds=0.0)
        late = threading.Timer(1.0, answers.set)

        async def end() -> None:
            await each.get()
            each.time.now += 10
            caplog.clear()
            answers.clear()
            late.start()
            await each.exporter.close()

        run(end())
        late.join()
        assert [] == warnings(caplog)


class Account:
    """A simulated account whose time is set, in which one recording follows the other."""

    def __init__(self) -> None:
        # The exporter's own clock is the real one.
        self.begun_at = time.time()
        self.time = Time(self.begun_at)
        self.lives = [self._life(self.begun_at + 10 * number) for number in range(1, 400)]
        story = ScriptedScenario(meetings=["weekly"], recordings=self.lives)
        self.simulator = Simulator(story, clock=self.time, rate_limit=0)

    @staticmethod
    def _life(invoked_at: float) -> Recording:
        return Recording.scripted(
            "weekly",
            invoked_at=invoked_at,
            started_at=invoked_at + 2,
            stopped_at=invoked_at + 6,
            uploaded_at=invoked_at + 8,
        )

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.time.now += seconds

    @property
    def truth(self) -> tuple[float, float]:
        """Return how many recordings have begun, and ended."""
        elapsed = self.time.now - self.begun_at
        return max(0, int((elapsed - 2) // 10)), max(0, int((elapsed - 8) // 10))


class Running:
    """An exporter in a process of its own."""

    def __init__(self, process: Popen[str]) -> None:
        assert process.stderr
        self.process = process
        self._log = process.stderr
        url = url_in(next(line for line in self._log if "listening" in line))
        self.client = httpx.Client(base_url=url, timeout=60)

    def scrape(self) -> str:
        """Return the exposition."""
        return self.client.get("/metrics").text

    def end(self) -> str:
        """Ask it to end, and return what else it has logged."""
        self.process.send_signal(signal.SIGTERM)
        log = self._log.read()
        assert 0 == self.process.wait(60)
        return log

    def scrapes(self, account: Account, count: int) -> list[str]:
        """Return the expositions of so many scrapes, each 5 s later."""
        texts = []
        for _ in range(count):
            account.pass_time(5)
            texts.append(self.scrape())
            assert account.truth == counts(texts[-1])
        return texts


class Machine:
    """Where exporters that read an *account* are run, by *url*, with a state file at *path*."""

    def __init__(self, account: Account, url: str, path: Path) -> None:
        self.account = account
        self.options = (
            *(*IDS, "--api.base-url", f"{url}/client/v4", "--scrape.min-interval", "0s"),
            *("--state.file", str(path)),
        )
        self.path = path

    @contextmanager
    def serve(self) -> Iterator[Running]:
        """Run an exporter."""
        address = ("--web.listen-address", "127.0.0.1:0")
        arguments = ("serve", *self.options, *address)
        with started(*arguments, environment=ENVIRONMENT) as process:
            exporter = Running(process)
            with exporter.client:
                yield exporter

    def invoke(self, command: str, *arguments: str) -> Result:
        """Run a command to its end."""
        return CliRunner().invoke(main, [command, *self.options, *arguments], env=ENVIRONMENT)


@pytest.fixture
def machine(path: Path) -> Iterator[Machine]:
    account = Account()
    with served(account.simulator) as url:
        yield Machine(account, url, path)


# Kills a process when so many steps were made of the writes of its state file.
KILLER = """
import os, signal, sys

def step():
    steps = []
    for file in (path, path + ".new"):
        try:
            status = os.stat(file)
        except FileNotFoundError:
            steps.append(None)
        else:
            steps.append((status.st_ino, status.st_size))
    return steps

pid, path, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
before = step()
while count:
    now = step()
    count -= now != before
    before = now
os.kill(pid, signal.SIGKILL)
"""


@contextmanager
def killing(process: Popen[str], path: Path, *, step: int) -> Iterator[None]:
    """Let a *process* be killed right after so many steps of its writes to *path*."""
    arguments = (str(process.pid), str(path), str(step))
    with started(*arguments, program=("-S", "-c", KILLER)) as killer:
        yield
        assert 0 == killer.wait(30)
    assert -signal.SIGKILL == process.wait(60)


class TestProcesses:
    def test_restart(self, machine: Machine) -> None:
        """Counters go on in the next process, with what happened in between, as often as may be."""
        account = machine.account
        with machine.serve() as exporter:
            assert (0, 0) == counts(exporter.scrape())
            exporter.scrapes(account, 7)
            exporter.end()
        for _ in range(2):
            account.pass_time(135)
            with machine.serve() as exporter:
                text = exporter.scrape()
                assert account.truth == counts(text) == counts(exporter.scrape())
                exporter.end()
        assert {"state", "state.lock"} == {file.name for file in machine.path.parent.iterdir()}

    def test_scrape_again_and_again(self, machine: Machine) -> None:
        """`scrape`, as a cron job runs it, goes on from where the one before it was."""
        machine.invoke("scrape")
        for _ in range(4):
            machine.account.pass_time(33)
            result = machine.invoke("scrape")
            assert 0 == result.exit_code
            assert machine.account.truth == counts(result.stdout)

    @pytest.mark.parametrize("options", [(), ("--offline",)])
    def test_check(self, machine: Machine, options: tuple[str, ...]) -> None:
        """`check` neither makes a state file nor changes one, and waits for nobody's."""
        folder = machine.path.parent
        assert 0 == machine.invoke("check", *options).exit_code
        assert [] == [*folder.iterdir()]
        machine.path.write_text("damaged")
        before = version_of(machine.path)
        assert 0 == machine.invoke("check", *options).exit_code
        assert ([machine.path], before) == ([*folder.iterdir()], version_of(machine.path))
        machine.path.unlink()
        with machine.serve():
            assert 0 == machine.invoke("check", *options).exit_code

    @pytest.mark.parametrize("is_killed", [False, True])
    def test_one_process_at_a_time(self, machine: Machine, *, is_killed: bool) -> None:
        """Whoever comes second is refused, until the first has ended, in whichever way."""
        refusal = (
            f"Error: state.file: {machine.path}: another rk-exporter uses it; "
            "give each a file of its own\n"
        )
        with machine.serve() as exporter:
            exporter.scrape()
            before = machine.path.read_bytes()
            for command in ("serve", "scrape"):
                with started(command, *machine.options, environment=ENVIRONMENT) as second:
                    output, errors = second.communicate(timeout=30)
                assert (2, "", True) == (second.returncode, output, errors.endswith(refusal))
            assert before == machine.path.read_bytes()
            exporter.scrapes(machine.account, 5)
            if is_killed:
                exporter.process.kill()
                exporter.process.wait(60)
            else:
                exporter.end()
        result = machine.invoke("scrape")
        assert (0, machine.account.truth) == (result.exit_code, counts(result.stdout))

    def test_nothing_is_written_without_the_option(self, tmp_path: Path) -> None:
        """Without --state.file a process writes nothing: not where it runs, nor in its home."""
        folders = [tmp_path / name for name in ("cwd", "home", "tmp")]
        cwd, home, temporary = folders
        for folder in folders:
            folder.mkdir()
        program = (
            "import os, sys; from rk_exporter.cli.main import entry_point; "
            "os.chdir(sys.argv.pop(1)); entry_point()"
        )
        environment = {**ENVIRONMENT, "HOME": str(home), "TMPDIR": str(temporary)}
        account = Account()
        with served(account.simulator) as url:
            options = (str(cwd), "serve", *IDS, "--api.base-url", f"{url}/client/v4")
            with started(
                *(*options, "--web.listen-address", "127.0.0.1:0"),
                environment=environment,
                program=("-c", program),
            ) as process:
                exporter = Running(process)
                with exporter.client:
                    text = exporter.scrape()
                    assert cwd == Path(f"/proc/{process.pid}/cwd").resolve()
                    exporter.end()
        assert 1 == value(text, "rk_up")
        assert None is value(text, WRITTEN)
        assert [*sorted(folders)] == sorted(tmp_path.rglob("*"))

    def test_full_disk(self, machine: Machine) -> None:
        """Where no file may grow scrapes go on; one line says so, one that it is over."""
        account = machine.account
        with machine.serve() as exporter:
            exporter.scrapes(account, 2)
            before = machine.path.read_bytes()
            process = exporter.process
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            texts = exporter.scrapes(account, 3)
            assert before == machine.path.read_bytes()
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
            while not value(exporter.scrape(), WRITTEN):
                pass
            assert account.truth == kept_counts(machine.path)
            log = exporter.end()
        assert [0, 0, 0] == [value(text, WRITTEN) for text in texts]
        assert 1 == log.count("state file: cannot be written (File too large); what happens now")
        assert 1 == log.count("state file: it can be written again")

    def test_end_while_a_write_hangs(self, machine: Machine) -> None:
        """A process whose file system hangs answers scrapes, and ends when it is asked to."""
        with machine.serve() as exporter:
            exporter.scrape()
            # Who opens it to write waits for a reader.
            os.mkfifo(machine.path.with_name("state.new"))
            texts = exporter.scrapes(machine.account, 5)
            assert 0 == value(texts[-1], WRITTEN)
            assert "state file: the file system does not answer" in exporter.end()
        machine.path.with_name("state.new").unlink()
        result = machine.invoke("scrape")
        assert (0, machine.account.truth) == (result.exit_code, counts(result.stdout))

    def test_killed_while_it_writes(self, machine: Machine) -> None:
        """However often it is killed, the next one starts, and no counter goes back or too far."""
        account, path = machine.account, machine.path
        with machine.serve() as exporter:
            exporter.scrape()
            exporter.end()

        def enlarge(document: Any) -> None:
            document["apps"][0]["past"]["departed"] = {f"{n:0>200}": {} for n in range(9000)}

        # So large that a write takes a while.
        rewrite(path, enlarge)
        floor: dict[str, float] = {}

        def check(text: str) -> None:
            now = shown(text)
            assert [] == [series for series, least in floor.items() if now[series] < least]
            for number, most in zip(counts(text), account.truth, strict=True):
                assert number <= most
            if value(text, WRITTEN):
                floor.update(now)

        for step in range(1, 8):
            with (
                machine.serve() as exporter,
                killing(exporter.process, path, step=step),
                suppress(httpx.HTTPError),
            ):
                # It does not live to see the last.
                for _ in range(300):
                    account.pass_time(3)
                    check(exporter.scrape())
            assert 9000 <= len(kept(path)["apps"][0]["past"]["departed"])
            account.pass_time(step % 3 * 10)
        with machine.serve() as exporter:
            text = exporter.scrape()
            exporter.end()
        check(text)
        assert account.truth == counts(text)
        assert floor
        assert not path.with_name("state.damaged").exists()
