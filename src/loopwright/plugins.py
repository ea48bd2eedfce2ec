"""Names in the plan -> objects, by entry points; the built-in ones come through the same door.

A `Domain` says what the loop gets better at; a `ModelFamily` says what the model is. `PhaseContext` is all that a
phase is given besides its configuration and its inputs.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from loopwright.errors import PluginError
from loopwright.identity import settled
from loopwright.runtime import Executor
from loopwright.sandbox import Sandbox
from loopwright.store.suites import Sealer
from loopwright.types import Check, Progress, Task, Verdict

__all__ = [
    "Alphabet",
    "Domain",
    "Executable",
    "Inherits",
    "JudgesByModel",
    "KnowsGold",
    "LearnsSome",
    "MakesFresh",
    "Merges",
    "ModelFamily",
    "PhaseContext",
    "Probed",
    "Sample",
    "Shards",
    "Stressed",
    "load_domain",
    "load_family",
    "offered",
    "plugin_identity",
]

Offer = TypeVar("Offer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alphabet:
    """What a small model's codec is made of; a language model's tokenizer ignores it."""

    words: tuple[str, ...]
    """Pieces of prompts, which are split at blanks; empty: prompts are cut into ``lexemes`` like answers."""
    lexemes: tuple[str, ...]
    """Pieces of answers, cut greedily, longest first. An answer is the concatenation of its lexemes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sampled answer."""

    text: str
    tokens: int
    """Tokens that were generated for it, the end mark included."""
    prompt: int | None = None
    """Tokens of its prompt; None where the family does not count them."""


class Domain(Protocol):
    """What the loop gets better at: tasks by split and seed, prompt text, checks as data, slices.

    A domain that judges by models names their digests in an attribute ``judge_models``: a run refuses those that share an
    ancestor with the generator (`loopwright.ledger.independence`), and measures their taste (`JudgesByModel`).
    """

    def alphabet(self) -> Alphabet: ...

    def suites(self) -> Mapping[str, Sequence[Task]]:
        """The frozen ``gate`` and ``sealed`` suites: tasks that carry a check of that name and no other.

        Their inputs are disjoint from each other's and from the accepting ones, their behaviours too.
        """
        ...

    def human(self, seed: int, refused: frozenset[str]) -> Sequence[tuple[Task, str]]:
        """Built-in human data: tasks with right answers, none with a signature in ``refused``."""
        ...

    def tasks(self, seed: int, count: int, weights: Mapping[int, float], refused: frozenset[str]) -> Sequence[Task]:
        """``count`` new tasks with ``visible`` and ``hidden`` checks and no answers, no two of one behaviour.

        ``weights`` are relative shares by level (empty: the domain's own start); ``refused`` holds signatures.
        """
        ...

    def task(self, prompt: str) -> Task:
        """The accepting task (``visible`` and ``hidden`` checks) that a prompt states; ValueError where it states none."""
        ...

    def judge(
        self, pairs: Sequence[tuple[Task, str]], purposes: Sequence[str], sandbox: Sandbox, progress: Progress | None = None
    ) -> list[Verdict]:
        """Judge answers by the checks named in ``purposes``, in that order; the reason names the purpose that failed."""
        ...


@runtime_checkable
class Executable(Protocol):
    """What a domain adds to `Domain` where its answers become Python: they are then read by the static scan before they run."""

    @property
    def entry(self) -> str:
        """Name of the one-argument function that every program defines."""
        ...

    def program(self, answer: str) -> str:
        """The module that an answer becomes, as the sandbox runs it."""
        ...


@runtime_checkable
class MakesFresh(Executable, Protocol):
    """What a domain adds to `Executable` so that accepted programs can be audited."""

    def fresh(self, task: Task, seed: int) -> Check:
        """Inputs that no check of any task has, drawn by the seed, with what the task's reference makes of them."""
        ...


@runtime_checkable
class Probed(Executable, Protocol):
    """What a domain adds to `Executable` so that programs can be told apart by what they do."""

    @property
    def probes(self) -> Sequence[Any]:
        """Inputs that show what a program does; no check has them."""
        ...


@runtime_checkable
class Stressed(Protocol):
    """What a domain adds to `Domain` so that models can be asked what no training row asks."""

    def stress(self) -> Mapping[str, Sequence[Task]]:
        """Tasks by kind, with a check ``stress`` and never given out otherwise; those without a check `Domain.task` must refuse."""
        ...


@runtime_checkable
class KnowsGold(Protocol):
    """What a domain adds to `Domain` so that its judge can be measured."""

    def gold(self, seed: int, count: int) -> Sequence[tuple[Task, str, bool]]:
        """``count`` accepting tasks with an answer each and whether it is right, as far as possible in equal parts.

        The truth is known from how an answer was made, never from the checks by which it will be judged.
        """
        ...


@runtime_checkable
class JudgesByModel(Protocol):
    """What a domain must add to `Domain` where it names ``judge_models``: how far they prefer their own family's answers."""

    def equals(self, seed: int, count: int) -> Sequence[tuple[Task, str, str]]:
        """At most ``count`` tasks, each with an answer by the judge's own family and one by another that people found as good."""
        ...

    def prefers_first(self, task: Task, first: str, second: str, sandbox: Sandbox) -> bool:
        """Which of two answers the judge takes; who wrote them it is not told."""
        ...


def offered(domain: object, protocol: type[Offer]) -> Offer | None:
    """What offers this protocol: the domain itself, or the one that it wraps (``inner``), and so on; else None."""
    found: object | None = domain
    while found is not None and not isinstance(found, protocol):
        found = getattr(found, "inner", None)
    return found


class ModelFamily(Protocol):
    """Codec, load, save, sample, loss. A model is opaque to everyone else (a ``torch.nn.Module`` that can train)."""

    def create(self, alphabet: Alphabet, seed: int) -> Any:
        """A fresh model, its codec attached; the same seed gives the same weights."""
        ...

    def load(self, directory: Path) -> Any:
        """Read what `save` wrote; IntegrityError where it cannot be read."""
        ...

    def save(self, model: Any, directory: Path) -> None:
        """Write weights as safetensors and the rest as JSON: the same model gives the same bytes."""
        ...

    def sample(
        self, model: Any, prompts: Sequence[str], seeds: Sequence[int], temperature: float, max_new: int
    ) -> list[Sample]:
        """One answer a prompt, in order. Greedy at temperature 0; else the draw depends on (model, prompt, seed) alone,

        for the same list of prompts (a list is one work item; its bytes do not depend on where it runs).
        """
        ...

    def collate(self, model: Any, pairs: Sequence[tuple[str, str]]) -> Mapping[str, Any]:
        """Tensors of a batch of (prompt, answer), padded; among them ``weight``, 1.0 where a token counts in the loss."""
        ...

    def loss(self, model: Any, batch: Mapping[str, Any]) -> Any:
        """Sum of the cross-entropy in nats over the tokens that count: a scalar tensor."""
        ...

    def parameters(self, model: Any) -> int:
        """How many; the cost estimate goes by it."""
        ...


@runtime_checkable
class LearnsSome(Protocol):
    """What a family adds to `ModelFamily` whose models cannot learn every text: others may write what it has no tokens for."""

    def learnable(self, alphabet: Alphabet, prompt: str, answer: str) -> bool:
        """Whether a model made for this alphabet can be trained on the pair."""
        ...


@runtime_checkable
class Inherits(Protocol):
    """What a family adds to `ModelFamily` where the models that it creates start from weights that others trained."""

    def base(self) -> Mapping[str, Any]:
        """``name`` and ``digest`` of those weights, ``flop`` of their training or None where it is unknown, and ``systemic``:

        whether theirs is a model with systemic risk, as their provider says (None: unknown).
        """
        ...


@runtime_checkable
class Shards(Protocol):
    """What a family adds to `ModelFamily` whose models can be cut up over several devices (``trainer.parallel: fsdp2``)."""

    def blocks(self, model: Any) -> Sequence[Any]:
        """The modules that are put together and let go one at a time, first to last. Like the model, they work by ``forward`` alone."""
        ...

    def computes_in(self, model: Any) -> Any:
        """The torch dtype that weights are put together in; None: their own."""
        ...

    def saves_frozen(self, model: Any) -> bool:
        """Whether `ModelFamily.save` writes weights that are not trained."""
        ...


@runtime_checkable
class Merges(Protocol):
    """What a family adds to `ModelFamily` where a recorded model may be a part (an adapter) of the one that others can use."""

    def merge(self, source: Path, target: Path) -> None:
        """Write the recorded model as a whole one, in a format that other tools read."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseContext:
    """What a phase is given besides configuration and inputs. It never sees the ledger, a key, DVC or git."""

    cycle: str
    root: Path
    """The workspace; an archive's chain of shards is resolved against it (`loopwright.store.archive`)."""
    seed: int
    """The cycle's seed; a phase derives all its randomness from it and from row ids."""
    output: Path
    """A fresh directory; the phase writes each of its outputs into ``output / <name>``."""
    scratch: Path
    """Private to this phase key; survives a crash, so that long work resumes; removed when the phase is recorded."""
    domain: Domain
    family: ModelFamily
    executor: Executor
    sandbox: Sandbox
    progress: Progress
    refs: Mapping[str, Mapping[str, Any]]
    """Plug-ins by kind (``domain``, ``model``) as ``{"name", "settings"}``: what a worker loads them again from."""
    sealer: Sealer | None = None
    """What the sealed suite is locked away with; None: it lies open."""
    offline: bool = False
    """A replay: models elsewhere are not asked again, what they answered is taken from the workspace's private cache or fails."""


def _entry(group: str, name: str) -> EntryPoint:
    found = list(entry_points(group=f"loopwright.{group}", name=name))
    if len(found) == 1:
        return found[0]
    installed = ", ".join(sorted({entry.name for entry in entry_points(group=f"loopwright.{group}")})) or "none"
    problem = "no installed package provides" if not found else "more than one installed package provides"
    raise PluginError(
        f"{problem} the {group[:-1]} {name!r} (installed: {installed})", "pip install the package that provides it"
    )


def _build(group: str, name: str, settings: Mapping[str, Any]) -> Any:
    try:
        factory = _entry(group, name).load()
    except ImportError as error:
        raise PluginError(f"the {group[:-1]} {name!r} cannot be imported: {error}", "install what it needs") from error
    try:
        return factory(**settings)
    except (TypeError, ValueError) as error:
        raise PluginError(f"the {group[:-1]} {name!r} refuses its settings: {error}", "loopwright config explain") from error


def load_domain(name: str, settings: Mapping[str, Any], root: Path | None = None) -> Domain:
    """The domain of that name (entry-point group ``loopwright.domains``); PluginError where there is none.

    A setting ``path`` names a file or folder of the workspace at ``root``; its content counts as the judge's (`loopwright.identity`).
    """
    return _build("domains", name, settled(settings, root))


def load_family(name: str, settings: Mapping[str, Any]) -> ModelFamily:
    """The model family of that name (entry-point group ``loopwright.models``); PluginError where there is none."""
    return _build("models", name, settings)


@functools.lru_cache
def plugin_identity(group: str, name: str) -> str:
    """``distribution/name@version``, as it is written into evidence."""
    entry = _entry(group, name)
    distribution = entry.dist
    owner = f"{distribution.name}/{name}@{distribution.version}" if distribution else f"unknown/{name}@0"
    return owner
