"""The training, validation and test data: how much, in which parts, since when, and what keeps them apart."""

from __future__ import annotations

import math
from typing import Any

from loopwright.report.facts.binding import alias, fact, table
from loopwright.report.facts.changes import rows_of
from loopwright.report.facts.lineage import shards
from loopwright.report.facts.reading import Absent, Reader
from loopwright.store.tables import part_names


def _totals(see: Reader) -> tuple[int, int]:
    """Human and synthetic rows of the document's training set."""
    if "merge" in see.cycle.phases:
        said = see.summary("merge")
        return int(said["human"]), int(said["synthetic"])
    return int(see.told("seed")["human_rows"]), 0


@fact("dataset.name")
def _name(see: Reader) -> str:
    refs = see.plugin("domain", next(iter(see.cycle.phases)))
    told = ", ".join(f"{key} {value}" for key, value in sorted(refs.get("settings", {}).items()))
    return f"{refs['name']}: {told}" if told else str(refs["name"])


@fact("dataset.archive")
def _archive(see: Reader) -> str:
    return see.artifact("archive").digest


@fact("dataset.training_rows", "counted")
def _training_rows(see: Reader) -> int:
    return sum(_totals(see))


@fact("dataset.human_rows", "counted")
def _human_rows(see: Reader) -> int:
    return _totals(see)[0]


@fact("dataset.synthetic_rows", "counted")
def _synthetic_rows(see: Reader) -> int:
    return _totals(see)[1]


@fact("dataset.synthetic_share", "counted")
def _synthetic_share(see: Reader) -> float:
    human, synthetic = _totals(see)
    if not human + synthetic:
        raise Absent("rows")
    return synthetic / (human + synthetic)


alias("monitor.own_output_share", "dataset.synthetic_share", "counted")


@fact("dataset.training_tokens", "counted")
def _training_tokens(see: Reader) -> int:
    return int(see.told("train")["tokens"])


alias("dataset.text_tokens", "dataset.training_tokens", "counted")


@fact("dataset.human_share", "counted")
def _human_share(see: Reader) -> float:
    found = see.summary("examine").get("figures", {}).get("human_share")
    if found is None:
        raise Absent("human_share")
    return float(found["value"])


@fact("dataset.human_floor")
def _human_floor(see: Reader) -> float:
    return float(see.config("train")["config"]["human_floor"])


@fact("dataset.splits", "counted")
def _splits(see: Reader) -> Any:
    first = see.record("c0000")
    seeded = see.told("seed", first)
    suites, held = see.artifact("suites", first).digest, see.artifact("heldout", first).digest
    return table(
        "split use count unit digest",
        [
            ["training", "training", see.fact("dataset.training_rows"), "rows", see.fact("dataset.archive")],
            ["gate", "validation", seeded["gate_tasks"], "tasks", suites],
            ["sealed", "testing", seeded["sealed_tasks"], "tasks", suites],
            ["held out", "separation", None, "tasks", held],
        ],
    )


@fact("dataset.test_sets", "counted")
def _test_sets(see: Reader) -> Any:
    first = see.record("c0000")
    seeded, digest = see.phase("seed", first).summary, see.artifact("suites", first).digest
    uses = {
        "gate_tasks": ("gate", "decides promotions"),
        "sealed_tasks": ("sealed", "steers nothing"),
        "frozen_rows": ("human", "measures the fit to human data"),
        "panel_prompts": ("panel", "measures diversity"),
    }
    rows = [[name, seeded[key], use, digest] for key, (name, use) in uses.items() if key in seeded]
    return table("suite count use digest", rows)


@fact("dataset.data_points", "counted")
def _data_points(see: Reader) -> Any:
    rows = {row[1]: row for row in see.fact("dataset.splits")["rows"]}
    tokens = see.maybe("dataset.training_tokens")
    told = [["training", rows["training"][2], "rows", tokens]]
    return table("split count unit tokens", [*told, *([use, rows[use][2], "tasks", None] for use in ("validation", "testing"))])


@fact("dataset.data_points_coarse", "derived")
def _data_points_coarse(see: Reader) -> Any:
    rows = see.fact("dataset.data_points")["rows"]
    return table(
        "split magnitude unit", [[row[0], f"10^{math.floor(math.log10(row[1]))}" if row[1] else "0", row[2]] for row in rows]
    )


@fact("dataset.shards", "counted")
def _shards_table(see: Reader) -> Any:
    rows = [[one.cycle, one.human, one.synthetic, one.maker, one.digest] for one in shards(see, see.cycle)]
    return table("cycle human synthetic generator digest", rows)


@fact("dataset.bytes", "counted")
def _size(see: Reader) -> int:
    """Bytes of the tables of accepted rows, by the manifests of the archive's shards."""
    found = [see.artifact("accepted", see.record(one.cycle)) for one in shards(see, see.cycle)]
    sizes = [{file.path: file.size for file in see.files(item)} for item in found]
    return sum(files[name] for files in sizes for name in part_names("rows.parquet", files))


@fact("dataset.collection_start")
def _collection_start(see: Reader) -> str:
    return see.phase("seed", see.record("c0000")).started_at


@fact("dataset.collection_end")
def _collection_end(see: Reader) -> str:
    """When the newest shard with rows was accepted."""
    found = [one for one in shards(see, see.cycle) if one.human + one.synthetic]
    record = see.record(found[-1].cycle)
    return see.phase("verify" if "verify" in record.phases else "seed", record).finished_at


