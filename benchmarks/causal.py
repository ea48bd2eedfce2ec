"""A language model through our path against the libraries beneath it: two ratios, in one run.

* **Generation**: tokens a CPU second of `CausalLM.sample`, divided by those of ``transformers``' own ``generate``, for the same prompts, greedy,
  on one thread; the answers are compared. Each prompt is there once (``--samples 1``), so that nothing is won by sharing, or k times as in the
  generate phase. ``generate`` gets the whole batch at once, padded at the left, as one writes it first.
* **Training**: seconds a step of the train phase's Lightning fit, divided by those of a plain PyTorch loop of the same steps: same
  model, same rows, same shards, same optimiser, LoRA. Both are measured between steps (from the end of the second step to the end of the last), so
  start-up counts for neither; blocks of either kind alternate. The weights at the end are compared.

By process time, since a machine may be shared; on a GPU by the clock, each time when its queue is empty. The interval is for the
mean of paired ratios (Student's t on their logarithms).

    python benchmarks/causal.py MODEL-FOLDER [--repeats 5] [--steps 8] [--batch 8] [--rows 32] [--new 48]

A GPU is used where there is one. Prints JSON, one line a figure; exits 1 where a ratio misses its bar or a weight differs: on CPUs by a
bit, on a GPU, whose sums come in any order, by a thousandth of the largest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ratios import mean_ratio

from loopwright.domains.reasoning import ReasoningGym
from loopwright.models.causal import CausalLM
from loopwright.plugins import Alphabet
from loopwright.train.loop import learn
from loopwright.train.mixing import Mixture

GENERATION_BAR, TRAINING_BAR = 1.0, 1.05
NONE = Alphabet(words=(), lexemes=("x",))
RECIPE = {
    "shards": 2,
    "lr": 1e-3,
    "warmup": 1,
    "betas": [0.9, 0.98],
    "weight_decay": 0.05,
    "clip": 1.0,
    "floor": 0.1,
}


DEVICE = "cuda:0" if torch.cuda.is_available() else "cpu"
WARM = int(DEVICE != "cpu")
"""Whole rounds before the measured ones: a GPU loads its kernels when they are first used."""


def clock() -> float:
    """Seconds, of this process on a CPU."""
    if DEVICE == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


class Clocked:
    """A worker of one rank that notes the time of each step's report."""

    rank, world_size, device = 0, 1, DEVICE

    def __init__(self, storage: Path) -> None:
        self.storage = storage
        self.times: list[float] = []

    def report(self, metrics: Mapping[str, float], directory: Path | None = None) -> None:
        self.times.append(clock())

    def latest(self) -> Path | None:
        return None

    def agree(self, value: Any) -> Any:
        return value


def rows(count: int) -> list[tuple[str, str]]:
    """Questions of the package reasoning-gym with their answers."""
    return [
        (task.prompt, answer) for task, answer in ReasoningGym(human_levels=4, human_per_level=count).human(0, frozenset())
    ][:count]


def ours(family: CausalLM, model: Any, prompts: Sequence[str], new: int) -> tuple[float, list[tuple[str, int]]]:
    """Seconds, answers with their tokens."""
    begun = clock()
    found = family.sample(model, prompts, [0] * len(prompts), 0.0, new)
    return clock() - begun, [(one.text, one.tokens) for one in found]


@torch.inference_mode()
def theirs(model: Any, prompts: Sequence[str], new: int, batch: int) -> tuple[float, list[tuple[str, int]]]:
    """The same by `generate`, in the order in which the prompts come, so many at once."""
    tokenizer, answers = model.speech.tokenizer, list[tuple[str, int]]()
    tokenizer.padding_side = "left"
    begun = clock()
    for start in range(0, len(prompts), batch):
        said = [[{"role": "user", "content": prompt}] for prompt in prompts[start : start + batch]]
        asked = tokenizer.apply_chat_template(
            said, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        ).to(model.device)
        made = model.generate(**asked, do_sample=False, max_new_tokens=new)[:, asked["input_ids"].shape[1] :].tolist()
        for ids in made:
            end = ids.index(model.speech.end) + 1 if model.speech.end in ids else len(ids)
            answers.append((tokenizer.decode(ids[:end], skip_special_tokens=True), end))
    return clock() - begun, answers


