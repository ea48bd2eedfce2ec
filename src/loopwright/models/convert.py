"""`loopwright convert-model`: a folder with pickled weights becomes one with safetensors, and no pickle is ever run.

A torch file is a zip archive: raw numbers, and a pickle that says which of them are which tensor. The pickle is read in the sandbox
by `loopwright.models.pickle_reader`, which calls nothing; what comes out is data (names, types, places), and the tensors are made
of the raw numbers here. `torch.load` is not used, not even with ``weights_only``: that had holes (CVE-2025-32434, CVE-2026-24747).
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loopwright.errors import RefusedError, UsageError
from loopwright.models.causal_folder import PICKLED, lineage_digest
from loopwright.models.pickle_reader import STORAGES
from loopwright.sandbox import Job, Limits, Sandbox
from loopwright.sandbox.pool import open_sandbox
from loopwright.types import canonical

__all__ = ["convert_folder"]

_LIMITS = Limits(wall_seconds=120.0, cpu_seconds=120, memory_bytes=2 * 2**30, output_bytes=32 * 2**20)
_PICKLE_BYTES = 8 * 2**20
"""Of the pickle alone; a model of a thousand layers needs a tenth."""
_KEPT = (".json", ".jinja", ".model", ".txt")
"""What else makes a model: copied. Code is not."""
_NO_WEIGHTS = ("training_args", "optimizer", "scheduler", "rng_state", "trainer_state")
"""Beginnings of pickles that lie beside weights and are none."""
_INDEX = "model.safetensors.index.json"


def convert_folder(source: Path, target: Path) -> dict[str, Any]:
    """Write ``target``; return what was converted, under which isolation, and the new folder's digest.

    Raises:
        UsageError: there is nothing to convert, or the target exists.
        RefusedError: a file holds something else than tensors.
    """
    files = sorted(path for path in source.iterdir() if _weights(path)) if source.is_dir() else []
    if not files:
        raise UsageError(f"{source} has no pickled weights", "name a folder with pytorch_model.bin or the like")
    if target.exists():
        raise UsageError(f"{target} exists already", "name a new folder")
    target.mkdir(parents=True)
    try:
        with open_sandbox("SL2", limits=_LIMITS) as sandbox:
            names = _names(files)
            made = {names[path]: _convert(path, target / names[path], sandbox) for path in files}
            level = sandbox.level
        _index(target, made)
        for path in sorted(source.iterdir()):
            if path.suffix in _KEPT and path.is_file() and not path.name.endswith(".index.json"):
                shutil.copyfile(path, target / path.name)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return {
        "schema_version": 1,
        "folder": str(target),
        "files": {name: {"tensors": len(found), "bytes": sum(found.values())} for name, found in made.items()},
        "isolation": level,
        "digest": lineage_digest(target),
    }


def _weights(path: Path) -> bool:
    return path.suffix in PICKLED and path.is_file() and not path.name.startswith(_NO_WEIGHTS)


def _names(files: list[Path]) -> dict[Path, str]:
    """What each file becomes: ``model.safetensors``, or numbered parts of it."""
    if len(files) == 1:
        return {files[0]: "model.safetensors"}
    return {path: f"model-{number:05d}-of-{len(files):05d}.safetensors" for number, path in enumerate(files, 1)}


def _convert(source: Path, target: Path, sandbox: Sandbox) -> dict[str, int]:
    """Write one file; bytes by tensor."""
    from safetensors.torch import save_file

    try:
        with zipfile.ZipFile(source) as archive:
            prefix = _prefix(archive, source)
            rows = _read_pickle(archive.read(f"{prefix}/data.pkl"), source, sandbox)
            tensors = dict(_tensors(archive, prefix, rows, source))
    except zipfile.BadZipFile as error:
        raise RefusedError(
            f"{source} is no archive of torch.save ({error})",
            "save it with torch 1.6 or later, on a machine that you would let its author use",
        ) from error
    save_file(tensors, target, metadata={"format": "pt"})
    return {name: tensor.numel() * tensor.element_size() for name, tensor in tensors.items()}


def _prefix(archive: zipfile.ZipFile, source: Path) -> str:
    """The archive's one folder. Nothing in it may be compressed (a bomb) or there twice (two readers would see two files)."""
    entries = archive.infolist()
    pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl") and entry.filename.count("/") == 1]
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if len(pickles) != 1 or not stored or len({entry.filename for entry in entries}) != len(entries):
        raise RefusedError(f"{source} is an archive that torch.save does not write", "get the file from where it was published")
    if pickles[0].file_size > _PICKLE_BYTES:
        raise RefusedError(f"the pickle in {source} has {pickles[0].file_size} bytes", "no state of a model needs so many")
    prefix = pickles[0].filename.partition("/")[0]
    if f"{prefix}/byteorder" in archive.namelist() and archive.read(f"{prefix}/byteorder") != b"little":
        raise RefusedError(f"{source} was written in another byte order", "write it anew on a little-endian machine")
    return prefix


def _read_pickle(data: bytes, source: Path, sandbox: Sandbox) -> list[Any]:
    """The table of tensors, from the sandbox."""
    reader = Path(__file__).with_name("pickle_reader.py").read_text(encoding="utf-8")
    outcome = sandbox.run([Job(source=reader, entry="tensors", inputs=(data.decode("latin-1"),))])[0]
    if outcome.status != "PASS":
        raise RefusedError(
            f"the pickle in {source} could not be read within its limits: {outcome.status} {outcome.detail}",
            "get the file from where it was published",
        )
    rows = outcome.outputs[0]
    if len(rows) == 1 and len(rows[0]) == 1:
        raise RefusedError(f"{source} is not converted: {rows[0][0]!a}", "get safetensors from where it was published")
    return rows


def _tensors(archive: zipfile.ZipFile, prefix: str, rows: list[Any], source: Path) -> Iterator[tuple[str, Any]]:
    """Tensors of their storages' raw numbers. What the sandbox said is checked again: it's a stranger's."""
    import torch

    storages = dict[tuple[str, str], Any]()
    for name, dtype, key, offset, size, stride in rows:
        try:
            if (dtype, key) not in storages:
                storages[dtype, key] = _storage(archive.read(f"{prefix}/data/{int(key)}"), dtype)
            whole = storages[dtype, key]
            last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
            if last >= len(whole) and 0 not in size:
                raise ValueError("it ends behind its storage")
            yield name, whole.as_strided(size, stride, offset).clone(memory_format=torch.contiguous_format)
        except (KeyError, ValueError, RuntimeError, AttributeError, TypeError) as error:
            raise RefusedError(f"the tensor {name[:80]!r} in {source} is damaged: {error}", "get the file anew") from error


def _storage(raw: bytes, dtype: str) -> Any:
    import torch

    if dtype not in STORAGES.values():
        raise ValueError("an unknown type")
    kind = getattr(torch, dtype)
    return torch.frombuffer(bytearray(raw), dtype=kind) if raw else torch.empty(0, dtype=kind)


def _index(target: Path, made: Mapping[str, Mapping[str, int]]) -> None:
    """Which tensor is in which file, where there are several."""
    if len(made) == 1:
        return
    where = {name: file for file, tensors in made.items() for name in tensors}
    total = sum(sum(tensors.values()) for tensors in made.values())
    (target / _INDEX).write_bytes(canonical({"metadata": {"total_size": total}, "weight_map": where}) + b"\n")
