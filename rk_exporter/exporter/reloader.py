"""Reloads of the configuration: one at a time, however often somebody asks for one."""

import asyncio
import logging

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from rk_exporter.api.connection_setup import SetupError
from rk_exporter.config.config import Config, with_fixed_options
from rk_exporter.config.sources import ConfigError
from rk_exporter.exporter.exporter import Exporter, PreparedChange
from rk_exporter.runtime.background_call import BackgroundCall
from rk_exporter.runtime.files import FileHangs
from rk_exporter.runtime.tracebacks import redacted_traceback
from rk_exporter.web.reload_page import ReloadResult


logger = logging.getLogger(__name__)
# Each file has a deadline of its own, which is shorter.
_LONGEST_LOAD_SECONDS = 30.0
# Many signals within this time lead to two reloads: the first one's, and one for all others.
PAUSE_SECONDS = 1.0
_Prepared = tuple[PreparedChange, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadSteps:
    """The steps of a reload that are not the exporter's own."""

    load: Callable[[], Config]
    """Reads the configuration, in a thread; raises ConfigError."""
    others: Sequence[Callable[[], Awaitable[object]]] = ()
    """Read other files, and take them into use; they raise ConfigError."""
    begin: Callable[[], object] = lambda: None
    """Tells the service manager that a reload begins; *end* always follows."""
    end: Callable[[], object] = lambda: None
    finish: Callable[[Config, Config], object] = lambda _before, _after: None
    """Takes the rest of the new configuration into use, e.g. the log's level."""


@dataclass(eq=False)
class Reloader:
    """
    Reloads the configuration of an exporter when asked to.

    All requests that come during a reload share the next one, which begins *pause_seconds* after
    its end at the earliest. A configuration that cannot be used is refused as a whole. *clock*
    gives unix seconds.
    """

    steps: ReloadSteps
    clock: Callable[[], float]
    pause_seconds: float = PAUSE_SECONDS
    last_reload_successful: bool = field(default=True, init=False)
    last_success_timestamp_seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self.last_success_timestamp_seconds = self.clock()
        self._call = BackgroundCall[_Prepared]()
        self._wanted = asyncio.Event()
        self._waiting: list[asyncio.Future[ReloadResult]] = []

    def request(self) -> None:
        """Ask for a reload."""
        self._wanted.set()

    async def reload(self) -> ReloadResult:
        """Return the result of a reload that begins after this request."""
        result: asyncio.Future[ReloadResult] = asyncio.get_running_loop().create_future()
        self._waiting.append(result)
        self.request()
        return await result

    @asynccontextmanager
    async def running(self, exporter: Exporter) -> AsyncIterator[None]:
        """Reload the configuration of *exporter* on request, until the end of the block."""
        worker = asyncio.create_task(self._work(exporter))
        try:
            yield
        finally:
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker

    async def _work(self, exporter: Exporter) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            waiting, self._waiting = self._waiting, []
            self.steps.begin()
            try:
                result = await self._reload(exporter)
            finally:
                self.steps.end()
            self.last_reload_successful = result.problem is None
            exporter.exposition.forget()
            for request in waiting:
                # A client may have given up.
                if not request.done():
                    request.set_result(result)
            await asyncio.sleep(self.pause_seconds)

    async def _reload(self, exporter: Exporter) -> ReloadResult:
        try:
            prepared, fixed = await self._prepare(exporter)
            for other in self.steps.others:
                await other()
            await self._take(prepared, exporter)
        except (ConfigError, SetupError, FileHangs) as error:
            return _refused(error)
        except Exception as error:  # noqa: BLE001 # any bug: the next reload may succeed
            logger.error(  # noqa: TRY400 # `exception` would log messages and values
                "reload failed because of a bug",
                extra={"traceback": redacted_traceback(error)},
            )
            return ReloadResult("internal error; see the exporter's log")
        for path in fixed:
            logger.warning("%s cannot change while the exporter runs; restart it", path)
        return ReloadResult(fixed=fixed)

    async def _prepare(self, exporter: Exporter) -> _Prepared:
        """Return the new configuration, prepared in a thread, and the options that stay."""
        call = self._call
        if call.is_running:
            # It was late, and what it read may be out of date.
            with suppress(ConfigError, SetupError):
                await call.result(timeout_seconds=_LONGEST_LOAD_SECONDS)
        running = exporter.config

        def read() -> _Prepared:
            config, fixed = with_fixed_options(self.steps.load(), running)
            return exporter.prepare(config), fixed

        call.start(read)
        return await call.result(timeout_seconds=_LONGEST_LOAD_SECONDS)

    async def _take(self, prepared: PreparedChange, exporter: Exporter) -> None:
        before = exporter.config
        changes = await exporter.change(prepared)
        self.last_success_timestamp_seconds = self.clock()
        self.steps.finish(before, prepared.config)
        logger.info(
            "configuration reloaded",
            extra={
                "apps": len(prepared.config.apps),
                "added": ",".join(changes.added),
                "removed": ",".join(changes.removed),
            },
        )


def _refused(error: Exception) -> ReloadResult:
    logger.error("configuration was not reloaded, the last good one stays in use: %s", error)
    return ReloadResult(str(error))
