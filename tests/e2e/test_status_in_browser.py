"""The status page in a real browser: Debian's chromium."""

import logging
import re

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from rk_exporter.config.loader import load
from rk_exporter.runtime.recent_warnings import keep_recent_warnings
from rk_exporter.simulator import Fault
from tests.support.building import ACCOUNT, BASE_URL, config, labelled, setup
from tests.support.exporters import every_state
from tests.support.programs import required_program
from tests.support.serving import served


ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SCRIPT = "<script>window.hacked = 1; alert(1)</script>"
IMAGE = '"><img src=x onerror="window.hacked = 1; alert(1)">'
TITLE = "</title></style><svg onload=alert(1)>"
CONFIGURATION = f"""\
account_id: {ACCOUNT}
api: {{budget: 100000, read: active-recording, base_url: "{BASE_URL}"}}
scrape: {{min_interval: 0s}}
apps:
  - name: '{IMAGE}'
    app_id: a
    api_token_env: TOKEN
    meetings:
      ids:
        - {{id: invoked, name: '{SCRIPT}'}}
        - {{id: recording, name: '{TITLE}'}}
        - paused
        - uploading
        - uploaded
        - errored
        - broken
      files: ['meetings<b>.txt']
  - {{name: staging, app_id: b, api_token_env: REFUSED, meetings: {{ids: [several, track]}}}}
"""
WIDTHS = (400, 1400)
THEMES = ("light", "dark")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve an exporter after a scrape, with hostile names everywhere; give its URL."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "rk.yml").write_text(CONFIGURATION)
    (folder / "meetings<b>.txt").write_text("from-file\n")
    tokens = {"TOKEN": "simulated", "REFUSED": "refused"}
    configuration = load(folder / "rk.yml", {}, tokens)
    system = setup(*every_state(), configuration=configuration, linger_seconds=0)
    system.simulator.inject("broken", Fault.UNPROCESSABLE)
    root = logging.getLogger()
    handlers = root.handlers[:]
    keep_recent_warnings()
    logging.getLogger("rk_exporter.test").warning("%s", SCRIPT, extra={"app": IMAGE})
    try:
        with served(system.exporter.application) as url:
            assert 200 == httpx.get(f"{url}/metrics").status_code
            yield url
    finally:
        root.handlers[:] = handlers


