"""Draw a dashboard or a page, in Grafana, by a program without Grafana, or in a browser."""

import shutil
import subprocess

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from playwright.sync_api import Browser, BrowserContext, HttpCredentials, sync_playwright


ROOT = Path(__file__).parents[2]
_WIDTH = 1600
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"]


@dataclass(frozen=True, slots=True)
class View:
    """
    A dashboard at some time, as high as its picture.

    Its data is in *prometheus*, which is Grafana's *datasource*, or its default one without a name.
    """

    name: str
    uid: str
    height: int
    prometheus: str
    since: str = "now-30m"
    until: str = "now"
    datasource: str | None = None


def draw_by_program(program: str, view: View, theme: str, picture: Path) -> None:
    """Let a program draw a dashboard."""
    command = [program, str(ROOT / f"dashboards/{view.name}.json"), view.prometheus, str(picture)]
    command += ["--theme", theme, "--from", view.since, "--to", view.until]
    command += ["--size", f"{_WIDTH}x{view.height}"]
    subprocess.run(command, check=True)


def draw_in_grafana(url: str, view: View, pictures: Mapping[str, Path]) -> None:
    """
    Take the picture of a dashboard in each theme.

    The *url* of Grafana may contain user and password.
    """
    parts = urlsplit(url)
    user = HttpCredentials(
        username=unquote(parts.username or ""), password=unquote(parts.password or "")
    )
    base = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
    shown = f"{base}/d/{view.uid}?kiosk&from={view.since}&to={view.until}"
    if view.datasource:
        shown += f"&var-datasource={quote(view.datasource)}"
    with _browser() as browser:
        for theme, picture in pictures.items():
            context = _context(browser, theme, view.height, user if parts.username else None)
            _shoot(context, f"{shown}&theme={theme}", picture)


def draw_page(url: str, height: int, pictures: Mapping[str, Path]) -> None:
    """Take the picture of a page in each theme."""
    with _browser() as browser:
        for theme, picture in pictures.items():
            _shoot(_context(browser, theme, height), url, picture)


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Without an installed one, Playwright takes its own.
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def _context(
    browser: Browser, theme: str, height: int, user: HttpCredentials | None = None
) -> BrowserContext:
    """Return a new session that prefers a theme."""
    return browser.new_context(
        viewport={"width": _WIDTH, "height": height},
        color_scheme="light" if theme == "light" else "dark",
        http_credentials=user,
    )


def _shoot(context: BrowserContext, url: str, picture: Path) -> None:
    page = context.new_page()
    page.goto(url, wait_until="networkidle")
    page.screenshot(path=picture)
