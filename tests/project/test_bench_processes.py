"""The benchmarks find the address at which a process listens."""

import pytest

from bench.processes import url_in


@pytest.mark.parametrize(
    ("line", "url"),
    [
        (
            "msg=listening address=127.0.0.1:32851 url=https://127.0.0.1:32851/metrics",
            "https://127.0.0.1:32851",
        ),
        ('msg="Listening on" address=127.0.0.1:9100', "http://127.0.0.1:9100"),
        ("http://127.0.0.1:40000", "http://127.0.0.1:40000"),
        ("msg=starting address=127.0.0.1:0", None),
    ],
)
def test_address(line: str, url: str | None) -> None:
    """The scheme counts wherever it is in the line; a port of 0 is not chosen yet."""
    assert url == url_in(line)
