"""Two Snakemake calls in one checkout: a call does not change the runs of another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

RUN = "results/runs/tiny-clevr6/denf/seed-0"
TARGETS = [f"{RUN}/run.json", f"{RUN}/experiment.yaml", f"{RUN}/history.csv"]


def protocol(name: str, *, steps: int, learning_rate: float) -> str:
    """A protocol; all of them have the same data and therefore the same run folders."""
    scenes = {"id": "tiny-clevr6", "source": "render", "kind": "clevr6", "size": 32}
    training = {"steps": steps, "batch_size": 2, "log_every": 2}
    settings = {"architecture": {"features": 4}, "learning_rate": learning_rate}
    values = {
        "protocol": name,
        "seeds": [0],
        "only": ["denf"],
        "datasets": {"clevr6": {**scenes, "train": 8, "test": 4}},
        "overrides": {"denf": {"settings": settings, "training": training}},
        "fid": {"samples": 4, "extractor": "random-conv-v1"},
    }
    return yaml.safe_dump(values)


@pytest.fixture
def suite(checkout, tmp_path) -> Path:
    (tmp_path / "asked.yaml").write_text(protocol("asked", steps=6, learning_rate=1e-4))
    (tmp_path / "other.yaml").write_text(protocol("other", steps=4, learning_rate=1e-2))
    return checkout(tmp_path)


@pytest.fixture
def call(suite):
    """Start a Snakemake call for the run; calls that still run at the end are killed."""
    started = []

    def start(configfile: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "snakemake", *TARGETS, "--cores", "1", *arguments]
        process = subprocess.Popen(
            [*command, "--configfile", configfile],
            cwd=suite,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240  # a busy machine starts slowly
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_other_calls_do_not_change_a_running_one(suite, call):
    """The others start after the first has read its protocol and before its training starts."""
    first = call("asked.yaml")
    wait_for(suite / "results/logs/data/tiny-clevr6-train.log", first)
    os.kill(first.pid, signal.SIGSTOP)  # no new job starts meanwhile; the running job continues
    try:
        again = "--rerun-incomplete"  # unfinished outputs of the first call count as incomplete
        planning, second = call("other.yaml", "--dry-run", again), call("other.yaml", again)
        planned, refused = planning.communicate()[0], second.communicate()[0]
        assert not (suite / RUN).exists()
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert planning.returncode == 0, planned
    assert "train" in planned
    assert second.returncode != 0
    assert "LockException" in refused
    output = first.communicate()[0]
    assert first.returncode == 0, output

    record = json.loads((suite / RUN / "run.json").read_text())
    experiment = yaml.safe_load((suite / RUN / "experiment.yaml").read_text())
    assert (record["status"], record["steps"]) == ("finished", 6)
    assert experiment["protocol"] == "asked"
    assert experiment["settings"]["learning_rate"] == 1e-4
    assert len((suite / RUN / "history.csv").read_text().splitlines()) == 1 + 3
    assert "Nothing to be done" in call("asked.yaml", "--dry-run").communicate()[0]
