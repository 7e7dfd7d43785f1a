"""An exporter of simulated apps in virtual time: its files, its reloads, its restarts, its page."""

import asyncio
import json
import os

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.exporter import Exporter
from rk_exporter.exporter.reloader import Reloader, ReloadSteps
from rk_exporter.metrics.config_reload import ConfigReloadMetrics
from rk_exporter.simulator.webhooks.signing import public_pem
from tests.support.building import BASE_URL, NOW, VirtualClock
from tests.support.model.api import ACCOUNT, Api
from tests.support.model.events import Events
from tests.support.model.stories import Story


PLENTY = 100_000


@dataclass(eq=False)
class AppFiles:
    """The configuration of one app, and its files."""

    meetings: list[str]
    token: str
    is_list_broken: bool = False
    read: str = "auto"
    finds_meetings: bool = False
    account_id: str = "account"


@dataclass(eq=False)
class AccountFiles:
    """The configuration of an account whose apps are found, and its token."""

    token: str = ACCOUNT
    read: str = "auto"
    excluded: set[str] = field(default_factory=set)
    """The apps that are not to be read."""


@dataclass(eq=False)
class Files:
    """The configuration that is in a *folder*."""

    folder: Path
    apps: dict[str, AppFiles]
    budget: int = PLENTY
    has_state: bool = False
    has_webhooks: bool = False
    account: AccountFiles | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Return the path of the configuration file."""
        return self.folder / "rk.yml"

    @property
    def state(self) -> Path:
        """Return the path of the state file."""
        return self.folder / "state"

    @property
    def _key(self) -> Path:
        return self.folder / "webhooks.pem"

    def of(self, name: str) -> AppFiles:
        """Return the configuration of an app, which may be one of the account."""
        if name in self.apps:
            return self.apps[name]
        assert self.account
        return AppFiles(
            [],
            token=self.account.token,
            read=self.account.read,
            finds_meetings=True,
            account_id=ACCOUNT,
        )

    def write(self) -> None:
        """Write everything."""
        self.write_configuration()
        _replace(self._key, public_pem(0))
        for name in self.apps:
            self.write_meetings(name)
            self.write_token(name)
        self.write_account_token()

    def write_configuration(self, *, is_broken: bool = False) -> None:
        """Write the configuration file; one that *is_broken* cannot be used."""
        webhook = {"listen_address": ":0", "public_key_file": str(self._key)}
        document = {
            "account_id": "account",
            "api": {"base_url": BASE_URL, "budget": str(self.budget)},
            "scrape": {"min_interval": "0s"},
            "apps": [self._entry(name, app) for name, app in self.apps.items()],
            **({"accounts": [self._account_entry(self.account)]} if self.account else {}),
            **({"state": {"file": str(self.state)}} if self.has_state else {}),
            **({"webhook": webhook} if self.has_webhooks else {}),
            **self.more,
            **({"nonsense": 1} if is_broken else {}),
        }
        _replace(self.path, json.dumps(document))

    def _entry(self, name: str, app: AppFiles) -> dict[str, object]:
        return {
            "name": name,
            "app_id": name,
            "api_token_file": str(self.folder / f"{name}.token"),
            "budget_group": name,
            "read": app.read,
            "meetings": {
                "files": [str(self.folder / f"{name}.meetings")],
                "discover": app.finds_meetings,
            },
        }

    def _account_entry(self, account: AccountFiles) -> dict[str, object]:
        return {
            "account_id": ACCOUNT,
            "api_token_file": str(self._account_token),
            "budget_group": ACCOUNT,
            "read": account.read,
            "apps": {"exclude": "|".join(sorted(account.excluded)) or "none"},
        }

    @property
    def _account_token(self) -> Path:
        return self.folder / "account token"

    def write_meetings(self, name: str) -> None:
        """Write the list of an app's meetings."""
        app = self.apps[name]
        content = "[half" if app.is_list_broken else "\n".join(app.meetings or ["[]"]) + "\n"
        _replace(self.folder / f"{name}.meetings", content)

    def write_token(self, name: str) -> None:
        """Write the token of an app."""
        _replace(self.folder / f"{name}.token", self.apps[name].token)

    def write_account_token(self) -> None:
        """Write the token of the account."""
        if self.account:
            _replace(self._account_token, self.account.token)

    def load(self) -> Config:
        """Return the configuration in the file."""
        return load(self.path, {}, {})


