"""The generate phase (the champion proposes answers to new tasks), and `loopwright.generate.human`, the seed phase."""

from __future__ import annotations

from loopwright.generate.phase import generate

__all__ = ["generate"]
