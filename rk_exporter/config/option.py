"""Options: the source of the command line, the file format and the documentation."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from rk_exporter.config.ranges import Range
from rk_exporter.config.yaml_document import PlainValue


_APP_GROUP = "App and meetings"
_LIST_HELP = "Repeatable; in the variable, separate with commas or spaces."
_GROUPS = {
    "meetings": _APP_GROUP,
    "api": "API",
    "scrape": "Scrapes",
    "follow": "Finished recordings",
    "downloads": "Downloads",
    "downloads.archive": "Copies in your own bucket",
    "shard": "Several exporters",
    "state": "State",
    "web": "Web server",
    "webhook": "Webhooks",
    "log": "Logging",
}


@dataclass(frozen=True, slots=True)
class Option:
    """
    One option; a field of Config or AppOptions declares it.

    *path* is its key in the file, e.g. `scrape.stale_after`, and *path_in_app* its key in an entry
    of `apps`. *parse* gets text or a list, and raises ValueError. Without a *metavar* the option is
    a switch.
    """

    path: str
    parse: Callable[[Any], Any]
    metavar: str | None = None
    default: str | None = None
    """As people type it."""
    example: str | None = None
    """Shown in the documentation and in messages if there is no default."""
    path_in_app: str = ""
    is_list: bool = False
    is_mapping: bool = False
    allows_text: bool = False
    """Whether the file may have a single text in place of a list."""
    is_file: bool = False
    """Whether the value is a path, relative to the file that contains it."""
    is_fixed: bool = False
    """Whether the value cannot change while the exporter runs."""
    custom_flag: str = ""
    custom_variable: str = ""
    help: str = ""

    @property
    def flag(self) -> str:
        """Return the flag on the command line; empty if there is none."""
        return self.custom_flag or (self.path and f"--{self.path.replace('_', '-')}")

    @property
    def variable(self) -> str:
        """Return the environment variable; empty if there is none."""
        derived = self.path and f"RK_{self.path.replace('.', '_').upper()}"
        return self.custom_variable or derived

    @property
    def is_inherited(self) -> bool:
        """Return whether apps without a value of their own get that of *path*."""
        return self.path == "account_id" or self.path.startswith(("api.", "downloads."))

    @property
    def flag_help(self) -> str:
        """Return the help for the command line."""
        list_help = _LIST_HELP if self.is_list else ""
        return " ".join(filter(None, (self.help, list_help, self.range_help)))

    @property
    def range_help(self) -> str:
        """Return the range of the values as a sentence; empty if there is none."""
        return f"Range: {self.parse.text}." if isinstance(self.parse, Range) else ""

    @property
    def group(self) -> str:
        """Return the subject of the option."""
        subject, _, name = self.path.rpartition(".")
        return _GROUPS.get(subject or name, _APP_GROUP)

    @property
    def is_switch(self) -> bool:
        """Return whether the value is true or false, and the flag takes none."""
        return self.metavar is None

    @property
    def fallback(self) -> Any:  # noqa: ANN401 # as the value of any option
        """Return the value of an option that is not set."""
        if self.default is not None:
            return self.parse(self.default)
        if self.is_mapping:
            return self.parse({})
        return () if self.is_list else False if self.is_switch else None

    def check_shape(self, value: PlainValue) -> None:
        """Raise ValueError if *value* is not text where text is needed, or not a list."""
        if isinstance(value, dict if self.is_mapping else list if self.is_list else str):
            return
        if self.is_mapping:
            raise ValueError(f"expected a mapping, e.g. {self.example}")
        if self.allows_text and isinstance(value, str):
            return
        if self.is_list:
            raise ValueError(f"expected a list, e.g. {self.example}")
        if self.is_switch:
            raise ValueError("must be true or false")
        raise ValueError(f"expected a single value, e.g. {self.default or self.example}")


def declare(description: str, option: Option) -> Any:  # noqa: ANN401 # as dataclasses.field
    """Return a dataclass field for the value of *option*, with *description* as its help."""
    return field(metadata={"option": replace(option, help=description)})


def options_of(declaring: type) -> dict[str, Option]:
    """Return the options that the fields of a dataclass declare, by the field's name."""
    declared = {item.name: item.metadata.get("option") for item in fields(declaring)}
    return {name: option for name, option in declared.items() if option}


def in_groups(options: Iterable[Option]) -> tuple[Option, ...]:
    """Return the *options* sorted by subject, and within a subject as they are declared."""
    order = list(_GROUPS.values())
    return tuple(sorted(options, key=lambda option: order.index(option.group)))
