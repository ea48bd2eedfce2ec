"""Facts of the model and of the system that stands on it, against its files and the phases that made it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.report.queries import Case, Done, Nothing, Query, Seen, grid, kind, still, wrong
from tests.report.test_facts_data import ALWAYS as DATA_ALWAYS
from tests.report.test_facts_data import licences, text_columns

CARRIED = {("decide", "decision"), ("examine", "card")}
"""Inputs that carry an account and no data: a recall does not go along them."""


def refs(see: Seen, what: str = "model") -> Any:
    return see.config("train")["refs"][what]


def settings(see: Seen) -> list[tuple[str, Any]]:
    return sorted(refs(see)["settings"].items())


def described(see: Seen) -> Any:
    see.made("model")
    return see.json("model/model.json")


def vocabulary(see: Seen) -> int:
    """Lists of symbols in the model's own description."""
    return len([symbol for part in described(see)["alphabet"].values() if isinstance(part, list) for symbol in part])


def precision(see: Seen) -> str:
    """Number types that the header of the safetensors file names."""
    see.made("model")
    found = re.findall(rb'"dtype": ?"(\w+)"', see.file("model/model.safetensors").read_bytes())
    return ", ".join(sorted({one.decode() for one in found}))


def ranged(see: Seen) -> str:
    count = see.summary("train", "parameters") / 1e6
    ends = ((500, "1 to 500 M"), (5e3, "500 M to 5 B"), (15e3, "5 B to 15 B"), (50e3, "15 B to 50 B"), (1e5, "50 B to 100 B"))
    return next(name for end, name in ends if count <= end)


def action(see: Seen, cycle: str) -> str | None:
    """What became of a cycle: as it was closed, else as it was decided."""
    closed = see.told("close", cycle=cycle)
    return closed[0][2]["action"] if closed else see.maybe("decide", "action", cycle=cycle)


def was_champion(see: Seen, cycle: str) -> bool:
    """By the gate, or by persons who were asked about a model that was held."""
    return action(see, cycle) == "promote" or see.told("execute", action="promote", cycle=cycle) != []


def model_of(see: Seen, cycle: str | None) -> str | None:
    try:
        return see.made("model", cycle) if cycle else None
    except LookupError:
        return None


def versions(see: Seen) -> list[tuple[str, str, str | None, bool]]:
    found = [(cycle, model_of(see, cycle), action(see, cycle)) for cycle in see.cycles]
    return [(cycle, model, told, was_champion(see, cycle)) for cycle, model, told in found if model]


def released(see: Seen) -> list[str]:
    said = see.words("release.versions")
    if said is None:
        raise Nothing("release")
    return [word for word in re.split(r"\W+", said) if word in see.every]


def public(see: Seen) -> Any:
    date = see.words("release.eu_date") or see.words("release.date")
    return grid("cycle model date", [(cycle, model, date) for cycle, model, *_ in versions(see) if cycle in released(see)])


def signatures(see: Seen) -> Any:
    see.made("model")
    found = see.told("signature", cycle=see.cycle)
    return grid(
        "file digest algorithm time signer",
        [(said["file"], said["digest"], said["algorithm"], said["signed_at"], signer) for _, signer, said in found],
    )


def weights(see: Seen, cycle: str | None = None) -> Iterator[tuple[str | None, str]]:
    """Cycle and digest of the models whose weights this one goes on from, nearest first; of a base of others its digest."""
    said = see.said("train", cycle)
    before = next((item["digest"] for item in said["inputs"] if item["name"] == "model"), None)
    if before:
        yield see.maker(before), before
        if see.maker(before):
            yield from weights(see, see.maker(before))
    elif said["summary"]["compute"]["base"]:
        yield None, said["summary"]["compute"]["base"]["digest"]


