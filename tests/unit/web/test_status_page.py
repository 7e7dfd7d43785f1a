import base64
import hashlib
import re

from collections.abc import Iterator
from itertools import pairwise

import pytest

from hypothesis import given
from hypothesis import strategies as st

from dashboards.states import COLOURS
from rk_exporter.archive.status import ArchiveStatus, Copies
from rk_exporter.model.account import Account
from rk_exporter.model.archive import ArchiveFailure, ArchiveReason, Bucket
from rk_exporter.model.download import CheckFailure, DownloadChecks, FileCheck, FileKind
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import App, FileState, Meeting
from rk_exporter.model.recording import Status as State
from rk_exporter.model.remedies import REMEDIES
from rk_exporter.model.webhook import WebhookHealth, WebhookStatus
from rk_exporter.ratelimit.status import Outage
from rk_exporter.runtime.recent_warnings import LoggedWarning
from rk_exporter.snapshot import Snapshot
from rk_exporter.web.status.build import build_status
from rk_exporter.web.status.document import Filter, Status
from rk_exporter.web.status.page import PROBLEM_TEXTS, Links, StatusTemplate, View, size_text
from rk_exporter.web.status.problems import NOTICES, Problem
from rk_exporter.web.status.readiness import Observed
from rk_exporter.web.status.states import STATE_CELLS
from rk_exporter.web.status.times import clock_text, iso_text, spaced_duration
from tests.support.building import NOW
from tests.support.known import known
from tests.support.statuses import (
    BUCKET,
    REFUSED,
    account,
    app,
    observed,
    parse,
    progress,
    reading,
    snapshots,
    with_accounts,
)


TEMPLATE = StatusTemplate(Links("/metrics"))
# Markup, attributes and protocols that a browser would run if the page did not escape them.
EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</title></style></td></table><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;script&gt;",
    "<!--",
    "]]>",
)


def page(
    found: Observed, view: View | None = None, *, template: StatusTemplate = TEMPLATE
) -> tuple[Status, bytes]:
    """Return the status of what was observed, and its page."""
    view = view or View(Filter())
    status = build_status(found, view.wanted, NOW)
    return status, template.render(status, view)


# One test, because it takes longer to make a snapshot than to check everything.
@given(snapshots)
def test_page_says_what_the_document_says(snapshot: Snapshot) -> None:
    """
    Each row has the state, the ids and the figures of the document, in the same order.

    Each app has its figures: budget, rate limit, failures, and what needs attention.
    """
    failures = {one.app.name: {"auth": 7, "tls": 0} for one in snapshot.apps}
    status, html = page(observed(*snapshot.apps, snapshot=snapshot, failures=failures))
    shown = parse(html)
    check_rows(status, [cells for cells in shown.rows if "Meeting" in cells])
    check_apps(status, " ".join(shown.text.split()))


def check_rows(status: Status, shown: list[dict[str, str]]) -> None:
    assert len(shown) == len(status.rows)
    for cells, row in zip(shown, status.rows, strict=True):
        assert cells["Meeting"].startswith(row.meeting_name)
        assert row.meeting_id in cells["Meeting"]
        for problem in row.problems:
            assert PROBLEM_TEXTS[problem].label in cells["State"]
        at = row.last_success_timestamp_seconds
        age = "never" if at is None else f"{spaced_duration(max(0.0, NOW - at))} ago"
        assert age == cells["Read"].strip()
        if row.recording is None:
            continue
        recording = row.recording
        assert cells["State"].startswith(recording.state)
        assert recording.recording_id in cells["Recording"]
        size, seconds = recording.file_size_bytes, recording.duration_seconds
        assert ("" if size is None else size_text(size)) == cells.get("Size", "")
        assert ("" if seconds is None else spaced_duration(seconds)) == cells.get("Duration", "")
        left = recording.download_url_expires_in_seconds
        assert (left is None) == (not cells.get("Expires", "").strip())
        if left is not None and left > 0:
            assert f"in {spaced_duration(left)}" == cells["Expires"].strip()


