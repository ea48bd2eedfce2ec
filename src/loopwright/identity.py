"""Which code and which environment did it: digests that go into phase keys and into a cycle's first entry.

A phase's code digest covers its own package, the sandbox and the plug-ins in use. The judge's covers everything that
decides what is accepted and promoted, so that a change of the judge shows before it can act.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from importlib.metadata import distributions, entry_points
from pathlib import Path, PurePosixPath
from typing import Any

from loopwright.errors import PlanError, PluginError
from loopwright.types import Digest, digest_bytes, digest_value

__all__ = [
    "GENERATOR",
    "JUDGE",
    "code_digest",
    "domain_files",
    "installed",
    "judge_digest",
    "lock_digest",
    "package_digests",
    "plugin_package",
    "settled",
]

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


@functools.cache
def plugin_package(group: str, name: str) -> str:
    """The package that holds a plug-in, for `code_digest`. Looked up once: what is installed does not change under a process."""
    for entry in entry_points(group=f"loopwright.{group}", name=name):
        module = entry.value.partition(":")[0]
        return module.rpartition(".")[0] or module
    raise PluginError(f"no installed package provides the {group[:-1]} {name!r}", "pip install the package that provides it")


def settled(settings: Mapping[str, Any], root: Path | None) -> dict[str, Any]:
    """A plug-in's settings with ``path``, where they have it, as a place on this machine: it names a file or folder of the workspace.

    Raises:
        PlanError: it is no path within the workspace, or nothing is there.
    """
    said = settings.get("path")
    if root is None or not isinstance(said, str):
        return dict(settings)
    pure = PurePosixPath(said)
    if pure.is_absolute() or ".." in pure.parts:
        raise PlanError(
            f"loop.yaml: the domain's path is {said!r}, which is not within the workspace",
            "copy what it names into the workspace, so that git keeps it with every cycle, and give its relative path",
        )
    if not (root / pure).exists():
        raise PlanError(f"loop.yaml: the domain's path is {said!r}, and nothing is there", f"put it at {root / pure}")
    return {**settings, "path": str(root / pure)}


def domain_files(settings: Mapping[str, Any], root: Path) -> dict[str, Digest]:
    """What a domain reads from the workspace (its setting ``path``) with a digest: it judges, as the domain's own code does."""
    place = Path(settled(settings, root).get("path") or "") if isinstance(settings.get("path"), str) else None
    if place is None:
        return {}
    paths = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file() and _counts(path, place)]
    files = {path.relative_to(place.parent).as_posix(): digest_bytes(path.read_bytes()) for path in sorted(paths)}
    return {f"path {settings['path']}": digest_value(files)}


def _counts(path: Path, place: Path) -> bool:
    """Neither hidden nor what Python leaves behind."""
    return not any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(place).parts)


def judge_digest(domain: str, settings: Mapping[str, Any], root: Path) -> Digest:
    """One digest over everything that decides what is accepted and promoted: packages, the domain's, and the files that it names."""
    return digest_value({**package_digests((*JUDGE, plugin_package("domains", domain))), **domain_files(settings, root)})


@functools.cache
def lock_digest() -> Digest:
    """Digest over names and versions of everything installed: the lock that is really in force."""
    return digest_value(sorted({f"{name}=={version}" for name, version in installed()}))


def installed() -> frozenset[tuple[str, str]]:
    """Name and version of everything installed."""
    return frozenset((found.name.lower(), found.version) for found in distributions())
