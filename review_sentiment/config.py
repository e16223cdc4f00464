"""The settings of a run: one definition, one default, one sentence each.

A run's settings are the defaults below, a YAML file on top and `--set
section.key=value` on top of that (`settings_files.py`). Cross-checks stand
where the settings are defined; an unknown key is an error.
"""

import math
import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

Share = Annotated[float, Field(gt=0, lt=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]

SHARED_RESERVE = 1.25
"""Reviews to take for each that is needed: those of users in two parts are dropped."""
MAX_LORA_SCALE = 1_000
"""The first step of Adam moves B by the learning rate, 2e-4: with 16 ranks of A's entries (0.02) and this
scale the update is 0.06, as large as the weights themselves."""
MAX_HELD_OUT_SHARE = 0.9
"""Share of the products above which too little is left to train on."""

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "bf16", "fp16", "fp32"]
Quantization = Literal["nf4", "none"]


def _split_at_commas(value: object) -> object:
    """Let `--set data.categories=Tops,Dresses` be written as one would say it."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Section(BaseModel):
    """A group of settings that goes to the same steps."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class DataSettings(Section):
    """Which reviews are read."""

    source: Annotated[str, Field(min_length=1)] = "embedded"
    """`embedded`; `hub` or hf://datasets/OWNER/NAME[@REVISION][/DIRECTORY]; `ucsd` or a URL; a directory."""
    categories: Annotated[tuple[str, ...], BeforeValidator(_split_at_commas)] = (
        "Bottoms",
        "Dresses",
        "Intimate",
        "Jackets",
        "Tops",
        "Trend",
    )
    """The categories to train and evaluate on."""
    labels: Literal["binary", "neutral", "stars"] = "binary"
    """Classes: 1-2 stars against 4-5; the same and `neutral` for 3; or the five star ratings."""

    @field_validator("source")
    @classmethod
    def _holds_no_password(cls, source: str) -> str:
        if re.search(r"://[^/@]*:[^/@]*@", source):
            raise ValueError(
                "the address has a password in it, which every record of a run would keep. "
                "Download the files and name their directory"
            )
        return source


class CleaningSettings(Section):
    """Which rows of a category are kept."""

    max_per_class: Count | None = None
    """Reviews of a class to take of a category, a uniform sample; what the split needs when missing."""
    max_broken_share: Fraction = 0.01
    """Share of unreadable rows above which a category fails instead of going on without them."""


class SplitSettings(Section):
    """Which reviews are trained on and which are evaluated on."""

    evaluation_share: Share = 0.2
    """Share of the products whose reviews are for evaluation only."""
    validation_share: Share = 0.08
    """Share of the products whose reviews choose settings; never trained on, never reported."""
    train_per_category: Count = 10_000
    """Most training reviews of a category."""
    validation_per_category: Count = 500
    """Most validation reviews of a category."""
    evaluation_per_category: Count = 1_000
    """Most evaluation reviews of a category."""
    balance_train: bool = True
    """Take as many negative as positive reviews of a category for training and validation."""
    balance_evaluation: bool = True
    """Take as many negative as positive reviews of a category for evaluation."""

    @property
    def needed_per_class(self) -> int:
        """Return how many reviews of one class fill the caps of all parts, with a reserve."""
        training_share = 1 - self.evaluation_share - self.validation_share
        parts = (
            self.train_per_category / training_share,
            self.evaluation_per_category / self.evaluation_share,
            self.validation_per_category / self.validation_share,
        )
        return math.ceil(max(parts) / 2 * SHARED_RESERVE)

    @model_validator(mode="after")
    def _shares_leave_room_for_training(self) -> Self:
        if self.evaluation_share + self.validation_share >= MAX_HELD_OUT_SHARE:
            raise ValueError(
                "evaluation_share + validation_share must stay below "
                f"{MAX_HELD_OUT_SHARE} to leave products to train on"
            )
        return self


