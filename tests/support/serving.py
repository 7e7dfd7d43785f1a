"""Real servers for tests: simulators on free ports, in a thread of their own."""

import asyncio
import threading

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn


class _Server(uvicorn.Server):
    """A server that says when it is ready."""

    def __init__(self, application: Any, **options: Any) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                port=0,
                lifespan="off",
                log_config=None,
                # The simulator sets the header Date, with its own time.
                date_header=False,
                ws="none",
                timeout_graceful_shutdown=1,
                **options,
            )
        )
        self.ready = threading.Event()

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Start, then wake the thread that waits for this."""
        await super().startup(sockets)
        self.ready.set()


@contextmanager
def served(application: Any, *, certificate: Path | None = None) -> Iterator[str]:
    """
    Serve *application*, a simulator, on a free port, and give its URL.

    With a *certificate*, a file that also has the key, it is served by TLS, as `localhost`.
    """
    server = _Server(application, **({"ssl_certfile": str(certificate)} if certificate else {}))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        assert server.ready.wait(10)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"https://localhost:{port}" if certificate else f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
