"""The changes of documents reach the parsers behind the syntax."""

from contextlib import suppress

import pytest
import yaml

from tests.fuzz.campaign import CORPUS
from tests.fuzz.documents import FORMS, mutate


MOST_BYTES = 16_384
INPUTS = 200


def changed(target: str) -> list[bytes]:
    """Return inputs that are made of those in the corpus; bytes change by being reversed."""
    files = [file.read_bytes() for file in sorted((CORPUS / target).iterdir())]
    return [
        mutate(target, files[seed % len(files)], MOST_BYTES, seed, lambda raw, _: raw[::-1])
        for seed in range(INPUTS)
    ]


@pytest.mark.parametrize("target", FORMS)
def test_many_are_documents(target: str) -> None:
    """Many inputs are documents that differ, so that a parser reads their fields."""
    documents = set()
    for data in changed(target):
        with suppress(ValueError, yaml.YAMLError):
            FORMS[target].split(data)
            documents.add(data)
        assert len(data) <= MOST_BYTES
    assert len(documents) > INPUTS / 3


@pytest.mark.parametrize("target", FORMS)
def test_changes_do_not_add_up(target: str) -> None:
    """A seed makes the same input, whatever was made before."""
    assert changed(target) == changed(target)
