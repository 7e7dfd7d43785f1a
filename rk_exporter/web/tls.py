"""TLS for the server, from the content of a certificate, its key and the clients' authorities."""

import ipaddress
import logging
import os
import ssl
import time

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from rk_exporter.config.web_config import WEB_OPTIONS, WebConfig
from rk_exporter.config.web_values import CIPHER_SUITES, ClientAuth, TlsVersion
from rk_exporter.runtime.files import FileError


logger = logging.getLogger(__name__)
_VERSIONS = {
    TlsVersion.TLS12: ssl.TLSVersion.TLSv1_2,
    TlsVersion.TLS13: ssl.TLSVersion.TLSv1_3,
}
_VERIFY_MODES = {
    ClientAuth.NONE: ssl.CERT_NONE,
    ClientAuth.IF_GIVEN: ssl.CERT_OPTIONAL,
    ClientAuth.REQUIRED: ssl.CERT_REQUIRED,
}
_NOT_THE_KEY = "KEY_VALUES_MISMATCH"
_ENCRYPTED = b"ENCRYPTED"
# Anyone can make handshakes fail.
_LOG_SECONDS = 10.0


@dataclass(frozen=True, slots=True, repr=False)
class Pems:
    """The content of the PEM files, or of the options that replace them."""

    cert: bytes
    key: bytes
    client_ca: bytes | None


class _Handshake(ssl.SSLObject):
    """A connection's TLS; if the handshake fails, the client gets an alert with the reason."""

    _failure: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        """Continue the handshake."""
        if self._failure:
            raise self._failure
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._failure = error
            if isinstance(self.context, ServerContext):
                self.context.log_failure(error)
            # asyncio sends OpenSSL's last message, an alert, only if it waits for the client.
            raise ssl.SSLWantReadError from None


class ServerContext(ssl.SSLContext):
    """TLS for new connections; it never changes, so a connection sees one configuration."""

    sslobject_class = _Handshake
    allowed_names: frozenset[str] | None = None
    """A client's certificate must have one of these names; None allows all names."""
    _logged_at = float("-inf")

    def log_failure(self, error: ssl.SSLError) -> None:
        """Log that a handshake failed, but not each time."""
        if time.monotonic() - self._logged_at < _LOG_SECONDS:
            return
        self._logged_at = time.monotonic()
        detail = getattr(error, "verify_message", "") or _reason(error)
        logger.info("TLS handshake failed: %s", detail)

    def allows(self, certificate: dict[str, Any] | None) -> bool:
        """Return whether a client whose verified *certificate* this is may send requests."""
        if self.allowed_names is None:
            return True
        return not self.allowed_names.isdisjoint(_names(certificate or {}))


def server_context(config: WebConfig, pems: Pems) -> ServerContext:
    """
    Return the TLS that *config* asks for.

    It is a new context each time, because one that has loaded a pair that does not match is broken.
    Raises FileError, which names the option and the file.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    _set_versions(context, config)
    if config.curve:
        context.set_ecdh_curve(config.curve)
    _load_certificate(context, config, pems)
    _set_client_certificates(context, config, pems)
    return context


def _names(certificate: dict[str, Any]) -> Iterator[str]:
    for kind, name in certificate.get("subjectAltName", ()):
        if kind in {"DNS", "email", "URI"}:
            yield name
        elif kind == "IP Address":
            # OpenSSL does not shorten IPv6 addresses, and describes what is none.
            with suppress(ValueError):
                yield str(ipaddress.ip_address(name.strip()))


def _set_versions(context: ServerContext, config: WebConfig) -> None:
    context.minimum_version = _VERSIONS[config.min_version]
    context.maximum_version = _VERSIONS[config.max_version]
    if not config.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if not config.cipher_suites:
        return
    names = [name for suite in config.cipher_suites if (name := CIPHER_SUITES[suite])]
    if names:
        context.set_ciphers(":".join(names))
    elif config.max_version is TlsVersion.TLS12:
        raise _error("cipher_suites", config, "has no cipher suite for TLS 1.2; add one")
    else:
        # The list leaves nothing for TLS 1.2.
        context.minimum_version = ssl.TLSVersion.TLSv1_3


def _load_certificate(context: ServerContext, config: WebConfig, pems: Pems) -> None:
    cert_option = "cert_file" if config.cert_file else "cert"
    key_option = "key_file" if config.key_file else "key"
    _check_certificates(pems.cert, cert_option, config)
    if _ENCRYPTED in pems.key:
        raise _error(key_option, config, "is encrypted; store the key without a password")
    with _in_memory(pems.cert) as cert, _in_memory(pems.key) as key:
        try:
            # Never ask for a password at the terminal.
            context.load_cert_chain(cert, key, password=lambda: "")
        except ssl.SSLError as error:
            if error.reason == _NOT_THE_KEY:
                message = f"does not belong to the certificate in {cert_option}"
                raise _error(key_option, config, message) from None
            if error.library == "PEM" or "PEM" in str(error):
                raise _error(key_option, config, "has no private key as PEM") from None
            raise _error(cert_option, config, f"is refused by OpenSSL ({_reason(error)})") from None


def _set_client_certificates(context: ServerContext, config: WebConfig, pems: Pems) -> None:
    context.verify_mode = _VERIFY_MODES[config.client_auth]
    if config.client_auth is ClientAuth.NONE:
        return
    context.allowed_names = frozenset(config.client_allowed_sans) or None
    # As in Go, each certificate in the file is trusted, also one that no other has signed.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if pems.client_ca is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    option = "client_ca_file" if config.client_ca_file else "client_ca"
    _check_certificates(pems.client_ca, option, config)
    with _in_memory(pems.client_ca) as path:
        context.load_verify_locations(path)


def _check_certificates(pem: bytes, option: str, config: WebConfig) -> None:
    """Raise FileError if *pem* has no certificate, or one that is damaged."""
    with _in_memory(pem) as path:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
        except ssl.SSLError:
            raise _error(option, config, "has no valid certificate as PEM") from None


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Give the path of a file that is only in memory, because `ssl` reads keys from files only."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "unknown reason").replace("_", " ").lower()


def _error(option: str, config: WebConfig, message: str) -> FileError:
    path = getattr(config, option)
    file = f"{path} " if option.endswith("_file") else ""
    return FileError(f"{WEB_OPTIONS[option].path}: {file}{message}")
