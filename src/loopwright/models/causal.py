"""The model family ``causal-lm``: a language model from a local folder in Hugging Face's format, fine-tuned whole or by LoRA.

    model:
      name: causal-lm
      settings: {path: /models/SmolLM2-135M-Instruct, tuning: lora, chat: true}

A model that was trained whole is a folder of the same format; one trained by LoRA is its adapter, bound to the base by the base's
digest. What a model says of itself (`model.json`) goes before the plan: a champion is loaded as it was trained. Nothing heavy is
imported before a model is read, so that naming the family costs nothing.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from loopwright.errors import IntegrityError, PluginError
from loopwright.models.causal_adapters import Lora, add_adapters, merge_adapters, read_adapters, write_adapters
from loopwright.models.causal_folder import inspect_folder, lineage_digest, read_model, read_tokenizer, write_model
from loopwright.models.causal_text import Frame, Speech, chat_frame
from loopwright.models.causal_vllm import ALLOWED, answer_by_vllm
from loopwright.models.threads import threads
from loopwright.plugins import Alphabet, Sample
from loopwright.types import Digest, canonical

__all__ = ["CausalLM"]

_DESCRIPTION = "model.json"
_TUNINGS = ("lora", "full")
_ENGINES = ("transformers", "vllm")
_numbers = itertools.count(1)
"""A model that is read gets a number: an engine that outlives it must not take the next one for it."""


class CausalLM:
    """A `ModelFamily`. How a model is tuned and framed are settings of models that it creates; the others hold for all.

    Args:
        path: The base's folder, as an absolute path: workers run elsewhere.
        tuning: ``lora`` trains adapters, ``full`` all weights.
        lora: ``r``, ``alpha`` and ``targets`` (names of linear layers).
        chat: The tokenizer's chat template frames each prompt; else ``separator`` follows it.
        bf16: Computation in bfloat16. Trained weights and the optimiser stay in float32.
        gradient_checkpointing: Less memory, a third more time.
        batch: Rows that are decoded together.
        threads: Threads of a CPU worker that samples; sums are ordered by it.
        digest: What `loopwright inspect-model` says of the folder; a folder with other weights is then refused at once.
        name: What reports call the base; the folder's name by default.
        flop: Operations of the base's own training, as its provider states them.
        systemic: Whether its provider states it to be a model with systemic risk.
        engine: Who computes answers: ``transformers``, or ``vllm`` with ``engine_settings`` (`loopwright.models.causal_vllm`).
    """

    def __init__(  # one keyword a setting of the plan
        self,
        *,
        path: str,
        tuning: str = "lora",
        lora: Mapping[str, Any] | None = None,
        chat: bool = False,
        separator: str = "\n",
        bf16: bool = False,
        gradient_checkpointing: bool = False,
        batch: int = 32,
        threads: int = 1,
        digest: Digest | None = None,
        name: str | None = None,
        flop: float | None = None,
        systemic: bool | None = None,
        engine: str = "transformers",
        engine_settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._folder = Path(path)
        if not self._folder.is_absolute():
            raise TypeError(f"path must be absolute, not {path!r}: workers run in other directories")
        if tuning not in _TUNINGS or min(batch, threads) < 1:
            raise TypeError(f"tuning must be one of {', '.join(_TUNINGS)}, batch and threads at least 1")
        if not chat and not separator:
            raise TypeError("separator must not be empty: without chat it alone says where a prompt ends")
        if engine not in _ENGINES or (refused := set(engine_settings or ()) - (ALLOWED if engine == "vllm" else set())):
            named = f"engine_settings takes {', '.join(sorted(ALLOWED))}, not {refused}" if engine in _ENGINES else ""
            raise TypeError(named or f"engine must be one of {', '.join(_ENGINES)}, not {engine!r}")
        self._vllm = {**(engine_settings or {}), "dtype": "bfloat16" if bf16 else "float32"} if engine == "vllm" else None
        inspect_folder(self._folder)
        self._lora = _lora(lora or {}) if tuning == "lora" else None
        self._chat, self._separator = chat, separator
        self._bf16, self._checkpointing, self._batch, self._threads = bf16, gradient_checkpointing, batch, threads
        self._pinned = digest
        self._told = {"name": name or self._folder.name, "flop": flop, "systemic": systemic}

    def base(self) -> Mapping[str, Any]:
        """Whose weights a fresh model starts from: ``name``, ``digest``, and ``flop`` and ``systemic`` as the plan states them."""
        return {**self._told, "digest": self._identity()}

    def create(self, alphabet: Alphabet, seed: int) -> Any:
        """The base, with fresh adapters where LoRA trains; the alphabet is not asked, since a tokenizer comes with the base."""
        identity = self._identity()
        model = read_model(self._folder, self._dtype(self._lora))
        tokenizer = read_tokenizer(self._folder, model.get_input_embeddings().num_embeddings)
        plain = Frame(head="", tail=self._separator, plain=True)
        frame = chat_frame(tokenizer, str(self._folder)) if self._chat else plain
        if self._lora:
            add_adapters(model, self._lora, seed)
        model.folder, model.adapter, model.number = self._folder, None, next(_numbers)
        return self._ready(model, Speech(tokenizer, frame, _stops(model)), self._lora, identity)

    def save(self, model: Any, directory: Path) -> None:
        """Write ``model.json``, and the adapter or the whole model with its tokenizer: the same model, the same bytes."""
        directory.mkdir(parents=True, exist_ok=True)
        if model.lora:
            write_adapters(model, model.lora, directory)
        else:
            write_model(model, model.speech.tokenizer, directory)
        described = {
            "schema": 1,
            "family": "causal-lm",
            "tuning": "lora" if model.lora else "full",
            "lora": model.lora.as_json() if model.lora else None,
            "frame": model.speech.frame.as_json(),
            "base": model.lineage,
            "parameters": {"total": self.parameters(model), "trained": self.trained(model)},
        }
        (directory / _DESCRIPTION).write_bytes(canonical(described) + b"\n")

    def load(self, directory: Path) -> Any:
        """Read what `save` wrote.

        Raises:
            IntegrityError: a file is missing or damaged, or the base in the plan's folder is not the one that was trained on.
        """
        return self._load(directory, *_described(directory))

    def _load(self, directory: Path, lora: Lora | None, frame: Frame, identity: Digest, *, exactly: bool = False) -> Any:
        folder = self._folder if lora else directory
        if lora and self._identity() != identity:
            raise IntegrityError(
                f"the adapter in {directory} was trained on the base {identity[:19]}…, and {folder} holds {self._identity()[:19]}…",
                "put the base's own files back: an adapter on other weights is another model",
            )
        model = read_model(folder, self._dtype(None if exactly else lora), _broken)
        tokenizer = read_tokenizer(folder, model.get_input_embeddings().num_embeddings, _broken)
        if lora:
            add_adapters(model, lora, 0)
            read_adapters(model, directory)
        model.folder, model.adapter, model.number = folder, directory if lora else None, next(_numbers)
        return self._ready(model, Speech(tokenizer, frame, _stops(model)), lora, identity)

    def merge(self, source: Path, target: Path) -> None:
        """Write the model in ``source`` as a whole one in float32, adapter and base added up, that other tools read."""
        model = self._load(source, *_described(source), exactly=True)
        if model.lora:
            merge_adapters(model)
            model.lora = None
        self.save(model.requires_grad_(), target)

    def sample(
        self, model: Any, prompts: Sequence[str], seeds: Sequence[int], temperature: float, max_new: int
    ) -> list[Sample]:
        """One answer a prompt, in order; see `loopwright.models.causal_sampler`. On a GPU where this process has one.

        Raises:
            PluginError: a prompt leaves no room for the answer in the model's context.
        """
        if not prompts:
            return []
        heads = [model.speech.prompt(text) for text in prompts]
        _fits(model, max(map(len, heads)) + max_new)
        if self._vllm is not None:
            answers = answer_by_vllm(model, heads, seeds, temperature, max_new, self._vllm)
        else:
            answers = self._sample(model, heads, seeds, temperature, max_new)
        said = zip(answers, heads, strict=True)
        return [Sample(text=model.speech.text(ids), tokens=len(ids), prompt=len(head)) for ids, head in said]

    def _sample(
        self, model: Any, heads: Sequence[tuple[int, ...]], seeds: Sequence[int], temperature: float, max_new: int
    ) -> list[list[int]]:
        import torch

        from loopwright.models.causal_sampler import sample_answers

        if torch.cuda.is_available():
            model.to("cuda")
        trains = model.training
        model.eval()
        with threads(self._threads), self._precision(model):
            answers = sample_answers(model, heads, seeds, temperature, max_new, self._batch)
        model.train(trains)
        return answers

    def collate(self, model: Any, pairs: Sequence[tuple[str, str]]) -> Mapping[str, Any]:
        """``ids`` and ``weight`` (rows, length), padded at the right, and the rows' ``lengths``. PluginError: a row is too long."""
        import torch

        known = [(model.speech.prompt(prompt), model.speech.answer(answer)) for prompt, answer in pairs]
        lengths = [len(prompt) + len(answer) for prompt, answer in known]
        width = max(lengths)
        _fits(model, width)
        ids = torch.zeros((len(known), width), dtype=torch.long)
        weight = torch.zeros(ids.shape)
        for row, (prompt, answer) in enumerate(known):
            ids[row, : lengths[row]] = torch.tensor([*prompt, *answer])
            weight[row, len(prompt) : lengths[row]] = 1.0
        return {"ids": ids, "weight": weight, "lengths": torch.tensor(lengths)}

    def loss(self, model: Any, batch: Mapping[str, Any]) -> Any:
        """Sum of the cross-entropy in nats over the tokens that count: the answers' and their end mark.

        Padding stands at the right, where causal attention never looks, so no mask is needed; scores are made for counted tokens alone.
        """
        from torch.nn import functional

        ids, counted = batch["ids"].to(model.device), batch["weight"].to(model.device)[:, 1:] > 0
        with self._precision(model):
            scores = model(input_ids=ids[:, :-1], use_cache=False, logits_to_keep=counted).logits
        return functional.cross_entropy(scores.flatten(0, -2).float(), ids[:, 1:][counted], reduction="sum")

    def parameters(self, model: Any) -> int:
        """How many, the base's and the adapters'; tied weights count once."""
        return sum(parameter.numel() for parameter in model.parameters())

    def trained(self, model: Any) -> int:
        """How many of them training changes."""
        return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

    def blocks(self, model: Any) -> Sequence[Any]:
        """The decoder's layers: the longest list of modules in it (`loopwright.plugins.Shards`)."""
        import torch

        return max((list(part) for part in model.modules() if isinstance(part, torch.nn.ModuleList)), key=len, default=[])

    def computes_in(self, model: Any) -> Any:
        """With ``bf16`` weights travel in it, too; what is trained stays in float32 on its own device."""
        import torch

        return torch.bfloat16 if self._bf16 else None

    def saves_frozen(self, model: Any) -> bool:
        """A base under adapters is not written."""
        return not model.lora

    def _identity(self) -> Digest:
        inspect_folder(self._folder)
        found = lineage_digest(self._folder)
        if self._pinned is not None and self._pinned != found:
            raise IntegrityError(
                f"the plan names the base {self._pinned[:19]}…, and {self._folder} holds {found[:19]}…",
                "put the base's own files back, or propose a plan with the new digest",
            )
        return found

    def _dtype(self, lora: Lora | None) -> Any:
        """What is trained is in float32; a base that stays as it is may be in bfloat16."""
        import torch

        return torch.bfloat16 if self._bf16 and lora else torch.float32

    def _precision(self, model: Any) -> AbstractContextManager[Any]:
        import torch

        return torch.autocast(model.device.type, torch.bfloat16, enabled=self._bf16)

    def _ready(self, model: Any, speech: Speech, lora: Lora | None, identity: Digest) -> Any:
        """The model with what belongs to it; a checkpointed one must be in training mode for its layers to forget."""
        model.speech, model.lora, model.lineage = speech, lora, identity
        if self._checkpointing:
            forget = (
                getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
            )  # before 5.24
            forget()
        return model.train(self._checkpointing)


