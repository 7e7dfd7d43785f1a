"""
The exposition: which format a scraper wants, and a snapshot as bytes in it.

prometheus_client has encoders, and the tests hold this module to their output byte by byte; but
they render the labels of each sample anew, which for a thousand recordings takes ten times as
long and stops everything else meanwhile.
"""

import asyncio
import gzip
import re

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum

from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from rk_exporter.snapshot import Snapshot


class Format(Enum):
    """An exposition format, by the Content-Type that announces it."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


Pages = dict[tuple[Format, str], asyncio.Future[bytes]]


"""The renderings of one snapshot, by format and content coding."""
_QUALITY = re.compile(r"[01](\.[0-9]{0,3})?")
# 13 % more bytes than the library's level 9, in a third of the time.
_GZIP_LEVEL = 1
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
# Quotes are escaped in the HELP lines of OpenMetrics only.
_TEXT_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})
# The text format knows no info, and counters carry their suffix in the name of the family.
_TEXT_FAMILY = {"counter": ("_total", "counter"), "info": ("_info", "gauge")}


def negotiate(accept: str) -> Format:
    """
    Return the format that the header *accept* prefers, the text format where it names neither.

    Quality values as RFC 9110 has them, section 12.5.1; among equals the first.
    """
    wanted = [(quality, form) for form, quality in _ranges(accept) if quality > 0]
    return max(wanted, key=lambda each: each[0])[1] if wanted else Format.TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether the header *accept_encoding* allows gzip, by its name or else by `*`."""
    qualities = {name: _quality(parameters) for name, parameters in _header_items(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def encode(families: Iterable[Metric], form: Format) -> bytes:
    """
    Return *families* in the format *form*, samples in the order in which they come.

    Samples that share one dict of labels share its text as well.
    """
    # All at once, so that no dict is gone, and its id another's, before the end.
    kept = list(families)
    label_texts: dict[int, str] = {}
    pair_texts: dict[tuple[str, str], str] = {}
    lines: list[str] = []
    for family in kept:
        lines.extend(_head(family, form))
        for sample in family.samples:
            text = label_texts.get(id(sample.labels))
            if text is None:
                text = label_texts[id(sample.labels)] = _label_text(sample.labels, pair_texts)
            value = floatToGoString(sample.value)  # type: ignore[no-untyped-call] # unannotated
            lines.append(f"{sample.name}{text} {value}\n")
    if form is Format.OPENMETRICS:
        lines.append("# EOF\n")
    return "".join(lines).encode()


class Exposition:
    """
    Renders each snapshot once for each format, however many scrape it.

    In a thread of its own: rendering must not delay the answers of /-/healthy, and in the
    default executor it would wait behind name look-ups that hang.
    """

    def __init__(self, families: Callable[[Snapshot], Iterable[Metric]]) -> None:
        self._families = families
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="exposition")
        self._snapshot: Snapshot | None = None
        self._pages: Pages = {}

    async def render(self, snapshot: Snapshot, form: Format, *, gzipped: bool) -> bytes:
        """Return *snapshot* in the format *form*."""
        if snapshot is not self._snapshot:
            self._snapshot, self._pages = snapshot, {}
        # Another snapshot may take the place of this one while the thread is at work.
        pages = self._pages
        plain = await self._once(
            pages, (form, "identity"), lambda: encode(self._families(snapshot), form)
        )
        if not gzipped:
            return plain
        return await self._once(
            pages, (form, "gzip"), lambda: gzip.compress(plain, _GZIP_LEVEL, mtime=0)
        )

    def close(self) -> None:
        """Stop the thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _once(
        self, pages: Pages, page: tuple[Format, str], render: Callable[[], bytes]
    ) -> bytes:
        if page not in pages:
            loop = asyncio.get_running_loop()
            pages[page] = loop.run_in_executor(self._executor, render)
        # A scrape that is given up must not take the page of the others with it.
        return await asyncio.shield(pages[page])


def _header_items(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Return the items of a header's list, lower-cased, each with its parameters."""
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
    name, kind, escapes = family.name, family.type, _ESCAPES
    if form is Format.TEXT:
        suffix, kind = _TEXT_FAMILY.get(family.type, ("", family.type))
        name, escapes = name + suffix, _TEXT_HELP_ESCAPES
    yield f"# HELP {name} {family.documentation.translate(escapes)}\n"
    yield f"# TYPE {name} {kind}\n"


def _label_text(labels: dict[str, str], pair_texts: dict[tuple[str, str], str]) -> str:
    """Return *labels* in braces; the text of a pair that came before is in *pair_texts*."""
    texts = []
    for pair in sorted(labels.items()):
        text = pair_texts.get(pair)
        if text is None:
            name, value = pair
            text = pair_texts[pair] = f'{name}="{value.translate(_ESCAPES)}"'
        texts.append(text)
    return f"{{{','.join(texts)}}}" if texts else ""
