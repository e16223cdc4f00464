"""How many actors a cluster gets."""

from __future__ import annotations

import pytest

from review_sentiment.errors import UsageError
from review_sentiment.scoring.actor_plan import ActorPlan, plan_actors

HEAD = {"memory": 1.0}


@pytest.mark.parametrize(
    ("nodes", "device", "expected"),
    [
        ([{"CPU": 16.0}], "cpu", (4, 4, 0, "cpu")),
        ([{"CPU": 2.0}], "auto", (1, 2, 0, "cpu")),
        ([HEAD, {"CPU": 1.0}, {"CPU": 8.0}], "auto", (9, 1, 0, "cpu")),
        ([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}], "auto", (3, 1, 1, "cuda")),
        ([{"CPU": 8.0, "GPU": 1.0}], "cpu", (2, 4, 0, "cpu")),
    ],
)
def test_actors_share_the_cores_or_have_a_gpu_each(
    nodes: list[dict[str, float]], device: str, expected: tuple[int, int, int, str]
) -> None:
    plan = plan_actors(nodes, device)
    assert plan == ActorPlan(*expected, plan.reason)
    assert plan.reason


@pytest.mark.parametrize(("device", "message"), [("cuda", "has no GPU"), ("auto", "has no CPU core")])
def test_a_cluster_without_the_device_is_refused(device: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan_actors([HEAD], device)
