"""The settings of a run: each has one definition, one default and one sentence, shown in the dashboard too.

A YAML file overrides the defaults below, and `--set section.key=value` overrides the file
(`settings_files.py`). Unknown keys are errors.
"""

import csv
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

MAX_COUNT = 1_000_000_000
"""Upper limit for numbers of reviews, steps and tokens: far above any use, far below an overflow."""
MAX_TEXT = 1_000
MAX_QUERY = 5_000
MIN_LABELS, MAX_LABELS = 2, 50
"""Classes that a model can tell apart."""
MAX_LABEL = 100
"""Characters of a label's name: the prompt lists all names."""
DROP = "drop"
"""Stands for the label of values that `data.labels` leaves out."""
MAX_EXPERIMENT_NAME = 500
"""Limit of MLflow 3.17 for the name of an experiment."""
MAX_MODEL_NAME = 256
"""Width of the column in MLflow's database."""
REFUSED_IN_MODEL_NAMES = "/:.%\"'"

SAMPLING_RESERVE = 1.25
"""Reviews to sample for each one needed: reviews of users who would be in two splits are dropped."""
MOST_PER_RAREST = 20.0
"""Held-out reviews of other labels per review of the rarest: at a share of 5 %, these are all."""
MAX_LORA_SCALE = 1_000
"""Adam's first step moves each entry of B by the learning rate, 2e-4. With rank 16, entries of A around 0.02
and this scale, the update is 0.06: as large as the weights themselves."""
MAX_HELD_OUT_FRACTION = 0.9
"""Upper limit for the fraction of products held out: above it, too little is left to train on."""

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "bf16", "fp16", "fp32"]
Quantization = Literal["nf4", "none"]
Head = Literal["labels", "classification"]
StarScheme = Literal["binary", "neutral", "stars"]
SpeedUp = Literal["packing", "fused_lora", "lean_layers", "fused_optimizer"]
TrainedArm = Literal["tfidf", "static", "frozen_encoder", "tuned_encoder"]
ENCODER_ARMS: tuple[TrainedArm, ...] = ("static", "frozen_encoder", "tuned_encoder")
ArmName = TrainedArm | Literal["few_shot"]
Balance = Literal["none", "undersample", "weights", "logit_adjusted"]
Composition = Literal["equal", "rare_first", "natural"]
"""Of the training reviews of a category: equally many of each label; all of the rare ones before more of the
others, up to the cap; or the shares of the source."""

DEFAULT_HEAD: Head = "labels"


_SECRET_IN_QUERY = re.compile(
    r"(?i)[?&][^=&]*(pass|pwd|secret|token|signature|credential|(?:api|access|account)_?key)[^=&]*="
)


