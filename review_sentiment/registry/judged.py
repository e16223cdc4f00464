"""A candidate that the gate has judged, as its evaluation is recorded in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from review_sentiment.registry.gate import Evaluations, Verdict
from review_sentiment.registry.registrable import Registrable
from review_sentiment.scoring.version_files import RULE_FILE, rule_json
from review_sentiment.tracking.evaluation_run import EvaluationRecord, identity_of
from review_sentiment.tracking.evidence import GATE_FILE, gate_of
from review_sentiment.tracking.mlflow_store import GATE_REASON_TAG, GATE_TAG

if TYPE_CHECKING:
    from review_sentiment.tracking.model_versions import ModelVersion


@dataclass(frozen=True)
class Judged:
    """A candidate: its evaluations, the gate's verdict on them, the model itself, and its reports.

    `reports` maps files to HTML pages.
    """

    verdict: Verdict
    evaluations: Evaluations
    model: Registrable
    reports: Mapping[str, str]

    def identity(self) -> str:
        """Return the identity of the evaluation: an evaluation is recorded and registered once."""
        robustness = self.evaluations.robustness
        texts = (rule_json(self.model.rule), self.gate_json(), robustness.csv() if robustness else "")
        return identity_of(self.model.evaluation.frame, self.evaluations.of_models(), *texts)

    def gate_json(self) -> str:
        """Return the verdict as JSON."""
        return json.dumps(asdict(self.verdict), indent=2)

    def record(self, identity: str) -> EvaluationRecord:
        """Return what the evaluation's run holds, apart from the card."""
        verdict, robustness, model = self.verdict, self.evaluations.robustness, self.model
        trained = model.training_settings()
        probes = {"robustness/probes.csv": robustness.csv()} if robustness else {}
        return EvaluationRecord(
            training_run=model.run_id,
            identity=identity,
            reviews=model.evaluation.frame,
            evaluations=self.evaluations.of_models(),
            settings={key: value for key, value in model.settings.items() if key not in trained},
            files={
                GATE_FILE: self.gate_json(),
                RULE_FILE: rule_json(model.rule),
                **probes,
                **self.reports,
            },
            metrics=robustness.metrics() if robustness else {},
            tags=model.lineage.tags() | {GATE_TAG: verdict.outcome, GATE_REASON_TAG: verdict.reason()},
        )


def recorded_verdict(version: ModelVersion) -> Verdict:
    """Return the gate's verdict in a version's evidence."""
    from pydantic import TypeAdapter

    return TypeAdapter(Verdict).validate_python(gate_of(version))
