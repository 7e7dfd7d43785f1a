"""Draw the pictures in docs/images: of the running demo, and of weeks in simulated time."""

import argparse
import shutil
import tempfile

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tools.screenshots.backfill import Past, Programs, past
from tools.screenshots.drawing import ROOT, View, draw_by_program, draw_in_grafana, draw_page


THEMES = ("dark", "light")
# The uid and the height of each dashboard whose picture shows the demo.
OF_DEMO = {"overview": ("rk-overview", 1112), "recordings": ("rk-recordings", 1302)}
STATUS, OF_WEEKS = "status", "service-level"
PICTURES = (*OF_DEMO, STATUS, OF_WEEKS)
_STATUS_HEIGHT = 1050
_WEEKS_HEIGHT = 2130
DATASOURCE = "rk-exporter-weeks"
"""The name of Grafana's data source for the weeks."""
_NOTHING_DRAWS = """\
GRAFANA_URL and PREVIEW are not set, so nothing can draw the dashboards.
Start `make demo-stack` and a Grafana with the dashboards (docs/how-to/grafana.md), and run:
    make screenshots GRAFANA_URL=http://USER:PASSWORD@localhost:3000
With a program that draws dashboards without Grafana:
    make screenshots PREVIEW=PROGRAM"""
_NO_PROMETHEUS = """\
prometheus or promtool is not installed; on Debian: apt install prometheus
Without them, leave the picture of the weeks out:
    make screenshots ARGS='--only overview --only recordings --only status' …"""


def main() -> None:
    """Draw the chosen pictures in all themes."""
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    _draw(
        options,
        [
            View(name, uid, height, options.prometheus)
            for name, (uid, height) in OF_DEMO.items()
            if name in options.only
        ],
    )
    if STATUS in options.only:
        draw_page(options.exporter, _STATUS_HEIGHT, _pictures(options, STATUS))
    if OF_WEEKS in options.only:
        with tempfile.TemporaryDirectory(prefix="rk-exporter-weeks-") as folder:
            lasting = timedelta(weeks=options.weeks)
            with past(
                options.programs, Path(folder), lasting=lasting, address=options.weeks_address
            ) as known:
                _draw(options, [_view(known)])


def _view(known: Past) -> View:
    since, until = (
        datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for seconds in (known.begin, known.end)
    )
    return View(
        OF_WEEKS, "rk-service-level", _WEEKS_HEIGHT, known.url, since, until, datasource=DATASOURCE
    )


def _draw(options: argparse.Namespace, views: Iterable[View]) -> None:
    for view in views:
        pictures = _pictures(options, view.name)
        if options.preview:
            for theme, picture in pictures.items():
                draw_by_program(options.preview, view, theme, picture)
        else:
            draw_in_grafana(options.grafana, view, pictures)


def _pictures(options: argparse.Namespace, name: str) -> dict[str, Path]:
    """Return the file of a picture by theme."""
    return {theme: options.folder / f"{name}-{theme}.png" for theme in THEMES}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    drawing = parser.add_mutually_exclusive_group()
    drawing.add_argument(
        "--grafana",
        metavar="URL",
        help="a Grafana with the dashboards, whose default data source is the demo's Prometheus "
        f"and whose data source {DATASOURCE} has --weeks-address; user and password can be in "
        "the URL",
    )
    drawing.add_argument(
        "--preview",
        metavar="PROGRAM",
        help="a program that draws without Grafana: PROGRAM DASHBOARD.json PROMETHEUS_URL "
        "PICTURE.png --theme dark|light --from now-30m --to now --size 1600x1112",
    )
    parser.add_argument("--prometheus", metavar="URL", default="http://127.0.0.1:9090")
    parser.add_argument("--exporter", metavar="URL", default="http://127.0.0.1:10058")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs/images")
    parser.add_argument("--only", choices=PICTURES, action="append", help="repeatable")
    parser.add_argument("--weeks", type=float, default=6, help="how many weeks: 6")
    parser.add_argument("--weeks-address", metavar="HOST:PORT", default="127.0.0.1:9095")
    options = parser.parse_args()
    options.only = options.only or PICTURES
    # A browser draws the status page.
    if {*options.only} != {STATUS} and not options.grafana and not options.preview:
        parser.error(_NOTHING_DRAWS)
    prometheus, promtool = shutil.which("prometheus"), shutil.which("promtool")
    if prometheus and promtool:
        options.programs = Programs(prometheus, promtool)
    elif OF_WEEKS in options.only:
        parser.error(_NO_PROMETHEUS)
    return options


if __name__ == "__main__":
    main()
