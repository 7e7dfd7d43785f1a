"""TLS contexts: mistakes in certificates and keys, and the clients that a context allows."""

import ipaddress
import ssl
import subprocess

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from rk_exporter.config.web_config import WebConfig, parse_web_config
from rk_exporter.config.web_values import CIPHER_SUITES
from rk_exporter.runtime.files import FileError
from rk_exporter.web.tls import Pems, server_context
from tests.support.programs import required_program
from tests.support.web_config import Pair, authority, client_context


FILES = "tls_server_config: {cert_file: server.crt, key_file: server.key"
CLIENTS = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt"
DAMAGED = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
NO_CERTIFICATE = "tls_server_config.cert_file: /d/server.crt has no valid certificate as PEM"
NO_KEY = "tls_server_config.key_file: /d/server.key has no private key as PEM"
OTHER_KEY = (
    "tls_server_config.key_file: /d/server.key does not belong to the certificate in cert_file"
)
ENCRYPTED = (
    "tls_server_config.key_file: /d/server.key is encrypted; store the key without a password"
)
WEAK = "tls_server_config.cert_file: /d/server.crt is refused by OpenSSL (ee key too small)"
NO_CA = "tls_server_config.client_ca_file: /d/ca.crt has no valid certificate as PEM"


def configured(more: str = "") -> WebConfig:
    return parse_web_config(Path("/d/web.yml"), f"{FILES}{more}}}".encode())


@cache
def pair() -> Pair:
    return authority().issue()


@cache
def other_pair() -> Pair:
    return authority().issue()


def pems(
    cert: bytes | None = None, key: bytes | None = None, client_ca: bytes | None = None
) -> Pems:
    cert = pair().cert if cert is None else cert
    return Pems(cert, pair().key if key is None else key, client_ca)


def openssl(*arguments: str) -> bytes:
    program = required_program("openssl", package="openssl")
    return subprocess.run([program, *arguments], check=True, capture_output=True).stdout


