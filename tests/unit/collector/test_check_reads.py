from collections.abc import Iterable

import pytest

from rk_exporter.collector.backfill import Backfill
from rk_exporter.collector.check_reads import ids_to_read, start_checks
from rk_exporter.downloads.verifier import DownloadVerifier
from rk_exporter.model.recording import Recording, Status
from rk_exporter.tracking.lifecycle import KnownRecording
from tests.support.known import known


class Verifier(DownloadVerifier):
    """A verifier that wants all recordings."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str]] = []

    def to_read(self, shown: Iterable[Recording], *, most: int) -> list[str]:
        return [recording.recording_id for recording in shown][:most]

    def start(self, shown: Iterable[tuple[str, Recording]]) -> None:
        self.started += [(meeting_id, recording.recording_id) for meeting_id, recording in shown]


class List(Backfill):
    """A list of recordings that can be read as a whole, or was read just before."""

    def __init__(self, *, can_be_read: bool) -> None:
        self._can_be_read = can_be_read
        self.is_asked = False

    def read_whole_soon(self) -> bool:
        self.is_asked = True
        return self._can_be_read


def recordings(count: int) -> list[KnownRecording]:
    return [known(f"r-{number}", f"m-{number}", status=Status.UPLOADED) for number in range(count)]


@pytest.mark.parametrize(
    ("count", "ids"), [(0, []), (1, ["r-0"]), (2, ["r-0", "r-1"]), (19, ["r-0", "r-1"])]
)
def test_few(count: int, ids: list[str]) -> None:
    """Two recordings are read by their ids in each pass, however many wait."""
    backfill = List(can_be_read=True)
    assert ids_to_read(Verifier(), recordings(count), backfill) == ids
    assert not backfill.is_asked


@pytest.mark.parametrize("count", [20, 500])
def test_many(count: int) -> None:
    """If many wait, the whole list is read instead, if that is possible now."""
    for backfill, ids in (
        (List(can_be_read=True), []),
        (List(can_be_read=False), ["r-0", "r-1"]),
        (None, ["r-0", "r-1"]),
    ):
        assert ids_to_read(Verifier(), recordings(count), backfill) == ids


def test_start() -> None:
    """Checks are made of recordings that are shown, each with its meeting."""
    verifier = Verifier()
    start_checks(verifier, recordings(2))
    assert verifier.started == [("m-0", "r-0"), ("m-1", "r-1")]
