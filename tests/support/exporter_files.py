"""An exporter with a file for everything that can be in a file."""

import json
import ssl

from pathlib import Path

import httpx

from rk_exporter.simulator.webhooks.signing import public_pem
from tests.support.exporter_process import PATIENCE_SECONDS, TOKEN, ExporterProcess
from tests.support.fault_server import FaultServer
from tests.support.web_config import authority


# Each file, and how the error at the start names it.
FILES = {
    "rk.yml": "rk.yml",
    "token": "api.token_file",
    "meetings": "meetings.files",
    "state": "state.file",
    "web.yml": "web.yml",
    "server.crt": "cert_file",
    "server.key": "key_file",
    "ca.crt": "client_ca_file",
    "webhook.pem": "webhook.public_key_file",
}
REPLACED = [name for name in FILES if name != "state"]


def write_files(folder: Path, api: FaultServer) -> None:
    """Write all files of an exporter with every option that names one."""
    authority().issue().write(folder)
    (folder / "ca.crt").write_bytes(authority().pem)
    (folder / "token").write_text(TOKEN)
    (folder / "token").chmod(0o600)
    (folder / "meetings").write_text("meeting\n")
    (folder / "webhook.pem").write_text(public_pem(0))
    tls = {
        "cert_file": "server.crt",
        "key_file": "server.key",
        "client_ca_file": "ca.crt",
        "client_auth_type": "VerifyClientCertIfGiven",
    }
    (folder / "web.yml").write_text(json.dumps({"tls_server_config": tls}))
    (folder / "rk.yml").write_text(
        "account_id: account\napp_id: app\nmeetings: {files: [meetings]}\n"
        f"api: {{base_url: '{api.url}/client/v4', budget: 100000, read: active-recording,"
        " token_file: token}\n"
        "scrape: {min_interval: 0s}\nstate: {file: state}\n"
        "web: {listen_address: '127.0.0.1:0', config_file: web.yml}\n"
        "webhook: {listen_address: '127.0.0.1:0', public_key_file: webhook.pem}\n"
    )


def scrape(exporter: ExporterProcess) -> str:
    """Scrape by TLS."""
    context = ssl.create_default_context(cadata=authority().pem.decode())
    url = exporter.client.base_url.join("/metrics")
    answer = httpx.get(url, verify=context, timeout=PATIENCE_SECONDS)
    assert 200 == answer.status_code
    return answer.text


def is_closed_for_all(exporter: ExporterProcess) -> bool:
    """Return whether a scrape gets a 500."""
    context = ssl.create_default_context(cadata=authority().pem.decode())
    url = exporter.client.base_url.join("/metrics")
    return httpx.get(url, verify=context, timeout=PATIENCE_SECONDS).status_code == 500
