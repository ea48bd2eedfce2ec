"""A tiny random Llama with a tokenizer of its own, as a folder that a person could have downloaded."""

from __future__ import annotations

from pathlib import Path

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def write_tokenizer(folder: Path, *, chat: bool = True, more: int = 0) -> int:
    """A character tokenizer with a few merges and chat marks; returns how many ids it has."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = [*MARKS, *sorted(set(pre_tokenizers.ByteLevel.alphabet()))]
    merges = [("a", "n"), ("t", "h"), ("th", "e"), ("Ġ", "the")]
    pieces += ["".join(pair) for pair in merges] + [f"unused{number}" for number in range(more)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=MARKS[2], pad_token=MARKS[0], additional_special_tokens=[MARKS[1]]
    )
    if chat:
        fast.chat_template = CHAT
    fast.save_pretrained(folder)
    return len(pieces)


def write_llama(folder: Path, *, seed: int = 0, chat: bool = True, hidden: int = 32) -> Path:
    """Config, weights and tokenizer; the weights are drawn by the seed, wide enough that answers differ."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True)
    size = write_tokenizer(folder, chat=chat)
    config = LlamaConfig(
        vocab_size=size + 5,
        hidden_size=hidden,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,
        tie_word_embeddings=True,
        eos_token_id=2,
        pad_token_id=0,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder
