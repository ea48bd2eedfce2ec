"""``cluster/launch/places.yaml``: where a loop can be sent, what may be set there, and the files that say so, rendered.

A manifest below ``cluster/`` is valid as it stands. Rendering sets values at named keys and applies named overlays; it
never pastes text into text, so a value cannot become structure. Nothing is sent from here.

A key is a path: ``spec.workerGroupSpecs[0].replicas``; ``[a/b.c]`` is one name with any characters, ``{a,b}`` both of two
names, ``**`` any depth.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loopwright.errors import PlanError, UsageError

__all__ = ["Place", "Setting", "commands", "read_places", "render"]

FILE = "launch/places.yaml"
_PART = re.compile(r"\[(\d+)\]|\[([^\]]+)\]|\{([^}]+)\}|(\*\*)|([^.\[\]{}]+)")


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Setting(_Closed):
    """One value that a person may choose."""

    help: str
    at: list[str] = Field(min_length=1)
    """``file:key``; those of files that the place does not use are left alone."""
    times: int = 1
    """The value is given in larger units, for example hours for a key in seconds."""


class Change(_Closed):
    """One key of an overlay."""

    at: str
    value: Any


class Place(_Closed):
    """A launcher."""

    about: str
    needs: str | None = None
    """The program that takes the files."""
    files: list[str] = []
    settings: dict[str, Setting] = {}
    options: dict[str, str] = {}
    """Settings that are options of the command."""
    overlays: dict[str, list[Change]] = {}
    apply: list[list[str]] = []
    submit: Literal["ray-job"] | None = None
    """No files: the driver becomes a job of a running cluster."""


class _Places(_Closed):
    schema_: Literal[1] = Field(alias="schema")
    places: dict[str, Place]


def read_places(folder: Path) -> Mapping[str, Place]:
    """The places by name; PlanError says what in the file is wrong."""
    path = folder / FILE
    try:
        return _Places.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).places
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}", "put it back from the installation's template") from error
    except (yaml.YAMLError, ValidationError) as error:
        raise PlanError(f"{path}: {error}", "compare it with the one that ships") from error


def render(folder: Path, place: Place, values: Mapping[str, Any], overlays: Sequence[str]) -> dict[str, str]:
    """The place's files by name, with what was chosen set in them.

    Raises:
        UsageError: no such setting or overlay, or a key that the file does not have.
    """
    known = {*place.settings, *place.options}
    for name in values:
        if name not in known:
            raise UsageError(f"--set {name}: no such setting here", f"one of: {', '.join(sorted(known)) or 'none'}")
    for name in overlays:
        if name not in place.overlays:
            raise UsageError(f"--with {name}: no such overlay here", f"one of: {', '.join(place.overlays) or 'none'}")
    changes = [(change.at, change.value) for name in overlays for change in place.overlays[name]]
    for name, value in values.items():
        if name in place.settings:
            setting = place.settings[name]
            changes += [(at, value * setting.times if setting.times != 1 else value) for at in setting.at]
    return {
        name: _file(folder, name, [(key, value) for at, value in changes if (key := _for(at, name))]) for name in place.files
    }


def commands(place: Place, values: Mapping[str, Any], known: Mapping[str, Path]) -> list[list[str]]:
    """What to run, one list of arguments each; a word with blanks is a line for another machine's shell, in which paths are quoted.

    Args:
        place: where to.
        values: the settings.
        known: what ``{dir}`` (of the rendered files), ``{workspace}`` and ``{keys}`` (of the workspace) stand for.
    """
    options = [f"{place.options[name]}={value}" for name, value in values.items() if name in place.options]
    return [
        [word for part in command for word in (options if part == "{options}" else [_filled(part, known)])]
        for command in place.apply
    ]


def _filled(part: str, known: Mapping[str, Path]) -> str:
    for name, path in known.items():
        part = part.replace(f"{{{name}}}", shlex.quote(str(path)) if " " in part else str(path))
    return part


def _for(at: str, name: str) -> str | None:
    file, _, key = at.partition(":")
    return key if file == name else None


def _file(folder: Path, name: str, changes: Sequence[tuple[str, Any]]) -> str:
    path = folder / name
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}", "put it back from the installation's template") from error
    if not changes:
        return text
    documents = list(yaml.safe_load_all(text))
    for key, value in changes:
        parts = list(_parts(key))
        places = [found for document in documents for found in _find(document, parts)]
        if not places:
            raise UsageError(f"{path}: has no {key}", "put the key back, or leave the setting out")
        for parent, last in places:
            parent[last] = value
    return f"# cluster/{name}, as `loopwright launch` sent it\n" + yaml.safe_dump_all(documents, sort_keys=False, width=120)


def _parts(key: str) -> Iterator[tuple[str | int, ...]]:
    """Each step of a path as the names it may take."""
    for index, name, either, deep, plain in _PART.findall(key):
        if index:
            yield (int(index),)
        elif either:
            yield tuple(either.split(","))
        else:
            yield (name or deep or plain,)


def _find(node: Any, parts: Sequence[tuple[str | int, ...]]) -> Iterator[tuple[Any, str | int]]:
    """Where a path leads: the container and the key in it. The last name may be new; those before it may not."""
    step, *rest = parts
    if step == ("**",):
        yield from _deep(node, rest)
        return
    for name in step:
        here = isinstance(name, int) and isinstance(node, list) and name < len(node)
        here = here or (isinstance(name, str) and isinstance(node, dict) and (not rest or name in node))
        if here and rest:
            yield from _find(node[name], rest)
        elif here:
            yield node, name


def _deep(node: Any, rest: Sequence[tuple[str | int, ...]]) -> Iterator[tuple[Any, str | int]]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and any(name in node for name in rest[0]):
        yield from _find(node, rest)
    for child in children:
        yield from _deep(child, rest)
