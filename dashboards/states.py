"""The states of a recording with the number and colour that all dashboards use."""

from collections.abc import Mapping
from dataclasses import dataclass

from grafana_foundation_sdk.models import dashboard


@dataclass(frozen=True, slots=True)
class State:
    """A state of a recording. *code* is its value of `instance:rk_recording_state:code`."""

    name: str
    code: int
    colour: str


STATES = (
    State("INVOKED", 1, "yellow"),
    State("RECORDING", 2, "green"),
    State("PAUSED", 3, "purple"),
    State("UPLOADING", 4, "light-blue"),
    State("UPLOADED", 5, "dark-blue"),
    State("ERRORED", 6, "red"),
    State("UNKNOWN", 7, "orange"),
)
IN_PROGRESS = tuple(state.name for state in STATES[:4])
COLOURS = {state.name: state.colour for state in STATES}


def as_text() -> list[dashboard.ValueMapping]:
    """Return the mapping from a state's code to its name and colour."""
    return values({state.code: (state.name, state.colour) for state in STATES})


def values(
    texts: Mapping[int, tuple[str, str]] | Mapping[str, tuple[str, str]],
) -> list[dashboard.ValueMapping]:
    """Return the mapping from each value to a text and a colour."""
    options = {
        str(value): dashboard.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(texts.items())
    }
    return [dashboard.ValueMap(options=options)]
