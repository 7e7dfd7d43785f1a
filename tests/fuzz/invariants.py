"""What must be true of everything that the exporter shows, whatever it has read."""

import json
import math

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.model.meeting import App, Reading
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tracking.counters import RecordingCounters
from rk_exporter.tracking.lifecycle import KnownRecording
from tests.support.building import NOW


# A shorter text may be in an exposition by chance.
_SHORTEST_SECRET = 12
# Each letter and digit becomes another one, so that a text keeps its shape.
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OTHERS = str.maketrans(
    _LETTERS + _LETTERS.upper() + "0123456789",
    "bcdefghijklmnopqrstuvwxyzaBCDEFGHIJKLMNOPQRSTUVWXYZA1234567890",
)
_URLS = ("download_url", "audio_download_url")


def shown(
    recordings: Iterable[KnownRecording] = (),
    readings: Iterable[Reading] = (),
    counters: RecordingCounters | None = None,
    **changes: Any,
) -> str:
    """
    Return the exposition of an app, in Prometheus's format.

    Raises AssertionError unless both parsers of prometheus_client read it, and each value is a
    finite number.
    """
    app = AppSnapshot(
        app=App("app", "account", "id"),
        readings=tuple(readings),
        recordings=tuple(recordings),
        counters=counters or RecordingCounters(),
        **changes,
    )
    snapshot = Snapshot((app,), NOW)
    text = encode(SnapshotFamilies()(snapshot), Format.TEXT).decode()
    check_exposition(text.encode())
    in_openmetrics = encode(SnapshotFamilies()(snapshot), Format.OPENMETRICS).decode()
    _check(openmetrics.text_string_to_metric_families(in_openmetrics))  # type: ignore[no-untyped-call] # unannotated
    return text


def check_exposition(text: bytes) -> None:
    """Raise AssertionError, or the parser's ValueError, unless an exposition is valid."""
    _check(parser.text_string_to_metric_families(text.decode()))


def _check(families: Iterable[Any]) -> None:
    for family in families:
        for sample in family.samples:
            assert math.isfinite(sample.value) or sample.labels.get("le"), sample


def check_secrets(body: bytes, told: str, tell: Callable[[bytes], str]) -> None:
    """
    Raise AssertionError if what is *told* of a *body* has a secret of it.

    A secret may also be a word that is told anyway, such as the name of a field. So *tell*, which
    makes such a text of any body, must show a change of the secret too.
    """
    for secret in _secrets_in(body):
        if secret in told:
            other = secret.translate(_OTHERS)
            changed = body.replace(_raw(secret), _raw(other))
            is_leaked = secret == other or other in tell(changed)
            assert not is_leaked, secret


def _secrets_in(body: bytes) -> Iterator[str]:
    """
    Yield what nobody may see of an answer or an event, if it occurs there only once.

    That is each download URL, and the query of each other URL, whichever field has it.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return
    for value in (*_urls(document), *_queries(document)):
        if len(value) >= _SHORTEST_SECRET and body.count(_raw(value)) == 1:
            yield value


def _raw(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _urls(document: Any) -> Iterator[str]:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
            for name in _URLS:
                given = value.get(name)
                yield from (
                    url
                    for url in (given if isinstance(given, list) else [given])
                    if isinstance(url, str)
                )
        elif isinstance(value, list):
            waiting.extend(value)


def _queries(document: Any) -> Iterator[str]:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, str):
            yield from queries_in(value)


def queries_in(text: str) -> Iterator[str]:
    """Yield the queries of the URLs in a *text*."""
    for word in text.split():
        yield word.partition("://")[2].partition("?")[2]
