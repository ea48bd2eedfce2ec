"""The model family ``tiny-transformer``: small enough that a whole loop turns on two CPU cores.

At the default size and the ``programs`` alphabet it has about 152,600 parameters. The module imports torch only when a
model is made, so that naming the family costs nothing.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.errors import IntegrityError
from loopwright.models.codec import Codec
from loopwright.models.tensors import write_tensors
from loopwright.models.threads import threads
from loopwright.plugins import Alphabet, Sample
from loopwright.types import canonical

if TYPE_CHECKING:
    from loopwright.models.network import Network

__all__ = ["TinyTransformer"]


class TinyTransformer:
    """A `ModelFamily`; its settings are those of models that it creates (a loaded model keeps its own)."""

    def __init__(self, *, width: int = 64, layers: int = 3, heads: int = 2) -> None:
        if min(width, layers, heads) < 1 or width % heads:
            raise TypeError(f"width {width} must be a multiple of heads {heads}, and all of them at least 1")
        self._settings = {"width": width, "layers": layers, "heads": heads}

    def create(self, alphabet: Alphabet, seed: int) -> Network:
        """A fresh model; the same seed gives the same weights."""
        network = _network(alphabet, self._settings)
        network.reset(seed)
        return network

    def learnable(self, alphabet: Alphabet, prompt: str, answer: str) -> bool:
        """Whether the pair is made of the alphabet's pieces (`loopwright.plugins.LearnsSome`)."""
        try:
            _codec(alphabet).pair(prompt, answer)
        except ValueError:
            return False
        return True

    def save(self, model: Network, directory: Path) -> None:
        """Write ``model.safetensors`` and ``model.json`` (settings and alphabet): the same model, the same bytes."""
        directory.mkdir(parents=True, exist_ok=True)
        write_tensors(directory / "model.safetensors", model.state_dict(), {"format": "pt"})
        settings = {"width": model.embedding.embedding_dim, "layers": len(model.blocks), "heads": model.heads}
        alphabet = model.codec.alphabet
        described = {
            "schema": 1,
            "family": "tiny-transformer",
            "settings": settings,
            "alphabet": {"words": list(alphabet.words), "lexemes": list(alphabet.lexemes)},
        }
        (directory / "model.json").write_bytes(canonical(described) + b"\n")

    def load(self, directory: Path) -> Network:
        """Read what `save` wrote.

        Raises:
            IntegrityError: a file is missing or damaged, or the two do not belong together.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            described = json.loads((directory / "model.json").read_bytes())
            alphabet = Alphabet(words=tuple(described["alphabet"]["words"]), lexemes=tuple(described["alphabet"]["lexemes"]))
            network = _network(alphabet, described["settings"])
            network.load_state_dict(load_file(directory / "model.safetensors"))
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            said = str(error).partition("\n")[0]
            raise IntegrityError(
                f"the model in {directory} cannot be read: {type(error).__name__}: {said}",
                "`loopwright verify` says what changed; `dvc checkout` brings the recorded bytes back",
            ) from error
        return network

    def sample(
        self, model: Network, prompts: Sequence[str], seeds: Sequence[int], temperature: float, max_new: int
    ) -> list[Sample]:
        """One answer a prompt, in order, on one thread; see `loopwright.models.sampler`. ValueError: unknown text."""
        from loopwright.models.sampler import sample_ids

        if not prompts:
            return []
        heads = [model.codec.prompt(text) for text in prompts]
        with threads(1):
            answers = sample_ids(model, heads, seeds, temperature, max_new)
        said = zip(answers, heads, strict=True)
        return [Sample(text=model.codec.text(ids), tokens=len(ids), prompt=len(head)) for ids, head in said]

    def collate(self, model: Network, pairs: Sequence[tuple[str, str]]) -> Mapping[str, Any]:
        """``ids`` and ``weight`` (rows, length), padded at the right, and the rows' ``lengths``. ValueError: unknown text."""
        import numpy as np
        import torch

        known = [model.codec.pair(prompt, answer) for prompt, answer in pairs]
        lengths = [len(ids) for ids, _ in known]
        ids = np.zeros((len(known), max(lengths)), dtype=np.int64)
        weight = np.zeros(ids.shape, dtype=np.float32)
        for row, (sequence, prompt) in enumerate(known):
            ids[row, : len(sequence)] = sequence
            weight[row, prompt : len(sequence)] = 1.0
        return {"ids": torch.from_numpy(ids), "weight": torch.from_numpy(weight), "lengths": torch.tensor(lengths)}

    def loss(self, model: Network, batch: Mapping[str, Any]) -> Any:
        """Sum of the cross-entropy in nats over the tokens that count: the answers' and their eos."""
        from torch.nn import functional

        from loopwright.models.network import real_slots

        ids, width = batch["ids"], batch["ids"].shape[1] - 1
        slots = real_slots(batch["lengths"] - 1, width)
        counted = batch["weight"][:, 1:].flatten().index_select(0, slots).nonzero().squeeze(1)
        hidden = model(ids[:, :-1], slots).index_select(0, counted)
        targets = ids[:, 1:].flatten().index_select(0, slots.index_select(0, counted))
        return functional.cross_entropy(model.logits(hidden), targets, reduction="sum")

    def parameters(self, model: Network) -> int:
        """How many; tied weights count once."""
        return sum(parameter.numel() for parameter in model.parameters())


@functools.lru_cache(maxsize=4)
def _codec(alphabet: Alphabet) -> Codec:
    return Codec(alphabet)


def _network(alphabet: Alphabet, settings: Mapping[str, int]) -> Network:
    from loopwright.models.network import Network

    return Network(Codec(alphabet), **settings)
