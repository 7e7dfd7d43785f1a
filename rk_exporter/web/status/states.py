"""The colours of states and problems, which are those of the dashboards."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rk_exporter.model.recording import Status


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour with the *name* that Grafana has for it, and a legible colour for text on it."""

    name: str
    background: str
    text: str


_DARK_TEXT, _LIGHT_TEXT = "#111217", "#ffffff"
# Grafana's palette; a test compares the names with those in the dashboards.
STATE_COLOURS: Mapping[Status, Colour] = MappingProxyType(
    {
        Status.INVOKED: Colour("yellow", "#fade2a", _DARK_TEXT),
        Status.RECORDING: Colour("green", "#73bf69", _DARK_TEXT),
        Status.PAUSED: Colour("purple", "#b877d9", _DARK_TEXT),
        Status.UPLOADING: Colour("light-blue", "#8ab8ff", _DARK_TEXT),
        Status.UPLOADED: Colour("dark-blue", "#1f60c4", _LIGHT_TEXT),
        Status.ERRORED: Colour("red", "#f2495c", _DARK_TEXT),
        Status.UNKNOWN: Colour("orange", "#ff9830", _DARK_TEXT),
    }
)
