"""The workflow, executed at tiny size: end to end, no repeated jobs, a new row from one file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file
from snakemake.utils import available_cpu_count

DENF = ["denf", "denf-colours", "denf-plus", "denf-traffic"]  # the others extend the first
ROWS = [*DENF, "control-true-labels", "control-real-images"]


def tiny_protocol() -> dict:
    scenes = {"source": "render", "size": 32, "train": 10, "test": 6, "validation": 3}
    return {
        "protocol": "tiny",
        "seeds": [0],
        "only": ROWS,
        "datasets": {
            "clevr6": {"id": "tiny-clevr6", "kind": "clevr6", **scenes},
            "traffic": {"id": "tiny-traffic", "kind": "traffic", **scenes},
        },
        "overrides": {
            "denf": {
                "settings": {"architecture": {"features": 4}},
                "training": {"steps": 3, "batch_size": 4},
            }
        },
        "fid": {"samples": 8, "extractor": "random-conv-v1"},
    }


def snakemake(folder: Path, *arguments: str, cores: int = 2) -> subprocess.CompletedProcess[str]:
    # Targets come first: options that take several values would consume them.
    command = [sys.executable, "-m", "snakemake", *arguments, "--cores", str(cores)]
    return subprocess.run(
        [*command, "--resources", "gpu=1", "--configfile", "tiny.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def planned(folder: Path, *arguments: str) -> list[str]:
    """`rule:experiment` of the jobs that a dry run lists, without `all`."""
    done = snakemake(folder, "--dry-run", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs, rule = [], ""
    for line in (done.stdout + done.stderr).splitlines():
        if line.strip().startswith(("rule ", "localrule ")):  # jobs of a group are indented
            rule = line.split()[1].rstrip(":")
            jobs.append(rule)
        elif line.strip().startswith("wildcards:") and "experiment=" in line:
            jobs[-1] = f"{rule}:{line.split('experiment=')[1].split(',')[0]}"
    return sorted(job for job in jobs if job != "all")


@pytest.fixture(scope="module")
def finished(checkout, tmp_path_factory) -> Path:
    """A folder in which the tiny protocol has run once."""
    folder = checkout(tmp_path_factory.mktemp("suite"))
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tiny_protocol()))
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_table_and_figure_is_written(finished):
    for number in (1, 2, 3):
        for kind in ("csv", "md", "tex"):
            assert (finished / f"results/tables/table{number}.{kind}").stat().st_size > 200
    curves = ("training-curves-table1", "training-curves-table2")
    for name in ("figure3", "figure4", "figure5", "figure6", *curves, "ari-distribution"):
        assert (finished / f"results/figures/{name}.png").stat().st_size > 5000
        assert (finished / f"results/figures/{name}.pdf").read_bytes().startswith(b"%PDF")


def contents(folder: Path) -> dict[str, bytes]:
    """Contents of the files in a folder, without those of Snakemake."""
    return {file.name: file.read_bytes() for file in folder.glob("[!.]*")}


def test_results_of_the_last_protocol_are_copied_and_others_are_kept(finished):
    results = finished / "results"
    assert (results / "tiny/index.html").stat().st_size > 1_000_000
    assert contents(results / "figures") == contents(results / "tiny/figures")
    made = contents(results / "tiny/tables")
    (results / "tables/of-another-protocol.md").write_text("stale")
    done = snakemake(finished, "results/tables", "--config", "protocol=other")
    assert done.returncode == 0, done.stderr
    assert contents(results / "tables") == contents(results / "other/tables")
    assert contents(results / "tiny/tables") == made
    assert snakemake(finished).returncode == 0
    assert contents(results / "tables") == made
    assert planned(finished) == []


def test_numbers_of_the_tables_come_from_the_runs(finished):
    table = pd.read_csv(finished / "results/tables/table1.csv").set_index("experiment")
    for name in ("denf", "control-true-labels"):
        run = finished / f"results/runs/tiny-clevr6/{name}/seed-0"
        metrics = json.loads((run / "metrics.json").read_text())
        assert table.loc[name, "mean"] == pytest.approx(100 * metrics["ari_fg"]["mean"])
        scores = pd.read_csv(run / "scores.csv")
        assert metrics["ari_fg"]["mean"] == pytest.approx(scores["ari_fg"].mean())
    assert table.loc["control-true-labels", "mean"] == pytest.approx(100)
    assert table.loc["slot-attention", "state"] == "not run"
    assert pd.isna(table.loc["slot-attention", "mean"])
    fid = json.loads(
        (finished / "results/runs/tiny-traffic/denf-traffic/seed-0/fid.json").read_text()
    )
    second = pd.read_csv(finished / "results/tables/table2.csv").set_index("experiment")
    assert second.loc["denf-traffic", "mean"] == pytest.approx(fid["fid"])
    assert fid["mode"] == "objects-subset"


def weights_sha256(model: Path) -> str:
    return json.loads(model.with_name("run.json").read_text())["weights_sha256"]


def test_an_experiment_without_a_training_has_the_weights_of_another(finished):
    runs = finished / "results/runs/tiny-clevr6"
    theirs, ours = (runs / name / "seed-0/model.safetensors" for name in ("denf", "denf-colours"))
    a, b = load_file(theirs), load_file(ours)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    record = json.loads((ours.parent / "run.json").read_text())
    assert record["steps"] == 0
    assert record["first_weights_sha256"] == weights_sha256(theirs)


def test_an_experiment_can_continue_from_the_weights_of_another(finished):
    runs = finished / "results/runs/tiny-clevr6"
    theirs, ours = (runs / name / "seed-0/model.safetensors" for name in ("denf", "denf-plus"))
    a, b = load_file(theirs), load_file(ours)
    assert a.keys() == b.keys()
    assert any(not torch.equal(a[name], b[name]) for name in a)
    record = json.loads((ours.parent / "run.json").read_text())
    assert record["steps"] == 3
    assert record["first_weights_sha256"] == weights_sha256(theirs)


def test_weights_of_a_missing_experiment_are_an_error(finished):
    done = snakemake(finished, "--dry-run", "--config", 'only=["denf-plus"]')
    assert done.returncode != 0
    assert "got denf, which the protocol leaves out" in done.stdout + done.stderr


def test_provenance_of_a_run(finished):
    run = finished / "results/runs/tiny-clevr6/denf/seed-0"
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["steps"] == 3
    assert record["versions"]["torch"]
    data = json.loads((finished / "results/data/tiny-clevr6/train/dataset.json").read_text())
    assert record["data"]["count"] == data["count"] == 10


def test_validation_scenes_are_neither_training_nor_test_scenes(finished):
    data = finished / "results/data/tiny-clevr6"
    facts = {s: json.loads((data / s / "dataset.json").read_text()) for s in ("train", "val")}
    assert facts["train"]["seed"] == facts["val"]["seed"]
    assert [facts[s]["first"] for s in ("train", "val")] == [0, 10]
    assert [facts[s]["count"] for s in ("train", "val")] == [10, 3]
    for name, dataset in (("denf", "tiny-clevr6"), ("denf-traffic", "tiny-traffic")):
        run = finished / f"results/runs/{dataset}/{name}/seed-0"
        history = pd.read_csv(run / "history.csv")
        assert history["validation_ari_fg"].between(-1, 1).all()
        assert json.loads((run / "run.json").read_text())["validation"]["count"] == 3
    untrained = finished / "results/runs/tiny-clevr6/denf-colours/seed-0"
    assert json.loads((untrained / "run.json").read_text())["validation"] is None


def test_a_second_invocation_runs_nothing(finished):
    done = snakemake(finished)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_jobs_use_at_most_the_cores_of_the_machine(finished):
    done = snakemake(finished, "--dry-run", "--forceall", cores=999)
    threads = [int(n) for n in re.findall(r"threads: (\d+)", done.stdout + done.stderr)]
    assert max(threads) <= available_cpu_count()


def test_a_new_file_adds_one_row_and_repeats_no_other_run(finished):
    added = finished / "config/experiments/my-ablation.yaml"
    added.write_text("extends: denf\nsettings: {priors: {noise: 0.0}}\n")
    rows = ["--config", f"only={json.dumps([*ROWS, 'my-ablation'])}"]
    expected = ["curves", "evaluate:my-ablation", "figures", "latest", "page", "tables"]
    expected.append("train:my-ablation")
    assert planned(finished, *rows) == expected
    before = (finished / "results/runs/tiny-clevr6/denf/seed-0/model.safetensors").stat()
    done = snakemake(finished, *rows)
    assert done.returncode == 0, done.stderr
    after = (finished / "results/runs/tiny-clevr6/denf/seed-0/model.safetensors").stat()
    assert after.st_mtime_ns == before.st_mtime_ns
    table = pd.read_csv(finished / "results/tables/table3.csv").set_index("experiment")
    assert table.loc["my-ablation", "state"] == "reproduced"
    added.unlink()
    assert snakemake(finished).returncode == 0  # the table without it


def test_an_edited_label_redraws_and_a_changed_setting_retrains(finished):
    path = finished / "config/experiments/denf.yaml"
    original = path.read_text()
    path.write_text(original.replace("DeNF (full)", "DeNF, renamed"))
    assert planned(finished) == ["curves", "figures", "latest", "page", "tables"]
    path.write_text(original + "settings: {priors: {noise: 0.1}}\n")
    assert [job for job in planned(finished) if job.startswith("train")] == [
        f"train:{name}" for name in DENF
    ]
    path.write_text(original)
    assert planned(finished) == []


def test_a_user_s_own_rule(finished):
    (finished / "workflow/rules/local.smk").write_text(
        "use rule evaluate as evaluate_on_train with:\n"
        "    input:\n"
        '        model=RUN + "/model.safetensors",\n'
        '        experiment=RUN + "/experiment.yaml",\n'
        '        data="results/data/{dataset}/train",\n'
        "    output:\n"
        '        metrics=RUN + "/train-metrics.json",\n'
        '        scores=RUN + "/train-scores.csv",\n'
        '        panels=RUN + "/train-panels.npz",\n'
        "    log:\n"
        '        RUN + "/evaluate-train.log",\n'
        "    benchmark:\n"
        '        RUN + "/evaluate-train.benchmark.tsv"\n'
    )
    target = "results/runs/tiny-clevr6/control-true-labels/seed-0/train-metrics.json"
    done = snakemake(finished, target)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((finished / target).read_text())
    assert metrics["data"]["split"] == "train"
    (finished / "workflow/rules/local.smk").unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--config", "seed=3"], ["tiny.yaml and --config: ", "seed"]),
        (["--config", "protocol=my protocol"], ["tiny.yaml and --config: expected protocol: "]),
        (["--config", 'fid={"samples": 1, "extractor": "random-conv-v1"}'], ["samples", "1"]),
        (
            ["--config", 'overrides={"denf": {"settings": {"featurs": 3}}}'],
            ["denf", "featurs", "architecture"],
        ),
        (
            ["--config", 'overrides={"denf": {"training": {"batch_size": 0}}}'],
            ["batch_size", "0", "1"],
        ),
    ],
    ids=["unknown key", "name", "out of range", "unknown setting", "bad training value"],
)
def test_a_bad_configuration_stops_before_any_job(finished, change, words):
    done = snakemake(finished, "--dry-run", *change)
    assert done.returncode != 0
    for word in words:
        assert word in done.stdout + done.stderr
