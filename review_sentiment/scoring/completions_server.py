"""Ask an OpenAI-compatible server: vLLM, SGLang, llama.cpp, Ollama, `transformers serve`.

The servers agree on the routes, but not on the details: some refuse token ids as a prompt, some give no
log-probabilities or only five, and llama.cpp's completions carry them in the format of chats.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import httpx2
import tenacity

from review_sentiment.data.sources.retries import TransientError, raise_if_transient
from review_sentiment.errors import ReviewSentimentError, UsageError, did_you_mean, first_line
from review_sentiment.progress import Progress

KEY_VARIABLE = "OPENAI_API_KEY"
CONCURRENT_REQUESTS = 8
ATTEMPTS = 6
FIRST_WAIT_SECONDS = 0.5
MAX_WAIT_SECONDS = 30.0
TOP_TOKENS = (20, 5, 0)
"""Numbers of likeliest tokens to ask for, until one is accepted: chats allow 20, old completions 5."""
SPACES = " \u2581\u0120"
"""What marks a leading space in a token: itself, SentencePiece's mark, and that of byte-level BPE."""
SHOWN_CHARACTERS = 200
TRANSIENT = (TransientError, httpx2.RemoteProtocolError, httpx2.ReadError)

logger = logging.getLogger(__name__)

Question = Mapping[str, Any]
"""{"messages": chat} or {"prompt": text or token ids}; which of them decides the route."""


class ServerError(ReviewSentimentError):
    """The server cannot be reached, refused a request, or answered something else than a completion."""


class RefusedError(ServerError):
    """The server does not accept this request; another one may do."""


@dataclass(frozen=True)
class Reply:
    """The start of an answer, the tokens of its prompt, and the first token's likeliest values.

    `prompt_tokens` is None and `log_probs` empty if the server does not report them.
    """

    text: str
    prompt_tokens: int | None
    log_probs: Mapping[str, float]

    def log_prob(self, token: str) -> float | None:
        """Return the log-probability of a token, however the server marks its leading space."""
        if token in self.log_probs:
            return self.log_probs[token]
        bare = token.strip(SPACES)
        return max((p for other, p in self.log_probs.items() if other.strip(SPACES) == bare), default=None)


