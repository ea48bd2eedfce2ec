"""The verify phase: each refusal for its reason, nothing judged that need not be, and the same bytes every time."""

from __future__ import annotations

import dataclasses
import itertools
import json

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopwright.domains.contamination import FILE, NGRAMS, rows_of
from loopwright.errors import InfraError, IntegrityError, PlanError
from loopwright.store.tables import PROPOSALS, ROWS, read_table, write_table
from loopwright.types import Verdict, digest_bytes
from loopwright.verify import piles, schema, verify
from loopwright.verify.phase import DETAILS, LICENCE
from loopwright.verify.schema import SCHEMA, read_proposals


def run(workspace, *shards, output="out", **changes):
    workspace.propose(*shards)
    return verify(workspace.config(**changes), workspace.inputs, workspace.context(output))


def accepted(workspace, output="out"):
    return read_table(workspace.root / output / "accepted" / "rows.parquet", ROWS)


def reasons(workspace, output="out"):
    """(prompt, answer, sample's id) -> reason."""
    rows = read_table(workspace.root / output / "accepted" / "refused.parquet", DETAILS)
    return [(row["prompt"], row["answer"], row["reason"]) for row in rows]


def test_a_right_answer_is_accepted_with_all_that_is_known_about_it(workspace, row) -> None:
    summary = run(workspace, [row("3 4", "7", 0)])
    assert summary == {
        "accepted": 1, "refused": {}, "solved": {"2": 1.0}, "isolation": {"SL2": 1}, "scanned": 0, "accept": "verified",
        "probe": {"gold": None, "rerun": {"judged": 1, "failed": []}},
    }  # fmt: skip
    (found,) = accepted(workspace)
    assert found == {
        "id": row("3 4", "7", 0)["id"], "task": workspace.domain.task("3 4").id, "prompt": "3 4", "answer": "7", "level": 2,
        "origin": "sha256:" + "7" * 64, "licence": LICENCE, "signature": "sum-7", "cycle": "c0001",
        "prompt_digest": digest_bytes(b"3 4"), "verifier": found["verifier"],
    }  # fmt: skip
    assert found["verifier"].startswith("loopwright/programs@")


REFUSALS = [
    ({"sample": -1}, "schema", "sample: greater_than_or_equal_to(0)"),
    ({"answer": None}, "schema", "answer: not_nullable"),
    ({"answer": "7" * 70_000}, "schema", "answer: str_length(0, 65536)"),
    ({"id": "../../x y"}, "schema", "id: str_matches"),
    ({"prompt": "three four"}, "unknown task", None),
    ({"task": "0" * 16}, "task differs", None),
    ({"level": 3}, "task differs", None),
    ({"answer": " \n\t"}, "empty answer", None),
    ({"answer": "7\0"}, "malformed answer", None),
    ({"answer": "7\x1b[2J"}, "malformed answer", None),
    ({"answer": "8"}, "visible check failed", "visible check 0"),
    ({"answer": "~7"}, "hidden check failed", "hidden check 0"),
    ({"answer": "!LOAD_ERROR"}, "load error", None),
    ({"answer": "!TIMEOUT"}, "timeout", None),
    ({"answer": "!OUTPUT_LIMIT"}, "output limit", None),
    ({"answer": "!MEMORY"}, "memory", None),
    ({"answer": "!SIGNAL"}, "signal", None),
    ({"answer": "!BAD_OUTPUT"}, "bad output", None),
]


@pytest.mark.parametrize(("changes", "reason", "detail"), REFUSALS, ids=[f"{entry[1]}-{i}" for i, entry in enumerate(REFUSALS)])
def test_a_refused_row_is_kept_with_its_reason(workspace, row, changes, reason, detail) -> None:
    summary = run(workspace, [row("3 4", "7", 0, **changes), row("5 5", "10", 0)])
    assert summary["accepted"] == 1
    assert summary["refused"] == {reason: 1}
    (kept,) = read_table(workspace.root / "out" / "accepted" / "refused.parquet", DETAILS)
    assert kept["reason"] == reason
    assert kept["detail"] == detail or kept["detail"].startswith(detail)
    assert all(kept[name] == value for name, value in changes.items() if name in kept)


