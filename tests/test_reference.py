"""The released runs: complete, small, of known origin, and able to decompose a picture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from denf.data.prepared import open_prepared
from denf.data.scenes.render import render
from denf.harness.checkpoint import load_run

ROOT = Path(__file__).parents[1]
RUNS = sorted(path.parent for path in ROOT.glob("results/reference/*/model.safetensors"))
KINDS = {"denf-clevr6": "clevr6", "denf-plus-clevr6": "clevr6", "denf-traffic": "traffic"}


@pytest.fixture(params=RUNS, ids=lambda run: run.name)
def run(request) -> Path:
    return request.param


def test_there_are_released_runs():
    assert RUNS


def test_a_run_is_complete_small_and_from_a_clean_commit(run):
    names = {path.name for path in run.iterdir()}
    wanted = {"model.safetensors", "experiment.yaml", "run.json", "history.csv", "metrics.json"}
    assert wanted <= names
    assert sum(path.stat().st_size for path in run.iterdir()) < 16 * 2**20
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["dirty"]) == ("finished", False)
    assert len(record["data"]["sha256"]) == 64


def test_weights_fit_their_settings(run):
    method, experiment = load_run(run)
    record = json.loads((run / "run.json").read_text())
    assert method.trained_size == record["data"]["size"]
    assert sum(p.numel() for p in method.parameters()) == record["parameters"]
    assert experiment.method == "denf"


def test_decompose_finds_objects_in_a_scene_of_its_kind(run, tmp_path):
    size = load_run(run)[0].trained_size
    render(KINDS[run.name], count=1, size=size, seed=3, out=tmp_path / "scene")
    Image.fromarray(open_prepared(tmp_path / "scene").images[0]).save(tmp_path / "scene.png")
    command = [sys.executable, "-c", "from denf.cli import main; main()", "decompose", str(run)]
    done = subprocess.run(
        [*command, str(tmp_path / "scene.png"), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert 1 <= len(found["objects"]) <= 12
    assert {p.name for p in (tmp_path / "out/scene").iterdir()} >= {"labels.png", "object-1.png"}
