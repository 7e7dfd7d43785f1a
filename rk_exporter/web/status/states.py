"""The colours of states, with a legible colour for the text on each."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rk_exporter.model.palette import STATE_COLOURS
from rk_exporter.model.recording import Status


@dataclass(frozen=True, slots=True)
class Cell:
    """The colours of a cell with a state."""

    background: str
    text: str


_DARK_TEXT, _LIGHT_TEXT = "#111217", "#ffffff"
_DARK_ON = frozenset({Status.INVOKED, Status.RECORDING, Status.PAUSED})
STATE_CELLS: Mapping[Status, Cell] = MappingProxyType(
    {
        state: Cell(colour, _DARK_TEXT if state in _DARK_ON else _LIGHT_TEXT)
        for state, colour in STATE_COLOURS.items()
    }
)
