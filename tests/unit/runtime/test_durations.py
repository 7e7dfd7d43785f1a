import pytest

from rk_exporter.runtime.durations import duration_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.9, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (290, "4m 50s"),
        (3600, "1h"),
        (3609, "1h"),
        (3723, "1h 2m"),
        (6 * 86400 + 23 * 3600 + 59 * 60, "6d 23h"),
    ],
)
def test_duration_text(seconds: float, text: str) -> None:
    """A duration has its two largest units, without those that are 0."""
    assert text == duration_text(seconds)
