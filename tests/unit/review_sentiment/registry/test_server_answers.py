"""A server's answers are compared with the recorded ones, and what is wrong with it is named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from review_sentiment.config import LoraSettings, TrainingSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.evaluation.predictions import prediction_table
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_adapted_model, load_model, load_tokenizer
from review_sentiment.models.merging import write_merged
from review_sentiment.models.recipe import Recipe
from review_sentiment.registry.parity import Parity
from review_sentiment.registry.server_answers import RecordedAnswers, compare_with_server
from review_sentiment.scoring.completions_server import CompletionsServer
from review_sentiment.scoring.label_scoring import score_labels
from review_sentiment.scoring.version_files import Serving
from review_sentiment.training.job import TrainingJob
from review_sentiment.training.qlora import finetune
from tests.engine import Engine, serving
from tests.tiny import prompt_of

PLAN = plan_compute("cpu", "fp32")


@dataclass(frozen=True)
class Tuned:
    """What is recorded of a tuned model, its merged weights, and its base."""

    recorded: RecordedAnswers
    merged: Path
    base: Path


@pytest.fixture(scope="module")
def tuned(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path_factory: pytest.TempPathFactory
) -> Tuned:
    """Return a tiny model that was trained for seconds, and its recorded answers."""
    base, root = replace(tiny_model, quantization="none"), tmp_path_factory.mktemp("tuned")
    training = TrainingSettings(learning_rate=1e-2, batch_size=4, max_steps=20, epochs=9)
    finetune(TrainingJob(Recipe(base, PLAN, LoraSettings(rank=4), training, 1), tiny_chats, root / "adapter"))
    write_merged(load_adapted_model(base, root / "adapter", PLAN), PLAN.dtype, root / "merged")
    tokenizer = load_tokenizer(base)
    tokenizer.save_pretrained(root / "merged")

    def predictions(model: Any) -> pd.DataFrame:
        frame, labels = tiny_chats.frame, tiny_chats.labels
        scores = score_labels(model, tokenizer, list(frame["prompt"]), labels, PLAN, 4096)
        return prediction_table(frame, labels, scores.probabilities, scores.answered, scores.label_mass)

    recorded = RecordedAnswers(
        Serving(base, prompt_of(tiny_chats.labels)),
        tiny_chats.frame,
        predictions(load_adapted_model(base, root / "adapter", PLAN)),
        predictions(load_model(base, PLAN)),
    )
    return Tuned(recorded, root / "merged", Path(base.name))


def parity_with(tuned: Tuned, engine: Engine, endpoint: str = "chat") -> Parity:
    """Return how an engine's answers compare."""
    with serving(engine), CompletionsServer(engine.url, "", 20) as server:
        return compare_with_server(tuned.recorded, server, server.choose_model(None), endpoint)


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
@pytest.mark.parametrize(
    "faults", [(), ("no_usage", "refuses_ids", "five_logprobs"), ("llama_cpp",)], ids=" ".join
)
def test_merged_weights_in_another_engine_give_the_recorded_answers(
    tuned: Tuned, endpoint: str, faults: tuple[str, ...]
) -> None:
    found = parity_with(tuned, Engine(tuned.merged, frozenset(faults)), endpoint)
    assert (found.passed, found.same, found.causes) == (True, 48, ())
    assert found.n_probabilities > 40  # of a few, the other label is not among the likeliest tokens
    assert found.max_difference is not None
    assert found.max_difference < 1e-4


@pytest.mark.parametrize("fault", ["no_logprobs", "refuses_logprobs"])
def test_without_log_probabilities_the_answers_are_compared(tuned: Tuned, fault: str) -> None:
    found = parity_with(tuned, Engine(tuned.merged, frozenset({fault})))
    assert (found.passed, found.same, found.max_difference) == (True, 48, None)
    assert "the server gives none" in found.as_text()


@pytest.mark.parametrize("blind", [(), ("no_logprobs",), ("refuses_ids",)], ids=" ".join)
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("double_bos", "special token added twice"),
        ("other_template", "another chat template"),
        ("base", "adapter missing"),
    ],
)
def test_the_cause_of_other_answers_is_named(
    tuned: Tuned, fault: str, cause: str, blind: tuple[str, ...]
) -> None:
    found = parity_with(
        tuned, Engine(tuned.base if fault == "base" else tuned.merged, frozenset({fault, *blind}))
    )
    assert [one.name for one in found.causes] == [cause]
    if fault != "double_bos":
        assert not found.passed


def test_another_template_with_as_many_tokens_is_found_by_token_ids(tuned: Tuned) -> None:
    found = parity_with(tuned, Engine(tuned.merged, frozenset({"other_template", "no_usage"})))
    assert [one.name for one in found.causes] == ["another chat template"]
    assert "given as our token ids, 16 of 16" in found.causes[0].evidence


@pytest.mark.parametrize(("noise", "cause"), [(1.0, "quantisation or precision"), (20.0, "another model")])
def test_noise_is_told_from_another_model(tuned: Tuned, noise: float, cause: str) -> None:
    found = parity_with(tuned, Engine(tuned.merged, noise=noise))
    assert (found.passed, [one.name for one in found.causes]) == (False, [cause])
