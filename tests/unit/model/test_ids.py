import uuid

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.model.ids import ID_PATTERN, canonical


@given(st.uuids(), st.lists(st.booleans(), min_size=36, max_size=36))
def test_uuids(identifier: uuid.UUID, capitals: list[bool]) -> None:
    """All spellings of a UUID are the same."""
    text = "".join(
        character.upper() if capital else character
        for character, capital in zip(str(identifier), capitals, strict=True)
    )
    assert canonical(text) == str(identifier)


@given(st.from_regex(ID_PATTERN, fullmatch=True))
def test_other_ids(text: str) -> None:
    """Every other id is different from all others."""
    assert canonical(text) in {text, text.lower()}
    assert canonical(canonical(text)) == canonical(text)
    if len(text) != 36:
        assert canonical(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "Daily",
        "",
        "497F6ECA6276-4993-BFEB-53CBBBBA6F08",
        "497F6ECA-6276-4993-BFEB-53CBBBBA6F0G",
        "497F6ECA-6276-4993-BFEB-53CBBBBA6F08\n",
        "497F6ECA62764993BFEB53CBBBBA6F08",
    ],
)
def test_names_of_rooms(text: str) -> None:
    """A text that is not a UUID keeps its case."""
    assert canonical(text) == text
