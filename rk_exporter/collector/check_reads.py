"""What a pass does for checks of downloads: it brings URLs, and starts the checks at its end."""

from collections.abc import Sequence

from rk_exporter.collector.backfill import Backfill
from rk_exporter.downloads.verifier import DownloadVerifier
from rk_exporter.tracking.lifecycle import KnownRecording


# However many recordings wait to be checked, they take few of the calls that are left.
_MOST_READ = 2
# From then on a whole list, a hundred recordings per call, is cheaper.
_MANY = 20


def ids_to_read(
    verifier: DownloadVerifier, shown: Sequence[KnownRecording], backfill: Backfill | None
) -> list[str]:
    """Return the ids of *shown* recordings to read because their download URLs are needed."""
    wanted = verifier.to_read((known.recording for known in shown), most=_MANY)
    if len(wanted) == _MANY and backfill and backfill.read_whole_soon():
        return []
    return wanted[:_MOST_READ]


def start_checks(verifier: DownloadVerifier, shown: Sequence[KnownRecording]) -> None:
    """Check the *shown* recordings of which this pass has read a URL that is needed."""
    verifier.start((known.meeting.meeting_id, known.recording) for known in shown)
