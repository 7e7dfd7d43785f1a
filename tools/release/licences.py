"""The packages that the exporter needs at runtime, and their licences."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


_PROJECT = "rk-exporter"
# The interpreter decides which packages are installed; the list is for all supported ones.
_ENVIRONMENTS = tuple(
    {"python_version": version, "python_full_version": f"{version}.0", "sys_platform": "linux"}
    for version in ("3.11", "3.12", "3.13")
)
_UNKNOWN = "unknown"
# For packages that have no expression: jinja2, and python-dateutil, whose texts are both these.
_CLASSIFIERS = {
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
}


@dataclass(frozen=True, slots=True)
class Package:
    """A package with its licence as an SPDX expression, and the *extras* that need it, if any."""

    name: str
    licence: str
    summary: str
    extras: tuple[str, ...] = ()


def runtime_packages() -> list[Package]:
    """Return the packages that a user gets with all extras, by name."""
    always = _needed()
    found = {name: _package(name) for name in always}
    for extra in sorted(metadata.metadata(_PROJECT).get_all("Provides-Extra") or ()):
        for name in _needed(extra) - always:
            package = found.get(name) or _package(name)
            found[name] = replace(package, extras=(*package.extras, extra))
    return [found[name] for name in sorted(found)]


def _needed(extra: str = "") -> set[str]:
    """Return the packages that a user gets who installs the exporter with one extra, or none."""
    found: set[str] = set()
    waiting = [*_needs(_PROJECT, extra)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _needs(name)
    return found


def _needs(name: str, extra: str = "") -> Iterator[str]:
    """Return the packages that a package needs on Linux, with one of its extras or with none."""
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(
            marker.evaluate({**environment, "extra": extra}) for environment in _ENVIRONMENTS
        ):
            yield canonicalize_name(requirement.name)


def _package(name: str) -> Package:
    entries = metadata.metadata(name)
    return Package(name, _licence(entries), entries["Summary"] or "")


def _licence(entries: metadata.PackageMetadata) -> str:
    """Return the licence as an expression of SPDX, from the new field or from the old one."""
    for field in ("License-Expression", "License"):
        try:
            return canonicalize_license_expression(entries[field] or "")
        except InvalidLicenseExpression:
            continue
    classifiers = entries.get_all("Classifier") or []
    return next((_CLASSIFIERS[text] for text in classifiers if text in _CLASSIFIERS), _UNKNOWN)