def _visible(text: str) -> str:
    """Refuse characters that no name or path has: control characters, and halves of surrogate pairs."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError(f"{text!r:.60} has control characters or is not valid Unicode")
    if found := re.search(r"\$\{\w+\}", text):
        raise ValueError(f"{found[0]} is what ZenML replaces by an environment variable; write the value")
    return text


def _visible_lines(text: str) -> str:
    """Refuse what `_visible` refuses, except tabs and line ends."""
    _visible(re.sub(r"[\t\r\n]", " ", text))
    return text


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise ValueError(f"{', '.join(repeated)} is listed twice")
    return values


def _split_at_commas(value: object) -> object:
    """Accept a comma-separated list, as in `--set data.categories=Tops,Dresses`.

    A part that contains a comma is in double quotes, as in CSV.
    """
    if not isinstance(value, str):
        return value
    try:
        rows = list(csv.reader([value], skipinitialspace=True))
    except csv.Error as error:
        raise ValueError(f"not a list with commas: {error}") from error
    return [part.strip() for row in rows for part in row if part.strip()]


def comma_separated(values: tuple[str, ...]) -> str:
    """Return the text that `_split_at_commas` splits into the values."""
    return ", ".join(
        '"{}"'.format(value.replace('"', '""')) if "," in value or value[0] in '"[' else value
        for value in values
    )


def _labels(value: object) -> object:
    """Accept a scheme of stars, names as a list or with commas, or a mapping of values to names."""
    names: list[object]
    if isinstance(value, str):
        value = _split_at_commas(value)
    if isinstance(value, list) and len(value) == 1 and value[0] in get_args(StarScheme):
        return value[0]
    if isinstance(value, Mapping):
        mapped = {_label(key): _label(name) for key, name in value.items()}
        if len(mapped) < len(value):
            raise ValueError("a value is there twice")
        value, names = mapped, list(dict.fromkeys(name for name in mapped.values() if name != DROP))
    elif isinstance(value, list | tuple):
        value = names = list(_distinct(tuple(map(_label, value))))
    else:
        names = []
    if not MIN_LABELS <= len(names) <= MAX_LABELS:
        raise ValueError(
            f"write {', '.join(get_args(StarScheme))}, a list of {MIN_LABELS} to {MAX_LABELS} values of the "
            f"label column, or a mapping of its values to names such as {{1: bad, 3: {DROP}, 5: good}}"
            f"{f'; it has {len(names)}' if len(names) > 1 else ''}"
        )
    return value


def _label(value: object) -> str:
    """Return a value or name as the settings keep it: YAML and Python may write numbers and booleans."""
    name = str(value).lower() if isinstance(value, bool) else str(value).strip()
    if value is None or not name:
        raise ValueError("a name is empty")
    if len(name) > MAX_LABEL:
        raise ValueError(f"{name!r:.40} is longer than {MAX_LABEL} characters")
    return _visible(name)


def _model_name(name: str) -> str:
    if found := sorted(set(name) & set(REFUSED_IN_MODEL_NAMES)):
        raise ValueError(f"MLflow accepts no {' or '.join(found)} in the name of a model: {name!r}")
    return name


Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT), AfterValidator(_visible)]
ModelName = Annotated[Text, Field(max_length=MAX_MODEL_NAME), AfterValidator(_model_name)]
Query = Annotated[str, Field(min_length=1, max_length=MAX_QUERY), AfterValidator(_visible_lines)]
Labels = StarScheme | tuple[Text, ...] | dict[Text, Text]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
"""A code of ISO 639."""
Fraction = Annotated[float, Field(ge=0, le=1)]
FractionBelow1 = Annotated[float, Field(ge=0, lt=1)]
FractionInside = Annotated[float, Field(gt=0, lt=1)]
HeldOutFraction = Annotated[float, Field(ge=0.001, lt=1)]
Gain = Annotated[float, Field(ge=-1, le=1)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
CountOrZero = Annotated[int, Field(ge=0, le=MAX_COUNT)]


class Section(BaseModel):
    """A group of settings that the same steps use."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        str_strip_whitespace=True,
    )


class ColumnSettings(Section):
    """The columns of your own table; none for the usual ones of the source."""

    model_config = ConfigDict(str_strip_whitespace=False)

    text: Text | None = None
    """Column with the text."""
    title: Text | None = None
    """Column with the title."""
    label: Text | None = None
    """Column with the value that decides the label."""
    category: Text | None = None
    """Column with the category; if not set, each file is a category."""
    group: Text | None = None
    """Column with the product, customer or thread: rows of one group are never in two splits."""
    user: Text | None = None
    """Column with the author: rows of one author are never in two splits."""
    time: Text | None = None
    """Column with the date or time."""

    @property
    def given(self) -> dict[str, str]:
        """Return the columns that are set, by role."""
        return {role: column for role, column in self if column is not None}


class DataSettings(Section):
    """Source, categories and labels of the reviews."""

    source: Text = "embedded"
    """`embedded`; files; `hub` or hf://datasets/OWNER/NAME; `ucsd` or a URL; a database's address."""
    query: Query | None = None
    """SELECT statement whose rows are the reviews, if `source` is a database."""
    columns: ColumnSettings = ColumnSettings()
    """The columns of your own table."""
    categories: Annotated[tuple[Text, ...], BeforeValidator(_split_at_commas)] = ()
    """Categories to train and evaluate on; all of the source if none is listed."""
    labels: Annotated[Labels, BeforeValidator(_labels)] = "binary"
    """Classes: `binary`, `neutral` or `stars` for ratings, values `bug, praise`, or `{1: bad, 5: good}`."""

    @field_validator("source")
    @classmethod
    def _reject_password(cls, source: str) -> str:
        if re.search(r"://[^/@]*:[^/@]*@", source) or _SECRET_IN_QUERY.search(source):
            raise ValueError(
                "the address contains a password, which every record of the run would store. Leave it out: "
                "a database driver reads its own variables and files (PGPASSWORD, ~/.pgpass, "
                "?read_default_file=~/.my.cnf), a cloud's client too. Of a web server, download the files "
                "and set data.source to their directory"
            )
        return source


