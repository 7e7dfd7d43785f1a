"""The options `downloads.archive.*`."""

import importlib.util
import subprocess
import sys

from pathlib import Path

import boto3
import pytest

from botocore.utils import (
    is_valid_endpoint_url,
    is_valid_ipv6_endpoint_url,
    validate_region_name,
)
from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.config.archive_options import parse_endpoint, parse_region
from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.sources import ConfigError
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.model.archive import Archive, Bucket
from tests.support.building import config


ENVIRONMENT = {TOKEN_VARIABLE: "simulated"}
TWO_APPS = """\
account_id: account
downloads: {archive: {bucket: shared, endpoint_url: https://s3.example, region: auto}}
apps:
  - {app_id: a, meetings: {discover: true}}
  - app_id: b
    meetings: {discover: true}
    downloads:
      archive: {bucket: own, prefix: b/, key: "{recording_id}.mp4", interval: 1h, profile: b}
"""


def loaded(folder: Path, text: str) -> Config:
    path = folder / "rk.yml"
    path.write_text(text)
    return load(path, {}, ENVIRONMENT)


def message(**changes: str) -> str:
    """Return what is wrong with a configuration."""
    with pytest.raises(ConfigError) as caught:
        config(**{f"downloads__archive__{name}": text for name, text in changes.items()})
    return str(caught.value)


def test_off() -> None:
    """Without a bucket there is no archive."""
    assert config().apps[0].archive is None


def test_one_app() -> None:
    """The bucket is enough; boto3 chooses the rest."""
    (app,) = config(downloads__archive__bucket="recordings").apps
    assert Archive(bucket=Bucket("recordings"), interval_seconds=300.0) == app.archive


def test_several_apps(tmp_path: Path) -> None:
    """Apps inherit each option of the archive that they do not have themselves."""
    first, second = (app.archive for app in loaded(tmp_path, TWO_APPS).apps)
    assert Archive(bucket=Bucket("shared", "", "https://s3.example", "auto")) == first
    assert second == Archive(
        bucket=Bucket("own", "b/", "https://s3.example", "auto", "b"),
        key="{recording_id}.mp4",
        interval_seconds=3600.0,
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"bucket": "s3://recordings"}, "downloads.archive.bucket: must be the name of a bucket"),
        ({"bucket": "a/b"}, "must be the name of a bucket"),
        ({"bucket": "arn:aws:s3:::x"}, "must be the name of a bucket"),
        ({"prefix": "/recordings/"}, "downloads.archive.prefix: keys do not begin with a slash"),
        ({"prefix": "a\nb"}, "must be printable text"),
        ({"prefix": "ü" * 513}, "of at most 1024 bytes"),
        ({"endpoint_url": "s3.example"}, "downloads.archive.endpoint_url: must be a URL"),
        ({"endpoint_url": "https://s3.example:x"}, "must be a URL"),
        *(
            ({"endpoint_url": f"https://{rest}"}, "must be a URL without a password and a query")
            for rest in (
                *("s3.example?a=b", "s3.example#a", "user:canary@s3.example", "", "/a", ":9000"),
                *("a b", "a..b", ".", "-a", "a_b", "*", "%41", "ö.example", "s3.example:0"),
                *("s3.example:65536", "s3.example/ö", "s3.example/a b", "[::1", "a\\b"),
                *("a;b", "s3.example/\x00", f"{'a' * 64}.example"),
            )
        ),
        ({"endpoint_url": "ftp://s3.example"}, "must be a URL"),
        ({"region": "EU central"}, "downloads.archive.region: must be the name of a region"),
        *(({"region": text}, "must be the name of a region") for text in ("-", "1", "a-", "-a")),
        ({"profile": "a\tb"}, "downloads.archive.profile: must be the name of a profile"),
        *(
            ({"profile": text}, "must be the name of a profile")
            for text in (" ", " archive", "archive ", "\x00", "a" * 256)
        ),
        ({"key": "{recording_id}" + "a" * 1024}, "downloads.archive.key: must have at most 1024"),
        ({"key": "{recording_id"}, "downloads.archive.key: has a brace without its partner"),
        ({"key": "{recording_id!r}"}, "has an unknown field; write e.g. {meeting_id}/"),
        ({"key": "{recording_id:>9}"}, "has an unknown field"),
        ({"key": "{recording}"}, "has an unknown field"),
        ({"key": "{recording_id.__class__}"}, "has an unknown field"),
        ({"key": "{}"}, "has an unknown field"),
        ({"key": "{meeting_id}.mp4"}, "must contain {recording_id} or {output_file_name}"),
        ({"key": "/{recording_id}"}, "not begin with a slash"),
        ({"interval": "5s"}, "must be between 1m and 1d; each list costs requests"),
    ],
)
def test_mistakes(changes: dict[str, str], expected: str) -> None:
    """A mistake is named with its option and the remedy."""
    assert expected in message(**{"bucket": "recordings", **changes})


