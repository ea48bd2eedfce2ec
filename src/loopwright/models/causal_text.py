"""Text <-> token ids of a language model: a frame around the prompt, the answer, and the end mark.

The frame (a chat template's text before and after what the user says, or a separator) is made once, when a model is created, and
stays with the model: a template that puts today's date in would otherwise make other prompts tomorrow. What stands in prompts
and answers is never read as a control token: model-written text that spells ``<|im_end|>`` stays text.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loopwright.errors import PluginError

__all__ = ["Frame", "Speech", "chat_frame"]

_USER = "\u2063the user's words\u2063"
"""Stands for the prompt while a template is rendered; no template has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What stands around every prompt."""

    head: str
    """Control tokens in it are control tokens."""
    tail: str
    plain: bool
    """True: the tokenizer's own start mark, if any, comes first; a chat template brings it itself."""

    def as_json(self) -> dict[str, Any]:
        """For the model's description."""
        return asdict(self)


def chat_frame(tokenizer: Any, folder: str) -> Frame:
    """The frame of the tokenizer's chat template, for one turn of a user. PluginError where it has none that can be used."""
    if not tokenizer.chat_template:
        raise PluginError(
            f"the tokenizer in {folder} has no chat template, and the plan asks for one (model.settings.chat)",
            "use the instruction-tuned model's folder, or --set model.settings.chat=false",
        )
    from jinja2 import TemplateError

    said = [{"role": "user", "content": _USER}]
    try:  # transformers renders it in a sandbox of Jinja
        pieces = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True).split(_USER)
    except TemplateError as error:
        raise PluginError(f"the chat template in {folder} fails: {error}", "--set model.settings.chat=false") from error
    if len(pieces) != 2:  # before and after
        raise PluginError(
            f"the chat template in {folder} shows what the user says {len(pieces) - 1} times",
            "use a template that shows it once, or --set model.settings.chat=false",
        )
    return Frame(head=pieces[0], tail=pieces[1], plain=False)


class Speech:
    """A tokenizer with its frame and its end marks."""

    def __init__(self, tokenizer: Any, frame: Frame, stops: Collection[int]) -> None:
        self.tokenizer, self.frame = tokenizer, frame
        self.end: int = tokenizer.eos_token_id
        """What training puts after an answer."""
        self.stops = frozenset({self.end, *stops})
        """Ids after which an answer is over."""
        self.size: int = 1 + max(tokenizer.get_vocab().values())
        """Ids from here on have no text; a padded embedding table has rows for some."""
        start = tokenizer("").input_ids if frame.plain else []
        self._head = [*(number for number in start if number != self.end), *self._ids(frame.head, control=True)]
        self._tail = self._ids(frame.tail, control=True)

    def prompt(self, text: str) -> tuple[int, ...]:
        """Ids of a prompt in its frame."""
        return (*self._head, *self._ids(text), *self._tail)

    def answer(self, text: str) -> tuple[int, ...]:
        """Ids of an answer, the end mark included."""
        return (*self._ids(text), self.end)

    def text(self, ids: Sequence[int]) -> str:
        """The answer that ids spell; control tokens have no text."""
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def _ids(self, text: str, *, control: bool = False) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=not control).input_ids
