"""An API whose answers for one meeting go wrong, while those for another one stay right."""

import asyncio
import json
import ssl
import threading
import time

from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from tests.support.building import labelled, value
from tests.support.exporter_process import (
    PATIENCE_SECONDS,
    TOKEN,
    ExporterProcess,
    exporter_process,
)
from tests.support.fault_server import ANY_PATH, Behaviour, FaultServer, answer


T = TypeVar("T")
FAULTY, NEIGHBOUR = "faulty", "neighbour"
# A call may take half of a scrape, whose time is this minus half a second.
SHORT_SCRAPE_SECONDS = 4.0
CONFIG = """\
account_id: account
api: {{base_url: "{url}/client/v4", budget: 100000, read: active-recording}}
scrape: {{min_interval: 0s}}
web: {{listen_address: "127.0.0.1:0"}}
apps:
  - {{name: faulty, app_id: faulty, meetings: {{ids: [faulty]}}, budget_group: first}}
  - {{name: neighbour, app_id: neighbour, meetings: {{ids: [neighbour]}}, budget_group: second}}
"""


class Loop:
    """An event loop in a thread, for servers beside tests that block."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* in the loop, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    @contextmanager
    def running(self) -> Iterator["Loop"]:
        """Run the loop until the block ends."""
        self._thread.start()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    @contextmanager
    def entered(self, resource: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Enter an asynchronous *resource*, and leave it when the block ends."""
        entered = self.run(resource.__aenter__())
        try:
            yield entered
        finally:
            self.run(_left(resource))


async def _left(resource: AbstractAsyncContextManager[Any]) -> None:
    await resource.__aexit__(None, None, None)


@contextmanager
def served(server: FaultServer, context: ssl.SSLContext | None = None) -> Iterator[FaultServer]:
    """Serve in a thread."""
    with Loop().running() as loop, loop.entered(server.running(context)):
        yield server


@contextmanager
def api_of_one_meeting() -> Iterator[FaultServer]:
    """Serve an API that knows one meeting."""
    server = FaultServer()
    server.script(ANY_PATH, GONE)
    server.script("recordings", NO_RECORDINGS)
    server.script("meeting", shown("meeting"))
    with served(server):
        yield server


def rfc3339(unix_seconds: float) -> str:
    """Return a time as the API writes it."""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def recording(name: str, **changes: Any) -> dict[str, Any]:
    """Return the fields of a recording that runs, with *changes*."""
    begun_at = time.time() - 100
    return {
        "id": f"recording-of-{name}",
        "session_id": f"session-of-{name}",
        "output_file_name": f"{name}.mp4",
        "status": "RECORDING",
        "invoked_time": rfc3339(begun_at),
        "started_time": rfc3339(begun_at + 2),
        "recording_duration": 100,
        **changes,
    }


def shown(name: str, **changes: Any) -> Behaviour:
    """Answer with a recording."""
    return answer(200, body(recording(name, **changes)))


def body(data: object) -> bytes:
    """Return the body of a successful answer."""
    return json.dumps({"success": True, "data": data}).encode()


GONE = answer(404, b'{"success":false,"error":{"code":404,"message":"not found"}}')
PAGING = b'{"total_count":0,"start_offset":0,"end_offset":0}'
NO_RECORDINGS = answer(200, b'{"success":true,"data":[],"paging":%s}' % PAGING)


@dataclass(slots=True)
class Site:
    """An exporter of two apps with a meeting each, and the API: calls for one meeting can fail."""

    server: FaultServer
    exporter: ExporterProcess
    _duration: int = 0
    _read: int = 0
    _counters: dict[str, float] = field(default_factory=dict)
    _logged: int = 0

    def recovers(self) -> str:
        """Require that the next scrape shows what the API says now; return it."""
        self._duration += 1
        self.server.script(FAULTY, shown(FAULTY, recording_duration=self._duration))
        text = self.scrape()
        assert 1 == value(text, "rk_meeting_up", rk_app=FAULTY)
        assert self._duration == self.duration(text, FAULTY)
        return text

    def fails(
        self, reason: str, *behaviours: Behaviour, within_seconds: float = SHORT_SCRAPE_SECONDS
    ) -> str:
        """
        Let a call fail, and require a failure with this reason and no other effect.

        The last values of the meeting stay, those of the other app are exact, a line of the log
        says why, and the next scrape shows the truth. Return the line.
        """
        before = failures(self.recovers(), FAULTY)
        self.server.script(FAULTY, *behaviours)
        self._logged = len(self.exporter.log)
        text = self.scrape(within_seconds)
        assert 0 == value(text, "rk_meeting_up", rk_app=FAULTY)
        assert self._duration == self.duration(text, FAULTY)
        line = self.warning()
        assert f"reason={reason} " in line
        # A scrape shows a new counter as 0, and the next one what it has counted.
        after = failures(self.recovers(), FAULTY)
        assert {**before, reason: before.get(reason, 0) + 1} == after
        return line

    def succeeds(self, *behaviours: Behaviour) -> str:
        """Require a scrape without a failure; return it."""
        before = failures(self.recovers(), FAULTY)
        self.server.script(FAULTY, *behaviours)
        text = self.scrape()
        assert 1 == value(text, "rk_meeting_up", rk_app=FAULTY)
        assert before == failures(self.recovers(), FAULTY)
        return text

    def scrape(self, timeout_seconds: float = 30.0) -> str:
        """Return a scrape, after a look at what must hold whatever happens to the other app."""
        self._read += 1
        self.server.script(NEIGHBOUR, shown(NEIGHBOUR, recording_duration=1000 + self._read))
        text = self.exporter.scrape(timeout_seconds)
        assert 1 == value(text, "rk_up", rk_app=NEIGHBOUR)
        assert 1 == value(text, "rk_meeting_up", rk_app=NEIGHBOUR)
        assert 1000 + self._read == self.duration(text, NEIGHBOUR)
        assert {} == failures(text, NEIGHBOUR)
        self._counters_never_go_back(text)
        assert TOKEN not in text
        assert TOKEN not in self.exporter.log
        return text

    def warning(self) -> str:
        """Return the one warning about meetings since the fault began."""
        (line,) = self.exporter.logged("meetings cannot be read", since=self._logged)
        assert "level=warning" in line
        return line

    @staticmethod
    def duration(text: str, app: str) -> float | None:
        """Return the length of the usual recording of an app."""
        labels = {"rk_app": app, "recording_id": f"recording-of-{app}"}
        return value(text, "rk_recording_duration_seconds", **labels)

    def _counters_never_go_back(self, text: str) -> None:
        now = {
            series: float(number)
            for line in text.splitlines()
            if not line.startswith("#")
            for series, _, number in [line.rpartition(" ")]
            if series.partition("{")[0].endswith("_total")
        }
        assert [] == [name for name, least in self._counters.items() if now[name] < least]
        self._counters = now


def failures(text: str, app: str) -> dict[str, float]:
    """Return the failed calls of an app for its meetings, by reason, without those that are 0."""
    return {
        labels["reason"]: number
        for labels, number in labelled(text, "rk_api_request_failures_total")
        if labels["rk_app"] == app and labels["api_endpoint"] == "active-recording" and number
    }


@contextmanager
def site_in(folder: Path) -> Iterator["Site"]:
    """Run an exporter and its API with files in a *folder*."""
    server = FaultServer()
    server.script(ANY_PATH, GONE)
    server.script("recordings", NO_RECORDINGS)
    config = folder / "rk.yml"
    with served(server):
        config.write_text(CONFIG.format(url=server.url))
        with exporter_process(config) as exporter:
            yield Site(server, exporter)
            exporter.terminate()
