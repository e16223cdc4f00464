"""What happens around the optimizer steps: the curve, validation, checkpoints, and a request to stop.

A training can end at any step and resume in another process with the same result: every checkpoint holds what
the callback knows, next to what transformers saves (weights, optimizer, schedule, random state, position in
the data).
"""

from __future__ import annotations

import json
import logging
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from review_sentiment.evaluation.intervals import figures
from review_sentiment.models.lora import copy_adapter
from review_sentiment.progress import Progress
from review_sentiment.resources.device import DeviceReadings, peak_memory_gb
from review_sentiment.training.checkpoints import CheckpointStore
from review_sentiment.training.job import Observer
from review_sentiment.training.trainer import AnswerTrainer, NonFiniteError
from review_sentiment.training.validation import Validation

if TYPE_CHECKING:
    import torch

    from review_sentiment.training.lora_proof import LoraWatcher

CALLBACK_FILE = "callback.json"
KEPT_FILE = "kept_adapter.safetensors"
SECONDS_PER_MINUTE = 60

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpointing:
    """Where checkpoints go, how often, and the notes that are saved with them."""

    store: CheckpointStore
    minutes: float
    steps: int | None
    notes: Mapping[str, str]


class TrainingCallback(TrainerCallback):  # type: ignore[misc]
    """Follows a training from its first step, or from a checkpoint, to its end."""

    def __init__(
        self,
        trainer: AnswerTrainer,
        watcher: LoraWatcher,
        observers: tuple[Observer, ...],
        checkpointing: Checkpointing | None,
        validation: Validation | None,
        expected_gb: float,
    ) -> None:
        self.curve: list[dict[str, float]] = []
        self.validations: list[dict[str, float]] = []
        self.seconds = 0.0
        self.stop_signal: int | None = None
        self.kept: dict[str, torch.Tensor] = {}
        """The adapter of the last validation that was about as good as the best one."""
        self._trainer = trainer
        self._watcher = watcher
        self._observers = observers
        self._checkpointing = checkpointing
        self._validation = validation
        self._expected_gb = expected_gb
        self._readings = DeviceReadings()
        # Batches may be grouped by length, so the time left follows from tokens, not from steps.
        lengths = map(len, trainer.train_dataset["input_ids"])
        self._all_tokens = sum(lengths) * trainer.args.num_train_epochs
        self._tokens_before = 0
        self._step_started = 0.0
        self._saved_at = 0.0
        self._validation_steps: frozenset[int] = frozenset()

    @property
    def best_validation(self) -> dict[str, float] | None:
        """Return the validation with the best macro-F1, the later one of equals."""
        return max(self.validations, key=lambda found: (found["macro_f1"], found["step"]), default=None)

    def restore(self, directory: Path) -> None:
        """Restore the state that `on_save` added to the checkpoint in a directory."""
        from safetensors.torch import load_file

        known = json.loads((directory / CALLBACK_FILE).read_text(encoding="utf-8"))
        # The curve and the seconds go on from the checkpoint, so the figures are those of the whole training
        # and not of its last process.
        self.curve, self.validations, self.seconds = known["curve"], known["validations"], known["seconds"]
        self._trainer.tokens, self._trainer.computed_tokens = known["tokens"], known["computed_tokens"]
        self._tokens_before = self._trainer.tokens
        # The proof of the first step was given in the interrupted process, and counts for the whole training.
        self._watcher.restore(known["watcher"])
        logger.info("resumed from step %d", int(self.curve[-1]["step"]))
        if (directory / KEPT_FILE).is_file():
            self.kept = load_file(directory / KEPT_FILE)

    @contextmanager
    def stopping_on_signals(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM end the training after the current step, with a checkpoint.

        A second Ctrl-C ends it at once. A SIGINT next to a SIGTERM does not: ZenML's heartbeat (0.98)
        interrupts a step of a stopped run while its container is being terminated.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
            SystemExit: the process received SIGTERM; the exit code is 128 + 15, as in a shell.
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

    def on_train_begin(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Start the clock, and choose the steps of the validations: evenly spaced, the last step included."""
        self._progress = Progress("training", state.max_steps, state.global_step, self._fraction(args))
        self._step_started = self._saved_at = time.perf_counter()
        if self._validation:
            times = self._validation.times
            self._validation_steps = frozenset(
                math.ceil(state.max_steps * number / times) for number in range(1, times + 1)
            )

    def on_pre_optimizer_step(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Prove before the first step that every adapter is called and has a gradient."""
        # At the first step, not at the end of a training that was paid for: a layer that the forward pass
        # does not reach has no gradient from the start. Only B has one here; A's is zero until B has moved.
        if state.global_step == 0:
            self._watcher.check_first_step()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        """Record a step: in the curve, for the observers, and on the console.

        Raises:
            NonFiniteError: the gradient is NaN or infinite.
        """
        if not logs or "loss" not in logs:
            return  # the trainer also logs a summary when it ends
        point = self._point(state.global_step, logs, args.device.type)
        # The loss is checked where it is computed. A gradient can overflow although the loss is finite, and
        # the optimizer would then write NaN into every weight.
        if not math.isfinite(point["grad_norm"]):
            raise NonFiniteError("grad_norm", point["grad_norm"])
        self.curve.append(point)
        detail = f"loss {point['loss']:.3f}, {point['tokens_per_second']:.0f} tokens/s"
        self._progress.advance(1, detail, self._fraction(args))
        if state.global_step == 1:
            # The heaviest batch comes first, so no later step needs more memory than this one: whoever reads
            # this line knows whether the rest of the run fits.
            peak = peak_memory_gb(args.device.type)
            logger.info("memory: %.2f GB after the heaviest batch, %.2f GB expected", peak, self._expected_gb)
            point |= {"probe_memory_gb": peak, "expected_memory_gb": self._expected_gb}
        self._observe(point)
        if state.global_step in self._validation_steps:
            self._validate(state.global_step, control)
        self._stop_or_save(state.global_step, control)
        self._step_started = time.perf_counter()

    def _fraction(self, args: Any) -> float | None:
        """Return the fraction of the tokens that were trained; None if not all of them will be."""
        return self._trainer.tokens / self._all_tokens if args.max_steps < 0 else None

    def _point(self, step: int, logs: Mapping[str, float], device: str) -> dict[str, float]:
        """Return the figures of a step, and count its time and tokens."""
        seconds = time.perf_counter() - self._step_started
        # Tokens of the reviews, without padding and without what packing shares: comparable between devices.
        throughput = (self._trainer.tokens - self._tokens_before) / seconds
        self._tokens_before = self._trainer.tokens
        self.seconds += seconds
        return {
            "step": float(step),
            "loss": float(logs["loss"]),
            "learning_rate": float(logs["learning_rate"]),
            "grad_norm": float(logs["grad_norm"]),
            "tokens_per_second": throughput,
            **self._readings.read(device),
        }

    def _stop_or_save(self, step: int, control: Any) -> None:
        """Stop if a signal came, and save if a checkpoint is due. All processes decide alike."""
        # A signal reaches one of several processes first. If one of them stopped alone, the others would wait
        # for its gradients forever, so they ask each other at every step.
        stops = self._any_process(self.stop_signal is not None)
        if stops:
            logger.warning("Received a request to stop: the training ends after step %d", step)
            control.should_training_stop = True
        if self._checkpointing is None:
            return
        # By time as well as by steps: a step takes seconds on a GPU and a minute on a small CPU, but the work
        # that a killed process may lose should be the same.
        minutes = (time.perf_counter() - self._saved_at) / SECONDS_PER_MINUTE
        every = self._checkpointing.steps
        due = minutes >= self._checkpointing.minutes or (every is not None and step % every == 0)
        control.should_save = stops or self._any_process(due)

    def on_save(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Add the state of this callback to the trainer's files, and copy them to the durable store."""
        if self._checkpointing is None:
            return
        from safetensors.torch import save_file

        # Each process writes its own random state into the directory. The first one copies it when all have.
        self._trainer.accelerator.wait_for_everyone()
        self._saved_at = time.perf_counter()
        if not state.is_world_process_zero:
            return
        directory = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        known = {
            "curve": self.curve,
            "validations": self.validations,
            "seconds": self.seconds,
            "tokens": self._trainer.tokens,
            "computed_tokens": self._trainer.computed_tokens,
            "watcher": self._watcher.state(),
        }
        (directory / CALLBACK_FILE).write_text(json.dumps(known), encoding="utf-8")
        if self.kept:
            save_file(self.kept, directory / KEPT_FILE)
        self._checkpointing.store.save(directory, state.global_step, self._checkpointing.notes)

    def _validate(self, step: int, control: Any) -> None:
        assert self._validation is not None
        model = self._trainer.model
        # Validation scores labels, as evaluation does: one forward pass per review, no generation.
        answers = self._validation.answers(model)
        found = {"step": float(step), "macro_f1": float(figures(answers)["f1"])}
        model.train()  # scoring has switched the model to evaluation
        self.validations.append(found)
        # Of adapters whose difference chance alone can explain, the later one has seen more reviews: it is
        # kept, in main memory, and saved with each checkpoint.
        best = self.best_validation
        assert best is not None
        if self._validation.is_as_good(found["macro_f1"], best["macro_f1"], len(answers.gold)):
            self.kept = copy_adapter(model)
        self._observe({"step": float(step), "validation_macro_f1": found["macro_f1"]})
        # Patience counts validations, not steps, since the best one. 0 never stops early.
        since_best = sum(later["step"] > best["step"] for later in self.validations)
        if self._validation.patience and since_best >= self._validation.patience:
            logger.info("Stopped early at step %d: macro-F1 was best at step %d", step, int(best["step"]))
            control.should_training_stop = True

    def _any_process(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        accelerator = self._trainer.accelerator
        if accelerator.num_processes == 1:
            return flag
        import torch

        return bool(accelerator.reduce(torch.tensor(float(flag), device=accelerator.device)) > 0)

    def _observe(self, point: Mapping[str, float]) -> None:
        for observe in self._observers:
            observe(int(point["step"]), {name: value for name, value in point.items() if name != "step"})
