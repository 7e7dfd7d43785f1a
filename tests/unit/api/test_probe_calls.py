"""The probe, whatever the API answers."""

import json

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.api.connection import Answer
from rk_exporter.api.probe import ask_everything
from rk_exporter.api.probe_calls import MOST_CALLS, ProbeCalls
from rk_exporter.api.probe_findings import Question, Verdict
from rk_exporter.api.probe_result import findings
from rk_exporter.api.replies import Reply
from rk_exporter.model.errors import ApiError, ApiTimeout, BodyTooLarge
from rk_exporter.ratelimit.pass_context import PassContext
from tests.support.building import limiter_of, pass_context
from tests.support.virtual_time import run


CANARY = "canary-7f3a9c51"
MEETINGS = ("meeting-1", "meeting-2")
UNKNOWN_ID = "unknown"
WORDS = ["INVOKED", "RECORDING", "PAUSED", "UPLOADED", "ERRORED", "NEW", CANARY, "", None, 1]
TIMES = ["2026-11-01T10:00:00Z", "2026-11-20T10:00:00.5Z", CANARY, "", None, 7]

recordings = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["r-1", "r-2", "r-3", None, {}]),
        "status": st.sampled_from(WORDS),
        "invoked_time": st.sampled_from(TIMES),
        "stopped_time": st.sampled_from(TIMES),
        "download_url": st.sampled_from([f"https://host/{CANARY}", None, [], [{"a": CANARY}]]),
        "download_url_expiry": st.sampled_from(TIMES),
        "output_file_name": st.sampled_from(["meeting-1_1772366400000.mp4", CANARY, None]),
        "meeting_id": st.sampled_from([*MEETINGS, None, [], CANARY]),
        "meeting": st.none()
        | st.just("text")
        | st.fixed_dictionaries(
            {"id": st.sampled_from([*MEETINGS, None]), "created_at": st.sampled_from(TIMES)}
        ),
        CANARY: st.none(),
    },
)
datas: st.SearchStrategy[Any] = (
    recordings | st.lists(recordings, max_size=4) | st.sampled_from([None, [], 1, CANARY])
)
bodies = (
    st.builds(
        lambda data, paging: {"success": True, "data": data, "paging": paging},
        datas,
        st.sampled_from([None, {"total_count": 9, "end_offset": 2}, CANARY]),
    )
    | st.sampled_from(
        [
            {"success": False, "error": {"code": 404, "message": CANARY}},
            {"success": False, "errors": [{"code": 7003, "message": CANARY}]},
            {"success": False, "errors": [{"code": 10000}]},
            {"message": CANARY},
            [CANARY],
        ]
    )
).map(lambda value: json.dumps(value).encode()) | st.sampled_from([b"", b"<html>", b"text", b"{"])
headers = st.fixed_dictionaries(
    {},
    optional={
        "Ratelimit": st.sampled_from(['"a";r=5;t=9', "lots", f"https://host/{CANARY}{CANARY}"]),
        "Ratelimit-Policy": st.sampled_from(['"a";q=100;w=60', '"a";q=1;w=0', "lots"]),
        "Retry-After": st.sampled_from(["30", "soon"]),
        "Date": st.sampled_from(["Fri, 27 Nov 2026 10:00:00 GMT", "today", ""]),
        "Age": st.sampled_from(["600", "-1", "²", ""]),
    },
)
statuses = st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 422, 429, 500, 503])
usual_statuses = st.sampled_from([200, 200, 200, 404, 400])
results: st.SearchStrategy[Any] = st.builds(
    Answer, status=usual_statuses | statuses, body=bodies, headers=headers
) | st.sampled_from([ApiTimeout("the API did not answer in time"), BodyTooLarge("too large")])


@given(st.data(), st.sampled_from([3, 100]))
def test_any_api(data: st.DataObject, calls_allowed: int) -> None:
    """It ends after few calls, with a verdict for each question and nothing confidential."""
    limiter = limiter_of(calls_allowed)
    slept: list[float] = []

    class AnyApi:
        async def exchange(self, endpoint: str, path: str, context: PassContext) -> Answer:
            """Return any answer."""
            del endpoint, path
            async with limiter.acquire(context):
                result: Answer | ApiError = data.draw(results)
            if isinstance(result, ApiError):
                raise result
            return result

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def steps() -> tuple[Any, list[Reply], int]:
        calls = ProbeCalls(AnyApi(), limiter, pass_context(wait_until=0.0), clock=lambda: 0.0)
        answers = await ask_everything(calls, MEETINGS, unknown_id=UNKNOWN_ID, sleep=sleep)
        return answers, calls.replies, calls.made

    answers, replies, made = run(steps())
    found = findings(answers, replies)
    assert made == len(replies) <= min(MOST_CALLS, calls_allowed)
    assert list(Question) == [finding.question for finding in found]
    assert {finding.verdict for finding in found} <= {*Verdict}
    assert all(finding.explanation for finding in found)
    assert CANARY not in repr(found)
    assert len(slept) <= 1