def test_what_belongs_to_a_suite_or_is_no_task_never_runs(workspace, row) -> None:
    held, unknown, empty = row("6 7", "13", 0), row("6 8", "14", 0, prompt="six"), row("6 9", " ", 0)
    summary = run(workspace, [held, unknown, empty, row("3 4", "7", 0)])
    assert summary["refused"] == {"empty answer": 1, "held out": 1, "unknown task": 1}
    assert set(workspace.domain.judged) == {("3 4", "7")}


def test_one_of_equal_answers_stays_and_is_judged_once(workspace, row) -> None:
    """Wherever the copy with the smallest sample index stands."""
    first = [row("3 4", "7", 2), row("3 4", "7", 1)]
    second = [row("3 4", "7", 0), row("3 4", "8", 3), row("3 4", "8", 4)]
    summary = run(workspace, first, second, rerun=0)
    assert [found["id"] for found in accepted(workspace)] == [second[0]["id"]]
    assert summary["refused"] == {"duplicate in cycle": 3, "visible check failed": 1}
    assert sorted(workspace.domain.judged) == [("3 4", "7"), ("3 4", "8")]
    assert summary["solved"] == {"2": 3 / 5}  # every sample counts for the curriculum, copies too


def test_a_refused_row_does_not_stand_in_the_way_of_an_equal_one(workspace, row) -> None:
    summary = run(workspace, [row("3 4", "7", 0, tokens=-1), row("3 4", "7", 1)])
    assert (summary["accepted"], summary["refused"]) == (1, {"schema": 1})


def test_rows_keep_the_order_of_the_shards(workspace, row) -> None:
    run(workspace, [row("3 5", "8", 1), row("3 4", "7", 0)], [row("3 6", "x", 2), row("1 1", "2", 0), row("1 2", "x", 0)])
    assert [found["prompt"] for found in accepted(workspace)] == ["3 5", "3 4", "1 1"]
    assert [prompt for prompt, _, _ in reasons(workspace)] == ["3 6", "1 2"]


def test_what_the_archive_has_is_refused_but_counts_as_solved(workspace, row) -> None:
    summary = run(workspace, [row("2 2", "4", 0), row("2 2", "=4", 1)])
    assert reasons(workspace) == [("2 2", "4", "duplicate in archive")]
    assert [found["answer"] for found in accepted(workspace)] == ["=4"]
    assert summary["solved"] == {"2": 1.0}


def test_the_limit_a_task_is_for_what_passed(workspace, row) -> None:
    answers = ["8", "07", "07", "=7", "7"]
    summary = run(workspace, [row("3 4", answer, sample) for sample, answer in reversed(list(enumerate(answers)))])
    assert {found["answer"] for found in accepted(workspace)} == {"07", "=7"}
    assert summary["refused"] == {"duplicate in cycle": 1, "over per task": 1, "visible check failed": 1}
    assert run(workspace, output="all", per_task=3)["accepted"] == 3


def test_the_curriculum_goes_by_level_and_forgets_none(workspace, row) -> None:
    workspace.weights = {"2": 0.5, "11": 0.1}
    odd = row("1 1 1", "3", 0, id="b", level=9)
    summary = run(workspace, [row("3 4", "7", 0), row("3 4", "8", 1), row("3 5", "x", 0), row("1 1 1", " ", 0), odd])
    curriculum = json.loads((workspace.root / "out" / "accepted" / "curriculum.json").read_bytes())
    assert curriculum == {
        "levels": {
            "2": {"tasks": 2, "samples": 3, "passed": 1, "rate": 1 / 3},
            "3": {"tasks": 1, "samples": 1, "passed": 0, "rate": 0},
            "11": {"tasks": 0, "samples": 0, "passed": 0, "rate": 0},
        }
    }
    assert summary["solved"] == {"2": 1 / 3, "3": 0}


