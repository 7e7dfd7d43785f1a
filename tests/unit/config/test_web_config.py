"""The parser of web configuration files: what exporter-toolkit accepts, and what we refuse."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.config.sources import ConfigError
from rk_exporter.config.web_config import WEB_OPTIONS, WebConfig, parse_web_config
from rk_exporter.config.web_values import CIPHER_SUITES, HEADERS, ClientAuth, TlsVersion, cost
from rk_exporter.runtime.printable import visible
from tests.support.web_config import bcrypt_hash


FILE = Path("/etc/rk-exporter/web.yml")
CANARY = "canary-93ab1e"
HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
PAIR = "cert_file: server.crt, key_file: server.key"
# As in the documentation of exporter-toolkit, with every field that works in Python.
COMPLETE = f"""\
tls_server_config:
  cert_file: server.crt
  key_file: /etc/ssl/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ../ca.crt
  client_allowed_sans: [prometheus.example.net, 10.0.0.1]
  min_version: TLS12
  max_version: "TLS13"
  cipher_suites:
    - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    - TLS_AES_128_GCM_SHA256
  prefer_server_cipher_suites: no
  curve_preferences: [X25519]
http_server_config:
  http2: false
  headers:
    Content-Security-Policy: "default-src 'self'"
    X-Frame-Options: deny
    X-XSS-Protection: 1
basic_auth_users:
  alice: {HASH}
  "b.o[b]": {HASH}
rate_limit:
  interval: 1m1.5s
  burst: 20
