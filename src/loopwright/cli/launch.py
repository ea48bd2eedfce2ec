"""`loopwright launch`: send the loop's driver to where it shall run. Every place runs the same `loopwright run`."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit, pairs
from loopwright.errors import InfraError, PlanError, UsageError

if TYPE_CHECKING:
    from loopwright.runtime.places import Place
    from loopwright.workspace import Workspace

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(launch)


def launch(
    place: Annotated[str | None, typer.Option("--on", help="Where: local, ray, kuberay, slurm, sky, vm-aws, ...")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE, for example workers=8.")] = None,
    overlays: Annotated[list[str] | None, typer.Option("--with", help="A named set of changes, for example gpu.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Print what would be sent, checked; send nothing.")] = False,
    address: Annotated[str | None, typer.Option(help="With --on ray: the cluster's dashboard, http://HOST:8265.")] = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Render a launcher's files, check them offline and hand them over. A requeue or a second launch does no harm."""
    from loopwright.ledger.keys import key_folder
    from loopwright.runtime.places import commands, read_places, render
    from loopwright.workspace import find, template

    found = find(workspace)
    folder = found.root / "cluster" if (found.root / "cluster" / "launch").is_dir() else template("cluster")
    places = read_places(folder)
    if place is None:
        _list(places, as_json=as_json)
        return
    if place not in places:
        raise UsageError(f"there is no place {place!r}", f"one of: {', '.join(places)}")
    chosen, values = places[place], pairs(settings)
    if place != "local":
        _shared(found, strict=not dry_run)
    if chosen.submit:
        _submit(found, address, dry_run=dry_run, as_json=as_json)
        return
    directory = found.root / "build" / "launch" / place
    rendered = render(folder, chosen, values, overlays or [])
    _check(directory, rendered, folder)
    known = {"dir": directory, "workspace": found.root, "keys": key_folder(found.state().workspace)}
    lines = commands(chosen, values, known)
    if not dry_run:
        _apply(chosen, lines)
    _tell(place, directory, rendered, lines, dry_run=dry_run, as_json=as_json)


def _list(places: Mapping[str, Place], *, as_json: bool) -> None:
    if as_json:
        told = {name: place.model_dump(include={"about", "settings", "options", "overlays"}) for name, place in places.items()}
        emit({"schema_version": 1, "places": told})
        return
    for name, place in places.items():
        names = ", ".join([*place.settings, *place.options])
        more = f"  --set {names}" if names else ""
        more += f"  --with {', '.join(place.overlays)}" if place.overlays else ""
        sys.stdout.write(f"{name:<16} {place.about}\n" + (f"{'':<16}{more}\n" if more else ""))


def _shared(workspace: Workspace, *, strict: bool) -> None:
    """A driver elsewhere joins a cluster, and its record is where the next one finds it; said before anything is sent."""
    from loopwright.runtime.profile import load_profile
    from loopwright.session import reachable

    plan = workspace.plan()
    try:
        if load_profile(workspace.root, plan.runtime.profile).address == "local":
            raise PlanError(
                f"loop.yaml: runtime.profile: saw {plan.runtime.profile}; allowed here: one that joins a cluster",
                "runtime: {profile: cluster/ray.yaml}",
            )
        reachable(plan, workspace.root)
    except PlanError as error:
        if strict:
            raise
        sys.stderr.write(f"warning: {error.message}\n  next: {error.next_step}\n")


def _check(directory: Path, rendered: Mapping[str, str], folder: Path) -> None:
    """Write the files where a person finds them, and refuse what no launcher would take."""
    from loopwright.runtime.manifests import require_file

    for name, text in rendered.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name in rendered:
        require_file(directory / name, name, folder / "schemas")


def _apply(place: Place, lines: Sequence[Sequence[str]]) -> None:
    if place.needs and _program(place.needs) is None:
        raise InfraError(f"{place.needs} is not installed here", "install it, or take the files that --dry-run names elsewhere")
    for line in lines:
        sys.stderr.write(f"$ {shlex.join(line)}\n")
        words = [sys.executable, "-m", "loopwright"] if line[0] == "loopwright" else [_program(line[0]) or line[0]]
        code = subprocess.run([*words, *line[1:]], check=False).returncode
        if code and line[0] == "loopwright":
            sys.exit(code)
        if code:
            raise InfraError(f"{line[0]} ended with code {code}", "mend what it says; launching again does no harm")


def _program(name: str) -> str | None:
    """On the path, or beside this interpreter, where it is that of an environment that is not activated."""
    return shutil.which(name) or shutil.which(name, path=Path(sys.executable).parent)


def _submit(workspace: Workspace, address: str | None, *, dry_run: bool, as_json: bool) -> None:
    from loopwright.runtime.ray_jobs import driver_command, submit

    state = workspace.state()
    cycle = state.open or f"c{len(state.cycles):04d}"
    name = f"{state.name}-{cycle}"
    command = driver_command(workspace.root)
    told: dict[str, Any] = {"schema_version": 1, "job": f"{name}-…", "command": command, "sent": False}
    if not dry_run:
        job, attached = submit(address, name, command)
        told |= {"job": job, "sent": True, "attached": attached}
    if as_json:
        emit(told)
    elif dry_run:
        sys.stdout.write(f"job {told['job']}: {command}\n")
    else:
        said = "runs already" if told["attached"] else "submitted"
        sys.stdout.write(
            f"{told['job']} {said}; `ray job logs --follow {told['job']}` shows it, `loopwright status` what it did\n"
        )


def _tell(
    place: str, directory: Path, rendered: Mapping[str, str], lines: Sequence[Sequence[str]], *, dry_run: bool, as_json: bool
) -> None:
    if as_json:
        files = {name: str(directory / name) for name in rendered}
        emit(
            {
                "schema_version": 1,
                "place": place,
                "sent": not dry_run,
                "files": files,
                "commands": [list(line) for line in lines],
            }
        )
    elif dry_run:
        sys.stdout.write("---\n".join(rendered.values()))
        for line in lines:
            sys.stderr.write(f"would run: {shlex.join(line)}\n")
    else:
        sys.stdout.write(f"sent to {place}; the files lie in {directory}\n")
