"""A fixed number of threads for a while: sums are ordered by it, and many workers share a machine's cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["threads"]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads for torch's operations; as before afterwards, since workers may share a process."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
