"""What can answer the reviews of a registered version, ready to be measured by `rivals.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import vllm_process
from review_sentiment.arms.version_scorer import version_scorer
from review_sentiment.config import DecisionSettings
from review_sentiment.decision.cascade import NEVER
from review_sentiment.decision.fit import fit_rule
from review_sentiment.decision.labelled_scores import LabelledScores
from review_sentiment.errors import TrackingError, UsageError, first_line
from review_sentiment.evaluation.cost import megabytes_of
from review_sentiment.registry.parity import label_in
from review_sentiment.registry.student_choice import StudentChoice, Together, combine, students_of
from review_sentiment.scoring.scorer import Scorer
from review_sentiment.scoring.version_files import require_label_words
from review_sentiment.tracking import downloads

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.config import TrainedArm
    from review_sentiment.models.compute import ComputePlan
    from review_sentiment.scoring.version_files import Serving
    from review_sentiment.tracking.model_versions import ModelVersion
    from review_sentiment.training.preparation import Prepared

PIPELINE, VLLM = "transformers pipeline, merged weights", "vLLM, merged weights"
PIPELINE_BATCH = 8


@dataclass(frozen=True)
class Given:
    """The answers to n reviews: class indices [n], or -1 for a text that is not a label.

    `probabilities` are those of the c labels [n, c], or None if only a text was generated.
    """

    answered: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Rival:
    """What answers titles and texts; `megabytes` is the size on disk of all that it needs.

    `cpu_seconds` returns the CPU time so far of the process that answers.
    """

    name: str
    answer: Callable[[Sequence[str], Sequence[str]], Given]
    megabytes: float
    training_seconds: float | None = None
    cpu_seconds: Callable[[], float] = time.process_time


@dataclass(frozen=True)
class Absent:
    """What cannot be measured here, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class LanguageModel:
    """A registered version that is a language model: its files on this machine, and its scorer."""

    version: ModelVersion
    serving: Serving
    adapter: Path
    scorer: Scorer
    megabytes: float

    @property
    def title(self) -> str:
        """Return the name of its row."""
        return f"language model {self.version.name}/{self.version.version}"

    @property
    def rival(self) -> Rival:
        """Return the version as `score` answers with it."""
        return by_scorer(self.title, self.scorer, self.megabytes)


def by_scorer(name: str, scorer: Scorer, megabytes: float, training_seconds: float | None = None) -> Rival:
    """Return a rival that answers by a decision rule."""

    def answer(titles: Sequence[str], texts: Sequence[str]) -> Given:
        probabilities = scorer.rule.probabilities(scorer.log_probs(titles, texts))
        return Given(scorer.rule.answers(probabilities), probabilities)

    return Rival(name, answer, megabytes, training_seconds)


def language_model(version: ModelVersion, plan: ComputePlan, scratch: Path) -> LanguageModel:
    """Download a version and load it.

    Raises:
        UsageError: the version is not a language model.
        ModelUnavailableError: its files or its base model are not available.
    """
    from review_sentiment.evaluation.evaluate import megabytes_with_base

    serving, adapter = downloads.download_adapter(version, scratch / "version")
    size = megabytes_with_base(serving.base, adapter)
    return LanguageModel(version, serving, adapter, version_scorer(adapter, plan), size)


def students_and_both(
    teacher: LanguageModel, name: str, max_loss: float, plan: ComputePlan, scratch: Path
) -> list[Rival | Absent]:
    """Return every student of a version among the versions of `name`, alone and with its teacher."""
    students = students_of(teacher.version, name)
    if not students:
        why = f"{name} has none of this version: python run_pipeline.py distill {teacher.version.version}"
        return [Absent("students", why)]
    found: list[Rival | Absent] = []
    for student in students:
        title = f"{student.name}/{student.version}"
        files = downloads.download_files(student, scratch / f"student-{student.version}")
        scorer, size = version_scorer(files, plan), megabytes_of(files)
        found.append(by_scorer(f"student {title} ({student.tags['student']})", scorer, size))
        ways: tuple[Together, ...] = ("cascade", "ensemble")
        for together in ways:
            choice = StudentChoice(together, name, student.version, max_loss)
            row = f"{together} with {title}"
            try:
                combination = combine(teacher.version, teacher.scorer.rule, choice).combination
            except (UsageError, TrackingError) as error:
                found.append(Absent(row, first_line(error)))
                continue
            if combination.threshold == NEVER:
                found.append(Absent(row, f"the student may answer no review: --max-loss is {max_loss}"))
                continue
            both = combination.scorer(teacher.scorer, scorer)
            found.append(by_scorer(row, both, teacher.megabytes + size))
    return found


