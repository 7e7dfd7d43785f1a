"""
What users see: a snapshot as metric families.

The families are built afresh from each snapshot by pure functions. Absent is not zero: what was
not measured gives no sample (Prometheus, "Writing exporters", "Failed scrapes").
"""

import platform

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from rk_exporter import __version__
from rk_exporter.metrics.apps import (
    APP_GAUGES,
    BUDGET_GAUGES,
    POLICY_GAUGES,
    STATE_FILE_GAUGES,
    _app_info,
)
from rk_exporter.metrics.builders import gauges, info
from rk_exporter.metrics.meetings import (
    DISCOVERY_GAUGES,
    FILE_GAUGES,
    MEETING_GAUGES,
    ROOM_GAUGES,
    _meeting_info,
    _meetings,
)
from rk_exporter.metrics.recordings import counter_families, recording_families
from rk_exporter.snapshot import Snapshot


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Return the metric families of *snapshot*, always all of them and in the same order."""
    yield from recording_families(snapshot)
    yield from counter_families(snapshot.apps)
    meetings = [each for app in snapshot.apps for each in _meetings(app)]
    yield _meeting_info(snapshot)
    yield from gauges(MEETING_GAUGES, meetings)
    rooms = [(labels, each.reading.room) for labels, each in meetings if each.reading.room]
    yield from gauges(ROOM_GAUGES, rooms)
    apps = [({"app": app.app.name}, app) for app in snapshot.apps]
    yield from gauges(APP_GAUGES, apps)
    discoveries = [(labels, app.discovery) for labels, app in apps if app.discovery]
    yield from gauges(DISCOVERY_GAUGES, discoveries)
    spendings = [(labels, app.budget_status) for labels, app in apps if app.budget_status]
    yield from gauges(BUDGET_GAUGES, spendings)
    policies = [
        ({**labels, "policy": policy.policy}, policy)
        for labels, budget_status in spendings
        for policy in budget_status.policies
    ]
    yield from gauges(POLICY_GAUGES, policies)
    yield from gauges(
        FILE_GAUGES,
        [({**labels, "file": file.path}, file) for labels, app in apps for file in app.files],
    )
    yield from gauges(STATE_FILE_GAUGES, [({}, each) for each in [snapshot.state_file] if each])
    yield _app_info(snapshot)
    yield _build_info()


def _build_info() -> Metric:
    return info(
        "rk_exporter_build",
        "The exporter's version.",
        [{"version": __version__, "python_version": platform.python_version()}],
    )
