"""Facts of what models wrote, of what the checks refused, and of changes of code, against tables, settings and requests."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import Any

from tests.report.queries import Case, Nothing, Query, Seen, grid, kind, leaves, still, wilson, wrong
from tests.report.test_facts_data import ALWAYS as DATA_ALWAYS
from tests.report.test_facts_data import text_columns
from tests.report.test_facts_models import action, author, depth, released, writers, wrote


def market(see: Seen) -> list[str]:
    try:
        return released(see)
    except LookupError:
        return []


def generators(see: Seen) -> list[list[Any]]:
    """Each model with rows in the training set: where it wrote, what it made there and what of it stayed."""
    rows, total = [], see.rows().height
    for model, kept in writers(see).items():
        where = [cycle for cycle in see.chain() if model in see.parquet("accepted/rows.parquet", cycle)["origin"].to_list()]
        made = sum(see.summary("generate", "rows", cycle=cycle) for cycle in where)
        rows.append([see.maker(model), see.named(model), model, ", ".join(where), made, kept, kept / total])
    return rows


def listed(see: Seen, *, public: bool | None = None) -> Any:
    """All of them, those on the market, or the loop's own that are not."""
    rows = generators(see)
    if public and any(row[0] is None for row in rows):
        raise Nothing("a model of others: nobody here knows")
    if public is not None:
        rows = [row for row in rows if row[0] and (row[0] in market(see)) == public]
    return grid("cycle name model wrote_in samples kept share", rows)


def lineage(see: Seen) -> list[tuple[Any, ...]]:
    """The training set by who wrote it, then that of each model which did, each once; a model of others by its digest alone."""
    rows, waiting = list[tuple[Any, ...]](), [see.cycle]
    for cycle in waiting:
        wrote_rows, total = writers(see, cycle), see.rows(cycle).height
        by = [
            ("human", total - sum(wrote_rows.values())),
            *((f"model {see.called(model)}", rows) for model, rows in wrote_rows.items()),
        ]
        rows += [(cycle, cycle in market(see), depth(see, cycle), name, count, count / total) for name, count in by if count]
        waiting += [maker for model in wrote_rows if (maker := see.maker(model)) and maker not in waiting]
        unknown = [(see.called(model), None, None, None, None, None) for model in wrote_rows if not see.maker(model)]
        rows += [row for row in unknown if row not in rows]
    return rows


def reached(see: Seen) -> list[str]:
    """Names of the models behind the training set, the nearest first."""
    names = dict.fromkeys(row[0] for row in lineage(see) if row[0] != see.cycle)
    return [f"{see.entries[0]['predicate']['name']} {name}" if name in see.every else name for name in names]


def sums(see: Seen) -> dict[str, int]:
    human = int((see.rows()["origin"] == "human").sum())
    return {"generators": len(reached(see)), "depth": depth(see), "human": human, "synthetic": see.rows().height - human}


def by_cycle(see: Seen) -> Any:
    rows = []
    for cycle in see.cycles:
        if "generate" in see.done(cycle):
            said, kept, model = (
                see.summary("generate", cycle=cycle),
                see.summary("verify", "accepted", cycle=cycle),
                wrote(see.done(cycle)["generate"]),
            )
            rows.append(
                (
                    cycle,
                    see.called(model),
                    said["tasks"],
                    said["rows"],
                    kept,
                    wilson(kept, said["rows"]),
                    said["tokens"],
                )
            )
    return grid("cycle generator tasks samples kept keep_rate tokens", rows)


def prompts(see: Seen) -> Any:
    see.said("generate")
    digest = "sha256:" + hashlib.sha256(see.file("proposals/tasks.parquet").read_bytes()).hexdigest()
    counts = Counter(level for level, _ in set(see.parquet("proposals/tasks.parquet").select("level", "prompt").rows()))
    return grid("level count digest", [(level, counts[level], digest) for level in sorted(counts)])


def published(see: Seen) -> bool:
    said = (see.words("gen.published") or "").lower()
    if not said.startswith(("yes", "no")):
        raise Nothing("answer")
    return said.startswith("yes")


