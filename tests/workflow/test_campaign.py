"""The campaign, executed at tiny size: order of runs, too little time, releases."""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

PROTOCOL = {
    "protocol": "tiny",
    "seeds": [0],
    "only": ["control-tiles", "denf"],
    "datasets": {
        "clevr6": {
            **{"id": "tiny", "source": "render", "kind": "clevr6"},
            **{"size": 16, "train": 8, "test": 4},
        }
    },
    "overrides": {
        "denf": {
            "seeds": [0, 1],
            "settings": {"architecture": {"features": 4}},
            "training": {"steps": 3, "batch_size": 2},
        }
    },
    "fid": {"samples": 8, "extractor": "random-conv-v1"},
}


@pytest.fixture
def folder(checkout, tmp_path) -> Path:
    checkout(tmp_path)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(PROTOCOL))
    return tmp_path


def saved(states: Path) -> set[str]:
    """Names of the runs with a saved state."""
    return {path.parents[1].name for path in states.glob("seed-*/*/*.pt")}


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "workflow/scripts/campaign.py", "--configfile", "tiny.yaml"]
    return subprocess.Popen(
        [*command, "--cores", "2", "--share", "2", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_stopped_campaign_saves_states_and_the_next_one_finishes_and_releases(folder):
    often = {"log_every": 1, "save_minutes": 0}
    long = {"training": {"steps": 1_000_000, "batch_size": 2, **often}}
    values = {**PROTOCOL, "overrides": {"denf": {**PROTOCOL["overrides"]["denf"], **long}}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**values, "only": ["denf"]}))
    process = start(folder, "--minutes", "60")
    states = folder / "results/runs/tiny/denf/.state"
    deadline = time.monotonic() + 300
    while len(saved(states)) < 2 and time.monotonic() < deadline:
        time.sleep(0.5)
    process.terminate()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 143, output
    assert saved(states) == {"seed-0", "seed-1"}
    for lock in states.glob("*.lock"):  # the trainings have ended too
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not [path for path in folder.glob("results/runs/tiny/denf/*/model.safetensors")]

    (folder / "tiny.yaml").write_text(yaml.safe_dump(PROTOCOL))
    process = start(folder, "--minutes", "10")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    begun = [line for line in output.splitlines() if line.startswith("campaign:")]
    assert begun == [
        "campaign: results/runs/tiny/control-tiles/seed-0 results/runs/tiny/denf/seed-0",
        "campaign: results/runs/tiny/denf/seed-1",
    ]
    fewer = ["--config", "seeds=[0]", "overrides={denf: {seeds: [0]}}"]
    process = start(folder, "--minutes", "10", "--release", "released", *fewer)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert not (folder / "released/tiny/denf/seed-1").exists()
    process = start(folder, "--minutes", "10", "--release", "released")
    output, _ = process.communicate(timeout=600)
    assert output.splitlines() == ["released/tiny/denf/seed-1"], "only what was missing"
    for run in ("control-tiles/seed-0", "denf/seed-0", "denf/seed-1"):
        record = json.loads((folder / "released/tiny" / run / "run.json").read_text())
        assert record["status"] == "finished"
        assert (folder / "released/tiny" / run / "panels.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--share", "0"], "argument --share: expected a whole number of 1 or more, got '0'"),
        (["--share=-1"], "argument --share: expected a whole number of 1 or more, got '-1'"),
        (["--cores", "two"], "argument --cores: expected a whole number of 1 or more, got 'two'"),
        (
            ["--configfile", "none.yaml"],
            "none.yaml: expected readable YAML, got .*No such fi",
        ),
        (["--configfile", "."], r"campaign: \.: expected readable YAML, got .*directory"),
        (
            ["--configfile", "broken.yaml"],
            "broken.yaml: expected readable YAML, got .*line 1",
        ),
        (["--configfile", "list.yaml"], "list.yaml: expected a mapping of keys, got list"),
        (["--config", "seeds=["], "campaign: --config seeds: expected readable YAML, got "),
        (["--config", "seeds=3"], "expected seeds: a list"),
    ],
)
def test_a_mistake_is_one_line(folder, arguments, message):
    (folder / "broken.yaml").write_text("a: [")
    (folder / "list.yaml").write_text("[1, 2]")
    output, _ = (process := start(folder, "--minutes", "1", *arguments)).communicate(timeout=120)
    assert process.returncode in (1, 2)
    assert re.search(message, output.splitlines()[-1]), output
    assert "Traceback" not in output


def test_without_time_all_runs_are_reported_as_not_finished(folder):
    process = start(folder, "--minutes", "0")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "campaign: not finished: results/runs/tiny/denf/seed-1" in output.splitlines()
