"""A bucket with any number of objects, whose lists cost its server little."""

from typing import Any
from urllib.parse import parse_qs


PAGE_OBJECTS = 1000
"""The most objects in one answer, as S3 has it."""
_OBJECT = (
    "<Contents><Key>{key}</Key><LastModified>2026-11-01T08:00:00.000Z</LastModified>"
    "<ETag>&quot;9b2cf535f27731c974343645a3985328&quot;</ETag><Size>{size}</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)


class LargeBucket:
    """
    An ASGI application that answers ListObjectsV2 with numbered files.

    Each file has the size *size_bytes*. The token of the next page is the number of its first file.
    """

    def __init__(self, objects: int, *, size_bytes: int) -> None:
        self._objects = objects
        self._size_bytes = size_bytes
        self.requests = 0

    @staticmethod
    def name(number: int) -> str:
        """Return the name of a file."""
        return f"{number:08}_recording.mp4"

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        """Answer with one page."""
        self.requests += 1
        query = parse_qs(scope["query_string"].decode())
        page = self._page(query["prefix"][0], int(query.get("continuation-token", ["0"])[0]))
        headers = [(b"content-type", b"application/xml"), (b"content-length", b"%d" % len(page))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": page})

    def _page(self, prefix: str, first: int) -> bytes:
        end = min(first + PAGE_OBJECTS, self._objects)
        rest = "<IsTruncated>false</IsTruncated>"
        if end < self._objects:
            token = f"<NextContinuationToken>{end}</NextContinuationToken>"
            rest = f"<IsTruncated>true</IsTruncated>{token}"
        files = "".join(
            _OBJECT.format(key=f"{prefix}{self.name(number)}", size=self._size_bytes)
            for number in range(first, end)
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>bucket</Name><Prefix>{prefix}</Prefix><MaxKeys>{PAGE_OBJECTS}</MaxKeys>"
            f"{rest}{files}</ListBucketResult>"
        ).encode()
