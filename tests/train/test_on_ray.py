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
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_ray_group_gives_the_same_bits(
    job: Callable[..., Any], lone: Callable[..., Any], repository: Path, tmp_path: Path, ranks: int
) -> None:
    expected = fit(job(), lone("here"))
    weights = (tmp_path / "here" / "model" / "model.safetensors").read_bytes()
    profile = dataclasses.replace(load_profile(repository, "cluster/local.yaml"), num_cpus=2, train_workers=ranks)
    place = {"storage": str(tmp_path / "ray" / "jobs")}
    executor = open_executor(profile, tmp_path / "ray")
    steps: list[int] = []
    try:
        found = executor.train(fit, job() | place, lambda done, *_: steps.append(done))
        with pytest.raises(TrainingDiverged):
            executor.train(fit, job(lr=1e38, warmup=0, clip=1e38) | place | {"key": "wild"})
    finally:
        executor.close()
    assert (Path(found["directory"]) / "model.safetensors").read_bytes() == weights
    here = {"directory": "", "workers": 1, "device": {}, "written": []}  # what hangs on where it ran
    assert [one[2:] for one in found["written"]] == [one[2:] for one in expected["written"]]  # the rest says which file it is
    assert {**found, **here} == {**expected, **here}
    assert found["device"]["count"] == ranks
    assert found["workers"] == ranks
    assert steps[-1] == 9
