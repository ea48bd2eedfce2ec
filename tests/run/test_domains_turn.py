"""The second domain comes through the same entry point and turns a cycle; human data from a file joins the seed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from loopwright.domains.programs import Programs
from tests.run.small import make_small


def test_a_reasoning_gym_loop_turns_a_cycle(tmp_path: Path, victim: Callable[..., dict[str, Any]]) -> None:
    settings = {"domain": {"name": "reasoning-gym", "settings": {}}, "domain.settings": {}}
    workspace = make_small(tmp_path / "lab", **settings)
    assert victim(workspace.root, 1)["code"] == 0
    record = workspace.state().cycles["c0001"]
    assert record.closed_at
    assert record.phases["evaluate"].summary["isolation"] == {"data": record.phases["evaluate"].summary["isolation"]["data"]}


def test_sources_join_the_human_data_and_wrong_rows_are_kept_with_the_reason(
    tmp_path: Path, victim: Callable[..., dict[str, Any]]
) -> None:
    task, answer = next((task, answer) for task, answer in Programs().human(7, frozenset()) if task.level == 3)
    sources = [{"path": "sources/mine.jsonl", "licence": "CC0-1.0", "origin": "a person"}]
    workspace = make_small(tmp_path / "lab", sources=sources)
    rows = [
        {"prompt": task.prompt, "answer": answer},
        {"prompt": task.prompt, "answer": "x=x"},
        {"prompt": "no such operation", "answer": "x=x"},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (workspace.root / "sources/mine.jsonl").write_text(text, encoding="utf-8")
    subprocess.run("git add sources && git commit -qm sources", shell=True, cwd=workspace.root, check=True)
    assert victim(workspace.root, 0)["code"] == 0
    accepted = pl.read_parquet(workspace.root / "cycles/c0000/accepted/rows.parquet")
    assert accepted.filter(pl.col("licence") == "CC0-1.0").height == 1
    refused = pl.read_parquet(workspace.root / "cycles/c0000/accepted/refused.parquet")
    assert refused.height == 2
    assert refused["reason"].is_null().sum() == 0
    summary = workspace.state().cycles["c0000"].phases["seed"].summary
    assert sum(summary["refused"].values()) == 2
