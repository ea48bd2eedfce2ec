"""Which code and which environment did it: digests that go into phase keys and into a cycle's first entry.

A phase's code digest covers its own package, the sandbox and the plug-ins in use. The judge's covers everything that
decides what is accepted and promoted, so that a change of the judge shows before it can act.
"""

from __future__ import annotations

import functools
import importlib.util
from importlib.metadata import distributions, entry_points
from pathlib import Path

from loopwright.errors import PluginError
from loopwright.types import Digest, digest_bytes, digest_value

__all__ = ["GENERATOR", "JUDGE", "code_digest", "installed", "lock_digest", "package_digests", "plugin_package"]

GENERATOR = ("loopwright.generate", "loopwright.train", "loopwright.models")
"""Packages that make proposals and models."""
JUDGE = (
    "loopwright.verify",
    "loopwright.evaluate",
    "loopwright.gate",
    "loopwright.sandbox",
    "loopwright.domains",
    "loopwright.intervals",
)
"""Packages that decide what is accepted and promoted; the plan's domain is added to them."""


@functools.cache
def package_digest(package: str) -> Digest:
    """Digest over the Python sources of a package (or module) as they are installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        raise PluginError(f"the package {package} cannot be found", "pip install what provides it")
    if spec.submodule_search_locations:
        root = Path(next(iter(spec.submodule_search_locations)))
        files = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
    else:
        root = Path(str(spec.origin))
        files = {root.name: root}
    return digest_value({name: digest_bytes(path.read_bytes()) for name, path in sorted(files.items())})


def package_digests(packages: tuple[str, ...]) -> dict[str, Digest]:
    """Each package with its digest."""
    return {package: package_digest(package) for package in packages}


def code_digest(packages: tuple[str, ...]) -> Digest:
    """One digest over several packages; the order in which they are named does not matter."""
    return digest_value(package_digests(packages))


def plugin_package(group: str, name: str) -> str:
    """The package that holds a plug-in, for `code_digest`."""
    for entry in entry_points(group=f"loopwright.{group}", name=name):
        module = entry.value.partition(":")[0]
        return module.rpartition(".")[0] or module
    raise PluginError(f"no installed package provides the {group[:-1]} {name!r}", "pip install the package that provides it")


@functools.cache
def lock_digest() -> Digest:
    """Digest over names and versions of everything installed: the lock that is really in force."""
    return digest_value(sorted({f"{name}=={version}" for name, version in installed()}))


def installed() -> frozenset[tuple[str, str]]:
    """Name and version of everything installed."""
    return frozenset((found.name.lower(), found.version) for found in distributions())