def refused(see: Seen, cycle: str | None = None) -> dict[str, int]:
    name = "seed" if (cycle or see.cycle) == "c0000" else "verify"
    return dict(see.summary(name, "refused", cycle=cycle))


def similar(see: Seen) -> Any:
    rows: list[Any] = [
        (word, count)
        for word, count in see.maybe("verify", "refused", default={}).items()
        if "duplicate" in word or word == "contaminated"
    ]
    figure = see.maybe("examine", "figures", "generated_surprisal")
    return grid("check value", [*rows, *([("generated_surprisal", figure)] if figure else [])])


def counted(*words: str, claimed: bool = True) -> Query:
    """Rows refused for a reason with one of these words; what nothing looked for is not claimed to be none."""

    def query(see: Seen) -> int:
        found = [count for reason, count in refused(see).items() if any(word in reason for word in words)]
        if not found and not claimed:
            raise Nothing(words[0])
        return sum(found)

    return query


def refusals(see: Seen) -> Any:
    return grid("cycle reason count", [(cycle, *one) for cycle in see.cycles for one in sorted(refused(see, cycle).items())])


def in_and_out(see: Seen) -> Any:
    rows = []
    for cycle in see.cycles:
        kept, out = see.parquet("accepted/rows.parquet", cycle).height, sum(refused(see, cycle).values())
        rows.append((cycle, see.maybe("generate", "rows", cycle=cycle, default=kept + out), out, kept))
    return grid("cycle made refused kept", rows)


def rules(see: Seen) -> Any:
    said = leaves(see.config("seed" if see.cycle == "c0000" else "verify")["config"])
    return grid("setting value", [one for one in said if one[0] != "recipe_base"])


def canaries(see: Seen) -> Any:
    found = [(phase, done.said["summary"].get("canaries")) for phase, done in see.by_phase()]
    return grid(
        "phase right wrong hostile misjudged",
        [(phase, one["good"], one["wrong"], one["hostile"], 0) for phase, one in found if one],
    )


def reruns(see: Seen) -> dict[str, int]:
    said = see.summary("verify", "probe", "rerun")
    if not said:
        raise Nothing("rerun")
    return {"judged": said["judged"], "differed": len(said["failed"])}


def bias(see: Seen) -> Any:
    """For each group of each slice: tasks of it that were asked, and rows of such tasks that were kept."""
    see.said("generate")
    tasks = {
        row["id"]: {"level": row["level"], **json.loads(row["slices"])}
        for row in see.parquet("proposals/tasks.parquet").iter_rows(named=True)
    }
    kept = see.parquet("accepted/rows.parquet")["task"].to_list()
    groups = sorted({(column, str(value)) for one in tasks.values() for column, value in one.items()})
    rows = []
    for column, value in groups:
        members = {name for name, one in tasks.items() if str(one.get(column)) == value}
        stayed = len([name for name in kept if name in members])
        rows.append((column, value, len(members), stayed, len(members) / len(tasks), stayed / max(len(kept), 1)))
    return grid("slice group asked kept asked_share kept_share", rows)


def request_id(entry: Any) -> str:
    told = {key: value for key, value in entry.items() if key != "keyid"}
    return (
        "sha256:"
        + hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
    )


def recipes(see: Seen) -> list[tuple[Any, ...]]:
    """Recipes that cycles tried, with the persons whose approvals the entry carried out that let each in."""
    people, rows = {one["id"]: one["kind"] for one in see.entries[0]["predicate"]["principals"]}, []
    for cycle in see.cycles:
        told = see.opened(cycle)["recipe"]
        if told:
            let_in, key = see.entries[told["approval"]]["predicate"], author(see, cycle)
            approvers = ", ".join(see.entries[place]["keyid"] for place in let_in["approvals"])
            rows.append((cycle, told["path"], told["digest"], f"{people[str(key)]} {key}", approvers, action(see, cycle)))
    return rows


def packages(see: Seen) -> Any:
    found = [(phase, *one) for phase, done in see.by_phase() for one in sorted(done.said["environment"]["packages"].items())]
    return grid("phase package digest", found)


