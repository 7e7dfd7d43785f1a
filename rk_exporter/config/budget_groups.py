"""Warnings about budget groups that contradict the tokens of their apps."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from rk_exporter.config.accounts import AccountConfig
from rk_exporter.config.apps import AppConfig
from rk_exporter.model.secret import Secret
from rk_exporter.runtime.printable import names_text


def divided_tokens(entries: Iterable[AppConfig | AccountConfig]) -> Iterator[str]:
    """
    Return a warning for each token that is used in several budget groups.

    Cloudflare counts all calls of a token's user, but each group has a budget of its own.
    """
    users = defaultdict[Secret, dict[str | None, str]](dict)
    for entry in entries:
        groups = users[entry.token.current()]
        groups.setdefault(entry.budget_group, _described(entry))
    for groups in users.values():
        if len(groups) > 1:
            yield divided_token([*groups.values()])


def divided_token(users: Sequence[str]) -> str:
    """Return the warning about *users* of one token, each in another group."""
    return (
        f"one API token is in several budget groups: {names_text(users)}; give all of its apps the "
        "same budget_group, because Cloudflare counts their calls together"
    )


def _described(entry: AppConfig | AccountConfig) -> str:
    """Return what an entry is, and its group."""
    if isinstance(entry, AppConfig):
        what = f"app {entry.app.name}"
    else:
        what = f"account {entry.account.name}"
    group = f"budget_group {entry.budget_group}" if entry.budget_group else "no budget_group"
    return f"{what} ({group})"