def check_apps(status: Status, text: str) -> None:
    for one in status.apps:
        if one.budget:
            used, limit = f"{one.budget.used_calls:,}", f"{one.budget.limit_calls:,}"
            assert (
                f"{used} of {limit} calls used in 5 m, {one.budget.remaining_calls:,} left" in text
            )
        for state, count in one.recordings.by_state.items():
            assert (f"{state} {count:,}" in text) or not count
        for policy in one.rate_limits:
            assert f"{policy.policy}: {policy.remaining_calls:,}" in text
        for problem in one.problems:
            assert " ".join(problem.split()) in text
    assert "auth 7" in text
    assert "tls 0" not in text


class TestOptions:
    """What the page says about options that are off by default."""

    def test_copies(self) -> None:
        """It counts the copies of an app, and each recording says whether it has one."""
        copies = Copies(listed_at=NOW, objects=7, saved=frozenset("a"), missing=frozenset("b"))
        listed = ArchiveStatus(bucket=BUCKET).after_success(copies, seconds=1.0, now=NOW - 60)
        recordings = tuple(known(name) for name in "abc")
        _, html = page(observed(app(archive=listed, recordings=recordings)))
        shown = parse(html)
        assert "1 recordings saved, 1 not; bucket our-recordings listed 1 m ago" in shown.text
        cells = [row["State"] for row in shown.rows if "State" in row]
        assert ["RECORDINGsaved", "RECORDINGno copy", "RECORDING"] == cells

    def test_bucket_not_listed_yet(self) -> None:
        """Before the first list it counts nothing."""
        _, html = page(observed(app(archive=ArchiveStatus(bucket=BUCKET))))
        assert "bucket our-recordings not listed yet" in parse(html).text

    def test_webhooks(self) -> None:
        """It says how well webhooks work."""
        status = WebhookStatus(WebhookHealth.LOSSY, NOW - 5, missed=3)
        _, html = page(observed(app(webhook=status)))
        text = "lossy, last event 5 s ago, 3 changes not announced since the start"
        assert text in parse(html).text

    def test_accounts(self) -> None:
        """It has the accounts with the number of their apps, and why a list fails."""
        found = with_accounts(
            account(apps=3, listed=5),
            account(apps=None, listed=None, up=False, failure=REFUSED, token_problem="is empty"),
        )
        _, html = page(found)
        text = parse(html).text
        assert "acme: 3 of 5 apps are read, listed 0 s ago" in text
        assert "acme: apps not listed yet" in text
        assert "account acme: apps cannot be listed: token refused (401); " in text
        assert "account acme: API token file: is empty" in text

    def test_off(self) -> None:
        """It says nothing about options that are off."""
        _, html = page(observed(app(recordings=(known(),))))
        text = parse(html).text
        assert not {word for word in ("Accounts", "Copies", "Webhooks") if word in text}


def evil_everywhere(text: str) -> Observed:
    """Return what was observed if each text from outside is *text*."""
    meeting = Meeting("meeting-id", text)
    one = app(
        app=App(text, text, text),
        readings=(reading(meeting=meeting, failure=REFUSED),),
        recordings=(
            known(output_file_name=text, session_id=text),
            known("other", status=State.ERRORED, output_file_name=text),
        ),
        files=(FileState(text, is_read=False, last_success_timestamp_seconds=None, problem=text),),
        token_problem=text,
        archive=ArchiveStatus(bucket=Bucket(text, text)).after_failure(
            ArchiveFailure(ArchiveReason.CONNECT, text)
        ),
    )
    logged = LoggedWarning(NOW, "warning", text, ((text, text),))
    accounts = (account(account=Account(text, text), token_problem=text, failure=REFUSED),)
    return observed(
        snapshot=Snapshot((one, app("other")), NOW, accounts=accounts),
        warnings=(logged,),
        configuration_warnings=(text,),
        failures={text: {text: 1}},
    )


ALLOWED = re.compile(
    "html|head|meta|title|style|body|header|h[123]|span|time|nav|ul|li|a|main|section|p|div|article|"
    "dl|dt|dd|table|caption|thead|tbody|tr|th|td|small|br|strong|footer"
)


