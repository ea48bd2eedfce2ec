"""How a cycle begins and ends.

It begins with a signed ``open`` entry that pins plan, code, environment, parent and seed, and ends with a signed ``close``
entry, a signed checkpoint and one git commit, whose id is in the next cycle's first entry. In between, nothing that was
pinned may change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loopwright.clock import now
from loopwright.consent import Consent
from loopwright.errors import HaltedError, InfraError, RefusedError, WaitingForPerson, WorkspaceError
from loopwright.identity import lock_digest
from loopwright.ledger import Ledger
from loopwright.ledger.answers import FOLDER as WORDS
from loopwright.ledger.filings import FOLDER as FROZEN
from loopwright.ledger.fold import CycleRecord, fold
from loopwright.ledger.independence import objections
from loopwright.ledger.model_signature import SIGNED, sign_recorded
from loopwright.ledger.refusals import unbroken
from loopwright.ledger.taint import refuse, taint
from loopwright.needs import ask_after, obtain_admission, obtain_before, pending_recipe
from loopwright.planfile import parse_recipes
from loopwright.prompts import generator_code, generator_prompts, judge_code, judge_prompts
from loopwright.quarantine import fall_back
from loopwright.run import Run
from loopwright.sections import CyclePlan, resolve
from loopwright.signed import envelope_for, field_gap, signed_envelope
from loopwright.starting import NO_RECIPE, CycleState, start
from loopwright.store import git
from loopwright.store.cycles import Item, read_cycles, write_cycles
from loopwright.store.pushing import note, push
from loopwright.types import Digest, cycle_name, cycle_number, digest_bytes, digest_value, seed_of

__all__ = ["DRIVER_PATHS", "CycleState", "close_abandoned", "settle", "turn", "upcoming"]

DRIVER_PATHS = ("cycles", "ledger", "cycles.yaml", "dvc.lock", "plan.json", WORDS, FROZEN)
"""What the program itself writes and commits; everything else in a workspace is a person's. A person's answer or filing that was
killed before its commit is committed by the next run."""


def upcoming(run: Run, until: int) -> Iterator[str]:
    """Names of the cycles to turn, the open one first, until ``until`` is the last closed number."""
    run.until = max(run.until, until)
    while True:
        newest = max((cycle_number(name) for name in run.state.cycles), default=-1)
        name = run.state.open or cycle_name(newest + 1)
        if cycle_number(name) > until:
            return
        yield name


@contextmanager
def turn(run: Run, name: str) -> Iterator[tuple[CyclePlan, CycleState]]:
    """Open the cycle, or go on with it; close it when the block ends well. A failure leaves it open."""
    run.supervisor.check(name)
    settle(run)
    with _asking(run):
        obtain_admission(run)
    _quarantined(run)
    if run.state.open is None:
        _open(run, name)
    envelope = envelope_for(run.root, run.plan, run.state, name)
    _pinned(run)
    record = run.state.cycles[name]
    run.cycle, run.seed = name, record.seed
    run.observer.event(name, "", "opened", {"parent": record.parent, "prev": record.prev})
    state = start(run.root, run.state, record.parent, record.prev, _proposed(record))
    prompts = generator_prompts(run.root, run.plan), judge_prompts(run.root, run.plan)
    yield resolve(run.plan, name, _recipe_text(run), envelope, field_gap(run.state, name), prompts), state
    run.supervisor.check(name)  # what is halted is not promoted either
    _close(run, record)


def settle(run: Run) -> None:
    """Finish what a killed run left between a cycle's checkpoint and its commit; refuse a person's uncommitted edits."""
    run.fence.check()
    unbroken(run.root / "ledger")
    run.ledger.publish()
    if run.state.open is None and run.state.cycles:
        run.ledger.sign_checkpoint()
        _commit(run)
    foreign = git.dirty(run.root, exclude=DRIVER_PATHS)
    if foreign:
        shown = ", ".join(foreign[:5]) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
        raise WorkspaceError(
            f"the workspace has changes that are not committed: {shown}",
            "`git diff` shows them; `git add -A && git commit` keeps them, `git stash -u` puts them away",
        )


def close_abandoned(root: Path, ledger: Ledger, reason: str) -> str:
    """Close the open cycle as rejected and take its stages out of ``dvc.yaml``'s list; returns its name.

    Its finished phases stay on the record; the next cycle follows the one before it.
    """
    state = fold(ledger.statements())
    name = state.open
    if name is None:
        raise WorkspaceError("no cycle is open", "`loopwright status` shows the last one")
    if name == "c0000":
        raise WorkspaceError("c0000 cannot be abandoned: there is nothing to go back to", "`loopwright init` a new workspace")
    write_cycles(root, {key: item for key, item in read_cycles(root).items() if key != name}, state.champion or "c0000")
    predicate = {"cycle": name, "action": "reject", "champion": state.champion, "abandoned": reason, "closed_at": now()}
    ledger.append("close", [], predicate, role="controller", event=f"close:{name}")
    ledger.sign_checkpoint()
    return name


def _open(run: Run, name: str) -> None:
    """Pin what the cycle stands on, in this order: recipe readable, persons' consent, recipe chosen, entry, stages."""
    code = _code(run)
    _recipe_text(run)
    recipe = _obtain(run)
    _quarantined(run)
    _judge_independent(run)
    parent, prev = (None, None) if name == "c0000" else (run.state.champion, run.state.last)
    seed = seed_of("cycle", run.plan.seed, name)
    predicate: dict[str, Any] = {
        "cycle": name,
        "parent": parent,
        "prev": prev,
        "seed": seed,
        "plan": run.plan.digest,
        "code": code,
        "lock": lock_digest(),
        "commit": git.head(run.root) or "none",
        "fence": run.fence.token,
        "recipe": recipe,
        "policy": run.plan.policy,
        "approvals": run.plan.approvals.model_dump(mode="json"),
        "launchers": list(run.launchers),
        "envelope": signed_envelope(run.state) or "none",
        "budgets": run.plan.budgets.model_dump(mode="json", exclude_none=True),
        "retention": [one.model_dump(mode="json") for one in run.plan.retention],
        "opened_at": now(),
    }
    run.ledger.append("open", [], predicate, role="controller", event=f"open:{name}")
    run.ledger.publish()
    run.refresh()


