"""Choosing some of many: all where there are no more, else from the first to the last."""

from __future__ import annotations

import numpy as np
import pytest

from denf.evenly import evenly_spread, some_of


@pytest.mark.parametrize("total", [1, 2, 7, 200])
def test_all_are_chosen_in_order_where_there_are_no_more(total):
    for count in (total, total + 1, 10 * total):
        np.testing.assert_array_equal(evenly_spread(count, total), np.arange(total))
    images = np.arange(total)
    assert some_of(images, total) is images


def test_few_lie_at_even_distances_from_the_first_to_the_last():
    np.testing.assert_array_equal(evenly_spread(5, 401), [0, 100, 200, 300, 400])
    np.testing.assert_array_equal(some_of(np.arange(10, 20), 2), [10, 19])
    assert evenly_spread(1, 9).tolist() == [0]
    for count in range(2, 60):
        steps = np.diff(evenly_spread(count, 60))
        assert steps.min() >= 1
        assert steps.max() - steps.min() <= 1
