"""The verify phase: what a model proposed is checked, and what passes joins the archive; every refusal keeps its reason."""

from loopwright.verify.chain import merge
from loopwright.verify.phase import verify

__all__ = ["merge", "verify"]
