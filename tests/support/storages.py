"""An account whose files are served by TLS, and an exporter process that verifies downloads."""

import time

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import trustme

from rk_exporter.simulator import Recording, ScriptedScenario, Simulator
from tests.support.processes import listening_lines, started, url_in
from tests.support.serving import served


IDS = ("--account-id", "account", "--app-id", "app", "--meeting-id", "weekly")
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Storage:
    """A simulator, the URLs of its API and its files, and the authority of its certificate."""

    simulator: Simulator
    api: str
    files: str
    authority: Path

    @property
    def host(self) -> str:
        """Return the host of the files, with its port."""
        return self.files.removeprefix("https://")


def finished(now: float | None = None, **details: Any) -> Recording:
    """Return a recording that was uploaded an hour ago."""
    begin = (time.time() if now is None else now) - 3700.0
    moments = {"invoked_at": begin, "started_at": begin + 2, "stopped_at": begin + 80}
    return Recording.scripted(
        "weekly",
        **{**moments, "uploaded_at": begin + 100, "id": "r-1", **details},
    )


def self_signed(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """Write a certificate with its key, and the authority that issued it; return the paths."""
    authority = trustme.CA()
    certificate = folder / "server.pem"
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    return certificate, folder / "authority.pem"


@contextmanager
def storage(
    folder: Path, *recordings: Recording, certified: str = "localhost", **switches: Any
) -> Iterator[Storage]:
    """Serve an account with *recordings*, and its files with a certificate for *certified*."""
    path, authority = self_signed(folder, certified)
    scenario = ScriptedScenario(meetings=["weekly"], recordings=recordings)
    simulator = Simulator(scenario, rate_limit=0, **switches)
    with served(simulator) as api, served(simulator, certificate=path) as files:
        simulator.settings = simulator.settings.changed("files_url", files)
        yield Storage(simulator, f"{api}/client/v4", files, authority)


VERIFY = ("--downloads.verify",)


def allowing(storage: Storage) -> tuple[str, ...]:
    """Return the options that allow the downloads of a *storage* on this machine."""
    hosts = ("--downloads.allowed-hosts", storage.host)
    return (*VERIFY, *hosts, "--downloads.allow-private-addresses")


@contextmanager
def exporting(storage: Storage, *arguments: str) -> Iterator[tuple[str, Popen[str]]]:
    """Run an exporter of the account with *arguments*, and give its URL and its process."""
    environment = {
        "CLOUDFLARE_API_TOKEN": "simulated",
        "RK_API_BUDGET": "100000",
        "RK_SCRAPE_MIN_INTERVAL": "0s",
        "SSL_CERT_FILE": str(storage.authority),
    }
    with started(
        *("serve", *IDS, "--api.base-url", storage.api, "--web.listen-address", "127.0.0.1:0"),
        *arguments,
        environment=environment,
    ) as process:
        yield url_in(listening_lines(process)[0]), process


def scrape_until(url: str, is_reached: Callable[[str], object]) -> str:
    """Scrape *url* until an exposition fulfils the condition, and return that."""
    deadline, text = time.monotonic() + PATIENCE_SECONDS, ""
    while time.monotonic() < deadline:
        text = httpx.get(f"{url}/metrics", timeout=30).text
        if is_reached(text):
            return text
    raise AssertionError(text)
