"""Metrics of single recordings."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from rk_exporter.metrics.builders import LabelSet
from rk_exporter.model.recording import Recording, Status, StopReason
from rk_exporter.snapshot import Snapshot
from rk_exporter.tracking.known_fields import has_labels
from rk_exporter.tracking.lifecycle import KnownRecording


T = TypeVar("T")
RECORDING_AGE = "As old as rk_recording_last_success_timestamp_seconds."


@dataclass(frozen=True, slots=True)
class ReadRecording:
    """
    A recording that was read at *read_at* and is shown at *now*, in unix seconds.

    The API's own timestamps follow the API's clock, so they are compared with times on that clock,
    which is *clock_offset* seconds ahead.
    """

    recording: Recording
    read_at: float
    now: float
    clock_offset: float

    @property
    def expires_in_seconds(self) -> float | None:
        """Return how long its download URL is still valid; negative after the expiry."""
        expires_at = self.recording.download_url_expiry_timestamp_seconds
        return None if expires_at is None else expires_at - (self.now + self.clock_offset)

    @property
    def duration_seconds(self) -> float | None:
        """Return its length; if it runs, until it was read."""
        return self.recording.duration_seconds(as_of=self.read_at + self.clock_offset)


class RecordingLabels:
    """The label sets of one recording's series, which are the same in every snapshot."""

    __slots__ = ("kinds", "plain", "reasons", "statuses")

    def __init__(self, app: str, meeting_id: str, recording_id: str) -> None:
        self.plain = LabelSet(rk_app=app, meeting_id=meeting_id, recording_id=recording_id)
        self.statuses = [(status, self.plain.plus(status=status.value)) for status in Status]
        self.reasons = [(reason, self.plain.plus(reason=reason.value)) for reason in StopReason]
        self.kinds = (self.plain.plus(kind="composite"), self.plain.plus(kind="audio"))


@dataclass(frozen=True, slots=True)
class RecordingFamily:
    """A metric of recordings: how it is announced, and the *samples* of one recording."""

    name: str
    type: str
    documentation: str
    samples: Callable[[RecordingLabels, ReadRecording], Iterable[Sample]]
    depends_on_time: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class RecordingGauge:
    """A gauge of recordings and its *value*; None means that there is no sample."""

    type: ClassVar[str] = "gauge"
    name: str
    documentation: str
    value: Callable[[ReadRecording], float | None]
    depends_on_time: bool = False
    """Whether the value may change while the API reports the same recording."""

    def samples(self, labels: RecordingLabels, read: ReadRecording) -> Iterable[Sample]:
        """Return the sample of one recording."""
        number = self.value(read)
        return () if number is None else (Sample(self.name, labels.plain, float(number)),)


def _state_samples(
    name: str, states: Iterable[tuple[T, LabelSet]], current: T | None
) -> Iterable[Sample]:
    """Return 1 for the *current* state and 0 for the others; nothing if it is not known."""
    if current is None:
        return ()
    return [Sample(name, label_set, float(state is current)) for state, label_set in states]


def _download_samples(labels: RecordingLabels, read: ReadRecording) -> Iterable[Sample]:
    recording = read.recording
    available = (recording.has_download_url, recording.has_audio_download_url)
    return [
        Sample("rk_recording_download_available", label_set, float(is_available))
        for label_set, is_available in zip(labels.kinds, available, strict=True)
        if is_available is not None
    ]


def _info_samples(labels: RecordingLabels, read: ReadRecording) -> Iterable[Sample]:
    recording = read.recording
    if not has_labels(recording):
        return ()
    label_set = labels.plain.plus(
        session_id=recording.session_id or "",
        output_file_name=recording.output_file_name or "",
        kind=recording.kind.value,
    )
    return (Sample("rk_recording_info", label_set, 1.0),)


