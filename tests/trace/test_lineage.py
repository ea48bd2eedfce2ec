"""Per-sample lineage of a real loop, both ways, in the words of others, and from an index that may be lost or lied to."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import polars as pl
import pytest
from prov.model import ProvActivity, ProvDocument, ProvEntity

from loopwright.cli import app
from loopwright.errors import IntegrityError, UsageError
from loopwright.trace.exchange import openlineage_events, prov_json
from loopwright.trace.lineage import lineage
from loopwright.trace.rows import open_rows
from loopwright.workspace import Workspace


@pytest.fixture
def loop(turned: Path) -> Workspace:
    return Workspace(root=turned)


def test_a_row_leads_to_all_that_made_it_and_all_that_learnt_from_it(loop: Workspace) -> None:
    table = pl.read_parquet(loop.root / "cycles/c0001/accepted/rows.parquet")
    row, state = table.to_dicts()[3], loop.state()
    [found] = lineage(loop, row["id"]).rows
    verify = state.cycles["c0001"].phases["verify"]
    assert (found["task"], found["prompt"], found["licence"]) == (row["task"], row["prompt_digest"], row["licence"])
    assert found["generator"] == {"digest": state.cycles["c0000"].artifact("model").digest, "model": "c0000/model"}
    assert found["verifier"]["key"] == verify.key
    assert found["verifier"]["isolation"] == verify.summary["isolation"]
    assert found["data_sets"] == ["c0001/archive", "c0002/archive"]
    assert found["models"] == ["c0001/model", "c0002/model"]
    shards = sorted((loop.root / "cycles/c0001/proposals").glob("shard-*.parquet"))
    drawn = pl.concat([pl.read_parquet(file) for file in shards]).filter(pl.col("id") == row["id"]).to_dicts()[0]
    assert found["drawn"] == {name: drawn[name] for name in ("sample", "seed", "tokens")}
    assert {one["id"] for one in lineage(loop, row["task"]).rows} == set(table.filter(pl.col("task") == row["task"])["id"])


def test_a_human_row_was_let_in_by_the_seed_phase(loop: Workspace) -> None:
    row = pl.read_parquet(loop.root / "cycles/c0000/accepted/rows.parquet").to_dicts()[0]
    [found] = lineage(loop, row["id"], down=True).rows
    assert (found["generator"], found["drawn"], found["verifier"]["phase"]) == (None, None, "c0000/seed")
    assert found["models"] == ["c0000/model", "c0001/model", "c0002/model"]


def test_a_model_leads_to_its_rows(loop: Workspace) -> None:
    behind = lineage(loop, "c0001/model").behind
    assert behind is not None
    counted = [pl.read_parquet(loop.root / f"cycles/{name}/accepted/rows.parquet").height for name in ("c0000", "c0001")]
    assert (behind["rows"], behind["shards"], behind["absent"]) == (sum(counted), 2, [])


def test_prov_reads_back_with_all_nodes_and_edges(loop: Workspace) -> None:
    found = lineage(loop, "c0002/model")
    document = ProvDocument.deserialize(content=prov_json(found), format="json")
    entities = [node for node in found.reached if found.graph.nodes[node].kind not in {"phase", "principal"}]
    assert len(list(document.get_records(ProvEntity))) == len(entities)
    phases = [node for node in found.reached if found.graph.nodes[node].kind == "phase"]
    assert len(list(document.get_records(ProvActivity))) == len(phases)
    assert len(document.get_records()) == len(found.reached) + len(found.edges())


def test_openlineage_events_are_the_librarys_own(loop: Workspace) -> None:
    found = lineage(loop, "c0002/model")
    events = openlineage_events(found)
    phases = [node for node in found.reached if found.graph.nodes[node].kind == "phase"]
    assert [one["eventType"] for one in events].count("COMPLETE") == len(events) / 2 == len(phases)
    train = [one for one in events if one["job"]["name"] == "train"][-1]
    assert {item["name"] for item in train["inputs"]} == {"cycles/c0000/model", "cycles/c0002/archive"}
    assert train["outputs"][0]["facets"]["version"]["datasetVersion"] == loop.state().cycles["c0002"].artifact("model").digest
    assert train["schemaURL"].startswith("https://openlineage.io/spec/")


def test_the_index_reads_each_shard_once_and_is_made_again_when_it_is_lost(lab: Workspace) -> None:
    shutil.rmtree(lab.root / ".loopwright" / "trace", ignore_errors=True)
    state = lab.state()
    first = open_rows(lab.root, state)
    assert (first.read, open_rows(lab.root, state).read) == (3, 0)
    everything = first.where(pl.lit(value=True)).sort("id")
    [segment] = (lab.root / ".loopwright" / "trace").glob("rows-*.parquet")
    segment.write_bytes(b"not parquet")
    again = open_rows(lab.root, state)
    assert again.read == 3
    assert again.where(pl.lit(value=True)).sort("id").equals(everything)


def test_a_shard_that_is_not_the_recorded_one_is_no_evidence(lab: Workspace) -> None:
    shutil.rmtree(lab.root / ".loopwright" / "trace", ignore_errors=True)
    shard = lab.root / "cycles/c0001/accepted/rows.parquet"
    table = pl.read_parquet(shard)
    (lab.root / "cycles/c0001/accepted").chmod(0o755)
    shard.unlink()
    table.with_columns(origin=pl.lit("human")).write_parquet(shard)
    with pytest.raises(IntegrityError, match="cycles/c0001/accepted/rows.parquet differs from the record"):
        lineage(lab, table["id"][0])
    os.unlink(shard)
    with pytest.raises(UsageError, match="1 shards are not on this disk"):
        lineage(lab, table["id"][0])


def test_the_verb(loop: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        app(["lineage", *arguments, "--workspace", str(loop.root)], standalone_mode=False)
        return capsys.readouterr().out

    tree = said("c0002/model")
    assert "c0002/archive" in tree
    assert "rows behind it" in tree
    plain = json.loads(said("c0001/accepted", "--down", "--json"))
    assert {node["label"] for node in plain["nodes"]} >= {"c0001/archive", "c0002/model", "c0002/decision.json"}
    for line in said("c0001/model", "--openlineage").splitlines():
        assert json.loads(line)["eventType"] in {"START", "COMPLETE"}
    assert "wasGeneratedBy" in json.loads(said("c0001/model", "--prov"))
    with pytest.raises(UsageError, match="is a cycle"):
        said("c0001")
    with pytest.raises(UsageError, match="is called 'no-such-thing'"):
        said("no-such-thing")
