"""Facts of one turn of the loop, of how its work ran and in what, against its entries, settings and files."""

from __future__ import annotations

import functools
import hashlib
import json
from datetime import datetime
from importlib.metadata import distributions
from typing import Any

from tests.report.queries import Case, Done, Nothing, Query, Seen, grid, kind, leaves, still, wrong
from tests.report.test_facts_models import action, changes, model_of, pins, tainted, weights

LEVELS = ("data", "SL0", "SL1", "SL2", "SL3", "SL4")


def verified(see: Seen) -> bool:
    return "verify" in see.done()


def trigger(see: Seen) -> str:
    if see.opened()["prev"] is None:
        return "seed"
    return (
        "retrain after a recall"
        if verified(see) and see.config("verify", "config", "exclude", "recall")
        else "next cycle of the plan"
    )


def phases(see: Seen) -> Any:
    keys = ("started_at", "finished_at", "seconds", "attempt")
    rows = [(phase, done.signer, *(done.said[key] for key in keys), done.leaf) for phase, done in see.by_phase()]
    return grid("phase signer started_at finished_at seconds attempt leaf", rows)


def failures(see: Seen) -> Any:
    keys = ("phase", "attempt", "error", "message", "failed_at")
    rows = [(*(said[key] for key in keys), leaf) for leaf, _, said in see.told("failure", cycle=see.cycle)]
    return grid("phase attempt error message time leaf", rows)


def evidence(see: Seen) -> Any:
    rows = [
        (phase, out["kind"], out["path"], out["digest"], done.leaf, done.signer)
        for phase, done in see.by_phase()
        for out in done.said["outputs"]
    ]
    return grid("phase name path digest leaf signer", rows)


