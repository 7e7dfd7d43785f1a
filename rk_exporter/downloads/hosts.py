"""Which hosts a download URL may name."""

import re

from collections.abc import Iterable
from dataclasses import dataclass

from rk_exporter.model.secret import Secret


DEFAULT_ALLOWED_HOSTS = (
    # Cloudflare R2, where RealtimeKit keeps recordings, and Google, where tracks were seen.
    "r2.cloudflarestorage.com",
    "storage.googleapis.com",
    # Amazon S3. The whole of amazonaws.com would include the machines of its customers.
    "s3.amazonaws.com",
    "s3.*.amazonaws.com",
    "s3.dualstack.*.amazonaws.com",
    "s3-accelerate.amazonaws.com",
    "s3.*.amazonaws.com.cn",
    "blob.core.windows.net",
    "digitaloceanspaces.com",
)
"""The storages that RealtimeKit can write to; a `*` is any one label."""
HTTPS_PORT = 443
_LARGEST_PORT = 65535
_OF_URLS = frozenset("/@?")
_LONGEST_HOST = 253
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_PATTERN = re.compile(
    rf"(?P<host>(?:\*|{_LABEL})(?:\.(?:\*|{_LABEL}))*)(?::(?P<port>[0-9]{{1,5}}))?"
)
# No user, password or fragment, no address in brackets, no percent-encoded host, no character
# that is not printable ASCII. What parsers read in different ways is refused.
_URL = re.compile(
    rf"https://(?P<host>{_HOST})(?::(?P<port>\d{{1,5}}))?(?P<target>[/?][!\"$-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,
)


class RefusedHost(Exception):
    """A URL that is not requested, because of its host or its form; it is not in the message."""


@dataclass(frozen=True, slots=True)
class HostPattern:
    """
    The hosts whose last labels are *labels*, at one *port*.

    A single label is one host, e.g. `minio`: as the end of others, `com` would allow half the
    internet.
    """

    labels: tuple[str, ...]
    port: int = HTTPS_PORT

    def matches(self, host: str, port: int) -> bool:
        """Return whether *host* is one of them, or a part of one."""
        parts = host.split(".")
        last = parts[-len(self.labels) :]
        return (
            port == self.port
            and len(last) == len(self.labels)
            and (len(self.labels) > 1 or len(parts) == 1)
            and all(wanted in {"*", label} for wanted, label in zip(self.labels, last, strict=True))
        )


def parse_pattern(text: str) -> HostPattern:
    """Return the pattern that *text* is, e.g. `files.example.com:8443`, or raise ValueError."""
    match = _PATTERN.fullmatch(text.lower())
    port = int(match["port"] or HTTPS_PORT) if match else 0
    if not match or not 0 < port <= _LARGEST_PORT or len(match["host"]) > _LONGEST_HOST:
        # A URL may contain a password.
        shown = f" {text[:40]!r}" if not _OF_URLS.intersection(text) else ""
        raise ValueError(
            f"invalid host{shown}; write e.g. files.example.com or files.example.com:8443"
        )
    labels = tuple(match["host"].split("."))
    if labels[-1] == "*" or (len(labels) > 1 and labels[:-1] == ("*",) * (len(labels) - 1)):
        raise ValueError(
            f"{text[:40]!r} would allow too many hosts; write more of the end, e.g. example.com"
        )
    return HostPattern(labels, port)


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadRules:
    """Which *hosts* downloads may name, and whether their addresses may be private."""

    hosts: tuple[HostPattern, ...]
    allow_private_addresses: bool = False


def download_rules(
    more_hosts: Iterable[HostPattern] = (), *, allow_private_addresses: bool = False
) -> DownloadRules:
    """Return the rules that allow the usual storages and *more_hosts*."""
    hosts = (*map(parse_pattern, DEFAULT_ALLOWED_HOSTS), *more_hosts)
    return DownloadRules(hosts=hosts, allow_private_addresses=allow_private_addresses)


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """Where to send a request: the *path* has the signature, so it is never shown."""

    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        """Return the header Host, which is part of what a URL's signature covers."""
        return self.host if self.port == HTTPS_PORT else f"{self.host}:{self.port}"


def parse_target(url: Secret, rules: DownloadRules) -> Target:
    """Return where *url* leads, or raise RefusedHost."""
    match = _URL.fullmatch(url.reveal())
    if not match:
        raise RefusedHost("the URL has a form that is not requested")
    host, port = match["host"].lower(), int(match["port"] or HTTPS_PORT)
    if len(host) > _LONGEST_HOST or not 0 < port <= _LARGEST_PORT:
        raise RefusedHost("the URL has no valid host")
    if not any(pattern.matches(host, port) for pattern in rules.hosts):
        raise RefusedHost("the host is not in downloads.allowed_hosts")
    path = match["target"] or "/"
    return Target(host, port, path if path.startswith("/") else f"/{path}")