class PromptSettings(Section):
    """How a review becomes a chat."""

    max_tokens: Annotated[int, Field(ge=48)] = 192
    """Longest chat in tokens, answer included; a longer review loses its end, never the answer."""


class ModelSettings(Section):
    """Which model is tuned and how it is held in memory."""

    name: str = "embedded"
    """`embedded` (SmolLM2-135M-Instruct), a directory, or a model of the Hub."""
    revision: str | None = None
    """Commit of a Hub model; its newest when missing."""
    device: Device = "auto"
    """`auto` takes a GPU where there is one."""
    precision: Precision = "auto"
    """`auto`: BF16 where the device is fast at it, else FP16 on a GPU and FP32 on a CPU."""
    quantization: Quantization = "nf4"
    """`nf4`: 4-bit NormalFloat with double quantisation (QLoRA); `none` keeps full weights."""


class LoraSettings(Section):
    """The low-rank adapters; they sit on all linear layers."""

    rank: Count = 16
    """Rank of the update of every layer."""
    alpha: Count = 32
    """Scale: the update is multiplied by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout before the adapters; above 0 it halves the training speed of a CPU."""
    targets: Annotated[tuple[str, ...], BeforeValidator(_split_at_commas)] = ("all-linear",)
    """Layers that get an adapter: `all-linear`, or names such as q_proj,v_proj."""
    rank_stabilised: bool = False
    """Scale by alpha / sqrt(rank) (rsLoRA, arXiv 2312.03732): for large ranks."""
    dora: bool = False
    """Train a weight's magnitude beside its direction (DoRA, arXiv 2402.09353); several times slower."""

    @model_validator(mode="after")
    def _scale_leaves_the_model_alive(self) -> Self:
        scale = self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)
        if scale > MAX_LORA_SCALE:
            raise ValueError(
                f"alpha {self.alpha} with rank {self.rank} multiplies the update by {scale:,.0f}, and above "
                f"{MAX_LORA_SCALE:,} one step overwrites the model; usual are alphas of one or two ranks"
            )
        return self


class TrainingSettings(Section):
    """How the adapters are trained."""

    epochs: Annotated[float, Field(gt=0)] = 1.0
    """Passes over the training reviews."""
    max_steps: Annotated[int, Field(ge=-1)] = -1
    """Optimiser steps to stop after; -1 means that the epochs decide."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 5e-4
    """Peak learning rate of AdamW."""
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    """How the learning rate changes after the warm-up."""
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the steps over which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay of AdamW."""
    batch_size: Count = 16
    """Reviews of one optimiser step."""
    tokens_per_pass: Count = 1_536
    """Tokens of one forward and backward pass, padding included where there is any; more take several."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients with a larger norm are scaled down to it."""
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    """Recompute activations to save memory; `auto`: on a GPU only (it costs 36-50 % of the speed)."""
    dequantise_once: bool | Literal["auto"] = "auto"
    """Keep 4-bit weights dequantised as well, 2 bytes each, a tenth faster; `auto`: on a CPU only."""
    processes: Count = 1
    """Processes that train together on one machine, one a GPU; `batch_size` is shared out among them."""
    fit: Literal["refuse", "adapt", "ignore"] = "adapt"
    """Where memory is short: `refuse` to start, `adapt` what leaves the result as it is, or `ignore` it."""
    checkpoint_dir: str | None = None
    """Directory or fsspec address that outlives the machine; in the cache directory when missing."""
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 3.0
    """Most minutes of training that a killed process loses."""
    checkpoint_steps: Count | None = None
    """Also keep a checkpoint every so many optimiser steps."""
    validations: Annotated[int, Field(ge=0)] = 4
    """Times to score validation reviews; the last adapter that is about as good as the best is kept."""
    validation_samples: Count = 200
    """Validation reviews that are scored each time."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Validations without a better macro-F1 after which training stops; 0 trains to the end."""

    @model_validator(mode="after")
    def _batch_is_shared_out(self) -> Self:
        if self.batch_size % self.processes:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be shared out to {self.processes} processes"
            )
        return self


