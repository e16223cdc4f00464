"""How many actors score on a Ray cluster, and what each of them gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from review_sentiment.errors import UsageError

CORES_PER_ACTOR = 4
"""Each actor loads the model once: with fewer cores, the copies take more memory; with more, threads wait
for each other at the small matrices of short reviews."""


@dataclass(frozen=True)
class ActorPlan:
    """The number of actors, the CPU cores and GPUs of each, the device of the model, and the reason."""

    actors: int
    cores: int
    gpus: int
    device: str
    reason: str


def plan_actors(nodes: Sequence[Mapping[str, float]], device: str) -> ActorPlan:
    """Return the actors for the nodes' resources, as Ray counts them, and the setting `model.device`.

    Raises:
        UsageError: the cluster lacks the device, or has no CPU core.
    """
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if device == "cuda" and not gpus:
        raise UsageError("model.device=cuda: the Ray cluster has no GPU. Add a GPU node, or use auto or cpu.")
    if gpus and device in ("auto", "cuda"):
        return ActorPlan(gpus, 1, 1, "cuda", f"one for each of the cluster's {gpus} GPUs")
    cores = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
    if not cores:
        raise UsageError("The Ray cluster has no CPU core for an actor. Start a node with --num-cpus=1.")
    each = min(CORES_PER_ACTOR, *cores)
    actors = sum(count // each for count in cores)
    limit = "the smallest node" if each < CORES_PER_ACTOR else "the limit"
    reason = f"no GPU; {sum(cores)} cores on {len(cores)} nodes, {each} each ({limit})"
    return ActorPlan(actors, each, 0, "cpu", reason)