class CleaningSettings(Section):
    """Which rows are kept for each category."""

    max_per_class: Count | None = None
    """Maximum reviews per class and category, sampled uniformly; if not set, as many as the splits need."""
    max_broken_share: Fraction = 0.01
    """Maximum fraction of unreadable rows; they are skipped, but a category with more fails."""
    languages: Annotated[
        tuple[Language, ...], BeforeValidator(_split_at_commas), AfterValidator(_distinct)
    ] = ()
    """Languages to keep, such as `en,de`; texts too short to tell are kept. All languages if not set."""


class SplitSettings(Section):
    """How reviews are split into training, validation and evaluation sets."""

    by: Literal["group", "time"] = "group"
    """`group`: splits share no product or user; `time`: the latest reviews evaluate, the past trains."""
    evaluation_share: HeldOutFraction = 0.2
    """Fraction of groups, or of the latest reviews, held out for evaluation."""
    validation_share: HeldOutFraction = 0.08
    """Fraction held out for validation: used to select settings, never to train or report."""
    train_per_category: Count = 10_000
    """Maximum training reviews per category."""
    validation_per_category: Count = 500
    """Maximum validation reviews per category."""
    evaluation_per_category: Count = 1_000
    """Maximum evaluation reviews per category."""
    majority_ratio: Annotated[float, Field(ge=1, le=MAX_COUNT)] = 3.0
    """Maximum held-out reviews of a label per review of the rarest; precision in production needs them."""

    def needed_per_class(self, composition: Composition) -> int:
        """Return how many reviews of the rarest class fill all splits to their maximum, with a reserve."""
        training_fraction = 1 - self.evaluation_share - self.validation_share
        parts = (
            self.train_per_category / training_fraction / (2 if composition == "equal" else 1),
            self.evaluation_per_category / self.evaluation_share / 2,
            self.validation_per_category / self.validation_share / 2,
        )
        return math.ceil(max(parts) * SAMPLING_RESERVE)

    @model_validator(mode="after")
    def _check_held_out_fraction(self) -> Self:
        if self.evaluation_share + self.validation_share >= MAX_HELD_OUT_FRACTION:
            raise ValueError(
                "evaluation_share + validation_share must stay below "
                f"{MAX_HELD_OUT_FRACTION}, or too few products are left to train on"
            )
        return self


class PromptSettings(Section):
    """How a review is formatted as a chat."""

    task: Text | None = None
    """What to ask the model, such as `Sort the ticket into {labels}.`; if not set, one to suit the labels."""
    label_descriptions: dict[Text, Text] = {}
    """What labels mean, such as `{bug: Something is broken}`; each is a line after the task."""
    max_tokens: Annotated[int, Field(ge=48, le=MAX_COUNT)] = 192
    """Maximum prompt length in tokens. Longer reviews are truncated; the answer never is."""


class ModelSettings(Section):
    """The base model, and the device and precision it runs with."""

    name: Text = "embedded"
    """`embedded` (SmolLM2-135M-Instruct), a directory, or the name of a model on the Hugging Face Hub."""
    revision: Text | None = None
    """Commit of a Hub model; the latest if not set."""
    device: Device = "auto"
    """Device to run on; `auto` uses a GPU if there is one."""
    precision: Precision = "auto"
    """`auto`: BF16 if the device is fast at it, otherwise FP16 on a GPU and FP32 on a CPU."""
    quantization: Quantization = "nf4"
    """`nf4`: 4-bit NormalFloat with double quantisation (QLoRA); `none`: unquantised weights."""
    head: Head = DEFAULT_HEAD
    """What is trained to answer: `labels`, the words of the label; `classification`, a row for each label."""

    def without_head(self) -> Self:
        """Return the settings of the base model alone: what does not train has no use for the head."""
        return self.model_copy(update={"head": DEFAULT_HEAD})


