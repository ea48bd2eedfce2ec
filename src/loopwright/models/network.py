"""The network of the built-in family: a pre-LayerNorm decoder-only transformer without positional encoding.

Causal attention alone tells it about order (Kazemnejad et al. 2023, "The Impact of Positional Encoding on Length
Generalization in Transformers": NoPE), which is why answers longer than any in training can come out right. LayerNorm
has no parameters of its own, every linear layer has a bias, the embedding is also the output layer.

Sequences come padded at the right, but only attention sees them so: everything else runs over the real tokens, one after
the other (*flat*). A batch of programs is about 40 % padding; a training step takes a quarter less time this way.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from loopwright.models.codec import Codec

__all__ = ["Block", "Network", "real_slots"]


def real_slots(lengths: Tensor, width: int) -> Tensor:
    """Where the real tokens of a batch stand in its flattened (rows * width) form."""
    inside = torch.arange(width, device=lengths.device) < lengths.unsqueeze(1)
    return inside.flatten().nonzero().squeeze(1)


class Block(nn.Module):
    """Attention and a GELU MLP four times as wide, each added to its input. All of it works on flat tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def project(self, x: Tensor) -> Tensor:
        """Queries, keys and values of (tokens, width), side by side: (tokens, 3 * width)."""
        return self.qkv(functional.layer_norm(x, x.shape[-1:]))

    def finish(self, x: Tensor, mixed: Tensor) -> Tensor:
        """Everything after attention, whose result is ``mixed`` (tokens, width)."""
        x = x + self.out(mixed)
        return x + self.down(functional.gelu(self.up(functional.layer_norm(x, x.shape[-1:]))))


class Network(nn.Module):
    """Token ids -> scores of the next token, with its codec attached."""

    def __init__(self, codec: Codec, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.codec = codec
        self.heads = heads
        self.embedding = nn.Embedding(codec.size, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))

    @property
    def stack(self) -> list[Block]:
        """The blocks, first to last."""
        return [cast("Block", block) for block in self.blocks]

    def forward(self, ids: Tensor, slots: Tensor) -> Tensor:
        """Last hidden states (real tokens, width) of ids (rows, length), whose real ones stand at ``slots``."""
        return self.encode(ids, slots)[0]

    def encode(self, ids: Tensor, slots: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """As `forward`, with each block's keys and values (rows, heads, length, width / heads), zero at the padding."""
        rows, length = ids.shape
        x = self.embedding(ids.flatten().index_select(0, slots))
        memory = []
        for block in self.stack:
            packed = block.project(x)
            padded = packed.new_zeros(rows * length, packed.shape[1]).index_copy(0, slots, packed)
            q, k, v = padded.view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)  # padding is to the right: unseen
            x = block.finish(x, mixed.transpose(1, 2).reshape(rows * length, -1).index_select(0, slots))
            memory.append((k, v))
        return x, memory

    def logits(self, x: Tensor, ids: Tensor | None = None) -> Tensor:
        """Scores of the next token by the embedding itself (tied); of the tokens ``ids`` alone where given."""
        weight = self.embedding.weight if ids is None else self.embedding.weight.index_select(0, ids)
        return functional.linear(functional.layer_norm(x, x.shape[-1:]), weight)

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        """Fresh weights: embedding std 0.05, linear 1/sqrt(fan-in), what is added to the stream by 1/sqrt(2 layers) less."""
        generator = torch.Generator().manual_seed(seed)
        self.embedding.weight.normal_(0.0, 0.05, generator=generator)
        deep = math.sqrt(2 * len(self.blocks))
        for block in self.stack:
            for layer, less in ((block.qkv, 1.0), (block.out, deep), (block.up, 1.0), (block.down, deep)):
                layer.weight.normal_(0.0, 1 / (math.sqrt(layer.in_features) * less), generator=generator)
                layer.bias.zero_()
