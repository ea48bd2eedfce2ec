"""Pickled weights become safetensors without a pickle being run, and whatever is no weight is refused."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from loopwright.errors import RefusedError, UsageError
from loopwright.models.causal import CausalLM
from loopwright.models.causal_inspect import inspect
from loopwright.models.convert import convert_folder
from loopwright.plugins import Alphabet
from tests.models.llama import write_llama

NONE = Alphabet(words=(), lexemes=("x",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("llama") / "tiny")


@pytest.fixture
def old(folder: Path, tmp_path: Path) -> Path:
    """The folder as it was published years ago."""
    made = Path(shutil.copytree(folder, tmp_path / "old"))
    weights = OrderedDict(load_file(made / "model.safetensors"))
    (made / "model.safetensors").unlink()
    torch.save(weights, made / "pytorch_model.bin")
    torch.save({"lr": 0.1}, made / "training_args.bin")
    (made / "modeling_mine.py").write_text("raise SystemExit")
    return made


def test_it_becomes_the_model_that_it_was(folder: Path, old: Path, tmp_path: Path) -> None:
    told = convert_folder(old, tmp_path / "new")
    assert told["isolation"] >= "SL2"
    assert load_file(tmp_path / "new" / "model.safetensors").keys() == load_file(folder / "model.safetensors").keys()
    assert not list((tmp_path / "new").glob("*.py"))
    first, other = (CausalLM(path=str(path), chat=True) for path in (folder, tmp_path / "new"))
    asked = (["an ant", "the"], [1, 2], 0.8, 12)
    assert first.sample(first.create(NONE, 0), *asked) == other.sample(other.create(NONE, 0), *asked)
    seen = inspect(tmp_path / "new")
    assert (seen["digest"], seen["architecture"]) == (told["digest"], "LlamaForCausalLM")
    assert seen["parameters"] == first.parameters(CausalLM(path=str(folder), tuning="full").create(NONE, 0))


def test_views_types_parameters_and_parts_come_through(old: Path, tmp_path: Path) -> None:
    square = torch.arange(12).half().view(3, 4)
    one = OrderedDict(view=square.t(), same=square, tail=square[1:, 2:])
    two = {
        "state_dict": {
            "parameter": torch.nn.Parameter(torch.ones(2, 2).bfloat16()),
            "empty": torch.zeros(0),
            "n": torch.tensor(7),
        }
    }
    (old / "pytorch_model.bin").unlink()
    torch.save(one, old / "pytorch_model-00001-of-00002.bin")
    torch.save(two, old / "pytorch_model-00002-of-00002.bin")
    convert_folder(old, tmp_path / "new")
    index = json.loads((tmp_path / "new" / "model.safetensors.index.json").read_bytes())
    found = {name: load_file(tmp_path / "new" / file)[name] for name, file in index["weight_map"].items()}
    expected = {**one, **two["state_dict"]}
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


class Calls:
    """Unpickling it runs a function."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return Path.touch, (self.canary,)


def bomb(path: Path) -> None:
    torch.save({"weight": torch.ones(1), "more": Calls(path.parent / "canary")}, path)


def plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Calls(path.parent / "canary")))


def not_tensors(path: Path) -> None:
    torch.save([torch.ones(1)], path)


def rewrite(path: Path, change: Callable[[str, bytes], bytes], kind: int = zipfile.ZIP_STORED) -> None:
    torch.save({"weight": torch.arange(8.0)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in parts.items():
            archive.writestr(name, change(name, data))


def compressed(path: Path) -> None:
    rewrite(path, lambda _, data: data, zipfile.ZIP_DEFLATED)


def shorter(path: Path) -> None:
    rewrite(path, lambda name, data: data[:16] if name.endswith("data/0") else data)


def endless(path: Path) -> None:
    """Doubles a tuple until there is no memory."""
    grows = b"\x80\x02)" + b"q\x00h\x00h\x00\x86" * 200 + b"."
    rewrite(path, lambda name, data: grows if name.endswith("data.pkl") else data)


def cut(path: Path) -> None:
    rewrite(path, lambda name, data: data[:-20] if name.endswith("data.pkl") else data)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (bomb, "__builtin__ getattr"),
        (plain_pickle, "no archive of torch.save"),
        (not_tensors, "no dictionary of tensors"),
        (compressed, "torch.save does not write"),
        (shorter, "damaged"),
        (endless, "no dictionary of tensors"),
        (cut, "damaged"),
    ],
)
def test_what_is_no_weight_is_refused_and_never_run(old: Path, tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    make(old / "pytorch_model.bin")
    with pytest.raises(RefusedError) as caught:
        convert_folder(old, tmp_path / "new")
    assert said in str(caught.value)
    assert not (old / "canary").exists()
    assert not (tmp_path / "new").exists()


def test_nothing_to_convert_and_a_target_that_exists_are_said(folder: Path, old: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pickled weights"):
        convert_folder(folder, tmp_path / "new")
    with pytest.raises(UsageError, match="exists already"):
        convert_folder(old, tmp_path)
