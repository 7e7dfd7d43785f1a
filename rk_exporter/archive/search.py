"""The search for copies among the objects of a bucket, while they are listed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rk_exporter.archive.status import Copies
from rk_exporter.model.archive import Archive
from rk_exporter.model.recording import Recording, Status
from rk_exporter.runtime.printable import LONGEST_LABEL_CHARACTERS, printable
from rk_exporter.runtime.redaction import REDACTED
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.totals import expires_at


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A copy that may be found under *key*, or in any folder if *is_anywhere*."""

    recording_id: str
    key: str
    size: float | None
    is_anywhere: bool

    def fits(self, key: str, size: int) -> bool:
        """Return whether an object is this copy; one with another size was not uploaded whole."""
        is_named_so = key == self.key if not self.is_anywhere else _ends_with(key, self.key)
        # Without a size in the API, any file that is not empty counts.
        return is_named_so and (size == self.size if self.size else size > 0)


def _ends_with(key: str, name: str) -> bool:
    return key == name or key.endswith(f"/{name}")


class Search:
    """
    Looks for the copies of one app's *recordings*, by one object of its bucket after the other.

    It keeps no objects, so the size of the bucket costs time but no memory.
    """

    def __init__(self, archive: Archive, recordings: Iterable[KnownRecording]) -> None:
        self._wanted: dict[str, list[_Wanted]] = {}
        self._expiries: dict[str, float | None] = {}
        self._saved: set[str] = set()
        for known in recordings:
            for wanted in _copies_of(archive, known):
                self._wanted.setdefault(_last_part(wanted.key), []).append(wanted)
                self._expiries[wanted.recording_id] = expires_at(known)

    def see(self, key: str, size: int) -> None:
        """Take notice of an object."""
        key = _comparable(key)
        for wanted in self._wanted.get(_last_part(key), ()):
            if wanted.fits(key, size):
                self._saved.add(wanted.recording_id)

    def result(self, *, listed_at: float, objects: int) -> Copies:
        """Return what was found, after all *objects* have been seen."""
        missing = self._expiries.keys() - self._saved
        expiries = (self._expiries[recording_id] for recording_id in missing)
        return Copies(
            listed_at=listed_at,
            objects=objects,
            saved=frozenset(self._saved),
            missing=frozenset(missing),
            missing_expiries=tuple(sorted(moment for moment in expiries if moment is not None)),
        )


def _copies_of(archive: Archive, known: KnownRecording) -> Iterator[_Wanted]:
    """Return what to look for; nothing if the recording has no file, or several."""
    recording, prefix = known.recording, archive.bucket.prefix
    # The name that the API gives for tracks is a template of many names.
    if recording.status is not Status.UPLOADED or recording.is_track:
        return
    size = recording.file_size_bytes
    if archive.key is None:
        if name := _file_name(recording):
            key = _comparable(f"{prefix}{name}")
            yield _Wanted(recording.recording_id, key, size, is_anywhere=False)
            yield _Wanted(recording.recording_id, _comparable(name), size, is_anywhere=True)
    elif (rest := _filled(archive.key, known, recording)) is not None:
        key = _comparable(f"{prefix}{rest}")
        yield _Wanted(recording.recording_id, key, size, is_anywhere=False)


def _file_name(recording: Recording) -> str | None:
    """Return the name of a recording's file; None if only a part of it is known."""
    name = recording.output_file_name or ""
    is_whole = len(name) < LONGEST_LABEL_CHARACTERS and REDACTED not in name
    return name if name and is_whole else None


def _filled(template: str, known: KnownRecording, recording: Recording) -> str | None:
    """Return the key that *template* describes; None if the API has not given all of it."""
    values = {
        "meeting_id": known.meeting.meeting_id,
        "recording_id": recording.recording_id,
        "session_id": recording.session_id,
        "output_file_name": _file_name(recording),
    }
    if any(not value and f"{{{name}}}" in template for name, value in values.items()):
        return None
    return template.format_map(values)


def _comparable(key: str) -> str:
    """Return a *key* with its parts as labels: so the names of files are read from the API."""
    if " " not in key and key.isprintable():
        return key
    return "/".join(part.strip() for part in printable(key).split("/"))


def _last_part(key: str) -> str:
    return key.rpartition("/")[2]
