"""A real Prometheus scrapes the exporter while a recording goes through its whole lifecycle."""

import time

from collections.abc import Iterator
from pathlib import Path

import pytest

from rk_exporter.simulator import Fault, ScriptedScenario, Simulator
from tests.support.building import Time, scripted
from tests.support.monitoring.servers import Prometheus, eventually, exporter, started_prometheus
from tests.support.serving import served


@pytest.fixture
def clock() -> Time:
    """Return the simulator's clock, which only the test advances, so that no state is missed."""
    return Time(time.time())


@pytest.fixture
def simulator(clock: Time) -> Simulator:
    begin = clock.now + 1
    whole = scripted(
        "whole-life",
        invoked_at=begin,
        started_at=begin + 3,
        paused=[(begin + 6, begin + 9)],
        stopped_at=begin + 12,
        uploaded_at=begin + 15,
        file_size_bytes=20_212_537,
    )
    failed = scripted(
        "fails",
        invoked_at=begin,
        started_at=None,
        paused=(),
        stopped_at=None,
        uploaded_at=None,
        errored_at=begin + 6,
    )
    scenario = ScriptedScenario(meetings=["idle", "broken"], recordings=[whole, failed])
    simulator = Simulator(scenario, clock=clock, rate_limit=0)
    simulator.inject("broken", Fault.SERVER_ERROR)
    return simulator


@pytest.fixture
def server(prometheus: str, simulator: Simulator, tmp_path: Path) -> Iterator[Prometheus]:
    """Start the exporter, and a Prometheus that scrapes it each second."""
    meetings = [
        part
        for name in ("whole-life", "fails", "idle", "broken")
        for part in ("--meeting-id", name)
    ]
    with served(simulator) as api:
        exporting = exporter(
            tmp_path,
            *("--account-id", "account", "--app-id", "app", *meetings),
            *("--api.base-url", f"{api}/client/v4"),
            environment={"CLOUDFLARE_API_TOKEN": "simulated"},
        )
        with (
            exporting,
            started_prometheus(
                prometheus, tmp_path, targets={"rk": [exporting.address]}
            ) as prometheus_server,
        ):
            yield prometheus_server


def test_whole_lifecycle_of_a_recording(server: Prometheus, clock: Time) -> None:
    """PromQL answers users' questions during the recording and after its end."""
    query, number = server.query, server.number
    whole = '{meeting_id="whole-life"}'
    begun = time.monotonic()
    eventually(lambda: number("up") == 1, what="the exporter is scraped")
    assert [] == query(f"rk_recording_status{whole}")
    clock.now += 1
    for status in ("INVOKED", "RECORDING", "PAUSED", "RECORDING", "UPLOADING", "UPLOADED"):
        is_seen = f'rk_recording_status{{meeting_id="whole-life",status="{status}"}} == 1'
        eventually(lambda promql=is_seen: bool(query(promql)), what=f"it is {status}")  # type: ignore[misc] # bound now
        clock.now += 3

    # Which states has it been in? It was in each of these states, and in no other.
    seen = {
        series["metric"]["status"]
        for series in query('max_over_time(rk_recording_status{meeting_id="whole-life"}[5m]) == 1')
    }
    assert {"INVOKED", "RECORDING", "PAUSED", "UPLOADING", "UPLOADED"} == seen
    assert {"ERRORED"} == {
        series["metric"]["status"]
        for series in query('rk_recording_status{meeting_id="fails"} == 1')
    }

    # How large, how long, and how long can it still be fetched?
    assert 20_212_537 == number(f"rk_recording_file_size_bytes{whole}")
    assert 6 == number(f"rk_recording_duration_seconds{whole}")
    left = number(f"rk_recording_download_url_expires_in_seconds{whole}")
    assert left is not None
    assert abs(left - 7 * 86400) < 60
    by_timestamp = number(f"rk_recording_download_url_expiry_timestamp_seconds{whole} - time()")
    assert by_timestamp is not None
    assert abs(by_timestamp - left) < 60

    # How long did it take to start, and to be uploaded?
    assert 3 == number(
        f"round(rk_recording_started_timestamp_seconds{whole}"
        f" - rk_recording_invoked_timestamp_seconds{whole}, 0.1)"
    )
    assert 3 == number("round(rk_recording_start_delay_seconds_sum, 0.1)")
    assert 1 == number('rk_recording_start_delay_seconds_bucket{le="3.0"}')
    uploaded_after = number("rk_recording_upload_delay_seconds_sum")
    assert uploaded_after is not None
    # The simulator's clock stands between two steps. A Date that does not advance with this
    # machine's clock could come from a cache, so the exporter goes on with its own clock.
    assert 0 < uploaded_after < time.monotonic() - begun + 3

    # How many began, and how did they end?
    assert 1 == number("rk_recordings_started_total")
    expected = {("uploaded", "1"), ("errored", "1"), ("upload_failed", "0"), ("vanished", "0")}
    assert expected == {
        (series["metric"]["outcome"], series["value"][1])
        for series in query("rk_recordings_finished_total")
    }
    # A series that starts at 0 does not lose its first increase.
    assert [] != query('increase(rk_recordings_finished_total{outcome="uploaded"}[5m]) > 0')
    assert [] != query('rk_api_requests_total{code="500"} > 0')
    counting = query('{__name__=~"rk_.+_(total|bucket|count|sum)"}[5m]')
    # The lag is that of the process, like its CPU time: it counts from the start on.
    lag = "rk_exporter_event_loop_lag_seconds_total"
    assert {"0"} == {
        series["values"][0][1] for series in counting if series["metric"]["__name__"] != lag
    }
    assert ["ALL_PEERS_LEFT"] == [
        series["metric"]["reason"] for series in query("rk_recording_stop_reason == 1")
    ]
    assert ["composite"] == [
        series["metric"]["kind"] for series in query("rk_recording_download_available == 1")
    ]

    # Which meetings record now, which cannot be read, and why?
    assert 0 == number("sum(rk_meeting_active_recordings)")
    assert 2 == number("max_over_time(sum(rk_meeting_active_recordings)[5m:1s])")
    assert ["broken"] == [series["metric"]["meeting_id"] for series in query("rk_meeting_up == 0")]
    reasons = {
        series["metric"]["reason"]
        for series in query("increase(rk_api_request_failures_total[5m]) > 0")
    }
    # A busy machine may need longer for a call than a scrape lasts here.
    assert {"server_error"} == reasons - {"timeout"}
    assert [1, 4, 0] == [
        number(promql) for promql in ("rk_up", "rk_meetings", "rk_meetings_deferred")
    ]

    # What file is it, by name?
    (info,) = query(
        f"rk_recording_file_size_bytes{whole} * on (rk_app, meeting_id, recording_id)"
        " group_left (output_file_name) rk_recording_info"
    )
    assert info["metric"]["output_file_name"].startswith("whole-life_")

    # Prometheus reports no problem with the scrapes.
    assert 1 == number("min_over_time(up[5m])")
    duplicates = "prometheus_target_scrapes_sample_duplicate_timestamp_total"
    assert f"{duplicates} 0" in server.metrics()