class CompletionsServer:
    """A server and the key for it, which appears in no message."""

    def __init__(self, url: str, key: str, timeout_seconds: float) -> None:
        """Prepare for a server; `url` may end in /v1 or not.

        Raises:
            UsageError: it is not the address of a web server, or it contains a password.
        """
        self.url = url.rstrip("/").removesuffix("/v1")
        self._key = key
        self._timeout = timeout_seconds
        try:
            parsed = httpx2.URL(self.url)
        except httpx2.InvalidURL as error:
            raise UsageError(f"--server {self.url} is not an address: {error}.") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise UsageError(f"--server needs an address such as http://127.0.0.1:8000, got {self.url}.")
        if parsed.userinfo:
            raise UsageError(f"--server contains a password. Leave it out and set {KEY_VARIABLE} to the key.")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx2.Client(headers=headers, timeout=timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def choose_model(self, name: str | None) -> str:
        """Return the name if the server offers it, or by default its only model.

        Raises:
            UsageError: it does not, or it offers several.
            ServerError: the server cannot be reached, or does not list its models.
        """
        try:
            body = self._send("GET", "models")
        except RefusedError as error:  # `transformers serve` fails to list models before its first download
            if not name:
                raise
            logger.info(
                "The server does not list its models, so %s is not checked: %s", name, first_line(error)
            )
            return name
        listed = body.get("data") if isinstance(body, dict) else None
        offered = [str(one["id"]) for one in listed or () if isinstance(one, dict) and "id" in one]
        if name in offered:
            return str(name)
        shown = ", ".join(offered) or "none"
        if name:
            hint = did_you_mean(name, offered)
            raise UsageError(f"{self.url} has no model '{name}'.{hint} It offers: {shown}.")
        if len(offered) != 1:
            raise UsageError(f"Choose one of the models of {self.url} with --model. It offers: {shown}.")
        return offered[0]

    def answers(self, model: str, questions: Sequence[Question], max_tokens: int) -> list[Reply]:
        """Return the greedy answers, a few requests at a time, in the order of the questions.

        Raises:
            RefusedError: the server does not accept such questions.
            ServerError: it failed at one, after some attempts.
        """
        if not questions:
            return []
        first, top = self._first_answer(model, questions[0], max_tokens)
        ask = partial(self._answer, model, max_tokens=max_tokens, top=top)
        pool = ThreadPoolExecutor(CONCURRENT_REQUESTS)
        replies = [first]
        try:
            with Progress("asking the server", len(questions), done=1) as progress:
                for reply in pool.map(ask, questions[1:]):
                    replies.append(reply)
                    progress.advance(1)
        finally:
            pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C, the waiting requests are not sent
        return replies

    def _first_answer(self, model: str, question: Question, max_tokens: int) -> tuple[Reply, int]:
        """Return the answer, and how many likeliest tokens this server gives with one."""
        for top in TOP_TOKENS[:-1]:
            try:
                return self._answer(model, question, max_tokens, top), top
            except RefusedError as error:
                if "logprob" not in str(error):
                    raise
                logger.info("The server refuses %d log-probabilities: %s", top, first_line(error))
        return self._answer(model, question, max_tokens, 0), 0

    def _answer(self, model: str, question: Question, max_tokens: int, top: int) -> Reply:
        route = "chat/completions" if "messages" in question else "completions"
        more: dict[str, Any] = {}
        if top:
            more = {"logprobs": True, "top_logprobs": top} if "messages" in question else {"logprobs": top}
        options = {"model": model, "max_tokens": max_tokens, "temperature": 0}
        body = self._send("POST", route, options | dict(question) | more)
        try:
            return _reply(body)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ServerError(
                f"{self.url}/v1/{route} answered {self._shown(body)}, which is not a completion. Is it an "
                "OpenAI-compatible server?"
            ) from error

    def _send(self, method: str, route: str, content: Mapping[str, Any] | None = None) -> Any:
        """Return the body of the response; try again if the server is busy."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_wait,
            retry=tenacity.retry_if_exception_type(TRANSIENT),
            before_sleep=lambda state: logger.info("%s: trying again", _failure(state)),
            reraise=True,
        )
        where = f"{self.url}/v1/{route}"
        try:
            response = retrying(self._response, method, where, content)
        except TransientError as error:
            raise RefusedError(
                f"{error} in {ATTEMPTS} attempts. See the server's log, or wait until it is less busy."
            ) from error
        except httpx2.TimeoutException as error:
            raise ServerError(
                f"{where} did not answer within {self._timeout:g} s. Is the server overloaded, or still "
                "loading? Raise --timeout."
            ) from error
        except httpx2.TransportError as error:
            raise ServerError(
                f"{self.url} cannot be reached: {first_line(error)}. Is the server running, and is this its "
                "address and port?"
            ) from error
        try:
            return response.json()
        except ValueError as error:
            raise ServerError(f"{where} answered {self._shown(response.text)}, which is not JSON.") from error

    def _response(self, method: str, where: str, content: Mapping[str, Any] | None) -> httpx2.Response:
        response = self._client.request(method, where, json=content)
        raise_if_transient(where, response)
        status = response.status_code
        if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
            key = "refused the key in" if self._key else "needs an API key: set"
            raise ServerError(f"{self.url} answered {status}: it {key} the variable {KEY_VARIABLE}.")
        if response.is_error:
            raise RefusedError(f"{where} answered {status}: {self._shown(response.text)}")
        return response

    def _shown(self, body: Any) -> str:
        """Return the start of what the server sent, without the key: some repeat it in their errors."""
        text = " ".join(str(body).split()) or "nothing"
        return (text.replace(self._key, "***") if self._key else text)[:SHOWN_CHARACTERS]


def _reply(body: Any) -> Reply:
    choice = body["choices"][0]
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    tokens = (body.get("usage") or {}).get("prompt_tokens")
    return Reply(str(text or ""), None if tokens is None else int(tokens), _log_probs(choice.get("logprobs")))


def _log_probs(found: Any) -> dict[str, float]:
    """Return the first token's alternatives in the format of chats, or of completions."""
    if not found:
        return {}
    if content := found.get("content"):
        return {str(one["token"]): float(one["logprob"]) for one in content[0].get("top_logprobs") or ()}
    first = (found.get("top_logprobs") or [None])[0] or {}
    return {str(token): float(value) for token, value in first.items()}


def _wait(state: tenacity.RetryCallState) -> float:
    """Return the seconds to wait: what the server asks for, or twice as many as before."""
    backing_off = tenacity.wait_exponential(multiplier=FIRST_WAIT_SECONDS, max=MAX_WAIT_SECONDS)(state)
    return max(backing_off, getattr(_failure(state), "wait", 0.0))


def _failure(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
