"""A loop whose model is a language model from a folder: a cycle of it, on the record, with what it started from."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopwright.workspace import Workspace
from tests.models.llama import write_llama
from tests.run.small import make_small

LEVELS = {level: {"min_word_len": level + 2, "max_word_len": level + 2} for level in (1, 2)}
SETTINGS = {
    "domain": {"name": "reasoning-gym", "settings": {"suite_per_level": 6, "human_per_level": 60, "entries": 300, "levels": LEVELS}},
    "domain.settings": {},
    "generator.tasks": 12,
    "generator.max_new_tokens": 8,
    "evaluator.max_new_tokens": 8,
    "evaluator.headline": [1, 2],
    "examiner.draws": 8,
    "verifier.gold": 20,
}


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory, victim: Callable[..., dict[str, Any]]) -> Workspace:
    """One cycle of a tiny Llama that learns by adapters."""
    place = tmp_path_factory.mktemp("causal")
    folder = write_llama(place / "base")
    settings = {"path": str(folder), "chat": True, "name": "Tiny Llama", "flop": 1e9}
    workspace = make_small(place / "lab", **SETTINGS, model={"name": "causal-lm", "settings": settings})
    assert victim(workspace.root, 1)["code"] == 0
    return workspace


def test_a_language_model_turns_a_cycle(turned: Workspace) -> None:
    cycles = turned.state().cycles
    assert cycles["c0001"].closed_at
    for name in ("c0000", "c0001"):
        said = json.loads((turned.root / "cycles" / name / "model" / "model.json").read_bytes())
        assert said["parameters"]["trained"] < said["parameters"]["total"] == cycles[name].phases["train"].summary["parameters"]
        assert not (turned.root / "cycles" / name / "model" / "model.safetensors").exists()
    assert cycles["c0001"].phases["generate"].summary["tokens"] > 24
    assert cycles["c0001"].phases["train"].summary["loss_last"] < cycles["c0000"].phases["train"].summary["loss_first"]


def test_its_record_verifies_and_its_model_is_exported_whole(turned: Workspace, tmp_path: Path) -> None:
    def verb(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "loopwright", *words], cwd=turned.root, capture_output=True, text=True, check=True
        )
        return done.stdout

    verb("verify")
    verb("merge-model", "c0001", str(tmp_path / "whole"))
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "whole")
    assert model.config.hidden_size == 32
    assert AutoTokenizer.from_pretrained(tmp_path / "whole").chat_template
    assert not (tmp_path / "whole" / "adapter_model.safetensors").exists()
