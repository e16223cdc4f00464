"""The prompt for training, evaluation and scoring, in the model's own chat template.

A review that exceeds the token limit is truncated; the instruction and the answer never are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.data.prompt_format import PromptFormat
from review_sentiment.errors import DataError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROBE = "A review."
"""A review that shows whether a template leaves reviews out, or an instruction for the same purpose."""

CLOCK, TEMPLATE_DATE = "strftime_now", "26 Jul 2024"
"""Templates of Llama 3.2 and SmolLM3 call this function for today's date: a version would get other prompts
than in its training. Here it returns the date that Llama 3.1 has by default."""


@dataclass(frozen=True)
class Chat:
    """A review as the model reads it: the rendered prompt and answer, and their lengths in tokens."""

    prompt: str
    completion: str
    prompt_tokens: int
    total_tokens: int
    truncated: bool


class PromptBuilder:
    """Builds chats from titles and texts."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, form: PromptFormat) -> None:
        """Measure the template.

        Raises:
            DataError: the template leaves something out, or has no room for a review.
        """
        self._tokenizer = tokenizer
        self._has_system_role = _has_system_role(tokenizer)
        self._instruction = form.instruction
        shown = self._render(PROBE)
        if PROBE not in shown or self._instruction.strip() not in shown:
            raise DataError(
                "The chat template of the tokenizer leaves out the review or the instruction. Correct its "
                "chat_template.jinja, or choose another instruction-tuned model."
            )
        self.labels = form.labels
        self._markers = special_markers(tokenizer)
        answers = [self._completion(label) for label in form.labels]
        self._longest_answer = max(answers, key=lambda answer: len(self._ids(answer)))
        overhead = len(self._ids(self._render("") + self._longest_answer))
        self._review_budget = form.max_tokens - overhead
        self._max_tokens = form.max_tokens
        if self._review_budget < 1:
            raise DataError(
                f"prompt.max_tokens = {form.max_tokens} leaves no room for the review: the chat template "
                f"and the instruction take {overhead} tokens. Raise it to {overhead + 64} or more."
            )

    def build(self, title: str, text: str, label: str) -> Chat:
        """Return the chat of a review with its label as the answer."""
        review = without_markers(document(title, text), self._markers)
        shown = self._truncated(review)
        prompt = self._render(shown)
        completion = self._completion(label)
        prompt_ids = self._ids(prompt)
        all_ids = self._ids(prompt + completion)
        if all_ids[: len(prompt_ids)] != prompt_ids:
            raise DataError(
                "The tokens of the prompt change if the answer follows: this tokenizer merges tokens "
                "across the end of the chat template, so it cannot be used for label scoring."
            )
        return Chat(prompt, completion, len(prompt_ids), len(all_ids), shown != review)

    def prompt(self, title: str, text: str) -> str:
        """Return the rendered prompt of a review, without an answer."""
        return self.build(title, text, self.labels[0]).prompt

    def messages(self, title: str, text: str) -> list[dict[str, str]]:
        """Return the turns of a review's prompt, for a server that renders them with its own template."""
        review = without_markers(document(title, text), self._markers)
        return [{"role": role, "content": content} for role, content in self._turns(self._truncated(review))]

    def template(self, system: str, review: str) -> str:
        """Return the prompt with other words in place of the instruction and the review."""
        turns = [("system", system)] if self._has_system_role else []
        return _rendered(self._tokenizer, [*turns, ("user", review)])

    def _truncated(self, review: str) -> str:
        """Truncate the review until the chat fits."""
        if self._fits(review):
            return review
        ids = self._ids(review)
        for kept in range(min(len(ids), self._review_budget), 0, -1):
            # A character that is cut in two decodes to the replacement character.
            shown = str(self._tokenizer.decode(ids[:kept])).rstrip("\ufffd").rstrip()
            if self._fits(shown):
                return shown
        return ""

    def _fits(self, review: str) -> bool:
        return len(self._ids(self._render(review) + self._longest_answer)) <= self._max_tokens

    def _render(self, review: str) -> str:
        return _rendered(self._tokenizer, self._turns(review))

    def _turns(self, review: str) -> list[tuple[str, str]]:
        if self._has_system_role:
            return [("system", self._instruction), ("user", review)]
        return [("user", f"{self._instruction}\n\n{review}")]

    def _completion(self, label: str) -> str:
        return f"{label}{self._tokenizer.eos_token}"

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))


def document(title: str, text: str) -> str:
    """Return a review as one text: its title, if it has one, on a line of its own."""
    return f"{title}\n{text}" if title else text


def special_markers(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return the special tokens that a template may write, as texts."""
    return [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]


def without_markers(text: str, markers: Sequence[str]) -> str:
    """Remove special tokens from a review, so that it cannot end its turn."""
    for marker in markers:
        text = text.replace(marker, " ")
    return text


def _has_system_role(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether the chat template shows a system turn: Gemma's and Mistral's first ones refuse it.

    Others leave it out without an error, which would train the model without its instruction.
    """
    try:
        return PROBE in _rendered(tokenizer, [("system", PROBE), ("user", "")])
    except DataError:
        return False


def template_with_fixed_date(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the chat template, with a fixed date if it asks for today's."""
    template = str(tokenizer.get_chat_template())
    if CLOCK not in template:
        return template
    return f"{{%- macro {CLOCK}(format) -%}}{TEMPLATE_DATE}{{%- endmacro -%}}{template}"


def _rendered(tokenizer: PreTrainedTokenizerBase, turns: Sequence[tuple[str, str]]) -> str:
    """Return (role, content) turns in the chat template, ready for the answer.

    Raises:
        DataError: the template refuses them.
    """
    from jinja2 import TemplateError

    messages = [{"role": role, "content": content} for role, content in turns]
    template = template_with_fixed_date(tokenizer)
    try:
        return str(
            tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=True
            )
        )
    except TemplateError as error:
        roles = " and ".join(role for role, _ in turns)
        raise DataError(
            f"The chat template of the tokenizer cannot render a chat of {roles}: {first_line(error)}. "
            "Choose an instruction-tuned model, or correct its chat_template.jinja."
        ) from error


def label_token_ids(
    tokenizer: PreTrainedTokenizerBase, prompt: str, labels: Sequence[str]
) -> list[list[int]]:
    """Return the tokens of each label after the prompt.

    A label alone can have other tokens (because of a leading space), so prompt and label are tokenised
    together.

    Raises:
        DataError: the tokens of the prompt change if a label follows.
    """
    prompt_ids = tokenizer.encode(prompt, add_special_tokens=False)
    tails = []
    for label in labels:
        ids = tokenizer.encode(prompt + label, add_special_tokens=False)
        if ids[: len(prompt_ids)] != prompt_ids:
            raise DataError(f"The tokens of the prompt change if '{label}' follows.")
        tails.append(ids[len(prompt_ids) :])
    return tails
