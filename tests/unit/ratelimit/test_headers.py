from datetime import UTC, datetime

import pytest

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rk_exporter.ratelimit.headers import (
    MalformedHeader,
    parse_policies,
    retry_after_seconds,
)
from rk_exporter.ratelimit.status import RateLimitPolicy


NOW = datetime(2026, 11, 18, 12, 0, 0, tzinfo=UTC)

# Single characters and parts of structured fields, because almost valid text finds more bugs.
FIELD_PARTS = st.one_of(
    st.sampled_from(['"default"', ";r=", ";t=", ";q=", "50", "0.5", ", ", ":aGk=:", "?1", "@1"]),
    st.sampled_from(['%"a%c3"', "999999999999999", "-1", "a/b", "()", "\ud800", "é", "\t", "\0"]),
    st.characters(),
)
DATE_PARTS = st.one_of(
    st.sampled_from(["Wed, ", "18 ", "Nov ", "2026 ", "12:00:00 ", "GMT", "+0100", "-9999", "94"]),
    st.sampled_from([",", ":", "-", " ", "9" * 20, "1:2", "1.2.3 ", "²", "٣", "EST", "may"]),
    st.characters(),
)


def text_of(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(parts, max_size=10).map("".join)


def without_missing(headers: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value is not None}


def policies(ratelimit: str | None, ratelimit_policy: str | None = None) -> list[RateLimitPolicy]:
    headers = {"Ratelimit": ratelimit, "Ratelimit-Policy": ratelimit_policy}
    return list(parse_policies(without_missing(headers)))


def seconds(retry_after: str | None, date: str | None = None) -> float | None:
    headers = without_missing({"Retry-After": retry_after, "Date": date})
    return retry_after_seconds(headers, now=NOW)


class TestPolicies:
    """The headers Ratelimit and Ratelimit-Policy."""

    def test_documented_examples(self) -> None:
        """The two documented examples belong together, although their names differ."""
        expected = RateLimitPolicy(policy="default", remaining=50, limit=100, reset_seconds=30)
        assert [expected] == policies('"default";r=50;t=30', '"burst";q=100;w=60')

    def test_several_policies(self) -> None:
        """Each policy has the quota with the same name, and the tightest comes first."""
        assert [
            RateLimitPolicy(policy="burst", remaining=3, limit=100, reset_seconds=1),
            RateLimitPolicy(policy="default", remaining=900, limit=1200, reset_seconds=200),
        ] == policies(
            '"default";r=900;t=200, "burst";r=3;t=1', '"burst";q=100;w=60, "default";q=1200;w=300'
        )

    def test_several_policies_with_other_names(self) -> None:
        """With several items in a header, a quota belongs only to a policy with its name."""
        assert [
            RateLimitPolicy(policy="a", remaining=1, limit=None, reset_seconds=1),
            RateLimitPolicy(policy="b", remaining=2, limit=9, reset_seconds=2),
        ] == policies('"a";r=1;t=1, "b";r=2;t=2', '"other";q=5;w=5, "b";q=9;w=9')
        (alone,) = policies('"a";r=1;t=1', '"b";q=2, "c";q=3')
        assert alone.limit is None

    @pytest.mark.parametrize(
        ("ratelimit", "ratelimit_policy", "expected"),
        [
            (None, None, []),
            (None, '"default";q=1200;w=300', []),
            ("", "", []),
            ('"default"', '"default";q=1200;w=300', []),
            ('"default";t=30', None, []),
            ('"default";r=5', None, [("default", 5, None, None)]),
            # Without a reset time, the report is valid for the policy's window.
            ('"default";r=5', '"default";q=10;w=60', [("default", 5, 10, 60)]),
            ('"default";r=5;t=0', '"default";q=10;w=60', [("default", 5, 10, 0)]),
            ("default;r=5;t=1", "default;q=10", [("default", 5, 10, 1)]),
            # A window cannot end after its length; one with another name may be longer.
            ("default;r=5;t=99999", "default;q=10;w=300", [("default", 5, 10, 300)]),
            ("default;r=5;t=99999", "burst;q=10;w=300", [("default", 5, 10, 99999)]),
            ("default;r=5", "default;q=1", [("default", 5, 1, None)]),
            ("default;r=5", "default;q=0", [("default", 5, None, None)]),
            ('"default";r=5.9;t=1.5', '"default";q=10.9', [("default", 5, 10, 1.5)]),
            ('"default";r=5;pk=:aGVsbG8=:;t=1', None, [("default", 5, None, 1)]),
        ],
    )
    def test_absent_values(
        self,
        ratelimit: str | None,
        ratelimit_policy: str | None,
        expected: list[tuple[str, int, int | None, float | None]],
    ) -> None:
        """Absent values are None; a policy without remaining calls is skipped."""
        assert expected == [
            (policy.policy, policy.remaining, policy.limit, policy.reset_seconds)
            for policy in policies(ratelimit, ratelimit_policy)
        ]

    @pytest.mark.parametrize(
        "header",
        [
            "50",
            "1.5;r=5",
            "?1;r=5",
            ":aGVsbG8=:;r=5",
            "@1659578233;r=5",
            '("default");r=5',
            '"default";r="5"',
            '"default";r=?1',
            '"default";r',
            '"default";r=five',
        ],
    )
    def test_items_of_other_types(self, header: str) -> None:
        """Items that are not names, or have no valid number, are skipped."""
        assert not policies(header)
        assert ["good"] == [policy.policy for policy in policies(f'{header}, "good";r=1')]

    @pytest.mark.parametrize(
        "header",
        [
            '"default;r=5',
            '"default";r=5,',
            '"default";r=',
            '"default";R=5',
            '"default";r=1000000000000000',
            '"default";r=1.2345',
            '"default";r=5 "burst";r=5',
            "default=5; r=5",
            '{"r": 5}',
            "'default';r=5",
            '"défaut";r=5',
            "\ud800",
            "@99999999999999999",
            "limit: 5",
        ],
    )
    def test_malformed(self, header: str) -> None:
        """A header that is not a list of structured-field items is malformed, not absent."""
        with pytest.raises(MalformedHeader):
            policies(header)
        with pytest.raises(MalformedHeader):
            policies('"default";r=5', header)

    def test_negative(self) -> None:
        """A negative number of remaining calls is 0; a limit below 1 is absent."""
        assert [RateLimitPolicy(policy="a", remaining=0, limit=None, reset_seconds=5)] == policies(
            '"a";r=-3;t=5', '"a";q=-100;w=-60'
        )

    def test_huge(self) -> None:
        """The largest number that a header can contain is read."""
        (policy,) = policies('"a";r=999999999999999;t=1', '"a";q=999999999999999')
        assert 999_999_999_999_999 == policy.remaining == policy.limit

    def test_odd_names(self) -> None:
        """A name keeps only letters, digits, `_`, `-` and `.`, and at most 64 characters."""
        assert ["a_b_____"] == [policy.policy for policy in policies('"a b\\"{}\\\\~";r=1')]
        assert ["x" * 64] == [policy.policy for policy in policies(f'"{"x" * 1000}";r=1')]
        assert ["tok_en__1.2-3_"] == [policy.policy for policy in policies("tok/en:*1.2-3!;r=1")]

    def test_the_tightest_of_one_name(self) -> None:
        """If a policy has several partitions, the one with the fewest remaining calls counts."""
        found = policies('"a";r=7;t=1;pk=:YQ==:, "a";r=2;t=9;pk=:Yg==:, "b";r=5, "a";r=3')
        assert [("a", 2, 9), ("b", 5, None)] == [
            (policy.policy, policy.remaining, policy.reset_seconds) for policy in found
        ]

    def test_more_than_eight_policies(self) -> None:
        """Only the eight tightest policies are kept."""
        header = ", ".join(f'"p{left}";r={left}' for left in reversed(range(20)))
        assert list(range(8)) == [policy.remaining for policy in policies(header)]

    @given(text_of(FIELD_PARTS), text_of(FIELD_PARTS))
    @settings(max_examples=300)
    def test_arbitrary_text(self, ratelimit: str, ratelimit_policy: str) -> None:
        """Any header gives bounded values or is malformed."""
        try:
            found = policies(ratelimit, ratelimit_policy)
        except MalformedHeader:
            return
        assert len(found) <= 8
        assert len({policy.policy for policy in found}) == len(found)
        for policy in found:
            assert policy.remaining >= 0
            assert policy.limit is None or policy.limit >= 1
            assert len(policy.policy) <= 64


class TestRetryAfter:
    """The header Retry-After."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("30", 30),
            (" 120 ", 120),
            ("300", 300),
            ("0", 1),
            ("000", 1),
            ("3600", 3600),
            ("999999", 3600),
            ("999999999", 3600),
        ],
    )
    def test_seconds(self, text: str, expected: float) -> None:
        """A number is in seconds, limited to one second to one hour."""
        assert expected == seconds(text)

    @pytest.mark.parametrize(
        ("until", "answered_at", "expected"),
        [
            ("Wed, 18 Nov 2026 12:02:00 GMT", None, 120),
            ("Wed, 18 Nov 2026 12:00:00 GMT", None, 1),
            ("Wed, 18 Nov 2026 11:00:00 GMT", None, 1),
            ("Thu, 19 Nov 2026 12:00:00 GMT", None, 3600),
            # This machine's clock is an hour behind or a year ahead, which does not matter.
            ("Wed, 18 Nov 2026 13:02:00 GMT", "Wed, 18 Nov 2026 13:00:00 GMT", 120),
            ("Tue, 18 Nov 2025 12:02:00 GMT", "Tue, 18 Nov 2025 12:00:00 GMT", 120),
            ("Tue, 18 Nov 2025 12:00:00 GMT", "Tue, 18 Nov 2025 12:02:00 GMT", 1),
            ("Wed, 18 Nov 2026 12:02:00 GMT", "today", 120),
            ("Wed, 18 Nov 2026 12:02:00 GMT", "", 120),
            # The two older forms of a date in HTTP.
            ("Wednesday, 18-Nov-26 12:02:00 GMT", None, 120),
            ("Wed Nov 18 12:02:00 2026", None, 120),
        ],
    )
    def test_date(self, until: str, answered_at: str | None, expected: float) -> None:
        """A date is compared with the answer's Date, or else with the clock."""
        assert expected == seconds(until, answered_at)

    @pytest.mark.parametrize(
        "text",
        [
            None,
            "",
            " ",
            "-1",
            "-300",
            "+30",
            "1.5",
            "1e3",
            "0x10",
            "1_000",
            "٣٠",
            "30, 60",
            "30s",
            "soon",
            "inf",
            "nan",
            "Wed, 32 Nov 2026 12:02:00 GMT",
            "Wed, 18 Nov 2026 25:00:00 GMT",
            "1" * 10,
            "1" * 1000,
        ],
    )
    def test_garbage(self, text: str | None) -> None:
        """Anything but a number of seconds or a date is ignored."""
        assert seconds(text) is None

    @pytest.mark.parametrize(
        "text",
        [
            f"Wed, 18 Nov {'9' * 20} 12:02:00 GMT",
            f"Wed, 18 Nov 2026 {'9' * 20}:02:00 GMT",
            f"Wed, 18 Nov 2026 12:02:00 +{'9' * 20}",
        ],
    )
    def test_numbers_that_are_too_large_for_a_date(self, text: str) -> None:
        """A date with impossible numbers is ignored, in Retry-After and in Date."""
        assert seconds(text) is None
        assert seconds("Wed, 18 Nov 2026 12:02:00 GMT", text) == 120

    @pytest.mark.parametrize(
        ("age", "date", "expected"),
        [
            ("100", "Wed, 18 Nov 2026 12:00:20 GMT", 180),
            ("1000", "Wed, 18 Nov 2026 12:00:20 GMT", 1),
            ("old", "Wed, 18 Nov 2026 12:00:20 GMT", 280),
            ("100", None, 300),
        ],
    )
    def test_cached_answer(self, age: str, date: str | None, expected: float) -> None:
        """A stored answer's Date is as old as its Age says."""
        until = "Wed, 18 Nov 2026 12:05:00 GMT"
        headers = without_missing({"Retry-After": until, "Date": date, "Age": age})
        assert retry_after_seconds(headers, now=NOW) == expected

    @given(text_of(DATE_PARTS), st.none() | text_of(DATE_PARTS))
    @example("Wed, 18 Nov 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2359")
    @settings(max_examples=300)
    def test_arbitrary_text(self, retry_after: str, date: str | None) -> None:
        """Any headers give a time from a second to an hour, or None."""
        found = seconds(retry_after, date)
        assert found is None or 1 <= found <= 3600
