"""Releasing runs: what is copied, and which run gives way to which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from denf.errors import DenfError
from denf.harness import release as releasing
from denf.harness.checkpoint import tensors_sha256
from denf.harness.release import release


def make_run(root: Path, seed: int, *, cuda: str | None, status: str = "finished") -> Path:
    run = root / "runs/scenes/denf" / f"seed-{seed}"
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text(json.dumps({"status": status, "cuda": cuda, "seed": seed}))
    (run / "metrics.json").write_text("{}")
    save_file({"weight": torch.zeros(3)}, run / "model.safetensors")
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


def test_of_a_seed_on_a_cpu_and_one_on_a_gpu_in_one_call_the_latter_is_released(tmp_path):
    runs = [make_run(tmp_path, 0, cuda=None), make_run(tmp_path, 1, cuda="12.8")]
    assert [path.name for path in release(runs, tmp_path / "out")] == ["seed-1"]
    assert released(tmp_path / "out") == {"seed-1": "12.8"}


def test_paths_may_be_relative(tmp_path, monkeypatch):
    run = make_run(tmp_path, 0, cuda=None)
    monkeypatch.chdir(run)
    release([Path("../seed-0")], tmp_path / "out")
    assert released(tmp_path / "out") == {"seed-0": None}


def test_seeds_of_other_settings_are_refused_and_the_same_seed_is_replaced(tmp_path):
    runs = [make_run(tmp_path, seed, cuda=None) for seed in (0, 1)]
    for run, steps in zip(runs, (5, 6), strict=True):
        (run / "experiment.yaml").write_text(f"training: {{steps: {steps}}}")
    release(runs[:1], tmp_path / "out")
    with pytest.raises(DenfError, match=r"seed-1: expected the settings of .*seed-0"):
        release(runs[1:], tmp_path / "out")
    (runs[0] / "experiment.yaml").write_text("training: {steps: 6}")
    release(runs[:1], tmp_path / "out")
    release(runs[1:], tmp_path / "out")
    assert released(tmp_path / "out") == {"seed-0": None, "seed-1": None}


def test_seeds_of_one_call_have_the_same_settings_and_may_all_be_new(tmp_path):
    runs = [make_run(tmp_path, seed, cuda=None) for seed in (0, 1)]
    release(runs, tmp_path / "out")
    (runs[0] / "experiment.yaml").write_text("training: {steps: 7}")
    with pytest.raises(DenfError, match="seeds of one experiment share them"):
        release(runs, tmp_path / "empty")
    assert not (tmp_path / "empty").exists()
    (runs[1] / "experiment.yaml").write_text("training: {steps: 7}")
    release(runs, tmp_path / "out")
    assert "7" in (tmp_path / "out/scenes/denf/seed-1/experiment.yaml").read_text()


def test_a_run_that_is_not_finished_or_not_scored_is_refused(tmp_path):
    release([make_run(tmp_path, 0, cuda=None, status="diverged")], tmp_path / "out")
    with pytest.raises(DenfError, match="status running"):
        release([make_run(tmp_path, 0, cuda=None, status="running")], tmp_path / "out")
    run = make_run(tmp_path, 0, cuda=None)
    (run / "metrics.json").unlink()
    with pytest.raises(DenfError, match="without scores"):
        release([run], tmp_path / "out")


def edit(file: Path, **values: object) -> None:
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**known, **values}))


@pytest.mark.parametrize("name", ["metrics.json", "fid.json"])
@pytest.mark.parametrize("stale", ["weights", "size"])
def test_scores_of_other_weights_or_sizes_are_not_released(tmp_path, name, stale):
    good, run = (make_run(tmp_path, seed, cuda=None) for seed in (0, 1))
    sha256 = tensors_sha256({"weight": torch.zeros(3)})
    edit(run / "run.json", weights_sha256=sha256, data={"size": 64})
    edit(run / name, run_weights_sha256=sha256, data={"size": 64})
    release([run], tmp_path / "first")
    changed = {"run_weights_sha256": "b" * 64} if stale == "weights" else {"data": {"size": 32}}
    edit(run / name, **changed)
    with pytest.raises(DenfError, match=rf"{name}, \w+(\.size)?: expected .*, as in run\.json"):
        release([good, run], tmp_path / "out")
    assert not (tmp_path / "out").exists(), "nothing was released"


def test_weights_of_another_training_are_not_released(tmp_path):
    run = make_run(tmp_path, 0, cuda=None)
    edit(run / "run.json", weights_sha256="b" * 64)
    with pytest.raises(DenfError, match="expected weights of SHA-256 bbb"):
        release([run], tmp_path / "out")


def test_a_run_is_not_released_to_itself_or_over_another(tmp_path, monkeypatch):
    run = make_run(tmp_path, 0, cuda=None)
    monkeypatch.setattr(releasing, "LARGEST", 3)
    with pytest.raises(DenfError, match="got a released one"):
        release([run], tmp_path / "runs")
    assert (run / "model.safetensors").exists()
    other = make_run(tmp_path / "other", 0, cuda=None)
    with pytest.raises(DenfError, match=f"got those of {run}"):
        release([run, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_name_is_refused(tmp_path):
    run = make_run(tmp_path, 0, cuda=None)
    for name in ("denf-traffic", "seed-", "seed-one", "seed-0.partial"):
        other = run.rename(run.with_name(name))
        with pytest.raises(DenfError, match=f"{name}: expected a folder <dataset>/<experiment>/se"):
            release([other], tmp_path / "out")
        run = other
    assert not (tmp_path / "out").exists()


def test_a_run_is_named_by_its_folder_from_inside(tmp_path, monkeypatch):
    monkeypatch.chdir(make_run(tmp_path, 0, cuda=None))
    assert release([Path(".")], tmp_path / "out") == [tmp_path / "out/scenes/denf/seed-0"]