def _lora(settings: Mapping[str, Any]) -> Lora:
    chosen: dict[str, Any] = {"r": 8, "alpha": 16, "targets": ["q_proj", "v_proj"], **settings}
    if chosen.keys() != {"r", "alpha", "targets"} or not chosen["targets"] or isinstance(chosen["targets"], str):
        raise TypeError(f"lora has r, alpha and targets (a list of layer names), not {dict(settings)}")
    if not isinstance(chosen["r"], int) or chosen["r"] < 1:
        raise TypeError(f"lora.r must be a whole number of at least 1, not {chosen['r']!r}")
    return Lora(r=chosen["r"], alpha=chosen["alpha"], targets=tuple(chosen["targets"]))


def _described(directory: Path) -> tuple[Lora | None, Frame, Digest]:
    """How a recorded model was tuned and framed, and the base that it comes from."""
    try:
        said = json.loads((directory / _DESCRIPTION).read_bytes())
        return _lora(said["lora"]) if said["lora"] else None, Frame(**said["frame"]), str(said["base"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _broken(
            f"{_DESCRIPTION} in {directory} cannot be read: {type(error).__name__}: {error}",
            "`loopwright verify` says what changed; `dvc checkout` brings the recorded bytes back",
        ) from error


def _broken(message: str, next_step: str) -> IntegrityError:
    """What was recorded is not what lies there; a plan's own folder is a `PluginError` instead."""
    return IntegrityError(message, next_step)


def _stops(model: Any) -> tuple[int, ...]:
    """End marks that the model's own generation settings name beside the tokenizer's."""
    said = model.generation_config.eos_token_id if model.generation_config else None
    return () if said is None else (said,) if isinstance(said, int) else tuple(said)


def _fits(model: Any, width: int) -> None:
    room = getattr(model.config, "max_position_embeddings", None) or width
    if width > room:
        raise PluginError(
            f"a prompt and its answer may need {width} tokens, and the model's context has {room}",
            "lower max_new_tokens in loop.yaml, or shorten the tasks",
        )
