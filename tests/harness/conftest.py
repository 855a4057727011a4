"""Data and experiments that train in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from denf.data.prepared import Prepared
from denf.harness.experiment import Experiment, load_experiment

SMALL = (
    "settings.architecture={features: 2, couplings: 1}",
    "training.batch_size=4",
    "training.log_every=5",
)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory, write_scenes: Callable[..., Prepared]) -> Prepared:
    return write_scenes(tmp_path_factory.mktemp("data") / "train")


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Experiment]:
    """An experiment with a small DeNF, or another method; strings are changes as for --set."""

    def make(*changes: str, method: str = "denf") -> Experiment:
        path = tmp_path / f"{method}.yaml"
        path.write_text(yaml.safe_dump({"method": method, "dataset": "squares"}))
        own = SMALL if method == "denf" else SMALL[1:]
        return load_experiment(path, changes=(*own, *changes))

    return make
