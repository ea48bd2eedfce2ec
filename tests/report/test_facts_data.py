"""Facts of the training data, and of crawlers, against the archive's own files and tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from tests.report.queries import Case, Nothing, Query, Seen, grid, still, wrong

CLASSES = ("crawled", "public", "licensed", "private", "user", "synthetic", "other", "not classified")
PROGRAM = "made by the domain's program"


def domain(see: Seen) -> Any:
    return see.json(f"config/{next(iter(see.done()))}.json")["refs"]["domain"]


def domain_line(see: Seen) -> str:
    found = domain(see)
    return f"{found['name']}: " + ", ".join(f"{key} {value}" for key, value in sorted(found["settings"].items()))


def origins(see: Seen, cycle: str | None = None) -> Counter[str]:
    """Rows of the training set by what wrote them, by the rows' own word."""
    return Counter(see.rows(cycle)["origin"].to_list())


def split_sizes(see: Seen) -> tuple[int, int, int]:
    said = see.summary("seed", cycle="c0000")
    return see.rows().height, said["gate_tasks"], said["sealed_tasks"]


def splits(see: Seen) -> Any:
    training, gate, sealed = split_sizes(see)
    suites = see.made("suites", "c0000")
    return grid(
        "split use count unit digest",
        [
            ("training", "training", training, "rows", see.made("archive")),
            ("gate", "validation", gate, "tasks", suites),
            ("sealed", "testing", sealed, "tasks", suites),
            ("held out", "separation", None, "tasks", see.made("heldout", "c0000")),
        ],
    )


def magnitudes(see: Seen) -> Any:
    units = zip(("training", "validation", "testing"), split_sizes(see), ("rows", "tasks", "tasks"), strict=True)
    return grid(
        "split magnitude unit", [(name, f"10^{len(str(size)) - 1}" if size else "0", unit) for name, size, unit in units]
    )


def test_sets(see: Seen) -> Any:
    said, uses = see.summary("seed", cycle="c0000"), (
        ("gate_tasks", "gate", "decides promotions"),
        ("sealed_tasks", "sealed", "steers nothing"),
        ("frozen_rows", "human", "measures the fit to human data"),
        ("panel_prompts", "panel", "measures diversity"),
    )  # fmt: skip
    return grid("suite count use digest", [(name, said[key], use, see.made("suites", "c0000")) for key, name, use in uses])


test_sets.__test__ = False  # type: ignore[attr-defined]  # a query, whose fact has that name


def sources(see: Seen) -> list[tuple[str, str, str, str]]:
    found = [(one["origin"], one["licence"], one["path"]) for one in see.json("config/seed.json", "c0000")["config"]["sources"]]
    words = [origin.split(":")[0].strip().lower() for origin, _, _ in found]
    return [(*one, word if word in CLASSES else "not classified") for one, word in zip(found, words, strict=True)]


def used(see: Seen, name: str) -> bool | None:
    """Yes where a source says so; no where every source says what it is."""
    words = {word for _, _, _, word in sources(see)}
    return True if name in words else None if "not classified" in words else False


def unless(found: bool | None) -> bool | None:
    return None if found is None else not found


def origin_rows(see: Seen) -> Any:
    """Rows by the word of the row itself, each generator in the order in which it first wrote."""
    counts = origins(see)
    total = sum(counts.values())
    name = see.json("config/seed.json", "c0000")["refs"]["domain"]["name"] + (" and sources" if sources(see) else "")
    by = [("human", f"domain {name}", counts.pop("human"))]
    by += [("synthetic", f"model {see.called(model)}", count) for model, count in counts.items()]
    return grid("origin_class origin rows share", [(*one, one[2] / total) for one in by])


def class_rows(see: Seen) -> list[tuple[str, bool | None, int | None]]:
    """A source's rows are told apart by nobody, so its class has a yes and no number."""
    counts, words = origins(see), {word for _, _, _, word in sources(see)}
    model = sum(counts.values()) - counts["human"]
    found: list[tuple[str, bool | None, int | None]] = [
        (name, model > 0, model) if name == "synthetic" else (name, name in words, None if name in words else 0)
        for name in CLASSES
    ]
    return [*found, (PROGRAM, None, None) if words else (PROGRAM, True, counts["human"])]


