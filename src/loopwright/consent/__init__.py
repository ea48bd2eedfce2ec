"""What needs persons: asked as a signed request, carried out only as it was stored.

Below the driver, since a run asks by itself and goes on when it has been answered; `loopwright.govern.requests` is the
persons' side, where they ask and answer.
"""

from __future__ import annotations

from loopwright.consent.desk import Consent
from loopwright.consent.matters import ACTIONS, STRICT, Ask, describe, in_force
from loopwright.consent.waiting import Waiting, waiting

__all__ = ["ACTIONS", "STRICT", "Ask", "Consent", "Waiting", "describe", "in_force", "waiting"]
