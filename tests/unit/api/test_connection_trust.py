"""Which authorities are trusted: a company's own works where it works for curl."""

import asyncio
import shutil
import ssl
import subprocess

from pathlib import Path

import certifi
import httpx
import pytest
import trustme

from rk_exporter.api import connection_setup
from rk_exporter.api.connection_setup import SetupError, client_factory
from rk_exporter.model.errors import TlsFailed
from rk_exporter.runtime.files import FileHangs
from tests.support.api_client import MEETING, NOTHING, client_of
from tests.support.fault_server import FaultServer, answer


COMPANY = trustme.CA()
OPENSSL = shutil.which("openssl")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Choose no authorities, and have none in the system's bundles."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(connection_setup, "SYSTEM_BUNDLES", ())
    return monkeypatch


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a file with the company's authority."""
    path = tmp_path / "company.pem"
    COMPANY.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def folder(bundle: Path, tmp_path: Path) -> Path:
    """Return a folder with the company's authority, as `openssl rehash` makes it."""
    if OPENSSL is None:
        pytest.skip("openssl is not installed")
    command = [OPENSSL, "x509", "-noout", "-subject_hash", "-in", str(bundle)]
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    folder = tmp_path / "certs"
    folder.mkdir()
    shutil.copy(bundle, folder / f"{name}.0")
    return folder


def is_trusted() -> bool:
    """Return whether a server with a certificate of the company is trusted."""

    async def run() -> bool:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        COMPANY.issue_cert("127.0.0.1").configure_cert(context)
        server = FaultServer()
        server.script(MEETING, answer())
        async with server.running(context), client_of(server.url) as client:
            try:
                return await client.call() == NOTHING
            except TlsFailed:
                return False

    return asyncio.run(run())


def test_unknown_authority() -> None:
    """An authority that is nowhere is not trusted."""
    assert not is_trusted()


def test_file(bundle: Path, environment: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE names a file with the trusted authorities."""
    environment.setenv("SSL_CERT_FILE", str(bundle))
    assert is_trusted()


def test_folder(folder: Path, environment: pytest.MonkeyPatch) -> None:
    """SSL_CERT_DIR names a folder with the trusted authorities."""
    environment.setenv("SSL_CERT_DIR", str(folder))
    assert is_trusted()


def test_several_folders(folder: Path, tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    """SSL_CERT_DIR may name several folders, and some of them may be missing."""
    environment.setenv("SSL_CERT_DIR", f"{tmp_path / 'missing'}:{folder}")
    assert is_trusted()


def test_file_and_folder(folder: Path, environment: pytest.MonkeyPatch) -> None:
    """If both variables are set, both are used."""
    environment.setenv("SSL_CERT_FILE", certifi.where())
    environment.setenv("SSL_CERT_DIR", str(folder))
    assert is_trusted()


def test_empty_variables(bundle: Path, environment: pytest.MonkeyPatch) -> None:
    """Empty variables are ignored."""
    environment.setenv("SSL_CERT_FILE", "")
    environment.setenv("SSL_CERT_DIR", "")
    environment.setattr(connection_setup, "SYSTEM_BUNDLES", (str(bundle),))
    assert is_trusted()


def test_bundle_of_the_system(
    bundle: Path, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    """An authority in the system's bundle is trusted; damaged and missing bundles are ignored."""
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    bundles = (str(tmp_path / "missing"), str(damaged), str(bundle))
    environment.setattr(connection_setup, "SYSTEM_BUNDLES", bundles)
    assert is_trusted()


def test_default_paths_of_openssl(bundle: Path, environment: pytest.MonkeyPatch) -> None:
    """An authority in the default paths of OpenSSL is trusted."""
    environment.setattr(
        ssl.SSLContext,
        "load_default_certs",
        lambda context: context.load_verify_locations(bundle),
    )
    assert is_trusted()


def test_variable_replaces_the_system(bundle: Path, environment: pytest.MonkeyPatch) -> None:
    """If a variable chooses the authorities, those of the system and of certifi are not used."""
    environment.setattr(connection_setup, "SYSTEM_BUNDLES", (str(bundle),))
    environment.setenv("SSL_CERT_FILE", certifi.where())
    assert not is_trusted()


def test_certifi_remains() -> None:
    """The authorities of certifi are trusted, because minimal images have no others."""
    transport = client_factory("https://api.test")()._transport  # noqa: SLF001
    context = transport._pool._ssl_context  # type: ignore[attr-defined] # noqa: SLF001
    known = {certificate["serialNumber"] for certificate in context.get_ca_certs()}
    only = ssl.create_default_context(cafile=certifi.where()).get_ca_certs()
    assert len(only) > 50
    assert known >= {certificate["serialNumber"] for certificate in only}


PROBLEM = "SSL_CERT_FILE and SSL_CERT_DIR: "
HINT = ": correct or unset these variables"


@pytest.mark.parametrize(
    ("variable", "reason"),
    [("SSL_CERT_FILE", "No such file or directory"), ("SSL_CERT_DIR", "no such folder")],
)
def test_nothing_to_read(
    variable: str, reason: str, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    """A variable with the name of nothing is an error, because all calls would fail."""
    environment.setenv(variable, str(tmp_path / "missing"))
    with pytest.raises(SetupError) as caught:
        client_factory("https://api.test")
    assert str(caught.value) == f"{PROBLEM}cannot read certificates ({reason}){HINT}"


def test_plain_http(environment: pytest.MonkeyPatch) -> None:
    """An API without TLS needs no authorities."""
    environment.setenv("SSL_CERT_FILE", "/missing")
    client = client_factory("http://api.test")()
    assert not client.is_closed


def test_damaged_file(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    """A file that contains no certificate is an error."""
    path = tmp_path / "damaged.pem"
    path.write_text("not a certificate\n")
    environment.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(SetupError) as caught:
        client_factory("https://api.test")
    assert str(caught.value).startswith(f"{PROBLEM}cannot read certificates (")
    assert str(caught.value).endswith(HINT)


def test_file_that_hangs(environment: pytest.MonkeyPatch) -> None:
    """A file on a server that does not answer is an error; the start does not wait forever."""

    def hang(**_paths: object) -> ssl.SSLContext:
        raise FileHangs

    environment.setenv("SSL_CERT_FILE", "/nowhere")
    environment.setattr(ssl, "create_default_context", hang)
    with pytest.raises(SetupError) as caught:
        client_factory("https://api.test")
    assert str(caught.value) == f"{PROBLEM}{FileHangs()}"


@pytest.mark.parametrize("url", ["https://xn--a", "https://[::1", "https://host:port"])
def test_invalid_host(url: str) -> None:
    """A host name that cannot be one is an error, and names its option."""
    with pytest.raises(SetupError) as caught:
        client_factory(url)
    assert str(caught.value) == "api.base_url: invalid host name"


def test_clients() -> None:
    """Each client has one connection, is deaf to the environment, and follows no redirects."""
    make_client = client_factory("https://api.test")
    client = make_client()
    assert client is not make_client()
    assert not client.trust_env
    assert not client.follow_redirects
    assert httpx.Timeout(None, connect=5.0) == client.timeout
    pool = client._transport._pool  # type: ignore[attr-defined] # noqa: SLF001
    limits = (pool._max_connections, pool._max_keepalive_connections)  # noqa: SLF001
    assert (limits, 150.0) == ((1, 1), pool._keepalive_expiry)  # noqa: SLF001
