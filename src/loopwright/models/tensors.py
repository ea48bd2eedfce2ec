"""Tensors into a safetensors file, one after the other, hashed on the way out: `safetensors.torch.save_file`, byte for byte.

That library hands a file over as a whole, and its digests would need another pass over bytes that were just written. Here a
tensor comes off its device when it is its turn, so that saving needs no second copy of a model either.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loopwright.written import HashedFile

__all__ = ["hashed_saves", "write_tensors"]

_NAMES = (
    "bool", "uint8", "int8", "float8_e5m2", "float8_e4m3fn", "int16", "uint16", "float16", "bfloat16",
    "int32", "uint32", "float32", "complex64", "float64", "int64", "uint64",
)  # fmt: skip
_CODES = (
    "BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "I16", "U16", "F16", "BF16",
    "I32", "U32", "F32", "C64", "F64", "I64", "U64",
)  # fmt: skip
"""What the format calls torch's types, in the order in which the library sorts them, the last first."""
_ALIGNED = 8
_THEIRS = "safe_save_file"
"""What transformers' module calls its writer."""


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str], *, md5: bool = True) -> None:
    """Write ``tensors`` (by name; no two may share memory that one file should hold once) and ``metadata``.

    Args:
        path: The file; what lies there is replaced.
        tensors: On any device, of any layout.
        metadata: The format's own words for a file, text by text.
        md5: Whether the file will go to DVC.
    """
    ranks = {f"torch.{name}": rank for rank, name in enumerate(_NAMES)}
    order = sorted(tensors, key=lambda name: (-ranks[str(tensors[name].dtype)], name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in order:
        tensor = tensors[name]
        begin, end = end, end + tensor.numel() * tensor.element_size()
        code = _CODES[ranks[str(tensor.dtype)]]
        header[name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    said = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    said += b" " * (-len(said) % _ALIGNED)
    with HashedFile(path, md5=md5) as file:
        file.write(struct.pack("<Q", len(said)) + said)
        for name in order:
            file.write(_bytes(tensors[name]))


def _bytes(tensor: Any) -> memoryview:
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy()) if flat.numel() else memoryview(b"")


@contextmanager
def hashed_saves() -> Iterator[None]:
    """Let `transformers` write weights by `write_tensors` meanwhile; it names its writer itself and takes no other.

    Where a later version calls it otherwise, files are written as ever, and read once more when they are sealed.
    """
    from transformers import modeling_utils

    def save(tensors: Mapping[str, Any], filename: str, metadata: Mapping[str, str] | None = None) -> None:
        write_tensors(Path(filename), tensors, metadata or {})

    its: Callable[..., None] | None = getattr(modeling_utils, _THEIRS, None)
    if its is None:
        yield
        return
    setattr(modeling_utils, _THEIRS, save)
    try:
        yield
    finally:
        setattr(modeling_utils, _THEIRS, its)
