"""Artifacts on disk: sealed by sha256, published by one rename, versioned by DVC, committed by git.

`hashing` reads each byte once; `artifacts` knows manifests; `archive` walks the chain of shards; `cycles` keeps
``cycles.yaml``; `dvc` is the only importer of dvc and `git` the only caller of git. None of them knows the ledger.
"""

from __future__ import annotations

__all__: list[str] = []