"""


def parsed(text: str) -> WebConfig:
    return parse_web_config(FILE, text.encode())


def error_of(text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_web_config(FILE, text if isinstance(text, bytes) else text.encode())
    assert CANARY not in str(caught.value)
    return str(caught.value)


def test_complete() -> None:
    """Every field has its value, and paths are relative to the file."""
    config = parsed(COMPLETE)
    folder = Path("/etc/rk-exporter")
    assert (folder / "server.crt", Path("/etc/ssl/server.key"), folder / "../ca.crt") == (
        config.cert_file,
        config.key_file,
        config.client_ca_file,
    )
    assert config.has_tls
    assert config.client_auth is ClientAuth.REQUIRED
    assert ("prometheus.example.net", "10.0.0.1") == config.client_allowed_sans
    assert (TlsVersion.TLS12, TlsVersion.TLS13) == (config.min_version, config.max_version)
    assert ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256") == (
        config.cipher_suites
    )
    assert (False, "X25519", False) == (
        config.prefer_server_cipher_suites,
        config.curve,
        config.http2,
    )
    assert {
        "Content-Security-Policy": "default-src 'self'",
        "X-Frame-Options": "deny",
        "X-XSS-Protection": "1",
    } == config.headers
    assert {b"alice", b"b.o[b]"} == {*config.users.hashes}
    assert HASH == config.users.hashes[b"alice"].reveal()
    assert (61.5, 20) == (config.rate_limit_interval_seconds, config.rate_limit_burst)
    assert config.notes == ()


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "tls_server_config:\n", "{}", "rate_limit: {}"]
)
def test_empty(text: str) -> None:
    """An empty file is valid and changes nothing, as in exporter-toolkit."""
    config = parsed(text)
    assert (False, False, {}, 0) == (
        config.has_tls,
        bool(config.users),
        config.headers,
        config.rate_limit_interval_seconds,
    )
    assert config.prefer_server_cipher_suites
    assert (TlsVersion.TLS12, TlsVersion.TLS13) == (config.min_version, config.max_version)


def test_inline() -> None:
    """PEM texts can take the place of files."""
    config = parsed(
        "tls_server_config:\n  cert: |\n    one\n    two\n  key: three\n  client_ca: four\n"
        "  client_auth_type: VerifyClientCertIfGiven\n"
    )
    texts = [config.cert, config.key, config.client_ca]
    assert ["one\ntwo\n", "three", "four"] == [text.reveal() for text in texts if text]


BAD = {
    # The fixtures of exporter-toolkit, and their neighbours.
    "- a": ":1: expected a mapping with tls_server_config, ",
    "junk": ":1: expected a mapping with tls_server_config, ",
    "tls_server_config: [": ": not YAML",
    "tls_server_config: junk": ":1: tls_server_config: expected a mapping",
    "tls_server_config: {cert_filse: a}": "cert_filse: unknown option; did you mean cert_file?",
    "apps: []": ":1: apps: unknown option; ",
    "account_id: a": "account_id: unknown option; ",
    "rate_limit: {}\nrate_limit: {}": ":2: rate_limit: duplicate key",
    "basic_auth_users: {a: &x b, c: *x}": ":1: basic_auth_users.c: aliases are not allowed",
    "tls_server_config: {cert_file: '', key_file: b}": "cert_file: expected the path of a file",
    "tls_server_config: {cert: '', key_file: b}": "cert_file: missing; TLS needs cert_file or cert",
    "tls_server_config: {cert_file: a, key: ''}": "key_file: missing; TLS needs key_file or key",
    "tls_server_config: {min_version: TLS13}": "cert_file: missing",
    f"tls_server_config: {{{PAIR}, cert: x}}": "cert_file: given together with cert",
    f"tls_server_config: {{{PAIR}, client_ca_file: c}}": (
        "client_ca_file: has no effect without client_auth_type: RequireAndVerifyClientCert"
    ),
    f"tls_server_config: {{{PAIR}, client_allowed_sans: [a]}}": "has no effect without",
    f"tls_server_config: {{{PAIR}, client_allowed_sans: []}}": "client_allowed_sans: is empty",
    f"tls_server_config: {{{PAIR}, client_allowed_sans: a}}": "allowed_sans: expected a list",
    f"tls_server_config: {{{PAIR}, client_allowed_sans: [{{a: b}}]}}": (
        "client_allowed_sans[0]: expected text"
    ),
    f"tls_server_config: {{{PAIR}, client_auth_type: RequireAnyClientCert}}": (
        "client_auth_type: accepts certificates that nobody has verified, which the exporter "
        "cannot do; use RequireAndVerifyClientCert or VerifyClientCertIfGiven"
    ),
    f"tls_server_config: {{{PAIR}, client_auth_type: RequireClientCert}}": "nobody has verified",
    f"tls_server_config: {{{PAIR}, client_auth_type: RequestClientCert}}": "nobody has verified",
    f"tls_server_config: {{{PAIR}, client_auth_type: none}}": "invalid value 'none'; use NoClient",
    f"tls_server_config: {{{PAIR}, min_version: TLS111}}": "min_version: invalid value 'TLS111'",
    f"tls_server_config: {{{PAIR}, min_version: TLS10}}": "obsolete and insecure (RFC 8996)",
    f"tls_server_config: {{{PAIR}, max_version: TLS11}}": "max_version: is obsolete",
    f"tls_server_config: {{{PAIR}, min_version: TLS13, max_version: TLS12}}": (
        "max_version: must not be lower than min_version"
    ),
    f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]}}": (
        "cipher_suites[0]: TLS_RSA_WITH_AES_128_CBC_SHA is insecure; remove it"
    ),
    f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_2048]}}": (
        "cipher_suites[0]: unknown cipher suite; did you mean "
    ),
    f"tls_server_config: {{{PAIR}, curve_preferences: [CurveP257]}}": (
        "curve_preferences[0]: unknown curve; did you mean CurveP256?"
    ),
    f"tls_server_config: {{{PAIR}, curve_preferences: [CurveP256, X25519]}}": (
        "curve_preferences: Python can restrict TLS to one curve only; keep one"
    ),
    f"tls_server_config: {{{PAIR}, prefer_server_cipher_suites: 2}}": "must be true or false",
    "http_server_config: {http2: maybe}": "http2: must be true or false",
    "http_server_config: {headers: {Content-Type: a}}": (
        "headers.Content-Type: this header cannot be configured; did you mean"
    ),
    "http_server_config: {headers: {X-Frame-Options: DENY}}": "must be deny or sameorigin",
    "http_server_config: {headers: {X-Content-Type-Options: x}}": "must be nosniff",
    "http_server_config: {headers: {X-XSS-Protection: [1]}}": "must be text",
    'http_server_config: {headers: {X-XSS-Protection: "1\\r\\nSet-Cookie: a"}}': "in one line",
    "http_server_config: {headers: {Content-Security-Policy: ä}}": "printable ASCII",
    "http_server_config: {headers: []}": "headers: expected a mapping",
    f"basic_auth_users: {{john: {CANARY}}}": "basic_auth_users.john: must be a bcrypt hash",
    "basic_auth_users: {john: }": "basic_auth_users.john: must be a bcrypt hash",
    f"basic_auth_users: {{john: {HASH[:-1]}}}": "must be a bcrypt hash",
    f"basic_auth_users: {{john: {HASH}x}}": "must be a bcrypt hash",
    f"basic_auth_users: {{john: {HASH.replace('$10$', '$03$')}}}": "must be a bcrypt hash",
    f"basic_auth_users: {{john: {HASH.replace('$10$', '$32$')}}}": "must be a bcrypt hash",
    f"basic_auth_users: {{john: [{HASH}]}}": "must be a bcrypt hash",
    f"basic_auth_users: {{'a:b': {HASH}}}": "cannot contain a colon",
    "basic_auth_users: ''": "basic_auth_users: expected a mapping",
    "basic_auth_users: []": "basic_auth_users: expected a mapping",
    f"basic_auth_users: [{HASH}]": "basic_auth_users: expected a mapping",
    "rate_limit: {interval: 1}": "interval: invalid duration; write e.g. 1s, 100ms or 1m30s",
    "rate_limit: {interval: -1s, burst: 1}": "interval: invalid duration",
    "rate_limit: {interval: 1d, burst: 1}": "interval: invalid duration",
    "rate_limit: {interval: 1s}": "burst: must be at least 1, because 0 refuses every request",
    "rate_limit: {interval: 1s, burst: 0}": "burst: must be at least 1",
    "rate_limit: {interval: 1s, burst: many}": "burst: must be a whole number",
    "rate_limit: {interval: 1s, burst: -1}": "burst: must be between 0 and",
}


@pytest.mark.parametrize("text", BAD)
def test_refused(text: str) -> None:
    """A mistake is refused by the name of its field, with the file and what would be right."""
    message = error_of(text)
    assert f"{FILE}:" in message
    assert BAD[text] in message, message


def test_all_mistakes_are_listed() -> None:
    """One message lists all mistakes with their lines."""
    message = error_of("tls_server_config:\n  cert_fil: a\nrate_limit:\n  brust: 1\n")
    assert "web.yml:2: tls_server_config.cert_fil: unknown" in message
    assert "web.yml:4: rate_limit.brust: unknown" in message


@pytest.mark.parametrize("variant", "abxy")
def test_variants_of_bcrypt(variant: str) -> None:
    """All variants of the hash are accepted, as other programs write them."""
    config = parsed(f"basic_auth_users: {{a: {HASH.replace('$2y$', f'$2{variant}$')}}}")
    assert 10 == cost(config.users.hashes[b"a"])


def test_unknown_users_take_as_long_as_the_slowest() -> None:
    """The hash for unknown users has the highest cost of a user."""
    one, other = bcrypt_hash(cost=4), bcrypt_hash(cost=6)
    config = parsed(f"basic_auth_users: {{a: {one}, b: {other}, c: {one}}}")
    assert 6 == cost(config.users.nobody)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("http_server_config: {http2: true}", "the exporter speaks HTTP/1.1"),
        (
            f"tls_server_config: {{{PAIR}, client_auth_type: VerifyClientCertIfGiven}}",
            "client_ca_file is missing, so certificates of all authorities",
        ),
        (f"basic_auth_users: {{a: {HASH.replace('$10$', '$15$')}}}", "1 hashes have a cost of 15"),
    ],
)
def test_notes(text: str, note: str) -> None:
    """What works in another way than its operator may believe is said, but is no error."""
    (said,) = parsed(text).notes
    assert note in said


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("1s", 1),
        ("1.5s", 1.5),
        (".5m", 30),
        ("1h1m1s", 3661),
        ("250µs", 25e-5),
    ],
)
def test_go_durations(text: str, seconds: float) -> None:
    """Durations are written as in Go."""
    config = parsed(f"rate_limit: {{interval: {text}, burst: 1}}")
    assert config.rate_limit_interval_seconds == pytest.approx(seconds)


def test_secrets_are_not_shown() -> None:
    """Neither keys nor hashes appear in the text of a configuration."""
    shown = repr(parsed(f"tls_server_config: {{cert: {CANARY}, key: {CANARY}}}\n" + USERS))
    assert CANARY not in shown
    assert HASH not in shown


USERS = f"basic_auth_users: {{alice: {HASH}}}\n"
_words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1)
_known = {part for option in WEB_OPTIONS.values() for part in option.path.split(".")} | {*HEADERS}
_places: list[tuple[str, ...]] = [
    (),
    ("tls_server_config",),
    ("http_server_config",),
    ("http_server_config", "headers"),
    ("rate_limit",),
]


@given(st.sampled_from(_places), _words.filter(lambda word: word not in _known))
def test_unknown_keys(place: tuple[str, ...], key: str) -> None:
    """Whatever an unknown key is called and wherever it is, it is refused by its name."""
    document: Any = {key: "x"}
    for section in reversed(place):
        document = {section: document}
    message = error_of(yaml.safe_dump(document, allow_unicode=True))
    assert visible(".".join([*place, key])[:80]) in message
    assert "unknown option" in message or "cannot be configured" in message


@given(st.binary(max_size=300))
def test_any_bytes(content: bytes) -> None:
    """No content ends in anything but a configuration or a ConfigError of printable text."""
    try:
        parse_web_config(FILE, content)
    except ConfigError as error:
        assert str(error).replace("\n", "").isprintable()


_scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(HASH)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(sorted(_known)) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(sorted(WEB_OPTIONS[name].path for name in WEB_OPTIONS)), _values
    )
)
def test_any_values(values: dict[str, Any]) -> None:
    """No value of a known option ends in anything but a configuration or a ConfigError."""
    document: dict[str, Any] = {}
    for path, value in values.items():
        inner = document
        *sections, key = path.split(".")
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[key] = value
    try:
        config = parse_web_config(FILE, yaml.safe_dump(document).encode())
    except ConfigError as error:
        assert HASH not in str(error)
    else:
        assert not config.has_tls or (config.cert_file or config.cert)


def test_every_cipher_suite_and_header_is_accepted() -> None:
    """All names that are documented can be used."""
    suites = ", ".join(CIPHER_SUITES)
    headers = ", ".join(f"{name}: {(*allowed, 'x')[0]}" for name, allowed in HEADERS.items())
    config = parsed(
        f"tls_server_config: {{{PAIR}, cipher_suites: [{suites}]}}\n"
        f"http_server_config: {{headers: {{{headers}}}}}"
    )
    assert tuple(CIPHER_SUITES) == config.cipher_suites
    assert {*HEADERS} == {*config.headers}
