"""What somebody should be called for: rules of the plan over the record, kept beside it, sent where a person wants them."""

from __future__ import annotations

from loopwright.alerts.journal import Kept, keep, kept
from loopwright.alerts.rules import Alert, Seen, alerts_of
from loopwright.alerts.seen import look

__all__ = ["Alert", "Kept", "Seen", "alerts_of", "keep", "kept", "look"]
