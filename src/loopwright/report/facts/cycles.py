"""One turn of the loop: when, by whom, what was in force, what it made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from loopwright.ledger.statement import Statement
from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.reading import Absent, Reader
from loopwright.types import PHASES, digest_bytes

__all__ = ["flat", "seconds_between"]


def seconds_between(first: str, last: str) -> float:
    """Seconds from one RFC 3339 time to another."""
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def flat(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested mappings by its dotted key; lists are leaves.

    Where a model elsewhere is asked stands as the digest that the record knows it by, and where the key to it lies not at all.
    """
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from flat(item, f"{at}.{key}" if at else str(key))
    elif f".{at}".endswith(".endpoint.url"):
        yield at, digest_bytes(str(value).rstrip("/").encode())
    elif not f".{at}".endswith(".endpoint.key_file"):
        yield at, value


def close_of(see: Reader, cycle: str) -> Statement:
    """The entry that closed a cycle."""
    found = next((one for one in see.of_kind("close") if one.predicate["cycle"] == cycle), None)
    if found is None:
        raise Absent("close")
    see.leaf(found.index)
    return found


@fact("cycle.name")
def _name(see: Reader) -> str:
    return see.cycle.cycle


@fact("cycle.first")
def _first(see: Reader) -> bool:
    return see.cycle.prev is None and see.cycle.parent is None


@fact("cycle.trigger", "derived")
def _trigger(see: Reader) -> Any:
    """A cycle begins for one of these: the seed, the plan's next turn, or a retrain plan after a recall."""
    if see.fact("cycle.first"):
        return "seed"
    excluded = see.config("verify")["config"].get("exclude", {}) if "verify" in see.cycle.phases else {}
    return "retrain after a recall" if excluded.get("recall") else "next cycle of the plan"


@fact("cycle.launchers")
def _launchers(see: Reader) -> list[str]:
    return list(see.cycle.launchers)


@fact("cycle.parent")
def _parent(see: Reader) -> str | None:
    return see.cycle.parent


@fact("cycle.prev")
def _prev(see: Reader) -> str | None:
    return see.cycle.prev


@fact("cycle.opened_at")
def _opened_at(see: Reader) -> str:
    return see.cycle.opened_at


@fact("cycle.closed_at")
def _closed_at(see: Reader) -> str | None:
    record = see.cycle
    if record.closed_at is not None and see.source.statements[record.index].kind == "open":
        close_of(see, record.cycle)
    return record.closed_at


@fact("cycle.seconds", "derived")
def _seconds(see: Reader) -> float:
    return seconds_between(see.fact("cycle.opened_at"), see.fact("cycle.closed_at"))


@fact("cycle.finished")
def _finished(see: Reader) -> bool:
    return see.maybe("cycle.closed_at") is not None


@fact("cycle.decision")
def _decision(see: Reader) -> str | None:
    if "decide" in see.cycle.phases:
        see.phase("decide")
    return see.cycle.action


@fact("cycle.reasons")
def _reasons(see: Reader) -> list[str]:
    see.phase("decide")
    return list(see.cycle.reasons)


@fact("cycle.none_accepted", "counted")
def _none_accepted(see: Reader) -> bool:
    """A recipe may have been accepted without a row, and is learnt from."""
    return "verify" in see.cycle.phases and see.summary("verify").get("accepted") == 0 and see.cycle.artifact("model") is None


@fact("cycle.seed")
def _seed(see: Reader) -> str:
    return str(see.cycle.seed)


@fact("cycle.plan")
def _plan(see: Reader) -> str:
    see.digests.add(see.cycle.plan)
    return see.cycle.plan


@fact("cycle.commit")
def _commit(see: Reader) -> str:
    return see.cycle.commit


@fact("cycle.pins")
def _pins(see: Reader) -> Any:
    see.digests.update(see.cycle.pins.values())
    return table("name digest", sorted(see.cycle.pins.items()))


@fact("cycle.phases")
def _phases(see: Reader) -> Any:
    rows = []
    for phase in PHASES:
        if phase in see.cycle.phases:
            done = see.phase(phase)
            rows.append(
                [phase, see.signer(done.index), done.started_at, done.finished_at, done.seconds, done.attempt, done.index]
            )
    return table("phase signer started_at finished_at seconds attempt leaf", rows)


@fact("cycle.failures")
def _failures(see: Reader) -> Any:
    rows = []
    for said in see.of_kind("failure"):
        if said.predicate["cycle"] == see.cycle.cycle:
            see.leaf(said.index)
            told = said.predicate
            rows.append([told["phase"], told["attempt"], told["error"], told["message"], told["failed_at"], said.index])
    return table("phase attempt error message time leaf", rows)


@fact("cycle.evidence")
def _evidence(see: Reader) -> Any:
    rows = []
    for phase in PHASES:
        if phase in see.cycle.phases:
            done = see.phase(phase)
            for item in done.artifacts:
                see.digests.add(item.digest)
                rows.append([phase, item.kind, item.path, item.digest, done.index, see.signer(done.index)])
    return table("phase name path digest leaf signer", rows)


def settings_of(see: Reader, cycle: Any) -> dict[str, Any]:
    """Every setting of a cycle's phases by dotted key, from the configuration files that the record has the digests of."""
    found: dict[str, Any] = {}
    for phase in PHASES:
        if phase in cycle.phases:
            said = see.config(phase, cycle)
            found.update(flat(said["config"], phase))
            found.update(flat(said.get("refs", {})))
    return found


@fact("cycle.settings")
def _settings(see: Reader) -> Any:
    return table("setting value", [[key, value] for key, value in settings_of(see, see.cycle).items()])


@fact("cycle.recipe")
def _recipe(see: Reader) -> Any:
    """The part of the recipe that the training went by: the trainer's own account beside the weights."""
    said = see.json(see.artifact("model"), "training.json")
    return table("setting value", [[key, value] for key, value in sorted(said["recipe"].items())])


@fact("cycle.unsafe")
def _unsafe(see: Reader) -> list[str]:
    verified, seeded, decided = see.summary("verify"), see.summary("seed"), see.summary("decide")
    said = {
        "unsafe_unverified": verified.get("accept") == "unsafe_unverified",
        "unsafe_no_hidden_tests": bool(verified.get("unsafe_no_hidden_tests") or seeded.get("unsafe_no_hidden_tests")),
        "unsafe_only_say": bool(decided.get("unsafe_only_say")),
    }
    return [key for key, on in said.items() if on]


@fact("cycle.substantial_event")
def _substantial_event(see: Reader) -> Any:
    done = see.phase("decide")
    rows = [["decide", done.finished_at, see.cycle.action, done.index]]
    if see.fact("cycle.finished") and see.source.statements[see.cycle.index].kind == "open":
        said = close_of(see, see.cycle.cycle)
        rows.append(["close", said.predicate["closed_at"], said.predicate["action"], said.index])
    return table("event time decision leaf", rows)
