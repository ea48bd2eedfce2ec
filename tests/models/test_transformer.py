"""The family: same seed, same weights; same model, same bytes; the loss is what it says; damage is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from loopwright.errors import IntegrityError
from loopwright.models.transformer import TinyTransformer
from loopwright.plugins import Alphabet, load_family


def weights(model: Any) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


def test_it_comes_through_the_entry_point_with_the_measured_size() -> None:
    family = load_family("tiny-transformer", {})
    alphabet = Alphabet(words=(), lexemes=tuple(f"<{number}>" for number in range(50)))
    assert family.parameters(family.create(alphabet, 0)) == 152_576  # 53 tokens, as the pilot had


def test_the_same_seed_gives_the_same_weights(family: TinyTransformer, alphabet: Alphabet) -> None:
    first, again, other = (weights(family.create(alphabet, seed)) for seed in (1, 1, 2))
    assert first == again
    assert all(first[name] != other[name] for name in first if not name.endswith("bias"))


def test_fresh_weights_have_the_spread_that_was_measured() -> None:
    family = TinyTransformer(width=128, layers=4)
    network = family.create(Alphabet(words=(), lexemes=tuple(map(str, range(10)))), 0)
    assert network.embedding.weight.std().item() == pytest.approx(0.05, rel=0.1)
    assert network.stack[0].qkv.weight.std().item() == pytest.approx(128**-0.5, rel=0.05)
    assert network.stack[0].down.weight.std().item() == pytest.approx((512 * 8) ** -0.5, rel=0.05)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(TypeError, match="multiple of heads"):
        TinyTransformer(width=10, heads=3)


def test_the_same_model_gives_the_same_bytes_and_comes_back(family: TinyTransformer, model: Any, tmp_path: Path) -> None:
    family.save(model, tmp_path / "one")
    loaded = TinyTransformer().load(tmp_path / "one")  # a loaded model keeps its own settings
    family.save(loaded, tmp_path / "two")
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {"model.safetensors", "model.json"}
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert weights(loaded) == weights(model)
    assert loaded.codec.alphabet == model.codec.alphabet


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def other_width(path: Path) -> None:
    described = json.loads(path.read_text())
    described["settings"]["width"] = 64
    path.write_text(json.dumps(described))


def no_alphabet(path: Path) -> None:
    path.write_text(json.dumps({"settings": {"width": 32, "layers": 2, "heads": 2}}))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.safetensors", cut),
        ("model.safetensors", Path.unlink),
        ("model.json", cut),
        ("model.json", Path.unlink),
        ("model.json", other_width),
        ("model.json", no_alphabet),
    ],
)
def test_damage_is_found_and_said(family: TinyTransformer, model: Any, tmp_path: Path, name: str, damage: Any) -> None:
    family.save(model, tmp_path)
    damage(tmp_path / name)
    with pytest.raises(IntegrityError, match="cannot be read") as found:
        family.load(tmp_path)
    assert "loopwright verify" in found.value.next_step


def test_the_loss_is_the_sum_over_answers_and_their_eos(family: TinyTransformer, model: Any) -> None:
    pairs = [("a b c", "C;B;A"), ("b", "B")]
    total = 0.0
    for prompt, answer in pairs:
        ids, head = model.codec.pair(prompt, answer)
        tensor = torch.from_numpy(ids)
        logits = model.logits(model(tensor[None, :-1], torch.arange(len(ids) - 1)))
        total += functional.cross_entropy(logits[head - 1 :], tensor[head:], reduction="sum").item()
    batch = family.collate(model, pairs)
    assert family.loss(model, batch).item() == pytest.approx(total, rel=1e-5)
    assert batch["weight"].sum() == 6 + 2


def test_padding_changes_nothing(family: TinyTransformer, model: Any) -> None:
    alone = sum(family.loss(model, family.collate(model, [pair])).item() for pair in (("a b c", "C;B;A"), ("b", "B")))
    together = family.loss(model, family.collate(model, [("a b c", "C;B;A"), ("b", "B")])).item()
    assert together == pytest.approx(alone, rel=1e-5)


def test_every_weight_learns(family: TinyTransformer, alphabet: Alphabet) -> None:
    network = family.create(alphabet, 3)
    family.loss(network, family.collate(network, [("a b c", "C;B;A"), ("b", "B")])).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())
