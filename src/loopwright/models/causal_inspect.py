"""What a person wants to know of a model folder before a plan names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loopwright.models.causal_folder import lineage_digest, read_model, read_tokenizer

__all__ = ["inspect"]


def inspect(folder: Path) -> dict[str, Any]:
    """Read the folder as a run would, and describe it. PluginError where a run would refuse it."""
    import torch

    model = read_model(folder, torch.bfloat16)
    rows = model.get_input_embeddings().num_embeddings
    tokenizer = read_tokenizer(folder, rows)
    return {
        "schema_version": 1,
        "digest": lineage_digest(folder),
        "architecture": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "context": getattr(model.config, "max_position_embeddings", None),
        "embeddings": rows,
        "tokens": 1 + max(tokenizer.get_vocab().values()),
        "chat_template": bool(tokenizer.chat_template),
    }
