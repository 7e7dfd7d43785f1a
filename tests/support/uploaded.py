"""Uploaded recordings as the exporter knows them."""

from typing import Any

from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import Recording, Status
from rk_exporter.tracking.lifecycle import KnownRecording


NOW = 1_795_000_000.0
NAME = "m1_1795000000000.mp4"


def known(recording_id: str = "r1", meeting_id: str = "m1", **fields: Any) -> KnownRecording:
    """Return a recording with a file of 100 bytes whose URL expires in a day."""
    recording = Recording(
        **{
            "recording_id": recording_id,
            "status": Status.UPLOADED,
            "output_file_name": NAME,
            "file_size_bytes": 100.0,
            "has_download_url": True,
            "download_url_expiry_timestamp_seconds": NOW + 86_400,
            **fields,
        }
    )
    return KnownRecording(meeting=Meeting(meeting_id, meeting_id), recording=recording, read_at=NOW)
