"""Archives: buckets in which users keep copies of recordings, and why one cannot be listed."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


KEY_FIELDS = ("meeting_id", "recording_id", "session_id", "output_file_name")
"""What a template for keys can contain in braces."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A part of a bucket with the interface of S3; None leaves a choice to boto3."""

    name: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """
    Where an app's copies are, and how often to look for them.

    *key* is a template of the key after the prefix; without one, the name of the file decides.
    """

    bucket: Bucket
    key: str | None = None
    interval_seconds: float = 300.0


class ArchiveReason(StrEnum):
    """Why a bucket could not be listed: the label `reason` of rk_archive_list_failures_total."""

    CREDENTIALS = "credentials"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    REGION = "region"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    CLIENT_ERROR = "client_error"
    INVALID_RESPONSE = "invalid_response"
    INTERNAL = "internal"


ARCHIVE_REMEDIES: Mapping[ArchiveReason, str] = MappingProxyType(
    {
        ArchiveReason.CREDENTIALS: "give boto3 credentials, e.g. AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY in the environment, or downloads.archive.profile",
        ArchiveReason.FORBIDDEN: "check the credentials, and that they may list the bucket "
        "(s3:ListBucket)",
        ArchiveReason.NOT_FOUND: "check downloads.archive.bucket and "
        "downloads.archive.endpoint_url",
        ArchiveReason.REGION: "set downloads.archive.region to the region of the bucket",
        ArchiveReason.CONNECT: "check downloads.archive.endpoint_url, and network, DNS and "
        "firewall between this machine and it",
        ArchiveReason.TLS: "check this machine's certificates and clock; AWS_CA_BUNDLE can name a "
        "file with more authorities",
        ArchiveReason.TIMEOUT: "check the network path to the bucket, or give a longer prefix so "
        "that there is less to list",
        ArchiveReason.RATE_LIMITED: "raise downloads.archive.interval",
        ArchiveReason.SERVER_ERROR: "wait, and check the status page of your storage "
        "and downloads.archive.endpoint_url",
        ArchiveReason.CLIENT_ERROR: "check downloads.archive in the configuration",
        ArchiveReason.INVALID_RESPONSE: "check that downloads.archive.endpoint_url is the address "
        "of the S3 interface, without the name of the bucket",
        ArchiveReason.INTERNAL: "report this with the traceback in the log",
    }
)


@dataclass(frozen=True, slots=True)
class ArchiveFailure:
    """Why a bucket could not be listed: a bounded *reason*, and an *explanation* in our words."""

    reason: ArchiveReason
    explanation: str


class ArchiveError(Exception):
    """A bucket could not be listed."""

    def __init__(self, failure: ArchiveFailure) -> None:
        super().__init__(failure.explanation)
        self.failure = failure
