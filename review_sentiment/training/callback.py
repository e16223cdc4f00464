"""What happens around the steps of a training: the curve, validation, checkpoints, and being told to stop.

A training can end at any step and go on in another process as if nothing had
happened: what the course knows is in every checkpoint beside what
transformers keeps (weights, optimiser, schedule, random state, place in the data).
"""

from __future__ import annotations

import json
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from review_sentiment.evaluation.intervals import figures
from review_sentiment.models.lora import take_adapter
from review_sentiment.progress import Progress
from review_sentiment.resources.device import peak_memory_gb, read_device
from review_sentiment.scoring.answers import Answers, KeptAnswers
from review_sentiment.training.checkpoints import CheckpointStore
from review_sentiment.training.trainer import AnswerTrainer, NonFiniteError

if TYPE_CHECKING:
    import torch

    from review_sentiment.training.lora_proof import LoraWatcher

CALLBACK_FILE = "course.json"
KEPT_FILE = "kept_adapter.safetensors"
SECONDS_PER_MINUTE = 60

Observer = Callable[[int, Mapping[str, float]], None]
"""Told the optimiser step and its figures: loss, learning_rate, grad_norm, tokens_per_second, memory."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpointing:
    """Where checkpoints go, how often, and what is noted with them."""

    store: CheckpointStore
    minutes: float
    steps: int | None
    notes: Mapping[str, str]


@dataclass(frozen=True)
class Validation:
    """How a model is validated on the way: its answers to some reviews at some steps, and the patience."""

    answers: Callable[[torch.nn.Module], Answers]
    times: int
    patience: int

    @staticmethod
    def is_as_good(macro_f1: float, best: float, reviews: int) -> bool:
        """Tell whether a figure is within one standard error of the best.

        The rule of Breiman et al. (1984). Of 150 reviews the error is two points: an adapter from
        half way, better by 0.7 points on those, was kept and answered 2.8 points worse on 636 others.
        """
        return macro_f1 >= best - math.sqrt(best * (1 - best) / reviews)


class TrainingCallback(TrainerCallback):  # type: ignore[misc]
    """Follows a training from its first step, or from a checkpoint, to its end."""

    def __init__(
        self,
        trainer: AnswerTrainer,
        witness: LoraWatcher,
        observers: tuple[Observer, ...] = (),
        keeping: Checkpointing | None = None,
        validating: Validation | None = None,
        expected_gb: float = 0.0,
    ) -> None:
        self.curve: list[dict[str, float]] = []
        self.validations: list[dict[str, float]] = []
        self.seconds = 0.0
        self.stop_signal: int | None = None
        self.kept: dict[str, torch.Tensor] = {}
        """The adapter of the last validation that was about as good as the best one."""
        self.kept_answers: KeptAnswers | None = None
        """What that adapter answered to the validation reviews."""
        self._trainer = trainer
        self._witness = witness
        self._observers = observers
        self._keeping = keeping
        self._validating = validating
        self._expected_gb = expected_gb
        # Batches may be grouped by length: the time left follows from tokens, not from steps.
        lengths = map(len, trainer.train_dataset["input_ids"])
        self._all_tokens = sum(lengths) * trainer.args.num_train_epochs
        self._tokens_before = 0
        self._step_started = 0.0
        self._kept_at = 0.0
        self._validated_at: frozenset[int] = frozenset()

    @property
    def best_validation(self) -> dict[str, float] | None:
        """Return the validation with the best macro-F1, the later one of equals."""
        return max(self.validations, key=lambda found: (found["macro_f1"], found["step"]), default=None)

    def restore(self, directory: Path) -> None:
        """Take over what the checkpoint in a directory knows."""
        from safetensors.torch import load_file

        known = json.loads((directory / CALLBACK_FILE).read_text(encoding="utf-8"))
        self.curve, self.validations, self.seconds = known["curve"], known["validations"], known["seconds"]
        self._trainer.tokens, self._trainer.computed_tokens = known["tokens"], known["computed_tokens"]
        self._tokens_before = self._trainer.tokens
        self._witness.restore(known["witness"])
        if (directory / KEPT_FILE).is_file():
            self.kept = load_file(directory / KEPT_FILE)
            self.kept_answers = KeptAnswers(**known["kept_answers"])

    @contextmanager
    def stopping_on_signals(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM end the training after the present step, with a checkpoint.

        A second Ctrl-C ends it at once. A SIGINT beside a SIGTERM does not: ZenML's heartbeat (0.98)
        interrupts a step of a stopped run, whose container is being told to end at the same time.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
            SystemExit: the process was told to end; its code is 128 + 15, as a shell would say it.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # signals reach the main thread only
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._note_signal) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.stop_signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.stop_signal is not None:
            raise SystemExit(128 + self.stop_signal)

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == self.stop_signal == signal.SIGINT:
            raise KeyboardInterrupt
        # No message from here: a handler that interrupts a write must not write
        # ("reentrant call inside BufferedWriter").
        self.stop_signal = self.stop_signal or number

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Begin to count, and set the steps to validate at."""
        self._progress = Progress("training", state.max_steps, done=state.global_step)
        self._step_started = self._kept_at = time.perf_counter()
        if self._validating:
            times = self._validating.times
            self._validated_at = frozenset(
                math.ceil(state.max_steps * number / times) for number in range(1, times + 1)
            )

    def on_pre_optimizer_step(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Prove at the first step that every adapter is trained."""
        if state.global_step == 0:
            self._witness.check_first_step()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        """Take a step's figures: into the curve, to the observers, to a person.

        Raises:
            NonFiniteError: the gradient is NaN or infinite.
        """
        if not logs or "loss" not in logs:
            return
        now = time.perf_counter()
        seconds = now - self._step_started
        speed = (self._trainer.tokens - self._tokens_before) / seconds
        self._tokens_before = self._trainer.tokens
        self.seconds += seconds
        point = {
            "step": float(state.global_step),
            "loss": float(logs["loss"]),
            "learning_rate": float(logs["learning_rate"]),
            "grad_norm": float(logs["grad_norm"]),
            "tokens_per_second": speed,
            **read_device(args.device.type),
        }
        if not math.isfinite(point["grad_norm"]):
            raise NonFiniteError("grad_norm", point["grad_norm"])
        self.curve.append(point)
        share = self._trainer.tokens / self._all_tokens if args.max_steps < 0 else None
        self._progress.advance(1, f"loss {point['loss']:.3f}, {speed:.0f} tokens/s", share)
        if state.global_step == 1:
            # The heaviest batch comes first: this step is the probe of what the others take.
            point |= {
                "probe_memory_gb": peak_memory_gb(args.device.type),
                "expected_memory_gb": self._expected_gb,
            }
            logger.info(
                "memory: %.2f GB after the heaviest batch, %.2f expected",
                point["probe_memory_gb"],
                self._expected_gb,
            )
        self._observe(point)
        if state.global_step in self._validated_at:
            self._validate(state.global_step, control)
        self._stop_or_save(state.global_step, control)
        self._step_started = time.perf_counter()

    def _stop_or_save(self, step: int, control: Any) -> None:
        """Decide whether the training has been told to stop, and whether a checkpoint is due."""
        stops = self._any_process(self.stop_signal is not None)
        if stops:
            logger.warning("Told to stop: the training ends after step %d", step)
            control.should_training_stop = True
        if self._keeping is None:
            return
        minutes = (time.perf_counter() - self._kept_at) / SECONDS_PER_MINUTE
        every = self._keeping.steps
        due = minutes >= self._keeping.minutes or (every is not None and step % every == 0)
        control.should_save = stops or self._any_process(due)

    def on_save(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Add what the course knows to the files of the Trainer, and keep them."""
        if self._keeping is None:
            return
        from safetensors.torch import save_file

        self._trainer.accelerator.wait_for_everyone()
        self._kept_at = time.perf_counter()
        if not state.is_world_process_zero:
            return
        directory = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        known = {
            "curve": self.curve,
            "validations": self.validations,
            "seconds": self.seconds,
            "tokens": self._trainer.tokens,
            "computed_tokens": self._trainer.computed_tokens,
            "witness": self._witness.state(),
            "kept_answers": asdict(self.kept_answers) if self.kept_answers else None,
        }
        (directory / CALLBACK_FILE).write_text(json.dumps(known), encoding="utf-8")
        if self.kept:
            save_file(self.kept, directory / KEPT_FILE)
        self._keeping.store.save(directory, state.global_step, self._keeping.notes)

    def _validate(self, step: int, control: Any) -> None:
        assert self._validating is not None
        model = self._trainer.model
        answers = self._validating.answers(model)
        found = {"step": float(step), "macro_f1": float(figures(answers)["f1"])}
        model.train()
        self.validations.append(found)
        best = self.best_validation
        assert best is not None
        if self._validating.is_as_good(found["macro_f1"], best["macro_f1"], len(answers.gold)):
            self.kept, self.kept_answers = take_adapter(model), KeptAnswers.of(answers)
        self._observe({"step": float(step), "validation_macro_f1": found["macro_f1"]})
        since_best = sum(later["step"] > best["step"] for later in self.validations)
        if self._validating.patience and since_best >= self._validating.patience:
            logger.info("Stopped early at step %d: macro-F1 was best at step %d", step, int(best["step"]))
            control.should_training_stop = True

    def _any_process(self, flag: bool) -> bool:
        """Return whether the flag holds for any process: they go on, save and stop together."""
        accelerator = self._trainer.accelerator
        if accelerator.num_processes == 1:
            return flag
        import torch

        return bool(accelerator.reduce(torch.tensor(float(flag), device=accelerator.device)) > 0)

    def _observe(self, point: Mapping[str, float]) -> None:
        for observe in self._observers:
            observe(int(point["step"]), {name: value for name, value in point.items() if name != "step"})
