"""The evaluate phase: how good is the challenger, on tasks that no training row touched, next to the champion."""

from loopwright.evaluate.examine import examine
from loopwright.evaluate.phase import evaluate
from loopwright.evaluate.scores import RESULTS, SAMPLES

__all__ = ["RESULTS", "SAMPLES", "evaluate", "examine"]
