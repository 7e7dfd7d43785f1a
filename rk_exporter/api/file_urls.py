"""The download URLs in an answer, for those who ask for them; all others never see them."""

from collections.abc import Iterator
from typing import Protocol

import msgspec

from rk_exporter.api import fields, schema
from rk_exporter.model.download import FileKind, FileUrls
from rk_exporter.model.recording import Recording
from rk_exporter.model.secret import Secret


# As many participants as a recording of tracks can have.
MOST_FILES = 100
_any: msgspec.json.Decoder[object] = msgspec.json.Decoder()


class FileSink(Protocol):
    """Who takes the URLs of recordings."""

    def wants(self, recording: Recording) -> bool:
        """Return whether the URLs of a *recording* are needed now."""

    def offer(self, recording: Recording, files: tuple[FileUrls, ...]) -> None:
        """Take the URLs of a *recording*."""


def offer_urls(sink: FileSink | None, recording: Recording, item: schema.RecordingItem) -> None:
    """Offer the URLs in *item*, which *recording* was read from, to *sink* if it wants them."""
    if sink is None or not sink.wants(recording):
        return
    files = []
    if recording.has_download_url:
        main = FileKind.TRACK if recording.is_track else FileKind.COMPOSITE
        files.append(FileUrls(main, _urls(item.download_url)))
    if recording.has_audio_download_url:
        files.append(FileUrls(FileKind.AUDIO, _urls(item.audio_download_url)))
    sink.offer(recording, tuple(files))


def _urls(raw: msgspec.Raw) -> tuple[Secret, ...]:
    """Return the URL in a string, or all URLs in a list of tracks; none if there are none in it."""
    try:
        found = [*_strings(_any.decode(raw), key="download_url")]
    except fields.UNREADABLE:
        return ()
    return tuple(map(Secret, found[:MOST_FILES]))


def _strings(value: object, *, key: str) -> Iterator[str]:
    """
    Return the URLs in *value*.

    The documented list has layers with files by name: `[{"download_urls": {NAME: {"download_url":
    URL}}}]`. Other shapes are read as well, because only a sample of a third party shows this one.
    """
    if isinstance(value, str):
        if key == "download_url":
            yield value
    elif isinstance(value, list):
        # Only an object has names of files as its keys.
        inner = "download_url" if key == "download_urls" else key
        for item in value:
            yield from _strings(item, key=inner)
    elif isinstance(value, dict):
        for name, item in value.items():
            # The keys in `download_urls` are names of files.
            yield from _strings(item, key="download_url" if key == "download_urls" else name)