RECORDING_FAMILIES: tuple[RecordingFamily | RecordingGauge, ...] = (
    RecordingFamily(
        "rk_recording_status",
        "gauge",
        "1 for the recording's current state (API field status), 0 for the others; UNKNOWN is any "
        f"state that the API does not document. {RECORDING_AGE}",
        lambda labels, read: _state_samples(
            "rk_recording_status", labels.statuses, read.recording.status
        ),
    ),
    RecordingGauge(
        "rk_recording_file_size_bytes",
        f"Size of the recording's file (API field file_size). {RECORDING_AGE}",
        lambda read: read.recording.file_size_bytes,
    ),
    RecordingGauge(
        "rk_recording_duration_seconds",
        "Length of the recording (API field recording_duration). If that is absent or 0: "
        "stopped_time, or else the time of the last read, minus started_time. " + RECORDING_AGE,
        lambda read: read.duration_seconds,
        depends_on_time=True,
    ),
    RecordingGauge(
        "rk_recording_download_url_expiry_timestamp_seconds",
        f"When the download URL expires (API field download_url_expiry). {RECORDING_AGE}",
        lambda read: read.recording.download_url_expiry_timestamp_seconds,
    ),
    RecordingGauge(
        "rk_recording_download_url_expires_in_seconds",
        "Time until the download URL expires (API field download_url_expiry); negative after the "
        f"expiry. {RECORDING_AGE}",
        lambda read: read.expires_in_seconds,
        depends_on_time=True,
    ),
    RecordingGauge(
        "rk_recording_invoked_timestamp_seconds",
        f"When the recording was requested (API field invoked_time). {RECORDING_AGE}",
        lambda read: read.recording.invoked_timestamp_seconds,
    ),
    RecordingGauge(
        "rk_recording_started_timestamp_seconds",
        f"When the recording started (API field started_time). {RECORDING_AGE}",
        lambda read: read.recording.started_timestamp_seconds,
    ),
    RecordingGauge(
        "rk_recording_stopped_timestamp_seconds",
        f"When the recording stopped (API field stopped_time). {RECORDING_AGE}",
        lambda read: read.recording.stopped_timestamp_seconds,
    ),
    RecordingGauge(
        "rk_recording_last_success_timestamp_seconds",
        "When the recording was last read. A finished recording is read only every few hours.",
        lambda read: read.read_at,
        depends_on_time=True,
    ),
    RecordingFamily(
        "rk_recording_download_available",
        "gauge",
        "Whether the API returns a URL to download the file: kind composite is the recording (API "
        f"field download_url), audio its sound alone (audio_download_url). {RECORDING_AGE}",
        _download_samples,
    ),
    RecordingFamily(
        "rk_recording_stop_reason",
        "gauge",
        "1 for the reason why the recording ended (API field stop_reason), 0 for the others; "
        "UNKNOWN is any reason that the API does not document. Only for recordings whose end was "
        "observed.",
        lambda labels, read: _state_samples(
            "rk_recording_stop_reason", labels.reasons, read.recording.stop_reason
        ),
    ),
    RecordingFamily(
        "rk_recording",
        "info",
        "The recording's session and file (API fields session_id, output_file_name) and its kind: "
        f"composite, or track if each participant has a file. {RECORDING_AGE}",
        _info_samples,
    ),
)
_DEPENDING_ON_TIME = tuple(
    (index, family) for index, family in enumerate(RECORDING_FAMILIES) if family.depends_on_time
)


class RecordingSeries:
    """The samples of one recording, which are made again only when the API reports a change."""

    __slots__ = ("_labels", "_recording", "_samples")

    def __init__(self, app: str, known: KnownRecording) -> None:
        self._labels = RecordingLabels(app, known.meeting.meeting_id, known.recording_id)
        self._recording: Recording | None = None
        self._samples: list[Iterable[Sample]] = []

    @property
    def labels(self) -> LabelSet:
        """Return the labels that all its series have."""
        return self._labels.plain

    def samples(self, read: ReadRecording) -> list[Iterable[Sample]]:
        """Return the samples of each of the RECORDING_FAMILIES."""
        recording = self._recording
        if read.recording is recording or read.recording == recording:
            for index, family in _DEPENDING_ON_TIME:
                self._samples[index] = family.samples(self._labels, read)
        else:
            self._recording = read.recording
            self._samples = [family.samples(self._labels, read) for family in RECORDING_FAMILIES]
        return self._samples


class AllRecordingSeries:
    """The series of all recordings in the last snapshot."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str], RecordingSeries] = {}

    def families(self, snapshot: Snapshot) -> Iterator[Metric]:
        """Return the metric families of the recordings in *snapshot*."""
        before, self._series = self._series, {}
        families = [
            Metric(family.name, family.documentation, family.type) for family in RECORDING_FAMILIES
        ]
        for app in snapshot.apps:
            name = app.app.name
            for known in app.recordings:
                key = (name, known.meeting.meeting_id, known.recording_id)
                series = before.get(key) or RecordingSeries(name, known)
                self._series[key] = series
                read = ReadRecording(
                    known.recording, known.read_at, snapshot.taken_at, app.clock_offset_seconds
                )
                for family, samples in zip(families, series.samples(read), strict=True):
                    family.samples.extend(samples)
        yield from families

    def labels(self, app: str, known: KnownRecording) -> LabelSet:
        """Return the labels of a recording that is in the last snapshot."""
        return self._series[app, known.meeting.meeting_id, known.recording_id].labels
