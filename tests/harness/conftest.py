"""Data and experiments that train in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from denf.data.prepared import Prepared
from denf.harness.checkpoint import build
from denf.harness.experiment import Experiment, load_experiment

SMALL = (
    "settings.architecture={features: 2, couplings: 1}",
    "training.batch_size=4",
    "training.log_every=5",
)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Tensors this small gain nothing from threads, which cost much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def scenes(
    tmp_path_factory: pytest.TempPathFactory, write_scenes: Callable[..., Prepared]
) -> Prepared:
    return write_scenes(tmp_path_factory.mktemp("data") / "train")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Experiment]:
    """An experiment with a small DeNF, or another method; strings are changes as for --set."""

    folder = tmp_path_factory.mktemp("experiments")

    def make(*changes: str, method: str = "denf") -> Experiment:
        path = folder / f"{method}.yaml"
        path.write_text(yaml.safe_dump({"method": method, "dataset": "squares"}))
        own = SMALL if method == "denf" else SMALL[1:]
        return load_experiment(path, changes=(*own, *changes))

    return make


@pytest.fixture
def method(small):
    return lambda name, *changes: build(small(*changes, method=name), seed=0).eval()


@pytest.fixture(scope="session")
def crowd(tmp_path_factory, write_scenes):
    """Enough pixels for random labels to be nothing but random."""
    return write_scenes(tmp_path_factory.mktemp("data") / "crowd", count=40, size=32, objects=4)


@pytest.fixture
def with_empty() -> Callable[[Prepared], Prepared]:
    """The squares' ground alone beside them."""

    def add(data: Prepared) -> Prepared:
        ground = [image[mask == 0][0] for image, mask in zip(data.images, data.masks, strict=True)]
        empty = np.broadcast_to(np.array(ground)[:, None, None], data.images.shape)
        return replace(data, empty=empty)

    return add
