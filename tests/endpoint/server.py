"""An OpenAI-compatible server on loopback that runs a real small language model of the `transformers` library.

`transformers serve` needs fastapi, which nothing else here does; this speaks the one request that is asked: chat completions.
"""

from __future__ import annotations

import json
import string
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAME = "tiny-llama"


def make_model(folder: Path) -> Path:
    """A Llama of one layer with random weights, its tokenizer one token a character, both in the library's own format."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pieces = ["<unk>", "<s>", "</s>", *string.ascii_letters, *string.digits, *string.punctuation, " ", "\n"]
    tokenizer = Tokenizer(models.WordLevel({piece: place for place, piece in enumerate(pieces)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    fast.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    fast.save_pretrained(folder)
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=len(pieces), hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=2048, bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


class _Model:
    """Loaded once; one answer at a time, since the seed is the process's."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self._lock = threading.Lock()

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A chat completion, as the protocol describes it."""
        import torch

        text = self._tokenizer.apply_chat_template(asked["messages"], tokenize=False)
        tokens = self._tokenizer(text, return_tensors="pt", add_special_tokens=False)
        length = tokens["input_ids"].shape[1]
        heat = float(asked.get("temperature", 1.0))
        how = {"do_sample": True, "temperature": heat, "top_k": 0} if heat else {"do_sample": False}
        with self._lock, torch.inference_mode():
            torch.manual_seed(asked["seed"])
            made = self._model.generate(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"],
                max_new_tokens=asked["max_tokens"], **how,
            )[0, length:]  # fmt: skip
        message = {"role": "assistant", "content": self._tokenizer.decode(made, skip_special_tokens=True)}
        usage = {"prompt_tokens": length, "completion_tokens": len(made), "total_tokens": length + len(made)}
        return {
            "id": "x", "object": "chat.completion", "created": 0, "model": asked["model"], "usage": usage,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }  # fmt: skip


def listening(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """A server on a free port of loopback, already served by a thread."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that is killed leaves half a request
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The url of a server that answers by the model in ``folder``."""
    model = _Model(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = self.path == "/v1/chat/completions"
            body = json.dumps(model.answer(asked) if found else {"error": {"message": "no such path"}}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = listening(Handler)
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
