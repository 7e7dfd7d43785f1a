"""The benchmark of checks of downloads: that they cost nothing when they are off."""

from dataclasses import replace

from bench.downloads import RECORDINGS, is_free_when_off, shown


def test_nothing_changes_when_off() -> None:
    """Without checks the exposition lacks their metrics, and no other line differs."""
    off, on = shown(verified=False), shown(verified=True)
    assert is_free_when_off(off, on)
    assert on.series - off.series > 6 * RECORDINGS
    changed = replace(off, page=off.page + b"rk_download_checks_total 0.0\n")
    assert not is_free_when_off(changed, on)
