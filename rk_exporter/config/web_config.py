"""
The file of `--web.config.file`: TLS, users, headers and a rate limit for the exporter's own server.

The format is that of Prometheus's exporter-toolkit, so a file for node_exporter works here too. An
option that cannot be honoured is an error: a server that ignores it would be less safe than its
operator believes.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rk_exporter.config import web_values
from rk_exporter.config.option import Option, declare, options_of
from rk_exporter.config.ranges import Counts
from rk_exporter.config.sources import ConfigError, ConfigSource
from rk_exporter.config.suggestions import unknown_option
from rk_exporter.config.web_values import ClientAuth, TlsVersion, Users
from rk_exporter.config.yaml_document import Document, parse_document
from rk_exporter.model.secret import Secret
from rk_exporter.runtime.files import FileError


_TLS = "tls_server_config"
_SECTIONS = (_TLS, "http_server_config", "basic_auth_users", "rate_limit")
# Each check of a password takes as long as its cost says: about 60 ms for 10, 2 s for 15.
_SLOW_COST = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """The content of a web configuration file; without one, all options have their defaults."""

    cert: Secret | None = declare(
        "Certificate of the server and its intermediate ones, as PEM.",
        Option(f"{_TLS}.cert", Secret, "PEM"),
    )
    cert_file: Path | None = declare(
        "File with the certificate of the server and its intermediate ones.",
        Option(f"{_TLS}.cert_file", Path, "PATH", example="server.crt", is_file=True),
    )
    key: Secret | None = declare(
        "Private key of the certificate, as PEM, not encrypted.",
        Option(f"{_TLS}.key", Secret, "PEM"),
    )
    key_file: Path | None = declare(
        "File with the private key of the certificate, not encrypted.",
        Option(f"{_TLS}.key_file", Path, "PATH", example="server.key", is_file=True),
    )
    client_auth: ClientAuth = declare(
        "Whether clients need a certificate.",
        Option(
            f"{_TLS}.client_auth_type",
            web_values.parse_client_auth,
            "|".join(ClientAuth),
            default=ClientAuth.NONE,
        ),
    )
    client_ca: Secret | None = declare(
        "Certificates of the authorities that issue certificates to clients, as PEM.",
        Option(f"{_TLS}.client_ca", Secret, "PEM"),
    )
    client_ca_file: Path | None = declare(
        "File with the certificates of the authorities that issue certificates to clients. Without "
        "one, the authorities of the operating system count.",
        Option(f"{_TLS}.client_ca_file", Path, "PATH", example="client-ca.crt", is_file=True),
    )
    client_allowed_sans: tuple[str, ...] = declare(
        "Allowed names. A client's certificate must have one of them as its subject alternative "
        "name: DNS name, e-mail address, IP address or URI.",
        Option(
            f"{_TLS}.client_allowed_sans",
            web_values.parse_names,
            "NAME",
            example="[prometheus.example.net]",
            is_list=True,
        ),
    )
    min_version: TlsVersion = declare(
        "Lowest version of TLS.",
        Option(
            f"{_TLS}.min_version",
            web_values.parse_tls_version,
            "|".join(TlsVersion),
            default=TlsVersion.TLS12,
        ),
    )
    max_version: TlsVersion = declare(
        "Highest version of TLS.",
        Option(
            f"{_TLS}.max_version",
            web_values.parse_tls_version,
            "|".join(TlsVersion),
            default=TlsVersion.TLS13,
        ),
    )
    cipher_suites: tuple[str, ...] = declare(
        "Cipher suites for TLS 1.2, by their names in Go; those of TLS 1.3 are always offered.",
        Option(
            f"{_TLS}.cipher_suites",
            web_values.parse_cipher_suites,
            "NAME",
            example="[TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]",
            is_list=True,
        ),
    )
    prefer_server_cipher_suites: bool = declare(
        "Whether the server's order of cipher suites counts, or else the client's.",
        Option(f"{_TLS}.prefer_server_cipher_suites", web_values.parse_yaml_switch, default="true"),
    )
    curve: str | None = declare(
        "The one elliptic curve for the key exchange.",
        Option(
            f"{_TLS}.curve_preferences",
            web_values.parse_curves,
            "NAME",
            example="[X25519]",
            is_list=True,
        ),
    )
    http2: bool = declare(
        "Accepted, but the server always speaks HTTP/1.1.",
        Option("http_server_config.http2", web_values.parse_yaml_switch, default="true"),
    )
    headers: Mapping[str, str] = declare(
        "Headers for all responses; each replaces the exporter's own.",
        Option(
            "http_server_config.headers",
            web_values.parse_headers,
            "MAPPING",
            example="{X-Frame-Options: deny}",
            is_mapping=True,
        ),
    )
    users: Users = declare(
        "Users who may read all paths, with the bcrypt hashes of their passwords. Without users, "
        "nobody needs a password.",
        Option(
            "basic_auth_users",
            web_values.parse_users,
            "MAPPING",
            example="{prometheus: $2y$10$...}",
            is_mapping=True,
        ),
    )
    rate_limit_interval_seconds: float = declare(
        "How often a request is allowed, on average; `0` is without a limit.",
        Option("rate_limit.interval", web_values.parse_go_duration, "GO_DURATION", default="0"),
    )
    rate_limit_burst: int = declare(
        "Number of requests that need no pause between them; required with `rate_limit.interval`.",
        Option("rate_limit.burst", Counts("0", "1000000000", "requests"), "N", default="0"),
    )
    has_tls: bool = False
    """Whether the file has a TLS section."""
    notes: tuple[str, ...] = ()
    """Hints for the operator that are not errors."""


WEB_OPTIONS = options_of(WebConfig)


def parse_web_config(path: Path, content: bytes) -> WebConfig:
    """
    Return the web configuration in the *content* of the file at *path*.

    The files that it names are not read. Raises ConfigError, whose message never repeats a secret.
    """
    try:
        document = parse_document(path, content)
        _check_sections(document)
    except FileError as error:
        raise ConfigError(str(error)) from None
    source = ConfigSource(document, {}, WEB_OPTIONS.values())
    values = {name: source.parse(option, option.path) for name, option in WEB_OPTIONS.items()}
    given = {name for name, option in WEB_OPTIONS.items() if source.has(option.path)}
    has_tls = any(WEB_OPTIONS[name].path.startswith(_TLS) for name in given)
    for name, message in _contradictions(values, given, has_tls=has_tls):
        if not source.is_wrong(WEB_OPTIONS[name].path):
            source.fail(WEB_OPTIONS[name].path, message)
    source.raise_problems()
    return WebConfig(has_tls=has_tls, notes=tuple(_notes(values, given)), **values)


def _check_sections(document: Document) -> None:
    """Refuse what the exporter's own configuration has and this file cannot have."""
    if document.content is None:
        return
    sections = ", ".join(_SECTIONS)
    if not isinstance(document.content, dict):
        raise FileError(document.problem("", f"expected a mapping with {sections}").text)
    if "apps" in document.content:
        raise FileError(document.problem("apps", unknown_option("apps", _SECTIONS)).text)