def test_no_secrets_in_messages() -> None:
    """A URL with a password is refused, and not printed."""
    text = message(bucket="recordings", endpoint_url="https://user:canary-5d1f7c@s3.example")
    assert "must be a URL without a password" in text
    assert "canary" not in text


def test_without_bucket() -> None:
    """Options of an archive need its bucket."""
    assert "downloads.archive.prefix: needs downloads.archive.bucket" in message(prefix="a/")


def test_misspelt(tmp_path: Path) -> None:
    """An unknown option of the section is named with its place."""
    with pytest.raises(ConfigError, match="did you mean bucket"):
        loaded(tmp_path, TWO_APPS.replace("bucket: own", "buckt: own"))


def test_without_the_extra(tmp_path: Path) -> None:
    """Without boto3, an archive is a mistake with its remedy; nothing else needs boto3."""
    path = tmp_path / "rk.yml"
    path.write_text(TWO_APPS)
    script = """\
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"boto3", "botocore"}:
            raise ModuleNotFoundError(name)
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "boto3" else find(name)
sys.meta_path.insert(0, Missing())
from rk_exporter.__main__ import entry_point
entry_point()
"""
    results = [
        subprocess.run(
            [sys.executable, "-c", script, "check", "--offline", *arguments],
            env={TOKEN_VARIABLE: "simulated"},
            capture_output=True,
            text=True,
            check=False,
        )
        for arguments in (
            ["--config.file", str(path)],
            ["--account-id", "account", "--app-id", "app", "--meeting-id", "weekly"],
        )
    ]
    assert importlib.util.find_spec("boto3")
    assert [2, 0] == [result.returncode for result in results]
    assert (
        "downloads.archive.bucket: needs the package boto3; install it with: "
        "pip install 'rk-exporter[s3]'" in results[0].stderr
    )


@pytest.mark.parametrize(
    "rest",
    [
        *(
            "s3.example",
            "s3.example:9000",
            "S3.EXAMPLE/path/to",
            "[::1]:9000",
            "192.0.2.1",
            "minio",
        ),
        "minio:9000/",
    ],
)
def test_boto3_accepts_endpoint(rest: str) -> None:
    """boto3 makes a client for each endpoint that the configuration accepts."""
    (app,) = config(
        downloads__archive__bucket="recordings",
        downloads__archive__endpoint_url=f"http://{rest}",
        downloads__archive__region="auto",
    ).apps
    assert app.archive_endpoint_url
    boto3.session.Session().client(
        "s3", endpoint_url=app.archive_endpoint_url, region_name=app.archive_region
    ).close()


@given(st.from_regex(r"https?://[a-z0-9._:/@%?*\[\]-]{0,20}", fullmatch=True))
def test_boto3_accepts_any_valid_endpoint(url: str) -> None:
    """Whatever a URL is, the configuration refuses it, or boto3 makes a client for it."""
    try:
        endpoint = parse_endpoint(url)
    except ValueError:
        return
    assert is_valid_endpoint_url(endpoint) or is_valid_ipv6_endpoint_url(endpoint)


@given(st.from_regex(r"[a-z0-9-]{1,66}", fullmatch=True))
def test_boto3_accepts_any_valid_region(text: str) -> None:
    """Whatever a region is, the configuration refuses it, or boto3 accepts it."""
    try:
        region = parse_region(text)
    except ValueError:
        return
    validate_region_name(region)
