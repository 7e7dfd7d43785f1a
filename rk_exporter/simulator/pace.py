"""How fast life goes in an improvised story, and how often it goes wrong."""

from dataclasses import dataclass


Range = tuple[float, float]
"""The shortest and the longest, in seconds."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The durations (ranges of seconds) and likelihoods (0 to 1) that a story is drawn from."""

    idle_seconds: Range
    """Between two sessions of a meeting."""
    lead_seconds: Range
    """From the start of a session to the recording's; none in meetings that record on start."""
    invoked_seconds: Range
    recording_seconds: Range
    """Time recorded, without pauses."""
    paused_seconds: Range
    uploading_seconds: Range
    stuck_seconds: Range
    """How long INVOKED or UPLOADING lasts when it hangs."""
    vanishing_seconds: Range
    """How long a recording of an empty meeting is seen before it is thrown away."""
    block_seconds: float
    """What is improvised in one go; longer than any recording with its session."""
    busy_share: float = 1.0
    """Meetings that are used at all."""
    errored_share: float = 0.0
    paused_share: float = 0.0
    stuck_invoked_share: float = 0.0
    stuck_uploading_share: float = 0.0
    zero_byte_share: float = 0.0
    vanished_share: float = 0.0
    short_share: float = 0.0
    """Recordings under 5 s, which are not supported and end ERRORED ("Start recording" page)."""
    unrecorded_share: float = 0.0
    """Sessions that nobody records."""

    @property
    def longest_seconds(self) -> float:
        """The longest that a recording can be under way."""
        usual = (
            self.invoked_seconds,
            self.recording_seconds,
            self.paused_seconds,
            self.uploading_seconds,
            self.vanishing_seconds,
            self.stuck_seconds,
        )
        return sum(longest for _, longest in usual)


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
A lively account: what goes well changes within a minute, about one in seven ends ERRORED.

Of a dozen meetings one hangs INVOKED most of the time, for long enough to be alerted about.
"""
