"""An experiment tracker that leaves the sign-in at an MLflow server to MLflow's own variables.

ZenML's (0.98) refuses a server without a password, and would store a password in its database. Where all
steps run on this machine, they have the variables: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or
MLFLOW_TRACKING_TOKEN.
"""

from __future__ import annotations

from typing import Self

from pydantic import model_validator
from zenml.integrations.mlflow.flavors import MLFlowExperimentTrackerFlavor
from zenml.integrations.mlflow.flavors.mlflow_experiment_tracker_flavor import MLFlowExperimentTrackerConfig


class MlflowEnvironmentConfig(MLFlowExperimentTrackerConfig):
    """ZenML's configuration, which requires no credentials here."""

    @model_validator(mode="after")
    def _ensure_exactly_one_authentication_method_if_necessary(self) -> Self:
        return self


class MlflowEnvironmentFlavor(MLFlowExperimentTrackerFlavor):
    """The flavour `mlflow_environment`."""

    @property
    def name(self) -> str:
        """Return the flavour's name in a stack file."""
        return "mlflow_environment"

    @property
    def config_class(self) -> type[MlflowEnvironmentConfig]:
        """Return the type of the configuration."""
        return MlflowEnvironmentConfig
