"""What can be known about a run before its first step: checked by the run, by `--dry-run` and by `doctor`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from front_door.run.held_out import Scoring, held_out
from front_door.run.launch import SourceState, inspect_source, pin_model
from front_door.run.review_checks import check_reviews
from front_door.run.storage import needs_here, require_storage
from front_door.run.training_data import TrainingData, assumed
from review_sentiment.data.labels import scheme_of
from review_sentiment.data.sources.catalogue import open_source, with_categories
from review_sentiment.errors import DataError, UsageError
from review_sentiment.hashing import stable_hash
from review_sentiment.models import embedded_model
from review_sentiment.models.base_model import EMBEDDED, ModelIdentity, identify

if TYPE_CHECKING:
    from front_door.run.estimate import DeviceEstimate
    from front_door.stack.files import StackFile
    from review_sentiment.config import Settings
    from review_sentiment.data.label_counts import LabelCounts
    from review_sentiment.data.sources.source import ReviewSource

UNPACKED_LATER = "checked when the embedded model is unpacked, by the first run"
ELSEWHERE = "training runs on another machine: `estimate` shows GPUs that it fits"


@dataclass(frozen=True)
class Preflight:
    """The checks of a run. `data` are the training reviews of a cached split; otherwise they are assumed."""

    settings: Settings
    stack: StackFile
    data: TrainingData | None = None
    inspected: SourceState | None = None

    @cached_property
    def source(self) -> SourceState:
        """Return the state of the data.

        Raises:
            UsageError: a category is unknown, or the source does not exist.
        """
        return self.inspected or inspect_source(self.settings, self._opened)

    @cached_property
    def counts(self) -> Mapping[str, Mapping[str, int]] | None:
        """Return the reviews of each category by label, if a source on this machine can tell quickly."""
        return self._label_counts.by_category if self._label_counts else None

    @cached_property
    def _label_counts(self) -> LabelCounts | None:
        from review_sentiment.data.label_counts import label_counts

        data = self._named.data
        return label_counts(self._opened, data.categories, scheme_of(data.labels))

    @cached_property
    def _opened(self) -> ReviewSource:
        """Return the source. A query runs each time that its source is opened."""
        return self.inspected.reviews if self.inspected else open_source(self.settings.data)

    @cached_property
    def _named(self) -> Settings:
        return with_categories(self.settings, self._opened)

    @cached_property
    def reviews(self) -> TrainingData:
        """Return the training reviews, counted or assumed."""
        return self.data or assumed(self._named, self.counts)

    @cached_property
    def base(self) -> ModelIdentity:
        """Return the identity of the base model.

        Raises:
            ModelUnavailableError: its files are not those of `model.revision`.
        """
        return identify(self.settings.model)

    @cached_property
    def configuration(self) -> Any:
        """Return transformers' configuration of the base model.

        Raises:
            ModelUnavailableError: it is not available, or it cannot be trained.
        """
        from review_sentiment.models.loading import load_configuration

        return load_configuration(self.base)

    @cached_property
    def training(self) -> DeviceEstimate | None:
        """Return what training needs on this machine; None if it runs on another one."""
        from front_door.run.estimate import estimate_here

        return None if self.stack.image else estimate_here(self.settings, self.reviews)

    @cached_property
    def scoring(self) -> Scoring | None:
        """Return what scoring the held-out reviews takes on this machine; None if it runs on another one."""
        from front_door.run.estimate import scoring_here

        if self.stack.image:
            return None
        found = held_out(self._named, self.counts)
        return Scoring(found.reviews, found.added, scoring_here(self.settings, found.reviews))

    def pinned(self) -> Preflight:
        """Return the checks of the same run, whose settings say which revision of the model it uses.

        Raises:
            ModelUnavailableError: the model is not available.
        """
        return replace(self, settings=pin_model(self.settings), inspected=self.source)

    @property
    def identity(self) -> str:
        """Return a hash of what the checks depend on, except the memory and the disk space that are free."""
        content = (self.settings.model_dump_json(), self.stack.name, *self.source.revisions.values())
        return f"{stable_hash(*content):016x}"

    @property
    def training_text(self) -> str:
        """Return the verdict on memory and time."""
        found = self.training
        return f"{found.described()} for {self.reviews.described(self.settings)}" if found else ELSEWHERE

    def probes(self) -> dict[str, Callable[[], str]]:
        """Return the checks by name: each returns what it found, or raises an error that says what to do."""
        return {
            "device": self.device,
            "reviews": self._reviews,
            "decision": self._decision,
            "model": self._model,
            "prompt": self._prompt,
            "adapters": self.adapters,
            "training": self._training,
            # Last: what does not fit into memory needs smaller settings, and those need less disk too.
            "storage": self._storage,
        }

    def require(self, trains: bool = True) -> None:
        """Make all checks, without that of the training if it does not run.

        Raises:
            ReviewSentimentError: the first one that failed.
        """
        for name, probe in self.probes().items():
            if trains or name != "training":
                probe()

    @property
    def _waits_for_the_model(self) -> bool:
        return self.settings.model.name == EMBEDDED and not embedded_model.is_unpacked()

    def device(self) -> str:
        """Return the device and the precision.

        Raises:
            UsageError: this machine does not have what the settings ask for.
        """
        from review_sentiment.models.compute import plan_compute, require_gpus

        model, processes = self.settings.model, self.settings.training.processes
        if self.stack.gpus is not None and model.device != "cpu":
            require_gpus(processes, self.stack.gpus)
        if self.stack.image:
            return "on another machine"
        plan = plan_compute(model.device, model.precision)
        if plan.device == "cuda":
            import torch

            require_gpus(processes, torch.cuda.device_count())
        return f"{plan.device}, {plan.precision}"

    def _reviews(self) -> str:
        return check_reviews(self._named, self.source.revisions, self._label_counts)

    def _decision(self) -> str:
        from review_sentiment.decision.objective import objective_of

        return objective_of(self.settings.decision, scheme_of(self.settings.data.labels).names).text

    def _storage(self) -> str:
        needs = None if self.stack.image else needs_here(self.settings, self.base)
        return require_storage(self.settings, self.base, needs)

    def _model(self) -> str:
        from review_sentiment.models.access import require_model

        return require_model(self.base)

    def _prompt(self) -> str:
        """Build a prompt, and find the tokens of the labels, as the steps do with every review."""
        from review_sentiment.data.prompt_format import listed, prompt_format
        from review_sentiment.data.prompts import PromptBuilder
        from review_sentiment.models.loading import load_tokenizer
        from review_sentiment.scoring.label_tokens import label_branches

        base, limit = self.base, self.settings.prompt.max_tokens
        form = prompt_format(self.settings.prompt, scheme_of(self.settings.data.labels).names)
        if self._waits_for_the_model:
            return UNPACKED_LATER
        most = getattr(self.configuration, "max_position_embeddings", None)
        if most and limit > most:
            raise UsageError(
                f"prompt.max_tokens is {limit}, and {base.title} reads {most} tokens at most. Lower it."
            )
        tokenizer = load_tokenizer(base)
        try:
            builder = PromptBuilder(tokenizer, form)
            label_branches(tokenizer, builder.prompt("", "fine"), form.labels)
        except DataError as error:  # no review was read: a setting is wrong
            raise UsageError(str(error)) from error
        return f"{listed(form.labels)}, {limit} tokens at most"

    def adapters(self) -> str:
        """Return the layers that are adapted.

        Raises:
            UsageError: the model does not have one of them.
        """
        from review_sentiment.models.lora import require_targets

        lora = self.settings.lora
        if self._waits_for_the_model:
            return UNPACKED_LATER
        require_targets(self.configuration, lora)
        return f"{', '.join(lora.targets)}, rank {lora.rank}"

    def _training(self) -> str:
        found = self.training
        if found and found.verdict == "does not fit":
            raise UsageError(
                f"{found.described()}. Change that, choose a smaller model or a larger device, or set "
                "training.fit=ignore to try anyway: `python run_pipeline.py estimate` shows what fits where."
            )
        return self.training_text
