"""Models elsewhere, asked through an OpenAI-compatible endpoint: the one door for generators and judges.

What comes back is hostile text. What was paid for is kept: an answer is cached under the digest of who was asked what and
how, so that a rerun after a kill asks only for what is missing. The requests are made in this process alone, which is the
one that reads the key; no worker sees it.
"""

from __future__ import annotations

from loopwright.endpoint.asking import Desk, answers
from loopwright.endpoint.cache import Answer, Question
from loopwright.endpoint.spending import Spending, spent

__all__ = ["Answer", "Desk", "Question", "Spending", "answers", "spent"]
