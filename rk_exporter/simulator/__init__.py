"""A simulated Cloudflare RealtimeKit REST API for demos, tests and measurements of clients."""

from rk_exporter.simulator.api.app import Simulator
from rk_exporter.simulator.api.endpoints import Endpoint
from rk_exporter.simulator.api.faults import Fault
from rk_exporter.simulator.api.files import FileFault
from rk_exporter.simulator.api.payloads import CANARY, MeetingInList
from rk_exporter.simulator.api.rate_limit_headers import (
    HeaderWriter,
    documented_headers,
    late_headers,
    malformed_headers,
    misnamed_headers,
    no_headers,
)
from rk_exporter.simulator.api.request_log import RequestLog
from rk_exporter.simulator.api.settings import NotFoundBody, SimulatorSettings
from rk_exporter.simulator.scenarios.clock import AcceleratedClock
from rk_exporter.simulator.scenarios.generated import GeneratedScenario
from rk_exporter.simulator.scenarios.model import (
    TERMINAL,
    URL_LIFETIME_SECONDS,
    Meeting,
    Phase,
    Recording,
    Session,
    Status,
)
from rk_exporter.simulator.scenarios.pace import DEMO_PACE, REAL_PACE, Pace
from rk_exporter.simulator.scenarios.scenario import Scenario
from rk_exporter.simulator.scenarios.scripted import ScriptedScenario


__all__ = [
    "CANARY",
    "DEMO_PACE",
    "REAL_PACE",
    "TERMINAL",
    "URL_LIFETIME_SECONDS",
    "AcceleratedClock",
    "Endpoint",
    "Fault",
    "FileFault",
    "GeneratedScenario",
    "HeaderWriter",
    "Meeting",
    "MeetingInList",
    "NotFoundBody",
    "Pace",
    "Phase",
    "Recording",
    "RequestLog",
    "Scenario",
    "ScriptedScenario",
    "Session",
    "Simulator",
    "SimulatorSettings",
    "Status",
    "documented_headers",
    "late_headers",
    "malformed_headers",
    "misnamed_headers",
    "no_headers",
]
