"""Robustness, with a tiny model that really answers."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest

from review_sentiment.config import EvaluationSettings, LoraSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.data.labels import BINARY
from review_sentiment.data.prompt_format import PromptFormat
from review_sentiment.evaluation import robustness as module
from review_sentiment.evaluation.evaluate import HeldOut, evaluate_model
from review_sentiment.evaluation.perturbations import OPPOSITES, POLAR_TEMPLATES
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.evaluation.robustness import Robustness, probe_robustness
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_model
from review_sentiment.models.lora import add_adapters, save_adapter
from review_sentiment.scoring import label_scoring
from review_sentiment.scoring.version_files import Serving
from tests.tiny import prompt_of
from tests.unit.review_sentiment.evaluation.test_metrics import predictions

PLAN = plan_compute("cpu", "fp32")
SETTINGS = EvaluationSettings(sample_predictions=0)
SAMPLES = 20
MAX_TOKENS = 160


@pytest.fixture(scope="module")
def adapter(tiny_model: ModelIdentity, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("adapter")
    save_adapter(
        add_adapters(load_model(tiny_model, PLAN), LoraSettings(rank=2, alpha=4)), tiny_model, directory
    )
    return directory


@pytest.fixture(scope="module")
def tuned(tiny_model: ModelIdentity, tiny_chats: ChatDataset, adapter: Path) -> Evaluation:
    return evaluate_model(tiny_model, adapter, HeldOut(tiny_chats), PLAN, SETTINGS)


def probed(base: ModelIdentity, adapter: Path, chats: ChatDataset, tuned: Evaluation) -> Robustness:
    return probe_robustness(
        Serving(base, prompt_of(chats.labels, MAX_TOKENS)), adapter, chats, tuned, PLAN, SAMPLES
    )


def test_every_change_has_its_accuracy_on_the_same_rows(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    adapter: Path,
    tuned: Evaluation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[str]] = []
    real = label_scoring.score_labels

    def listening(model, tokenizer, prompts, labels, plan, tokens_per_batch):
        assert labels == BINARY.names
        assert all(len(tokenizer.encode(prompt)) < MAX_TOKENS for prompt in prompts)
        asked.append(prompts)
        return real(model, tokenizer, prompts, labels, plan, tokens_per_batch)

    monkeypatch.setattr(label_scoring, "score_labels", listening)
    found = {probe.name: probe for probe in probed(tiny_model, adapter, tiny_chats, tuned).probes}
    assert list(found) == ["label_order", "paraphrase_1", "paraphrase_2", "typos", "negation"]
    head = tuned.predictions.head(20)
    before = (head["gold"] == head["predicted"]).mean()
    for probe in found.values():
        assert probe.after - probe.before == pytest.approx(probe.change.gain)
        low, high = probe.change.interval
        assert low <= probe.change.gain <= high
        if probe.name != "negation":
            assert (probe.change.n, probe.before) == (20, before)
    assert found["negation"].change.n == 2 * len(OPPOSITES) * len(POLAR_TEMPLATES)

    order, first, second, typos, plain, negated = asked
    assert all("as positive or negative." in prompt for prompt in order)
    shown = list(tiny_chats.frame["prompt"].head(20))
    assert not set(shown) & {*order, *first, *second, *typos}
    assert [prompt.replace("positive or negative.", "negative or positive.") for prompt in order] == shown
    assert all("Classify the sentiment of the review as negative or" in prompt for prompt in typos)
    assert [prompt.replace(" is not ", " is ") for prompt in negated] == plain


def test_a_perturbation_that_changes_nothing_flips_no_answer(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    adapter: Path,
    tuned: Evaluation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The prompts are those of the evaluation, the length limit included."""
    monkeypatch.setattr("review_sentiment.evaluation.robustness.misspelled", lambda reviews: reviews)
    typos = probed(tiny_model, adapter, tiny_chats, tuned).probes[3]
    assert typos.name == "typos"
    assert (typos.change.gain, typos.change.only_candidate, typos.change.only_other) == (0, 0, 0)


def test_other_labels_have_no_negation(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, adapter: Path
) -> None:
    chats = ChatDataset(tiny_chats.frame.replace({"label": {"negative": "bad"}}), ("bad", "positive"))
    tuned = evaluate_model(tiny_model, adapter, HeldOut(chats), PLAN, SETTINGS)
    assert [probe.name for probe in probed(tiny_model, adapter, chats, tuned).probes][-1] == "typos"


def test_a_task_in_the_users_words_is_paraphrased_with_its_labels_and_descriptions(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    adapter: Path,
    tuned: Evaluation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[str]] = []
    real = label_scoring.score_labels

    def listening(model, tokenizer, prompts, *others):
        asked.append(prompts)
        return real(model, tokenizer, prompts, *others)

    monkeypatch.setattr(label_scoring, "score_labels", listening)
    own = PromptFormat(tiny_chats.labels, "Sort it.\nnegative: They complain", MAX_TOKENS)
    found = probe_robustness(Serving(tiny_model, own), adapter, tiny_chats, tuned, PLAN, SAMPLES)
    names = [probe.name for probe in found.probes]
    assert names == ["paraphrase_1", "paraphrase_2", "typos", "negation"], (
        "there is no order of labels to change"
    )
    assert all("which it is: negative or positive.\nnegative: They complain<" in text for text in asked[0])
    assert all("system\nSort it.\nnegative: They complain<" in text for text in asked[2])


def test_a_flipped_label_is_compared_with_its_own_gold() -> None:
    """The same answers are correct if the labels flip with them, and only then."""
    before = predictions()
    turned = before.replace({"gold": {"positive": "negative", "negative": "positive"}})
    answered = turned.replace({"predicted": {"positive": "negative", "negative": "positive"}})
    same = module._probe("negation", "not", before, answered)
    assert (same.before, same.after, same.change.only_other) == (4 / 8, 4 / 8, 0)
    blind = module._probe("negation", "not", before, turned)
    assert (blind.before, blind.after) == (4 / 8, 3 / 8)
    assert (blind.change.only_candidate, blind.change.only_other) == (3, 4)


def test_the_table_has_a_line_for_each_change() -> None:
    before = predictions()
    probe = module._probe("typos", "a typo", before, before.assign(predicted="positive").head(6))
    found = Robustness((probe,))
    assert found.metrics() == {"robustness/typos_change": pytest.approx(5 / 6 - 4 / 6)}
    assert found.table().splitlines()[2].startswith("| a typo | 0.667 | 0.833 | +0.167 [")
    assert found.table().endswith("| 6 |")
    row = pd.read_csv(io.StringIO(found.csv())).iloc[0]
    assert (row["n"], row["won"], row["lost"]) == (6, 2, 1)
