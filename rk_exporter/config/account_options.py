"""The options of one account whose apps are found through the API, each declared once."""

import re
import warnings

from collections.abc import Iterator
from dataclasses import dataclass

from rk_exporter.config import parsers
from rk_exporter.config.app_options import APP_OPTIONS
from rk_exporter.config.option import Option, declare, options_of


_LONGEST_PATTERN = 200
# Python's regular expressions try all ways to match. These bounds keep the time short for any name.
_ESCAPES_AND_CLASSES = re.compile(r"\\.|\[\^?\]?(?:\\.|[^]\\])*\]", re.DOTALL)
_VERBOSE = re.compile(r"\(\?[a-zA-Z]*x")
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_REPETITIONS = "*+{"
_MOST_REPETITIONS = 3
# By the number of repetitions: each multiplies the ways by about the length of the name.
_MOST_CHOICES = (10_000, 10_000, 1_000, 10)


def parse_pattern(text: str) -> re.Pattern[str]:
    """Return a regular expression for a whole name; as in Prometheus, it is anchored."""
    if len(text) > _LONGEST_PATTERN:
        raise ValueError(
            f"a regular expression must have at most {_LONGEST_PATTERN} characters, and this has "
            f"{len(text)}; write a shorter one, or several accounts"
        )
    try:
        with warnings.catch_warnings():
            # About syntax whose meaning may change, e.g. [[.
            warnings.simplefilter("error", FutureWarning)
            pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError, FutureWarning) as error:
        raise ValueError(f"invalid regular expression ({error}); write e.g. prod-.*") from None
    if problem := _problem(text):
        raise ValueError(problem)
    return pattern


def _problem(text: str) -> str | None:
    """Return why an expression may take too long, and what to do; None if it cannot."""
    if _VERBOSE.search(text):
        return "the flag x is not supported; write the expression without white space and comments"
    # A question mark that begins the syntax of a group is no choice.
    simplified = _ESCAPES_AND_CLASSES.sub("x", text).replace("(?", "(")
    if _REPEATED_GROUP.search(simplified):
        return "a repeated group, e.g. (ab)*, could take too long; write the expression without one"
    for repetitions, choices in _ways(simplified):
        if repetitions > _MOST_REPETITIONS:
            return (
                f"more than {_MOST_REPETITIONS} repetitions (*, +, {{) could take too long; use "
                "fewer"
            )
        if choices > _MOST_CHOICES[repetitions]:
            return "so many choices (?, and | in groups) could take too long; use fewer"
    return None


def _ways(simplified: str) -> Iterator[tuple[int, int]]:
    """
    Return how many repetitions and choices each alternative of an expression has.

    The choices are how many ways there are through optional parts and groups, or more.
    """
    repetitions, choices = 0, 1
    groups: list[int] = []
    for character in simplified:
        if character == "|" and not groups:
            yield repetitions, choices
            repetitions, choices = 0, 1
        elif character == "|":
            groups[-1] += 1
        elif character == "(":
            groups.append(1)
        elif character == ")" and groups:
            choices *= groups.pop()
        elif character == "?":
            choices *= 2
        elif character in _REPETITIONS:
            repetitions += 1
    yield repetitions, choices


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AccountOptions:
    """The options of an entry of `accounts` that an entry of `apps` does not have."""

    name: str | None = declare(
        "Value of the label `rk_account`; without it, the account's id.",
        Option("", parsers.parse_app_name, "NAME", example="acme", path_in_app="name"),
    )
    include: re.Pattern[str] | None = declare(
        "Regular expression for the whole name or id of the apps to read; all apps if not set.",
        Option("", parse_pattern, "REGEX", example='"prod-.*"', path_in_app="apps.include"),
    )
    exclude: re.Pattern[str] | None = declare(
        "Regular expression for the whole name or id of apps to leave out.",
        Option("", parse_pattern, "REGEX", example='".*-test"', path_in_app="apps.exclude"),
    )


SHARED_OPTIONS = {
    name: option
    for name, option in APP_OPTIONS.items()
    if option.is_inherited or name in {"token_variable", "budget_group"}
}
"""The options of an entry of `apps` that all apps of an account can share."""
ACCOUNT_OPTIONS = {**options_of(AccountOptions), **SHARED_OPTIONS}
"""All options of an entry of `accounts`."""
