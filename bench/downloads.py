"""What checks of downloads cost an exposition, and that they cost nothing when they are off."""

import statistics
import time

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bench.expositions import RENDERINGS, snapshot_of
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.model.download import CheckFailure, DownloadChecks, FileCheck, FileKind
from rk_exporter.snapshot import AppSnapshot, Snapshot


RECORDINGS = 1000
_OF_CHECKS = (
    "rk_download_",
    "rk_recording_download_verified",
    "rk_recording_download_size_",
    "rk_recording_download_last_check_",
    "rk_recording_download_failure_",
)


@dataclass(frozen=True, slots=True)
class Shown:
    """An exposition, and the median time that it takes in milliseconds."""

    page: bytes
    milliseconds: float

    @property
    def lines(self) -> list[str]:
        """Return its lines."""
        return self.page.decode().splitlines()

    @property
    def series(self) -> int:
        """Return the number of series."""
        return sum(not line.startswith("#") for line in self.lines)


def print_downloads() -> None:
    """Print the exposition of recordings whose downloads are verified, and of others."""
    off, on = shown(verified=False), shown(verified=True)
    if not is_free_when_off(off, on):
        raise AssertionError("the exposition is another one although downloads are not verified")
    print(
        f"checks of downloads, {RECORDINGS:,} recordings that are not read again (medians of "
        f"{RENDERINGS}); off, no other line differs:\n\n"
        "| downloads.verify | series | bytes | exposition |\n| --- | ---: | ---: | ---: |"
    )
    for name, found in (("off", off), ("on", on)):
        size = f"{len(found.page) / 1e6:.2f} MB"
        print(f"| {name} | {found.series:,} | {size} | {found.milliseconds:.1f} ms |")
    print()


def is_free_when_off(off: Shown, on: Shown) -> bool:
    """Return whether *off* is *on* without the metrics of checks, and has none of them."""
    return off.lines == list(_without_checks(on)) and on.series > off.series


def shown(*, verified: bool) -> Shown:
    """Return the exposition of all recordings."""
    build, times, page = SnapshotFamilies(), list[float](), b""
    for number in range(RENDERINGS + 1):
        snapshot = snapshot_of(RECORDINGS, 0)
        snapshot = _with_checks(snapshot) if verified else snapshot
        snapshot = replace(snapshot, taken_at=snapshot.taken_at + 15 * number)
        begun = time.perf_counter()
        page = encode(build(snapshot), Format.TEXT)
        times.append((time.perf_counter() - begun) * 1000)
    # The first one makes the label sets.
    return Shown(page, statistics.median(times[1:]))


def _without_checks(found: Shown) -> Iterator[str]:
    for line in found.lines:
        name = line.split(" ")[2] if line.startswith("#") else line
        if not name.startswith(_OF_CHECKS):
            yield line


def _with_checks(snapshot: Snapshot) -> Snapshot:
    (app,) = snapshot.apps
    return replace(snapshot, apps=(replace(app, downloads=_checks(app, snapshot.taken_at)),))


def _checks(app: AppSnapshot, now: float) -> DownloadChecks:
    """Return a good check of each file."""
    by_recording = {
        known.recording_id: tuple(
            FileCheck(
                recording_id=known.recording_id,
                kind=kind,
                checked_at=now,
                size_bytes=known.recording.file_size_bytes,
            )
            for kind in (FileKind.COMPOSITE, FileKind.AUDIO)
        )
        for known in app.recordings
    }
    made = 2 * len(by_recording)
    return DownloadChecks(by_recording, made=made, failed=dict.fromkeys(CheckFailure, 0))