class LoraSettings(Section):
    """The low-rank adapters."""

    rank: Count = 16
    """Rank of each layer's update."""
    alpha: Count = 32
    """Scaling factor: the update is multiplied by alpha / rank."""
    dropout: FractionBelow1 = 0.0
    """Dropout on the adapters' inputs; any value above 0 halves the training speed on a CPU."""
    targets: Annotated[
        tuple[Text, ...], BeforeValidator(_split_at_commas), Field(min_length=1), AfterValidator(_distinct)
    ] = ("all-linear",)
    """Layers to adapt: `all-linear`, or names such as q_proj,v_proj."""
    rank_stabilised: bool = False
    """Scale by alpha / sqrt(rank) instead (rsLoRA, arXiv 2312.03732); useful for large ranks."""
    dora: bool = False
    """Also train each weight's magnitude (DoRA, arXiv 2402.09353); several times slower."""

    @field_validator("targets")
    @classmethod
    def _check_all_linear_is_alone(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        if "all-linear" in targets and len(targets) > 1:
            raise ValueError("all-linear names every layer: list it alone, or list the layers' names")
        return targets

    @model_validator(mode="after")
    def _check_scale(self) -> Self:
        scale = self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)
        if scale > MAX_LORA_SCALE:
            raise ValueError(
                f"alpha {self.alpha} with rank {self.rank} multiplies the update by {scale:,.0f}; above "
                f"{MAX_LORA_SCALE:,}, one step overwrites the model. Set alpha to once or twice the rank"
            )
        return self


class TrainingSettings(Section):
    """How the adapters are trained."""

    epochs: Annotated[float, Field(gt=0, le=10_000)] = 1.0
    """Number of passes over the training reviews."""
    max_steps: Annotated[int, Field(ge=-1, le=MAX_COUNT)] = -1
    """Maximum optimizer steps, overriding `epochs`; -1 for no maximum."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 5e-4
    """Peak learning rate of AdamW."""
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    """Learning rate schedule after the warm-up."""
    warmup_share: FractionBelow1 = 0.05
    """Fraction of the steps during which the learning rate rises to its peak."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay of AdamW."""
    batch_size: Count = 16
    """Reviews per optimizer step."""
    balance: Balance = "weights"
    """For rare labels: `weights` or `logit_adjusted` in the loss; `undersample` the others; or `none`."""
    tokens_per_pass: Count | Literal["auto"] = 1_536
    """Token budget of a micro-batch, including padding; larger batches are split. `auto`: what fits."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Maximum gradient norm; larger gradients are clipped."""
    gradient_checkpointing: bool | Annotated[int, Field(ge=2, le=1_024)] | Literal["auto"] = "auto"
    """Recompute activations to save memory: of all layers or every k-th; `auto`: if a GPU needs it."""
    dequantise_once: bool | Literal["auto"] = "auto"
    """Cache dequantised weights: 2 more bytes each, a tenth faster; `auto`: on a CPU, or if it fits."""
    disable: Annotated[tuple[SpeedUp, ...], BeforeValidator(_split_at_commas), AfterValidator(_distinct)] = ()
    """Speed-ups to switch off: packing, fused_lora, lean_layers or fused_optimizer."""
    processes: Annotated[int, Field(ge=1, le=1_024)] = 1
    """Data-parallel processes on one machine, one per GPU; each gets an equal part of `batch_size`."""
    fit: Literal["refuse", "adapt", "ignore"] = "adapt"
    """If memory is short: `refuse` to start, `adapt` settings that do not affect the result, or `ignore`."""
    checkpoint_dir: Text | None = None
    """Directory or fsspec URL for checkpoints that survive the machine; if not set, the cache directory."""
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 3.0
    """Minutes between checkpoints: the most training that a killed process loses."""
    checkpoint_steps: Count | None = None
    """Optimizer steps between additional checkpoints; if not set, only `checkpoint_minutes` applies."""
    validations: CountOrZero = 4
    """Number of validations during training; the latest adapter that is about as good as the best is kept."""
    validation_samples: Count = 200
    """Validation reviews scored in each validation."""
    patience: CountOrZero = 0
    """Early stopping: validations without a better macro-F1 before training stops; 0 disables it."""

    @field_validator("max_steps")
    @classmethod
    def _check_steps(cls, max_steps: int) -> int:
        if max_steps == 0:
            raise ValueError("0 steps train nothing; write -1 for no maximum")
        return max_steps

    @property
    def composition(self) -> Composition:
        """Return which reviews of each label are trained on."""
        if self.balance == "undersample":
            return "equal"
        return "natural" if self.balance == "none" else "rare_first"

    @model_validator(mode="after")
    def _check_patience(self) -> Self:
        if self.patience and not self.validations:
            raise ValueError("patience counts validations, and validations is 0")
        return self

    @model_validator(mode="after")
    def _check_batch_divides(self) -> Self:
        if self.batch_size % self.processes:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be divided evenly among {self.processes} processes"
            )
        return self


