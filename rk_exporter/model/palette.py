"""The colours of the states, for the dashboards and the status page."""

from collections.abc import Mapping
from types import MappingProxyType

from rk_exporter.model.recording import Status


# People with any colour vision deficiency can tell all of them apart, on light and dark pages. Each
# has a legible text: dark on the light colours, and white on the others. Tests measure both.
STATE_COLOURS: Mapping[Status, str] = MappingProxyType(
    {
        Status.INVOKED: "#f5c21a",
        Status.RECORDING: "#60f9cb",
        Status.PAUSED: "#cdc0f0",
        Status.UPLOADING: "#2e6ed7",
        Status.UPLOADED: "#263865",
        Status.ERRORED: "#cd1201",
        Status.UNKNOWN: "#6f696a",
    }
)
