"""What stays known of a recording when a reading lacks it."""

from dataclasses import replace

from rk_exporter.model.recording import Recording, Status


def has_labels(recording: Recording) -> bool:
    """Return whether the labels are final; the session may be missing before the start."""
    return recording.session_id is not None or recording.status is not Status.INVOKED


def keep_known_fields(recording: Recording, before: Recording, *, now: float) -> Recording:
    """Return a reading at *now* with what the one *before* had and this one lacks."""
    settled = has_labels(before)
    expired_at = before.download_url_expiry_timestamp_seconds
    has_expired = expired_at is not None and expired_at <= now
    expires_at = recording.download_url_expiry_timestamp_seconds
    return replace(
        recording,
        # An empty session is final as well.
        session_id=before.session_id or "" if settled else recording.session_id,
        output_file_name=before.output_file_name if settled else recording.output_file_name,
        is_track=before.is_track if settled else recording.is_track,
        invoked_timestamp_seconds=(
            recording.invoked_timestamp_seconds or before.invoked_timestamp_seconds
        ),
        started_timestamp_seconds=(
            recording.started_timestamp_seconds or before.started_timestamp_seconds
        ),
        stopped_timestamp_seconds=(
            recording.stopped_timestamp_seconds or before.stopped_timestamp_seconds
        ),
        stop_reason=recording.stop_reason or before.stop_reason,
        # The file is lost for ever, so people must see that for as long as they would otherwise.
        download_url_expiry_timestamp_seconds=(
            expired_at if has_expired and expires_at is None else expires_at
        ),
    )
