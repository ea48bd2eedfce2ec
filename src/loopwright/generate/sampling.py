"""What a worker does in the generate phase: answer one shard's prompts. It reads the model once per process."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loopwright.plugins import ModelFamily, load_family
from loopwright.types import Digest

__all__ = ["sample_shard"]


def sample_shard(item: Mapping[str, Any]) -> list[tuple[str, int, int | None]]:
    """Answer, its number of tokens and its prompt's, for each of ``prompts``, by ``seeds`` at ``temperature``, at most ``max_new`` tokens.

    ``family`` (name and settings), ``model`` (directory) and ``digest`` say who answers.
    """
    settings = json.dumps(item["family"]["settings"], sort_keys=True)
    family, model = _loaded(item["family"]["name"], settings, item["model"], item["digest"])
    samples = family.sample(model, item["prompts"], item["seeds"], item["temperature"], item["max_new"])
    return [(sample.text, sample.tokens, sample.prompt) for sample in samples]


@functools.lru_cache(maxsize=1)
def _loaded(name: str, settings: str, directory: str, _digest: Digest) -> tuple[ModelFamily, Any]:
    """The digest is part of the key, since a path may hold another model after a new attempt."""
    family = load_family(name, json.loads(settings))
    return family, family.load(Path(directory))
