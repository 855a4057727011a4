"""Statistics over seeds against plain loops and known values."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denf.report.statistics import Verdict, bootstrap_interval, judge, summarise

VALUES = st.lists(st.floats(-100, 100), min_size=1, max_size=12)


@pytest.mark.parametrize("seed", [0, 1])
def test_bootstrap_equals_a_plain_loop(seed):
    values = [0.91, 0.87, 0.95, 0.62, 0.9]
    draws = np.random.default_rng(seed).integers(0, 5, (500, 5))
    means = []
    for draw in draws:
        total = 0.0
        for index in draw:
            total += values[index]
        means.append(total / 5)
    means.sort()

    def quantile(q):
        place = q * (len(means) - 1)
        low = math.floor(place)
        return means[low] + (place - low) * (means[min(low + 1, len(means) - 1)] - means[low])

    low, high = bootstrap_interval(values, seed=seed, resamples=500)
    assert low == pytest.approx(quantile(0.025), abs=1e-12)
    assert high == pytest.approx(quantile(0.975), abs=1e-12)


def test_bootstrap_nears_the_normal_interval_of_many_values():
    values = np.random.default_rng(3).normal(10, 2, 400)
    low, high = bootstrap_interval(values, seed=0)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.02)
    assert high == pytest.approx(values.mean() + half, abs=0.02)


@settings(max_examples=30, deadline=None)
@given(VALUES)
def test_summary_agrees_with_the_standard_library(values):
    summary = summarise(values)
    assert summary.n == len(values)
    assert summary.mean == pytest.approx(statistics.fmean(values), abs=1e-9)
    if len(values) == 1:
        assert summary.std is None
    else:
        assert summary.std == pytest.approx(statistics.stdev(values), abs=1e-6)
    if len(values) < 3:
        assert summary.interval is None
    else:
        low, high = summary.interval
        assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_summary_refuses_what_has_no_mean(values):
    with pytest.raises(ValueError, match="expected one or more finite numbers"):
        summarise(values)


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        (0.0, Verdict.MATCH),
        (97.3 - 96.3, Verdict.MATCH),
        (-1.0, Verdict.MATCH),
        (1.01, Verdict.ABOVE),
        (-1.01, Verdict.BELOW),
    ],
)
def test_verdicts_at_the_tolerance(difference, verdict):
    assert judge(difference, 1.0) is verdict
