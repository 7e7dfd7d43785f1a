"""A simulated Cloudflare RealtimeKit REST API, to try, test and measure clients on."""

from rk_exporter.simulator.app import Simulator
from rk_exporter.simulator.clock import AcceleratedClock
from rk_exporter.simulator.faults import Fault
from rk_exporter.simulator.improvise import improvise
from rk_exporter.simulator.journal import RequestLog
from rk_exporter.simulator.limit_headers import (
    HeaderWriter,
    documented_headers,
    malformed_headers,
    misnamed_headers,
    no_headers,
)
from rk_exporter.simulator.pace import DEMO_PACE, REAL_PACE, Pace
from rk_exporter.simulator.payloads import CANARY, MeetingInList
from rk_exporter.simulator.ratelimit import Verdict
from rk_exporter.simulator.scripted import ScriptedStory
from rk_exporter.simulator.story import (
    Meeting,
    Phase,
    Recording,
    Session,
    Status,
    Story,
)


__all__ = [
    "CANARY",
    "DEMO_PACE",
    "REAL_PACE",
    "AcceleratedClock",
    "Fault",
    "HeaderWriter",
    "Meeting",
    "MeetingInList",
    "Pace",
    "Phase",
    "Recording",
    "RequestLog",
    "ScriptedStory",
    "Session",
    "Simulator",
    "Status",
    "Story",
    "Verdict",
    "documented_headers",
    "improvise",
    "malformed_headers",
    "misnamed_headers",
    "no_headers",
]
