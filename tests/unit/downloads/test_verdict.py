import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.downloads.media import is_media
from rk_exporter.downloads.verdict import Answer, judge
from rk_exporter.model.download import CheckFailure


MP4 = b"\x00\x00\x00\x20ftypisom"
TAR = bytes(257) + b"ustar\x0000" + bytes(100)


@pytest.mark.parametrize(
    "head",
    [
        MP4,
        b"\x00\x00\x00\x08wide\x00\x00\x00\x00mdat",
        b"\x1a\x45\xdf\xa3\x01\x00",
        b"ID3\x04\x00",
        b"\xff\xfb\x90\x44",  # MP3
        b"\xff\xf3\x40\xc4",  # MP3 at a low rate
        b"\xff\xf1\x50\x80",  # AAC
        b"OggS\x00",
        b"fLaC\x00",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        TAR,
    ],
)
def test_media(head: bytes) -> None:
    """Containers of video and audio are recognised, and the archive of interactive recordings."""
    assert is_media(head)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x00",
        b"\xff",
        b"\xff\xfe<\x00",  # a text in UTF-16
        b"\xff\xff\xff\xff",
        b"<!DOCTYPE html>",
        b"<?xml version='1.0'?><Error>",
        b'{"error": "gone"}',
        b"\x1f\x8b\x08\x00",
        b"PK\x03\x04",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x24\x00\x00\x00AVI ",
        bytes(512),
    ],
)
def test_not_media(head: bytes) -> None:
    """Pages, errors, archives and zeros are no recordings."""
    assert not is_media(head)


@given(st.binary(max_size=600))
def test_any_bytes(head: bytes) -> None:
    """Whatever a file begins with, there is a verdict."""
    assert is_media(head) in {True, False}


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Answer(206, 1000, MP4), None),
        (Answer(200, 1000, MP4), None),
        (Answer(206, None, MP4), None),
        (Answer(206, 999, MP4), CheckFailure.SIZE_MISMATCH),
        (Answer(200, 1001, MP4), CheckFailure.SIZE_MISMATCH),
        (Answer(206, 1000, b"<html>"), CheckFailure.NOT_MEDIA),
        (Answer(200, 12, b"<html>"), CheckFailure.NOT_MEDIA),
        (Answer(206, 0, b""), CheckFailure.EMPTY),
        (Answer(200, 0, b""), CheckFailure.EMPTY),
        (Answer(416, 0), CheckFailure.EMPTY),
        (Answer(416, 1000), CheckFailure.SERVER_ERROR),
        (Answer(416, None), CheckFailure.SERVER_ERROR),
        (Answer(404), CheckFailure.GONE),
        (Answer(410), CheckFailure.GONE),
        (Answer(400), CheckFailure.FORBIDDEN),
        (Answer(401), CheckFailure.FORBIDDEN),
        (Answer(403), CheckFailure.FORBIDDEN),
        *((Answer(status), CheckFailure.REFUSED_HOST) for status in (301, 302, 303, 304, 307, 308)),
        *((Answer(status), CheckFailure.SERVER_ERROR) for status in (204, 405, 429, 500, 503, 999)),
    ],
)
def test_judge(answer: Answer, failure: CheckFailure | None) -> None:
    """Each answer has its reason; a redirect leads to a host that nobody checked."""
    assert failure is judge(answer, expected_size=1000.0)


@pytest.mark.parametrize("expected", [None, 0.0])
def test_size_that_the_api_does_not_know(expected: float | None) -> None:
    """Any size is right if the API reports none, or the 0 of track recordings."""
    assert judge(Answer(206, 5, MP4), expected_size=expected) is None


@given(st.integers(100, 999), st.none() | st.integers(0, 2**63), st.binary(max_size=20))
def test_any_answer(status: int, size: int | None, head: bytes) -> None:
    """Whatever a server answers, a file counts as good only if it is media."""
    verdict = judge(Answer(status, size, head), expected_size=None)
    assert (verdict is None) == (status in {200, 206} and is_media(head))
