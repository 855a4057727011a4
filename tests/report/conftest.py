"""Small run folders on disk, written as the suite writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
DATA = {
    "name": "clevr6",
    "split": "test",
    "count": 320,
    "size": 128,
    "sha256": "ab" * 32,
    "source": "official",
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
    """Write one run folder; keyword arguments replace what the files say."""

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
        measured_on = {**DATA, "name": dataset, **(data or {})}
        if evaluated:
            scale = {"ari_fg": 1.0, "ari_fg_strict": 0.9, "ari": 0.5}
            metrics: dict[str, Any] = {
                key: None if ari_fg is None else {"mean": ari_fg * by, "std": 0.1, "n": 320}
                for key, by in scale.items()
            }
            metrics |= {"one_object_scenes": 4, "run": str(folder), "data": measured_on}
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
        boxes = np.full((n, 5, 4), np.nan)
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
            singles=np.repeat(image[:, None], 5, axis=1),
            single_count=np.full(n, objects),
        )

    return write
