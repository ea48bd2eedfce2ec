"""A generate phase that was killed takes up the shards that it had sampled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq

from loopwright.workspace import Workspace


def test_a_killed_generate_phase_takes_up_the_shards_that_it_had(lab: Workspace, victim: Callable[..., dict[str, Any]]) -> None:
    """One kept answer is exchanged, with its digest: it's in the proposals, so its shard was not sampled anew."""
    assert victim(lab.root, 1, ("c0001", "generate", "middle"))["code"] is None
    (done,) = (lab.root / ".loopwright" / "scratch").glob("generate-*/scratch/done")
    files = sorted(done.iterdir())
    assert 1 <= len(files) < 3  # of three shards
    rows = json.loads(files[0].read_bytes().partition(b"\n")[2])
    rows[0][0] = "an answer that no model gave"
    data = json.dumps(rows).encode()
    files[0].write_bytes(hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
    assert victim(lab.root, 1, ("c0001", "verify", "started"))["code"] is None
    shards = sorted((lab.root / "cycles/c0001/proposals").glob("shard-*.parquet"))
    answers = [answer for shard in shards for answer in pq.read_table(shard)["answer"].to_pylist()]
    assert len(answers) == 48
    assert answers.count("an answer that no model gave") == 1
    assert not done.exists()
