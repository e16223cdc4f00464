"""What the Learn page shows of a version and of the embedded model.

Reading adapters and weights takes seconds: the functions run in a process of their own (`dashboard/jobs.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dashboard.explain import four_bit, low_rank
from dashboard.queries.versions import use_mlflow

if TYPE_CHECKING:
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Learned:
    """One update of an adapter: the choices, what was chosen, and its figures.

    `spectra` has the singular values of the projection in every layer. `kept` of the directions of the chosen
    layer hold `energy` (0-1) of its update; `update` and `truncated` are pictures of it.
    """

    projections: Sequence[str]
    layers: Sequence[int]
    rank: int
    projection: str
    layer: int
    kept: int
    spectra: Mapping[int, Matrix]
    energy: float
    shape: tuple[int, int]
    update: Matrix
    truncated: Matrix


@dataclass(frozen=True)
class Rounding:
    """One of the embedded model's weights: its histogram, and what rounding changes in it.

    `error` and `equal_error` are those of `four_bit.Rounding`.
    """

    names: Sequence[str]
    name: str
    fractions: Sequence[float]
    edges: Sequence[float]
    levels: Sequence[float]
    error: float
    equal_error: float


def learned(name: str, number: str, projection: str, layer: str, kept: str) -> Learned:
    """Return what a version's adapter learned; choices that it does not have are replaced by others.

    Raises:
        UsageError: the version has no adapter.
        ModelUnavailableError: the adapter's files are missing.
    """
    use_mlflow()
    updates = low_rank.updates_of(name, number)
    names = low_rank.projections(updates)
    chosen = projection if projection in names else names[0]
    spectra = low_rank.spectra(updates, chosen)
    layers = sorted(spectra)
    place = int(layer) if layer.isdecimal() and int(layer) in spectra else layers[len(layers) // 2]
    update = next(one for one in updates if (one.projection, one.layer) == (chosen, place))
    rank = len(update.a)
    most = min(rank, max(1, int(kept))) if kept.isdecimal() else max(1, rank // 4)
    return Learned(
        projections=names,
        layers=layers,
        rank=rank,
        projection=chosen,
        layer=place,
        kept=most,
        spectra=spectra,
        energy=low_rank.energy(spectra[place], most),
        shape=(update.b.shape[0], update.a.shape[1]),
        update=low_rank.subsample(update.full),
        truncated=low_rank.subsample(update.truncated(most)),
    )


@cache
def rounding(weight: str) -> Rounding:
    """Return how NF4 rounds one of the embedded model's weights, by default one in the middle.

    Raises:
        ModelUnavailableError: the embedded model is not installed.
    """
    names = four_bit.weight_names()
    chosen = weight if weight in names else names[len(names) // 2]
    found = four_bit.read_rounding(chosen)
    fractions, edges = four_bit.histogram(found.weights)
    return Rounding(names, chosen, fractions, edges, list(found.levels), found.error, found.equal_error)
