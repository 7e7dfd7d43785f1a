"""
Ask the exporter on this machine whether it is alive: `python -m rk_exporter.web.healthcheck`.

Container engines run this every few seconds. It therefore imports nothing of the program, which
would take ten times as long, and it reads no files, which may have changed since the start.
"""

import http.client
import os
import ssl
import sys

from collections.abc import Mapping


# The same variable and default as --web.listen-address.
_VARIABLE, _DEFAULT = "RK_WEB_LISTEN_ADDRESS", ":10058"
_PATH = "/-/healthy"
# The engine waits 5 s for both attempts together.
TIMEOUT_SECONDS = 2.0
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 # binds nothing
_SERVER_ERRORS = range(500, 600)


def address(environment: Mapping[str, str]) -> tuple[str, int]:
    """
    Return the host and the port of the first address that the exporter listens on.

    Raises ValueError.
    """
    first = environment.get(_VARIABLE, _DEFAULT).split(",")[0].strip()
    host, _, port = first.rpartition(":")
    host = host.strip("[]")
    return _LOOPBACK.get(host, host), int(port)


def failure(host: str, port: int, timeout_seconds: float = TIMEOUT_SECONDS) -> str | None:
    """
    Return why the exporter does not answer; None if it does.

    Any answer proves that it is alive, except a server error: it may ask for a password or for a
    client certificate, or have other paths behind a reverse proxy.
    """
    try:
        return _failure(http.client.HTTPConnection(host, port, timeout=timeout_seconds))
    except (http.client.HTTPException, ConnectionResetError, BrokenPipeError):
        pass  # perhaps it speaks TLS
    except OSError as error:
        return str(error)
    return _tls_failure(_tls_connection(host, port, timeout_seconds))


def _tls_failure(connection: http.client.HTTPSConnection) -> str | None:
    try:
        connection.connect()
    except ssl.SSLError as error:
        # An alert comes from a server that speaks TLS, and refuses clients without a certificate.
        return None if "ALERT" in (error.reason or "") else str(error)
    except OSError as error:
        return str(error)
    try:
        return _failure(connection)
    except TimeoutError as error:
        return str(error)
    except (http.client.HTTPException, OSError):
        return None  # in TLS 1.3 the server refuses the client after the handshake


def _tls_connection(host: str, port: int, timeout_seconds: float) -> http.client.HTTPSConnection:
    context = ssl.create_default_context()
    # The certificate names the host that others use, and nothing secret is sent.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=timeout_seconds, context=context)


def _failure(connection: http.client.HTTPConnection) -> str | None:
    try:
        connection.request("GET", _PATH)
        status = connection.getresponse().status
    finally:
        connection.close()
    return f"status {status}" if status in _SERVER_ERRORS else None


def main() -> None:
    """Exit with 1 if the exporter does not answer. Docker shows the line to users."""
    try:
        problem = failure(*address(os.environ))
    except ValueError:
        problem = f"invalid {_VARIABLE}; write e.g. {_DEFAULT}"
    sys.exit(f"unhealthy: {problem}" if problem else 0)


if __name__ == "__main__":
    main()