@contextmanager
def below_a_prefix() -> Iterator[str]:
    """Serve an exporter below a prefix, after a scrape; give its URL."""
    configuration = config(meeting_ids=["errored", "recording"], web__route_prefix="/rk")
    system = setup(*every_state(), configuration=configuration, linger_seconds=0)
    with served(system.exporter.application) as url:
        assert 200 == httpx.get(f"{url}/rk/metrics").status_code
        yield f"{url}/rk"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the browser."""
    program = required_program("chromium", package="chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Tab:
    """A page in the browser, and everything that went wrong in it."""

    page: Page
    incidents: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)


@contextmanager
def tab(browser: Browser, url: str, *, width: int = 1400, theme: Any = "light") -> Iterator[Tab]:
    """Open *url*, and check in the end that nothing ran and nothing was loaded from elsewhere."""
    size = ViewportSize(width=width, height=900)
    context = browser.new_context(viewport=size, color_scheme=theme)
    opened = Tab(context.new_page())
    opened.page.on("dialog", lambda dialog: opened.incidents.append(f"dialog {dialog.message}"))
    opened.page.on("pageerror", lambda error: opened.incidents.append(f"error {error}"))
    opened.page.on("console", lambda message: opened.incidents.append(message.text))
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.on("requestfinished", lambda request: opened.answered.append(request.url))
    opened.page.goto(url)
    yield opened
    assert [] == opened.incidents
    assert all(request.startswith(url.partition("?")[0]) for request in opened.requests)
    context.close()


def cells(page: Page) -> list[dict[str, str]]:
    """Return the texts of each row of the table, by column."""
    script = """rows => rows.map(row => Object.fromEntries(
        [...row.children].map(cell => [cell.dataset.label, cell.innerText.trim()])))"""
    found: list[dict[str, str]] = page.locator("tbody tr").evaluate_all(script)
    return found


def test_it_shows_what_the_metrics_say(browser: Browser, site: str) -> None:
    """Each recording of the metrics is a row with its state, and no other recording is shown."""
    metrics = httpx.get(f"{site}/metrics").text
    expected = {
        (labels["recording_id"], labels["status"])
        for labels, is_current in labelled(metrics, "rk_recording_status")
        if is_current
    }
    with tab(browser, f"{site}/?refresh=off") as opened:
        shown = cells(opened.page)
        assert opened.page.title() == "rk-exporter: not ready"
    assert expected == {
        (row["Recording"].split()[0], row["State"].split()[0]) for row in shown if row["Recording"]
    }
    unreadable = {
        labels["meeting_id"] for labels, up in labelled(metrics, "rk_meeting_up") if not up
    }
    assert unreadable == {
        row["Meeting"].split()[-1] for row in shown if "cannot be read" in row["State"]
    }
    assert {"broken", "several", "track"} <= unreadable


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits(browser: Browser, site: str, width: int, theme: str) -> None:
    """At any width there is no sideways scrolling, and the verdict is on the first screen."""
    with tab(browser, f"{site}/", width=width, theme=theme) as opened:
        page = opened.page
        assert width == page.evaluate("document.documentElement.scrollWidth")
        verdict = page.locator(".verdict").bounding_box()
        assert verdict is not None
        assert verdict["y"] + verdict["height"] < 900
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        red = int(re.findall(r"\d+", background)[0])
        assert (red > 200) is (theme == "light")


def test_nothing_runs(browser: Browser, site: str) -> None:
    """Markup in names of meetings, apps and files, and in log lines, is shown and does not run."""
    with tab(browser, f"{site}/") as opened:
        page = opened.page
        text = page.locator("body").inner_text()
        for hostile in (SCRIPT, IMAGE, TITLE, "meetings<b>.txt"):
            assert hostile in text
        assert page.evaluate("window.hacked") is None
        assert 0 == page.locator("script, img, svg, b").count()


def test_hostile_filters(browser: Browser, site: str) -> None:
    """The address itself cannot bring markup to the page either."""
    with tab(
        browser, f"{site}/?app=%3Cscript%3Ealert(1)%3C/script%3E&problem=%22%3E{IMAGE}"
    ) as opened:
        assert "There is no app “<script>alert(1)</script>”" in opened.page.inner_text("main")
        assert 0 == opened.page.locator("script, img").count()


def test_the_policy_stops_scripts(browser: Browser, site: str) -> None:
    """Even if markup came through, the browser would refuse to run it or to load anything."""
    with tab(browser, f"{site}/") as opened:
        opened.page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.hacked = 1";
                document.body.append(script);
                const image = document.createElement("img");
                image.src = "/metrics";
                document.body.append(image);
                document.body.setAttribute("style", "display: none");
            }"""
        )
        opened.page.wait_for_function("() => true")
        assert opened.page.evaluate("window.hacked") is None
        refusals = [text for text in opened.incidents if "Content Security Policy" in text]
        assert len(refusals) >= 2
        opened.incidents.clear()
        assert [f"{site}/"] == opened.answered


def test_filters_and_pause(browser: Browser, site: str) -> None:
    """A click shows the failed recordings only, another one pauses the page."""
    with tab(browser, f"{site}/") as opened:
        page = opened.page
        page.get_by_role("link", name="failed: 1").click()
        assert page.url == f"{site}/?problem=failed"
        assert ["ERRORED ✗ failed"] == [row["State"] for row in cells(page)]
        assert 1 == page.locator("meta[http-equiv=refresh]").count()
        page.get_by_role("link", name="Pause").click()
        assert page.url == f"{site}/?problem=failed&refresh=off"
        assert 0 == page.locator("meta[http-equiv=refresh]").count()
        page.get_by_role("link", name="staging", exact=True).click()
        assert page.url == f"{site}/?app=staging&problem=failed&refresh=off"
        assert [] == cells(page)


@pytest.mark.parametrize("slash", ["", "/"])
def test_below_a_prefix(browser: Browser, slash: str) -> None:
    """Below a prefix all links work, with and without a slash at the end of the address."""
    with below_a_prefix() as url, tab(browser, f"{url}{slash}") as opened:
        page = opened.page
        links = page.locator("nav[aria-label=Pages] a").evaluate_all(
            "links => links.map(link => link.href)"
        )
        assert [200] * 4 == [httpx.get(link).status_code for link in links]
        page.get_by_role("link", name="failed: 1").click()
        assert page.url == f"{url}{slash}?problem=failed"
        assert ["ERRORED"] == [row["State"].split()[0] for row in cells(page)]


def test_links_lead_to_the_other_pages(browser: Browser, site: str) -> None:
    """Each link to another page works."""
    with tab(browser, f"{site}/") as opened:
        links = opened.page.locator("nav[aria-label=Pages] a").evaluate_all(
            "links => links.map(link => link.href)"
        )
        opened.requests.clear()
    assert 4 == len(links)
    assert [200, 200, 503, 200] == [httpx.get(link).status_code for link in links]
