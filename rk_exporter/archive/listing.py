"""
Lists of buckets; only this module uses boto3, which the extra `s3` installs.

boto3 is imported by the first list, because it takes a quarter of a second and 40 MB.
"""

import logging

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from rk_exporter.model.archive import ArchiveError, ArchiveFailure, ArchiveReason, Bucket
from rk_exporter.runtime.printable import label_text
from rk_exporter.runtime.redaction import without_signatures


if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


Objects = Sequence[tuple[str, int]]
"""The keys of objects, and their sizes in bytes."""
# They log headers and answers, which have signatures and the ids of keys.
_NOISY_LIBRARIES = ("boto3", "botocore", "s3transfer", "urllib3")
_UNAUTHORIZED = (401, 403)
_FIRST_SERVER_ERROR = 500
_NO_CODE = "500"
_CODES = {
    "NoSuchBucket": ArchiveReason.NOT_FOUND,
    "PermanentRedirect": ArchiveReason.REGION,
    "AuthorizationHeaderMalformed": ArchiveReason.REGION,
    "IllegalLocationConstraintException": ArchiveReason.REGION,
    "SlowDown": ArchiveReason.RATE_LIMITED,
    "TooManyRequests": ArchiveReason.RATE_LIMITED,
    "InvalidAccessKeyId": ArchiveReason.FORBIDDEN,
    "SignatureDoesNotMatch": ArchiveReason.FORBIDDEN,
    "ExpiredToken": ArchiveReason.FORBIDDEN,
    "RequestTimeTooSkewed": ArchiveReason.FORBIDDEN,
}
_STATUSES = {
    301: ArchiveReason.REGION,
    404: ArchiveReason.NOT_FOUND,
    429: ArchiveReason.RATE_LIMITED,
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one request may take, and how often it is repeated."""

    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    attempts: int = 3


_USUAL = Patience()


def list_objects(bucket: Bucket, patience: Patience = _USUAL) -> Iterator[Objects]:
    """
    Return the objects of a bucket below its prefix, page by page. Call this in a thread.

    Raises ArchiveError.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 # see above
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 # see above

    try:
        with closing(_client(bucket, patience)) as client:
            paginator = client.get_paginator("list_objects_v2")
            for page in paginator.paginate(Bucket=bucket.name, Prefix=bucket.prefix):
                yield _objects(page)
    except ClientError as error:
        _fail_with_answer(error.response)
    except BotoCoreError as error:
        _fail(_reason_of(error), type(error).__name__)
    except (ResponseParserError, KeyError, ValueError):
        _fail(ArchiveReason.INVALID_RESPONSE, "the answer is no list of objects")


def _objects(page: Any) -> Objects:  # noqa: ANN401 # as botocore has it
    """Return the objects of a page, or raise KeyError or ArchiveError if it is not complete."""
    # botocore would take half of a list for all of it.
    if page["IsTruncated"] and "NextContinuationToken" not in page:
        _fail(ArchiveReason.INVALID_RESPONSE, "the list goes on, but the answer does not say where")
    return [(item["Key"], item["Size"]) for item in page.get("Contents", ())]


def _client(bucket: Bucket, patience: Patience) -> "S3Client":
    """Return a new client, which reads the credentials again: they may have been replaced."""
    import boto3  # noqa: PLC0415 # see above
    import botocore.session  # noqa: PLC0415 # see above

    from botocore.config import Config  # noqa: PLC0415 # see above

    for name in _NOISY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    session = botocore.session.Session(profile=bucket.profile)
    # Reading times takes two thirds of a list, and nobody needs them. The AWS CLI does the same.
    parsers = session.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=lambda text: text)
    config = Config(
        connect_timeout=patience.connect_seconds,
        read_timeout=patience.read_seconds,
        retries={"mode": "standard", "total_max_attempts": patience.attempts},
    )
    try:
        return boto3.session.Session(botocore_session=session).client(
            "s3", endpoint_url=bucket.endpoint_url, region_name=bucket.region, config=config
        )
    except ValueError:
        # Not its message, which may have what is in a variable such as AWS_ENDPOINT_URL.
        _fail(
            ArchiveReason.CLIENT_ERROR,
            "boto3 refuses the endpoint or the region in its variables, its files or the options",
        )


def _fail_with_answer(response: Any) -> NoReturn:  # noqa: ANN401 # as botocore has it
    """Raise ArchiveError for an answer that is an error."""
    code = label_text(without_signatures(str(response.get("Error", {}).get("Code", ""))))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    reason = _CODES.get(code) or _STATUSES.get(status)
    if reason is None and status in _UNAUTHORIZED:
        reason = ArchiveReason.FORBIDDEN
    if reason is None and status >= _FIRST_SERVER_ERROR:
        reason = ArchiveReason.SERVER_ERROR
    # Not its message, which may contain the id of the key.
    explanation = f"the answer is HTTP status {status}, code {code}"
    # botocore takes an answer that is no XML for an error of the server, whatever its status is.
    explanation += ", or a web page" if code == _NO_CODE else ""
    _fail(reason or ArchiveReason.CLIENT_ERROR, explanation)


def _reason_of(error: Exception) -> ArchiveReason:
    """Return why a list failed without an answer."""
    from botocore import exceptions  # noqa: PLC0415 # see above

    kinds: tuple[tuple[ArchiveReason, tuple[type[Exception], ...]], ...] = (
        (
            ArchiveReason.CREDENTIALS,
            (
                exceptions.NoCredentialsError,
                exceptions.PartialCredentialsError,
                exceptions.CredentialRetrievalError,
                exceptions.ProfileNotFound,
                exceptions.ConfigParseError,
                exceptions.ConfigNotFound,
                exceptions.SSOError,
                exceptions.TokenRetrievalError,
                exceptions.MetadataRetrievalError,
                exceptions.UnauthorizedSSOTokenError,
            ),
        ),
        (ArchiveReason.TLS, (exceptions.SSLError,)),
        (ArchiveReason.TIMEOUT, (exceptions.ConnectTimeoutError, exceptions.ReadTimeoutError)),
        (ArchiveReason.CONNECT, (exceptions.ConnectionError, exceptions.HTTPClientError)),
        (ArchiveReason.INVALID_RESPONSE, (exceptions.PaginationError,)),
    )
    found = (reason for reason, types in kinds if isinstance(error, types))
    return next(found, ArchiveReason.CLIENT_ERROR)


def _fail(reason: ArchiveReason, explanation: str) -> NoReturn:
    raise ArchiveError(ArchiveFailure(reason, explanation)) from None
