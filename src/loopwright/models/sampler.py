"""Sampling answers fast: prompts in batches, a key-value cache, and rows that leave when they are done.

* Rows are sorted by prompt length and cut into batches of `BATCH`, so that a batch's memory stays small.
* Equal prompts of a batch are read once (k samples of one task share their prefill).
* All rows of a batch write the same cache column. A shorter prompt leaves a gap, which attention never sees; without
  positional encoding a gap changes nothing else.
* Finished rows linger until an eighth of the batch is done; then the cache is packed anew without them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from loopwright.models.codec import EOS, PAD
from loopwright.models.draw import uniforms
from loopwright.models.network import Network, real_slots

__all__ = ["BATCH", "choose", "sample_ids"]

BATCH = 256
"""Rows decoded together."""
_ROOM = 32
"""Columns by which a full cache grows."""
_LEAVE = 8
"""Rows leave when one in so many is done."""


@torch.inference_mode()
def sample_ids(
    network: Network, prompts: Sequence[Sequence[int]], seeds: Sequence[int], temperature: float, max_new: int
) -> list[list[int]]:
    """One answer a prompt, in order, as ids up to and with eos; ``max_new`` ids where none came."""
    order = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), prompts[row], row))
    answers: list[list[int]] = [[] for _ in prompts]
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        draws = torch.from_numpy(uniforms([seeds[row] for row in rows], max_new)) if temperature else None
        written = _decode(network, [tuple(prompts[row]) for row in rows], draws, temperature, max_new)
        for row, ids in zip(rows, written.tolist(), strict=True):
            answers[row] = ids[: ids.index(EOS) + 1] if EOS in ids else ids
    return answers


def choose(logits: Tensor, temperature: float, draw: Tensor | None) -> Tensor:
    """The column picked in each row: the best where there is no draw, else the inverse of the distribution at the draw.

    In float64, so that the choice hangs on the draw and not on how a sum of float32 was ordered.
    """
    if draw is None:
        return logits.argmax(1)
    heap = torch.softmax(logits.double() / temperature, 1).cumsum(1)
    return (heap <= draw.unsqueeze(1) * heap[:, -1:]).sum(1).clamp_(max=logits.shape[1] - 1)


def _decode(
    network: Network, prompts: Sequence[tuple[int, ...]], draws: Tensor | None, temperature: float, most: int
) -> Tensor:
    """Ids (rows, most); after a row's eos its line is not to be read."""
    device = network.embedding.weight.device
    allowed = torch.tensor(network.codec.answers, device=device)
    rows = torch.arange(len(prompts), device=device)
    written = torch.full((len(prompts), most), PAD, dtype=torch.long, device=device)
    draws = draws if draws is None else draws.to(device)
    cache, x = _prefill(network, prompts)
    busy = torch.ones_like(rows, dtype=torch.bool)
    for step in range(most):
        draw = None if draws is None else draws[step].index_select(0, rows)
        token = allowed[choose(network.logits(x, allowed), temperature, draw)]
        written[rows, step] = token
        busy &= token != EOS
        left = int(busy.sum())
        if left == 0 or step == most - 1:
            break
        if left * _LEAVE <= len(rows) * (_LEAVE - 1):
            stay = busy.nonzero().squeeze(1)
            rows, token, busy = rows[stay], token[stay], busy[stay]
            cache.pack(stay)
        x = _advance(network, cache, token)
    return written


def _advance(network: Network, cache: _Cache, token: Tensor) -> Tensor:
    """Read one token a row into the cache; the last hidden state (rows, width)."""
    column = cache.column()
    x = functional.embedding(token, network.embedding.weight)
    for block, keys, values in zip(network.stack, cache.keys, cache.values, strict=True):
        q, keys[:, :, column], values[:, :, column] = block.project(x).view(len(token), 3, network.heads, -1).unbind(1)
        mixed = functional.scaled_dot_product_attention(
            q.unsqueeze(2), keys[:, :, : column + 1], values[:, :, : column + 1], attn_mask=cache.gap[..., : column + 1]
        )
        x = block.finish(x, mixed.view(len(token), -1))
    return x


def _prefill(network: Network, prompts: Sequence[tuple[int, ...]]) -> tuple[_Cache, Tensor]:
    """Read every different prompt once; the cache and the last hidden state are then handed to all that share it."""
    device = network.embedding.weight.device
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
    lengths = torch.tensor([len(prompt) for prompt in numbers], device=device)
    width = int(lengths.max())
    ids = torch.tensor([[*prompt, *[PAD] * (width - len(prompt))] for prompt in numbers], device=device)
    hidden, memory = network.encode(ids, real_slots(lengths, width))
    gap = torch.zeros(ids.shape, device=device).masked_fill_(
        torch.arange(width, device=device) >= lengths.unsqueeze(1), -math.inf
    )
    cache = _Cache([k for k, _ in memory], [v for _, v in memory], gap[:, None, None], width)
    owners = torch.tensor([numbers[prompt] for prompt in prompts], device=device)
    cache.pack(owners)
    return cache, hidden.index_select(0, lengths.cumsum(0) - 1).index_select(0, owners)


@dataclass(slots=True)
class _Cache:
    """Keys and values a block: (rows, heads, columns, width / heads)."""

    keys: list[Tensor]
    values: list[Tensor]
    gap: Tensor
    """What is added to the scores: minus infinity where a row has nothing, else zero (rows, 1, 1, columns)."""
    filled: int

    def column(self) -> int:
        """The next free column."""
        if self.filled == self.gap.shape[-1]:
            self.pack(torch.arange(len(self.gap), device=self.gap.device))
        self.filled += 1
        return self.filled - 1

    def pack(self, rows: Tensor) -> None:
        """Keep these rows (one may be taken several times), with room to grow."""
        room = self.filled + _ROOM
        self.keys = [self._wider(block, rows, room) for block in self.keys]
        self.values = [self._wider(block, rows, room) for block in self.values]
        self.gap = functional.pad(self.gap[..., : self.filled].index_select(0, rows), (0, _ROOM))

    def _wider(self, old: Tensor, rows: Tensor, room: int) -> Tensor:
        new = old.new_empty(len(rows), old.shape[1], room, old.shape[3])  # columns beyond ``filled`` are never read
        torch.index_select(old[:, :, : self.filled], 0, rows, out=new[:, :, : self.filled])
        return new