def test_an_id_in_two_shards_counts_once(workspace, row) -> None:
    summary = run(workspace, [row("3 4", "7", 0)], [row("3 5", "8", 0, id=row("3 4", "7", 0)["id"])])
    assert summary["refused"] == {SCHEMA: 1}
    assert [found["prompt"] for found in accepted(workspace)] == ["3 4"]


def test_a_failing_machine_is_no_verdict(workspace, row) -> None:
    with pytest.raises(InfraError, match="1 of 2 answers could not be judged"):
        run(workspace, [row("3 4", "!INFRA", 0), row("3 5", "8", 0)])
    assert not (workspace.root / "out" / "accepted" / "rows.parquet").exists()


@pytest.mark.parametrize(("jail", "applied"), [("SL1", "SL2"), ("SL2", "SL1"), ("SL0", "SL0")])
def test_weaker_isolation_than_asked_stops_the_phase(workspace, row, jail, applied) -> None:
    workspace.jail.level, workspace.domain.level = jail, applied
    with pytest.raises(InfraError, match="the plan asks for SL2 at least"):
        run(workspace, [row("3 4", "7", 0)], minimum_level="SL2")
    assert bool(workspace.domain.judged) == (jail == "SL2")  # with a weak sandbox nothing even starts


def test_verdicts_without_execution_need_no_isolation(workspace, row) -> None:
    workspace.domain.level = "data"
    assert run(workspace, [row("3 4", "7", 0)])["isolation"] == {"data": 1}


def test_the_unverified_arm_takes_what_is_well_formed_and_says_so(workspace, row) -> None:
    workspace.jail.level = "SL0"
    rows = [row("3 4", "8", 0), row("3 4", "8", 1), row("6 7", "13", 0), row("3 5", " ", 0), row("2 2", "4", 0)]
    summary = run(workspace, rows, accept="unsafe_unverified")
    assert summary["accept"] == "unsafe_unverified"
    assert (summary["accepted"], summary["solved"], summary["isolation"]) == (1, {}, {})
    assert summary["refused"] == {"duplicate in archive": 1, "duplicate in cycle": 1, "empty answer": 1, "held out": 1}
    assert [(found["answer"], found["verifier"]) for found in accepted(workspace)] == [("8", "unsafe_unverified")]
    assert workspace.domain.judged == []


def test_no_proposals_give_empty_tables(workspace) -> None:
    summary = run(workspace)
    assert (summary["accepted"], summary["refused"], summary["solved"]) == (0, {}, {})
    assert accepted(workspace) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame.drop("answer"),
        lambda frame: frame.with_columns(pl.col("level").cast(pl.Int64)),
        lambda frame: frame.with_columns(reason=pl.lit("fine")),
        None,
    ],
    ids=["column missing", "other type", "column too many", "damaged"],
)
def test_a_shard_that_is_no_table_of_proposals_stops_the_phase(workspace, row, spoil) -> None:
    workspace.propose([row("3 4", "7", 0)])
    shard = workspace.root / "proposals" / "shard-00000.parquet"
    if spoil is None:
        shard.write_bytes(shard.read_bytes()[:-20])
    else:
        spoil(pl.read_parquet(shard)).write_parquet(shard)
    with pytest.raises(IntegrityError, match="shard-00000"):
        verify(workspace.config(), workspace.inputs, workspace.context())


def test_a_damaged_archive_stops_the_phase(workspace, row) -> None:
    rows = workspace.root / "cycles" / "c0000" / "accepted" / "rows.parquet"
    rows.chmod(0o644)
    rows.write_bytes(rows.read_bytes()[:-1] + b"?")
    with pytest.raises(IntegrityError):
        run(workspace, [row("3 4", "7", 0)])


