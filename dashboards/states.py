"""The states of a recording with the number and colour that all dashboards use."""

from collections.abc import Mapping
from dataclasses import dataclass

from grafana_foundation_sdk.models import dashboard

from rk_exporter.model.palette import BAD, GOOD, STATE_COLOURS
from rk_exporter.model.recording import Status


@dataclass(frozen=True, slots=True)
class State:
    """A state of a recording. *code* is its value in state timelines and sorted tables."""

    name: str
    code: int
    colour: str


STATES = tuple(
    State(status.value, code, STATE_COLOURS[status]) for code, status in enumerate(Status, 1)
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


SAVED = values({1: ("yes", GOOD), 0: ("no", BAD)})
"""Whether an archive has a copy of a recording."""