class EvaluationSettings(Section):
    """How models are scored."""

    skip_baseline: bool = False
    """Leave the untuned model out."""
    baseline_samples: Count | None = 500
    """Evaluation reviews that the untuned model is scored on; all of them when missing."""
    tokens_per_batch: Count | Literal["auto"] = "auto"
    """Tokens of one scoring batch, padding included; `auto`: as many as memory has room for and are fast."""
    sample_predictions: Annotated[int, Field(ge=0)] = 16
    """Reviews shown with the raw answer that the model generates."""
    audit_samples: Annotated[int, Field(ge=0)] = 64
    """Reviews that are answered by greedy generation as well, to be held against scoring."""
    shards: Count = 1
    """Steps that score the tuned model, each its share of the reviews: side by side on a cluster."""


class RobustnessSettings(Section):
    """How the tuned model is asked again with small changes."""

    samples: Annotated[int, Field(ge=0)] = 0
    """Evaluation reviews to ask again with typos, other prompts and negation; 0 leaves that step out."""


class GateSettings(Section):
    """What a candidate must show to become champion."""

    min_gain_over_baseline: float = 0.0
    """Strict accuracy must exceed the untuned model's constrained accuracy by more than this fraction."""
    min_gain_over_classical: float = 0.0
    """Strict accuracy must exceed that of TF-IDF with logistic regression by more than this fraction."""
    classical_exception: str | None = None
    """Reason for which a candidate may be no better than the classical model; it is shown in the card."""
    min_gain_over_champion: float = 0.0
    """Strict accuracy must exceed that of the present champion by more than this fraction."""
    significance: Fraction = 0.05
    """Largest p value (McNemar) of the gain over the untuned model and over the champion."""
    max_category_loss: Fraction = 0.05
    """Most accuracy that a category may lose against the classical model or the champion, as a fraction."""
    min_category_reviews: Count = 30
    """Categories with fewer evaluation reviews are too small to judge and pass."""
    max_unparsed_rate: Fraction = 0.01
    """Largest share of answers outside the labels."""
    max_calibration_error: Fraction = 0.1
    """Largest expected calibration error: how far sureness and accuracy lie apart."""


class TrackingSettings(Section):
    """Where candidates are recorded in MLflow."""

    experiment: Annotated[str, Field(min_length=1)] = "review-sentiment"
    """MLflow experiment of the candidate runs."""


class RegistrySettings(Section):
    """Where the result is kept in MLflow."""

    model_name: Annotated[str, Field(min_length=1, pattern=r"^[^/:.%\"']+$")] = "review-sentiment"
    """Name of the registered model."""


class Settings(Section):
    """Everything that a run depends on besides its code and its data."""

    seed: Annotated[int, Field(ge=0)] = 42
    """Seed of every library and of the splits."""
    data: DataSettings = DataSettings()
    """Which reviews are read."""
    cleaning: CleaningSettings = CleaningSettings()
    """Which rows of a category are kept."""
    split: SplitSettings = SplitSettings()
    """Which reviews are trained on and which are evaluated on."""
    prompt: PromptSettings = PromptSettings()
    """How a review becomes a chat."""
    model: ModelSettings = ModelSettings()
    """Which model is tuned and how it is held in memory."""
    lora: LoraSettings = LoraSettings()
    """The low-rank adapters."""
    training: TrainingSettings = TrainingSettings()
    """How the adapters are trained."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """How models are scored."""
    robustness: RobustnessSettings = RobustnessSettings()
    """How the tuned model is asked again with small changes."""
    gate: GateSettings = GateSettings()
    """What a candidate must show to become champion."""
    tracking: TrackingSettings = TrackingSettings()
    """Where candidates are recorded in MLflow."""
    registry: RegistrySettings = RegistrySettings()
    """Where the result is kept in MLflow."""
