"""Thresholds and severities that users set."""

import re

from dataclasses import asdict

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.assets.files import shipped, templates_of_rules
from rk_exporter.assets.settings import SEVERITIES, parse_setting, parse_settings, settings
from rk_exporter.model.thresholds import DEFAULTS, LARGEST, as_text


KNOWN = settings(templates_of_rules(shipped()))


def test_all_thresholds() -> None:
    """Each threshold can be set, and its default is that of the program."""
    assert {key: as_text(value) for key, value in asdict(DEFAULTS).items()} == {
        key: setting.default for key, setting in KNOWN.items() if ".severity" not in key
    }


@pytest.mark.parametrize("key", KNOWN)
def test_defaults_are_valid(key: str) -> None:
    """Each default could be set, and has a meaning."""
    assert parse_setting(f"{key}={KNOWN[key].default}", KNOWN) == (key, KNOWN[key].default)
    assert KNOWN[key].meaning.endswith(".")


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("recording_paused_seconds=10m", "recording_paused_seconds", "600"),
        ("recording_paused_seconds=600", "recording_paused_seconds", "600"),
        ("recording_paused_seconds = 1h30m", "recording_paused_seconds", "5400"),
        ("recording_paused_seconds=500ms", "recording_paused_seconds", "0.5"),
        ("download_url_expires_in_seconds=0", "download_url_expires_in_seconds", "0"),
        ("download_url_expires_in_seconds=7d", "download_url_expires_in_seconds", "604800"),
        ("recordings_errored_ratio=35%", "recordings_errored_ratio", "0.35"),
        ("recordings_errored_ratio=0.07", "recordings_errored_ratio", "0.07"),
        ("recordings_finished=10", "recordings_finished", "10"),
        ("recording_bytes_per_second=2000000", "recording_bytes_per_second", "2000000"),
        ("RealtimeKitRecordingErrored.severity=off", "RealtimeKitRecordingErrored.severity", "off"),
        ("recordings_succeed_ratio=99.5%", "recordings_succeed_ratio", "0.995"),
        ("price_ratio=80%", "price_ratio", "0.8"),
        ("composite_price_per_minute=0.003", "composite_price_per_minute", "0.003"),
        ("recording_alone_seconds=1h", "recording_alone_seconds", "3600"),
    ],
)
def test_values(text: str, key: str, value: str) -> None:
    """A value may be written as people write its kind."""
    assert parse_setting(text, KNOWN) == (key, value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recording_pausd_seconds=1", "did you mean recording_paused_seconds"),
        ("rk:data_age_seconds:threshold=1", "did you mean data_age_seconds?"),
        ("RealtimeKitDataStale=info", "did you mean RealtimeKitDataStale.severity"),
        ("realtimekitdatastale.severity=info", "did you mean RealtimeKitDataStale.severity"),
        (
            "RealtimeKitExporterDown.severity=info",
            "RealtimeKitExporterDown.severity.critical or RealtimeKitExporterDown.severity.warning",
        ),
        ("x=1", "run `rk-exporter assets --list-settings`"),
        ("job=x", "unknown setting 'job'"),
        ("data_age_seconds", "write KEY=VALUE"),
        ("data_age_seconds=", "data_age_seconds: invalid duration"),
        ("data_age_seconds=-5", "data_age_seconds: invalid duration"),
        ("data_age_seconds=1e3", "data_age_seconds: invalid duration"),
        ("data_age_seconds=8d", "data_age_seconds: 691200 is too large; at most 604800"),
        ("recording_running_seconds=25h", "at most 86400"),
        ("recordings_errored_ratio=20", "20 is too large; at most 1"),
        ("recordings_errored_ratio=5m", "invalid number '5m'"),
        ("recordings_start_ratio=100%", "recordings_start_ratio: 1 is too large; at most 0.9999"),
        ("recording_length_seconds=2d", "at most 86400"),
        ("track_price_per_minute=free", "invalid number 'free'"),
        ("objective_misses=0", "expected a whole number from 1 on"),
        ("recordings_finished=0", "expected a whole number from 1 on"),
        ("recordings_finished=2.5", "expected a whole number from 1 on"),
        ("recording_bytes_per_second=1.2.3", "invalid number"),
        ("recording_bytes_per_second=nan", "invalid number"),
        ("RealtimeKitDataStale.severity=page", "expected critical or warning or info or off"),
    ],
)
def test_refused(text: str, message: str) -> None:
    """An unknown key or a value of the wrong kind or range is refused with what is expected."""
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_setting(text, KNOWN)


@pytest.mark.parametrize(
    ("changes", "is_valid"),
    [
        (["data_age_seconds=4m"], False),
        (["data_age_seconds=300"], True),
        (["data_age_seconds=60", "scrape_interval_seconds=1m"], True),
        (["scrape_interval_seconds=1m", "data_age_seconds=59"], False),
        # The last one of a key counts.
        (["data_age_seconds=1m", "data_age_seconds=10m"], True),
    ],
)
def test_contradiction(changes: list[str], *, is_valid: bool) -> None:
    """Data must not be too old between two scrapes whose interval is not too long."""
    if is_valid:
        assert parse_settings(changes, KNOWN)
    else:
        with pytest.raises(ValueError, match=r"^data_age_seconds: .*set scrape_interval_seconds"):
            parse_settings(changes, KNOWN)


@given(value=st.floats(0, 1e15, allow_subnormal=False))
def test_numbers_lose_no_digits(value: float) -> None:
    """The text of a number is the number."""
    assert float(as_text(value)) == value


def test_kinds() -> None:
    """Each threshold has a largest value, and each other setting is a severity."""
    assert {key for key in KNOWN if key not in LARGEST} == {k for k in KNOWN if ".severity" in k}
    assert all(KNOWN[key].default in SEVERITIES for key in KNOWN if key not in LARGEST)