def reviews(see: Seen) -> Any:
    rows = []
    for place, entry in enumerate(see.entries):
        said = entry["predicate"]
        if kind(entry) == "request" and said["action"] in {"recipe", "judge", "policy", "envelope", "admission"}:
            told = see.told("approval", request=request_id(entry))
            answers = ", ".join(f"{one['answer']} {signer}" for _, signer, one in told)
            done = [leaf for leaf, _, _ in see.told("execute", request=request_id(entry))]
            rows.append((place, said["action"], entry["keyid"], answers, next(iter(done), None)))
    return grid("leaf action proposer answers executed", rows)


def judge_changes(see: Seen) -> Any:
    """Another judge than the cycle before; the entry, if any, that carried out a request for just this one."""
    judges = {cycle: see.opened(cycle)["code"]["judge"] for cycle in see.cycles}
    rows = []
    for before, cycle in zip(see.cycles, see.cycles[1:], strict=False):
        if judges[before] != judges[cycle]:
            opened = next(place for place, _, said in see.told("open") if said["cycle"] == cycle)
            done = [
                place
                for place, entry in enumerate(see.entries[:opened])
                if kind(entry) == "execute"
                and entry["predicate"]["action"] == "judge"
                and request_for(see, entry) == judges[cycle]
            ]
            rows.append((cycle, judges[before], judges[cycle], next(iter(done), None)))
    return grid("cycle before after executed", rows)


def request_for(see: Seen, entry: Any) -> str:
    asked = next(one for one in see.entries if kind(one) == "request" and request_id(one) == entry["predicate"]["request"])
    return "sha256:" + str(asked["subject"][0]["digest"]["sha256"])


ASKED: dict[str, Query] = {
    "gen.used": lambda see: bool(writers(see)),
    "gen.none": lambda see: not writers(see),
    "gen.generators": listed,
    "gen.market_generators": lambda see: listed(see, public=True),
    "gen.own_generators": lambda see: listed(see, public=False),
    "gen.no_market": lambda see: not listed(see, public=True)["rows"],
    "gen.lineage": lambda see: grid("cycle market depth origin rows share", lineage(see)),
    "gen.lineage_summary": sums,
    "gen.generator_names": reached,
    "gen.depth": depth,
    "gen.modality": text_columns,
    "gen.discarded": lambda see: see.summary("generate", "rows") - see.parquet("accepted/rows.parquet").height,
    "gen.keep_rate": lambda see: wilson(see.parquet("accepted/rows.parquet").height, see.summary("generate", "rows")),
    "gen.total_samples": lambda see: sum(see.maybe("generate", "rows", cycle=cycle, default=0) for cycle in see.chain()),
    "gen.by_cycle": by_cycle,
    "gen.configuration": lambda see: grid("setting value", leaves(see.config("generate")["config"])),
    "gen.prompts": prompts,
    "gen.published": published,
    "gen.similarity": similar,
    "filter.by_cycle": refusals,
    "filter.in_out": in_and_out,
    "filter.rules": rules,
    "filter.duplicates": counted("duplicate"),
    "filter.contaminated": counted("held out", "contaminated"),
    "filter.opted_out": counted("recalled", "excluded"),
    "filter.illegal": counted("illegal", claimed=False),
    "filter.personal_data": counted("personal data", claimed=False),
    "filter.canaries": canaries,
    "filter.reruns": reruns,
    "filter.bias": bias,
    "code.recipes": lambda see: grid("cycle path digest author approver decision", recipes(see)),
    "code.count": lambda see: len(recipes(see)),
    "code.by_models": lambda see: len([row for row in recipes(see) if row[3].startswith("agent ")]),
    "code.none": lambda see: recipes(see) == [],
    "code.packages": packages,
    "code.reviews": reviews,
    "code.judge_changes": judge_changes,
}

ALWAYS = {"gen.modality": DATA_ALWAYS["dataset.modalities"]}


def test_facts_of_making_and_refusing_are_what_tables_and_requests_say(panel: list[Case]) -> None:
    assert wrong(ASKED, panel) == {}


def test_another_record_made_and_refused_otherwise(panel: list[Case]) -> None:
    assert set(still(ASKED, panel)) == ALWAYS.keys()