def test_proposals_of_nobody_are_refused(workspace, row) -> None:
    workspace.propose([row("3 4", "7", 0)])
    (workspace.root / "proposals" / "generation.json").write_text("{}")
    with pytest.raises(IntegrityError, match="which model"):
        verify(workspace.config(), workspace.inputs, workspace.context())


def test_recipe_proposals_are_taken_or_kept_with_their_reason(workspace) -> None:
    base = workspace.config().recipe_base.split("\n")
    line = base.index("cycle:") + 2
    good = f"--- a/recipe.yaml\n+++ b/recipe.yaml\n@@ -{line} +{line} @@\n-  steps: 220\n+  steps: 300\n"
    workspace.propose([], recipe=good)
    summary = verify(workspace.config(), workspace.inputs, workspace.context())
    assert summary["recipe"] == {"accepted": True}
    assert "steps: 300" in (workspace.root / "out" / "accepted" / "recipe.yaml").read_text()
    bad = good.replace("recipe.yaml", "loop.yaml")
    workspace.propose([], recipe=bad)
    summary = verify(workspace.config(), workspace.inputs, workspace.context("again"))
    assert not summary["recipe"]["accepted"]
    folder = workspace.root / "again" / "accepted"
    assert not (folder / "recipe.yaml").exists()
    assert json.loads((folder / "refused_recipe.json").read_bytes()) == {"diff": bad, "reason": summary["recipe"]["reason"]}


