"""Verbs that make and move workspaces: init, demo, fork, config."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwright.cli.options import AsJson, Set, WorkspaceOption, emit, pairs
from loopwright.cli.people import PassphraseFile, passphrase

if TYPE_CHECKING:
    from loopwright.workspace import Workspace

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(init)
    app.command()(demo)
    app.command()(fork)
    config = typer.Typer(help="Look at the plan.", no_args_is_help=True, rich_markup_mode=None)
    config.command()(check)
    config.command()(schema)
    app.add_typer(config, name="config")


def init(
    directory: Annotated[Path, typer.Argument(help="A new or empty directory.")],
    settings: Set = None,
    person: Annotated[
        str | None, typer.Option(help="Name of the first person; asked at a terminal, nobody without one.")
    ] = None,
    ssh: Annotated[
        Path | None, typer.Option("--ssh", help="Their OpenSSH public key, instead of one behind a passphrase.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a workspace: plan, recipe, flows, git, DVC, keys, genesis, and the first person."""
    from loopwright.workspace import create

    chosen = {"name": _slug(directory), **pairs(settings)}
    made = create(directory, overrides=chosen)
    if person is None and sys.stdin.isatty() and sys.stderr.isatty():
        person = typer.prompt("your name (it stays out of the record)", default="", show_default=False, err=True) or None
    if person is not None:
        _first(made, person, ssh, passphrase_file)
    if as_json:
        emit({"schema_version": 1, "workspace": str(made.root)})
    else:
        sys.stdout.write(f"{directory} is a workspace. Next: cd {directory} && loopwright run\n")


def _first(workspace: Workspace, name: str, ssh: Path | None, secret: Path | None) -> None:
    """Enrol the first person, before anything is run."""
    from loopwright.govern.enrolment import enrol, new_key
    from loopwright.govern.requests import Desk
    from loopwright.store import git

    with Desk(workspace, passphrase(secret)) as desk:
        enrol(desk, name, (), new_key(name, passphrase(secret), ssh, None), None)
    git.commit(workspace.root, ("ledger",), "record: the first person")


def demo(
    directory: Annotated[Path, typer.Option("--directory", help="Where to make it, or where it is.")] = Path("demo"),
    cycles: Annotated[int | None, typer.Option(help="How many cycles; the plan's by default.")] = None,
    seed: Annotated[int, typer.Option(help="The plan's seed.")] = 0,
    settings: Set = None,
    as_json: AsJson = False,
) -> None:
    """Make a demonstration workspace and turn its loop; run it again to go on."""
    from loopwright.cli.demonstration import answer_profile
    from loopwright.cli.drive import drive
    from loopwright.workspace import Workspace, create

    if (directory / "loop.yaml").exists():
        workspace = Workspace(root=directory.resolve())
    else:
        workspace = create(directory, overrides={"name": "demo", "seed": seed, **pairs(settings)}, demo=True)
        answer_profile(workspace)
    drive(workspace, cycles=None, until=cycles, until_promoted=False, as_json=as_json)


def fork(
    cycle: Annotated[str, typer.Argument(help="A finished cycle, for example c0003.")],
    directory: Annotated[Path, typer.Option("--directory", help="Where to make the fork.")],
    settings: Set = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """A new loop that goes on from the end of a cycle under a changed plan; control arms are forks."""
    from loopwright.workspace import find
    from loopwright.workspace import fork as make

    made = make(find(workspace), cycle, directory, {"name": _slug(directory), **pairs(settings)})
    if as_json:
        emit({"schema_version": 1, "workspace": str(made.root), "forked_from": cycle})
    else:
        sys.stdout.write(f"{directory} goes on from {cycle}. Next: cd {directory} && loopwright run --cycles 1\n")


def check(workspace: WorkspaceOption = Path(), as_json: AsJson = False) -> None:
    """Check loop.yaml, recipe.yaml and the prompts in use; print what they resolve to with --json."""
    from loopwright.planfile import load_plan, parse_recipes
    from loopwright.plugins import load_domain, load_family
    from loopwright.prompts import generator_prompts, judge_prompts

    folder = workspace if (workspace / "loop.yaml").exists() else _root(workspace)
    plan = load_plan(folder / "loop.yaml")
    parse_recipes((folder / "recipe.yaml").read_text(encoding="utf-8"))
    load_domain(plan.domain.name, plan.domain.settings, folder)
    load_family(plan.model.name, plan.model.settings)
    generator_prompts(folder, plan)
    judge_prompts(folder, plan)
    if as_json:
        emit({"schema_version": 1, "digest": plan.digest, "plan": plan.model_dump(mode="json")})
    else:
        sys.stdout.write(f"loop.yaml and recipe.yaml are fine: {plan.digest}\n")


def schema() -> None:
    """Print the plan's JSON Schema."""
    from loopwright.planfile import plan_schema

    emit(plan_schema())


def _root(start: Path) -> Path:
    from loopwright.workspace import find

    return find(start).root


def _slug(directory: Path) -> str:
    name = "".join(letter if letter.isalnum() else "-" for letter in directory.resolve().name.lower()).strip("-")
    return name or "lab"
