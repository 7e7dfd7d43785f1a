"""What a list of a bucket costs, and that its size costs no memory."""

import os
import resource
import statistics
import time

from dataclasses import dataclass, replace
from unittest.mock import patch

from bench.expositions import snapshot_of
from rk_exporter.archive.listing import list_objects
from rk_exporter.archive.search import Search
from rk_exporter.model.archive import Archive, Bucket
from rk_exporter.tracking.lifecycle import KnownRecording
from tests.support.large_bucket import LargeBucket
from tests.support.serving import served


OBJECTS = (1000, 10_000, 100_000)
LISTS = 3
RECORDINGS = 1000
SIZE_BYTES = 123_456_789
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
_KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What lists of a bucket cost: the median CPU time of one, and memory when all have ended."""

    requests: int
    cpu_seconds: float
    peak_mib: float


def print_archives() -> None:
    """Print the cost of buckets of several sizes, the smallest first."""
    print(
        f"lists of a bucket in which {RECORDINGS:,} recordings are looked for (medians of {LISTS}; "
        "memory of the whole process, with that of the bucket's server):\n\n"
        "| objects | requests | CPU per list | peak memory |\n| ---: | ---: | ---: | ---: |"
    )
    with patch.dict(os.environ, _CREDENTIALS):
        for objects in OBJECTS:
            cost = cost_of(objects)
            print(
                f"| {objects:,} | {cost.requests} | {cost.cpu_seconds:.2f} s "
                f"| {cost.peak_mib:.0f} MiB |"
            )
    print()


def cost_of(objects: int) -> Cost:
    """Return the cost of a bucket with so many objects."""
    times = []
    large = LargeBucket(objects, size_bytes=SIZE_BYTES)
    with served(large) as url:
        archive = Archive(bucket=Bucket("bucket", "copies/", url, "auto"))
        for _ in range(LISTS):
            # The server has a thread of its own.
            begun = time.thread_time()
            _look(archive, objects)
            times.append(time.thread_time() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_MIB
    return Cost(large.requests // LISTS, statistics.median(times), peak)


def _look(archive: Archive, objects: int) -> None:
    search, seen = Search(archive, _recordings(objects)), 0
    for page in list_objects(archive.bucket):
        for key, size in page:
            search.see(key, size)
        seen += len(page)
    found = search.result(listed_at=0.0, objects=seen)
    if (seen, len(found.saved), len(found.missing)) != (objects, RECORDINGS - 1, 1):
        raise AssertionError(f"the list is incomplete: {seen} objects, {len(found.saved)} copies")


def _recordings(objects: int) -> list[KnownRecording]:
    """Return recordings whose copies are everywhere in the bucket, and one without a copy."""
    (app,) = snapshot_of(RECORDINGS, 0).apps
    step = objects // RECORDINGS
    # The last one's number is that of no object.
    numbers = [*range(0, objects, step)[: RECORDINGS - 1], objects]
    return [
        replace(
            known,
            recording=replace(
                known.recording,
                file_size_bytes=SIZE_BYTES,
                output_file_name=LargeBucket.name(number),
            ),
        )
        for known, number in zip(app.recordings, numbers, strict=True)
    ]
