"""Real trainings into one run folder: others are refused, the first loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from denf.harness.experiment import load_experiment
from denf.harness.train import train

# The commands, which wait for one second for the lock and not for half a minute.
COMMAND = (
    "from denf.harness import train; train.LOCK_SECONDS = 1; from denf.cli import main; main()"
)
EXPERIMENT = (
    "{method: denf, dataset: squares, settings: {architecture: {features: 2, couplings: 1}},"
    " training: {steps: 24, batch_size: 4, log_every: 2, save_minutes: 0}}"
)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.fixture
def start(scenes, tmp_path):
    """Start `denf train` into the folder `run`; what is still running at the end is killed."""
    path = tmp_path / "tiny.yaml"
    path.write_text(EXPERIMENT)
    started = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        options = [path, "--data", scenes.folder, "--out", tmp_path / "runs/run", *arguments]
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "train", *map(str, options)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_others_are_refused_and_the_first_loses_nothing(start, scenes, tmp_path):
    runs = tmp_path / "runs"
    first = start()
    deadline = time.monotonic() + 240  # a busy machine imports slowly
    while not list(runs.glob(".state/run/*/*.pt")):
        assert first.poll() is None, first.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGSTOP)  # it holds the folder, and has not finished
    try:
        before = contents(runs)
        others = [start(), start("--resume")]  # the first of them would drop all states
        messages = [other.communicate()[1] for other in others]
        assert contents(runs) == before
    finally:
        os.kill(first.pid, signal.SIGCONT)
    for other, message in zip(others, messages, strict=True):
        assert f"run folder {runs / 'run'}" in message
        assert f"process {first.pid} on" in message
        assert "Traceback" not in message
        assert other.returncode == 2
    output = first.communicate()[1]
    assert first.returncode == 0, output

    train(load_experiment(tmp_path / "tiny.yaml"), scenes, tmp_path / "whole", seed=0)
    for name in ("model.safetensors", "history.csv", "experiment.yaml"):
        assert (runs / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
