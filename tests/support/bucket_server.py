"""A real server with the interface of S3 in a process of its own: that of moto."""

import json
import re
import subprocess
import sys
import time

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx

from rk_exporter.model.archive import Bucket


if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


BUCKET = "our-recordings"
REGION = "us-east-1"
_PATIENCE_SECONDS = 60.0
_ALLOWED = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


class BucketServer:
    """A running server at *url*, which only accepts the credentials in *environment*."""

    def __init__(self, url: str) -> None:
        self.url = url
        iam = self._connect("iam", "setup", "setup")
        iam.create_user(UserName="user")
        key = iam.create_access_key(UserName="user")["AccessKey"]
        policy = {"Version": "2012-10-17", "Statement": [_ALLOWED]}
        iam.put_user_policy(UserName="user", PolicyName="s3", PolicyDocument=json.dumps(policy))
        iam.close()
        self.environment: Mapping[str, str] = {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.client: S3Client = self._connect("s3", key["AccessKeyId"], key["SecretAccessKey"])
        self.client.create_bucket(Bucket=BUCKET)
        # From now on all requests need the right signature.
        httpx.post(f"{url}/moto-api/reset-auth", content=b"0").raise_for_status()

    def _connect(self, service: str, key_id: str, secret: str) -> Any:
        session = boto3.session.Session(aws_access_key_id=key_id, aws_secret_access_key=secret)
        return session.client(service, endpoint_url=self.url, region_name=REGION)  # type: ignore[call-overload] # any service

    def bucket(self, prefix: str = "", **changes: Any) -> Bucket:
        """Return how the exporter finds the bucket."""
        values = {"name": BUCKET, "endpoint_url": self.url, "region": REGION, **changes}
        return Bucket(prefix=prefix, **values)

    def put(self, key: str, size: int) -> None:
        """Upload a file."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=b"x" * size)

    def delete(self, key: str) -> None:
        """Delete a file."""
        self.client.delete_object(Bucket=BUCKET, Key=key)


@contextmanager
def bucket_server(folder: Path) -> Iterator[BucketServer]:
    """Run a server, whose log is in *folder*."""
    log = folder / "moto.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            env={"INITIAL_NO_AUTH_ACTION_COUNT": "1000000"},
            stdout=stream,
            stderr=stream,
        )
    try:
        server = BucketServer(_url(log))
        with closing(server.client):
            yield server
    finally:
        process.kill()
        process.wait()


def _url(log: Path) -> str:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text()):
            return found[0]
        time.sleep(0.05)
    raise TimeoutError(log.read_text())
