"""What an adapter has learned: the singular values of its updates, layer by layer.

An update is D = scale B A with B [out, r] and A [r, in]. With B = Q_B R_B and A' = Q_A R_A, its singular
values are those of the r x r matrix scale R_B R_A', so the full product is not needed.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

ADAPTER_FILE, ADAPTER_SETTINGS = "adapter_model.safetensors", "adapter_config.json"
_NAME = re.compile(r"layers\.(?P<layer>\d+)\.(?:\w+)\.(?P<projection>\w+)\.lora_(?P<part>[AB])\.weight$")
MAX_CELLS = 96
"""Rows and columns of a picture of an update; more could not be distinguished."""
VERSIONS_KEPT = 4


@dataclass(frozen=True)
class Update:
    """The update of one layer's projection: B [out, r], A [r, in], and the scale of their product."""

    layer: int
    projection: str
    b: Matrix
    a: Matrix
    scale: float

    @property
    def full(self) -> Matrix:
        """Return the update [out, in]."""
        return self.scale * self.b @ self.a

    def singular_values(self) -> Matrix:
        """Return the r singular values, largest first."""
        return self._svd()[1]

    def truncated(self, rank: int) -> Matrix:
        """Return the nearest matrix of this rank [out, in] (C. Eckart, G. Young, 1936)."""
        u, s, v = self._svd()
        return np.asarray((u[:, :rank] * s[:rank]) @ v[:rank])

    def _svd(self) -> tuple[Matrix, Matrix, Matrix]:
        """Return U [out, r], the singular values [r] and V' [r, in]."""
        q_b, r_b = np.linalg.qr(self.b)
        q_a, r_a = np.linalg.qr(self.a.T)
        u, s, v = np.linalg.svd(self.scale * r_b @ r_a.T)
        return q_b @ u, s, v @ q_a.T


def read_updates(directory: Path) -> list[Update]:
    """Read an adapter that PEFT saved; the scale is rsLoRA's if the adapter uses it."""
    from safetensors.torch import load_file

    settings = json.loads((directory / ADAPTER_SETTINGS).read_text(encoding="utf-8"))
    rank, alpha = settings["r"], settings["lora_alpha"]
    scale = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    halves: dict[tuple[int, str], dict[str, Matrix]] = {}
    for name, tensor in load_file(directory / ADAPTER_FILE).items():
        if found := _NAME.search(name):
            place = halves.setdefault((int(found["layer"]), found["projection"]), {})
            place[found["part"]] = tensor.double().numpy()
    return [Update(*place, parts["B"], parts["A"], scale) for place, parts in sorted(halves.items())]


def projections(updates: Sequence[Update]) -> list[str]:
    """Return the names of the adapted projections."""
    return list(dict.fromkeys(update.projection for update in updates))


def spectra(updates: Sequence[Update], projection: str) -> dict[int, Matrix]:
    """Return the singular values of a projection by layer."""
    return {update.layer: update.singular_values() for update in updates if update.projection == projection}


def energy(singular_values: Matrix, rank: int) -> float:
    """Return the fraction (0-1) of the squared update that its `rank` largest singular values hold."""
    squares = singular_values**2
    return float(squares[:rank].sum() / max(squares.sum(), np.finfo(float).tiny))


def subsample(matrix: Matrix) -> Matrix:
    """Return every n-th row and column, at most `MAX_CELLS` of each."""
    rows, columns = (max(1, -(-size // MAX_CELLS)) for size in matrix.shape)
    return matrix[::rows, ::columns]


@lru_cache(maxsize=VERSIONS_KEPT)
def updates_of(name: str, number: str) -> list[Update]:
    """Return the updates of a registered version; the last few versions stay in memory.

    Raises:
        UsageError: the version has no adapter.
        ModelUnavailableError: the adapter's files are missing.
    """
    from review_sentiment.tracking import downloads, model_versions

    version = model_versions.get_version(name, number)
    with tempfile.TemporaryDirectory(prefix="review-sentiment-updates-") as scratch:
        return read_updates(downloads.download_adapter(version, Path(scratch))[1])
