"""What is announced of a pass that waits for the budget."""

import asyncio

import pytest

from rk_exporter.cli.configured import long_wait_announced
from tests.support import virtual_time
from tests.support.log_lines import Line, lines


@pytest.mark.parametrize(("seconds", "is_announced"), [(9.9, False), (10.1, True), (300.0, True)])
def test_long_wait(*, seconds: float, is_announced: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Only a pass that has not ended after ten seconds says, once, how long it may take."""
    caplog.set_level("INFO")

    async def read() -> None:
        with long_wait_announced(360.0):
            await asyncio.sleep(seconds)
        await asyncio.sleep(60.0)

    virtual_time.run(read())
    line: Line = ("INFO", "still reading, which may take up to 6m", {})
    assert [line] * is_announced == lines(caplog, "cli.configured")
