"""Small run folders on disk, in the format of the suite."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
DATA = {
    "name": "clevr6",
    "split": "test",
    "count": 320,
    "size": 128,
    "sha256": "ab" * 32,
    "source": "https://storage.googleapis.com/multi-object-datasets/"
    "clevr_with_masks/clevr_with_masks_train.tfrecords",
}


@pytest.fixture
def literature() -> Path:
    return REPOSITORY / "baselines" / "literature.yaml"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def write_run(runs: Path) -> Callable[..., Path]:
    """Write one run folder; keyword arguments replace entries of its files."""

    def write(
        name: str,
        seed: int,
        *,
        ari_fg: float | None = None,
        fid: float | None = None,
        dataset: str = "clevr6",
        status: str = "finished",
        evaluated: bool = True,
        data: dict[str, Any] | None = None,
        fid_facts: dict[str, Any] | None = None,
        notes: list[str] | None = None,
        scores: dict[str, Any] | None = None,
        **experiment: Any,
    ) -> Path:
        folder = runs / dataset / name / f"seed-{seed}"
        folder.mkdir(parents=True)
        resolved = {
            "name": name,
            "label": name.upper(),
            "framework": "NF",
            "group": "method",
            "method": name,
            "dataset": dataset,
            "protocol": "paper",
            "tables": [1],
            "seeds": [0, 1, 2],
            "settings": {"features": 64},
            "training": {"epochs": 20},
            **experiment,
        }
        (folder / "experiment.yaml").write_text(yaml.safe_dump(resolved))
        record = {
            "status": status,
            "notes": notes or [],
            "seed": seed,
            "command": f"denf train {name}.yaml --seed {seed}",
            "commit": "c0ffee",
            "dirty": False,
            "device": "CPU",
        }
        (folder / "run.json").write_text(json.dumps(record))
        name_of_data = {"traffic": "real-traffic"}.get(dataset, dataset)
        measured_on = {**DATA, "name": name_of_data, **(data or {})}
        if evaluated:
            scale = {"ari_fg": 1.0, "ari_fg_strict": 0.9, "ari": 0.5}
            metrics: dict[str, Any] = {
                key: None if ari_fg is None else {"mean": ari_fg * by, "std": 0.1, "n": 320}
                for key, by in scale.items()
            }
            metrics |= {"one_object_scenes": 4, "run": str(folder), "data": measured_on}
            metrics |= scores or {}
            (folder / "metrics.json").write_text(json.dumps(metrics))
        if fid is not None:
            facts = {
                "fid": fid,
                "extractor": "inception-v3-compat",
                "samples": 10000,
                "reference": 3690,
                "mode": "objects-subset",
                "data": measured_on,
                **(fid_facts or {}),
            }
            (folder / "fid.json").write_text(json.dumps(facts))
        return folder

    return write


@pytest.fixture
def write_panels() -> Callable[..., None]:
    """Write a `panels.npz` with rectangles as objects, `objects` of them in each of n scenes."""

    def write(folder: Path, *, n: int = 3, size: int = 32, objects: int = 2) -> None:
        rng = np.random.default_rng(0)
        image = rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
        labels = np.zeros((n, size, size), dtype=np.int64)
        most = max(objects, 5)
        boxes = np.full((n, most, 4), np.nan)
        for k in range(objects):
            x = 2 + 8 * k
            labels[:, 4 : 10 + k, x : x + 6] = k + 1
            boxes[:, objects - 1 - k] = x, 4, x + 6, 10 + k  # in another order than the labels
        cells = size // 2
        np.savez(
            folder / "panels.npz",
            image=image,
            labels=labels,
            object_labels=labels,
            presence=(labels > 0)[:, ::2, ::2].astype(np.float32),
            scale=rng.normal(0.2, 0.1, (n, cells, cells, 2)).astype(np.float32),
            loc=rng.normal(0, 1, (n, cells, cells, 2)).astype(np.float32),
            background=image[::-1],
            boxes=boxes,
            singles=rng.integers(0, 256, (n, most, size, size, 3), dtype=np.uint8),
            single_count=np.full(n, objects),
        )

    return write


@pytest.fixture
def drawn(runs: Path, write_run: Callable[..., Path], write_panels: Callable[..., None]) -> Path:
    """DeNF on both data sets with images, histories and scores."""
    rng = np.random.default_rng(0)
    for name, dataset, count in (("denf", "clevr6", 3), ("denf-traffic", "traffic", 2)):
        for seed in (0, 1):
            folder = write_run(name, seed, ari_fg=0.9, dataset=dataset, seeds=[0, 1])
            frame = pd.DataFrame(
                {
                    "step": np.arange(30),
                    "presence_fraction": rng.uniform(0, 1, 30),
                    "foreground_forward": rng.normal(0, 1, 30),
                    "loss": rng.normal(0, 1, 30),
                }
            )
            frame.to_csv(folder / "history.csv", index=False)
            values = rng.uniform(0, 1, 20)
            values = 0.9 + (values - values.mean()) / 10  # with the mean in metrics.json
            scores = pd.DataFrame(
                {
                    "scene": range(20),
                    "ari_fg": values,
                    "ari_fg_strict": 0.9 * values,
                    "ari": 0.5 * values,
                }
            )
            scores.to_csv(folder / "scores.csv", index=False)
        write_panels(runs / dataset / name / "seed-0", n=count)
    return runs
