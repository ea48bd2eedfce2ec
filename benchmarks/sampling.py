"""Tokens a second of the sampler, divided by those of a plain loop without a key-value cache that gives the same answers.

Both answer the same new tasks of the built-in domain, k times each, at the plan's temperature, on one thread, with the
same draws; the answers are compared. The plain loop is what one writes first: prompts of one length together, the whole
sequence through the model at every step. It is even spared the rows that are done. Each repetition runs both, one after
the other; the interval is for the mean of the paired ratios (Student's t on their logarithms).

    python benchmarks/sampling.py [--model DIRECTORY] [--tasks 150] [--repeats 7]

Prints JSON; exits 1 where the ratio's lower limit is under the bar.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from ratios import mean_ratio

from loopwright.domains.programs import Programs
from loopwright.models.codec import EOS
from loopwright.models.draw import uniforms
from loopwright.models.sampler import choose
from loopwright.models.transformer import TinyTransformer
from loopwright.plan import Generator
from loopwright.plugins import Sample
from loopwright.types import seed_of

BAR = 5.0
PLAN = Generator()
FAMILY = TinyTransformer()
DOMAIN = Programs()


@torch.inference_mode()
def plain(model: Any, prompts: Sequence[str], seeds: Sequence[int], temperature: float, most: int) -> list[Sample]:
    """No cache: at every step the whole sequences of all rows of one prompt length that are not done."""
    encoded = [model.codec.prompt(prompt) for prompt in prompts]
    answers: list[list[int]] = [[] for _ in prompts]
    allowed = torch.tensor(model.codec.answers)
    for _, group in groupby(sorted(range(len(prompts)), key=lambda row: len(encoded[row])), key=lambda row: len(encoded[row])):
        rows = list(group)
        ids = torch.tensor([encoded[row] for row in rows])
        draws = torch.from_numpy(uniforms([seeds[row] for row in rows], most))
        for step in range(most):
            hidden = model(ids, torch.arange(ids.numel())).view(*ids.shape, -1)[:, -1]
            token = allowed[choose(model.logits(hidden, allowed), temperature, draws[step] if temperature else None)]
            for row, number in zip(rows, token.tolist(), strict=True):
                answers[row].append(number)
            left = (token != EOS).nonzero().squeeze(1)
            if len(left) == 0:
                break
            rows = [rows[number] for number in left.tolist()]
            ids, draws = torch.cat([ids, token.unsqueeze(1)], 1)[left], draws[:, left]
    return [Sample(text=model.codec.text(found), tokens=len(found)) for found in answers]


def short_training(steps: int = 300) -> Any:
    """A model whose answers have about the right length: the seed recipe, cut short."""
    model = FAMILY.create(DOMAIN.alphabet(), 0)
    pairs = [(task.prompt, answer) for task, answer in DOMAIN.human(0, frozenset())]
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.05)
    order = torch.Generator().manual_seed(0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * min((step + 1) / 50, 1 - step / steps)
        picked = torch.randint(len(pairs), (64,), generator=order).tolist()
        batch = FAMILY.collate(model, [pairs[number] for number in picked])
        optimizer.zero_grad()
        (FAMILY.loss(model, batch) / batch["weight"].sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


def timed(sample: Callable[..., list[Sample]], *arguments: Any) -> tuple[float, list[Sample]]:
    """CPU seconds of one call, since the machine may be shared, and what it returned."""
    begun = time.process_time()
    found = sample(*arguments)
    return time.process_time() - begun, found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="directory of a model; else one is trained for a moment")
    parser.add_argument("--tasks", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = FAMILY.load(options.model) if options.model else short_training()
    tasks = DOMAIN.tasks(1, options.tasks, {}, frozenset())
    rows = [(task.prompt, seed_of("benchmark", task.id, number)) for task in tasks for number in range(PLAN.samples)]
    prompts, seeds = [prompt for prompt, _ in rows], [seed for _, seed in rows]
    arguments = (model, prompts, seeds, PLAN.temperature, PLAN.max_new_tokens)
    timed(FAMILY.sample, *arguments)  # first calls allocate
    fast, slow, equal, tokens = [], [], True, 0
    for _ in range(max(5, options.repeats)):
        seconds, found = timed(FAMILY.sample, *arguments)
        other_seconds, expected = timed(plain, *arguments)
        tokens = sum(one.tokens for one in found)
        equal = equal and found == expected
        fast.append(tokens / seconds)
        slow.append(tokens / other_seconds)
    ratio = mean_ratio([one / other for one, other in zip(fast, slow, strict=True)])
    print(
        json.dumps(
            {
                "ratio": ratio,
                "bar": BAR,
                "tokens_per_cpu_second": {"sampler": round(statistics.median(fast)), "plain": round(statistics.median(slow))},
                "rows": len(rows),
                "tokens": tokens,
                "answers_equal": equal,
                "threads": 1,
                "parameters": FAMILY.parameters(model),
            },
            indent=2,
        )
    )
    return 0 if equal and ratio["low"] >= BAR else 1


if __name__ == "__main__":
    raise SystemExit(main())
