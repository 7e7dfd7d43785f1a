"""
A program that serves an exporter of two apps; one has a bug in each call.

It takes the path of a configuration file. The API is simulated in the same process.
"""

import os
import sys

from pathlib import Path

import httpx

from rk_exporter.cli.process import exit_without_waiting, run
from rk_exporter.config.loader import load
from rk_exporter.exporter import Exporter
from rk_exporter.runtime.logs import configure
from rk_exporter.simulator import ScriptedScenario, Simulator
from rk_exporter.web.server import Listener, serve
from rk_exporter.web.sockets import bind
from tests.support.building import scripted


class BuggyTransport(httpx.ASGITransport):
    """A transport to the simulated API that has a bug in calls for the app `buggy`."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer the request of any other app."""
        if "/buggy/" in request.url.path:
            raise RuntimeError(f"{request.url} {request.headers['authorization']}")
        return await super().handle_async_request(request)


async def _serve(file: Path) -> None:
    config = load(file, {}, os.environ)
    simulator = Simulator(
        ScriptedScenario(meetings=["a", "b"], recordings=[scripted("b")]),
        token=os.environ["CLOUDFLARE_API_TOKEN"],
    )
    exporter = Exporter(
        config, make_client=lambda: httpx.AsyncClient(transport=BuggyTransport(app=simulator))
    )
    with bind(config.listen_addresses[0]) as listening:
        listener = Listener(exporter.application, listening)
        sys.stdout.write(f"{listener.url}\n")
        sys.stdout.flush()
        try:
            await serve([listener])
        finally:
            await exporter.close()


def main() -> None:
    """Serve until SIGTERM."""
    configure(level="info", form="logfmt")
    run(_serve(Path(sys.argv[1])))


if __name__ == "__main__":
    exit_without_waiting(main)
