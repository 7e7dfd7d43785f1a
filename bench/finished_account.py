"""A simulated account with many finished recordings, in a separate process."""

import argparse
import asyncio
import time

from rk_exporter.config.parsers import Address
from rk_exporter.simulator import Recording, ScriptedScenario, Simulator
from rk_exporter.web.server import Listener, serve
from rk_exporter.web.sockets import bind


MEETINGS = 30
LATENCY_SECONDS = 0.05
_RECORDED_SECONDS = 1200.0
_UPLOAD_SECONDS = 60.0
# No recording expires during the measurement: a download URL is valid for 7 days.
_YOUNGEST_SECONDS = 3600.0
_OLDEST_SECONDS = 7 * 86_400.0 - 2 * 3600.0


def finished_scenario(count: int, now: float) -> ScriptedScenario:
    """Return a week in which *count* recordings were uploaded at a steady rate."""
    meetings = [f"00000000-0000-4000-8000-{number:012x}" for number in range(MEETINGS)]
    step = (_OLDEST_SECONDS - _YOUNGEST_SECONDS) / max(1, count)
    recordings = []
    for number in range(count):
        uploaded_at = now - _YOUNGEST_SECONDS - number * step
        stopped_at = uploaded_at - _UPLOAD_SECONDS
        started_at = stopped_at - _RECORDED_SECONDS
        recordings.append(
            Recording.scripted(
                meetings[number % MEETINGS],
                invoked_at=started_at - 2.0,
                started_at=started_at,
                stopped_at=stopped_at,
                uploaded_at=uploaded_at,
            )
        )
    return ScriptedScenario(meetings=meetings, recordings=recordings)


async def _serve(count: int) -> None:
    simulator = Simulator(
        finished_scenario(count, time.time()), rate_limit=0, latency_seconds=LATENCY_SECONDS
    )
    listener = Listener(simulator, bind(Address("127.0.0.1", 0)), date_header=False)
    print(listener.url, flush=True)
    await serve([listener])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.finished_account", description=__doc__)
    parser.add_argument("count", type=int, help="how many recordings there are")
    asyncio.run(_serve(parser.parse_args().count))
