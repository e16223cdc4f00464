"""Proof that LoRA was applied and trained, layer by layer.

An adapter that is created but never called learns nothing, and no error is raised: the loss may even fall a
little if other parts are trained. So every adapter is watched: it must be called in the forward pass, have a
gradient at the first optimizer step (otherwise training stops there), and have moved at the end. A
classification head is watched in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from review_sentiment.errors import TrainingError
from review_sentiment.models.lora import ADAPTER

if TYPE_CHECKING:
    import torch
    from torch.utils.hooks import RemovableHandle

LOSS_WINDOW = 0.1
"""Fraction of the steps at either end over which the loss is averaged."""
MAX_RELOAD_DIFFERENCE = 1e-3
"""Equal models in BF16 with equal batches have no difference at all (measured)."""
HEAD = "classification head"
"""Its name among the layers."""
NAMES_SHOWN = 3
"""Layers that an error message names."""


class LoraProofError(TrainingError):
    """LoRA was not applied or did not learn."""


@dataclass(frozen=True)
class LayerProof:
    """What happened to one adapter, or to the classification head.

    `first_gradient_norm` is that of B at the first optimizer step. A has no gradient there, since B starts at
    zero and the gradient of A is a product with B. `distance` is how far B has moved from zero in training,
    and a head's weight from where it started: the Frobenius norm of the difference.
    """

    layer: str
    forward_calls: int
    first_gradient_norm: float
    distance: float


@dataclass(frozen=True)
class LoraProof:
    """The adapters of a trained model, its head if it has one, and the loss at both ends of the training.

    `reload_difference` is the largest difference of a label's probability between the trained model and the
    one loaded from the saved adapter.
    """

    layers: tuple[LayerProof, ...]
    first_loss: float
    last_loss: float
    reload_difference: float = 0.0

    def require(self) -> None:
        """Check that every adapter moved, that the loss fell, and that the saved files are complete.

        Raises:
            LoraProofError: one of these does not hold.
        """
        unmoved = [layer.layer for layer in self.layers if not layer.distance > 0]
        if unmoved:
            raise LoraProofError(
                f"{len(unmoved)} of {len(self.layers)} trained layers did not move in training: "
                f"{_some(unmoved)}. Nothing is registered. Raise training.learning_rate or train longer."
            )
        if not self.last_loss < self.first_loss:
            raise LoraProofError(
                f"The training loss did not fall ({self.first_loss:.4f} in the first tenth of the "
                f"steps, {self.last_loss:.4f} in the last). Nothing is registered. Lower "
                "training.learning_rate or train on more reviews."
            )
        if not self.reload_difference <= MAX_RELOAD_DIFFERENCE:
            raise LoraProofError(
                "The saved files do not answer as the trained model does: a label's probability differs "
                f"by {self.reload_difference:.3g}. Nothing is registered. This is a bug in how they are "
                "saved. Please report it."
            )


class LoraWatcher:
    """Watches the adapters and the head of a PEFT model during training."""

    def __init__(self, model: torch.nn.Module) -> None:
        """Start watching.

        Raises:
            LoraProofError: the model has no adapter.
        """
        from review_sentiment.models.label_head import head_of

        self._layers: dict[str, torch.nn.Module] = {
            name: module for name, module in model.named_modules() if ADAPTER in getattr(module, "lora_A", {})
        }
        if not self._layers:
            raise LoraProofError("The model has no LoRA adapter: there is nothing to train.")
        if head := head_of(model):
            self._layers[HEAD] = head
        # B starts at zero, which need not be kept.
        self._start = head.weight.detach().clone() if head else None
        self._calls = dict.fromkeys(self._layers, 0)
        self._first_gradients: dict[str, float] = {}
        self._hooks: list[RemovableHandle] = [
            module.register_forward_hook(self._count(name)) for name, module in self._layers.items()
        ]

    def check_first_step(self) -> None:
        """Check forward passes and gradients before the first optimizer step.

        Raises:
            LoraProofError: an adapter was not called or has no gradient.
        """
        # Counting calls costs a Python call per layer and micro-batch. One batch is enough to prove the
        # wiring.
        for hook in self._hooks:
            hook.remove()
        unused = [name for name, calls in self._calls.items() if calls == 0]
        if unused:
            raise LoraProofError(
                f"{len(unused)} of {len(self._layers)} trained layers are not called in the forward pass: "
                f"{_some(unused)}. Training was stopped before the first step."
            )
        # B of every layer must have a gradient that is not exactly zero. On CPUs with AVX512-BF16,
        # bitsandbytes 0.50.2 left 150 of 210 layers without one after an evaluation (see `loading.py`): the
        # loss still fell, and no error was raised.
        for name in self._layers:
            gradient = self._weight(name).grad
            self._first_gradients[name] = 0.0 if gradient is None else float(gradient.norm())
        without = [name for name, norm in self._first_gradients.items() if not norm > 0]
        if without:
            raise LoraProofError(
                f"{len(without)} of {len(self._layers)} trained layers have no gradient: {_some(without)}. "
                "Training was stopped before the first step."
            )

    def state(self) -> dict[str, Any]:
        """Return what was seen, for a checkpoint: a resumed training proves its first step with it."""
        return {"calls": self._calls, "first_gradients": self._first_gradients}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what was seen before the training was interrupted."""
        for hook in self._hooks:
            hook.remove()
        self._calls = dict(state["calls"])
        self._first_gradients = dict(state["first_gradients"])

    def conclude(self, losses: Sequence[float]) -> LoraProof:
        """Return the proof after training; `losses` has one loss per step, in order.

        Raises:
            LoraProofError: no step was made.
        """
        if not losses or not self._first_gradients:
            raise LoraProofError("No optimizer step was made, so there is nothing to prove.")
        # Means over a tenth of the steps: the loss of a single batch of 16 reviews is too noisy to compare.
        window = max(1, int(len(losses) * LOSS_WINDOW))
        return LoraProof(
            layers=tuple(
                LayerProof(
                    layer=name,
                    forward_calls=self._calls[name],
                    first_gradient_norm=self._first_gradients[name],
                    distance=self._distance(name),
                )
                for name in self._layers
            ),
            first_loss=sum(losses[:window]) / window,
            last_loss=sum(losses[-window:]) / window,
        )

    def _weight(self, name: str) -> torch.Tensor:
        """Return B of an adapter, or the weight of the head."""
        layer: Any = self._layers[name]
        weight: torch.Tensor = layer.weight if name == HEAD else layer.lora_B[ADAPTER].weight
        return weight

    def _distance(self, name: str) -> float:
        weight = self._weight(name).detach().float()
        return float((weight if name != HEAD or self._start is None else weight - self._start).norm())

    def _count(self, name: str) -> Any:
        def count(*_: object) -> None:
            self._calls[name] += 1

        return count


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown + (", …" if len(names) > NAMES_SHOWN else "")