@contextmanager
def _asking(run: Run) -> Iterator[None]:
    """What was asked of persons is kept, too: under a checkpoint and, between cycles, in a commit."""
    try:
        yield
    except (WaitingForPerson, HaltedError, RefusedError):
        run.refresh()
        if run.state.open is None:
            run.ledger.sign_checkpoint()
            _commit(run)
        raise


def _obtain(run: Run) -> dict[str, Any] | None:
    """What persons have to agree to before a cycle opens; the recipe that it tries."""
    with _asking(run):
        obtain_before(run)
        _champion_signed(run)
        return pending_recipe(run)


def _quarantined(run: Run) -> None:
    """What was recalled is no input any more, and no recalled model becomes or stays the champion."""
    if run.ledger.size != run.state.leaves:  # others may append, and a fold of a long past is not free
        run.refresh()
    if run.state.acts.recalls and fall_back(run.root, run.ledger, run.state)[0] != run.state.champion:
        run.refresh()
    open_ = run.state.cycles.get(run.state.open or "")
    parent, prev = (open_.parent, open_.prev) if open_ else (run.state.champion, run.state.last)
    refuse(run.state, parent, prev, f"cycle {open_.cycle}" if open_ else "the next cycle")


def _judge_independent(run: Run) -> None:
    """Refuse a judge that shares a key or an ancestor with what it judges."""
    champion = run.state.cycles[run.state.champion].artifact("model") if run.state.champion else None
    judge, maker = run.plan.verifier.judge, run.plan.generator.endpoint
    judges = (
        *getattr(run.tools.domain, "judge_models", ()),
        *((judge.endpoint.identity, judge.endpoint.lineage) if judge else ()),
    )
    makers = (maker.identity, maker.lineage) if maker else ()
    said = objections(run.state, champion.digest if champion else None, judges, makers)
    if said:
        raise RefusedError(
            f"who checks the builder is not independent of it: {'; '.join(said)}",
            "judge by a model of another lineage (domain settings), or with keys of their own (`loopwright init` makes them)",
        )


