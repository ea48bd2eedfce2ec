"""Profiles: every shipped one loads, and nothing wrong gets through."""

from __future__ import annotations

from dataclasses import fields

import pytest
import yaml

from loopwright.errors import PlanError
from loopwright.runtime.inprocess import InProcessExecutor
from loopwright.runtime.profile import Profile, load_profile, open_executor
from loopwright.runtime.ray import RayExecutor


@pytest.fixture
def load(tmp_path):
    def write_and_load(text: str) -> Profile:
        (tmp_path / "cluster").mkdir(exist_ok=True)
        (tmp_path / "cluster" / "mine.yaml").write_text(text)
        return load_profile(tmp_path, "cluster/mine.yaml")

    return write_and_load


def test_the_shipped_profile_says_every_key_and_its_default(repository):
    shipped = load_profile(repository, "cluster/local.yaml")
    assert shipped == Profile()
    named = yaml.safe_load((repository / "cluster" / "local.yaml").read_text())
    assert list(named) == [item.name for item in fields(Profile)]


def test_a_group_may_have_a_range_and_is_then_not_kept(load):
    chosen = load("train_workers: [1, 4]\n")
    assert (chosen.train_workers, chosen.elastic, chosen.warm) == ((1, 4), True, False)
    assert (Profile().elastic, Profile().warm) == (False, True)


def test_a_profile_may_be_empty_or_partial(load):
    assert load("") == Profile()
    chosen = load("train_workers: 4\nmap_workers: 3\nenvironment: [HF_HOME]\n")
    assert (chosen.train_workers, chosen.map_workers, chosen.environment) == (4, 3, ("HF_HOME",))


WRONG = {
    "trian_workers: 2": r"cluster/mine.yaml:1:trian_workers: unknown key .saw 2.; allowed: train_workers\?",
    "\nqqqq: 2": r"cluster/mine.yaml:2:qqqq: unknown key .saw 2.; allowed: executor, address",
    "train_workers: two": r"cluster/mine.yaml:1:train_workers: saw 'two'; allowed: a whole number from 1, or .least, most.",
    "train_workers: [3, 2]": r"saw \[3, 2\]; allowed: a whole number from 1, or",
    "train_workers: [1, 2]\nkeep_warm: true": "mine.yaml:2:keep_warm: saw true; allowed with a range of train_workers: auto or false",
    "train_workers: 0": "saw 0; allowed: a whole number from 1",
    "train_workers: true": "saw True; allowed: a whole number from 1",
    "map_workers: 1.5": "saw 1.5; allowed: auto or a whole number from 1",
    "map_workers: Auto": "saw 'Auto'; allowed: auto",
    "executor: slurm": "saw 'slurm'; allowed: ray or in-process",
    "use_gpu: 1": "saw 1; allowed: true or false",
    "address:": "saw None; allowed: local, auto",
    "max_failures: -1": "saw -1; allowed: a whole number from 0",
    "object_store_mib: 10": "saw 10; allowed: a whole number from 80",
    "address: auto\nmap_labels: [a]": "mine.yaml:2:map_labels: saw .*; allowed: labels of Ray nodes",
    "address: auto\ntrain_labels: {role: 1}": "mine.yaml:2:train_labels: saw .*; allowed: labels of Ray nodes",
    "map_labels: {role: generate}": "mine.yaml:1:map_labels: allowed with the address of a cluster",
    "verify_labels: {role: verify}": "mine.yaml:1:verify_labels: allowed with the address of a cluster",
    "address: auto\nverify_labels: {role: verify}": "mine.yaml:2:verify_labels: saw .*, and map_labels on any node; allowed: a label",
    "address: auto\nmap_labels: {role: any}\ntrain_labels: {site: x}\nverify_labels: {role: verify}": "and train_labels {'site': 'x'}",
    "environment: HOME": "saw 'HOME'; allowed: a list of names",
    "environment: [1]": "allowed: a list of names",
    "use_gpu: true\nkeep_warm: true": "mine.yaml:2:keep_warm: saw true; allowed with use_gpu: auto or false",
    "threads: 1\nthreads: 2": "mine.yaml:2:threads: given twice .first on line 1.",
    "[1, 2]": "mine.yaml:1: saw .* allowed: keys and values",
    "a: [": "mine.yaml:1: not YAML|mine.yaml:2: not YAML",
}


@pytest.mark.parametrize(("text", "told"), WRONG.items(), ids=[text.replace("\n", " ") for text in WRONG])
def test_what_a_profile_may_not_say(load, text, told):
    with pytest.raises(PlanError, match=told) as refused:
        load(text)
    assert refused.value.next_step


def test_all_problems_are_told_at_once(load):
    with pytest.raises(PlanError) as refused:
        load("threads: 0\nmax_failures: no\n")
    assert len(refused.value.message.splitlines()) == 2


def test_a_missing_profile_names_those_that_exist(load, tmp_path):
    load("threads: 1")
    with pytest.raises(PlanError, match=r"allowed: in-process, cluster/mine.yaml"):
        load_profile(tmp_path, "cluster/other.yaml")


def test_the_executor_that_a_profile_asks_for(tmp_path):
    assert isinstance(open_executor(load_profile(tmp_path, "in-process"), tmp_path), InProcessExecutor)
    executor = open_executor(Profile(), tmp_path)
    assert isinstance(executor, RayExecutor)
    executor.close()  # nothing was started


@pytest.mark.parametrize(
    ("use_gpu", "keep_warm", "warm"), [(False, "auto", True), (True, "auto", False), (False, False, False)]
)
def test_a_group_that_would_hold_gpus_is_not_kept(use_gpu, keep_warm, warm):
    assert Profile(use_gpu=use_gpu, keep_warm=keep_warm).warm is warm
