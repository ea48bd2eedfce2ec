"""Verbs about model folders: look at one, convert one from pickles, write a recorded model as a whole one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit

__all__ = ["register"]

Folder = Annotated[Path, typer.Argument(help="A folder in Hugging Face's format.")]
Target = Annotated[Path, typer.Argument(help="A new folder.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(inspect_model)
    app.command()(convert_model)
    app.command()(merge_model)


def inspect_model(folder: Folder, as_json: AsJson = False) -> None:
    """Say whether a folder can be a plan's base model, and its digest. Reads it whole; runs and fetches nothing."""
    from loopwright.models.causal_inspect import inspect

    told = inspect(folder.resolve())
    if as_json:
        emit(told)
        return
    sys.stdout.write(
        "".join(f"{name.replace('_', ' '):<14}{value}\n" for name, value in told.items() if name != "schema_version")
    )


def convert_model(
    source: Annotated[Path, typer.Argument(help="A folder with pickled weights, or a GGUF file.")],
    target: Target,
    as_json: AsJson = False,
) -> None:
    """Write a model anew with safetensors: from pickles, which are read in the sandbox and never run, or from a GGUF file."""
    if source.suffix == ".gguf":
        from loopwright.models.gguf import convert_gguf as convert
    else:
        from loopwright.models.convert import convert_folder as convert
    told = convert(source.resolve(), target.resolve())
    if as_json:
        emit(told)
        return
    for name, found in told["files"].items():
        sys.stdout.write(f"{name}  {found['tensors']} tensors, {found['bytes']:,} bytes\n")
    sys.stdout.write(f"{told['folder']} {told['digest']}\n")
    if told["isolation"] != "data":
        sys.stderr.write(f"the pickles were read at isolation {told['isolation']} by a reader that calls nothing\n")


def merge_model(
    cycle: Annotated[str, typer.Argument(help="A cycle whose model is on the record, such as c0003.")],
    target: Target,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Write a cycle's model, checked against the record, as a whole folder that other tools load."""
    from loopwright.errors import UsageError
    from loopwright.plugins import Merges, load_family
    from loopwright.store.artifacts import check
    from loopwright.workspace import find

    found = find(workspace)
    record = found.state().cycles.get(cycle)
    model = record.artifact("model") if record else None
    plan = found.plan()
    family = load_family(plan.model.name, plan.model.settings)
    if model is None:
        raise UsageError(f"{cycle} has no model on the record", "`loopwright status` names the cycles")
    if not isinstance(family, Merges):
        raise UsageError(f"models of {plan.model.name} are whole as they are", f"use cycles/{cycle}/model")
    if target.exists():
        raise UsageError(f"{target} exists already", "name a new folder")
    check(found.root, model)
    family.merge(found.root / model.path, target.resolve())
    sys.stdout.write(f"{target}\n")
