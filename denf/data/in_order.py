"""Work by threads with results in order: the output is the same for any number of threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import repeat, takewhile
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    make: Callable[[T], R], items: Iterable[T], *, workers: int, waiting: int
) -> Generator[R, None, None]:
    """`map(make, items)` by threads, which help where `make` waits or runs outside Python.

    Args:
        make: called once per item; its exception is raised where its result would have been.
        items: read in the caller's thread, no further than `waiting` allows.
        workers: threads, 1 or more.
        waiting: largest number of results in progress or not yet taken.
    """
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[R]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(make, item))
                if len(pending) >= waiting:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def read_ahead(items: Iterator[T], *, waiting: int) -> Iterator[T]:
    """`items`, made by a separate thread while the caller works on the items before."""
    end: Any = object()
    # one thread: an iterator can be advanced by one call at a time
    results = in_order(lambda _: next(items, end), repeat(None), workers=1, waiting=waiting)
    with closing(results):
        yield from takewhile(lambda item: item is not end, results)
