"""Answers of a language model in batches, by a loop of our own: each row's draws are its own, and rows that are done leave.

* Rows are sorted by prompt length and decoded in batches; shorter prompts are padded at the left.
* Equal prompts of a batch are read once (k samples of one task share their prefill).
* A row's numbers come from its seed and its step (`loopwright.models.draw`), so neighbours cannot change what is drawn. In float32
  the same answers come out of any batch, but for a draw that falls within a rounding error of the border between two tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from loopwright.models.draw import uniforms
from loopwright.models.sampler import choose

__all__ = ["sample_answers"]

_LEAVE = 8
"""Rows leave when one in so many is done: leaving copies the cache."""


@torch.inference_mode()
def sample_answers(
    model: Any, prompts: Sequence[tuple[int, ...]], seeds: Sequence[int], temperature: float, most: int, batch: int
) -> list[list[int]]:
    """One answer a prompt, in order, as ids up to and with an end mark; ``most`` ids where none came."""
    order = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), prompts[row], row))
    answers: list[list[int]] = [[] for _ in prompts]
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        draws = torch.from_numpy(uniforms([seeds[row] for row in rows], most)).to(model.device) if temperature else None
        written = _decode(model, [prompts[row] for row in rows], draws, temperature, most)
        for row, ids in zip(rows, written.tolist(), strict=True):
            end = next((place for place, number in enumerate(ids) if number in model.speech.stops), most - 1)
            answers[row] = ids[: end + 1]
    return answers


def _decode(model: Any, prompts: Sequence[tuple[int, ...]], draws: Tensor | None, temperature: float, most: int) -> Tensor:
    """Ids (rows, most); after a row's end mark its line is not to be read."""
    stops = torch.tensor(sorted(model.speech.stops), device=model.device)
    rows = torch.arange(len(prompts), device=model.device)
    written = torch.zeros((len(prompts), most), dtype=torch.long, device=model.device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
    kept, logits, mask = _prefill(model, prompts)
    [cache] = kept.values()
    busy = torch.ones_like(rows, dtype=torch.bool)
    for step in range(most):
        draw = None if draws is None else draws[step].index_select(0, rows)
        token = choose(logits[:, : model.speech.size], temperature, draw)
        written[rows, step] = token
        busy &= torch.isin(token, stops, invert=True)
        left = int(busy.sum())
        if left == 0 or step == most - 1:
            break
        if left * _LEAVE <= len(rows) * (_LEAVE - 1):
            stay = busy.nonzero().squeeze(1)
            rows, token, busy = rows[stay], token[stay], busy[stay]
            mask = None if mask is None else mask[stay]
            cache.batch_select_indices(stay)
        mask = None if mask is None else torch.cat([mask, mask.new_ones(len(rows), 1)], 1)
        places = (lengths.index_select(0, rows) + step).unsqueeze(1)
        logits = model(input_ids=token.unsqueeze(1), attention_mask=mask, position_ids=places, use_cache=True, **kept).logits[
            :, -1
        ]
    return written


def _prefill(model: Any, prompts: Sequence[tuple[int, ...]]) -> tuple[dict[str, Any], Tensor, Tensor | None]:
    """Read every different prompt once: the cache under the name that the model takes it by, the scores of the first token for each row, and where padding is, if any."""
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
    width = max(map(len, numbers))
    ids = torch.tensor([[*[0] * (width - len(prompt)), *prompt] for prompt in numbers], device=model.device)
    real = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in numbers], device=model.device)
    mask = None if bool(real.all()) else real
    places = (real.cumsum(1) - 1).clamp_(min=0)
    found = model(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=True, logits_to_keep=1)
    owners = torch.tensor([numbers[prompt] for prompt in prompts], device=model.device)
    name = "cache" if "cache" in found else "past_key_values"  # before transformers 5.24
    if len(numbers) < len(prompts):
        found[name].batch_select_indices(owners)
    logits = found.logits[:, -1].index_select(0, owners)
    return {name: found[name]}, logits, None if mask is None else mask.index_select(0, owners)
