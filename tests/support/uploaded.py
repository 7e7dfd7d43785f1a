"""Uploaded recordings as the exporter knows them."""

from typing import Any

from rk_exporter.model.recording import Status
from rk_exporter.tracking.lifecycle import KnownRecording
from tests.support.building import NOW
from tests.support.known import known


NAME = "m1_1795000000000.mp4"


def uploaded(recording_id: str = "r1", meeting_id: str = "m1", **fields: Any) -> KnownRecording:
    """Return a recording with a file of 100 bytes whose URL expires in a day."""
    file: dict[str, Any] = {
        "status": Status.UPLOADED,
        "output_file_name": NAME,
        "file_size_bytes": 100.0,
        "has_download_url": True,
        "download_url_expiry_timestamp_seconds": NOW + 86_400,
    }
    return known(recording_id, meeting_id, **{**file, **fields})
