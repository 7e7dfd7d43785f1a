"""Recordings as the exporter knows them."""

from typing import Any

from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import Outcome, Recording, Status
from rk_exporter.tracking.lifecycle import KnownRecording
from tests.support.building import NOW


def known(
    recording_id: str = "r",
    meeting_id: str = "m",
    *,
    read_at: float = NOW,
    outcome: Outcome | None = None,
    **fields: Any,
) -> KnownRecording:
    """Return a recording that runs, or with other *fields*."""
    recording = Recording(**{"recording_id": recording_id, "status": Status.RECORDING, **fields})
    return KnownRecording(
        meeting=Meeting(meeting_id, meeting_id),
        recording=recording,
        read_at=read_at,
        outcome=outcome,
    )
