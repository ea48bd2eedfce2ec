"""A workspace on disk: found, made, forked. Also where the files that a workspace starts from are.

A workspace is a git and DVC repository that holds one loop. What it starts from (plan, recipe, flows, cluster profiles,
``dvc.yaml``) is copied into it, so that a lab can edit its own; the copies' digests are on the record.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import sys
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright.errors import WorkspaceError
from loopwright.ledger import Ledger
from loopwright.ledger.fold import LoopState, fold
from loopwright.ledger.history import past
from loopwright.ledger.lean import lean
from loopwright.ledger.taint import refuse
from loopwright.plan import Plan
from loopwright.planfile import load_plan, parse_recipes
from loopwright.store import git
from loopwright.store.tables import content_id
from loopwright.types import Digest, canonical

__all__ = ["Workspace", "begin_again", "commit_of", "create", "find", "fork", "load_flow", "template"]

COPIES = ("loop.yaml", "recipe.yaml", "envelope.yaml", "recipes", "sources", "flows", "cluster", "dvc.yaml", "cycles.yaml")
_PACKAGE = Path(__file__).parent
_REPOSITORY = _PACKAGE.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A loop's folder."""

    root: Path

    def plan(self, overrides: tuple[str, ...] = ()) -> Plan:
        """The plan as it stands on disk now; PlanError where it says what it may not."""
        return load_plan(self.root / "loop.yaml", overrides)

    def ledger(self) -> Ledger:
        """The loop's ledger; works without any private key until something is signed."""
        return Ledger.open(self.root)

    def state(self) -> LoopState:
        """Where the loop stands, by the record."""
        ledger = self.ledger()
        try:
            return fold(lean(ledger.statements()))
        finally:
            ledger.close()

    @property
    def private(self) -> Path:
        """State database, locks, logs, scratch: never in git."""
        return self.root / ".loopwright"


