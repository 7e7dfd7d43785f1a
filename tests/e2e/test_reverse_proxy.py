"""The exporter behind nginx, with the configurations of the how-to page."""

import re
import socket
import subprocess
import time

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.building import value
from tests.support.markdown import blocks
from tests.support.processes import TOKEN, listening_lines, started
from tests.support.programs import required_program
from tests.support.serving import served


IDS = ("--account-id", "account", "--app-id", "app", "--meeting-id", "idle")
PAGE = "docs/how-to/reverse-proxy.md"
URL = ("--web.external-url", "https://monitoring.example/rk-exporter")
KEEPS, STRIPS = (block.text for block in blocks(PAGE, "nginx"))
NGINX = """\
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""


@contextmanager
def exporter(*options: str) -> Iterator[str]:
    """Run an exporter and yield the URL of its metrics."""
    with served(Simulator(ScriptedScenario(meetings=["idle"]))) as api:
        base_url = ("--api.base-url", f"{api}/client/v4")
        listen = ("--web.listen-address", "127.0.0.1:0")
        with started("serve", *IDS, *base_url, *listen, *options, environment=TOKEN) as process:
            (line,) = listening_lines(process)
            yield line.rpartition("url=")[2].strip()


@contextmanager
def nginx(folder: Path, location: str, target: str) -> Iterator[str]:
    """Run nginx in front of the exporter at *target* and yield its URL."""
    path = required_program("nginx", "/usr/sbin/nginx", package="nginx-light")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    location = location.replace("127.0.0.1:10058", target)
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port, location=location))
    with subprocess.Popen([path, "-c", configuration, "-p", folder]) as process:
        try:
            wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError("nginx does not listen")


def links(page: str) -> set[str]:
    """Return the links to other pages."""
    return {link for link in re.findall(r'href="([^"]*)"', page) if not link.startswith("?")}


@pytest.mark.parametrize(
    ("location", "options", "metrics"),
    [
        (KEEPS, URL, "/rk-exporter/metrics"),
        (KEEPS, ("--web.external-url", "/rk-exporter/"), "/rk-exporter/metrics"),
        (KEEPS, ("--web.route-prefix", "/rk-exporter"), "/rk-exporter/metrics"),
        (STRIPS, (*URL, "--web.route-prefix", "/"), "/metrics"),
    ],
    ids=["keeps", "only the path", "only the prefix", "strips"],
)
def test_behind_nginx(
    tmp_path: Path, location: str, options: tuple[str, ...], metrics: str
) -> None:
    """Each link on the page leads through the proxy to a page, and Prometheus needs no proxy."""
    with exporter(*options) as url:
        assert url.endswith(metrics)
        target = url.removesuffix(metrics).removeprefix("http://")
        with nginx(tmp_path, location, target) as proxy:
            page = httpx.get(f"{proxy}/rk-exporter/")
            assert 200 == page.status_code
            found = links(page.text)
            assert {
                f"/rk-exporter{path}" for path in ("/metrics", "/-/ready", "/-/healthy")
            } <= found
            for link in found:
                assert link.startswith("/rk-exporter/")
                assert httpx.get(f"{proxy}{link}").status_code in {200, 503}
            through = httpx.get(f"{proxy}/rk-exporter/metrics").text
            missing = httpx.get(f"{proxy}/rk-exporter/nothing")
            assert (404, "not found; see /rk-exporter/ for the available pages\n") == (
                missing.status_code,
                missing.text,
            )
        assert 1 == value(through, "rk_meetings")
        assert 1 == value(httpx.get(url).text, "rk_meetings")


def test_other_paths_have_the_prefix() -> None:
    """With a prefix, `/` leads to the page below it, and no other path works without it."""
    with exporter(*URL) as url:
        root = url.removesuffix("/rk-exporter/metrics")
        redirect = httpx.get(f"{root}/?app=x")
        assert (302, "/rk-exporter/") == (redirect.status_code, redirect.headers["Location"])
        for path in ("/metrics", "/-/healthy", "/-/ready", "/rk-exportermetrics", "/other"):
            assert 404 == httpx.get(f"{root}{path}").status_code
        for path in ("/rk-exporter", "/rk-exporter/", "//rk-exporter//", "/rk-exporter/-/healthy"):
            assert 200 == httpx.get(f"{root}{path}").status_code
        assert 405 == httpx.post(f"{root}/").status_code
