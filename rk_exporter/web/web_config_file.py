"""
The web configuration in use.

It is read again when its files change, as in exporter-toolkit. Handshakes and requests never wait
for files: a task looks at them twice a second.
"""

import asyncio
import hashlib
import logging
import time

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rk_exporter.config.sources import ConfigError
from rk_exporter.config.web_config import WEB_OPTIONS, WebConfig, parse_web_config
from rk_exporter.runtime.background_call import BackgroundCall, bounded_call
from rk_exporter.runtime.files import FileError, FileHangs, read_regular_file
from rk_exporter.runtime.last_logged import LastLogged
from rk_exporter.web.tls import Pems, ServerContext, server_context


logger = logging.getLogger(__name__)
_LARGEST_FILE_BYTES = 1 << 20
_CHECK_SECONDS = 0.5
_MAX_WAIT_SECONDS = 1.0
_Read = Callable[[Path], bytes]
_TLS_IS_FIXED = (
    "tls_server_config: cannot be added or removed while the exporter runs; restart the exporter"
)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Contents:
    """The content of the files at one time; the *digest* covers all of it."""

    digest: bytes
    config: WebConfig | None
    pems: Pems | None
    problem: str | None


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Loaded:
    """The configuration and TLS that the files contained at one time."""

    digest: bytes
    config: WebConfig | None
    """None if the configuration cannot be used."""
    tls: ServerContext | None
    problem: str | None


