"""Under real Ray Train, one rank and two end in the bits of an undisturbed run in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopwright.errors import TrainingDiverged
from loopwright.runtime.profile import load_profile, open_executor
from loopwright.train.fit import fit


@pytest.mark.slow
@pytest.mark.ray
def test_ranks_of_a_ray_group_give_the_same_bits(
    job: Callable[..., Any], lone: Callable[..., Any], repository: Path, tmp_path: Path
) -> None:
    expected = fit(job(), lone("here"))
    weights = (tmp_path / "here" / "model" / "model.safetensors").read_bytes()
    profile = load_profile(repository, "cluster/local.yaml")
    for ranks in (1, 2):
        scratch = tmp_path / f"ray{ranks}"
        executor = open_executor(dataclasses.replace(profile, num_cpus=2, train_workers=ranks), scratch)
        try:
            steps: list[int] = []
            found = executor.train(fit, job() | {"storage": str(scratch / "jobs")}, lambda done, *_: steps.append(done))
            assert (Path(found["directory"]) / "model.safetensors").read_bytes() == weights
            assert {**found, "directory": "", "workers": 1} == {**expected, "directory": ""}
            assert found["workers"] == ranks
            assert steps[-1] == 9
            with pytest.raises(TrainingDiverged):
                wild = job(lr=1e38, warmup=0, clip=1e38) | {"key": "wild", "storage": str(scratch / "jobs")}
                executor.train(fit, wild)
        finally:
            executor.close()