def classes(see: Seen) -> Any:
    total = see.rows().height
    return grid("origin_class used rows share", [(*one, None if one[2] is None else one[2] / total) for one in class_rows(see)])


def licences(see: Seen) -> Any:
    counts = Counter(see.rows()["licence"].to_list())
    return grid("licence rows share", [(name, count, count / sum(counts.values())) for name, count in sorted(counts.items())])


def levels(see: Seen) -> Any:
    counts = Counter((level, origin == "human") for level, origin in see.rows().select("level", "origin").iter_rows())
    return grid(
        "level human synthetic",
        [(level, counts[level, True], counts[level, False]) for level in sorted({one for one, _ in counts})],
    )


def statistics(see: Seen) -> Any:
    rows = []
    for name, human in (("human", True), ("model", False)):
        some = [row for row in see.rows().iter_rows(named=True) if (row["origin"] == "human") == human]
        answers = [len(row["answer"]) for row in some]
        if some:
            mean = sum(len(row["prompt"]) for row in some) / len(some), sum(answers) / len(answers)
            rows.append((name, len(some), len({row["task"] for row in some}), *mean, max(answers)))
    return grid("origin rows tasks prompt_mean answer_mean answer_max", rows)


def shards(see: Seen) -> Any:
    """Of each cycle in the chain of archives: its rows by their own origins, and the cycle whose model wrote them."""
    rows = []
    for cycle in see.chain():
        counts = Counter(see.parquet("accepted/rows.parquet", cycle)["origin"].to_list())
        human = counts.pop("human", 0)
        writer = next(iter(counts), None)
        rows.append((cycle, human, sum(counts.values()), see.maker(writer) if writer else None, see.made("accepted", cycle)))
    return grid("cycle human synthetic generator digest", rows)


def collected(see: Seen) -> str:
    newest = [cycle for cycle in see.chain() if see.parquet("accepted/rows.parquet", cycle).height][-1]
    return str(see.said("seed" if newest == "c0000" else "verify", newest)["finished_at"])


def goes_on(see: Seen) -> bool:
    """Did one of the two newest merges of the whole record add rows?"""
    merged = [cycle for cycle in see.every if "merge" in see.done(cycle)][-2:]
    return any(see.parquet("accepted/rows.parquet", cycle).height for cycle in merged)


def contamination(see: Seen) -> Any:
    rows: list[Any] = [("held-out index", see.made("heldout", "c0000"), None)]
    for cycle in see.cycles:
        refused = see.maybe("seed" if cycle == "c0000" else "verify", "refused", cycle=cycle, default={})
        rows += [(reason, cycle, refused[reason]) for reason in refused if reason in {"held out", "contaminated"}]
    return grid("check where count", rows)


def excluded(see: Seen) -> Any:
    said = see.json(f"config/{'seed' if see.cycle == 'c0000' else 'verify'}.json")["config"]["exclude"]
    rows: list[Any] = [("licence", one) for one in said["licences"]]
    rows += [("rows", len(said["rows"]))] if said["rows"] else []
    rows += [("recall", said["recall"])] if said["recall"] else []
    return grid("kind value", rows)


def tampering(see: Seen) -> Any:
    data = {"archive", "accepted", "proposals", "heldout", "suites"}
    rows = [(phase, name, digest) for phase, done in see.done().items() for name, digest in done.inputs.items() if name in data]
    planted = see.maybe("verify", "canaries", default={})
    return grid("phase check value", [*rows, *(("verify", f"canaries {name}", planted[name]) for name in sorted(planted))])


def labelled(see: Seen) -> str:
    if "verify" not in see.done() or not see.maybe("verify", "judge_models"):
        return "unverified" if see.maybe("verify", "accept") == "unsafe_unverified" else "checks"
    return "judge model"


def text_columns(see: Seen) -> list[str]:
    """What a row holds: text, if its prompt and answer are text and no column is of bytes."""
    schema = see.rows().schema
    other = [str(kind) for kind in schema.values() if kind not in {pl.String, pl.Int32, pl.Int64}]
    return ["text"] if schema["prompt"] == schema["answer"] == pl.String and not other else other


