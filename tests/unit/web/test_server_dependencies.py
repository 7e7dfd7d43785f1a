"""The parts of uvicorn and h11 on which the server depends."""

import h11
import pytest
import uvicorn

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        *(
            (H11Protocol, name)
            for name in (
                "connection_made",
                "connection_lost",
                "data_received",
                "eof_received",
                "pause_writing",
                "resume_writing",
                "on_response_complete",
                "send_400_response",
                "timeout_keep_alive_handler",
                "_unset_keepalive_if_required",
            )
        ),
        (uvicorn.Server, "serve"),
        (uvicorn.Server, "capture_signals"),
    ],
)
def test_method_exists(owner: type, name: str) -> None:
    """The installed uvicorn has the method that the server overrides or calls."""
    assert callable(vars(owner)[name])


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        *(
            (H11Protocol, name)
            for name in (
                "conn",
                "connections",
                "cycle",
                "flow",
                "loop",
                "timeout_keep_alive",
                "timeout_keep_alive_task",
                "transport",
            )
        ),
        *(
            (RequestResponseCycle, name)
            for name in ("disconnected", "response_complete", "response_started")
        ),
        (FlowControl, "write_paused"),
        (ServerState, "connections"),
        *((uvicorn.Server, name) for name in ("force_exit", "server_state", "should_exit")),
    ],
)
def test_attribute_exists(owner: type, name: str) -> None:
    """The installed uvicorn has the attribute that the server reads or sets."""
    assert name in owner.__init__.__code__.co_names  # type: ignore[misc] # of the class itself


def test_reasons_of_h11() -> None:
    """h11's errors report a head that is too large, and each status has a phrase."""
    assert h11.RemoteProtocolError("x", error_status_hint=431).error_status_hint == 431
    assert (STATUS_PHRASES[400], STATUS_PHRASES[431]) == (
        b"Bad Request",
        b"Request Header Fields Too Large",
    )
    assert {"IDLE", "SEND_RESPONSE"} <= set(dir(h11))
    assert h11.Connection(h11.SERVER).trailing_data == (b"", False)