@cache
def weak() -> Pair:
    """Return a pair that OpenSSL does not accept on its usual level of security."""
    text = openssl(
        *("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "-", "-subj", "/CN=x")
    )
    key, _, cert = text.partition(b"-----BEGIN CERTIFICATE")
    return Pair(b"-----BEGIN CERTIFICATE" + cert, key)


UNUSABLE: dict[str, tuple[Callable[[], Pems], str]] = {
    "no certificate": (lambda: pems(cert=b""), NO_CERTIFICATE),
    "junk as certificate": (lambda: pems(cert=b"junk"), NO_CERTIFICATE),
    "damaged certificate": (lambda: pems(cert=DAMAGED), NO_CERTIFICATE),
    "key as certificate": (lambda: pems(cert=pair().key), NO_CERTIFICATE),
    "half a certificate": (lambda: pems(cert=pair().cert[:-60]), NO_CERTIFICATE),
    "no key": (lambda: pems(key=b""), NO_KEY),
    "junk as key": (lambda: pems(key=b"\0\xff"), NO_KEY),
    "certificate as key": (lambda: pems(key=pair().cert), NO_KEY),
    "half a key": (lambda: pems(key=pair().key[:100]), NO_KEY),
    "key of another": (lambda: pems(key=other_pair().key), OTHER_KEY),
    "encrypted key": (
        lambda: pems(key=openssl("genpkey", "-algorithm", "rsa", "-aes256", "-pass", "pass:x")),
        ENCRYPTED,
    ),
    "weak key": (lambda: pems(weak().cert, weak().key), WEAK),
    "no authority": (lambda: pems(client_ca=b""), NO_CA),
    "damaged authority": (lambda: pems(client_ca=DAMAGED), NO_CA),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_unusable(what: str) -> None:
    """The message names option and file, and nothing is asked at the terminal."""
    make, message = UNUSABLE[what]
    with pytest.raises(FileError) as caught:
        server_context(configured(CLIENTS), make())
    assert message == str(caught.value)


def test_inline() -> None:
    """The message about an inline key has no file."""
    config = parse_web_config(Path("web.yml"), b"tls_server_config: {cert: a, key: b}")
    with pytest.raises(FileError) as caught:
        server_context(config, pems(key=other_pair().key))
    expected = "tls_server_config.key: does not belong to the certificate in cert"
    assert expected == str(caught.value)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """Return the server's end after a handshake in memory; raise what either end raises."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        server.wrap_bio(up, down, server_side=True),
        client.wrap_bio(down, up, server_hostname="localhost"),
    ]
    waiting = list(ends)
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    if waiting:
        ends[0].do_handshake()
        ends[1].do_handshake()
    return ends[0]


def test_versions() -> None:
    """Only the configured versions are spoken; obsolete ones never are."""
    only_12 = server_context(configured(", max_version: TLS12"), pems())
    only_13 = server_context(configured(", min_version: TLS13"), pems())
    assert "TLSv1.2" == handshake(only_12, client_context()).version()
    assert "TLSv1.3" == handshake(only_13, client_context()).version()
    client = client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert "TLSv1.2" == handshake(server_context(configured(), pems()), client).version()
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        handshake(only_13, client)


def old_client(*ciphers: str) -> ssl.SSLContext:
    client = client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(":".join(ciphers))
    return client


def test_cipher_suites() -> None:
    """A client of TLS 1.2 gets a suite in the list, in the order of the server or its own."""
    names = [name for name in CIPHER_SUITES if "ECDSA" in name and "GCM" in name]
    one, other = (CIPHER_SUITES[name] or "" for name in names)
    listed = f", cipher_suites: [{', '.join(names)}]"
    server = server_context(configured(listed), pems())
    follows = server_context(configured(f"{listed}, prefer_server_cipher_suites: false"), pems())
    found = [
        (handshake(context, old_client(other, one)).cipher() or ("",))[0]
        for context in (server, follows)
    ]
    assert [one, other] == found
    with pytest.raises(ssl.SSLError, match="ALERT_HANDSHAKE_FAILURE"):
        handshake(server, old_client("ECDHE-ECDSA-CHACHA20-POLY1305"))


@pytest.mark.parametrize("name", [name for name, suite in CIPHER_SUITES.items() if suite])
def test_each_cipher_suite(name: str) -> None:
    """OpenSSL knows each suite, alone."""
    context = server_context(configured(f", cipher_suites: [{name}]"), pems())
    assert CIPHER_SUITES[name] in {cipher["name"] for cipher in context.get_ciphers()}


def test_only_suites_of_tls_13() -> None:
    """A list without suites for TLS 1.2 leaves TLS 1.3 only, or nothing."""
    listed = ", cipher_suites: [TLS_AES_128_GCM_SHA256]"
    context = server_context(configured(listed), pems())
    assert "TLSv1.3" == handshake(context, client_context()).version()
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        handshake(context, old_client("ECDHE-ECDSA-AES128-GCM-SHA256"))
    with pytest.raises(FileError, match=r"cipher_suites: has no cipher suite for TLS 1\.2"):
        server_context(configured(f"{listed}, max_version: TLS12"), pems())


@pytest.mark.parametrize("name", ["CurveP256", "CurveP384", "CurveP521", "X25519"])
def test_curve(name: str) -> None:
    """The one curve is used, and clients without it are refused."""
    server = server_context(configured(f", curve_preferences: [{name}]"), pems())
    handshake(server, client_context())
    client = client_context()
    client.set_ecdh_curve("X25519" if name != "X25519" else "prime256v1")
    with pytest.raises(ssl.SSLError):
        handshake(server, client)


def test_http_1_is_negotiated() -> None:
    """A client that offers HTTP/2 too learns that it must speak HTTP/1.1."""
    client = client_context()
    client.set_alpn_protocols(["h2", "http/1.1"])
    server = server_context(configured(), pems())
    assert "http/1.1" == handshake(server, client).selected_alpn_protocol()


def test_client_certificates(tmp_path: Path) -> None:
    """A client needs a certificate of the authority; optional ones are verified too."""
    required = server_context(configured(CLIENTS), pems(client_ca=authority().pem))
    optional = server_context(
        configured(", client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt"),
        pems(client_ca=authority().pem),
    )
    none = client_context()
    right = client_context(authority().issue("right"), folder=tmp_path)
    wrong = client_context(authority("other").issue("wrong"), folder=tmp_path)
    handshake(required, right)
    handshake(optional, right)
    handshake(optional, none)
    for server, client in ((required, none), (required, wrong), (optional, wrong)):
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
            handshake(server, client)


def test_self_signed_client(tmp_path: Path) -> None:
    """As in Go, a certificate in the file of authorities is trusted, whoever has signed it."""
    text = openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "-", "-subj", "/CN=x"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
    )
    key, _, cert = text.partition(b"-----BEGIN CERTIFICATE")
    own = Pair(b"-----BEGIN CERTIFICATE" + cert, key)
    server = server_context(configured(CLIENTS), pems(client_ca=own.cert))
    handshake(server, client_context(own, folder=tmp_path))
    # Not only the authority of a trusted certificate, but the certificate itself.
    issued = authority("other").issue("client")
    leaf, _, _ = issued.cert.partition(b"-----END CERTIFICATE-----\n")
    pinned = server_context(
        configured(CLIENTS), pems(client_ca=leaf + b"-----END CERTIFICATE-----\n")
    )
    handshake(pinned, client_context(issued, folder=tmp_path))


def test_system_authorities() -> None:
    """Without a file of authorities, those of the operating system count."""
    config = configured(", client_auth_type: RequireAndVerifyClientCert")
    context = server_context(config, pems())
    assert ssl.CERT_REQUIRED is context.verify_mode
    default = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    default.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    assert default.cert_store_stats() == context.cert_store_stats()


def certificate(*names: str) -> dict[str, object]:
    kinds = {"dns": "DNS", "email": "email", "uri": "URI", "ip": "IP Address", "x": "DirName"}
    pairs = [name.partition("=") for name in names]
    return {"subjectAltName": tuple((kinds[kind], name) for kind, _, name in pairs)}


@pytest.mark.parametrize(
    ("names", "is_allowed"),
    [
        (["dns=one"], True),
        (["dns=x", "dns=one"], True),
        (["email=a@b.example"], True),
        (["uri=spiffe://a/b"], True),
        (["ip=10.0.0.1"], True),
        (["ip=2001:DB8:0:0:0:0:0:1"], True),
        (["dns=ONE"], False),
        (["dns=one.two"], False),
        (["dns=*"], False),
        (["x=one"], False),
        (["ip=<invalid>"], False),
        (["ip=10.0.0.2"], False),
        ([], False),
    ],
)
def test_allowed_names(names: list[str], *, is_allowed: bool) -> None:
    """One name of the certificate must be in the list, exactly; IPv6 addresses in any form."""
    address = str(ipaddress.ip_address("2001:db8::1"))
    allowed = f"one, a@b.example, 'spiffe://a/b', 10.0.0.1, '{address}'"
    config = configured(f"{CLIENTS}, client_allowed_sans: [{allowed}]")
    context = server_context(config, pems(client_ca=authority().pem))
    assert is_allowed is context.allows(certificate(*names))


def test_no_names() -> None:
    """Without a list all certificates are allowed; with one, a client without a certificate not."""
    optional = ", client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt"
    content = pems(client_ca=authority().pem)
    assert server_context(configured(optional), content).allows(None)
    named = server_context(configured(f"{optional}, client_allowed_sans: [a]"), content)
    assert not named.allows(None)
    assert not named.allows({})


def test_private_key_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file with a key is written."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    server_context(configured(), pems())
    assert [] == [*tmp_path.iterdir()]
