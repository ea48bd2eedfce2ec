"""Published theory of model collapse, reproduced: replace the data by the model's own and it degrades; accumulate, and it does not.

    python benchmarks/published/accumulate.py

Three settings with closed forms, each over many seeds; every simulated mean must lie within three standard errors of its value.

* **Linear regression** (Gerstgrasser et al. 2024, arXiv 2404.01413; Dohmatob et al. 2024; Dey and Donoho, arXiv 2410.22812): T fresh isotropic
  rows of dimension d a generation, labels by the model before plus noise sigma. Excess test error of generation n: n s with
  s = sigma^2 d / (T - d - 1) when each generation replaces the data; s times the sum of 1/i^2 up to n (at most pi^2/6) when it adds to them.
* **Gaussian** (Shumailov et al., Nature 631:755; Kazdan et al., arXiv 2410.16713), biased variance of n draws: (1 - 1/n)^t when replaced, the
  product of 1 - 1/(n k^2) when accumulated.
* **Zipf tokens**, n draws of n types a generation: heterozygosity H = 1 - sum p^2 falls as (1 - 1/n)^t (Wright and Fisher) when replaced, and
  by 1 - 1/(n k^2) a generation when accumulated. Types that are still there are told beside it: the tail goes first.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

__all__ = ["Finding", "gaussian", "regression", "zipf"]

KEPT = Path(__file__).parents[1] / "results" / "accumulate.json"
ERRORS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A simulated mean beside its theory."""

    setting: str
    arm: str
    generation: int
    theory: float
    value: float
    error: float
    """Standard error of the mean over seeds."""
    n: int
    """Seeds."""

    @property
    def agrees(self) -> bool:
        """Whether theory and simulation are within three standard errors of each other."""
        return abs(self.value - self.theory) <= ERRORS * self.error


def _finding(setting: str, arm: str, generation: int, theory: float, values: np.ndarray) -> Finding:
    error = float(values.std(ddof=1) / np.sqrt(values.size))
    mean = float(values.mean())
    return Finding(setting=setting, arm=arm, generation=generation, theory=theory, value=mean, error=error, n=values.size)


def regression(
    seeds: int = 200, generations: int = 50, rows: int = 100, width: int = 10, sigma: float = 1.0, seed: int = 0
) -> Iterator[Finding]:
    """Excess test error ||w_n - w||^2 of least squares on labels of the generation before."""
    random = np.random.default_rng(seed)
    scale = sigma**2 * width / (rows - width - 1)
    for arm in ("replace", "accumulate"):
        model = np.zeros((seeds, width))  # the truth is 0: the error is the model's own length
        squares, products = np.zeros((seeds, width, width)), np.zeros((seeds, width))
        for generation in range(1, generations + 1):
            inputs = random.standard_normal((seeds, rows, width))
            labels = np.einsum("stw,sw->st", inputs, model) + sigma * random.standard_normal((seeds, rows))
            fresh = np.einsum("stw,stv->swv", inputs, inputs), np.einsum("stw,st->sw", inputs, labels)
            squares, products = (squares + fresh[0], products + fresh[1]) if arm == "accumulate" else fresh
            model = np.linalg.solve(squares, products[..., None])[..., 0]
            if generation in {1, 10, generations}:
                grown = sum(1 / i**2 for i in range(1, generation + 1)) if arm == "accumulate" else generation
                yield _finding("linear regression", arm, generation, scale * grown, (model**2).sum(axis=1))


def gaussian(seeds: int = 4000, generations: int = 100, draws: int = 100, seed: int = 1) -> Iterator[Finding]:
    """The fitted (biased) variance, of truth 1."""
    random = np.random.default_rng(seed)
    for arm in ("replace", "accumulate"):
        mean, variance = np.zeros(seeds), np.ones(seeds)
        count, total, squares = 0, np.zeros(seeds), np.zeros(seeds)
        for generation in range(1, generations + 1):
            fresh = mean[:, None] + np.sqrt(variance)[:, None] * random.standard_normal((seeds, draws))
            if arm == "replace":
                count, total, squares = 0, np.zeros(seeds), np.zeros(seeds)
            count, total, squares = count + draws, total + fresh.sum(axis=1), squares + (fresh**2).sum(axis=1)
            mean = total / count
            variance = squares / count - mean**2
            if generation in {1, 10, generations}:
                rates = (
                    [1 - 1 / draws] * generation
                    if arm == "replace"
                    else [1 - 1 / (draws * k**2) for k in range(1, generation + 1)]
                )
                yield _finding("gaussian variance", arm, generation, float(np.prod(rates)), variance)


def zipf(seeds: int = 200, generations: int = 50, types: int = 1000, seed: int = 2) -> Iterator[Finding]:
    """Heterozygosity of a distribution over types that is fitted to its own draws."""
    random = np.random.default_rng(seed)
    truth = 1 / np.arange(1, types + 1)
    truth /= truth.sum()
    start = 1 - float((truth**2).sum())
    for arm in ("replace", "accumulate"):
        counts, shares = np.zeros((seeds, types)), np.tile(truth, (seeds, 1))
        for generation in range(1, generations + 1):
            fresh = random.multinomial(types, shares)
            counts = fresh if arm == "replace" else counts + fresh
            shares = counts / counts.sum(axis=1, keepdims=True)
            if generation in {1, 10, generations}:
                rates = (
                    [1 - 1 / types] * generation
                    if arm == "replace"
                    else [1 - 1 / (types * k**2) for k in range(1, generation + 1)]
                )
                yield _finding(
                    "zipf heterozygosity", arm, generation, start * float(np.prod(rates)), 1 - (shares**2).sum(axis=1)
                )
        sys.stderr.write(
            f"zipf, {arm}: {float((shares > 0).sum(axis=1).mean()):.0f} of {types} types after {generations} generations\n"
        )


def main() -> int:
    """Simulate all, keep, and say whether all agree."""
    began = time.monotonic()
    findings = [*regression(), *gaussian(), *zipf()]
    told = {
        "seconds": round(time.monotonic() - began, 1),
        "findings": [{**asdict(one), "agrees": one.agrees} for one in findings],
    }
    KEPT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    for one in findings:
        mark = "agrees" if one.agrees else "DIFFERS"
        print(
            f"{one.setting:<22}{one.arm:<12}g{one.generation:<4} theory {one.theory:<9.4f} {one.value:.4f} ± {one.error:.4f} (n {one.n})  {mark}"
        )
    print(f"{told['seconds']} s")
    return 0 if all(one.agrees for one in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
