"""A candidate while it is trained: its MLflow run from the first step to the last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from review_sentiment import tracking
from review_sentiment.provenance import package_versions

if TYPE_CHECKING:
    from review_sentiment.chats import ChatDataset
    from review_sentiment.models import BaseModel
    from review_sentiment.training import FineTuned


@dataclass(frozen=True)
class Candidate:
    """A run that is open for training."""

    run_id: str

    @classmethod
    def open(
        cls,
        experiment: str,
        name: str,
        base: BaseModel,
        compute: Mapping[str, str],
        settings: Mapping[str, str],
        packages: tuple[str, ...],
        commit: str,
        train: ChatDataset,
    ) -> Candidate:
        """Start the run with parameters, environment, commit and training data."""
        run_id = tracking.open_candidate(
            experiment,
            name,
            parameters={
                **{key.replace(".", "/"): value for key, value in settings.items()},
                **{f"compute/{key}": value for key, value in compute.items()},
            },
            tags={
                "base_model": base.title,
                "base_model.revision": base.revision or "newest",
                "mlflow.source.git.commit": commit,
                **package_versions(packages),
            },
        )
        tracking.log_dataset(run_id, train, "train", context="training")
        return cls(run_id)

    @classmethod
    def reopen(cls, run_id: str) -> Candidate | None:
        """Go on with the run of a training that was interrupted; None where MLflow no longer has it."""
        return cls(run_id) if tracking.resume(run_id) else None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """End the run as finished, failed or killed, however the training ends."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            tracking.finish(self.run_id, "KILLED")
            raise
        except BaseException:
            tracking.finish(self.run_id, "FAILED")
            raise
        tracking.finish(self.run_id)

    def log_step(self, step: int, figures: Mapping[str, float]) -> None:
        """Log the figures of one optimiser step."""
        tracking.log_metrics(self.run_id, {f"train/{key}": value for key, value in figures.items()}, step)

    def log_training(self, trained: FineTuned) -> None:
        """Log what a finished training took, its curve and the LoRA proof."""
        tracking.log_metrics(
            self.run_id,
            {f"training/{key}": value for key, value in asdict(trained.summary).items()},
        )
        tracking.log_proof(self.run_id, trained.proof)
        tracking.log_curve(self.run_id, trained.curve, trained.validations)
