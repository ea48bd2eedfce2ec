"""The train phase: the champion, or a fresh model, learns from the archive by a recipe (Lightning, on 1 to N workers).

`loopwright.train.phase` runs on the driver, `loopwright.train.fit` on every rank; only what `fit` imports knows Lightning.
"""

from __future__ import annotations

from loopwright.train.phase import train

__all__ = ["train"]
