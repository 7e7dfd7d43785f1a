"""
What users see: a snapshot as metric families.

The families are built afresh from each snapshot by pure functions. Absent is not zero: what was
not measured gives no sample (Prometheus, "Writing exporters", "Failed scrapes").
"""

import platform

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric

from rk_exporter import __version__
from rk_exporter.metric_families import Labels, gauges, info
from rk_exporter.metric_tables import (
    APP_GAUGES,
    DISCOVERY_GAUGES,
    FILE_GAUGES,
    MEETING_GAUGES,
    POLICY_GAUGES,
    ROOM_GAUGES,
    SPENDING_GAUGES,
    STATE_FILE_GAUGES,
    ReadMeeting,
)
from rk_exporter.recording_metrics import recording_families, tally_families
from rk_exporter.recordings import Meeting
from rk_exporter.snapshot import AppSnapshot, Snapshot


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Return the metric families of *snapshot*, always all of them and in the same order."""
    yield from recording_families(snapshot)
    yield from tally_families(snapshot.apps)
    meetings = [each for app in snapshot.apps for each in _meetings(app)]
    yield _meeting_info(snapshot)
    yield from gauges(MEETING_GAUGES, meetings)
    rooms = [(labels, each.reading.room) for labels, each in meetings if each.reading.room]
    yield from gauges(ROOM_GAUGES, rooms)
    apps = [({"app": app.app.name}, app) for app in snapshot.apps]
    yield from gauges(APP_GAUGES, apps)
    discoveries = [(labels, app.discovery) for labels, app in apps if app.discovery]
    yield from gauges(DISCOVERY_GAUGES, discoveries)
    spendings = [(labels, app.spending) for labels, app in apps if app.spending]
    yield from gauges(SPENDING_GAUGES, spendings)
    policies = [
        ({**labels, "policy": policy.policy}, policy)
        for labels, spending in spendings
        for policy in spending.policies
    ]
    yield from gauges(POLICY_GAUGES, policies)
    yield from gauges(
        FILE_GAUGES,
        [({**labels, "file": file.path}, file) for labels, app in apps for file in app.files],
    )
    yield from gauges(STATE_FILE_GAUGES, [({}, each) for each in [snapshot.state_file] if each])
    yield _app_info(snapshot)
    yield _build_info()


def _meetings(app: AppSnapshot) -> Iterator[tuple[Labels, ReadMeeting]]:
    in_progress = Counter(
        known.meeting.meeting_id for known in app.recordings if known.recording.in_progress
    )
    for reading in app.readings:
        meeting_id = reading.meeting.meeting_id
        labels = {"app": app.app.name, "meeting_id": meeting_id}
        yield labels, ReadMeeting(reading, in_progress[meeting_id])


def _meeting_info(snapshot: Snapshot) -> Metric:
    named = (
        {"app": app.app.name, "meeting_id": meeting.meeting_id, "name": meeting.name}
        for app in snapshot.apps
        for meeting in _named_meetings(app)
    )
    return info(
        "rk_meeting",
        "The meeting's name in the configuration, in a file or of its session; its id without one. "
        "Also of meetings that are no longer read, and have a recording that is shown.",
        named,
    )


def _named_meetings(app: AppSnapshot) -> Iterable[Meeting]:
    listed = {reading.meeting.meeting_id: reading.meeting for reading in app.readings}
    recorded = {known.meeting.meeting_id: known.meeting for known in app.recordings}
    return (recorded | listed).values()


def _app_info(snapshot: Snapshot) -> Metric:
    return info(
        "rk_app",
        "The app's account and id, and how its recordings are read.",
        (
            {
                "app": app.app.name,
                "account_id": app.app.account_id,
                "app_id": app.app.app_id,
                "read": app.read_mode.value,
            }
            for app in snapshot.apps
        ),
    )


def _build_info() -> Metric:
    return info(
        "rk_exporter_build",
        "The exporter's version.",
        [{"version": __version__, "python_version": platform.python_version()}],
    )
