"""Download URLs are read for those who want them, in any shape, and by nobody else."""

import json

from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.api.file_urls import MOST_FILES
from rk_exporter.api.parsers import (
    parse_active_recordings,
    parse_recording,
    parse_recordings_page,
)
from rk_exporter.model.download import FileKind, FileUrls
from rk_exporter.model.recording import Recording
from rk_exporter.model.secret import Secret


URL, AUDIO = "https://bucket.test/a.mp4?Signature=1", "https://bucket.test/a.mp3?Signature=2"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["download_url", "download_urls", "a.webm"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


class Sink:
    """Takes all URLs, or none."""

    def __init__(self, *, is_interested: bool = True) -> None:
        self.is_interested = is_interested
        self.offered: list[tuple[str, tuple[FileUrls, ...]]] = []

    def wants(self, recording: Recording) -> bool:
        assert recording.recording_id
        return self.is_interested

    def offer(self, recording: Recording, files: tuple[FileUrls, ...]) -> None:
        self.offered.append((recording.recording_id, files))

    @property
    def urls(self) -> dict[FileKind, list[str]]:
        """Return the URLs of the only recording."""
        ((_, files),) = self.offered
        return {file.kind: [url.reveal() for url in file.urls] for file in files}


def body(**fields: Any) -> bytes:
    item = {"id": "r", "status": "UPLOADED", **fields}
    return json.dumps({"success": True, "data": item}).encode()


def read(sink: Sink, **fields: Any) -> Recording | None:
    return parse_recording(200, body(**fields), recording_id="r", files=sink).value


def tracks(*names: str) -> list[dict[str, Any]]:
    """Return the URLs of tracks as third parties have seen them."""
    files = {name: {"download_url": f"https://bucket.test/{name}"} for name in names}
    return [{"layer_name": "default", "download_urls": files}]


def test_video_and_audio() -> None:
    """The recording and its sound are two kinds of files."""
    sink = Sink()
    read(sink, download_url=URL, audio_download_url=AUDIO)
    assert {FileKind.COMPOSITE: [URL], FileKind.AUDIO: [AUDIO]} == sink.urls


@pytest.mark.parametrize(
    "download_url",
    [
        tracks("a.webm", "b.webm"),
        tracks("a.webm")[:1] + tracks("b.webm"),
        [{"download_url": f"https://bucket.test/{name}"} for name in ("a.webm", "b.webm")],
        [{"download_urls": {n: f"https://bucket.test/{n}" for n in ("a.webm", "b.webm")}}],
        [
            {
                "download_urls": [
                    {"name": n, "download_url": f"https://bucket.test/{n}"}
                    for n in ("a.webm", "b.webm")
                ]
            }
        ],
        ["https://bucket.test/a.webm", "https://bucket.test/b.webm"],
        [{"download_urls": ["https://bucket.test/a.webm", "https://bucket.test/b.webm"]}],
        [*tracks("a.webm", "b.webm"), {"tags": ["https://bucket.test/"], "link": "https://x/"}],
    ],
    ids=[
        "documented",
        "layers",
        "objects",
        "texts by name",
        "list of files",
        "texts",
        "list of texts",
        "other texts",
    ],
)
def test_tracks(download_url: Any) -> None:
    """The files of all participants are found in each shape that the list may have."""
    sink = Sink()
    read(sink, download_url=download_url)
    expected = ["https://bucket.test/a.webm", "https://bucket.test/b.webm"]
    assert {FileKind.TRACK: expected} == sink.urls


def test_too_many_tracks() -> None:
    """Of more files than a recording has participants, the first are taken."""
    sink = Sink()
    read(sink, download_url=tracks(*(f"{number}.webm" for number in range(MOST_FILES + 20))))
    assert MOST_FILES == len(sink.urls[FileKind.TRACK])


def test_shape_without_a_url() -> None:
    """If something is in the URL's place, its kind is offered without URLs, so it is a failure."""
    sink = Sink()
    read(sink, download_url=[{"link": "https://bucket.test/a.webm"}], audio_download_url=AUDIO)
    assert {FileKind.TRACK: [], FileKind.AUDIO: [AUDIO]} == sink.urls


def test_number_that_cannot_be_read() -> None:
    """A list that JSON allows and Python cannot hold costs the URLs, and not the recording."""
    sink = Sink()
    answer = body(download_url="URL").replace(b'"URL"', b"[1e999]")
    recording = parse_recording(200, answer, recording_id="r", files=sink).value
    assert recording is not None
    assert {FileKind.TRACK: []} == sink.urls


@given(JSON, JSON)
def test_any_shape(download_url: Any, audio_download_url: Any) -> None:
    """Whatever the fields contain, the recording is read, and only texts become URLs."""
    sink = Sink()
    recording = read(sink, download_url=download_url, audio_download_url=audio_download_url)
    nobody = Sink(is_interested=False)
    assert recording == read(
        nobody, download_url=download_url, audio_download_url=audio_download_url
    )
    for urls in sink.urls.values() if sink.offered else ():
        assert all(isinstance(url, str) for url in urls)


def test_nobody_who_wants_them() -> None:
    """Without interest nothing is offered, and a recording never contains a URL."""
    sink = Sink(is_interested=False)
    recording = read(sink, download_url=URL)
    assert [] == sink.offered
    assert "Signature" not in repr(recording)


def test_all_answers() -> None:
    """Lists and active recordings bring URLs as well."""
    item = {"id": "r", "status": "UPLOADED", "download_url": URL, "meeting_id": "m"}
    sink = Sink()
    listed = json.dumps({"success": True, "data": [item]}).encode()
    parse_recordings_page(200, listed, files=sink)
    parse_active_recordings(200, listed, files=sink)
    expected = ("r", (FileUrls(FileKind.COMPOSITE, (Secret(URL),)),))
    assert [expected, expected] == sink.offered
    assert "Signature" not in repr(sink.offered)
