"""The search for copies among the objects of a bucket."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.api.fields import label
from rk_exporter.archive.search import Search
from rk_exporter.archive.status import Copies
from rk_exporter.model.archive import Archive, Bucket
from rk_exporter.model.recording import Status
from rk_exporter.tracking.lifecycle import KnownRecording
from tests.support.building import NOW
from tests.support.uploaded import NAME, uploaded


def found(
    *recordings: KnownRecording,
    objects: dict[str, int],
    prefix: str = "recordings/",
    key: str | None = None,
) -> Copies:
    """Return what a search finds among *objects*."""
    search = Search(Archive(bucket=Bucket("b", prefix), key=key), recordings)
    for name, size in objects.items():
        search.see(name, size)
    return search.result(listed_at=NOW, objects=len(objects))


@pytest.mark.parametrize(
    ("objects", "is_saved"),
    [
        ({f"recordings/{NAME}": 100}, True),
        ({f"recordings/2026/11/{NAME}": 100}, True),
        ({f"recordings/{NAME}": 99}, False),
        ({f"recordings/{NAME}": 0}, False),
        ({f"recordings/{NAME}": 99, f"recordings/again/{NAME}": 100}, True),
        ({f"recordings/{NAME}.part": 100}, False),
        ({f"recordings/x{NAME}": 100}, False),
        ({f"recordings/{NAME}/": 100}, False),
        ({}, False),
    ],
)
def test_by_name(objects: dict[str, int], is_saved: bool) -> None:  # noqa: FBT001 # a case
    """A copy has the name of the file in any folder, and its size; half of a file is no copy."""
    copies = found(uploaded(), objects=objects)
    assert is_saved is copies.has("r1")
    assert (len(objects), NOW) == (copies.objects, copies.listed_at)


def test_prefix_within_a_name() -> None:
    """A prefix need not end with a slash; then the name of the file follows it directly."""
    assert found(uploaded(), objects={f"copy-{NAME}": 100}, prefix="copy-").has("r1")


def test_name_with_a_folder() -> None:
    """A file whose name has a slash is found with its folder only."""
    recording = uploaded(output_file_name=f"weekly/{NAME}")
    assert found(recording, objects={f"recordings/weekly/{NAME}": 100}).has("r1")
    assert not found(recording, objects={f"recordings/other/{NAME}": 100}).has("r1")


ODD_NAMES = [
    "Sprint\u00a0review.mp4",
    "\U0001f468\u200d\U0001f469.mp4",
    "tab\there.mp4",
    " a.mp4 ",
    "weekly /\u00ada.mp4",
    f"{'x' * 250}.mp4",
]


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("key", [None, "{output_file_name}"])
@pytest.mark.parametrize("folder", ["", "2026/"])
def test_odd_name(name: str, key: str | None, folder: str) -> None:
    """A copy has the name that the API gave, although a label cannot show all its characters."""
    recording = uploaded(output_file_name=label(msgspec.Raw(msgspec.json.encode(name))))
    copies = found(recording, objects={f"recordings/{folder}{name}": 100}, key=key)
    assert copies.has("r1") is (key is None or not folder)
    assert not found(recording, objects={f"recordings/{name}x": 100}, key=key).has("r1")


@pytest.mark.parametrize("name", [f"{'x' * 300}.mp4", "why?a=b.mp4"])
@pytest.mark.parametrize("key", [None, "{output_file_name}"])
def test_name_of_which_a_part_is_known(name: str, key: str | None) -> None:
    """Nothing is known about the copy of a file whose name is not known as a whole."""
    recording = uploaded(output_file_name=label(msgspec.Raw(msgspec.json.encode(name))))
    assert found(recording, objects={f"recordings/{name}": 100}, key=key).has("r1") is None


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("{meeting_id}/{recording_id}.mp4", "recordings/m1/r1.mp4"),
        ("{session_id}/{output_file_name}", f"recordings/s1/{NAME}"),
        ("{{x}}{recording_id}", "recordings/{x}r1"),
    ],
)
def test_by_template(template: str, key: str) -> None:
    """With a template, a copy has exactly the key that it describes."""
    recording = uploaded(session_id="s1")
    assert found(recording, objects={key: 100}, key=template).has("r1")
    assert not found(recording, objects={key: 99}, key=template).has("r1")
    assert not found(recording, objects={key[len("recordings/") :]: 100}, key=template).has("r1")
    assert not found(recording, objects={f"{key}x": 100}, key=template).has("r1")


@pytest.mark.parametrize(
    "fields",
    [
        {"status": Status.UPLOADING},
        {"status": Status.ERRORED},
        {"output_file_name": None},
        {"is_track": True, "output_file_name": "{{meetingId}}_{{userId}}.webm"},
    ],
)
def test_not_looked_for(fields: dict[str, Any]) -> None:
    """A recording without a file yet, or with several files, is neither saved nor missing."""
    copies = found(uploaded(**fields), objects={f"recordings/{NAME}": 100})
    assert copies.has("r1") is None
    assert ((), frozenset(), frozenset()) == (copies.missing_expiries, copies.saved, copies.missing)


def test_unknown_field_of_the_template() -> None:
    """Without a value for the template, nothing is known about the copy."""
    copies = found(uploaded(session_id=None), objects={}, key="{session_id}/{recording_id}")
    assert copies.has("r1") is None


@pytest.mark.parametrize("size", [None, 0.0])
def test_unknown_size(size: float | None) -> None:
    """Without a size in the API, a file that is not empty is a copy."""
    recording = uploaded(file_size_bytes=size)
    assert found(recording, objects={f"recordings/{NAME}": 1}).has("r1")
    assert not found(recording, objects={f"recordings/{NAME}": 0}).has("r1")


def test_missing_within() -> None:
    """Files without a copy count by when they get lost: not the saved, the gone and the late."""
    hours = {"gone": -1, "soon": 1, "saved": 1, "later": 48, "last": 24 * 7}
    recordings = [
        uploaded(
            name,
            output_file_name=f"{name}.mp4",
            download_url_expiry_timestamp_seconds=NOW + 3600 * expires_in,
        )
        for name, expires_in in hours.items()
    ]
    no_url = uploaded("own", output_file_name="own.mp4", has_download_url=False)
    copies = found(*recordings, no_url, objects={"recordings/saved.mp4": 100})
    assert {"24h": 1, "72h": 2} == copies.missing_within(NOW)
    assert {"24h": 1, "72h": 1} == copies.missing_within(NOW + 47 * 3600)
    assert {"24h": 0, "72h": 0} == copies.missing_within(NOW + 365 * 86_400)
    assert copies.has("own") is False


NAMES = st.text("ab/._ü+", min_size=1, max_size=6)


@given(
    st.dictionaries(NAMES, st.integers(0, 3), max_size=8),
    st.lists(st.tuples(NAMES, st.integers(0, 3)), max_size=5),
    st.sampled_from(["", "a", "a/", "b/ü"]),
)
def test_same_as_a_plain_search(
    objects: dict[str, int], files: list[tuple[str, int]], prefix: str
) -> None:
    """The search by an index finds what comparing each file with each object finds."""
    recordings = [
        uploaded(str(number), output_file_name=name, file_size_bytes=float(size))
        for number, (name, size) in enumerate(files)
    ]
    saved = {
        str(number)
        for number, (name, size) in enumerate(files)
        for key, stored in objects.items()
        if (key == prefix + name or key == name or key.endswith("/" + name))
        and (stored == size if size else stored > 0)
    }
    copies = found(*recordings, objects=objects, prefix=prefix)
    assert saved == copies.saved
    assert {str(number) for number in range(len(files))} - saved == copies.missing


def test_order_does_not_matter() -> None:
    """Several recordings may have the same name; the size tells which one is saved."""
    recordings = [uploaded("r1"), uploaded("r2", file_size_bytes=50.0)]
    objects = {f"recordings/a/{NAME}": 50, f"recordings/b/{NAME}": 100}
    assert frozenset({"r1", "r2"}) == found(*recordings, objects=objects).saved
    del objects[f"recordings/a/{NAME}"]
    assert frozenset({"r1"}) == found(*recordings, objects=objects).saved
    assert frozenset({"r1"}) == found(*reversed(recordings), objects=objects).saved


def test_values_are_frozen() -> None:
    """What was found can be shared with a snapshot."""
    copies = found(uploaded(), objects={})
    assert copies == replace(copies)
    with pytest.raises(AttributeError):
        copies.objects = 1  # type: ignore[misc]