def writers(see: Seen, cycle: str | None = None) -> dict[str, int]:
    """Models that wrote rows of a training set, by the rows' own word, in the order in which they first wrote."""
    found: dict[str, int] = {}
    for origin in see.rows(cycle)["origin"].to_list():
        if origin != "human":
            found[origin] = found.get(origin, 0) + 1
    return found


def depth(see: Seen, cycle: str | None = None) -> int:
    makers = {see.maker(model) for model in writers(see, cycle)}
    return max((1 + (depth(see, maker) if maker else 0) for maker in makers), default=0)


def ancestors(see: Seen) -> Any:
    found, waiting = dict[tuple[str | None, str], set[str]](), [see.cycle]
    for cycle in waiting:
        near = [(*one, "weights") for one in list(weights(see, cycle))[:1]]
        near += [(see.maker(model), model, "data") for model in writers(see, cycle)]
        for maker, model, how in near:
            found.setdefault((maker, model), set()).add(how)
            if maker and maker not in waiting:
                waiting.append(maker)
    rows = [(maker, model, " + ".join(sorted(how))) for (maker, model), how in found.items()]
    return grid("cycle model relation", sorted(rows, key=lambda row: str(row[0])))


def wrote(done: Done) -> str:
    """The model that a generate phase asked."""
    return str(done.said["summary"].get("external", {"digest": done.inputs["model"]})["digest"])


def uses(see: Seen) -> Any:
    words = {"generate": "generates data", "train": "gives its weights"}
    model, rows = see.made("model"), []
    for cycle in see.every:
        for phase, done in see.done(cycle).items():
            role = next((name for name, digest in done.inputs.items() if digest == model), None)
            if role and cycle != see.cycle and (phase != "generate" or wrote(done) == model):
                use = "is the frozen reference" if role == "first" else words.get(phase, role)
                rows.append((cycle, phase, use, see.maybe("verify", "accepted", cycle=cycle) if phase == "generate" else None))
    return grid("cycle phase use rows", rows)


def names_champion(entry: Any) -> bool:
    return kind(entry) in {"close", "rollback", "import"} or (
        kind(entry) == "execute" and entry["predicate"]["action"] == "promote"
    )


def champion(see: Seen) -> bool:
    newest = [one for one in see.entries if names_champion(one)][-1]["predicate"]
    return newest.get("champion", newest.get("cycle")) == see.cycle


def tainted(see: Seen) -> set[str]:
    """Digests of outputs that follow from what was recalled, by the inputs that phases name; a seed's archive holds its rows."""
    bad = {digest for _, _, said in see.told("recall") for digest in said["tainted"]}
    for _, _, said in see.told("phase") if bad else ():
        used = {item["digest"] for item in said["inputs"] if (said["phase"], item["name"]) not in CARRIED}
        bad |= {out["digest"] for out in said["outputs"]} if used & bad else set()
        if {out["digest"] for out in said["outputs"] if out["kind"] == "accepted"} & bad:
            bad |= {out["digest"] for out in said["outputs"] if out["kind"] == "archive"}
    return bad


def tools(see: Seen) -> Any:
    """Models that wrote rows, spoke of them, or wrote the recipe of the cycle."""
    done, rows = see.done(), list[Any]()
    if "generate" in done:
        rows.append(("generate", "generates data", wrote(done["generate"])))
    judge = see.maybe("verify", "judge")
    rows += [
        ("verify", "judges", one) for one in ([judge["digest"]] if judge else see.maybe("verify", "judge_models", default=[]))
    ]
    people = {one["id"]: one for one in see.entries[0]["predicate"]["principals"]}
    rows += [
        ("train", "writes code", people[key]["model"])
        for key in [author(see, see.cycle)]
        if key and people[key]["role"] == "agent"
    ]
    return grid("phase use name model cycle", [(*row[:2], see.named(row[2]), row[2], see.maker(row[2])) for row in rows])