def _replace(path: Path, content: str) -> None:
    """Replace a file, as editors and Kubernetes do."""
    new = path.with_name(path.name + ".new")
    new.write_text(content)
    new.chmod(0o600)
    # A file that was written just now, by the simulated clock, would be read twice.
    os.utime(new, (0.0, 0.0))
    new.replace(path)


@dataclass(frozen=True, slots=True)
class Scraped:
    """The answer to a scrape, and when it was asked for and came."""

    text: str
    begun_at: float
    ended_at: float


class World:
    """
    The exporter in use, its *files*, and the API of the *stories*; all of it in one loop.

    Apps with a story that are not in the files are those of the account.
    """

    def __init__(self, files: Files, stories: Mapping[str, Story]) -> None:
        self.files = files
        self.clock = VirtualClock(NOW)
        self.found = frozenset(stories) - frozenset(files.apps)
        """The apps that the account has at times."""
        self.api = Api(stories, self.clock.true_time, in_account=self.found)
        self.events = Events(stories, self.clock.true_time)
        self.is_reloaded = True
        """Whether the last reload was successful."""
        self.loaded_at = NOW
        """When the configuration in use was loaded."""
        self._running = AsyncExitStack()

    @property
    def now(self) -> float:
        """Return unix seconds."""
        return self.clock.true_time()

    async def start(self) -> None:
        """Start an exporter."""
        self.is_reloaded, self.loaded_at = True, self.now
        self.exporter = Exporter(self.files.load(), make_client=self.api.client, clock=self.clock)
        self._reloader = Reloader(
            ReloadSteps(load=self.files.load), clock=self.clock.wall, pause_seconds=0.0
        )
        self.exporter.show(ConfigReloadMetrics(self._reloader))
        if self.files.has_webhooks:
            self.events.start(self.exporter)
            self._running.push_async_callback(self.events.stop)
        await self._running.enter_async_context(self._reloader.running(self.exporter))
        transport = httpx.ASGITransport(app=self.exporter.application)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://exporter")
        self._running.push_async_callback(self._client.aclose)

    async def stop(self, *, is_killed: bool = False) -> None:
        """Stop the exporter; one that *is_killed* saves nothing more."""
        state = self.files.state
        kept = state.read_bytes() if is_killed and state.exists() else None
        await self._running.aclose()
        await self.exporter.close()
        if kept is not None:
            state.write_bytes(kept)
        elif is_killed:
            state.unlink(missing_ok=True)

    async def reload(self) -> str | None:
        """Reload the configuration, as SIGHUP does; return what is wrong with it."""
        problem = (await self._reloader.reload()).problem
        self.is_reloaded = problem is None
        self.loaded_at = self.loaded_at if problem else self.now
        return problem

    def excuse(self, seconds: float) -> None:
        """Let expositions of the next seconds be out of date."""
        for app in (*self.api.apps.values(), self.api.account):
            app.excuse_until(self.now + seconds)

    async def wait(self, seconds: float) -> None:
        """Let time pass; then the events come."""
        await asyncio.sleep(seconds)
        await self.events.send_due()

    async def scrape(self, *, accept: str = "text/plain", timeout_seconds: float = 10.0) -> Scraped:
        """Scrape as Prometheus does."""
        begun_at = self.now
        headers = {
            "Accept": accept,
            "X-Prometheus-Scrape-Timeout-Seconds": str(timeout_seconds),
        }
        answer = await self._client.get("/metrics", headers=headers)
        answer.raise_for_status()
        return Scraped(answer.text, begun_at, self.now)
