"""An OpenAI-compatible server on loopback that answers with plain transformers, and the faults of others."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.web_server import in_background

OTHER_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
KEY = "sk-secret-of-the-test"


@dataclass
class Engine:
    """The model that it serves, and what is wrong with it.

    `faults` may contain: double_bos, other_template, no_logprobs, refuses_logprobs, five_logprobs,
    refuses_ids, no_usage, no_list, llama_cpp (its format of log-probabilities), broken_json, empty, slow,
    needs_key.
    `busy` requests get 429 first. `noise` is the standard deviation of what is added to each logit.
    """

    directory: Path
    faults: frozenset[str] = frozenset()
    noise: float = 0.0
    busy: int = 0
    models: tuple[str, ...] = ("tiny",)
    url: str = ""
    requests: Counter[str] = field(init=False, default_factory=Counter)
    at_once: int = field(init=False, default=0)
    most_at_once: int = field(init=False, default=0)
    lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Load the model as any engine would: from its files alone."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(self.directory)
        self.model: Any = AutoModelForCausalLM.from_pretrained(self.directory, dtype="float32").eval()

    def answer(self, question: dict[str, Any]) -> tuple[int, Any]:
        """Return the status and the body of a response to a completion request."""
        prompt, is_chat = question.get("prompt"), "messages" in question
        top = question.get("top_logprobs" if is_chat else "logprobs") or 0
        if question["model"] not in self.models:
            return 404, {"error": {"message": f"The model `{question['model']}` does not exist."}}
        if top and ("refuses_logprobs" in self.faults or (top > 5 and "five_logprobs" in self.faults)):
            return 400, {"error": {"message": f"logprobs: {top} is more than this server gives"}}
        if isinstance(prompt, list) and "refuses_ids" in self.faults:
            return 400, {"error": {"message": "prompt must be a string"}}
        if "empty" in self.faults:
            return 200, {"object": "completion"}
        ids = prompt if isinstance(prompt, list) else self._encode(question)
        text, likely = self._generate(ids, question["max_tokens"], top)
        choice: dict[str, Any] = {"message": {"content": text}} if is_chat else {"text": text}
        if likely and "no_logprobs" not in self.faults:
            listed = [{"token": token, "logprob": value} for token, value in likely.items()]
            as_chat = is_chat or "llama_cpp" in self.faults
            choice["logprobs"] = (
                {"content": [{"top_logprobs": listed}]} if as_chat else {"top_logprobs": [likely]}
            )
        usage = {} if "no_usage" in self.faults else {"usage": {"prompt_tokens": len(ids)}}
        return 200, {"choices": [choice], **usage}

    def _encode(self, question: dict[str, Any]) -> list[int]:
        text = question.get("prompt")
        if text is None:
            template = OTHER_TEMPLATE if "other_template" in self.faults else None
            text = self.tokenizer.apply_chat_template(
                question["messages"], chat_template=template, tokenize=False, add_generation_prompt=True
            )
        extra = [self.tokenizer.bos_token_id] if "double_bos" in self.faults else []
        return [*extra, *self.tokenizer.encode(text, add_special_tokens=False)]

    def _generate(self, ids: list[int], max_tokens: int, top: int) -> tuple[str, dict[str, float]]:
        """Return greedy text, and the first token's likeliest values."""
        import torch

        new: list[int] = []
        likely: dict[str, float] = {}
        for _ in range(max_tokens):
            with torch.inference_mode():
                logits = self.model(torch.tensor([ids + new])).logits[0, -1]
            generator = torch.Generator().manual_seed(hash(tuple(ids + new)) % 2**31)
            logits = logits + self.noise * torch.randn(logits.shape, generator=generator)
            if top and not new:
                values, tokens = logits.log_softmax(-1).topk(top)
                names = [self.tokenizer.decode([token]) for token in tokens.tolist()]
                likely = dict(zip(names, values.tolist(), strict=True))
            new.append(int(logits.argmax()))
            if new[-1] == self.tokenizer.eos_token_id:
                break
        return self.tokenizer.decode(new, skip_special_tokens=True), likely


@contextmanager
def serving(engine: Engine) -> Iterator[Engine]:
    """Serve an engine until the block ends."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"engine": engine}))
    httpd.daemon_threads = True
    with in_background(httpd) as engine.url:
        yield engine


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    engine: Engine

    def do_GET(self) -> None:
        self._respond(None)

    def do_POST(self) -> None:
        self._respond(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _respond(self, question: dict[str, Any] | None) -> None:
        engine = self.engine
        with engine.lock:
            engine.requests[self.path] += 1
            engine.at_once += 1
            engine.most_at_once = max(engine.most_at_once, engine.at_once)
            busy = question is not None and engine.busy > 0
            engine.busy -= busy
        try:
            given = self.headers.get("Authorization", "")
            if "needs_key" in engine.faults and given != f"Bearer {KEY}":
                self._send(401, {"error": {"message": f"Incorrect API key: {given}"}})
            elif busy:
                self._send(429, {"error": {"message": "rate limit"}}, {"Retry-After": "0"})
            elif question is None and "no_list" in engine.faults:
                self._send(500, {"error": {"message": "no cache directory"}})
            elif question is None:
                self._send(200, {"data": [{"id": name} for name in engine.models]})
            else:
                time.sleep(2.0 if "slow" in engine.faults else 0.0)
                status, body = engine.answer(question)
                self._send(status, body)
        finally:
            with engine.lock:
                engine.at_once -= 1

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        if "broken_json" in self.engine.faults and self.command == "POST":
            content = content[: len(content) // 2]
        self.send_response_only(status)
        for name, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):  # the client may have given up
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
