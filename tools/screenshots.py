"""Draw the pictures in docs/images from the running demo: `make screenshots`."""

import argparse
import shutil
import subprocess

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from playwright.sync_api import BrowserContext, HttpCredentials, sync_playwright


ROOT = Path(__file__).parents[1]
THEMES = ("dark", "light")
# The uid and the height of each dashboard whose picture the documentation has.
DASHBOARDS = {"overview": ("rk-overview", 1090), "recordings": ("rk-recordings", 1240)}
_WIDTH = 1600
_STATUS_HEIGHT = 1050
_FROM = "now-30m"
_NOTHING_DRAWS = """\
GRAFANA_URL and PREVIEW are not set, so nothing can draw the dashboards.
Start `make demo-stack` and a Grafana with the dashboards (docs/how-to/grafana.md), and run:
    make screenshots GRAFANA_URL=http://USER:PASSWORD@localhost:3000
With a program that draws dashboards without Grafana:
    make screenshots PREVIEW=PROGRAM"""
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"]


def main() -> None:
    """Draw all pictures."""
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    for theme in THEMES:
        for name in DASHBOARDS:
            picture = options.folder / f"{name}-{theme}.png"
            if options.preview:
                _preview(options.preview, name, options.prometheus, picture, theme)
            else:
                _draw_in_grafana(options.grafana, name, picture, theme)
        with _browser(theme, _STATUS_HEIGHT) as browser:
            _shoot(browser, options.exporter, options.folder / f"status-{theme}.png")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    drawing = parser.add_mutually_exclusive_group()
    drawing.add_argument(
        "--grafana",
        metavar="URL",
        help="a Grafana with the dashboards, whose default data source is the demo's Prometheus; "
        "user and password can be in the URL",
    )
    drawing.add_argument(
        "--preview",
        metavar="PROGRAM",
        help="a program that draws without Grafana: PROGRAM DASHBOARD.json PROMETHEUS_URL "
        "PICTURE.png --theme dark|light --from now-30m --size 1600x1090",
    )
    parser.add_argument("--prometheus", metavar="URL", default="http://127.0.0.1:9090")
    parser.add_argument("--exporter", metavar="URL", default="http://127.0.0.1:10058")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs/images")
    options = parser.parse_args()
    if not options.grafana and not options.preview:
        parser.error(_NOTHING_DRAWS)
    return options


def _preview(program: str, name: str, prometheus: str, picture: Path, theme: str) -> None:
    size = f"{_WIDTH}x{DASHBOARDS[name][1]}"
    command = [program, str(ROOT / f"dashboards/{name}.json"), prometheus, str(picture)]
    command += ["--theme", theme, "--from", _FROM, "--size", size]
    subprocess.run(command, check=True)  # noqa: S603 # the user names the program


def _draw_in_grafana(url: str, name: str, picture: Path, theme: str) -> None:
    parts = urlsplit(url)
    user = HttpCredentials(
        username=unquote(parts.username or ""), password=unquote(parts.password or "")
    )
    base = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
    uid, height = DASHBOARDS[name]
    with _browser(theme, height, user if parts.username else None) as browser:
        _shoot(browser, f"{base}/d/{uid}?theme={theme}&kiosk&from={_FROM}&to=now", picture)


@contextmanager
def _browser(
    theme: str, height: int, user: HttpCredentials | None = None
) -> Iterator[BrowserContext]:
    """Start a browser that prefers a theme."""
    with sync_playwright() as playwright:
        # Without an installed one, Playwright takes its own.
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            yield browser.new_context(
                viewport={"width": _WIDTH, "height": height},
                color_scheme="light" if theme == "light" else "dark",
                http_credentials=user,
            )
        finally:
            browser.close()


def _shoot(browser: BrowserContext, url: str, picture: Path) -> None:
    page = browser.new_page()
    page.goto(url, wait_until="networkidle")
    page.screenshot(path=picture)


if __name__ == "__main__":
    main()