class EvaluationSettings(Section):
    """How models are evaluated."""

    skip_baseline: bool = False
    """Do not evaluate the untuned model."""
    baseline_samples: Count | None = 500
    """Evaluation reviews for the untuned model; all of them if not set."""
    tokens_per_batch: Count | Literal["auto"] = "auto"
    """Token budget of a scoring batch, including padding; `auto`: the fastest that fits into memory."""
    sample_predictions: CountOrZero = 16
    """Reviews to show with the raw answer that the model generates."""
    audit_samples: CountOrZero = 64
    """Reviews also answered by greedy generation, to check that scoring gives the same answers."""
    shards: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Number of steps that share the evaluation of the tuned model; they run in parallel on a cluster."""
    natural_interval: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Score more reviews until the rarest label's precision in production is known to plus or minus this."""


class DecisionSettings(Section):
    """How probabilities become answers, fitted on validation reviews at the source's class shares.

    At most one of `cost`, `precision` and `recall` replaces `objective`.
    """

    objective: Literal["accuracy", "macro_f1"] = "accuracy"
    """What the answers should maximise at the source's class shares."""
    cost: dict[Text, Annotated[float, Field(gt=0)]] = {}
    """Costs of wrong answers by label, such as `{false_negative: 5}`; others cost 1."""
    precision: Annotated[dict[Text, FractionInside], Field(max_length=1)] = {}
    """Precision that a label must reach with `decision.confidence`, such as `{negative: 0.9}`."""
    recall: Annotated[dict[Text, FractionInside], Field(max_length=1)] = {}
    """Recall that a label must reach with `decision.confidence`, such as `{negative: 0.9}`."""
    confidence: FractionInside = 0.95
    """Confidence with which a requested precision or recall is reached."""
    abstain: dict[Literal["risk", "confidence", "reviews"], Annotated[float, Field(gt=0)]] = {}
    """Maximum fraction of wrong answers, such as `{risk: 0.02, confidence: 0.95, reviews: 250}`."""

    @model_validator(mode="after")
    def _check_one_objective(self) -> Self:
        given = [name for name in ("cost", "precision", "recall") if getattr(self, name)]
        if self.objective != "accuracy":
            given.insert(0, "objective")
        if len(given) > 1:
            raise ValueError(f"decision has {' and '.join(given)}; set one of them")
        return self

    @model_validator(mode="after")
    def _check_abstention(self) -> Self:
        if self.abstain and "risk" not in self.abstain:
            raise ValueError("decision.abstain needs a risk, such as {risk: 0.02, confidence: 0.95}")
        for name in ("risk", "confidence"):
            if self.abstain.get(name, 0.5) >= 1:
                raise ValueError(f"decision.abstain.{name} is a fraction, such as 0.02 or 0.95")
        if self.abstain.get("reviews", 1) % 1:
            raise ValueError("decision.abstain.reviews is a number of reviews, such as 250")
        return self


class ArmSettings(Section):
    """Other models that are trained on the same reviews, to compare with."""

    include: Annotated[
        tuple[ArmName, ...], BeforeValidator(_split_at_commas), Field(min_length=1), AfterValidator(_distinct)
    ] = ("tfidf",)
    """Arms to train and evaluate."""
    encoder: Text = "embedded"
    """Encoder of the arms that have one: `embedded` (all-MiniLM-L6-v2), a directory, or a Hub model."""
    encoder_revision: Text | None = None
    """Commit of a Hub encoder; the latest if not set."""
    shots: Annotated[int, Field(ge=1, le=100)] = 4
    """Examples of each label in the prompt of the arm `few_shot`."""

    def encoder_of(self, arm: TrainedArm) -> dict[str, str | None]:
        """Return the settings of an arm's encoder, which are None for an arm without one."""
        has_encoder = arm in ENCODER_ARMS
        return {
            "encoder": self.encoder if has_encoder else None,
            "encoder_revision": self.encoder_revision if has_encoder else None,
        }

    @property
    def needs_encoder(self) -> bool:
        """Return whether an arm has an encoder."""
        return any(arm in ENCODER_ARMS for arm in self.include)


class StudentSettings(Section):
    """A small model that learns from the answers of a registered version, its teacher (`distill`)."""

    kind: TrainedArm = "tuned_encoder"
    """What is trained: `tuned_encoder`, `static` (the fastest), `frozen_encoder` or `tfidf`."""
    reviews: Count = 4_000
    """Maximum reviews without a label of their own that the teacher answers."""
    epochs: Annotated[int, Field(ge=1, le=100)] = 3
    """Passes of the tuned encoder over its reviews; the best one on the validation reviews is kept."""
    runtime: Literal["auto", "onnx", "torch"] = "auto"
    """What an encoder answers with; `auto`: ONNX Runtime if it is installed."""
    max_loss: Fraction = 0.02
    """Gate: maximum loss of accuracy against the teacher, with 95 % confidence."""
    min_agreement: Fraction = 0.96
    """Gate: minimum fraction of reviews that both answer alike."""
    max_calibration_error: Fraction = 0.1
    """Gate: maximum expected calibration error."""
    model_name: ModelName = "review-sentiment-student"
    """Name of the registered model."""