def trained_arm(
    name: TrainedArm, prepared: Prepared, prior: tuple[float, ...], seed: int, files: Path
) -> Rival:
    """Train an arm, save it to a new directory and load it.

    The validation reviews also fit its decision rule, for the class shares `prior`.
    """
    from review_sentiment.arms.arm import LabelledDocuments
    from review_sentiment.arms.catalogue import fit_arm, load_arm, save_arm

    start = time.perf_counter()
    train, validation = (LabelledDocuments.of(part) for part in (prepared.train, prepared.validation))
    fitted = fit_arm(name, train, validation, seed)
    seconds = time.perf_counter() - start
    files.mkdir()
    save_arm(name, fitted, files)
    arm = load_arm(files)
    frame = prepared.validation.frame
    scores = LabelledScores(
        arm.log_probs(list(frame["title"]), list(frame["text"])),
        np.array([arm.labels.index(label) for label in frame["label"]]),
        frame["weight"].to_numpy(),
    )
    scorer = Scorer(arm, fit_rule(scores, arm.labels, prior, DecisionSettings()))
    return by_scorer(f"arm {name}", scorer, megabytes_of(files), seconds)


def generating(
    model: LanguageModel, plan: ComputePlan, python: Path | None, scratch: Path, processes: ExitStack
) -> list[Rival | Absent]:
    """Return the engines that generate answers from a version's merged weights.

    vLLM runs with `python`, until `processes` are closed.
    """
    from review_sentiment.models.loading import load_adapted_model
    from review_sentiment.models.merging import write_merged
    from review_sentiment.registry.serving_files import save_tokenizer

    try:
        require_label_words(model.adapter)
    except UsageError as error:
        return [Absent(name, first_line(error)) for name in (PIPELINE, VLLM)]
    merged = scratch / "merged"
    write_merged(load_adapted_model(model.serving.base, model.adapter, plan), plan.dtype, merged)
    save_tokenizer(model.serving, merged)
    return [
        by_pipeline(model.serving, merged, plan),
        _by_vllm(model.serving, merged, plan, python, processes),
    ]


def by_pipeline(serving: Serving, merged: Path, plan: ComputePlan) -> Rival:
    """Return transformers' own pipeline on merged weights, which gets the version's chats."""
    from transformers import pipeline

    builder, tokens = _prompts(serving)
    generate: Any = pipeline("text-generation", model=str(merged), device=plan.device)

    def answer(titles: Sequence[str], texts: Sequence[str]) -> Given:
        found = generate(
            [builder.messages(title, text) for title, text in zip(titles, texts, strict=True)],
            batch_size=PIPELINE_BATCH,
            max_new_tokens=tokens,
            do_sample=False,
            return_full_text=False,
        )
        return as_labels([one[0]["generated_text"] for one in found], serving.labels)

    return Rival(PIPELINE, answer, megabytes_of(merged))


def _by_vllm(
    serving: Serving, merged: Path, plan: ComputePlan, python: Path | None, processes: ExitStack
) -> Rival | Absent:
    """Return vLLM on merged weights, which gets the version's rendered prompts."""
    from review_sentiment.registry.serving_files import DTYPES

    if python is None:
        return Absent(VLLM, "--vllm names no Python that has it; `benchmarks/vllm_process.py` installs it")
    if not vllm_process.is_installed(python):
        return Absent(VLLM, f"not installed for {python}; `benchmarks/vllm_process.py` says how")
    builder, tokens = _prompts(serving)
    dtype, _ = DTYPES[plan.precision]
    worker = processes.enter_context(vllm_process.started(python, merged, dtype, tokens))

    def answer(titles: Sequence[str], texts: Sequence[str]) -> Given:
        prompts = [builder.prompt(title, text) for title, text in zip(titles, texts, strict=True)]
        return as_labels(worker.answer(prompts)[1], serving.labels)

    return Rival(VLLM, answer, megabytes_of(merged), cpu_seconds=worker.cpu_seconds)


def _prompts(serving: Serving) -> tuple[Any, int]:
    """Return what builds a version's prompts, and the tokens of its longest label."""
    from review_sentiment.data.prompts import PROBE, PromptBuilder, label_token_ids
    from review_sentiment.models.loading import load_tokenizer

    tokenizer = load_tokenizer(serving.base)
    builder = PromptBuilder(tokenizer, serving.prompt)
    tails = label_token_ids(tokenizer, builder.prompt("", PROBE), serving.labels)
    return builder, max(map(len, tails))


def as_labels(texts: Sequence[str], labels: Sequence[str]) -> Given:
    """Return what generated texts answer."""
    places = {label: place for place, label in enumerate(labels)}
    return Given(np.array([places.get(label_in(text, labels), -1) for text in texts]))
