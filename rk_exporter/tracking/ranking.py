"""The order in which recordings get series of their own, if there are too many for all of them."""

from rk_exporter.model.recording import Recording
from rk_exporter.tracking.lifecycle import KnownRecording, ended_at


# As in the alert about empty files: fewer bytes per second are suspicious, except if the recording
# is short.
_SUSPICIOUS_BYTES_PER_SECOND = 1000.0
_SHORT_SECONDS = 5.0
_FAILED, _WITHOUT_FILE, _EXPIRING, _OTHERS = range(4)


def began_at(known: KnownRecording) -> float:
    """Return the best known time for the begin of a recording."""
    recording = known.recording
    return (
        recording.invoked_timestamp_seconds or recording.started_timestamp_seconds or known.read_at
    )


def rank(known: KnownRecording) -> tuple[int, float]:
    """
    Return the rank of a finished recording; the smallest comes first.

    Failed recordings come first, then those without a usable file. The others come in the order in
    which their URLs expire, so that expired ones are the first of them. The newest are the last.
    """
    recording = known.recording
    newest_first = -ended_at(known)
    if known.has_failed:
        return _FAILED, newest_first
    if recording.has_download_url is False or is_empty(recording):
        return _WITHOUT_FILE, newest_first
    expires_at = recording.download_url_expiry_timestamp_seconds
    return (_OTHERS, newest_first) if expires_at is None else (_EXPIRING, expires_at)


def is_empty(recording: Recording) -> bool:
    """Return whether the file is too small for the length of the recording."""
    size, seconds = recording.file_size_bytes, recording.known_duration_seconds
    if recording.is_track or size is None or seconds is None:
        return False
    return seconds > _SHORT_SECONDS and size < _SUSPICIOUS_BYTES_PER_SECOND * seconds
