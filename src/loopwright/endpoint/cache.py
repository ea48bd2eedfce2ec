"""Answers that were paid for, each a private file under the digest of who was asked what and how."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from loopwright.external import Endpoint
from loopwright.store.files import write_atomic
from loopwright.types import Digest, canonical, digest_value

__all__ = ["KEPT", "Answer", "Cache", "Question"]

KEPT = ".loopwright/answers"
"""Where answers lie, from the workspace's root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked; equal questions to one endpoint are one question."""

    text: str
    """The whole prompt, one message of the user."""
    seed: int
    temperature: float
    max_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    text: str
    """Hostile; whole characters, since half ones are replaced."""
    model: str
    """The name that it was given under: the one asked for, or a declared alias."""
    tokens_in: int
    tokens_out: int
    """As the endpoint counted them."""


class Cache:
    """``.loopwright/answers``: never in git, never pushed; a folder that may be deleted, and then answers are paid for again."""

    def __init__(self, root: Path, endpoint: Endpoint) -> None:
        self._folder = root / KEPT
        self._how = {"schema": 1, "model": endpoint.identity, "limit": endpoint.token_limit, "seeded": endpoint.seeded}

    def key(self, question: Question) -> Digest:
        """Identity of a question to this endpoint."""
        return digest_value({**self._how, **asdict(question)})

    def get(self, key: Digest) -> Answer | None:
        """The answer, or None where there is none or its file is damaged."""
        try:
            kept = json.loads(self._path(key).read_bytes())
            return Answer(**kept["answer"]) if digest_value(kept["answer"]) == kept["digest"] else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: Digest, answer: Answer) -> None:
        """Keep it, in a folder that is its owner's alone."""
        if not self._folder.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            os.chmod(self._folder, 0o700)
        said = asdict(answer)
        write_atomic(self._path(key), canonical({"answer": said, "digest": digest_value(said)}))

    def _path(self, key: Digest) -> Path:
        return self._folder / key[7:9] / f"{key[9:]}.json"