class WebConfigFile:
    """
    The web configuration at *path*, and the files that it names.

    If the certificate, its key or the clients' authorities become unusable, the last good ones stay
    in use. If the configuration itself does, all requests are refused, because nobody knows which
    users may still send them. Raises ConfigError if the first read fails.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        self._call = BackgroundCall[_Loaded]()
        self._lock = asyncio.Lock()
        self._pending: _Loaded | None = None
        self._logged_hang = LastLogged[str | None](None)
        try:
            # Only the file system may hang; the rest takes long if the process gets little CPU.
            self._current = _load(path, has_tls=None, known=(), read=_read_bounded)
        except (FileHangs, OSError) as error:
            raise ConfigError(f"{path}: {_reason(error)}") from None
        if self._current.config is None or self._current.problem:
            raise ConfigError(str(self._current.problem))
        self.config = self._current.config
        """The last configuration that could be used."""
        self.tls = self._current.tls
        """TLS for new connections; None if the server speaks HTTP without TLS."""
        self.last_reload_successful = True
        self.last_success_timestamp_seconds = clock()

    @property
    def tls_source(self) -> Callable[[], ServerContext] | None:
        """Return a function that returns TLS for a new connection; None without TLS."""
        first = self.tls
        return None if first is None else lambda: self.tls or first

    @property
    def is_usable(self) -> bool:
        """Return whether the configuration in the file can be used now."""
        return self._current.config is not None

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Read the files again whenever they change, until the end of the block."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def refresh(self) -> None:
        """
        Read the files, and use what they have if that is new and the same as at the last refresh.

        The second look is for files that are being written: the first half of a configuration may
        be valid, and have no users.
        """
        async with self._lock:
            try:
                loaded = await self._read(known=[self._current, self._pending])
            except (FileHangs, OSError) as error:
                self._report_hang(error)
                return
            if self._logged_hang.changes_to(None):
                self.last_reload_successful = self._current.problem is None
            if loaded is self._current:
                self._pending = None
            elif loaded is self._pending:
                self._adopt(loaded)
            else:
                self._pending = loaded

    async def reload(self) -> None:
        """
        Read the files and use what they have immediately.

        Raises ConfigError if something in them cannot be used.
        """
        async with self._lock:
            try:
                loaded = await self._read(known=[])
            except (FileHangs, OSError) as error:
                self._report_hang(error)
                raise ConfigError(f"{self.path}: {_reason(error)}") from None
            self._adopt(loaded)
        if loaded.problem:
            raise ConfigError(loaded.problem)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            await self.refresh()

    async def _read(self, known: Sequence[_Loaded | None]) -> _Loaded:
        """Return what the files have; one of the *known* results if that has not changed."""
        if self._call.is_running:
            # It was late, so what it has found may be old.
            await self._call.result(timeout_seconds=0.0)
        has_tls = self.tls is not None
        self._call.start(
            lambda: _load(self.path, has_tls=has_tls, known=known, read=_read_unbounded)
        )
        return await self._call.result(timeout_seconds=_MAX_WAIT_SECONDS)

    def _adopt(self, loaded: _Loaded) -> None:
        before, self._current, self._pending = self._current, loaded, None
        self.last_reload_successful = loaded.problem is None
        self.config = loaded.config or self.config
        self.tls = loaded.tls or self.tls
        fields = {"path": str(self.path)}
        if loaded.problem is None:
            self.last_success_timestamp_seconds = self._clock()
            logger.info("web configuration loaded", extra=fields)
        elif loaded.problem == before.problem:
            return
        elif loaded.config is None:
            logger.error(
                "web configuration cannot be used, all requests are refused: %s",
                loaded.problem,
                extra=fields,
            )
        else:
            logger.error(
                "TLS files cannot be used, the last good ones stay in use: %s",
                loaded.problem,
                extra=fields,
            )

    def _report_hang(self, error: FileHangs | OSError) -> None:
        self.last_reload_successful = False
        if self._logged_hang.changes_to(_reason(error)):
            logger.warning(
                "web configuration cannot be read again, the last one stays in use: %s",
                _reason(error),
                extra={"path": str(self.path)},
            )


def _reason(error: FileHangs | OSError) -> str:
    """Return why nothing is known about the files, e.g. too few open files for this process."""
    return error.strerror or "unknown error" if isinstance(error, OSError) else str(error)


def _read_unbounded(path: Path) -> bytes:
    return read_regular_file(path, max_bytes=_LARGEST_FILE_BYTES)


def _read_bounded(path: Path) -> bytes:
    return bounded_call(partial(_read_unbounded, path))


def _read_contents(path: Path, read: _Read) -> _Contents:
    """Read the configuration and the files that it names."""
    config = pems = problem = None
    digest = hashlib.blake2b(digest_size=32)
    try:
        raw = _read_file(path, read)
        digest.update(raw)
        config = parse_web_config(path, raw)
        if config.has_tls:
            pems = _read_pems(path, config, read)
            for pem in (pems.cert, pems.key, pems.client_ca or b""):
                digest.update(hashlib.sha256(pem).digest())
    except (ConfigError, FileError) as error:
        problem = str(error)
        digest.update(problem.encode())
    return _Contents(digest.digest(), config, pems, problem)


def _load(
    path: Path,
    *,
    has_tls: bool | None,
    known: Sequence[_Loaded | None],
    read: _Read,
) -> _Loaded:
    """
    Return what the files have; one of the *known* results if they are as they were then.

    *has_tls* is whether the server uses TLS already, which cannot change.
    """
    contents = _read_contents(path, read)
    for loaded in known:
        if loaded is not None and loaded.digest == contents.digest:
            return loaded
    config, tls, problem = contents.config, None, contents.problem
    if config is not None and has_tls not in {None, config.has_tls}:
        problem = f"{path}: {_TLS_IS_FIXED}"
    elif config is not None and contents.pems is not None:
        try:
            tls = server_context(config, contents.pems)
        except FileError as error:
            problem = f"{path}: {error}"
    return _Loaded(contents.digest, config, tls, problem)


def _read_pems(path: Path, config: WebConfig, read_file: _Read) -> Pems:
    def read(inline: str, file: str) -> bytes | None:
        text, pem_path = getattr(config, inline), getattr(config, file)
        if text is not None:
            return bytes(text.reveal(), "utf-8")
        if pem_path is None:
            return None
        try:
            return read_file(pem_path)
        except FileError as error:
            raise FileError(f"{path}: {WEB_OPTIONS[file].path}: {pem_path} {error}") from None

    return Pems(
        cert=read("cert", "cert_file") or b"",
        key=read("key", "key_file") or b"",
        client_ca=read("client_ca", "client_ca_file"),
    )


def _read_file(path: Path, read: _Read) -> bytes:
    try:
        return read(path)
    except FileError as error:
        raise FileError(f"{path}: {error}") from None
