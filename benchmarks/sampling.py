"""Tokens a second of the sampler, divided by those of a plain loop without a key-value cache that gives the same answers; and of ``transformers``.

Both answer the same new tasks of the built-in domain, k times each, at the plan's temperature, on one thread, with the
same draws; the answers are compared. The plain loop is what one writes first: prompts of one length together, the whole
sequence through the model at every step. It is even spared the rows that are done. Each repetition runs both, one after
the other; the interval is for the mean of the paired ratios (Student's t on their logarithms).

The second ratio is against ``transformers``' own ``generate``: the built-in network is a GPT-2 whose positions are zero and whose layer norms
have no weights, so the very weights answer there, too. Greedy, each prompt once, the whole batch at once, padded at the left; the answers are compared.

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

BAR, BAR_TRANSFORMERS = 5.0, 1.5
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
    said = zip(answers, encoded, strict=True)
    return [Sample(text=model.codec.text(found), tokens=len(found), prompt=len(head)) for found, head in said]


def as_gpt2(model: Any) -> Any:
    """The same function of the ids, as a model of the library."""
    from transformers import GPT2Config, GPT2LMHeadModel

    width, layers = model.embedding.embedding_dim, len(model.blocks)
    config = GPT2Config(
        vocab_size=model.codec.size,
        n_positions=512,
        n_embd=width,
        n_layer=layers,
        n_head=model.heads,
        activation_function="gelu",
        bos_token_id=EOS,
        eos_token_id=EOS,
        pad_token_id=EOS,
    )
    found = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        found.transformer.wte.weight.copy_(model.embedding.weight)
        found.transformer.wpe.weight.zero_()
        for theirs, block in zip(found.transformer.h, model.stack, strict=True):
            pairs = (
                (theirs.attn.c_attn, block.qkv),
                (theirs.attn.c_proj, block.out),
                (theirs.mlp.c_fc, block.up),
                (theirs.mlp.c_proj, block.down),
            )
            for there, here in pairs:
                there.weight.copy_(here.weight.T)
                there.bias.copy_(here.bias)
    return found


@torch.inference_mode()
def generated(peer: Any, model: Any, prompts: Sequence[str], most: int) -> list[Sample]:
    """By ``generate``, from ids that are ready: it is spared the text."""
    encoded = [model.codec.prompt(prompt) for prompt in prompts]
    longest = max(map(len, encoded))
    ids = torch.tensor([[EOS] * (longest - len(one)) + one for one in encoded])
    mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in encoded])
    made = peer.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=most)[:, longest:].tolist()
    ended = [one[: one.index(EOS) + 1] if EOS in one else one for one in made]
    return [
        Sample(text=model.codec.text(one), tokens=len(one), prompt=len(head)) for one, head in zip(ended, encoded, strict=True)
    ]


def beside_transformers(model: Any, repeats: int, tasks: int) -> dict[str, Any]:
    """Paired ratios of tokens a CPU second, and how many answers were the same."""
    peer, prompts = as_gpt2(model), [task.prompt for task in DOMAIN.tasks(2, tasks, {}, frozenset())]
    given = (model, prompts, [0] * len(prompts), 0.0, PLAN.max_new_tokens)
    timed(FAMILY.sample, *given)
    timed(generated, peer, model, prompts, PLAN.max_new_tokens)
    ratios, equal, tokens = [], 0, 0
    for _ in range(repeats):
        mine, found = timed(FAMILY.sample, *given)
        other, expected = timed(generated, peer, model, prompts, PLAN.max_new_tokens)
        tokens = sum(one.tokens for one in found)
        equal = sum(one.text == two.text for one, two in zip(found, expected, strict=True))
        ratios.append((tokens / mine) / (sum(one.tokens for one in expected) / other))
    return {
        "ratio": mean_ratio(ratios),
        "bar": BAR_TRANSFORMERS,
        "rows": len(prompts),
        "tokens": tokens,
        "answers_equal": equal,
    }


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
    peer = beside_transformers(model, max(5, options.repeats), 4 * options.tasks)
    print(
        json.dumps(
            {
                "ratio": ratio,
                "bar": BAR,
                "tokens_per_cpu_second": {"sampler": round(statistics.median(fast)), "plain": round(statistics.median(slow))},
                "rows": len(rows),
                "tokens": tokens,
                "answers_equal": equal,
                "transformers": peer,
                "threads": 1,
                "parameters": FAMILY.parameters(model),
            },
            indent=2,
        )
    )
    return 0 if equal and ratio["low"] >= BAR and peer["ratio"]["low"] >= BAR_TRANSFORMERS else 1


if __name__ == "__main__":
    raise SystemExit(main())
