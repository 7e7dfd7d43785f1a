"""
All metric families of a snapshot.

Absent is not zero: unmeasured values have no sample (Prometheus, "Writing exporters", "Failed
scrapes").
"""

import platform

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from rk_exporter import __version__
from rk_exporter.metrics.accounts import account_families
from rk_exporter.metrics.apps import app_families
from rk_exporter.metrics.archives import archive_families
from rk_exporter.metrics.builders import LabelSet, LabelValues, info
from rk_exporter.metrics.downloads import DownloadFamilies
from rk_exporter.metrics.meetings import meeting_families
from rk_exporter.metrics.recording_counters import counter_families
from rk_exporter.metrics.recording_totals import total_families
from rk_exporter.metrics.recordings import AllRecordingSeries
from rk_exporter.metrics.webhooks import webhook_families
from rk_exporter.runtime.build import build
from rk_exporter.snapshot import Snapshot


# One answer has at most eight; a change of names must not lose them.
_MOST_POLICY_NAMES = 16


class SnapshotFamilies:
    """
    Builds the families of one snapshot after another.

    The result depends on the snapshot alone, except that the number of names of policies is
    limited. Label sets and the samples of recordings that were not read again are kept from one
    snapshot to the next, because rendering them is what an exposition costs.
    """

    def __init__(self) -> None:
        self._recordings = AllRecordingSeries()
        self._downloads = DownloadFamilies()
        self._policy_names = LabelValues(most=_MOST_POLICY_NAMES)

    def __call__(self, snapshot: Snapshot) -> Iterator[Metric]:
        """
        Return the metric families of *snapshot*, always in the same order.

        They are always the same, except those of parts that may be off.
        """
        yield from self._recordings.families(snapshot)
        yield from self._downloads(snapshot)
        yield from total_families(snapshot.apps)
        yield from counter_families(snapshot.apps)
        yield from archive_families(snapshot, self._recordings.labels)
        yield from meeting_families(snapshot)
        yield from app_families(snapshot, self._policy_names)
        yield from account_families(snapshot.accounts)
        yield from webhook_families(snapshot.apps)
        yield _build_info()


def _build_info() -> Metric:
    return info(
        "rk_exporter_build",
        "The exporter's version, and the revision that it was built from.",
        [
            LabelSet(
                exporter_version=__version__,
                exporter_revision=build().revision,
                python_version=platform.python_version(),
            )
        ],
    )
