"""What quantisation does to real weights: 4-bit NormalFloat (NF4) beside 16 equidistant levels.

Each block of 64 weights is divided by its largest magnitude and rounded to the nearest of 16 levels. NF4's
levels are quantiles of a normal distribution (QLoRA, arXiv 2305.14314, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

BLOCK = 64
LEVELS = 16
BINS = 81
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class Rounding:
    """Weights divided by the largest magnitude of their block, the levels, and the rounding error.

    `error` is the root mean square of the rounding error over that of the weights, `equal_error` the same
    for equidistant levels.
    """

    name: str
    weights: Values
    levels: Values
    error: float
    equal_error: float


@cache
def nf4_levels() -> Values:
    """Return the 16 levels that bitsandbytes uses."""
    from bitsandbytes.functional import get_4bit_type

    return np.sort(get_4bit_type("nf4", device="cpu").double().numpy())


def normalised(weights: Values) -> Values:
    """Divide weights [n] by the largest magnitude of their block; an incomplete last block is dropped."""
    blocks = weights[: len(weights) // BLOCK * BLOCK].reshape(-1, BLOCK)
    return np.asarray((blocks / np.maximum(np.abs(blocks).max(axis=1, keepdims=True), 1e-12)).ravel())


def rounded(values: Values, levels: Values) -> Values:
    """Return the nearest level to each value."""
    middles = (levels[1:] + levels[:-1]) / 2
    return np.asarray(levels[np.searchsorted(middles, values)])


def relative_error(values: Values, levels: Values) -> float:
    """Return the root mean square of the rounding error over that of the values."""
    return float(np.sqrt(np.mean((rounded(values, levels) - values) ** 2) / np.mean(values**2)))


def rounding_of(name: str, weights: Values) -> Rounding:
    """Round weights [n] to both kinds of levels."""
    values = normalised(weights)
    levels, equal = nf4_levels(), np.linspace(-1, 1, LEVELS)
    return Rounding(name, values, levels, relative_error(values, levels), relative_error(values, equal))


def histogram(values: Values) -> tuple[list[float], list[float]]:
    """Return the fractions and edges of the values' histogram from -1 to 1."""
    counts, edges = np.histogram(values, bins=BINS, range=(-1, 1))
    return list(counts / max(1, len(values))), list(map(float, edges))


@cache
def weight_names() -> tuple[str, ...]:
    """Return the names of the embedded model's quantised weights."""
    from safetensors import safe_open

    with safe_open(_weights_file(), framework="pt") as file:
        return tuple(name for name in file.keys() if "_proj." in name)  # noqa: SIM118 - not a mapping


def read_rounding(name: str) -> Rounding:
    """Round one of the embedded model's weights.

    Raises:
        ModelUnavailableError: the embedded model is not installed.
    """
    from safetensors import safe_open

    with safe_open(_weights_file(), framework="pt") as file:
        return rounding_of(name, file.get_tensor(name).double().flatten().numpy())


def _weights_file() -> Path:
    from review_sentiment.models.embedded_model import model_directory

    return model_directory() / WEIGHTS_FILE
