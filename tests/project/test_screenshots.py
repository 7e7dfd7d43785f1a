"""`make screenshots` draws each picture of the documentation, in both themes."""

import json
import re
import subprocess
import sys

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.support.markdown import PAGES, ROOT
from tests.support.monitoring.grafana import questions
from tests.support.monitoring.servers import free_port
from tests.support.programs import required_program
from tools.screenshots.__main__ import DATASOURCE, OF_DEMO, OF_WEEKS, PICTURES, STATUS, THEMES
from tools.screenshots.backfill import Programs, past


PROGRAM = """\
#!{python}
import json, pathlib, sys
pathlib.Path(sys.argv[3]).write_text(json.dumps(sys.argv[1:]))
"""
FILES = {f"{name}-{theme}.png" for name in PICTURES for theme in THEMES}
DASHBOARDS = (*OF_DEMO, OF_WEEKS)
# Three hours, so that the tests are short.
SHORT = f"--weeks={3 / (7 * 24)}"


@contextmanager
def site() -> Iterator[tuple[str, list[str]]]:
    """Serve an empty page at each path; yield the address and the paths that were asked for."""
    asked: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<h1>A page</h1>")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def draw(*options: str) -> None:
    """Run the program that `make screenshots` runs."""
    required_program("chromium", package="chromium")
    required_program("promtool", package="prometheus")
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "tools.screenshots", SHORT, f"--weeks-address={address}"]
    subprocess.run([*command, *options], cwd=ROOT, check=True)


def test_pictures_from_grafana(tmp_path: Path) -> None:
    """Any Grafana with the dashboards draws them, in the theme of each picture."""
    with site() as (url, asked):
        draw("--grafana", url, "--exporter", url, "--folder", str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
    shown = [urlsplit(path) for path in asked if path.startswith("/d/")]
    drawn = {(url.path, parse_qs(url.query)["theme"][0]) for url in shown}
    # Only Prometheus with the weeks has the time that this picture shows.
    of_weeks = [parse_qs(url.query) for url in shown if "rk-service-level" in url.path]
    assert [DATASOURCE] * len(THEMES) == [query["var-datasource"][0] for query in of_weeks]
    assert all(query["from"][0] < query["to"][0] for query in of_weeks)
    uids = [
        json.loads((ROOT / f"dashboards/{name}.json").read_text())["uid"] for name in DASHBOARDS
    ]
    assert drawn == {(f"/d/{uid}", theme) for uid in uids for theme in THEMES}


def test_pictures_from_a_program(tmp_path: Path) -> None:
    """A program can draw the dashboards without Grafana from a Prometheus."""
    program, folder = tmp_path / "preview", tmp_path / "pictures"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    prometheus = "http://127.0.0.1:9999"
    with site() as (url, _):
        options = ["--exporter", url, "--prometheus", prometheus, "--folder", str(folder)]
        draw("--preview", str(program), *options)
    assert {path.name for path in folder.iterdir()} == FILES
    for name in DASHBOARDS:
        for theme in THEMES:
            picture = folder / f"{name}-{theme}.png"
            given = json.loads(picture.read_text())
            dashboard = ROOT / f"dashboards/{name}.json"
            assert (given[0], given[2]) == (str(dashboard), str(picture))
            assert (given[1] == prometheus) == (name != OF_WEEKS)
            assert given[3:5] == ["--theme", theme]


def test_the_status_page_alone(tmp_path: Path) -> None:
    """A browser draws the status page, which needs no Grafana."""
    with site() as (url, _):
        draw("--only", STATUS, "--exporter", url, "--folder", str(tmp_path))
    assert {f"{STATUS}-{theme}.png" for theme in THEMES} == {
        path.name for path in tmp_path.iterdir()
    }


def test_weeks(tmp_path: Path) -> None:
    """Prometheus has what each panel of *Service level* asks for, as if it had run for weeks."""
    programs = Programs(
        required_program("prometheus", package="prometheus"),
        required_program("promtool", package="prometheus"),
    )
    dashboard = json.loads((ROOT / f"dashboards/{OF_WEEKS}.json").read_text())
    asked = [item for item in questions(dashboard, {"meeting": ".*"}) if item.panel]
    with past(programs, tmp_path, lasting=timedelta(days=1)) as known:
        lacking = {}
        with httpx.Client(base_url=known.url, timeout=30) as client:
            for question in asked:
                answer = client.get(
                    "/api/v1/query", params={"query": question.promql, "time": known.end}
                ).raise_for_status()
                if not answer.json()["data"]["result"]:
                    lacking[question.place] = question.promql
    # Nothing may be in the middle of its upload.
    assert {place for place in lacking if "Longest uploads" not in place} == set()


def test_nothing_draws() -> None:
    """Without a Grafana and a program, `make screenshots` says what to do."""
    required_program("make", package="make")
    command = ["make", "--silent", "screenshots", "GRAFANA_URL=", "PREVIEW="]
    done = subprocess.run(
        [*command, f"BIN={Path(sys.executable).parent}", "DEVELOPING="],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert "GRAFANA_URL and PREVIEW are not set" in done.stderr
    assert "make demo-stack" in done.stderr
    assert "make screenshots GRAFANA_URL=http://" in done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_pages_have_a_picture_for_each_theme(page: str) -> None:
    """Readers with a dark theme see dark pictures, and each picture is in the repository."""
    text = (ROOT / page).read_text()
    found = re.findall(r'(?:src|srcset)="([^"]+\.png)"', text)
    assert not re.findall(r"!\[[^]]*\]\([^)]+\.png\)", text), "use <picture>"
    for path in found:
        assert ((ROOT / page).parent / path).is_file(), path
    dark = {path.replace("-dark", "-light") for path in found if "-dark" in path}
    assert dark == {path for path in found if "-light" in path}
