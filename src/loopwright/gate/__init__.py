"""The gate: may the challenger become champion? A pure function of evidence, policy and what the loop has spent so far.

It reads one Parquet file and the decision before, and knows nothing of runtime, store, ledger, models or the sealed suite.
"""

from loopwright.gate.paired import Paired, gain_score, p_value, pair_up
from loopwright.gate.phase import decide
from loopwright.gate.rule import Ruling, decide_promotion
from loopwright.gate.spending import FRESH, History, spend

__all__ = ["FRESH", "History", "Paired", "Ruling", "decide", "decide_promotion", "gain_score", "p_value", "pair_up", "spend"]
