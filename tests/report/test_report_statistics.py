"""Statistics over seeds against plain loops and known values."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from denf.report.statistics import Verdict, judge, summarise, t_interval

VALUES = st.lists(st.floats(-100, 100), min_size=1, max_size=12)


@pytest.mark.parametrize("values", [[0.91, 0.87, 0.95], [96.1, 96.5, 96.3, 95.2, 97.0]])
def test_the_t_interval_equals_that_of_scipy(values):
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert t_interval(values) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_the_t_interval_covers_the_mean_at_its_level():
    rng = np.random.default_rng(3)
    ends = np.array([t_interval(values) for values in rng.normal(10, 2, (4000, 3))])
    covered = (ends[:, 0] <= 10) & (ends[:, 1] >= 10)
    assert covered.mean() == pytest.approx(0.95, abs=0.015)  # 4 standard errors


def test_equal_values_have_an_interval_of_no_width():
    assert t_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


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
        assert low <= summary.mean <= high


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_summary_refuses_values_without_a_mean(values):
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
