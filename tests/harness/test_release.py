"""Releasing runs: what is copied, and which run gives way to which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from denf.errors import DenfError
from denf.harness import release as releasing
from denf.harness.release import release


def make_run(root: Path, seed: int, *, cuda: str | None, status: str = "finished") -> Path:
    run = root / "runs/scenes/denf" / f"seed-{seed}"
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text(json.dumps({"status": status, "cuda": cuda, "seed": seed}))
    (run / "metrics.json").write_text("{}")
    (run / "model.safetensors").write_bytes(b"weights")
    (run / "train.log").write_text("not released")
    return run


def released(out: Path) -> dict[str, str | None]:
    files = sorted(out.glob("scenes/denf/*/run.json"))
    return {file.parent.name: json.loads(file.read_text())["cuda"] for file in files}


def test_a_finished_run_is_copied_without_logs_and_large_files(tmp_path, monkeypatch):
    run = make_run(tmp_path, 0, cuda=None)
    (target,) = release([run], tmp_path / "out")
    names = {"run.json", "metrics.json", "model.safetensors"}
    assert {path.name for path in target.iterdir()} == names
    monkeypatch.setattr(releasing, "LARGEST", 3)
    release([run], tmp_path / "out")
    assert "model.safetensors" not in {path.name for path in target.iterdir()}


def test_a_run_on_a_gpu_replaces_those_on_a_cpu_and_stays(tmp_path):
    out = tmp_path / "out"
    release([make_run(tmp_path, seed, cuda=None) for seed in (0, 1)], out)
    assert released(out) == {"seed-0": None, "seed-1": None}
    release([make_run(tmp_path, 0, cuda="12.8")], out)
    assert released(out) == {"seed-0": "12.8"}
    assert release([make_run(tmp_path, 1, cuda=None)], out) == []
    assert released(out) == {"seed-0": "12.8"}


def test_a_run_that_is_not_finished_or_not_scored_is_refused(tmp_path):
    with pytest.raises(DenfError, match="status diverged"):
        release([make_run(tmp_path, 0, cuda=None, status="diverged")], tmp_path / "out")
    run = make_run(tmp_path, 0, cuda=None)
    (run / "metrics.json").unlink()
    with pytest.raises(DenfError, match="without scores"):
        release([run], tmp_path / "out")
