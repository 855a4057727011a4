"""Work by threads: order, bounds, errors in their place, and no thread left behind."""

from __future__ import annotations

import threading
import time

import pytest

from denf.data.in_order import in_order, read_ahead


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_whatever_takes_longest(workers):
    def make(k: int) -> int:
        time.sleep(0.002 * (k % 3))
        return k * k

    found = list(in_order(make, range(20), workers=workers, waiting=4))
    assert found == [k * k for k in range(20)]


def test_items_are_taken_no_further_than_allowed():
    taken = []

    def items():
        for k in range(100):
            taken.append(k)
            yield k

    results = in_order(lambda k: k, items(), workers=2, waiting=5)
    assert next(results) == 0
    assert taken == [0, 1, 2, 3, 4]
    results.close()


def test_an_error_appears_where_its_result_would_have_been():
    def make(k: int) -> float:
        return 1 / (k - 3)

    results = in_order(make, range(10), workers=2, waiting=4)
    assert [next(results) for _ in range(3)] == [1 / -3, 1 / -2, 1 / -1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_reading_ahead_gives_all_items_and_then_the_error():
    def items():
        yield from range(5)
        raise KeyError("gone")

    ahead = read_ahead(items(), waiting=3)
    assert [next(ahead) for _ in range(5)] == list(range(5))
    with pytest.raises(KeyError):
        next(ahead)
    assert list(read_ahead(iter(range(7)), waiting=3)) == list(range(7))


def test_no_thread_is_left_when_the_caller_stops_early():
    before = threading.active_count()
    ahead = read_ahead(iter(range(1000)), waiting=3)
    next(ahead)
    ahead.close()
    assert threading.active_count() == before