def languages(see: Seen) -> list[str]:
    said = see.words("dataset.languages")
    return [one.strip() for one in said.split(",")] if said else [f"formal: {domain_line(see)}"]


def box(see: Seen) -> str:
    tokens = see.summary("train", "tokens")
    return "< 1 bn" if tokens < 10**9 else "1 bn to 10 tn" if tokens < 10**13 else "> 10 tn"


def crawled(see: Seen) -> bool:
    found = used(see, "crawled")
    if found is None:
        raise Nothing("origin")
    return found


def nothing_else(see: Seen) -> int:
    """Images, hours of sound and of pictures that move: as many as there are columns which are no text."""
    return len([one for one in text_columns(see) if one != "text"])


ASKED: dict[str, Query] = {
    "dataset.name": domain_line,
    "dataset.content_types": lambda see: f"tasks and answers of the domain {domain(see)['name']}",
    "dataset.languages": languages,
    "dataset.human_floor": lambda see: see.config("train", "config", "human_floor"),
    "dataset.splits": splits,
    "dataset.data_points": lambda see: grid(
        "split count unit tokens",
        [
            ("training", split_sizes(see)[0], "rows", see.maybe("train", "tokens")),
            ("validation", split_sizes(see)[1], "tasks", None),
            ("testing", split_sizes(see)[2], "tasks", None),
        ],
    ),
    "dataset.data_points_coarse": magnitudes,
    "dataset.test_sets": test_sets,
    "dataset.origins": origin_rows,
    "dataset.origin_classes": classes,
    "dataset.provenance": lambda see: [*(name for name, on, _ in class_rows(see)[:-1] if on), PROGRAM],
    "dataset.licences": licences,
    "dataset.sources": lambda see: grid("origin licence path origin_class", sources(see)),
    "dataset.public_list": lambda see: grid(
        "origin licence path origin_class", [one for one in sources(see) if one[3] == "public"]
    ),
    **{
        f"dataset.{name}_used": lambda see, name=name: used(see, name)
        for name in ("public", "licensed", "private", "user", "other")
    },
    **{
        f"dataset.no_{name}": lambda see, name=name: unless(used(see, name))
        for name in ("public", "licensed", "private", "user", "other")
    },
    "dataset.synthetic_used": lambda see: origins(see).keys() != {"human"},
    "dataset.modalities": text_columns,
    "dataset.text_only": lambda see: text_columns(see) == ["text"],
    "dataset.image_count": nothing_else,
    "dataset.audio_hours": nothing_else,
    "dataset.video_hours": nothing_else,
    "dataset.other_modalities": lambda see: [one for one in text_columns(see) if one != "text"],
    "dataset.text_bin": box,
    "dataset.bytes": lambda see: sum(see.file("accepted/rows.parquet", cycle).stat().st_size for cycle in see.chain()),
    "dataset.collection_start": lambda see: see.said("seed", "c0000")["started_at"],
    "dataset.collection_end": collected,
    "dataset.continuing": goes_on,
    "dataset.shards": shards,
    "dataset.levels": levels,
    "dataset.statistics": statistics,
    "dataset.contamination": contamination,
    "dataset.exclusions": excluded,
    "dataset.no_exclusions": lambda see: excluded(see)["rows"] == [],
    "dataset.tampering": tampering,
    "dataset.annotation": labelled,
    "crawl.used": crawled,
    "crawl.none": lambda see: not crawled(see),
}

ALWAYS = {
    **dict.fromkeys(
        ("dataset.modalities", "dataset.text_only"), "rows are text and nothing else in every record (`loopwright.plugins`)"
    ),
    **dict.fromkeys(
        ("dataset.image_count", "dataset.audio_hours", "dataset.video_hours", "dataset.other_modalities"), "likewise none"
    ),
}
"""Facts that no record of today changes."""


def test_facts_of_the_data_are_what_its_files_say(panel: list[Case]) -> None:
    assert wrong(ASKED, panel) == {}


def test_another_record_has_other_data(panel: list[Case]) -> None:
    assert set(still(ASKED, panel)) == ALWAYS.keys()
