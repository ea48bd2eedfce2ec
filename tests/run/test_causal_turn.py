"""A loop whose model is a language model from a folder, by the commands of its page: a cycle, on the record, exported whole."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest

from loopwright.ledger.audit import audit
from loopwright.models.causal_folder import lineage_digest
from loopwright.report.facts import catalogue
from loopwright.workspace import Workspace, create
from tests.models.llama import write_llama
from tests.run.small import CAUSAL, small_recipe

pytestmark = pytest.mark.slow
"""A whole cycle of a language model takes a minute; what the family does alone is in `tests/models/test_causal.py`."""

PAGE = (Path(__file__).parents[2] / "docs" / "language-models.md").read_text(encoding="utf-8")
BLOCKS = [
    [line.split("#")[0].strip() for line in block.splitlines()] for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
]


def run(command: str, here: Path) -> Path:
    """One line of the page, as a reader types it; where the next is typed."""
    words = shlex.split(command.replace("$PWD", str(here)))
    if words[0] == "cd":
        small_recipe(here / words[1])
        return here / words[1]
    assert words[0] == "loopwright"
    if words[1] == "init":
        words += [option for key, value in CAUSAL.items() for option in ("--set", f"{key}={json.dumps(value)}")]
    done = subprocess.run([sys.executable, "-m", *words], cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return here


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the first block of the page was typed."""
    place = here = tmp_path_factory.mktemp("causal")
    write_llama(place / "models" / "base")
    for command in BLOCKS[0]:
        here = run(command, here)
    return place


def test_a_language_model_turns_a_cycle(place: Path) -> None:
    workspace = Workspace(root=place / "lab")
    cycles = workspace.state().cycles
    assert cycles["c0001"].closed_at
    for name in ("c0000", "c0001"):
        model = workspace.root / "cycles" / name / "model"
        said = json.loads((model / "model.json").read_bytes())
        assert said["parameters"]["trained"] < said["parameters"]["total"] == cycles[name].phases["train"].summary["parameters"]
        assert not (model / "model.safetensors").exists()
    assert cycles["c0001"].phases["generate"].summary["tokens"] > cycles["c0001"].phases["generate"].summary["rows"]
    assert cycles["c0001"].phases["train"].summary["loss_last"] < cycles["c0000"].phases["train"].summary["loss_first"]


def test_what_it_started_from_is_on_the_record(place: Path) -> None:
    workspace = Workspace(root=place / "lab")
    cycles = workspace.state().cycles
    base = cycles["c0000"].phases["train"].summary["compute"]["base"]
    assert base == {
        "name": "Tiny Llama",
        "digest": lineage_digest(place / "models" / "base"),
        "flop": 1_000_000_000,
        "systemic": None,
    }
    assert cycles["c0001"].phases["train"].summary["compute"]["base"] is None  # it went on from c0000, which says so
    update = cycles["c0001"].phases["train"].summary["compute"]["updates"][0]
    assert 0 < update["trained"] < update["parameters"]
    facts = catalogue(audit(workspace.root / "ledger"), workspace.root)
    assert [row[1] for row in facts["model.external_parents"].value["rows"]] == [base["digest"]]
    third = dict(zip(facts["compute.one_third"].value["columns"], facts["compute.one_third"].value["rows"][0], strict=True))
    assert third["original"] == 1e9
    assert third["modification"] > 0


def test_what_was_exported_is_a_whole_model_for_everyone_else(place: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert AutoModelForCausalLM.from_pretrained(place / "merged").config.hidden_size == 32
    assert AutoTokenizer.from_pretrained(place / "merged").chat_template
    assert not (place / "merged" / "adapter_model.safetensors").exists()


@pytest.mark.ray
def test_cut_up_over_two_ranks_of_ray_it_turns_a_cycle_and_is_exported_whole(place: Path) -> None:
    from transformers import AutoModelForCausalLM

    cut = {"runtime.profile": "cluster/local.yaml", "trainer.parallel": "fsdp2"}
    model = {"name": "causal-lm", "settings": {"path": str(place / "models/base"), "chat": True}}
    settings = {**CAUSAL, **cut, "model": model, "domain": {"name": "reasoning-gym", "settings": CAUSAL["domain.settings"]}}
    whole = {key: value for key, value in settings.items() if not key.startswith(("domain.", "model."))}
    workspace = create(place / "cut", overrides={**whole, "name": "cut"}, demo=True)
    profile = workspace.root / "cluster/local.yaml"
    profile.write_text(re.sub(r"train_workers: 1\b", "train_workers: 2", profile.read_text()))
    small_recipe(workspace.root)
    for command in ("loopwright run --cycles 1", "loopwright verify", "loopwright merge-model c0001 ../cut-merged"):
        run(command, workspace.root)
    for name in ("c0000", "c0001"):
        trained = workspace.state().cycles[name].phases["train"]
        assert (trained.summary["parallel"], trained.summary["workers"], trained.environment["executor"]) == ("fsdp2", 2, "ray")
    assert AutoModelForCausalLM.from_pretrained(place / "cut-merged").config.hidden_size == 32


def test_pickled_weights_are_converted_as_the_page_says(place: Path) -> None:
    import torch
    from safetensors.torch import load_file

    old = Path(shutil.copytree(place / "models" / "base", place / "models" / "old"))
    torch.save(OrderedDict(load_file(old / "model.safetensors")), old / "pytorch_model.bin")
    (old / "model.safetensors").unlink()
    for command in BLOCKS[1]:
        run(command, place)
    assert (
        load_file(place / "models" / "new" / "model.safetensors").keys()
        == load_file(place / "models" / "base" / "model.safetensors").keys()
    )
