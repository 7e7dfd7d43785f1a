import asyncio
import gzip
import threading

import pytest

from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import exposition as text_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from rk_exporter.metrics.builders import LabelSet, histogram
from rk_exporter.metrics.builders import info as build_info
from rk_exporter.metrics.exposition import Exposition, Format, accepts_gzip, encode, negotiate
from rk_exporter.snapshot import Snapshot
from rk_exporter.tracking.counters import Histogram
from tests.support.building import NOW, run, scripted, setup, value


# What Prometheus 2.42 and 3.14 send.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


class Families(CollectorRegistry):
    """A registry that yields given families, which is what the library's encoders take."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def taken_at(number: float) -> Metric:
    return GaugeMetricFamily("taken_at", "help", value=number)


def by_the_library(families: list[Metric], form: Format) -> bytes:
    collected = Families(families)
    if form is Format.TEXT:
        return text_encoder.generate_latest(collected)
    encoded: bytes = openmetrics_encoder.generate_latest(collected)  # type: ignore[no-untyped-call] # has no annotations
    return encoded


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", Format.TEXT),
        ("*/*", Format.TEXT),
        ("text/html", Format.TEXT),
        ("text/plain", Format.TEXT),
        (PROMETHEUS_2, Format.OPENMETRICS),
        (PROMETHEUS_3, Format.OPENMETRICS),
        ("application/openmetrics-text", Format.OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0", Format.OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1", Format.TEXT),
        ("application/openmetrics-text;version=2.0.0, text/plain", Format.TEXT),
        ("application/openmetrics-text;version=abc", Format.TEXT),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.2", Format.TEXT),
        ("text/plain, application/openmetrics-text", Format.TEXT),
        ("application/openmetrics-text;q=0, */*;q=0.1", Format.TEXT),
        ("application/openmetrics-text;q=high", Format.TEXT),
        (";;;,,=,q", Format.TEXT),
        (", ".join(["a/b;c=d"] * 2000), Format.TEXT),
        ("application/vnd.google.protobuf;proto=io.prometheus", Format.TEXT),
        ("application/openmetrics-text;q=0.1, text/*;q=0.2", Format.TEXT),
        ("application/openmetrics-text;q=0.1, */*;q=0.2", Format.TEXT),
        ("application/openmetrics-text;q=0.1, TEXT/PLAIN; Version=0.0.4", Format.TEXT),
        ("application/openmetrics-text;q=0.1, text/plain;version=1.0.0", Format.OPENMETRICS),
        ("application/openmetrics-text;q=0.1, text/html", Format.OPENMETRICS),
        ("application/openmetrics-text; q = 0.1 , text/plain; q = 0.2", Format.TEXT),
        ("application/openmetrics-text;q=0.001", Format.OPENMETRICS),
        ("application/openmetrics-text;version", Format.TEXT),
        ("application/openmetrics-text;q=0.5;q=0", Format.TEXT),
    ],
)
def test_negotiation(accept: str, expected: Format) -> None:
    """The client gets the format that it prefers, or the text format if it names neither."""
    assert expected is negotiate(accept)


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, GZIP;q=1.0, *;q=0.5", True),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0, gzip", True),
        ("*", True),
        ("gzip;q=0.001", True),
        ("gzip;q=1.000", True),
        ("gzip;q=high", False),
        ("*;q=0", False),
        ("identity, gzip ; q = 0", False),
        ("x-gzip", False),
    ],
)
def test_gzip(accept_encoding: str, expected: bool) -> None:  # noqa: FBT001 # parameter of a test
    """The response is compressed if the client accepts gzip."""
    assert expected == accepts_gzip(accept_encoding)


@pytest.mark.parametrize("form", Format)
def test_same_bytes_as_the_library(form: Format) -> None:
    """A whole exposition equals that of prometheus_client, byte by byte."""
    recordings = [
        scripted("meeting-1", invoked_at=NOW + 1),
        scripted("meeting-2", invoked_at=NOW + 1),
    ]
    system = setup(*recordings, meetings=["meeting-1", "meeting-2", "idle"])

    async def steps() -> Snapshot:
        snapshot = await system.exporter.collector.scrape(5)
        for seconds in (50, 120):
            system.time.now = NOW + seconds
            snapshot = await system.exporter.collector.scrape(5)
        return snapshot

    families = list(system.exporter.families(run(steps())))
    encoded = encode(families, form)
    assert 2 == value(encoded.decode(), "rk_recording_upload_delay_seconds_count")
    assert by_the_library(families, form) == encoded


@pytest.mark.parametrize("form", Format)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"])),
    number=st.floats(allow_nan=False) | st.integers(0, 2**63),
)
# From a million on the library's form is not Python's.
@example(text="", number=1e6)
@example(text="", number=999_999.5)
@example(text="", number=-1e6)
@example(text="", number=1_000_000)
def test_any_label_and_value(form: Format, text: str, number: float) -> None:
    """Any label, HELP line and number is encoded exactly as the library encodes it."""
    gauge = GaugeMetricFamily("gauge", text, labels=["b", "a"])
    gauge.add_metric([text, "x"], number)
    info = InfoMetricFamily("some", "help", labels=["a"])
    info.add_metric(["x"], {"c": text})
    counter = CounterMetricFamily("counted", text, labels=["from"])
    counter.add_metric([text], abs(number))
    delays = Histogram((0.5, 1e9), (1, 0, 2), abs(number))
    measured = histogram("delay", text, [(LabelSet(a=text), delays)])
    families = [gauge, info, counter, measured]
    encoded = encode(families, form)
    assert by_the_library(families, form) == encoded
    if form is Format.OPENMETRICS:
        parsed = list(parse_openmetrics(encoded.decode()))  # type: ignore[no-untyped-call] # has no annotations
    else:
        parsed = list(parse_text(encoded.decode()))
    assert text == parsed[0].samples[0].labels["b"]


@pytest.mark.parametrize("form", Format)
def test_label_sets_are_rendered_once(form: Format) -> None:
    """The text of a label set is used as it was made, because to render it costs time."""
    labels = LabelSet(a="b")
    labels.text = "{rendered before}"
    assert (
        b"some_info{rendered before} 1.0"
        in encode([build_info("some", "help", [labels])], form).splitlines()
    )


@pytest.mark.parametrize("form", Format)
def test_characters_without_bytes(form: Format) -> None:
    """A label that UTF-8 cannot express costs only its own character."""
    info = InfoMetricFamily("some", "help")
    info.add_metric([], {"name": "a\ud800b"})
    assert b'some_info{name="a?b"} 1.0' in encode([info], form).splitlines()


def test_each_format_is_rendered_once_for_a_snapshot() -> None:
    """Each format of a snapshot is rendered once, however many scrapers ask in parallel."""
    rendered: list[str] = []

    def families(snapshot: Snapshot) -> list[Metric]:
        del snapshot
        rendered.append(threading.current_thread().name)
        return []

    async def ask() -> None:
        exposition = Exposition(families)
        for snapshot in (Snapshot((), 1), Snapshot((), 2)):
            await asyncio.gather(
                *(
                    exposition.render(snapshot, form, gzipped=gzipped)
                    for form in Format
                    for gzipped in (False, True)
                    for _ in range(10)
                )
            )
        exposition.close()

    run(ask())
    assert 4 == len(rendered)
    assert all(name.startswith("exposition") for name in rendered)


def test_compressed_pages_are_equal() -> None:
    """Each format of a snapshot is compressed by the fastest level, to the same bytes each time."""

    async def ask() -> list[tuple[bytes, bytes]]:
        exposition = Exposition(lambda _: [taken_at(number) for number in range(100)])
        snapshot = Snapshot((), NOW)
        pages = [
            (
                await exposition.render(snapshot, form, gzipped=False),
                await exposition.render(snapshot, form, gzipped=True),
            )
            for form in Format
        ]
        exposition.close()
        return pages

    pages = run(ask())
    assert len(Format) == len({*pages})
    for plain, compressed in pages:
        assert gzip.compress(plain, 1, mtime=0) == compressed


def test_forgotten_pages_are_rendered_again() -> None:
    """After other metrics than the snapshot's have changed, the snapshot is rendered again."""
    numbers = iter(range(9))

    async def ask() -> list[bytes]:
        exposition, snapshot = Exposition(lambda _: [taken_at(next(numbers))]), Snapshot((), NOW)
        pages = []
        for is_forgotten in (False, False, True, False):
            if is_forgotten:
                exposition.forget()
            pages.append(await exposition.render(snapshot, Format.TEXT, gzipped=False))
        exposition.close()
        return pages

    assert [0, 0, 1, 1] == [value(page.decode(), "taken_at") for page in run(ask())]