def _stages(run: Run, record: CycleRecord) -> None:
    """The cycle's line in ``cycles.yaml``, from which ``dvc.yaml`` makes its stages."""
    items = read_cycles(run.root)
    if record.prev is None or record.cycle in items:
        return
    path = _proposed(record)
    items[record.cycle] = Item(parent=str(record.parent), prev=record.prev, seed=record.seed, recipe=path)
    write_cycles(run.root, items, run.state.champion or "c0000")
    run.dvc.reload()


def _pinned(run: Run) -> None:
    """Nothing that the open entry names may have changed since."""
    record = run.state.cycles[str(run.state.open)]
    if record.plan != run.plan.digest:
        raise WorkspaceError(
            f"loop.yaml changed in the middle of cycle {record.cycle} (opened with {record.plan[:19]}, now {run.plan.digest[:19]})",
            "put the old one back with git and finish the cycle, or `loopwright abandon` it and start the next with the new plan",
        )
    changed = [name for name, digest in {**_code(run), "lock": lock_digest()}.items() if record.pins.get(name) != digest]
    if changed:
        raise WorkspaceError(
            f"{' and '.join(changed)} code or packages changed in the middle of cycle {record.cycle}",
            "go back to the versions it was opened with, or `loopwright abandon` it and start the next with the new ones",
        )
    proposal = run.root / _proposed(record)
    if record.recipe and not (proposal.exists() and digest_bytes(proposal.read_bytes()) == record.recipe["digest"]):
        raise WorkspaceError(
            f"{record.recipe['path']} is not the recipe that was approved for {record.cycle} ({record.recipe['digest'][:19]})",
            "put the approved one back with git, or `loopwright abandon` the cycle and approve the new one for the next",
        )
    _stages(run, record)


def _proposed(record: CycleRecord) -> str:
    """Path of the recipe that the cycle tries."""
    return record.recipe["path"] if record.recipe else NO_RECIPE


def _code(run: Run) -> dict[str, Digest]:
    """Digests of who makes and who judges, and of the order of work."""
    flows = {path.name: digest_bytes(path.read_bytes()) for path in sorted((run.root / "flows").glob("*.py"))}
    return {
        "generator": generator_code(run.root, run.plan),
        "judge": judge_code(run.root, run.plan),
        "flows": digest_value(flows),
    }


def _recipe_text(run: Run) -> str:
    """The recipe in force: the champion's, or the workspace's file before there is one."""
    champion = run.state.champion
    path = run.root / ("recipe.yaml" if champion is None else f"cycles/{champion}/model/recipe.yaml")
    text = path.read_text(encoding="utf-8")
    parse_recipes(text)
    edited = (run.root / "recipe.yaml").read_text(encoding="utf-8")
    if champion is not None and edited != text:
        raise WorkspaceError(
            f"recipe.yaml differs from the champion's ({champion})",
            "a recipe changes by proposal: `loopwright propose` turns your edit into one",
        )
    return text


