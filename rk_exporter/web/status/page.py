"""The status as a page: HTML from a template, without scripts and without anything from outside."""

import base64
import hashlib

from dataclasses import dataclass
from functools import cache
from urllib.parse import quote, urlencode

import jinja2

from markupsafe import Markup

from rk_exporter.web.status.build import MOST_ROWS
from rk_exporter.web.status.document import Filter, Status
from rk_exporter.web.status.problems import NOTICES, Problem
from rk_exporter.web.status.states import STATE_CELLS
from rk_exporter.web.status.times import clock_text, iso_text, spaced_duration


REFRESH_SECONDS = 30
_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_THOUSAND = 1000


@dataclass(frozen=True, slots=True)
class ProblemText:
    """A problem in words: its *label* in a row, and *noun* and *predicate* for a number of rows."""

    label: str
    noun: str
    predicate: str

    def count(self, number: int) -> str:
        """Return e.g. `3 meetings cannot be read`."""
        return f"{number:,} {self.noun}{'' if number == 1 else 's'} {self.predicate}"


PROBLEM_TEXTS = {
    Problem.STUCK: ProblemText("stuck", "recording", "stuck before the start or in the upload"),
    Problem.FAILED: ProblemText("failed", "recording", "failed in the last 24 hours"),
    Problem.UNRECORDED: ProblemText(
        "not recorded", "meeting", "not recorded although people are there"
    ),
    Problem.UNREADABLE: ProblemText("cannot be read", "meeting", "cannot be read"),
    Problem.STALE: ProblemText("out of date", "reading", "out of date or missing"),
    Problem.EMPTY: ProblemText("almost empty", "recording", "with an almost empty file"),
    Problem.BROKEN: ProblemText(
        "download broken", "recording", "with a file that cannot be downloaded"
    ),
    Problem.VANISHED: ProblemText("vanished", "recording", "no longer known to the API"),
    Problem.NEAR_LIMIT: ProblemText("near 24 h", "recording", "near the time limit of 24 hours"),
    Problem.UNKNOWN: ProblemText("unknown state", "recording", "in an unknown state"),
    Problem.EXPIRING: ProblemText(
        "expires soon", "recording", "with a file that expires within 24 hours"
    ),
}


@dataclass(frozen=True, slots=True)
class Links:
    """Paths of the pages, for clients: *prefix* is in front of all of them."""

    telemetry_path: str
    prefix: str = ""

    def to(self, path: str) -> str:
        """Return the link to a page of the exporter."""
        return quote(f"{self.prefix}{path}", safe="/%")

    @property
    def metrics(self) -> str:
        """Return the link to the metrics."""
        return self.to(self.telemetry_path)


@dataclass(frozen=True, slots=True)
class View:
    """How the page is wanted: with which filter, and whether it reloads itself."""

    wanted: Filter
    unknown_problem: str | None = None
    is_paused: bool = False

    def link(self, *, app: str | None, problem: str | None, is_paused: bool | None = None) -> str:
        """Return the link to this page with another filter."""
        paused = self.is_paused if is_paused is None else is_paused
        query = {"app": app, "problem": problem, "refresh": "off" if paused else None}
        return "?" + urlencode({key: text for key, text in query.items() if text is not None})


class StatusTemplate:
    """Renders the page; the template is compiled once."""

    def __init__(self, links: Links) -> None:
        environment = _environment()
        style = environment.get_template("status.css").render(colours=STATE_CELLS)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self.headers = {
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
                "form-action 'none'; frame-ancestors 'none'"
            ),
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        """What browsers may do with the page: show it, and run nothing."""
        self._template = environment.get_template("status.html")
        self._always = {
            "style": Markup(style),  # noqa: S704 # our own file; the only text that is not escaped
            "links": links,
            "problem_texts": PROBLEM_TEXTS,
            "notices": NOTICES,
            "most_rows": MOST_ROWS,
            "refresh_seconds": REFRESH_SECONDS,
        }

    def render(self, status: Status, view: View) -> bytes:
        """Return the page."""
        page = self._template.render(
            self._always, status=status, view=view, now=status.now_timestamp_seconds
        )
        return page.encode(errors="replace")


# One for the process, because it takes half a second of a slow machine to compile the templates.
@cache
def _environment() -> jinja2.Environment:
    """Return an environment that escapes all values, and fails on unknown names."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        clock=clock_text, duration=spaced_duration, iso=iso_text, size=size_text
    )
    return environment


def size_text(size: float) -> str:
    """Return a number of bytes as people read it, e.g. `1.2 GB`."""
    unit = 0
    while size >= _THOUSAND and unit < len(_SIZE_UNITS) - 1:
        size, unit = size / _THOUSAND, unit + 1
    return f"{size:.1f} {_SIZE_UNITS[unit]}" if unit else f"{size:.0f} B"
