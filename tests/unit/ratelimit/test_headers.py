from datetime import UTC, datetime

import pytest

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rk_exporter.ratelimit.headers import (
    MalformedHeader,
    RateLimitHeaders,
    parse_policies,
    retry_after_seconds,
)
from rk_exporter.ratelimit.status import RateLimitPolicy


NOW = datetime(2026, 11, 18, 12, 0, 0, tzinfo=UTC)

# Single characters and parts of structured fields: text that is almost right finds more.
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


def policies(ratelimit: str | None, ratelimit_policy: str | None = None) -> list[RateLimitPolicy]:
    headers = RateLimitHeaders(ratelimit=ratelimit, ratelimit_policy=ratelimit_policy)
    return list(parse_policies(headers))


def seconds(retry_after: str | None, date: str | None = None) -> float | None:
    return retry_after_seconds(RateLimitHeaders(retry_after=retry_after, date=date), now=NOW)


class TestPolicies:
    """What Ratelimit and Ratelimit-Policy tell."""

    def test_the_examples_of_the_documents(self) -> None:
        """The two examples belong together, though the policy has a name in each."""
        expected = RateLimitPolicy(policy="default", remaining=50, limit=100, reset_seconds=30)
        assert [expected] == policies('"default";r=50;t=30', '"burst";q=100;w=60')

    def test_several_policies(self) -> None:
        """Of several each has the quota of its name, and the tightest comes first."""
        assert [
            RateLimitPolicy(policy="burst", remaining=3, limit=100, reset_seconds=1),
            RateLimitPolicy(policy="default", remaining=900, limit=1200, reset_seconds=200),
        ] == policies(
            '"default";r=900;t=200, "burst";r=3;t=1', '"burst";q=100;w=60, "default";q=1200;w=300'
        )

    def test_several_policies_of_other_names(self) -> None:
        """A quota of another name is nobody's, where there is more than one of either."""
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
            # Without a time of its own, what is left lasts for the policy's window at most.
            ('"default";r=5', '"default";q=10;w=60', [("default", 5, 10, 60)]),
            ('"default";r=5;t=0', '"default";q=10;w=60', [("default", 5, 10, 0)]),
            ("default;r=5;t=1", "default;q=10", [("default", 5, 10, 1)]),
            ('"default";r=5.9;t=1.5', '"default";q=10.9', [("default", 5, 10, 1.5)]),
            ('"default";r=5;pk=:aGVsbG8=:;t=1', None, [("default", 5, None, 1)]),
        ],
    )
    def test_what_is_not_said_is_unknown(
        self,
        ratelimit: str | None,
        ratelimit_policy: str | None,
        expected: list[tuple[str, int, int | None, float | None]],
    ) -> None:
        """What no header says is None; a policy that does not say what is left is none."""
        assert expected == [
            (each.policy, each.remaining, each.limit, each.reset_seconds)
            for each in policies(ratelimit, ratelimit_policy)
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
    def test_items_of_other_types_tell_nothing(self, header: str) -> None:
        """An item that is no name, or whose number is none, is passed over."""
        assert not policies(header)
        assert ["good"] == [each.policy for each in policies(f'{header}, "good";r=1')]

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
        """What is no list of structured-field items is told apart from saying nothing."""
        with pytest.raises(MalformedHeader):
            policies(header)
        with pytest.raises(MalformedHeader):
            policies('"default";r=5', header)

    def test_negative(self) -> None:
        """Less than nothing left is nothing; a limit below one is none."""
        assert [RateLimitPolicy(policy="a", remaining=0, limit=None, reset_seconds=5)] == policies(
            '"a";r=-3;t=5', '"a";q=-100;w=-60'
        )

    def test_huge(self) -> None:
        """The largest number that a header can hold is taken."""
        (policy,) = policies('"a";r=999999999999999;t=1', '"a";q=999999999999999')
        assert 999_999_999_999_999 == policy.remaining == policy.limit

    def test_odd_names(self) -> None:
        """A name holds no more than letters, digits, `_`, `-` and `.`, and ends after 64."""
        assert ["a_b_____"] == [each.policy for each in policies('"a b\\"{}\\\\~";r=1')]
        assert ["x" * 64] == [each.policy for each in policies(f'"{"x" * 1000}";r=1')]
        assert ["tok_en__1.2-3_"] == [each.policy for each in policies("tok/en:*1.2-3!;r=1")]

    def test_the_tightest_of_one_name(self) -> None:
        """Of one policy in several partitions, that with the least left counts."""
        found = policies('"a";r=7;t=1;pk=:YQ==:, "a";r=2;t=9;pk=:Yg==:, "b";r=5, "a";r=3')
        assert [("a", 2, 9), ("b", 5, None)] == [
            (each.policy, each.remaining, each.reset_seconds) for each in found
        ]

    def test_more_than_eight_policies(self) -> None:
        """Of many policies the eight tightest count."""
        header = ", ".join(f'"p{left}";r={left}' for left in reversed(range(20)))
        assert list(range(8)) == [each.remaining for each in policies(header)]

    @given(text_of(FIELD_PARTS), text_of(FIELD_PARTS))
    @settings(max_examples=300)
    def test_arbitrary_text(self, ratelimit: str, ratelimit_policy: str) -> None:
        """Whatever the headers hold, what comes of it is bounded, or they are malformed."""
        try:
            found = policies(ratelimit, ratelimit_policy)
        except MalformedHeader:
            return
        assert len(found) <= 8
        assert len({each.policy for each in found}) == len(found)
        for each in found:
            assert each.remaining >= 0
            assert each.limit is None or each.limit >= 1
            assert len(each.policy) <= 64


class TestRetryAfter:
    """What Retry-After tells."""

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
        """A number is seconds, from one to an hour."""
        assert expected == seconds(text)

    @pytest.mark.parametrize(
        ("until", "answered_at", "expected"),
        [
            ("Wed, 18 Nov 2026 12:02:00 GMT", None, 120),
            ("Wed, 18 Nov 2026 12:00:00 GMT", None, 1),
            ("Wed, 18 Nov 2026 11:00:00 GMT", None, 1),
            ("Thu, 19 Nov 2026 12:00:00 GMT", None, 3600),
            # This machine's clock is an hour behind, or ahead by a year: it does not matter.
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
        """A date is held against the answer's own, else against the clock."""
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
        """What is neither a number of seconds nor a date says nothing."""
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
        """A date with numbers that no clock has says nothing, as Retry-After and as Date."""
        assert seconds(text) is None
        assert seconds("Wed, 18 Nov 2026 12:02:00 GMT", text) == 120

    @given(text_of(DATE_PARTS), st.none() | text_of(DATE_PARTS))
    @example("Wed, 18 Nov 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2359")
    @settings(max_examples=300)
    def test_arbitrary_text(self, retry_after: str, date: str | None) -> None:
        """Whatever the headers hold, it is a time from a second to an hour, or nothing."""
        found = seconds(retry_after, date)
        assert found is None or 1 <= found <= 3600
