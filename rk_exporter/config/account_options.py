"""The options of one account whose apps are found through the API, each declared once."""

import re
import warnings

from dataclasses import dataclass

from rk_exporter.config import parsers
from rk_exporter.config.app_options import APP_OPTIONS
from rk_exporter.config.option import Option, declare, options_of


_LONGEST_PATTERN = 200
# Python's regular expressions try all ways to match. These bounds keep the time short for any name.
_ESCAPES_AND_CLASSES = re.compile(r"\\.|\[\^?\]?[^]]*\]", re.DOTALL)
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_REPETITION = re.compile(r"[*+{]")
_MOST_REPETITIONS = 3


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
    simplified = _ESCAPES_AND_CLASSES.sub("x", text)
    if _REPEATED_GROUP.search(simplified):
        raise ValueError(
            "a repeated group, e.g. (ab)*, could take too long; write the expression without one"
        )
    if any(len(_REPETITION.findall(part)) > _MOST_REPETITIONS for part in simplified.split("|")):
        raise ValueError(
            f"more than {_MOST_REPETITIONS} repetitions (*, +, {{) could take too long; use fewer"
        )
    return pattern


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
