"""The colours of states and judgements, for the dashboards and the status page."""

from collections.abc import Mapping
from types import MappingProxyType

from rk_exporter.model.recording import Status


# People with any colour vision deficiency can tell all of them apart, on light and dark pages. Each
# has a legible text: dark on the light colours, and white on the others. Tests measure both.
STATE_COLOURS: Mapping[Status, str] = MappingProxyType(
    {
        Status.INVOKED: "#f5ba0b",
        Status.RECORDING: "#81e9c4",
        Status.PAUSED: "#c5b3e5",
        Status.UPLOADING: "#256fd8",
        Status.UPLOADED: "#0e3b63",
        Status.ERRORED: "#cf1101",
        Status.UNKNOWN: "#736f70",
    }
)
GOOD = STATE_COLOURS[Status.RECORDING]
SOON = STATE_COLOURS[Status.INVOKED]
"""Somebody should look at it within a day."""
BAD = STATE_COLOURS[Status.ERRORED]
UNKNOWN = STATE_COLOURS[Status.UNKNOWN]
