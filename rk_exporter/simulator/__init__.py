"""A simulated Cloudflare RealtimeKit REST API, to try, test and measure clients on."""

from rk_exporter.simulator.app import Simulator
from rk_exporter.simulator.clock import AcceleratedClock
from rk_exporter.simulator.faults import Fault
from rk_exporter.simulator.improvise import improvise
from rk_exporter.simulator.journal import RequestLog
from rk_exporter.simulator.pace import DEMO_PACE, REAL_PACE, Pace
from rk_exporter.simulator.payloads import CANARY
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
    "Meeting",
    "Pace",
    "Phase",
    "Recording",
    "RequestLog",
    "ScriptedStory",
    "Session",
    "Simulator",
    "Status",
    "Story",
    "improvise",
]