def _contradictions(
    values: Mapping[str, Any], given: Collection[str], *, has_tls: bool
) -> Iterator[tuple[str, str]]:
    """Return the name and the mistake of each value that does not fit the others."""
    if has_tls:
        yield from _contradictions_in_tls(values)
    if "client_allowed_sans" in given and not values["client_allowed_sans"]:
        yield "client_allowed_sans", "is empty; list at least one name, or remove the key"
    if values["rate_limit_interval_seconds"] and not values["rate_limit_burst"]:
        yield "rate_limit_burst", "must be at least 1, because 0 refuses every request"


def _contradictions_in_tls(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for file, inline in (("cert_file", "cert"), ("key_file", "key")):
        if not (values[file] or values[inline]):
            yield file, f"missing; TLS needs {file} or {inline}"
    for file, inline in (
        ("cert_file", "cert"),
        ("key_file", "key"),
        ("client_ca_file", "client_ca"),
    ):
        if values[file] and values[inline]:
            yield file, f"given together with {inline}; remove one of them"
    if values["client_auth"] is ClientAuth.NONE:
        for name in ("client_ca_file", "client_ca", "client_allowed_sans"):
            if values[name]:
                yield name, f"has no effect without client_auth_type: {ClientAuth.REQUIRED}"
    if values["min_version"] > values["max_version"]:
        yield "max_version", "must not be lower than min_version"


def _notes(values: Mapping[str, Any], given: Collection[str]) -> Iterator[str]:
    if "http2" in given and values["http2"]:
        yield "http_server_config.http2: the exporter speaks HTTP/1.1, also with TLS"
    has_authorities = values["client_ca_file"] or values["client_ca"]
    if values["client_auth"] is not ClientAuth.NONE and not has_authorities:
        yield (
            f"{_TLS}.client_ca_file is missing, so certificates of all authorities that the "
            "operating system trusts are accepted"
        )
    slow = sum(web_values.cost(secret) >= _SLOW_COST for secret in values["users"].hashes.values())
    if slow:
        yield (
            f"basic_auth_users: {slow} hashes have a cost of {_SLOW_COST} or more, so the first "
            "request with a password takes seconds; use a cost of 10 to 12"
        )