def author(see: Seen, cycle: str) -> str | None:
    """Who asked for the recipe that a cycle tried."""
    recipe = see.opened(cycle)["recipe"]
    wanted = recipe["digest"].removeprefix("sha256:") if recipe else None
    asked = [
        one
        for one in see.entries
        if kind(one) == "request" and any(each["digest"]["sha256"] == wanted for each in one["subject"])
    ]
    return asked[0]["keyid"] if asked else None


def size(see: Seen, cycle: str) -> int | None:
    """Rows of a training set, as the archive's own file counts them."""
    if not {"merge", "seed"} & see.done(cycle).keys():
        return None
    return see.rows(cycle).height


def pins(see: Seen, cycle: str) -> dict[str, str]:
    said = see.opened(cycle)
    return {**said["code"], "lock": said["lock"]}


def what_changed(see: Seen, cycle: str) -> str:
    said = see.opened(cycle)
    if said["prev"] is None:
        return "first"
    old = see.opened(said["prev"])
    now, before = pins(see, cycle), pins(see, said["prev"])
    found = {
        "data": size(see, cycle) != size(see, said["prev"]),
        "weights": model_of(see, cycle) is not None,
        "code": (now["generator"], now["flows"]) != (before["generator"], before["flows"]),
        "judge": now["judge"] != before["judge"],
        "environment": now["lock"] != before["lock"],
        "plan": said["plan"] != old["plan"],
        "recipe": said["recipe"] is not None,
    }
    return ", ".join(name for name, on in found.items() if on)


def graph(see: Seen) -> Any:
    rows = []
    for cycle in see.cycles:
        said, told = see.opened(cycle), action(see, cycle)
        rows.append(
            (
                cycle,
                said["prev"],
                said["parent"],
                model_of(see, cycle),
                what_changed(see, cycle),
                told,
                was_champion(see, cycle),
            )
        )
    return grid("cycle prev parent model changed decision promoted", rows)


def changes(see: Seen) -> Any:
    if see.opened()["prev"] is None:
        raise Nothing("prev")
    now, before = see.opened(), see.opened(see.opened()["prev"])
    pinned, old = pins(see, see.cycle), pins(see, before["cycle"])
    digests = [each["recipe"]["digest"] if each["recipe"] else None for each in (before, now)]
    rows: list[tuple[str, Any, Any]] = [
        ("model", model_of(see, now["parent"]), model_of(see, see.cycle)),
        ("rows", size(see, before["cycle"]), size(see, see.cycle)),
        ("plan", before["plan"], now["plan"]),
        *((name, old[name], pinned[name]) for name in sorted(pinned)),
        ("recipe", *digests),
        ("policy", before.get("policy"), now.get("policy")),
        ("envelope", before.get("envelope"), now.get("envelope")),
    ]
    for suite in ("gate", "sealed"):
        scores = [see.maybe("evaluate", suite, "headline", "value", cycle=cycle) for cycle in (before["cycle"], see.cycle)]
        rows += [(f"{suite} score", *scores)] if scores[1] is not None else []
    return grid("what before after changed", [(*row, row[1] != row[2]) for row in rows])


def aids(see: Seen) -> Any:
    tested = "evaluate" in see.done()
    judged = any(done.said["summary"].get("isolation") for done in see.done().values())
    found = {
        "eval.levels": tested, "eval.slices": tested, "eval.pass_at": see.maybe("evaluate", "pass_at") is not None,
        "eval.stress": bool(see.maybe("examine", "stress")), "run.sandbox": judged,
    }  # fmt: skip
    return grid("aid available", found.items())


def limit(see: Seen) -> int:
    return int(dict(settings(see))["context"])


def longest(see: Seen) -> int:
    see.made("model")
    return max(
        see.json(f"config/{phase}.json")["config"]["max_new_tokens"]
        for phase in ("generate", "evaluate")
        if phase in see.done()
    )


