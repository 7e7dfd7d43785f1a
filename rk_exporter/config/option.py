"""What an option is: everything that the command line, the file and the documentation derive."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

from rk_exporter.config.yaml_document import PlainValue


APP, API, SCRAPES, FOLLOWING, STATE, WEB, LOG = GROUPS = (
    "App and meetings",
    "API",
    "Scrapes",
    "Finished recordings",
    "State",
    "Web server",
    "Logging",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """
    One option; the annotation of a field in Config or AppOptions declares it.

    *path* is its key in the file, e.g. `scrape.stale_after`, and *path_in_app* its key in an entry
    of `apps`. *parse* gets text, a list, or a mapping, and raises ValueError. Without a *metavar*
    the option is a switch.
    """

    parse: Callable[[Any], Any]
    group: str
    help: str
    metavar: str | None = None
    default: str | None = None
    """As people type it."""
    example: str | None = None
    """What the documentation and messages show if there is no default."""
    path: str = ""
    path_in_app: str = ""
    is_inherited: bool = False
    """Whether apps without a value of their own get that of *path*."""
    is_list: bool = False
    is_file: bool = False
    """Whether the value is a path, relative to the file that contains it."""
    custom_flag: str = ""
    custom_variable: str = ""

    @property
    def flag(self) -> str:
        """Return the flag on the command line; empty if there is none."""
        return self.custom_flag or (self.path and f"--{self.path.replace('_', '-')}")

    @property
    def variable(self) -> str:
        """Return the environment variable; empty if there is none."""
        default = self.path and f"RK_{self.path.replace('.', '_').upper()}"
        return self.custom_variable or default

    @property
    def is_switch(self) -> bool:
        """Return whether the value is true or false, and the flag takes none."""
        return self.metavar is None

    @property
    def fallback(self) -> Any:  # noqa: ANN401 # as the value of any option
        """Return the value of an option that is not set."""
        if self.default is not None:
            return self.parse(self.default)
        return () if self.is_list else False if self.is_switch else None

    def check_shape(self, value: PlainValue) -> None:
        """Raise ValueError if *value* is not text where text is needed, or not a list."""
        if self.is_list:
            if not isinstance(value, list):
                raise ValueError(f"expected a list, e.g. {self.example}")
        elif not isinstance(value, str):
            expected = "true or false" if self.is_switch else "a single value"
            example = self.default or self.example
            raise ValueError(f"expected {expected}" + (f", e.g. {example}" if example else ""))


def options_of(declaring: type) -> dict[str, Option]:
    """Return the options that the fields of a dataclass declare, by the field's name."""
    return {
        field.name: option
        for field in fields(declaring)
        for option in getattr(field.type, "__metadata__", ())
    }


def in_groups(options: Iterable[Option]) -> tuple[Option, ...]:
    """Return the *options* sorted by subject, and in a subject as they are declared."""
    return tuple(sorted(options, key=lambda option: GROUPS.index(option.group)))