def settings(see: Seen, cycle: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for phase, _ in see.by_phase(cycle):
        said = see.json(f"config/{phase}.json", cycle)
        found |= {**dict(leaves(said["config"], phase)), **dict(leaves(said["refs"]))}
    return found


def before(see: Seen) -> str:
    found = see.opened()["prev"]
    if found is None:
        raise Nothing("prev")
    return str(found)


def changed_settings(see: Seen) -> Any:
    """What both cycles had a phase or a plug-in for, and set otherwise."""
    old, new = settings(see, before(see)), settings(see, see.cycle)
    both = {key.split(".")[0] for key in old} & {key.split(".")[0] for key in new}
    keys = [key for key in sorted({*old, *new}) if key.split(".")[0] in both and old.get(key) != new.get(key)]
    return grid("setting before after", [(key, old.get(key), new.get(key)) for key in keys])


def changed_packages(see: Seen) -> Any:
    old, new = (
        {key: one for done in see.done(cycle).values() for key, one in done.said["environment"]["packages"].items()}
        for cycle in (before(see), see.cycle)
    )
    return grid("package before after", [(key, old[key], new[key]) for key in sorted({*old} & {*new}) if old[key] != new[key]])


def data_change(see: Seen) -> dict[str, int]:
    """By the archives' own rows: what of each origin came and went."""
    old, new = see.rows(before(see)), see.rows()
    human, model = (
        int((new["origin"] == "human").eq(one).sum()) - int((old["origin"] == "human").eq(one).sum()) for one in (True, False)
    )
    return {
        "before": old.height,
        "in": max(human, 0) + max(model, 0),
        "out": max(-human, 0) + max(-model, 0),
        "after": new.height,
    }


def score_change(see: Seen) -> Any:
    parent = next((maker for maker, _ in weights(see)), None)
    rows: list[Any] = []
    for suite in ("gate", "sealed"):
        score = see.maybe("evaluate", suite, "headline")
        rows += (
            [(suite, see.maybe("evaluate", suite, "headline", cycle=parent) if parent else None, score, None)] if score else []
        )
    gain = see.maybe("decide", "gain")
    return grid("metric before after change", [*rows, *([("paired gain", None, None, gain)] if gain else [])])


def unsafe(see: Seen) -> list[str]:
    said = {
        "unsafe_unverified": see.maybe("verify", "accept") == "unsafe_unverified",
        "unsafe_no_hidden_tests": any(see.maybe(phase, "unsafe_no_hidden_tests") for phase in ("seed", "verify")),
        "unsafe_only_say": see.maybe("decide", "unsafe_only_say"),
    }
    return [name for name, on in said.items() if on]


def logged(see: Seen) -> Any:
    decided = see.done()["decide"]
    told = [
        one for one in see.told("close", cycle=see.cycle) if kind(see.entries[one[0]]) == "close"
    ]  # a past has no such entry
    closed = [("close", said["closed_at"], said["action"], leaf) for leaf, _, said in told]
    return grid(
        "event time decision leaf", [("decide", decided.said["finished_at"], action(see, see.cycle), decided.leaf), *closed]
    )


def trainings(see: Seen) -> list[tuple[str, Done]]:
    """The training of the model and of those whose weights it goes on from, nearest first."""
    return [(cycle, see.done(cycle)["train"]) for cycle in (see.cycle, *(maker for maker, _ in weights(see) if maker))]


def workers(done: Done) -> int:
    """Of the first versions, the number stands in the summary."""
    return int(done.said["environment"].get("train_workers", done.said["summary"]["workers"]))


def began(see: Seen) -> str:
    return str(min(done.said["started_at"] for _, done in trainings(see)))


def months(see: Seen) -> str:
    """Boxes of the form; a month is a twelfth of 365.25 days."""
    took = datetime.fromisoformat(see.said("train")["finished_at"]) - datetime.fromisoformat(began(see))
    found = took.total_seconds() / (365.25 / 12 * 24 * 3600)
    return "< 1" if found < 1 else "1 to 3" if found <= 3 else "3 to 6" if found <= 6 else "> 6"


def device(done: Done) -> dict[str, Any]:
    told = done.said["summary"].get("compute", {}).get("updates")
    return dict(told[0]["device"]) if told else {"kind": "cpu", "name": done.said["environment"]["cpu"]}


def hardware(see: Seen) -> Any:
    rows = []
    for phase, done in see.by_phase():
        count = workers(done) if phase == "train" else done.said["environment"]["map_workers"]
        rows.append((phase, device(done)["name"], count, done.said["environment"]["threads"], done.said["seconds"]))
    return grid("phase hardware workers threads seconds", rows)


def accelerators(see: Seen) -> Any:
    found = [(phase, done) for phase, done in see.done().items() if device(done)["kind"] != "cpu"]
    return grid(
        "phase hardware workers seconds",
        [(phase, device(done)["name"], workers(done), done.said["seconds"]) for phase, done in found],
    )


def verdicts(see: Seen) -> list[tuple[str, str, int]]:
    return [(phase, *one) for phase, done in see.by_phase() for one in done.said["summary"].get("isolation", {}).items()]


def weakest(see: Seen) -> str:
    found = [level for _, level, _ in verdicts(see)]
    if not found:
        raise Nothing("verdicts")
    return LEVELS[min(map(LEVELS.index, found))]


def method(see: Seen) -> Any:
    rows = []
    for cycle, done in trainings(see)[::-1]:
        said = done.said["summary"]
        stage = "continued" if "model" in done.inputs else "from scratch"
        rows.append((cycle, stage, said["steps"], said["tokens"], said["seeds"], done.said["seconds"]))
    return grid("cycle stage steps tokens seeds seconds", rows)


def objective(see: Seen) -> str:
    rows = see.config("verify", "config", "accept") if verified(see) else "human data"
    return f"next-token cross-entropy ({see.config('train', 'refs', 'model', 'name')}); rows: {rows}"


def losses(see: Seen) -> Any:
    found = [(cycle, see.summary("train", cycle=cycle)) for cycle in see.cycles if "train" in see.done(cycle)]
    return grid(
        "cycle loss_first loss_last steps", [(cycle, one["loss_first"], one["loss_last"], one["steps"]) for cycle, one in found]
    )


@functools.cache
def here() -> list[tuple[str, str]]:
    return sorted({(one.metadata["Name"].lower(), one.version) for one in distributions()})


def packages(see: Seen) -> list[tuple[str, str]]:
    """What is installed here, where the cycle opened under just that."""
    told = json.dumps(sorted(f"{name}=={version}" for name, version in here()), separators=(",", ":"), ensure_ascii=False)
    if "sha256:" + hashlib.sha256(told.encode()).hexdigest() != see.opened()["lock"]:
        raise Nothing("lock")
    return here()


def environment(key: str) -> Query:
    """What all phases of the cycle tell, each word once."""

    def query(see: Seen) -> str | None:
        return (
            ", ".join(
                sorted({done.said["environment"][key] for done in see.done().values() if key in done.said["environment"]})
            )
            or None
        )

    return query


def environment_changes(see: Seen) -> Any:
    told = [
        (see.opened(cycle)["lock"], ", ".join(sorted({done.said["environment"]["cpu"] for done in see.done(cycle).values()})))
        for cycle in see.cycles
    ]
    rows = [
        (cycle, *new, see.opened(cycle)["opened_at"])
        for cycle, old, new in zip(see.cycles[1:], told, told[1:], strict=False)
        if old != new
    ]
    return grid("cycle lock cpu time", rows)


def footprint(see: Seen) -> int:
    see.made("model")
    return sum(file.stat().st_size for file in see.file("model").iterdir())


def files(see: Seen) -> Any:
    see.made("model")
    told = [(file.name, file.read_bytes()) for file in sorted(see.file("model").iterdir())]
    return grid("path sha256 bytes", [(name, "sha256:" + hashlib.sha256(data).hexdigest(), len(data)) for name, data in told])


ASKED: dict[str, Query] = {
    "model.files": files,
    "cycle.trigger": trigger,
    "cycle.first": lambda see: see.opened()["prev"] is None,
    "cycle.finished": lambda see: see.told("close", cycle=see.cycle) != [],
    "cycle.seconds": lambda see: (
        datetime.fromisoformat(see.first("close", cycle=see.cycle)["closed_at"])
        - datetime.fromisoformat(see.opened()["opened_at"])
    ).total_seconds(),
    "cycle.none_accepted": lambda see: (
        verified(see) and see.parquet("accepted/rows.parquet").height == 0 and model_of(see, see.cycle) is None
    ),
    "cycle.pins": lambda see: grid("name digest", sorted(pins(see, see.cycle).items())),
    "cycle.phases": phases,
    "cycle.failures": failures,
    "cycle.evidence": evidence,
    "cycle.settings": lambda see: grid("setting value", settings(see, see.cycle).items()),
    "cycle.recipe": lambda see: (
        grid("setting value", sorted(see.json("model/training.json")["recipe"].items())) if see.made("model") else None
    ),
    "cycle.changes": changes,
    "cycle.changed_settings": changed_settings,
    "cycle.changed_packages": changed_packages,
    "cycle.data_change": data_change,
    "cycle.score_change": score_change,
    "cycle.unsafe": unsafe,
    "cycle.recalled": lambda see: [
        out["path"] for done in see.done().values() for out in done.said["outputs"] if out["digest"] in tainted(see)
    ],
    "cycle.substantial_event": logged,
    "run.training_total_seconds": lambda see: sum(done.said["seconds"] for _, done in trainings(see)),
    "run.training_started_at": began,
    "run.training_days": lambda see: sum(done.said["seconds"] for _, done in trainings(see)) / 3600 / 24,
    "run.hardware_days": lambda see: sum(done.said["seconds"] * workers(done) for _, done in trainings(see)) / 3600 / 24,
    "run.training_range": months,
    "run.hardware": hardware,
    "run.accelerators": accelerators,
    "run.no_accelerators": lambda see: accelerators(see)["rows"] == [],
    "run.workers": lambda see: workers(see.done()["train"]),
    "run.threads": lambda see: see.said("train")["environment"]["threads"],
    "run.seeds": lambda see: see.summary("train", "seeds"),
    "run.sandbox": lambda see: grid("phase level count", verdicts(see)),
    "run.sandbox_level": weakest,
    "run.training_method": method,
    "run.objective": objective,
    "run.losses": losses,
    "env.packages": lambda see: grid("package version", packages(see)),
    "env.package_count": lambda see: len(packages(see)),
    "env.python": environment("python"),
    "env.cpu": environment("cpu"),
    "env.container": environment("container"),
    "env.code": lambda see: grid("name digest", sorted(pins(see, see.cycle).items())),
    "env.changes": environment_changes,
    "env.isolation": lambda see: grid("phase level count", verdicts(see)),
    "env.memory_bytes": lambda see: see.config("verify", "config", "memory_mib") * 1024 * 1024,
    "env.footprint_bytes": footprint,
}

ALWAYS = {
    **dict.fromkeys(
        ("env.packages", "env.package_count"), "the list of this installation; of a record of another one there is none"
    ),
    "cycle.first": "a cycle's place in the loop: the first one has none before it in any record",
}


def test_facts_of_a_turn_are_what_its_entries_and_files_say(panel: list[Case]) -> None:
    assert wrong(ASKED, panel) == {}


def test_another_record_ran_otherwise(panel: list[Case]) -> None:
    assert set(still(ASKED, panel)) == ALWAYS.keys()
