"""LoRA by `peft`: small matrices beside chosen layers are trained, the base stays as it is (Hu et al. 2021).

An adapter is written in peft's own format, so that other tools load it; without the base it is nothing, so the base's digest is
kept with it. Its bytes depend on the adapter alone: no path, no time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loopwright.errors import IntegrityError, PluginError
from loopwright.models.tensors import write_tensors
from loopwright.types import canonical

__all__ = ["Lora", "add_adapters", "merge_adapters", "read_adapters", "write_adapters"]

_WEIGHTS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PREFIX = "base_model.model."
"""Of every name in peft's files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """How large adapters are, and where they sit."""

    r: int
    alpha: int
    targets: tuple[str, ...]
    """Names of linear layers, as the architecture calls them."""

    def as_json(self) -> dict[str, Any]:
        """For the model's description."""
        return {**asdict(self), "targets": list(self.targets)}

    def config(self) -> Any:
        """As peft wants it."""
        from peft import LoraConfig

        return LoraConfig(
            r=self.r, lora_alpha=self.alpha, target_modules=list(self.targets), lora_dropout=0.0, task_type="CAUSAL_LM"
        )


def add_adapters(model: Any, lora: Lora, seed: int) -> None:
    """Put fresh adapters into the model, in place: they change nothing yet, and they alone will be trained."""
    import torch
    from peft import inject_adapter_in_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            inject_adapter_in_model(lora.config(), model)
        except ValueError as error:
            raise PluginError(
                f"the model has no layers {', '.join(lora.targets)} for adapters",
                "name its linear layers in model.settings.lora",
            ) from error
    for parameter in _adapters(model).values():
        parameter.data = parameter.data.float()  # a base in bfloat16 would lose small steps


def write_adapters(model: Any, lora: Lora, directory: Path) -> None:
    """Write peft's two files."""
    write_tensors(directory / _WEIGHTS, _adapters(model), {"format": "pt"})
    (directory / _CONFIG).write_bytes(canonical(_plain(lora.config().to_dict())) + b"\n")


def read_adapters(model: Any, directory: Path) -> None:
    """Give the model's adapters the values that `write_adapters` wrote; IntegrityError where they are not all there."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    wanted = _adapters(model)
    try:
        found = load_file(directory / _WEIGHTS)
        if found.keys() != wanted.keys():
            raise ValueError(f"{len(found.keys() ^ wanted.keys())} adapters too many or too few")
        with torch.no_grad():
            for name, parameter in wanted.items():
                if parameter.shape != found[name].shape:
                    raise ValueError(f"{name} has the shape {tuple(found[name].shape)}")
                parameter.copy_(found[name])
    except (OSError, SafetensorError, ValueError) as error:
        raise IntegrityError(
            f"the adapter in {directory} cannot be read: {error}",
            "`loopwright verify` says what changed; `dvc checkout` brings the recorded bytes back",
        ) from error


def merge_adapters(model: Any) -> None:
    """Add the adapters up with the layers beside which they sit, and take them away, in place."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in list(model.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, layer.get_base_layer())


def _adapters(model: Any) -> dict[str, Any]:
    """Adapters by their names in peft's files; they are what is trained of such a model."""
    return {
        _PREFIX + name.replace(".default.", "."): parameter for name, parameter in model.named_parameters() if ".lora_" in name
    }


def _plain(value: Any) -> Any:
    """Settings as JSON in one order: sets sorted, enumerations by value."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(_plain, value))
    if isinstance(value, str) or not isinstance(value, Sequence):
        return value if isinstance(value, bool | int | float | type(None)) else str(getattr(value, "value", value))
    return [_plain(item) for item in value]