COUNTER = itertools.count()
samples = st.lists(
    st.tuples(
        st.sampled_from(["3 4", "3 5", "2 2", "6 7", "1 1 1"]), st.sampled_from(["7", "8", "=7", "~7", "4", "!TIMEOUT", " "])
    ),
    max_size=14,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(samples, st.integers(1, 4), st.randoms(use_true_random=False))
def test_rows_in_are_rows_out_however_they_are_cut(workspace, row, drawn, cut, random) -> None:
    """Every row is accepted or refused, never both; shards and their order change only the order of the rows."""
    rows = [row(prompt, answer, index, id=f"r{index}") for index, (prompt, answer) in enumerate(drawn)]
    shuffled = random.sample(rows, len(rows))
    outcomes = []
    for name, shards in (("one", [rows]), ("many", [shuffled[start::cut] for start in range(cut)])):
        for old in (workspace.root / "proposals").glob("shard-*"):
            old.unlink()
        output = workspace.root / f"{name}-{next(COUNTER)}"
        run(workspace, *shards, output=output.name)
        refused = read_table(output / "accepted" / "refused.parquet", DETAILS)
        taken = read_table(output / "accepted" / "rows.parquet", ROWS)
        outcomes.append({found["id"]: "accepted" for found in taken} | {found["id"]: found["reason"] for found in refused})
        assert len(taken) + len(refused) == len(rows)
    assert outcomes[0] == outcomes[1]


def test_what_is_decided_in_piles_is_decided_alike(workspace, row, monkeypatch) -> None:
    """Of every kind of refusal some, on piles of two rows: ids that another pile has, copies, the archive, what fails the second look."""
    rows = [
        row(prompt, answer, sample, id=f"r{sample % 33}")
        for sample, (prompt, answer) in enumerate(
            itertools.product(["3 4", "3 5", "2 2", "6 7", "1 1 1"], ["7", "8", "=7", "~7", "4", " ", "7"])
        )
    ]
    rows += [
        row("3 4", "07", 99, id=rows[-1]["id"]),
        row("3 4", "07", 98, task="other", id="o"),
        row("3 4", "7", 97, prompt="x", id="x"),
    ]
    gold = [(workspace.domain.task("5 5"), answer, answer == "10") for answer in ("10", "11", "010", "9")]
    workspace.domain.gold = lambda seed, count: gold
    whole = run(workspace, rows[:20], rows[20:], output="whole", per_task=2, rerun=3, gold=4)
    monkeypatch.setattr(piles, "LARGEST", 2)
    monkeypatch.setattr(schema, "_BATCH", 5)
    cut = run(workspace, rows[:20], rows[20:], output="cut", per_task=2, rerun=3, gold=4)
    assert cut == whole
    assert set(whole["refused"]) >= {
        "schema",
        "unknown task",
        "task differs",
        "held out",
        "duplicate in archive",
        "duplicate in cycle",
    }
    assert whole["probe"]["gold"]["recall"]["n"] == 1
    for name, columns in (("rows", ROWS), ("refused", DETAILS)):
        one, other = (workspace.root / output / "accepted" / f"{name}.parquet" for output in ("whole", "cut"))
        assert read_table(one, columns) == read_table(other, columns)
    assert pq.ParquetFile(other).num_row_groups > 10
    assert not list(workspace.root.glob("by-*"))


def test_a_shard_is_checked_by_row_groups(workspace, row, monkeypatch) -> None:
    rows = [row("3 4", answer, sample, id=f"r{sample}") for sample, answer in enumerate(["7", "8", None, "=7", "7"])]
    expected = run(workspace, rows)["refused"]
    shard = workspace.root / "proposals" / "shard-00000.parquet"
    pl.read_parquet(shard).write_parquet(shard, row_group_size=2)
    monkeypatch.setattr(schema, "_BATCH", 1)
    assert [frame["row"].to_list() for frame in read_proposals(shard.parent)] == [[0, 1], [2, 3], [4]]
    assert verify(workspace.config(), workspace.inputs, workspace.context("groups"))["refused"] == expected


def test_the_same_inputs_give_the_same_bytes(workspace, row) -> None:
    rows = [row("3 4", answer, sample) for sample, answer in enumerate(["7", "8", "!TIMEOUT", "=7", "~7"])]
    for output in ("one", "two"):
        run(workspace, rows, output=output)
    files = sorted(path.name for path in (workspace.root / "one" / "accepted").iterdir())
    assert files == ["curriculum.json", "probe.json", "refused.parquet", "rows.parquet"]
    for name in files:
        one, two = ((workspace.root / output / "accepted" / name).read_bytes() for output in ("one", "two"))
        assert one == two


def test_reading_proposals_checks_values_and_not_only_columns(workspace, row) -> None:
    workspace.propose([row("3 4", "7", 0, tokens=-5)])
    (frame,) = read_proposals(workspace.root / "proposals")
    assert frame["reason"].to_list() == [SCHEMA]
    assert frame.columns[1:9] == list(PROPOSALS)


def test_a_domain_without_hidden_checks_is_refused_unless_the_plan_says_so(workspace, row) -> None:
    class Shown(type(workspace.domain)):
        def task(self, prompt):
            task = super().task(prompt)
            return dataclasses.replace(task, checks={"visible": task.checks["visible"]})

        def judge(self, pairs, purposes, sandbox, progress=None):
            assert tuple(purposes) == ("visible",)
            return [Verdict(status="PASS", level="SL2") for _ in pairs]

    workspace.domain = Shown()
    with pytest.raises(PlanError, match="without a hidden check") as caught:
        run(workspace, [row("3 4", "7", 0)])
    assert "unsafe_no_hidden_tests" in caught.value.next_step
    summary = run(workspace, [row("3 4", "7", 0)], output="unsafe", unsafe_no_hidden_tests=True)
    assert (summary["accepted"], summary["unsafe_no_hidden_tests"]) == (1, True)


def test_text_of_a_suite_is_refused_and_never_judged(workspace, row) -> None:
    numbers = " ".join(map(str, range(13)))
    gate = dataclasses.replace(workspace.domain.task("1"), prompt=numbers, checks={})
    write_table(workspace.inputs["heldout"] / FILE, NGRAMS, rows_of({"gate": [gate], "sealed": []}))
    summary = run(workspace, [row("3 4", "7", 0), row("3 5", f"8 {numbers}", 0), row(f"1 {numbers}", "79", 0)])
    assert (summary["accepted"], summary["refused"]) == (1, {"contaminated": 2})
    assert {prompt for prompt, _ in workspace.domain.judged} == {"3 4"}
