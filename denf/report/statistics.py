"""Statistics over seeds: mean, standard deviation, bootstrap interval, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 10_000
LEVEL = 0.95
FEWEST_FOR_INTERVAL = 3  # resampling one or two values says nothing about their spread


class Verdict(StrEnum):
    """How a reproduced mean compares with the reported one, numerically."""

    MATCH = "match"
    ABOVE = "above"
    BELOW = "below"
    NOT_RUN = "not run"
    NONE = "—"


@dataclass(frozen=True)
class Summary:
    """Statistics over seeds.

    Args:
        mean: arithmetic mean.
        std: sample standard deviation (n - 1), None for a single seed.
        n: number of seeds.
        interval: bootstrap interval of the mean, None for fewer than three seeds.
    """

    mean: float
    std: float | None
    n: int
    interval: tuple[float, float] | None


def summarise(values: Sequence[float], *, seed: int = 0) -> Summary:
    """Mean, sample standard deviation and bootstrap interval of the values of seeds.

    Args:
        values: one finite value a seed, at least one.
        seed: of the resampling, so that a table is the same each time it is made.

    Raises:
        ValueError: without a value, or with one that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"values: expected one or more finite numbers, got {list(values)}")
    return Summary(
        mean=float(array.mean()),
        std=float(array.std(ddof=1)) if array.size > 1 else None,
        n=array.size,
        interval=bootstrap_interval(array, seed=seed)
        if array.size >= FEWEST_FOR_INTERVAL
        else None,
    )


def bootstrap_interval(
    values: ArrayLike, *, seed: int, resamples: int = RESAMPLES, level: float = LEVEL
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean (Efron 1979).

    Args:
        values: (n,), n at least 1.
        seed: of `numpy.random.default_rng`.
        resamples: number of samples of size n drawn with replacement.
        level: probability that the interval holds, in (0, 1).

    Returns:
        The quantiles (1 - level) / 2 and (1 + level) / 2 of the resampled means.
    """
    array = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, array.size, (resamples, array.size))
    means = array[draws].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def judge(difference: float, tolerance: float) -> Verdict:
    """Verdict on reproduced minus reported, in one unit.

    A difference of exactly the tolerance is a match, also when rounding has made it a little
    larger: 97.3 - 96.3 exceeds 1.0 in binary.
    """
    if abs(difference) <= tolerance * (1 + 1e-9):
        return Verdict.MATCH
    return Verdict.ABOVE if difference > 0 else Verdict.BELOW