class RobustnessSettings(Section):
    """How the tuned model is tested on perturbed reviews and other prompts."""

    samples: CountOrZero = 0
    """Evaluation reviews to test with typos, other prompts and negation; 0 skips this step."""


class GateSettings(Section):
    """What a candidate must achieve to become champion."""

    share: Literal["natural", "balanced"] = "natural"
    """Compare models as production sees them, by their decision rules, or on balanced reviews."""
    min_gain_over_baseline: Gain = 0.0
    """The gain in accuracy over the untuned model must exceed this fraction."""
    min_gain_over_arm: Gain = 0.0
    """The gain in accuracy over the cheapest arm must exceed this fraction."""
    arm_exception: Text | None = None
    """Reason to accept a candidate that is no better than the cheapest arm; the model card shows it."""
    min_gain_over_champion: Gain = 0.0
    """The gain in accuracy over the current champion must exceed this fraction."""
    significance: Fraction = 0.05
    """Maximum p-value (McNemar) of the gain over the untuned model, the cheapest arm and the champion."""
    max_category_loss: Fraction = 0.05
    """Maximum loss in a category's accuracy (a fraction) against the cheapest arm or the champion."""
    min_category_reviews: Count = 30
    """Minimum evaluation reviews for a category to be checked; smaller categories pass."""
    max_unparsed_rate: Fraction = 0.01
    """Maximum fraction of answers that are not a label."""
    max_calibration_error: Fraction = 0.1
    """Maximum expected calibration error: the mean gap between confidence and accuracy."""


class TrackingSettings(Section):
    """Where candidates are logged in MLflow."""

    experiment: Annotated[Text, Field(max_length=MAX_EXPERIMENT_NAME)] = "review-sentiment"
    """MLflow experiment for the candidates' runs."""


class RegistrySettings(Section):
    """Where model versions are registered in MLflow."""

    model_name: ModelName = "review-sentiment"
    """Name of the registered model."""


class Settings(Section):
    """Everything that a run depends on, apart from its code and data."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Random seed for all libraries and for the splits."""
    data: DataSettings = DataSettings()
    """Source, categories and labels of the reviews."""
    cleaning: CleaningSettings = CleaningSettings()
    """Which rows are kept for each category."""
    split: SplitSettings = SplitSettings()
    """How reviews are split into training, validation and evaluation sets."""
    prompt: PromptSettings = PromptSettings()
    """How a review is formatted as a chat."""
    model: ModelSettings = ModelSettings()
    """The base model, and the device and precision it runs with."""
    lora: LoraSettings = LoraSettings()
    """The low-rank adapters."""
    training: TrainingSettings = TrainingSettings()
    """How the adapters are trained."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """How models are evaluated."""
    decision: DecisionSettings = DecisionSettings()
    """How probabilities become answers."""
    arms: ArmSettings = ArmSettings()
    """Other models that are trained on the same reviews, to compare with."""
    student: StudentSettings = StudentSettings()
    """A small model that learns from the answers of a registered version, its teacher (`distill`)."""
    robustness: RobustnessSettings = RobustnessSettings()
    """How the tuned model is tested on perturbed reviews and other prompts."""
    gate: GateSettings = GateSettings()
    """What a candidate must achieve to become champion."""
    tracking: TrackingSettings = TrackingSettings()
    """Where candidates are logged in MLflow."""
    registry: RegistrySettings = RegistrySettings()
    """Where model versions are registered in MLflow."""

    @property
    def needed_per_class(self) -> int:
        """Return how many reviews of the rarest class to keep for the splits."""
        return self.split.needed_per_class(self.training.composition)

    @property
    def needs_time(self) -> bool:
        """Return whether each review must have a time."""
        return self.split.by == "time"

    @property
    def kept_per_class(self) -> int:
        """Return how many reviews of each class but the rarest to keep for the splits."""
        planned = MOST_PER_RAREST if self.evaluation.natural_interval else 1.0
        return math.ceil(self.needed_per_class * max(self.split.majority_ratio, planned))
