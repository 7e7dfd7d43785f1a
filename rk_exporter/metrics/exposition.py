"""
The exposition: the format that a scraper prefers, and a snapshot as bytes in that format.

prometheus_client has encoders, and the tests hold this module to their output byte by byte. They
render all labels at each scrape, which takes ten times as long for a thousand recordings.
"""

import asyncio
import gzip
import re

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum

from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from rk_exporter.metrics.builders import LabelSet
from rk_exporter.snapshot import Snapshot


class Format(Enum):
    """An exposition format, by the Content-Type that announces it."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


# The renderings of one snapshot, by format and content coding.
Pages = dict[tuple[Format, str], asyncio.Future[bytes]]

_PLAIN_BELOW = 1e6
_QUALITY = re.compile(r"[01](\.[0-9]{0,3})?")
# 13 % more bytes than the library's level 9, in a third of the time.
_GZIP_LEVEL = 1
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
# Only OpenMetrics escapes quotes in HELP lines.
_TEXT_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})
# The text format has no info type, and a counter's family name includes the suffix.
_TEXT_FAMILY = {"counter": ("_total", "counter"), "info": ("_info", "gauge")}


def negotiate(accept: str) -> Format:
    """
    Return the format that the header *accept* prefers, or the text format if it names neither.

    Quality values follow RFC 9110, section 12.5.1; among equals the first wins.
    """
    wanted = [(quality, form) for form, quality in _ranges(accept) if quality > 0]
    return max(wanted, key=lambda pair: pair[0])[1] if wanted else Format.TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether the header *accept_encoding* allows gzip, by its name or by `*`."""
    qualities = {name: _quality(parameters) for name, parameters in _header_items(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def encode(families: Iterable[Metric], form: Format) -> bytes:
    """Return *families* in the format *form*, with the samples in the given order."""
    lines: list[str] = []
    for family in families:
        lines.extend(_head(family, form))
        for sample in family.samples:
            labels = sample.labels
            text = labels.text if type(labels) is LabelSet else LabelSet(labels).text
            lines.append(f"{sample.name}{text} {_number(sample.value)}\n")
    if form is Format.OPENMETRICS:
        lines.append("# EOF\n")
    # No label may cost the whole exposition.
    return "".join(lines).encode(errors="replace")


def _number(value: float) -> str:
    # Below a million the library's form is Python's own, which takes a third of the time.
    if type(value) is float and -_PLAIN_BELOW < value < _PLAIN_BELOW:
        return repr(value)
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call] # unannotated
    return text


class Exposition:
    """
    Renders each snapshot once per format, however many scrapers ask for it.

    It renders in a thread of its own, so that /-/healthy answers in the meantime. The default
    executor would not do: there, rendering would wait behind name look-ups that hang.
    """

    def __init__(self, families: Callable[[Snapshot], Iterable[Metric]]) -> None:
        self._families = families
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="exposition")
        self._snapshot: Snapshot | None = None
        self._pages: Pages = {}

    async def render(self, snapshot: Snapshot, form: Format, *, gzipped: bool) -> bytes:
        """Return *snapshot* in the format *form*, compressed if *gzipped*."""
        if snapshot is not self._snapshot:
            self._snapshot, self._pages = snapshot, {}
        # Another snapshot may replace this one while the thread is at work.
        pages = self._pages
        plain = await self._once(
            pages, (form, "identity"), lambda: encode(self._families(snapshot), form)
        )
        if not gzipped:
            return plain
        return await self._once(
            pages, (form, "gzip"), lambda: gzip.compress(plain, _GZIP_LEVEL, mtime=0)
        )

    def forget(self) -> None:
        """Render the last snapshot again, because other metrics than its own have changed."""
        self._snapshot = None

    def close(self) -> None:
        """Stop the thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _once(
        self, pages: Pages, page: tuple[Format, str], render: Callable[[], bytes]
    ) -> bytes:
        if page not in pages:
            loop = asyncio.get_running_loop()
            pages[page] = loop.run_in_executor(self._executor, render)
        # A scrape that is cancelled must not cancel the page that others wait for.
        return await asyncio.shield(pages[page])


def _header_items(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Return the items of a header's list in lower case, each with its parameters."""
    for item in header.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        pairs = (parameter.partition("=") for parameter in parameters)
        yield name, {key.strip(): value.strip() for key, _, value in pairs}


def _quality(parameters: dict[str, str]) -> float:
    text = parameters.get("q", "1")
    return float(text) if _QUALITY.fullmatch(text) else 0.0


def _ranges(accept: str) -> Iterator[tuple[Format, float]]:
    for name, parameters in _header_items(accept):
        version = parameters.get("version")
        if name == "application/openmetrics-text" and version in {None, "1.0.0"}:
            yield Format.OPENMETRICS, _quality(parameters)
        elif name in {"text/plain", "text/*", "*/*"} and version in {None, "0.0.4"}:
            yield Format.TEXT, _quality(parameters)


def _head(family: Metric, form: Format) -> Iterator[str]:
    name, kind, escapes = family.name, family.type, _HELP_ESCAPES
    if form is Format.TEXT:
        suffix, kind = _TEXT_FAMILY.get(family.type, ("", family.type))
        name, escapes = name + suffix, _TEXT_HELP_ESCAPES
    yield f"# HELP {name} {family.documentation.translate(escapes)}\n"
    yield f"# TYPE {name} {kind}\n"
