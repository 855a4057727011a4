"""Clusters: requests of jobs, and a small protocol on a real SLURM cluster of one node."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
ROWS = 'only=["denf", "denf-colours", "control-tiles", "control-real-images"]'
HAS_PLUGIN = importlib.util.find_spec("snakemake_executor_plugin_slurm") is not None
HAS_SLURM = all(map(shutil.which, ("slurmctld", "slurmd", "munged")))

pytestmark = pytest.mark.skipif(not HAS_PLUGIN, reason="needs uv sync --group slurm")


def run(*command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def asked_for(
    *arguments: str, protocol: str = "config/ci.yaml"
) -> dict[tuple[str, str], dict[str, str]]:
    """Threads and resources of the jobs of a dry run, by rule and experiment."""
    profile = ("--profile", "workflow/profiles/slurm", "--configfile", protocol)
    plan = run(sys.executable, "-m", "snakemake", "--dry-run", "--forceall", *profile, *arguments)
    found = {}
    for job in re.split(r"^ *(?=rule |localrule |group job )", plan, flags=re.MULTILINE):
        name = re.match(r"rule (\w+):", job)
        row = re.search(r"experiment=([\w-]+)", job)
        if name and row:
            resources = re.search(r"resources: (.*)", job)[1]
            threads = re.search(r"threads: (\d+)", job)
            values = dict(part.split("=", 1) for part in resources.split(", "))
            found[name[1], row[1]] = {**values, "threads": threads[1] if threads else "1"}
    return found


def test_only_jobs_that_run_a_network_request_a_gpu():
    jobs = asked_for("--config", ROWS)
    cards = {job: int(resources["gpu"]) for job, resources in jobs.items()}
    assert cards == {
        ("train", "denf"): 1,
        ("evaluate", "denf"): 1,
        ("train", "denf-colours"): 0,  # uses the weights of `denf`
        ("evaluate", "denf-colours"): 1,
        ("train", "control-tiles"): 0,
        ("evaluate", "control-tiles"): 0,
        ("train", "control-real-images"): 0,
        ("evaluate", "control-real-images"): 0,
        ("fid", "control-real-images"): 0,
    }
    assert jobs["train", "denf"]["runtime"] == "16"  # 15 minutes and 20 steps of a second


@pytest.mark.parametrize("without", [("--resources", "gpu=0"), ("--config", ROWS, "cards=False")])
def test_no_gpu_is_requested_from_a_cluster_without_gpus(without):
    arguments = without if "--config" in without else ("--config", ROWS, *without)
    assert not any(int(resources["gpu"]) for resources in asked_for(*arguments).values())


def test_threads_may_exceed_the_cores_of_the_submitting_machine():
    many = str(4 * (os.cpu_count() or 1))
    jobs = asked_for("--config", ROWS, "--set-threads", f"train={many}")
    assert jobs["train", "denf"]["threads"] == many


@pytest.mark.parametrize(("step", "minutes"), [(100, "49"), (10_000, "600")])
def test_time_of_a_training_depends_on_its_steps_and_has_a_maximum(tmp_path, step, minutes):
    protocol = yaml.safe_load((REPOSITORY / "config/ci.yaml").read_text())
    protocol["runtime"] = {"step": step, "most": 600}
    (tmp_path / "slow.yaml").write_text(yaml.safe_dump(protocol))
    jobs = asked_for("--config", ROWS, protocol=str(tmp_path / "slow.yaml"))
    assert jobs["train", "denf"]["runtime"] == minutes  # 20 steps


@pytest.mark.skipif(not HAS_SLURM or os.geteuid() != 0, reason="needs SLURM, munge and root")
def test_a_small_protocol_on_a_real_slurm():
    assert "All checks passed" in run("bash", "workflow/profiles/slurm/try.sh")
