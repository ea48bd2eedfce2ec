"""A local folder in Hugging Face's format: refused where it is not safe or not whole, identified by its bytes, then read.

Nothing is fetched, no code of a folder is run, and no pickle is opened: weights come from safetensors alone. What a folder holds
is believed only where model and tokenizer fit each other; a weight that is missing would otherwise be drawn by chance.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from loopwright.errors import LoopwrightError, PluginError
from loopwright.models.tensors import hashed_saves
from loopwright.store.hashing import default_threads
from loopwright.types import Digest, FileEntry, Manifest

__all__ = [
    "PICKLED",
    "first_line",
    "inspect_folder",
    "lineage_digest",
    "quiet",
    "read_model",
    "read_tokenizer",
    "write_model",
]

PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
"""Files that torch or Python would unpickle, and thereby run."""
_READ = (".safetensors", ".json", ".jinja", ".model", ".txt")
"""Files that make a model or a tokenizer."""
_PADDING = 1024
"""Embedding tables are padded to a multiple of at most this; a tokenizer that leaves more rows without a token is another model's."""

Refusal = Callable[[str, str], LoopwrightError]
"""(message, next step) -> the error: a plan's folder is a mistake of who wrote it, a recorded model's is a broken record."""


def inspect_folder(folder: Path, refuse: Refusal = PluginError) -> None:
    """Raise where the folder cannot hold a model that may be read; costs a directory listing."""
    if not folder.is_dir():
        raise refuse(f"there is no model folder {folder}", "name a local folder: nothing is fetched at run time")
    names = sorted(entry.name for entry in folder.iterdir())
    if not any(name.endswith(".safetensors") for name in names):
        pickled = [name for name in names if name.endswith(PICKLED)]
        if pickled:
            raise refuse(
                f"the weights in {folder} are pickled ({', '.join(pickled[:3])}): reading them would run what is in them",
                f"loopwright convert-model {folder} {folder}-safetensors",
            )
        raise refuse(f"{folder} has no weights (*.safetensors)", "download the model's folder as a whole")
    if "config.json" not in names:
        raise refuse(f"{folder} has no config.json", "download the model's folder as a whole")


def lineage_digest(folder: Path) -> Digest:
    """The identity of what a model is read from: weights, configuration, tokenizer. Other files of the folder do not count.

    A file whose inode, size and time of change are known to this process is not read again. Links are followed, as in a hub's cache.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in _READ and path.is_file())
    stats = [path.stat() for path in files]
    return _digest(
        tuple((str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in zip(files, stats, strict=True))
    )


@functools.lru_cache(maxsize=16)
def _digest(files: tuple[tuple[str, int, int, int], ...]) -> Digest:
    with ThreadPoolExecutor(default_threads()) as pool:
        hashes = list(pool.map(_sha256, [name for name, *_ in files]))
    entries = [
        FileEntry(path=Path(name).name, size=size, sha256=found)
        for (name, _, size, _), found in zip(files, hashes, strict=True)
    ]
    return Manifest(kind="base", files=tuple(entries)).digest


def _sha256(name: str) -> str:
    with Path(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_model(folder: Path, dtype: Any, refuse: Refusal = PluginError) -> Any:
    """The causal model of the folder in ``dtype``, without dropout, so that training draws nothing by chance.

    Raises:
        PluginError: (or what ``refuse`` makes) the folder is refused, damaged, incomplete, or of an architecture that is not installed.
    """
    inspect_folder(folder, refuse)
    quiet()
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if hasattr(config, "attention_dropout"):
            config.attention_dropout = 0.0
        model, said = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        raise refuse(f"the model in {folder} cannot be read: {first_line(error)}", "check the folder's files") from error
    absent = [*said["missing_keys"], *(str(one[0]) for one in said["mismatched_keys"])]
    if absent:
        raise refuse(
            f"the weights in {folder} do not fit its config.json: {len(absent)} are missing or of another shape, "
            f"first {min(absent)}",
            "download the model's folder as a whole",
        )
    return model


def read_tokenizer(folder: Path, rows: int, refuse: Refusal = PluginError) -> Any:
    """The tokenizer of the folder, for a model whose embedding table has ``rows`` rows."""
    quiet()
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, ImportError, AttributeError) as error:
        raise refuse(
            f"the tokenizer in {folder} cannot be read: {first_line(error)}", "add the model's own tokenizer files"
        ) from error
    ids = 1 + max(tokenizer.get_vocab().values(), default=-1)
    if not 0 <= rows - ids < _PADDING:
        raise refuse(
            f"the tokenizer in {folder} has {ids} ids and the model {rows} embedding rows: it is another model's",
            "use the tokenizer that the model was trained with",
        )
    if tokenizer.eos_token_id is None:
        raise refuse(f"the tokenizer in {folder} has no end-of-sequence token", "name one in its tokenizer_config.json")
    return tokenizer


def write_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """A whole model as a folder that `read_model` and everyone else's tools read: the same model, the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with hashed_saves():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def quiet() -> None:
    """Before the first import of what could fetch something, and without its bars and advice."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def first_line(error: BaseException) -> str:
    """What a library says, short enough for a message."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
