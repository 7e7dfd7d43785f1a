"""Everybody can tell the colours of the states apart, and read the text on them."""

from itertools import combinations

import pytest

from coloraide import Color

from rk_exporter.model.palette import STATE_COLOURS
from rk_exporter.model.recording import Status


# CIEDE2000, in which 2 is a difference that one sees when one looks for it.
_LEAST_DIFFERENCE = 20.0
# WCAG AA for text.
_LEAST_CONTRAST = 4.5
# A filled area needs less than a text: its name stands beside it.
_LEAST_CONTRAST_OF_AREAS = 1.25
_PANELS = {"dark": "#181b1f", "light": "#ffffff"}
_DEFICIENCIES = ("protan", "deutan", "tritan")
# One that is exact for dichromats, and one that is made from the responses of the cones.
_METHODS = ("brettel", "machado")


def seen(colour: str, deficiency: str, method: str) -> Color:
    """Return the colour as somebody without one kind of cones sees it."""
    return Color(colour).filter(deficiency, method=method, in_place=False).clip()


def text_on(colour: str) -> str:
    """Return the colour that Grafana gives the text on a background."""
    red, green, blue = (255 * part for part in Color(colour).coords())
    is_light = (299 * red + 587 * green + 114 * blue) / 1000 > 180
    return "#202226" if is_light else "#f7f8fa"


def test_every_state_has_a_colour() -> None:
    """There is a colour for each state."""
    assert {*STATE_COLOURS} == {*Status}


@pytest.mark.parametrize(("one", "other"), list(combinations(Status, 2)))
def test_states_differ(one: Status, other: Status) -> None:
    """Two states look different to everybody."""
    colours = STATE_COLOURS[one], STATE_COLOURS[other]
    first, second = map(Color, colours)
    assert first.delta_e(second, method="2000") >= _LEAST_DIFFERENCE
    for deficiency in _DEFICIENCIES:
        for method in _METHODS:
            first, second = (seen(colour, deficiency, method) for colour in colours)
            difference = first.delta_e(second, method="2000")
            assert difference >= _LEAST_DIFFERENCE, (deficiency, method)


def test_the_measure_finds_similar_colours() -> None:
    """Green and red of Grafana's palette look alike without the cones for green."""
    green, red = (seen(colour, "deutan", "machado") for colour in ("#73bf69", "#ff7383"))
    assert green.delta_e(red, method="2000") < _LEAST_DIFFERENCE


@pytest.mark.parametrize("state", Status)
def test_text_in_cells(state: Status) -> None:
    """Grafana's text on a cell with the colour is legible."""
    colour = STATE_COLOURS[state]
    assert Color(text_on(colour)).contrast(colour) >= _LEAST_CONTRAST


@pytest.mark.parametrize("theme", _PANELS)
@pytest.mark.parametrize("state", Status)
def test_areas_on_panels(state: Status, theme: str) -> None:
    """An area with the colour is visible in both of Grafana's themes."""
    assert Color(STATE_COLOURS[state]).contrast(_PANELS[theme]) >= _LEAST_CONTRAST_OF_AREAS