@pytest.mark.parametrize("text", EVIL)
def test_texts_from_outside_stay_texts(text: str) -> None:
    """A name with markup is shown as it is: it adds no element and no attribute."""
    check_is_harmless(text)


@given(st.text(min_size=1, max_size=50))
def test_any_text_stays_a_text(text: str) -> None:
    """No text from outside adds an element or an attribute."""
    check_is_harmless(text)


def check_is_harmless(text: str) -> None:
    _, harmless = page(evil_everywhere("harmless"))
    view = View(Filter(app=text or None), unknown_problem=text)
    for shown in (None, view):
        _, html = page(evil_everywhere(text), shown)
        for tag, attributes in parse(html).elements:
            assert ALLOWED.fullmatch(tag), tag
            assert not any(name.startswith("on") or name == "style" for name in attributes)
            target = attributes.get("href") or ""
            assert target.startswith(("?", "/")) or not target, target
        assert html.count(b"<title>") == html.count(b"</title>") == 1
    _, html = page(evil_everywhere(text))
    # A line break in an attribute or an empty text changes no element.
    tags = [tag for tag, _ in parse(html).elements]
    assert tags == [tag for tag, _ in parse(harmless).elements]


class TestPolicy:
    def test_only_its_own_style_is_allowed(self) -> None:
        """The policy allows the page's own style, by its hash, and nothing else."""
        _, html = page(observed(app()))
        (style,) = re.findall(rb"<style>(.*?)</style>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
        assert TEMPLATE.headers["Content-Security-Policy"] == (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'"
        )

    def test_other_headers(self) -> None:
        """The page is not cached, and other sites do not learn its address."""
        assert "no-store" == TEMPLATE.headers["Cache-Control"]
        assert "no-referrer" == TEMPLATE.headers["Referrer-Policy"]

    def test_nothing_is_loaded(self) -> None:
        """The page has no element that loads something, and its style imports nothing."""
        _, html = page(evil_everywhere("x"))
        loading = {"script", "link", "img", "iframe", "object", "embed", "form", "base", "video"}
        assert loading.isdisjoint(tag for tag, _ in parse(html).elements)
        assert not re.search(rb"url\(|@import", html)


class TestVerdict:
    @pytest.mark.parametrize(
        ("found", "heading", "title"),
        [
            (observed(app()), "✓ All is well", "all is well"),
            (
                observed(app(), progress=progress(last_ended_at=None)),
                "… Nothing read yet",
                "not ready",
            ),
            (observed(app(up=False)), "✗ Not ready", "not ready"),
            (observed(app(token_problem="is empty")), "✗ Needs attention", "needs attention"),
        ],
    )
    def test_first_words(self, found: Observed, heading: str, title: str) -> None:
        """The verdict is the first section, in words, and in the title of the tab."""
        _, html = page(found)
        assert f"<h2>{heading}" in html.decode()
        assert html.index(b'class="verdict') < html.index(b"<article")
        assert f"<title>rk-exporter: {title}</title>" in html.decode()

    def test_what_is_wrong(self) -> None:
        """It counts each kind of problem, with a link to those rows, and names apps."""
        one = app(readings=(reading(failure=REFUSED), reading("b", failure=REFUSED)), up=False)
        text = page(observed(one))[1].decode()
        assert '<a href="?problem=unreadable">2 meetings cannot be read</a>' in text
        assert "no API call succeeds for app production" in text

    def test_what_to_do(self) -> None:
        """An app whose calls fail, and a meeting that cannot be read, have a remedy."""
        outage = Outage(failure=REFUSED, since_timestamp_seconds=NOW - 60)
        one = app(readings=(reading(failure=REFUSED),), up=False, outage=outage)
        status, html = page(observed(one))
        remedy = REMEDIES[Reason.AUTH]
        assert status.apps[0].failing
        assert remedy == status.apps[0].failing.remedy == status.rows[0].remedy
        assert 2 == parse(html).text.count(remedy)


class TestViews:
    def test_filter(self) -> None:
        """Links keep the other filter and the pause; the current filter is marked."""
        view = View(Filter(app="a", problem=Problem.FAILED), is_paused=True)
        _, html = page(observed(app("a"), app("b")), view)
        links = {
            attributes["href"]: attributes.get("aria-current")
            for tag, attributes in parse(html).elements
            if tag == "a"
        }
        assert links["?app=b&problem=failed&refresh=off"] is None
        assert links["?problem=failed&refresh=off"] is None
        assert links["?app=a&problem=failed&refresh=off"] == "true"
        assert "?app=a&problem=failed" in links
        assert "No meeting or recording has the problem “failed” in app “a”" in parse(html).text

    def test_unknown_app(self) -> None:
        """An unknown app gets a friendly page with a link to all apps."""
        _, html = page(observed(app("a")), View(Filter(app="nope")))
        assert "There is no app “nope”." in parse(html).text
        assert ">Show all apps</a>" in html.decode()

    def test_unknown_problem(self) -> None:
        """An unknown problem gets a friendly page without rows."""
        one = app(readings=(reading(),))
        _, html = page(observed(one), View(Filter(), unknown_problem="nope"))
        assert "There is no kind of problem “nope”." in parse(html).text
        assert b"<table>" not in html

    @pytest.mark.parametrize("is_paused", [False, True])
    def test_refresh(self, is_paused: bool) -> None:  # noqa: FBT001 # a parameter of pytest
        """The page reloads itself without a script, unless the reader has paused it."""
        _, html = page(observed(app()), View(Filter(), is_paused=is_paused))
        refreshes = [
            attributes["content"]
            for _, attributes in parse(html).elements
            if attributes.get("http-equiv") == "refresh"
        ]
        assert refreshes == ([] if is_paused else ["30"])

    def test_prefix(self) -> None:
        """Below a prefix, links to other pages have it; those to this page need none."""
        template = StatusTemplate(Links("/metrics", "/rk exporter"))
        _, html = page(observed(app()), template=template)
        targets = [attributes["href"] for tag, attributes in parse(html).elements if tag == "a"]
        assert {"/rk%20exporter/metrics", "/rk%20exporter/api/v1/status"} <= {*targets}
        assert all(target and target.startswith(("?", "/rk%20exporter/")) for target in targets)


def test_ten_thousand_meetings() -> None:
    """The page of 10,000 meetings has 200 rows, a count, and less than 250 kB."""
    readings = tuple(reading(f"meeting-{number:05}", failure=REFUSED) for number in range(10_000))
    _, html = page(observed(app(readings=readings)))
    assert 201 == html.count(b"<tr>")
    assert "200 of 10,000 rows, problems first" in parse(html).text
    assert len(html) < 250_000


class TestAccessibility:
    html = page(evil_everywhere("x"))[1]

    def test_language_and_viewport(self) -> None:
        """Screen readers learn the language, and phones do not shrink the page."""
        elements = parse(self.html).elements
        assert ("html", {"lang": "en"}) in elements
        viewport = {"name": "viewport", "content": "width=device-width, initial-scale=1"}
        assert ("meta", viewport) in elements

    def test_headings(self) -> None:
        """There is one h1, and no level is left out."""
        levels = [int(tag[1]) for tag, _ in parse(self.html).elements if re.match(r"h\d", tag)]
        assert 1 == levels.count(1) == levels[0]
        assert all(after <= before + 1 for before, after in pairwise(levels))

    def test_table(self) -> None:
        """The table has a caption, and each head its scope."""
        elements = parse(self.html).elements
        assert 1 == sum(tag == "caption" for tag, _ in elements)
        assert all(attributes["scope"] for tag, attributes in elements if tag == "th")

    def test_times_are_for_machines_too(self) -> None:
        """Each time has its UTC form."""
        times = [attributes for tag, attributes in parse(self.html).elements if tag == "time"]
        assert times
        utc = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
        assert all(utc.fullmatch(attributes["datetime"] or "") for attributes in times)


# WCAG 2.2, 1.4.3, for text of any size.
_LEAST_CONTRAST = 4.5
_VARIABLE = re.compile(r"--([a-z-]+): (#[0-9a-f]{6});")
# Texts and what they are on.
_PAIRS = (
    ("text", "page"),
    ("text", "card"),
    ("muted", "page"),
    ("muted", "card"),
    ("link", "page"),
    ("link", "card"),
    ("bad", "card"),
    ("wait", "card"),
    ("good", "good-back"),
    ("bad", "bad-back"),
    ("wait", "wait-back"),
    ("text", "good-back"),
    ("text", "bad-back"),
    ("text", "wait-back"),
)


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG defines it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def themes() -> Iterator[tuple[str, dict[str, str]]]:
    """Return the colours of the light and the dark theme."""
    style = TestAccessibility.html.decode().partition("<style>")[2].partition("</style>")[0]
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    yield "light", dict(_VARIABLE.findall(light))
    yield "dark", dict(_VARIABLE.findall(dark))


def test_contrast_is_computed_as_wcag_does() -> None:
    """Black on white has 21:1, and the grey of the standard's examples 4.54:1."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize(("theme", "colours"), list(themes()), ids=["light", "dark"])
def test_contrast_of_texts(theme: str, colours: dict[str, str]) -> None:
    """All texts are legible in both themes (WCAG AA)."""
    for text, back in _PAIRS:
        assert contrast(colours[text], colours[back]) >= _LEAST_CONTRAST, (theme, text, back)


def test_contrast_of_states() -> None:
    """The name of each state is legible on its colour."""
    for state, cell in STATE_CELLS.items():
        assert contrast(cell.text, cell.background) >= _LEAST_CONTRAST, state


def test_states_have_the_colours_of_the_dashboards() -> None:
    """A state has the same colour in Grafana and on the page."""
    assert {state.value: cell.background for state, cell in STATE_CELLS.items()} == COLOURS


def test_each_problem_has_words() -> None:
    """Each problem has a label of its own, and notices are problems."""
    assert {*Problem} == {*PROBLEM_TEXTS}
    assert len(Problem) == len({text.label for text in PROBLEM_TEXTS.values()})
    assert "1 recording stuck before the start" in PROBLEM_TEXTS[Problem.STUCK].count(1)
    assert "1,000 meetings cannot be read" == PROBLEM_TEXTS[Problem.UNREADABLE].count(1000)
    assert {*NOTICES} < {*Problem}


@pytest.mark.parametrize(
    ("size", "text"),
    [(0.0, "0 B"), (999.0, "999 B"), (1000.0, "1.0 kB"), (1.5e9, "1.5 GB"), (1e18, "1000.0 PB")],
)
def test_sizes(size: float, text: str) -> None:
    """Sizes have decimal units."""
    assert text == size_text(size)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (3 * 86_400 + 4 * 3600 + 59, "3 d 4 h"), (3600, "1 h")],
)
def test_durations(seconds: float, text: str) -> None:
    """Durations have their two largest units."""
    assert text == spaced_duration(seconds)


def test_times() -> None:
    """A time of today has no date, and an impossible one does not break the page."""
    assert "11:06 UTC" == clock_text(NOW, now=NOW + 60)
    assert "2026-11-17 11:06 UTC" == clock_text(NOW - 86_400, now=NOW)
    assert "2026-11-18T11:06:40Z" == iso_text(NOW)
    assert "an unknown time" == clock_text(1e300, now=NOW)
    assert iso_text(float("inf")) is None


def test_broken_download() -> None:
    """The row of a recording whose file cannot be downloaded says which one and why."""
    one = known(status=State.UPLOADED)
    check = FileCheck(
        recording_id=one.recording_id,
        kind=FileKind.COMPOSITE,
        checked_at=NOW,
        failure=CheckFailure.GONE,
    )
    checks = DownloadChecks({one.recording_id: (check,)})
    _, html = page(observed(app(recordings=(one,), downloads=checks)))
    (cells,) = (cells for cells in parse(html).rows if "Meeting" in cells)
    assert "download broken" in cells["State"]
    assert "composite: gone" in cells["State"]
    assert "1 recording with a file that cannot be downloaded" in html.decode()
