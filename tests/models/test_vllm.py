"""The real vLLM (its build for processors is enough) says what the model's own scores say; where it is not installed, so the plan is told."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from loopwright.errors import PluginError
from loopwright.models.causal import CausalLM
from tests.models.llama import write_llama

PROMPTS, SEEDS = ["the hat", "another thing"] * 3, list(range(6))
HERE = importlib.util.find_spec("vllm") is not None


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("vllm") / "tiny", hidden=128)  # vLLM knows heads from 32 numbers on


def greedy(model: object, prompts: list[str], most: int) -> list[str]:
    """By the model's scores alone, without a cache, a batch or a sampler."""
    said = []
    for head in map(model.speech.prompt, prompts):
        ids = list(head)
        while len(ids) < len(head) + most and not (len(ids) > len(head) and ids[-1] in model.speech.stops):
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1, : model.speech.size].argmax()))
        said.append(model.speech.text(ids[len(head) :]))
    return said


@pytest.mark.skipif(not HERE, reason="vLLM is not installed: it needs an environment of its own (docs/language-models.md)")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # vLLM's own, of what it imports
@torch.no_grad()
def test_vllm_answers_with_base_and_adapter_as_the_models_scores_say(base: Path, tmp_path: Path) -> None:
    family = CausalLM(path=str(base), chat=True, engine="vllm", engine_settings={"enforce_eager": True})
    fresh = family.create(None, 0)
    torch.manual_seed(1)
    for parameter in fresh.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.5)
    family.save(fresh, tmp_path / "first")
    for parameter in fresh.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.5)
    family.save(fresh, tmp_path / "second")
    said = {}
    for name in ("first", "second"):
        model = family.load(tmp_path / name)
        said[name] = [one.text for one in family.sample(model, PROMPTS, SEEDS, 0.0, 12)]
        assert said[name] == greedy(model, PROMPTS, 12)
        drawn = family.sample(model, PROMPTS, SEEDS, 0.8, 12)
        assert drawn == family.sample(model, PROMPTS, SEEDS, 0.8, 12)
        assert drawn == family.sample(model, PROMPTS[::-1], SEEDS[::-1], 0.8, 12)[::-1], "neighbours change nothing here"
        assert len({one.text for one in drawn}) > len(set(PROMPTS)), "each seed draws for itself"
    assert said["first"] != said["second"], "one engine, two adapters"


@pytest.mark.skipif(HERE, reason="vLLM is installed")
def test_without_vllm_the_plan_is_told(base: Path) -> None:
    family = CausalLM(path=str(base), chat=True, engine="vllm")
    with pytest.raises(PluginError, match="it cannot be imported"):
        family.sample(family.create(None, 0), PROMPTS, SEEDS, 0.0, 4)


@pytest.mark.parametrize(
    "settings",
    [
        {"engine": "magic"},
        {"engine_settings": {"max_num_seqs": 4}},
        {"engine": "vllm", "engine_settings": {"trust_remote_code": True}},
    ],
)
def test_an_engine_takes_no_other_settings(base: Path, settings: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="engine"):
        CausalLM(path=str(base), **settings)
