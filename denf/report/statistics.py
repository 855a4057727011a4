"""Statistics over seeds: mean, standard deviation, t interval, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

LEVEL = 0.95  # probability that an interval covers the mean
FEWEST_FOR_INTERVAL = 3  # for two values the interval is ± 12.7 standard errors


class Verdict(StrEnum):
    """The numerical comparison of a reproduced mean with the reported one."""

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
        interval: t interval of the mean, None for fewer than three seeds.
    """

    mean: float
    std: float | None
    n: int
    interval: tuple[float, float] | None


def summarise(values: Sequence[float]) -> Summary:
    """Mean, sample standard deviation and t interval of the values of seeds.

    Args:
        values: one finite value per seed, at least one.

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
        interval=t_interval(array) if array.size >= FEWEST_FOR_INTERVAL else None,
    )


def t_interval(values: ArrayLike) -> tuple[float, float]:
    """Confidence interval of the mean of normal values with unknown variance (Student 1908).

        mean ± t_{n-1}((1 + LEVEL) / 2) · std / √n

    For few seeds, a percentile bootstrap covers the mean far less often than its level states: for
    3 values, its 95 % interval lies between the smallest and the largest.

    Args:
        values: (n,), n at least 2.

    Returns:
        lower and upper end; both are the mean where all values are equal.
    """
    array = np.asarray(values, dtype=np.float64)
    quantile = stats.t.ppf((1 + LEVEL) / 2, array.size - 1)
    half = float(quantile * array.std(ddof=1) / np.sqrt(array.size))
    return float(array.mean()) - half, float(array.mean()) + half


def judge(difference: float, tolerance: float) -> Verdict:
    """Verdict on the difference of the reproduced from the reported mean, in one unit.

    A difference of exactly the tolerance is a match, even when rounding has made it slightly
    larger: 97.3 - 96.3 exceeds 1.0 in binary.
    """
    if abs(difference) <= tolerance * (1 + 1e-9):
        return Verdict.MATCH
    return Verdict.ABOVE if difference > 0 else Verdict.BELOW
