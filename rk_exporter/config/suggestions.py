"""Suggestions for names that people have mistyped."""

import difflib
import re

from collections.abc import Collection, Iterable, Iterator, Mapping

from rk_exporter.runtime.printable import visible


_LONGEST_COMPARED = 40
# Other programs have variables with this prefix, so only an obvious typing mistake counts.
_SHARED_PREFIX, _SHARED_CUTOFF = "CLOUDFLARE_", 0.9
_OWN_PREFIX, _OWN_CUTOFF = "RK_", 0.6
# Kubernetes gives every container such variables for each service, e.g. RK_EXPORTER_PORT.
_SERVICE_LINK = re.compile(r".+_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_\w+)?)")


def unknown_option(
    name: str,
    here: Collection[str],
    elsewhere: Iterable[str] = (),
    called: Collection[str] = (),
) -> str:
    """
    Return the message about the unknown option *name*.

    *here* are the names at its place in the file, and *elsewhere* the paths of options that have
    this name. If the option has other names at its place, *called*, only they are suggested.
    """
    close = difflib.get_close_matches(name[:_LONGEST_COMPARED], here, n=1)
    if candidates := called or [*close, *elsewhere]:
        return f"unknown option; did you mean {' or '.join(candidates)}?"
    return f"unknown option; expected one of {', '.join(here)}"


def unknown_variables(environment: Mapping[str, str], known: Collection[str]) -> Iterator[str]:
    """Return a message about each variable that looks like one of the *known* ones, but is not."""
    for name in sorted(set(environment) - set(known)):
        is_own = name.startswith(_OWN_PREFIX)
        if _SERVICE_LINK.fullmatch(name) or not (is_own or name.startswith(_SHARED_PREFIX)):
            continue
        cutoff = _OWN_CUTOFF if is_own else _SHARED_CUTOFF
        close = difflib.get_close_matches(name[:_LONGEST_COMPARED], known, n=1, cutoff=cutoff)
        if close:
            yield f"unknown variable {visible(name)}; did you mean {close[0]}?"
        elif is_own:
            yield f"unknown variable {visible(name)}; it has no effect"
