"""What documents may say: the catalogue of facts, each drawn from the audited record and the evidence that it vouches for."""

from loopwright.report.facts.catalogue import Fact, catalogue
from loopwright.report.facts.entries import cycle_facts, evidence_rows, phase_rows, score_rows

__all__ = ["Fact", "catalogue", "cycle_facts", "evidence_rows", "phase_rows", "score_rows"]
