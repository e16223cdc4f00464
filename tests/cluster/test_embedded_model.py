"""The embedded model and reviews on the cluster, with the settings of the smoke test and a cache volume."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import yaml

from tests.cluster.conftest import STACK
from tests.front_door import ROOT, Project

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        "EMBEDDED_MODEL" not in os.environ,
        reason="takes a quarter of an hour on two cores: set EMBEDDED_MODEL=1",
    ),
]

CACHE = "{name: cache, persistentVolumeClaim: {claimName: review-sentiment-cache}}"


def test_the_embedded_model_is_trained_and_registered(project: Project) -> None:
    settings = yaml.safe_load((ROOT / "configs" / "smoke.yaml").read_text())
    own = replace(
        project,
        settings=settings,
        services={**project.services, "GPU_CACHE_VOLUME": CACHE},
        timeout_seconds=3600,
    )
    result = own.result(*STACK)
    assert result["status"] == "completed"
    assert result["model"]["version"]
