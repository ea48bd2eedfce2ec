"""A model file of llama.cpp (GGUF, often quantised) as a folder in Hugging Face's format, in float32.

The numbers are those of the quantised file: what was lost when it was made does not come back.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from loopwright.errors import PluginError, UsageError
from loopwright.models.causal_folder import first_line, lineage_digest, quiet, write_model

__all__ = ["convert_gguf"]


def convert_gguf(source: Path, target: Path) -> dict[str, Any]:
    """Write ``target``; return what was converted and the new folder's digest.

    Raises:
        UsageError: the target exists, or the file holds no model that transformers knows.
        PluginError: the package ``gguf`` is not installed.
    """
    if target.exists():
        raise UsageError(f"{target} exists already", "name a new folder")
    if find_spec("gguf") is None:
        raise PluginError("reading GGUF files needs the package gguf", "pip install gguf")
    quiet()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    at = {"gguf_file": source.name, "local_files_only": True}
    try:
        read = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.float32, **at)
        tokenizer = AutoTokenizer.from_pretrained(source.parent, **at)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UsageError(f"{source} cannot be read: {first_line(error)}", "get the model as safetensors instead") from error
    config = type(read.config)(
        **{name: value for name, value in read.config.to_dict().items() if name != "quantization_config"}
    )
    model = type(read)(config)  # one that came from a quantised file refuses to be saved
    model.load_state_dict(read.state_dict())
    write_model(model, tokenizer, target)
    tensors = {name: weight.numel() * weight.element_size() for name, weight in model.named_parameters()}
    return {
        "schema_version": 1,
        "folder": str(target),
        "files": {"model.safetensors": {"tensors": len(tensors), "bytes": sum(tensors.values())}},
        "isolation": "data",
        "digest": lineage_digest(target),
    }