def _close(run: Run, record: CycleRecord) -> None:
    _quarantined(run)
    decision = run.here.phases["decide"].summary
    action = decision["action"]
    kept = action == "promote" and not taint(run.state).within(run.here)
    champion = record.cycle if kept else run.state.champion
    run.observer.event(record.cycle, "", "decided", {"action": action, "reasons": decision["reasons"]})
    predicate = {"cycle": record.cycle, "action": action, "champion": champion, "closed_at": now()}
    if kept:
        predicate["witness"] = _promotable(run, record.cycle)
    run.fence.check()
    note(run.root, record.cycle)  # before it is closed: a kill then comes by here again
    run.ledger.append("close", [], predicate, role="controller", event=f"close:{record.cycle}")
    run.refresh()
    asked = ask_after(run)
    run.ledger.sign_checkpoint()
    run.observer.event(record.cycle, "", "checkpointed", {})
    _commit(run)
    run.observer.event(record.cycle, "", "committed", {"commit": git.head(run.root)})
    if run.plan.versioning.push == "cycle":
        _push(run)
    if action == "halt" and asked:
        short = asked[0].id[7:19]
        raise HaltedError(
            f"{record.cycle} halted the loop: {decision['reasons'][0]}",
            f"`loopwright show {record.cycle}`; when persons have found the cause: `loopwright approve {short}` and run again",
        )


def _push(run: Run) -> None:
    """What waits goes to the remote; where that fails the loop goes on, and the end of the run tries once more."""

    def tell(cycle: str, done: int, total: int) -> None:
        run.observer.progress(cycle, "push", done, total, "cycles")

    try:
        push(run.root, run.dvc, tell)
    except InfraError as error:
        run.observer.event(run.cycle, "push", "failed", {"message": error.message})
    else:
        run.observer.event(run.cycle, "push", "pushed", {})


def _promotable(run: Run, cycle: str) -> dict[str, Any]:
    """Sign the weights, have the log up to the decision witnessed where the policy wants that; what ``close`` tells of it.

    The cycle stays open while it waits: the next run comes here again, and repeats nothing.
    """
    sign_recorded(run.root, run.ledger, run.state, cycle)
    run.observer.event(cycle, "", "signed", {})
    run.ledger.sign_checkpoint()
    consent = Consent(root=run.root, plan=run.plan, ledger=run.ledger)
    return consent.witnessed(run.state, cycle, run.state.cycles[cycle].phases["decide"].index)


def _champion_signed(run: Run) -> None:
    """A model that persons promoted bears a signature as one does that the gate promoted."""
    champion, asked = run.state.champion, run.state.acts.requests.values()
    promoted = {one.said["details"].get("cycle") for one in asked if one.action == "promote" and one.executed is not None}
    if champion in promoted and sign_recorded(run.root, run.ledger, run.state, str(champion)):
        run.refresh()


def _commit(run: Run) -> None:
    """One commit a cycle; entries that came between cycles get one of their own."""
    _sync_recipe(run)
    closed = [record for record in run.state.cycles.values() if record.closed_at]
    paths = _written(run, closed[-1].cycle if closed else None)
    changed = git.dirty(run.root, within=paths)
    mine = [path for path in changed if closed and path.startswith(f"cycles/{closed[-1].cycle}/")]
    if any(not path.endswith(SIGNED) for path in mine):  # a signature may come later, with what persons promoted
        git.commit(run.root, paths, f"{closed[-1].cycle}: {closed[-1].action}")
    elif changed:
        git.commit(run.root, paths, "record: entries between cycles")


def _written(run: Run, last: str | None) -> tuple[str, ...]:
    """Where this run may have written since its last commit; before its first cycle, wherever a killed one may have."""
    if not run.cycle:
        return DRIVER_PATHS
    own = {name for name in (last, run.state.open, run.state.champion) if name}
    return (*(f"cycles/{name}" for name in sorted(own)), *(path for path in DRIVER_PATHS if path != "cycles"))


def _sync_recipe(run: Run) -> None:
    """``recipe.yaml`` follows the champion, unless a person edited it into something that no model was trained by."""
    file = run.root / "recipe.yaml"
    champion = run.state.champion
    if champion is None:
        return
    wanted, seen = (run.root / f"cycles/{champion}/model/recipe.yaml").read_bytes(), file.read_bytes()
    if seen != wanted and any(
        (run.root / f"cycles/{name}/model/recipe.yaml").read_bytes() == seen
        for name, record in run.state.cycles.items()
        if "train" in record.phases
    ):
        file.write_bytes(wanted)