def find(start: Path) -> Workspace:
    """The workspace that ``start`` is in; WorkspaceError where it is in none."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / "loop.yaml").is_file() and (folder / "ledger").is_dir():
            return Workspace(root=folder)
    raise WorkspaceError(f"{start} is in no workspace", "`loopwright init DIRECTORY` makes one, or give --workspace DIRECTORY")


def template(name: str) -> Path:
    """A file or folder that workspaces start from: in the wheel, or beside the sources."""
    for place in (_PACKAGE / "_template" / name, _REPOSITORY / name):
        if place.exists():
            return place
    raise WorkspaceError(f"the installation lacks its template {name}", "install loopwright again")


def create(directory: Path, *, overrides: Mapping[str, Any] | None = None, demo: bool = False) -> Workspace:
    """Make a workspace: copies, git, DVC with a local remote, keys, genesis, first commit.

    Args:
        directory: Must be missing or empty.
        overrides: Top-level and dotted keys of the plan to set, for example ``{"name": "demo", "seed": 3}``.
        demo: Sign as demonstration principals, which are accepted nowhere else.
    """
    if directory.exists() and any(directory.iterdir()):
        raise WorkspaceError(
            f"{directory} is not empty", "choose a new directory; an existing workspace goes on by `loopwright run`"
        )
    directory.mkdir(parents=True, exist_ok=True)
    root = directory.resolve()
    for name in COPIES:
        _copy(template(name), root / name)
    set_plan(root, overrides or {})
    plan = load_plan(root / "loop.yaml")
    parse_recipes((root / "recipe.yaml").read_text(encoding="utf-8"))
    _found(root, plan, demo, None)
    return Workspace(root=root)


def fork(origin: Workspace, cycle: str, directory: Path, overrides: Mapping[str, Any]) -> Workspace:
    """A new loop that goes on from the end of a cycle of this one, under a changed plan. Control arms are forks.

    Data and models are shared with the origin's DVC cache by links; the past is on the new ledger's first entries, with
    the digests that the origin signed.
    """
    state = origin.state()
    record = state.cycles.get(cycle)
    if record is None or record.closed_at is None:
        known = ", ".join(name for name, each in state.cycles.items() if each.closed_at) or "none"
        raise WorkspaceError(f"{cycle} is no finished cycle of {origin.root.name} (finished: {known})", "`loopwright status`")
    if directory.exists() and any(directory.iterdir()):
        raise WorkspaceError(f"{directory} is not empty", "choose a new directory")
    refuse(state, record.champion_after, cycle, f"a fork of {cycle}")
    commit = commit_of(origin, state, cycle)
    git.clone(origin.root, directory, commit)
    root = directory.resolve()
    shutil.rmtree(root / "ledger")
    set_plan(root, overrides)
    from loopwright.store.dvc import DvcStore  # slow to import, and only here

    store = DvcStore.share(root, origin.root, root / ".loopwright" / "remote")
    store.checkout()
    store.close()
    ancestry = {"workspace": state.workspace, "cycle": cycle, "commit": commit}
    _found(root, load_plan(root / "loop.yaml"), state.demo, ancestry, past(state, cycle))
    return Workspace(root=root)


def begin_again(
    origin: Workspace, directory: Path, overrides: Mapping[str, Any], without: Collection[str], rows: Collection[str]
) -> Workspace:
    """A new loop from the files that ``origin`` began with, without some of its human data, and with no past.

    Files ``without`` are gone, and so are lines that say what ``rows`` (`content_id`) do: no copy of the origin's history comes
    along, since what has to be removed would be in it.
    """
    state = origin.state()
    if directory.exists() and any(directory.iterdir()):
        raise WorkspaceError(f"{directory} is not empty", "choose a new directory")
    git.clone(origin.root, directory, state.cycles["c0000"].commit)
    root = directory.resolve()
    for name in (".git", ".dvc", "ledger"):
        shutil.rmtree(root / name)
    for path in without:
        (root / path).unlink(missing_ok=True)
    for path in sorted((root / "sources").rglob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if _said(line) not in rows), encoding="utf-8")
    set_plan(root, overrides)
    _found(root, load_plan(root / "loop.yaml"), state.demo, None)
    return Workspace(root=root)


def _said(line: str) -> str | None:
    """What a line of a source says, or None where it is no row."""
    try:
        found = json.loads(line)
        return content_id(found["prompt"], found["answer"])
    except (ValueError, KeyError, TypeError):
        return None


def load_flow(root: Path) -> Callable[[Any, int], None]:
    """``flows/loop.py`` of the workspace: a lab's own copy decides the order of its work."""
    folder = root / "flows"
    spec = importlib.util.spec_from_file_location("flows", folder / "__init__.py", submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None or not (folder / "loop.py").is_file():
        raise WorkspaceError("flows/loop.py is missing", "`git checkout flows` brings it back")
    for name in [name for name in sys.modules if name == "flows" or name.startswith("flows.")]:
        del sys.modules[name]
    package = importlib.util.module_from_spec(spec)
    sys.modules["flows"] = package
    spec.loader.exec_module(package)
    return importlib.import_module("flows.loop").loop


def set_plan(root: Path, overrides: Mapping[str, Any]) -> None:
    """Set dotted keys in ``loop.yaml``, keeping its comments."""
    if not overrides:
        return
    from ruamel.yaml import YAML  # only where a plan is written

    path = root / "loop.yaml"
    yaml = YAML()
    yaml.width = 120
    data = yaml.load(path) or {}
    for key, value in overrides.items():
        *parents, last = key.split(".")
        section = data
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
    yaml.dump(data, path)


def _found(root: Path, plan: Plan, demo: bool, forked_from: dict[str, Any] | None, told: Iterable[dict[str, Any]] = ()) -> None:
    from loopwright.store.dvc import DvcStore  # slow to import, and only here

    if forked_from is None:
        git.init(root)
        DvcStore.init(root, root / ".loopwright" / "remote").close()
    write_resolved(root, plan)
    ledger = Ledger.create(
        root, workspace=uuid.uuid4().hex, name=plan.name, demo=demo, plan=plan.digest, forked_from=forked_from
    )
    for number, said in enumerate(told):
        ledger.append("import", [], said, role="controller", event=f"import:{number}")
    ledger.sign_checkpoint()
    ledger.publish()
    ledger.close()
    git.commit(root, (".",), f"genesis of {plan.name}")


def write_resolved(root: Path, plan: Plan) -> Digest:
    """Write the plan with every default filled in, as the digest sees it; returns the digest."""
    (root / "plan.json").write_bytes(canonical(plan.model_dump(mode="json")) + b"\n")
    return plan.digest


def commit_of(origin: Workspace, state: LoopState, cycle: str) -> str:
    """The git commit that ended a cycle: it is in the next cycle's first entry, or it is HEAD."""
    names = list(state.cycles)
    following = names[names.index(cycle) + 1 :]
    return state.cycles[following[0]].commit if following else str(git.head(origin.root))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
