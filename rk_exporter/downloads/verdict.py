"""Decide what the answer to a download says about the file."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from rk_exporter.downloads.media import is_media
from rk_exporter.model.download import CheckFailure


_WITH_FILE: frozenset[int] = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})
_FAILURES: Mapping[int, CheckFailure] = {
    HTTPStatus.NOT_FOUND: CheckFailure.GONE,
    HTTPStatus.GONE: CheckFailure.GONE,
    # Google answers 400 to a signature that has expired, the others 403.
    HTTPStatus.BAD_REQUEST: CheckFailure.FORBIDDEN,
    HTTPStatus.UNAUTHORIZED: CheckFailure.FORBIDDEN,
    HTTPStatus.FORBIDDEN: CheckFailure.FORBIDDEN,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request for the beginning of a file, and the *size* of the whole file."""

    status: int
    size: int | None = None
    head: bytes = b""


def judge(answer: Answer, *, expected_size: float | None) -> CheckFailure | None:
    """Return what is wrong with a file whose size should be *expected_size*; None if nothing."""
    if answer.status in _WITH_FILE:
        return _judge_file(answer, expected_size)
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        # To another host, which nobody has checked.
        return CheckFailure.REFUSED_HOST
    if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and answer.size == 0:
        return CheckFailure.EMPTY
    return _FAILURES.get(answer.status, CheckFailure.SERVER_ERROR)


def _judge_file(answer: Answer, expected_size: float | None) -> CheckFailure | None:
    if not answer.head:
        return CheckFailure.EMPTY
    if not is_media(answer.head):
        return CheckFailure.NOT_MEDIA
    # Track recordings have the size 0 in the API.
    is_comparable = answer.size is not None and expected_size
    return CheckFailure.SIZE_MISMATCH if is_comparable and answer.size != expected_size else None