class Busy:
    """The families of an exposition whose rendering takes until it may end, or too long."""

    def __init__(self) -> None:
        self.has_begun, self.may_end, self.has_ended = (threading.Event() for _ in range(3))
        self.rendered: list[float] = []

    def __call__(self, snapshot: Snapshot) -> list[Metric]:
        self.rendered.append(snapshot.taken_at)
        self.has_begun.set()
        self.may_end.wait(10)
        self.has_ended.set()
        return [taken_at(snapshot.taken_at)]


def asked(exposition: Exposition, number: float) -> asyncio.Task[bytes]:
    """Ask for a page of the snapshot with this *number*."""
    page = exposition.render(Snapshot((), number), Format.TEXT, gzipped=False)
    return asyncio.create_task(page)


def test_close_waits_for_nothing() -> None:
    """After close the page that is being rendered ends in its own time, and no other begins."""
    busy = Busy()

    async def ask() -> bool:
        exposition = Exposition(busy)
        pages = [asked(exposition, number) for number in (1, 2)]
        await asyncio.to_thread(busy.has_begun.wait, 30)
        exposition.close()
        has_waited = busy.has_ended.is_set()
        busy.may_end.set()
        await asyncio.gather(*pages, return_exceptions=True)
        return has_waited

    assert not run(ask())
    assert [1] == busy.rendered


