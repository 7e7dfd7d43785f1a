"""Parsers for the values of a web configuration file; none repeats a secret in its message."""

import re

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from rk_exporter.config.parsers import choice, numbered, parse_items
from rk_exporter.config.suggestions import unknown_option
from rk_exporter.config.yaml_document import PlainValue
from rk_exporter.model.secret import Secret


T = TypeVar("T")


class ClientAuth(StrEnum):
    """Whether a client must present a certificate that is verified."""

    NONE = "NoClientCert"
    IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRED = "RequireAndVerifyClientCert"


class TlsVersion(StrEnum):
    """A version of TLS; higher ones compare as greater."""

    TLS12 = "TLS12"
    TLS13 = "TLS13"


_UNVERIFIED = frozenset({"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"})
_OBSOLETE_VERSIONS = frozenset({"TLS10", "TLS11"})
# The names in Go, and those in OpenSSL. None: part of TLS 1.3, which always offers it.
CIPHER_SUITES: dict[str, str | None] = {
    "TLS_AES_128_GCM_SHA256": None,
    "TLS_AES_256_GCM_SHA384": None,
    "TLS_CHACHA20_POLY1305_SHA256": None,
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
# Go itself calls these insecure; the last two have no forward secrecy or a broken cipher.
_INSECURE_CIPHER = re.compile(
    r"TLS_(?:RSA_WITH_.+|ECDHE_.+_(?:RC4_128_SHA|3DES_EDE_CBC_SHA|CBC_SHA256))"
)
CURVES = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
# The toolkit's table: other headers could break clients. Without values, any text is allowed.
HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_HEADER_VALUE = re.compile(r"[!-~](?:[\t -~]*[!-~])?")
# The 22nd letter of the salt has four bits that must be 0.
_BCRYPT_HASH = re.compile(
    r"\$2[abxy]\$(?P<cost>0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}"
)
_HASH_ADVICE = "must be a bcrypt hash; make one with `htpasswd -nBC 10 \"\" | tr -d ':\\n'`"
# exporter-toolkit's hash for unknown users. With another cost it belongs to no known password.
_NOBODY = "$2y${cost:02d}$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
_USUAL_COST = 10
# YAML 1.1, as Go's parser reads it.
_TRUE = frozenset({"y", "yes", "true", "on"})
_FALSE = frozenset({"n", "no", "false", "off"})
_GO_DURATION = re.compile(
    r"(?:(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})(?:ns|us|µs|μs|ms|s|m|h))+", re.ASCII
)
_GO_PART = re.compile(r"([\d.]+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_GO_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}


def parse_client_auth(text: str) -> ClientAuth:
    """Return the policy for certificates of clients."""
    if text in _UNVERIFIED:
        raise ValueError(
            "accepts certificates that nobody has verified, which the exporter cannot do; use "
            f"{ClientAuth.REQUIRED} or {ClientAuth.IF_GIVEN}"
        )
    return ClientAuth(choice(*ClientAuth)(text))


def parse_tls_version(text: str) -> TlsVersion:
    """Return a version of TLS that is still secure."""
    if text in _OBSOLETE_VERSIONS:
        raise ValueError("is obsolete and insecure (RFC 8996); use TLS12 or TLS13")
    return TlsVersion(choice(*TlsVersion)(text))


def parse_names(items: Sequence[PlainValue]) -> tuple[str, ...]:
    """Return the names in a list."""
    return _each(items, lambda name: name)


def parse_cipher_suites(items: Sequence[PlainValue]) -> tuple[str, ...]:
    """Return the cipher suites, by their names in Go, in the order of the list."""

    def parse(name: str) -> str:
        if name in CIPHER_SUITES:
            return name
        if _INSECURE_CIPHER.fullmatch(name):
            raise ValueError(f"{name} is insecure; remove it")
        raise ValueError(f"unknown cipher suite; {_expected(name, CIPHER_SUITES)}")

    return _each(items, parse)


def parse_curves(items: Sequence[PlainValue]) -> str | None:
    """Return the only curve in a list, by its name in OpenSSL."""

    def parse(name: str) -> str:
        if name not in CURVES:
            raise ValueError(f"unknown curve; {_expected(name, CURVES)}")
        return CURVES[name]

    curves = _each(items, parse)
    if len(curves) > 1:
        raise ValueError(
            "Python can restrict TLS to one curve only; keep one, or remove the key so that all "
            "secure curves are offered"
        )
    return curves[0] if curves else None


def parse_yaml_switch(text: str) -> bool:
    """Return whether a switch is on, by the words that YAML has for it."""
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError("must be true or false")


def parse_go_duration(text: str) -> float:
    """Return the seconds of a duration in Go's format, e.g. 1s, 1.5s, 100ms or 1m30s."""
    if text == "0":
        return 0.0
    if not _GO_DURATION.fullmatch(text):
        raise ValueError("invalid duration; write e.g. 1s, 100ms or 1m30s")
    return sum(float(number) * _GO_SECONDS[unit] for number, unit in _GO_PART.findall(text))


def parse_headers(mapping: dict[str, PlainValue]) -> dict[str, str]:
    """Return the headers in a mapping that have a value."""

    def parse(name: str, value: PlainValue) -> str:
        if name not in HEADERS:
            raise ValueError(f"this header cannot be configured; {_expected(name, HEADERS)}")
        allowed = HEADERS[name]
        if not isinstance(value, str) or (allowed and value not in allowed):
            raise ValueError(f"must be {' or '.join(allowed) if allowed else 'text'}")
        if value and not _HEADER_VALUE.fullmatch(value):
            raise ValueError("must be printable ASCII in one line")
        return value

    given = {name: value for name, value in mapping.items() if value is not None}
    return {name: value for name, value in _values(given, parse).items() if value}


@dataclass(frozen=True, slots=True)
class Users:
    """Users with the bcrypt hashes of their passwords."""

    hashes: Mapping[bytes, Secret]
    nobody: Secret
    """The hash for unknown users; a check takes as long as with the slowest hash of a user."""

    def __bool__(self) -> bool:
        return bool(self.hashes)

    @classmethod
    def of(cls, hashes: Mapping[bytes, Secret]) -> "Users":
        """Return the users with these *hashes*."""
        slowest = max(map(cost, hashes.values()), default=_USUAL_COST)
        return cls(hashes, Secret(_NOBODY.format(cost=slowest)))


def parse_users(mapping: dict[str, PlainValue]) -> Users:
    """Return the users in a mapping of their names to bcrypt hashes."""

    def parse(name: str, value: PlainValue) -> Secret:
        if ":" in name:
            raise ValueError("the name of a user cannot contain a colon; use another name")
        # Without the text: people paste the password itself here.
        if not isinstance(value, str) or not _BCRYPT_HASH.fullmatch(value):
            raise ValueError(_HASH_ADVICE)
        return Secret(value)

    return Users.of({name.encode(): value for name, value in _values(mapping, parse).items()})


def cost(bcrypt_hash: Secret) -> int:
    """Return the cost of a valid bcrypt hash; each step doubles the time for a check."""
    match = _BCRYPT_HASH.fullmatch(bcrypt_hash.reveal())
    if match is None:
        raise ValueError(_HASH_ADVICE)
    return int(match["cost"])


def _each(items: Sequence[PlainValue], parse: Callable[[str], str]) -> tuple[str, ...]:
    def parse_item(item: PlainValue) -> str:
        if not isinstance(item, str) or not item:
            raise ValueError("expected text")
        return parse(item)

    return tuple(parse_items(numbered(items), parse_item))


def _values(
    mapping: Mapping[str, PlainValue], parse: Callable[[str, PlainValue], T]
) -> dict[str, T]:
    items = ((f".{name}", (name, value)) for name, value in mapping.items())
    return dict(parse_items(items, lambda item: (item[0], parse(*item))))


def _expected(name: str, known: dict[str, T]) -> str:
    return unknown_option(name, [*known]).partition("; ")[2]
