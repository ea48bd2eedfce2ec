"""The compute and energy account: what a model took to make, by the Commission's guidelines (Annex A), drawn from the record alone."""

from __future__ import annotations

from loopwright.report.compute.account import Account, account
from loopwright.report.compute.facts import Told, compute_facts
from loopwright.report.compute.passes import passes
from loopwright.report.compute.table import ledger_csv

__all__ = ["Account", "Told", "account", "compute_facts", "ledger_csv", "passes"]
