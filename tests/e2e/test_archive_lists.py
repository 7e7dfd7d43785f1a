"""Lists of a bucket on a real server with the interface of S3."""

import socket
import time

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rk_exporter.archive.listing import Patience, list_objects
from rk_exporter.model.archive import ArchiveError, ArchiveReason, Bucket
from tests.support.bucket_server import BUCKET, BucketServer, bucket_server
from tests.support.large_bucket import LargeBucket
from tests.support.serving import served


ODD = (
    "plain/",
    "a b+c&d=e?f#g%41/",
    "größe/日本/",
    "<xml>&amp;\"'/",
    "..//x/",
    "~!@$^*()[]{}|`\\/",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketServer]:
    with bucket_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture(autouse=True)
def credentials(server: BucketServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Use the right credentials, and no files of the person who runs the tests."""
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, text in server.environment.items():
        monkeypatch.setenv(name, text)


PATIENT = Patience(attempts=1)
IMPATIENT = Patience(connect_seconds=5.0, read_seconds=0.2, attempts=1)


def listed(bucket: Bucket, patience: Patience = PATIENT) -> dict[str, int]:
    return dict(item for page in list_objects(bucket, patience) for item in page)


def reason(bucket: Bucket, patience: Patience = PATIENT) -> ArchiveReason:
    with pytest.raises(ArchiveError) as caught:
        listed(bucket, patience)
    return caught.value.failure.reason


@pytest.mark.parametrize("prefix", ODD)
def test_odd_characters(server: BucketServer, prefix: str) -> None:
    """A prefix and keys may contain any printable character."""
    server.put(f"{prefix}1 +.mp4", 3)
    assert {f"{prefix}1 +.mp4": 3} == listed(server.bucket(prefix))


def test_prefix(server: BucketServer) -> None:
    """Objects with another prefix are not listed."""
    server.put("wanted/a.mp4", 1)
    server.put("unwanted/a.mp4", 1)
    assert {"wanted/a.mp4": 1} == listed(server.bucket("wanted/"))
    assert {} == listed(server.bucket("nothing/"))


def test_pages(server: BucketServer) -> None:
    """More objects than fit in one answer are all listed."""
    for number in range(1001):
        server.put(f"many/{number}", 0)
    pages = [len(page) for page in list_objects(server.bucket("many/"))]
    assert [1000, 1] == pages


def test_100_000_objects() -> None:
    """A large bucket is listed whole, with as few requests as S3 allows."""
    large = LargeBucket(100_000, size_bytes=7)
    with served(large) as url:
        pages = list_objects(Bucket("bucket", "copies/", url, "auto"))
        found = {key for page in pages for key, size in page if size == 7}
    assert found == {f"copies/{large.name(number)}" for number in range(100_000)}
    assert large.requests == 100


def test_versions(server: BucketServer) -> None:
    """In a versioned bucket only the current version counts, and a deleted file is gone."""
    server.client.create_bucket(Bucket="versioned")
    server.client.put_bucket_versioning(
        Bucket="versioned", VersioningConfiguration={"Status": "Enabled"}
    )
    for key, size in (("a", 1), ("a", 2), ("b", 1)):
        server.client.put_object(Bucket="versioned", Key=key, Body=b"x" * size)
    server.client.delete_object(Bucket="versioned", Key="b")
    assert {"a": 2} == listed(server.bucket(name="versioned"))


def test_half_uploaded(server: BucketServer) -> None:
    """An upload in parts that is not complete is no object."""
    upload = server.client.create_multipart_upload(Bucket=BUCKET, Key="parts/a.mp4")
    server.client.upload_part(
        Bucket=BUCKET,
        Key="parts/a.mp4",
        PartNumber=1,
        UploadId=upload["UploadId"],
        Body=b"x" * 100,
    )
    assert {} == listed(server.bucket("parts/"))


def test_missing_bucket(server: BucketServer) -> None:
    """A bucket that does not exist is named as the cause."""
    assert ArchiveReason.NOT_FOUND is reason(server.bucket(name="no-such-bucket"))


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials(
    server: BucketServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A wrong key id or secret is named as the cause, and appears in no message."""
    monkeypatch.setenv(name, "canary-5d1f7c")
    with pytest.raises(ArchiveError) as caught:
        listed(server.bucket())
    failure = caught.value.failure
    assert ArchiveReason.FORBIDDEN is failure.reason
    assert "canary" not in repr(failure)
    assert server.environment["AWS_ACCESS_KEY_ID"] not in repr(failure)


def test_no_credentials(server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing credentials are named as the cause."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert ArchiveReason.CREDENTIALS is reason(server.bucket())


def test_half_credentials(server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key without its secret is named as the cause."""
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert ArchiveReason.CREDENTIALS is reason(server.bucket())


def test_profile(server: BucketServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile gives an app credentials of its own; new ones count at the next list."""
    file = tmp_path / "AWS_SHARED_CREDENTIALS_FILE"
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    for name in names:
        monkeypatch.setenv(name, "wrong")
    bucket = server.bucket("plain/", profile="archive")
    assert ArchiveReason.CREDENTIALS is reason(bucket)
    file.write_text("[archive]\naws_access_key_id = old\naws_secret_access_key = old\n")
    assert ArchiveReason.FORBIDDEN is reason(bucket)
    lines = [f"{name.lower()} = {server.environment[name]}" for name in names]
    file.write_text("\n".join(["[archive]", *lines]))
    listed(bucket)


def test_unreachable() -> None:
    """A port on which nobody listens is named as the cause, within seconds."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    begin = time.monotonic()
    assert ArchiveReason.CONNECT is reason(
        Bucket("recordings", endpoint_url=f"http://127.0.0.1:{port}", region="auto")
    )
    assert time.monotonic() - begin < 20


def test_silent_server() -> None:
    """A server that accepts connections and never answers ends in a timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert ArchiveReason.TIMEOUT is reason(
            Bucket("b", endpoint_url=url, region="auto"), IMPATIENT
        )


def test_unusable_variable(server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that boto3 refuses is named as the cause, and what is in it appears nowhere."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://user:canary@a..b")
    with pytest.raises(ArchiveError) as caught:
        listed(server.bucket(endpoint_url=None))
    assert ArchiveReason.CLIENT_ERROR is caught.value.failure.reason
    assert "boto3 refuses the endpoint" in caught.value.failure.explanation
    assert "canary" not in repr(caught.value.failure)


def test_no_tls(server: BucketServer) -> None:
    """A server that does not speak TLS is named as the cause."""
    url = server.url.replace("http:", "https:")
    assert ArchiveReason.TLS is reason(server.bucket(endpoint_url=url))


LIST = "<ListBucketResult>{}<Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>"
LAST, NOT_LAST = "<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated>"


def answer(body: str, status: int = 200) -> Any:
    """Return an ASGI application that answers always with *body*."""
    headers = [(b"content-type", b"application/xml"), (b"content-length", b"%d" % len(body))]

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body.encode()})

    return application


def test_least_list() -> None:
    """A list needs no more than its end, and the keys and sizes of its objects."""
    with served(answer(LIST.format(LAST))) as url:
        assert {"a": 1} == listed(Bucket("bucket", endpoint_url=url, region="auto"))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 200),
        ("", 204),
        ("<html><body><p>Sign in</p></body></html>", 200),
        ("<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>", 200),
        (LIST.format(""), 200),
        (LIST.format(LAST).replace("<Key>a</Key>", ""), 200),
        (LIST.format(LAST).replace("<Size>1</Size>", ""), 200),
        (LIST.format(LAST).replace("1</Size>", "many</Size>"), 200),
        (LIST.format(LAST).replace("1</Size>", f"{'9' * 5000}</Size>"), 200),
        (LIST.format(f"{LAST}<KeyCount>many</KeyCount>"), 200),
    ],
)
def test_answer_that_is_no_list(body: str, status: int) -> None:
    """An answer without a list is no empty bucket: that would be one without any copies."""
    with served(answer(body, status)) as url:
        assert ArchiveReason.INVALID_RESPONSE is reason(
            Bucket("bucket", endpoint_url=url, region="auto")
        )


def test_web_page() -> None:
    """A web page, which botocore takes for an error of the server, is named as a cause."""
    with served(answer("<html><p>Sign in<br></html>")) as url:
        bucket = Bucket("bucket", endpoint_url=url, region="auto")
        with pytest.raises(ArchiveError) as caught:
            listed(bucket)
    assert "or a web page" in caught.value.failure.explanation


def test_list_that_does_not_go_on() -> None:
    """A part of a list is not taken for all of it, as by services without ListObjectsV2."""
    with served(answer(LIST.format(NOT_LAST))) as url:
        assert ArchiveReason.INVALID_RESPONSE is reason(
            Bucket("bucket", endpoint_url=url, region="auto")
        )