def unlimited(see: Seen) -> bool:
    if "context" in dict(settings(see)):
        return False
    if refs(see)["name"] != "tiny-transformer":
        raise Nothing("context")
    return True


def text(see: Seen) -> list[str]:
    see.made("model")
    return text_columns(see)


ASKED: dict[str, Query] = {
    "model.name": lambda see: f"{see.entries[0]['predicate']['name']} {see.cycle}",
    "model.collection": lambda see: see.entries[0]["predicate"]["workspace"],
    "model.versions": lambda see: grid("cycle model decision promoted", versions(see)),
    "model.public_versions": public,
    "model.signatures": signatures,
    "model.signed": lambda see: signatures(see)["rows"] != [],
    "model.parameters_range": ranged,
    "model.parameters_active": lambda see: see.maybe("train", "parameters_active") or see.summary("train", "parameters"),
    "model.weights_bytes": lambda see: see.file("model/model.safetensors").stat().st_size if see.made("model") else None,
    "model.max_output": longest,
    "model.family": lambda see: refs(see)["name"],
    "model.settings": lambda see: grid("setting value", settings(see)),
    "model.architecture": lambda see: f"{refs(see)['name']}: " + ", ".join(f"{key} {value}" for key, value in settings(see)),
    "model.vocabulary": vocabulary,
    "model.tokenizer": lambda see: f"{refs(see)['name']}: {vocabulary(see)} symbols",
    "model.input_modalities": text,
    "model.output_modalities": text,
    "model.input_format": lambda see: f"text (UTF-8), {refs(see, 'domain')['name']}",
    "model.output_format": lambda see: f"text (UTF-8), {refs(see, 'domain')['name']}",
    "model.max_input": limit,
    "model.no_input_limit": unlimited,
    "model.precision": precision,
    "model.licence": lambda see: see.words("model.licence") or see.words("release.licence"),
    "model.licence_of_parents": licences,
    "model.weight_parents": lambda see: grid("step cycle model", [(step, *one) for step, one in enumerate(weights(see), 1)]),
    "model.external_parents": lambda see: grid(
        "step model", [(step, model) for step, (cycle, model) in enumerate(weights(see), 1) if cycle is None]
    ),
    "model.external": lambda see: any(cycle is None for cycle, _ in weights(see)),
    "model.from_scratch": lambda see: all(cycle is not None for cycle, _ in weights(see)),
    "model.same_model": lambda see: list(weights(see)) != [],
    "model.data_parents": lambda see: grid(
        "cycle name model rows share",
        [(see.maker(one), see.named(one), one, rows, rows / see.rows().height) for one, rows in writers(see).items()],
    ),
    "model.ancestors": ancestors,
    "model.generation_depth": depth,
    "model.difference": changes,
    "model.uses": uses,
    "model.champion": champion,
    "model.recalled": lambda see: model_of(see, see.cycle) in tainted(see),
    "system.reference": lambda see: (
        see.words("system.reference") or f"{see.entries[0]['predicate']['name']} {see.cycle} {see.made('model')}"
    ),
    "system.version": lambda see: f"{see.entries[0]['predicate']['name']} {see.cycle}",
    "system.components": lambda see: grid(
        "phase reads makes seconds",
        [
            (phase, ", ".join(done.inputs), ", ".join(out["kind"] for out in done.said["outputs"]), done.said["seconds"])
            for phase, done in see.by_phase()
        ],
    ),
    "system.models_as_tools": tools,
    "system.interpretation_aids": aids,
    "system.versions": graph,
}

ALWAYS = {
    **dict.fromkeys(("model.input_modalities", "model.output_modalities"), DATA_ALWAYS["dataset.modalities"]),
}


def test_facts_of_the_model_are_what_its_files_and_phases_say(panel: list[Case]) -> None:
    assert wrong(ASKED, panel) == {}


def test_another_record_has_another_model(panel: list[Case]) -> None:
    assert set(still(ASKED, panel)) == ALWAYS.keys()
