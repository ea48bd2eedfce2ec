"""The form of HumanEval (Chen et al. 2021, arXiv:2107.03374): what a row says, and its tests as a script. Light: the command line uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["human_eval_script", "parts_of"]


def parts_of(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Prompt, name of the function and test text of a row; ValueError that names the key which is missing or wrong."""
    for key in ("prompt", "entry_point", "test"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise ValueError(f"{key}: text is needed" + ("" if key in row else ", and the key is missing"))
    prompt, entry, test = row["prompt"], row["entry_point"], row["test"]
    if not entry.isidentifier():
        raise ValueError(f"entry_point: {entry!r} is no name of a function")
    if f"def {entry}" not in prompt:
        raise ValueError(f"prompt: it does not begin the function {entry!r} that entry_point names")
    if "def check" not in test:
        raise ValueError("test: it does not define `check(candidate)`")
    return prompt, entry, test


def human_eval_script(prompt: str, entry: str, test: str) -> str:
    """HumanEval's own test, which only defines ``check``, as a script that calls it.

    The script gets the prompt, too, its unfinished function closed: some tests call its helpers. Never the completion,
    which is the candidate's.
    """
    return f"{_helpers(prompt)}\n{entry} = candidate\n{test}\ncheck({entry})\n"


def _helpers(prompt: str) -> str:
    closed = f"{prompt}\n    pass\n"
    try:
        compile(closed, "<prompt>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return ""
    return closed