def test_pages_wait_for_each_other() -> None:
    """Only one page is rendered at a time, because more would only share the processor."""
    busy = Busy()

    async def ask() -> list[float]:
        exposition = Exposition(busy)
        pages = [asked(exposition, number) for number in (1, 2, 3)]
        await asyncio.to_thread(busy.has_begun.wait, 30)
        begun = [*busy.rendered]
        busy.may_end.set()
        await asyncio.gather(*pages)
        exposition.close()
        return begun

    assert [1] == run(ask())
    assert [1, 2, 3] == busy.rendered


def test_a_scraper_that_leaves() -> None:
    """A scrape that is cancelled costs no other scrape its page."""
    busy = Busy()

    async def ask() -> bytes:
        exposition, snapshot = Exposition(busy), Snapshot((), NOW)
        first, second = (
            asyncio.create_task(exposition.render(snapshot, Format.TEXT, gzipped=False))
            for _ in range(2)
        )
        await asyncio.to_thread(busy.has_begun.wait, 30)
        first.cancel()
        busy.may_end.set()
        page = await second
        exposition.close()
        return page

    assert NOW == value(run(ask()).decode(), "taken_at")
    assert [NOW] == busy.rendered


def test_snapshots_in_flight_do_not_mix() -> None:
    """A page that is being compressed while a new snapshot arrives keeps its own content."""

    async def ask() -> list[bytes]:
        exposition = Exposition(lambda snapshot: [taken_at(snapshot.taken_at)])
        snapshots = [Snapshot((), number) for number in range(20)]
        pages = await asyncio.gather(
            *(exposition.render(snapshot, Format.TEXT, gzipped=True) for snapshot in snapshots)
        )
        exposition.close()
        return [gzip.decompress(page) for page in pages]

    expected = [f"taken_at {number}.0\n".encode() for number in range(20)]
    assert expected == [page.splitlines(keepends=True)[-1] for page in run(ask())]