@fact("dataset.continuing", "derived")
def _continuing(see: Reader) -> bool:
    """Did a cycle after the first add rows, as the record of the whole loop shows?"""
    grown = [record for record in see.state.cycles.values() if record.prev and "merge" in record.phases]
    return any(rows_of(see, see.record(record.cycle)) != rows_of(see, see.record(record.prev)) for record in grown[-2:])


@fact("dataset.modalities")
def _modalities(see: Reader) -> list[str]:
    """Text crosses the seam between domain, model and sandbox, and nothing else does (`loopwright.plugins`)."""
    see.artifact("archive")
    return ["text"]


alias("gen.modality", "dataset.modalities")


@fact("dataset.text_only")
def _text_only(see: Reader) -> bool:
    return bool(see.fact("dataset.modalities") == ["text"])


for _path in ("image_count", "audio_hours", "video_hours"):
    fact(f"dataset.{_path}", "counted")(lambda see: 0 if see.fact("dataset.text_only") else None)


@fact("dataset.other_modalities")
def _other_modalities(see: Reader) -> list[str]:
    return [one for one in see.fact("dataset.modalities") if one not in {"text", "image", "audio", "video"}]


@fact("dataset.languages", "answered")
def _languages(see: Reader) -> list[str]:
    from loopwright.report.facts.answered import answer

    said = answer(see, "dataset.languages")
    return [part.strip() for part in str(said).split(",")] if said else [f"formal: {see.fact('dataset.name')}"]


@fact("dataset.content_types")
def _content_types(see: Reader) -> str:
    refs = see.plugin("domain", next(iter(see.cycle.phases)))
    return f"tasks and answers of the domain {refs['name']}"


_BINS = ((1e9, "< 1 bn"), (1e13, "1 bn to 10 tn"))


@fact("dataset.text_bin", "derived")
def _text_bin(see: Reader) -> str:
    tokens = see.fact("dataset.text_tokens")
    return next((box for limit, box in _BINS if tokens < limit), "> 10 tn")


@fact("dataset.levels", "counted")
def _levels(see: Reader) -> Any:
    by: dict[tuple[int, str], int] = {}
    for one in shards(see, see.cycle):
        frame = see.table(see.artifact("accepted", see.record(one.cycle)), "rows.parquet")
        for level, origin, count in frame.group_by("level", "origin").len().rows():
            key = (int(level), "human" if origin == "human" else "model")
            by[key] = by.get(key, 0) + count
    rows = [[level, by.get((level, "human"), 0), by.get((level, "model"), 0)] for level in sorted({key[0] for key in by})]
    return table("level human synthetic", rows)


@fact("dataset.statistics", "counted")
def _statistics(see: Reader) -> Any:
    """Characters and distinct prompts by origin, over all shards of the training set."""
    import polars as pl

    found = [see.table(see.artifact("accepted", see.record(one.cycle)), "rows.parquet") for one in shards(see, see.cycle)]
    frame = pl.concat([one.select("origin", "task", "prompt", "answer") for one in found])
    frame = frame.with_columns(origin=pl.when(pl.col("origin") == "human").then(pl.lit("human")).otherwise(pl.lit("model")))
    told = frame.group_by("origin").agg(
        rows=pl.len(),
        tasks=pl.col("task").n_unique(),
        prompt_mean=pl.col("prompt").str.len_chars().mean(),
        answer_mean=pl.col("answer").str.len_chars().mean(),
        answer_max=pl.col("answer").str.len_chars().max(),
    )
    return table("origin rows tasks prompt_mean answer_mean answer_max", told.sort("origin").rows())


@fact("dataset.contamination", "counted")
def _contamination(see: Reader) -> Any:
    """What kept the tasks of gate and sealed set out of the training: by signature and by sequence of words, and with what result."""
    first = see.record("c0000")
    held = see.artifact("heldout", first)
    rows = [["held-out index", held.digest, None]]
    for record in see.cycles():
        refused = see.summary("verify" if "verify" in record.phases else "seed", record).get("refused", {})
        rows += [[reason, record.cycle, count] for reason, count in refused.items() if held_out(reason)]
    return table("check where count", rows)


def held_out(reason: str) -> bool:
    """Is it the verifier's word for a row that touches the gate or the sealed set?"""
    return reason in {"held out", "contaminated"}


@fact("dataset.exclusions")
def _exclusions(see: Reader) -> Any:
    phase = "verify" if "verify" in see.cycle.phases else "seed"
    said = see.config(phase)["config"].get("exclude", {})
    rows = [["licence", one] for one in said.get("licences", ())]
    rows += [["rows", len(said["rows"])]] if said.get("rows") else []
    return table("kind value", [*rows, *([["recall", said["recall"]]] if said.get("recall") else [])])


@fact("dataset.no_exclusions")
def _no_exclusions(see: Reader) -> bool:
    return not see.fact("dataset.exclusions")["rows"]


@fact("dataset.tampering", "measured")
def _tampering(see: Reader) -> Any:
    """Each phase hashes its inputs against the record before it reads them; canaries try the judge of what comes in."""
    rows = [
        [phase, item["name"], item["digest"]]
        for phase in see.cycle.phases
        for item in see.phase(phase).inputs
        if item["name"] in _DATA
    ]
    rows += [
        ["verify", f"canaries {name}", count] for name, count in sorted((see.summary("verify").get("canaries") or {}).items())
    ]
    return table("phase check value", rows)


_DATA = ("archive", "accepted", "proposals", "heldout", "suites")


@fact("dataset.annotation", "derived")
def _annotation(see: Reader) -> str:
    if "verify" not in see.cycle.phases:
        return "checks"
    judges = see.summary("verify").get("judge_models", ())
    return "judge model" if judges else "unverified" if see.summary("verify").get("accept") == "unsafe_unverified" else "checks"
