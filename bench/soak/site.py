"""Files of the exporter under soak: configuration, token, certificate and users."""

import base64
import json
import ssl

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bcrypt
import trustme


USER, PASSWORD = "prometheus", "a password for the soak"
TOKENS = ("simulated-first", "simulated-second")
BUDGET = 600
_MOST_RECORDINGS = 20
# Cost 10 is the default of htpasswd and of the exporter-toolkit's documentation.
_BCRYPT_COST = 10


def authorization(password: str = PASSWORD) -> dict[str, str]:
    """Return the header of a user with this *password*."""
    return {"Authorization": f"Basic {base64.b64encode(f'{USER}:{password}'.encode()).decode()}"}


@dataclass(slots=True)
class Site:
    """The files in *folder*; each is replaced as a whole, as operators and Kubernetes do."""

    folder: Path
    base_url: str
    meetings: tuple[str, ...]
    authority: trustme.CA = field(default_factory=trustme.CA)

    @property
    def config_file(self) -> Path:
        """The exporter's configuration."""
        return self.folder / "rk-exporter.yml"

    @property
    def log_file(self) -> Path:
        """The exporter's log."""
        return self.folder / "log"

    def write_all(self) -> None:
        """Write every file for the first time."""
        self.rotate_token(0)
        self.rotate_certificate()
        self.configure(0)
        password = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(_BCRYPT_COST)).decode()
        web = {
            "tls_server_config": {"cert_file": "server.crt", "key_file": "server.key"},
            "basic_auth_users": {USER: password},
        }
        self._replace("web.yml", json.dumps(web))

    def rotate_token(self, turn: int) -> None:
        """Write another token of the same Cloudflare user."""
        self._replace("token", TOKENS[turn % len(TOKENS)])

    def rotate_certificate(self) -> None:
        """Write a new key and certificate, one after the other: for a moment they do not match."""
        leaf = self.authority.issue_cert("127.0.0.1")
        self._replace("server.key", leaf.private_key_pem.bytes().decode())
        self._replace("server.crt", leaf.cert_chain_pems[0].bytes().decode())

    def configure(self, turn: int) -> None:
        """Write a configuration that differs from the one before in meetings and options."""
        apps = [self._app("first", self.meetings[turn % 3 :])]
        if turn % 4 == 1:
            apps.append(self._app("second", self.meetings[:2]))
        self._write_config({"apps": apps, "scrape": self._scrape(turn)})

    def misconfigure(self) -> None:
        """Write a configuration that must be refused."""
        self._write_config({"apps": [self._app("first", self.meetings) | {"read": "no"}]})

    def client_context(self) -> ssl.SSLContext:
        """Return the TLS settings of a client that trusts the authority."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    def _write_config(self, content: dict[str, Any]) -> None:
        always: dict[str, Any] = {
            "api": {"base_url": self.base_url},
            # So that a long soak does not grow by the recordings that end in it.
            "follow": {"max_recordings": _MOST_RECORDINGS},
            "state": {"file": str(self.folder / "state")},
            "web": {
                "listen_address": "127.0.0.1:0",
                "config_file": "web.yml",
                "enable_lifecycle": True,
                # Scrapes wait for calls that hang, and ten arrive every second.
                "max_requests": 200,
            },
        }
        self._replace(self.config_file.name, json.dumps(always | content))

    def _app(self, name: str, meetings: tuple[str, ...]) -> dict[str, Any]:
        return {
            "name": name,
            "account_id": "account",
            "app_id": name,
            "api_token_file": "token",
            "budget": BUDGET,
            "meetings": {"ids": list(meetings)},
        }

    @staticmethod
    def _scrape(turn: int) -> dict[str, str]:
        return {"min_interval": "1s", "stale_after": f"{5 + turn % 2}m"}

    def _replace(self, name: str, text: str) -> None:
        unfinished = self.folder / f".{name}.new"
        unfinished.write_text(text)
        unfinished.replace(self.folder / name)
