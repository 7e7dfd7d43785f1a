"""Web configurations for tests: certificates, hashes of passwords, and files."""

import base64
import json
import ssl

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import bcrypt
import trustme


USER, PASSWORD = "prometheus", "canary-7d21c5"


@cache
def bcrypt_hash(password: str = PASSWORD, cost: int = 4) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


def authorization(user: str = USER, password: str = PASSWORD) -> str:
    """Return the header that httpx and curl send."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority that issues certificates."""

    ca: trustme.CA

    @property
    def pem(self) -> bytes:
        return self.ca.cert_pem.bytes()

    def issue(self, *names: str) -> "Pair":
        cert = self.ca.issue_cert(*(names or ("localhost", "127.0.0.1")))
        chain = b"".join(blob.bytes() for blob in cert.cert_chain_pems)
        return Pair(chain, cert.private_key_pem.bytes())


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    cert: bytes
    key: bytes

    def write(self, folder: Path, name: str = "server") -> None:
        (folder / f"{name}.crt").write_bytes(self.cert)
        (folder / f"{name}.key").write_bytes(self.key)


@cache
def authority(name: str = "first") -> Authority:
    """Return an authority; making one takes time, so tests share those of the same *name*."""
    return Authority(trustme.CA(organization_name=name))


def client_context(
    client: Pair | None = None, *, trusts: Authority | None = None, folder: Path | None = None
) -> ssl.SSLContext:
    """Return the TLS of a client that trusts an authority and may present a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=(trusts or authority()).pem.decode())
    if client is not None and folder is not None:
        client.write(folder, "client")
        context.load_cert_chain(folder / "client.crt", folder / "client.key")
    return context


TLS_FILES: dict[str, Any] = {"cert_file": "server.crt", "key_file": "server.key"}
CLIENT_CERTIFICATES: dict[str, Any] = {
    **TLS_FILES,
    "client_auth_type": "RequireAndVerifyClientCert",
    "client_ca_file": "client-ca.crt",
}


def write_web_config(
    folder: Path, *, tls: dict[str, Any] | None = None, pair: Pair | None = None, **sections: Any
) -> Path:
    """
    Write a web configuration and the files that its TLS section names; return its path.

    JSON is YAML.
    """
    if tls is not None:
        sections["tls_server_config"] = tls
        (pair or authority().issue()).write(folder)
        (folder / "client-ca.crt").write_bytes(authority().pem)
    path = folder / "web.yml"
    path.write_text(json.dumps(sections))
    return path
