"""Control arms: forks of a loop's first cycle from which one thing is taken away, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.controls import ARMS, make_arm
from loopwright.ledger.verify import verify
from loopwright.workspace import Workspace


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_differs_from_its_origin_in_what_it_is_about(lab: Workspace, tmp_path: Path, arm: str) -> None:
    made = make_arm(lab, arm, tmp_path / arm)
    ours, theirs = (one.plan().model_dump(mode="json") for one in (made, lab))
    changed = {f"{part}.{key}" for part in ours if isinstance(ours[part], dict) for key in ours[part] if ours[part] != theirs[part]
               and ours[part][key] != theirs[part][key]}  # fmt: skip
    about = {"human-only": {"mix.human_floor"}, "unverified": set()}[arm]  # the small loop verifies nothing as it is
    assert changed == about
    assert ours["name"] == f"control-{arm}"
    assert list(made.state().cycles) == ["c0000"]
    assert made.state().cycles["c0000"].artifact("model") == lab.state().cycles["c0000"].artifact("model")


def test_the_human_only_arm_trains_on_human_rows_alone(
    lab: Workspace, tmp_path: Path, victim: Callable[..., dict[str, Any]]
) -> None:
    words = ["-m", "flows.controls", str(lab.root), "--directory", str(tmp_path / "arm"), "--arm", "human-only"]
    subprocess.run([sys.executable, *words], check=True, capture_output=True, cwd=Path(__file__).parents[2])
    arm = Workspace(root=tmp_path / "arm")
    assert victim(arm.root, 1)["code"] == 0
    card = arm.state().cycles["c0001"].phases["examine"].summary["figures"]
    assert card["human_share"]["value"] == 1.0
    assert verify(arm.root).findings == ()
