"""Small scenes with known masks, for the tests of every package."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest

from denf.data.prepared import Prepared, open_prepared
from denf.data.prepared_writer import PreparedWriter

# Triton reads this variable when it is first imported, which torch may do before the kernel tests.
if not list(Path("/dev").glob("nvidia[0-9]*")):
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(scope="session")
def write_scenes() -> Callable[..., Prepared]:
    """Write a prepared folder of coloured squares on grey, with `objects` squares per scene."""

    def write(
        folder: Path, *, count: int = 12, size: int = 16, objects: int = 2, seed: int = 0
    ) -> Prepared:
        rng = np.random.default_rng(seed)
        images = np.empty((count, size, size, 3), np.uint8)
        images[:] = rng.integers(90, 130, (count, 1, 1, 1))
        masks = np.zeros((count, size, size), np.uint8)
        side = size // 3
        for k in range(count):
            for label in range(1, objects + 1):
                y, x = rng.integers(0, size - side, 2)
                images[k, y : y + side, x : x + side] = rng.integers(0, 256, 3)
                masks[k, y : y + side, x : x + side] = label
        info = {"name": "squares", "source": "tests", "licence": "none", "split": "train"}
        with PreparedWriter(folder, size=size, masks=True, info=info) as writer:
            writer.append(images, masks)
        return open_prepared(folder)

    return write


@contextmanager
def _full_disk(bytes_left: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """Limit the size of files that this process writes; larger writes fail as on a full disk."""
    return _full_disk