def generation(folder: Path, options: argparse.Namespace, samples: int) -> dict[str, Any]:
    """Paired ratios of tokens a second."""
    family = CausalLM(path=str(folder), chat=True, batch=options.rows)
    model = family.create(NONE, 0)
    prompts = [prompt for prompt, _ in rows(options.rows // samples) for _ in range(samples)]
    ours(family, model, prompts, options.new if WARM else 2)  # first calls allocate
    theirs(model, prompts, options.new if WARM else 2, options.rows)
    ratios, equal, tokens = [], 0, 0
    for _ in range(options.repeats):
        mine, found = ours(family, model, prompts, options.new)
        other, expected = theirs(model, prompts, options.new, options.rows)
        tokens = sum(count for _, count in found)
        equal = sum(one == two for one, two in zip(found, expected, strict=True))
        ratios.append((tokens / mine) / (sum(count for _, count in expected) / other))
    return {
        "ratio": mean_ratio(ratios),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "bar": GENERATION_BAR,
        "rows": len(prompts),
        "samples": samples,
        "tokens": tokens,
        "answers_equal": equal,
    }


def lightning(family: CausalLM, mixture: Mixture, recipe: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """Seconds a step, the adapters at the end."""
    model = family.create(NONE, 0)
    with tempfile.TemporaryDirectory() as storage:
        worker = Clocked(Path(storage))
        learn(family, model, mixture, {"recipe": recipe, "checkpoint_every": 10**9, "parallel": "ddp"}, worker)
    return (worker.times[-1] - worker.times[1]) / (len(worker.times) - 2), adapters(model)


def plain(family: CausalLM, mixture: Mixture, recipe: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """The loop that one writes by hand."""
    model = family.create(NONE, 0).to(DEVICE)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=1.0, betas=tuple(recipe["betas"]), weight_decay=recipe["weight_decay"], fused=True
    )
    steps, times = recipe["steps"], list[float]()
    for step in range(steps):
        shards = [family.collate(model, part) for part in mixture.at(step)]
        tokens = sum(int(shard["weight"].sum()) for shard in shards)
        optimizer.zero_grad()
        for shard in shards:
            (family.loss(model, shard) / tokens).backward()
        torch.nn.utils.clip_grad_norm_(trained, recipe["clip"])
        gone = (step - 1) / (steps - 1)
        optimizer.param_groups[0]["lr"] = recipe["lr"] * (1.0 if step < 1 else 1 - (1 - recipe["floor"]) * gone)
        optimizer.step()
        times.append(clock())
    return (times[-1] - times[1]) / (len(times) - 2), adapters(model)


def adapters(model: Any) -> dict[str, Any]:
    """What was trained."""
    return {name: weight.detach().cpu().clone() for name, weight in model.named_parameters() if weight.requires_grad}


def apart(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> float:
    """How far two sets of weights are apart, as a part of the largest weight."""
    return max(float((one[name] - weight).abs().max() / weight.abs().max()) for name, weight in other.items())


def training(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Paired ratios of seconds a step, the two in turns first."""
    family = CausalLM(path=str(folder), chat=True)
    pool = rows(max(64, 2 * options.batch))
    half = len(pool) // 2
    mixture = Mixture(
        human=pool[:half], synthetic=pool[half:], batch=options.batch, shards=RECIPE["shards"], human_share=0.5, seed=1
    )
    recipe = {**RECIPE, "batch": options.batch, "steps": options.steps}
    ratios, seconds, distance = [], [], 0.0
    for number in range(-WARM, options.repeats):
        pair = (lightning, plain) if number % 2 else (plain, lightning)
        found = {one.__name__: one(family, mixture, recipe) for one in pair}
        (mine, weights), (other, expected) = found["lightning"], found["plain"]
        distance = max(distance, apart(weights, expected))
        if number < 0:
            continue
        ratios.append(mine / other)
        seconds.append(other)
    return {
        "ratio": mean_ratio(ratios),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "bar": TRAINING_BAR,
        "steps": options.steps,
        "plain_seconds_a_step": round(statistics.median(seconds), 4),
        "weights_apart": distance,
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a model folder, as `loopwright convert-model` writes it")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8, help="rows a training step")
    parser.add_argument("--new", type=int, default=48)
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.folder.resolve()
    found: dict[str, Any] = {"threads": 1, "device": DEVICE if DEVICE == "cpu" else torch.cuda.get_device_name()}
    print(json.dumps(found), flush=True)
    for name, measure in (
        ("generation", lambda: generation(folder, options, 1)),
        ("generation_k4", lambda: generation(folder, options, 4)),
        ("training", lambda: training(folder, options)),
    ):
        found[name] = measure()
        print(json.dumps({name: found[name]}), flush=True)
    reached = (
        found["generation"]["ratio"]["value"] >= GENERATION_BAR
        and found["training"]["ratio"]["value"] <= TRAINING_BAR
        and found["training"]["weights_apart"] <= (0.0 if DEVICE == "cpu" else 1e-3)
    )
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
