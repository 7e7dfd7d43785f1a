"""The options of an archive: the bucket in which users keep copies of recordings."""

import re

from dataclasses import dataclass
from importlib.util import find_spec
from string import Formatter
from urllib.parse import urlsplit

from rk_exporter.config.option import Option, declare
from rk_exporter.config.ranges import Durations
from rk_exporter.model.archive import KEY_FIELDS, Archive, Bucket


# A bucket of S3; other storage services are no more permissive. It also keeps ARNs out.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
# boto3 makes it a part of a host's name, and refuses others.
_REGION = re.compile(r"(?![0-9]+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# What boto3 and HTTP accept: no user, query or fragment, and no character that is not ASCII.
_NAME = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ENDPOINT = re.compile(
    rf"https?://(?:{_NAME}(?:\.{_NAME})*|\[[0-9a-f:.]+\])(?::[0-9]{{1,5}})?(?:/(?![^?#]*[?#\\])[!-~]*)?",
    re.IGNORECASE,
)
_LONGEST_KEY = 1024
_LONGEST_PROFILE = 255
_KEY_FIELDS_TEXT = ", ".join(f"{{{name}}}" for name in KEY_FIELDS)
PARTS_OF_A_PLACE = (
    "archive_prefix",
    "archive_endpoint_url",
    "archive_region",
    "archive_profile",
    "archive_key",
)
"""The options that say nothing without a bucket."""
MISSING_PACKAGE = "needs the package boto3; install it with: pip install 'rk-exporter[s3]'"


def parse_bucket(text: str) -> str:
    """Return the name of a bucket."""
    if not _BUCKET.fullmatch(text):
        raise ValueError("must be the name of a bucket, e.g. recordings, without s3:// and slashes")
    return text


def parse_prefix(text: str) -> str:
    """Return the beginning of keys, which may contain any character that is printable."""
    if not text.isprintable() or len(text.encode()) > _LONGEST_KEY:
        raise ValueError(f"must be printable text of at most {_LONGEST_KEY} bytes")
    if text.startswith("/"):
        raise ValueError("keys do not begin with a slash; remove it, e.g. recordings/")
    return text


def parse_endpoint(text: str) -> str:
    """Return the URL of a service with the interface of S3."""
    try:
        parts = urlsplit(text)
        is_usable = _ENDPOINT.fullmatch(text) and parts.hostname and parts.port != 0
    except ValueError:  # an invalid port or IPv6 address
        is_usable = False
    if not is_usable:
        # Without the text, because it may contain a password.
        raise ValueError(
            "must be a URL without a password and a query, e.g. "
            "https://ACCOUNT-ID.r2.cloudflarestorage.com; boto3 allows letters, digits and - in "
            "the names of hosts"
        )
    return text.rstrip("/")


def parse_region(text: str) -> str:
    """Return the name of a region."""
    if not _REGION.fullmatch(text):
        raise ValueError("must be the name of a region, e.g. eu-central-1, or auto for R2")
    return text


def parse_profile(text: str) -> str:
    """Return the name of a profile; a secret pasted here must not be printed."""
    if not text.isprintable() or text != text.strip() or not 0 < len(text) <= _LONGEST_PROFILE:
        raise ValueError("must be the name of a profile in boto3's files, e.g. archive")
    return text


def parse_key(text: str) -> str:
    """Return a template for keys."""
    advice = f"write e.g. {{meeting_id}}/{{recording_id}}.mp4; the fields are {_KEY_FIELDS_TEXT}"
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        raise ValueError(f"has a brace without its partner; {advice}") from None
    names = [name for _, name, _, _ in parts if name is not None]
    for _, name, form, conversion in parts:
        if name is not None and (name not in KEY_FIELDS or form or conversion):
            raise ValueError(f"has an unknown field; {advice}")
    if not {"recording_id", "output_file_name"}.intersection(names):
        raise ValueError(
            "must contain {recording_id} or {output_file_name}, because each recording has a key "
            "of its own"
        )
    if len(text.encode()) > _LONGEST_KEY:
        raise ValueError(f"must have at most {_LONGEST_KEY} bytes, as keys have")
    if not text.isprintable() or text.startswith("/"):
        raise ValueError(f"must be printable and not begin with a slash; {advice}")
    return text


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ArchiveOptions:
    """The options of an app's archive; it has one if there is a bucket."""

    archive_bucket: str | None = declare(
        "Bucket with your own copies of the recordings; off if not set. Needs the extra `s3`.",
        Option("downloads.archive.bucket", parse_bucket, "NAME", example="recordings"),
    )
    archive_prefix: str = declare(
        "Only list objects whose keys begin with this text.",
        Option("downloads.archive.prefix", parse_prefix, "TEXT", default=""),
    )
    archive_endpoint_url: str | None = declare(
        "URL of the storage service, if it is not AWS.",
        Option(
            "downloads.archive.endpoint_url",
            parse_endpoint,
            "URL",
            example="https://ACCOUNT-ID.r2.cloudflarestorage.com",
        ),
    )
    archive_region: str | None = declare(
        "Region of the bucket; without it, boto3's own choice.",
        Option("downloads.archive.region", parse_region, "NAME", example="eu-central-1"),
    )
    archive_profile: str | None = declare(
        "Profile with the credentials, in boto3's own files; without it, boto3's own choice.",
        Option("downloads.archive.profile", parse_profile, "NAME", example="archive"),
    )
    archive_key: str | None = declare(
        "Template of the key after the prefix; without it, the name of the file decides. Fields: "
        f"{_KEY_FIELDS_TEXT}.",
        Option(
            "downloads.archive.key",
            parse_key,
            "TEMPLATE",
            example='"{meeting_id}/{recording_id}.mp4"',
        ),
    )
    archive_interval_seconds: float = declare(
        "How often to list the bucket.",
        Option(
            "downloads.archive.interval",
            Durations("1m", "1d", reason="each list costs requests"),
            "DURATION",
            default="5m",
        ),
    )

    @property
    def archive(self) -> Archive | None:
        """Return the archive; None if there is none."""
        if self.archive_bucket is None:
            return None
        bucket = Bucket(
            self.archive_bucket,
            self.archive_prefix,
            self.archive_endpoint_url,
            self.archive_region,
            self.archive_profile,
        )
        return Archive(
            bucket=bucket, key=self.archive_key, interval_seconds=self.archive_interval_seconds
        )


def has_boto3() -> bool:
    """Return whether the package boto3 is installed, without importing it."""
    return find_spec("boto3") is not None
