"""Answers from the API's documentation."""

import json

from typing import Any

from hypothesis import strategies as st


# The exact sample response on the endpoint's page.
SAMPLE = """
{
  "data": {
    "id": "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e",
    "audio_download_url": "https://example.com",
    "download_url": "https://example.com",
    "download_url_expiry": "2019-12-27T18:11:19.117Z",
    "file_size": 0,
    "invoked_time": "2019-12-27T18:11:19.117Z",
    "output_file_name": "output_file_name",
    "session_id": "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e",
    "started_time": "2019-12-27T18:11:19.117Z",
    "status": "INVOKED",
    "stopped_time": "2019-12-27T18:11:19.117Z",
    "recording_duration": 0
  },
  "success": true
}
"""
# "Fetch details of a recording" has more fields.
DETAILS: dict[str, Any] = {
    **json.loads(SAMPLE)["data"],
    "start_reason": {
        "reason": "API_CALL",
        "caller": {"name": "Ada", "type": "USER", "user_Id": "user-1"},
    },
    "stop_reason": {
        "reason": "ALL_PEERS_LEFT",
        "caller": {"name": "Ada", "type": "USER", "user_Id": "user-1"},
    },
    "storage_config": {"type": "aws", "access_key": "AKIA", "secret": "s", "bucket": "b"},
}
RECORDING_ID = DETAILS["id"]
CANARY = "X-Amz-Signature=canary"


def _values(floats: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | floats
        | st.text()
        | st.just(f"https://bucket.example/{CANARY}"),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    )


VALID_JSON_VALUES = _values(st.floats(allow_nan=False, allow_infinity=False))
# Python writes NaN and Infinity, which no JSON has.
JSON_VALUES = _values(st.floats())


def gateway(code: int | None) -> dict[str, Any]:
    error = {"message": "m"} if code is None else {"code": code, "message": "m"}
    return {"success": False, "errors": [error], "messages": [], "result": None}
