"""The files of recordings, and what checks of their downloads found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rk_exporter.model.secret import Secret


class FileKind(StrEnum):
    """Which files of a recording a check is about: the label `kind`."""

    COMPOSITE = "composite"
    """The recording itself."""
    AUDIO = "audio"
    """Its sound alone."""
    TRACK = "track"
    """The files of its participants, together."""


class CheckFailure(StrEnum):
    """Why a download does not work: the closed set of values of the label `reason`."""

    GONE = "gone"
    FORBIDDEN = "forbidden"
    SIZE_MISMATCH = "size_mismatch"
    EMPTY = "empty"
    NOT_MEDIA = "not_media"
    TLS = "tls"
    CONNECT = "connect"
    TIMEOUT = "timeout"
    REFUSED_HOST = "refused_host"
    SERVER_ERROR = "server_error"


@dataclass(frozen=True, slots=True)
class FileUrls:
    """The download URLs of the files of one *kind*, just read; none if no URL could be found."""

    kind: FileKind
    urls: tuple[Secret, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """
    The result of the last check of a recording's files of one kind.

    *checked_at* is in unix seconds, and *failures* the number of failed checks in a row.
    """

    recording_id: str
    kind: FileKind
    checked_at: float
    failure: CheckFailure | None = None
    size_bytes: float | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class DownloadChecks:
    """The last checks of an app's files by recording, and the counts of all checks."""

    by_recording: Mapping[str, tuple[FileCheck, ...]] = field(default_factory=dict)
    made: int = 0
    failed: Mapping[CheckFailure, int] = field(default_factory=dict)
