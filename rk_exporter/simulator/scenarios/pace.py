"""The durations and probabilities that a scenario is generated from."""

from dataclasses import dataclass


Range = tuple[float, float]
"""The shortest and the longest duration, in seconds."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Durations (ranges of seconds) and shares (0 to 1) that a scenario is generated from."""

    idle_seconds: Range
    """Time between two sessions of a meeting."""
    lead_seconds: Range
    """Time from the start of a session to its recording; 0 if the meeting records on start."""
    invoked_seconds: Range
    """Time in INVOKED."""
    recording_seconds: Range
    """Time in RECORDING, without pauses."""
    paused_seconds: Range
    """Time in PAUSED."""
    uploading_seconds: Range
    """Time in UPLOADING."""
    stuck_seconds: Range
    """Time in INVOKED or UPLOADING if the recording hangs there."""
    vanishing_seconds: Range
    """Time until the API deletes a recording of an empty meeting."""
    block_seconds: float
    """Time that is generated in one step; longer than any session with its recording."""
    busy_share: float = 1.0
    """Meetings that have sessions at all."""
    errored_share: float = 0.0
    """Recordings that end ERRORED."""
    paused_share: float = 0.0
    """Recordings with a pause."""
    stuck_invoked_share: float = 0.0
    """Recordings that hang in INVOKED."""
    stuck_uploading_share: float = 0.0
    """Recordings that hang in UPLOADING."""
    zero_byte_share: float = 0.0
    """Recordings whose file is empty."""
    vanished_share: float = 0.0
    """Recordings that the API deletes because the meeting is empty."""
    short_share: float = 0.0
    """Recordings under 5 s, which are unsupported and end ERRORED ("Start recording" page)."""
    unrecorded_share: float = 0.0
    """Sessions that nobody records."""

    @property
    def longest_seconds(self) -> float:
        """The longest time that a recording can be in progress."""
        durations = (
            self.invoked_seconds,
            self.recording_seconds,
            self.paused_seconds,
            self.uploading_seconds,
            self.vanishing_seconds,
            self.stuck_seconds,
        )
        return sum(longest for _, longest in durations)


REAL_PACE = Pace(
    idle_seconds=(3_600.0, 23_400.0),
    lead_seconds=(5.0, 180.0),
    invoked_seconds=(1.5, 2.5),
    recording_seconds=(600.0, 5_400.0),
    paused_seconds=(60.0, 600.0),
    uploading_seconds=(5.0, 600.0),
    stuck_seconds=(3_600.0, 14_400.0),
    vanishing_seconds=(60.0, 75.0),
    block_seconds=86_400.0,
    busy_share=0.3,
    errored_share=0.01,
    paused_share=0.05,
    stuck_invoked_share=0.002,
    stuck_uploading_share=0.002,
    zero_byte_share=0.002,
    vanished_share=0.01,
    short_share=0.005,
    unrecorded_share=0.03,
)
"""A busy account: about 5 % of the meetings are recording at any time, 10 to 90 minutes each."""

DEMO_PACE = Pace(
    idle_seconds=(5.0, 25.0),
    lead_seconds=(1.0, 4.0),
    invoked_seconds=(3.0, 8.0),
    recording_seconds=(15.0, 60.0),
    paused_seconds=(5.0, 12.0),
    uploading_seconds=(5.0, 15.0),
    stuck_seconds=(400.0, 900.0),
    vanishing_seconds=(8.0, 15.0),
    block_seconds=3_600.0,
    errored_share=0.09,
    paused_share=0.25,
    stuck_invoked_share=0.015,
    stuck_uploading_share=0.002,
    zero_byte_share=0.02,
    vanished_share=0.01,
    short_share=0.03,
    unrecorded_share=0.03,
)
"""
A lively account: healthy recordings change state within a minute, about one in seven ends ERRORED.

Most of the time, one of a dozen meetings hangs in INVOKED for long enough to fire an alert.
"""
