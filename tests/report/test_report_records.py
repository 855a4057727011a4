"""Loading runs: complete and missing seeds, and runs that may not be averaged."""

from __future__ import annotations

import json
import shutil

import pytest

from denf.errors import DenfError
from denf.report.loading import load_rows, titles
from denf.report.records import PLACES, Group, Metric, Status


def test_rows_have_every_seed_with_its_status(runs, write_run):
    write_run("denf", 0, ari_fg=0.9)
    write_run("denf", 1, ari_fg=0.8, status="diverged")
    write_run("denf", 5, ari_fg=None, evaluated=False)
    write_run("denf", 10, ari_fg=float("nan"))
    (row,) = load_rows(runs)
    readings = row.read(Metric.ARI_FG)
    assert {r.seed: r.status for r in readings} == {
        0: Status.VALUE,
        1: Status.DIVERGED,
        2: Status.NO_RUN,  # listed in experiment.yaml
        5: Status.NOT_EVALUATED,
        10: Status.NOT_FINITE,
    }
    assert readings[0].value == 0.9
    assert readings[0].file == runs / "clevr6/denf/seed-0/metrics.json"


def test_a_seed_with_two_folders_is_refused_and_seeds_not_asked_for_are_not_read(runs, write_run):
    write_run("denf", 0, ari_fg=0.9)
    write_run("denf", 2, ari_fg=0.9)
    (runs / "clevr6/denf/seed-2/run.json").write_text("not JSON")
    asked = {"name": "denf", "data": "clevr6", "seeds": [0]}
    (row,) = load_rows(runs, [asked])
    assert [run.seed for run in row.runs] == [0]
    shutil.copytree(runs / "clevr6/denf/seed-0", runs / "old/clevr6/denf/seed-0")
    with pytest.raises(DenfError, match=r"one folder per seed, got .* and .*old"):
        load_rows(runs, [asked])


def test_numbers_within_groups_are_found_and_their_absence_is_no_failure(runs, write_run):
    group = {"touching": {"ari_fg": 0.7, "n": 3}, "apart": {"ari_fg": None, "n": 0}}
    write_run("denf", 0, ari_fg=0.9, seeds=[0, 1], scores={"by_touching": group, "count": 3})
    write_run("denf", 1, ari_fg=0.9, seeds=[0, 1])
    (row,) = load_rows(runs)
    readings = {metric: row.read(metric) for metric in PLACES}
    assert readings[Metric.ARI_FG_TOUCHING][0].value == 0.7
    assert {r.status for found in readings.values() for r in found[1:]} == {Status.LACKING}
    assert readings[Metric.ARI_FG_APART][0].status is Status.LACKING
    assert readings[Metric.COUNT_RIGHT][0].status is Status.LACKING


def test_a_missing_capability_is_no_failure(runs, write_run):
    write_run("dcgan", 0, ari_fg=None, fid=50.0, seeds=[0])
    (row,) = load_rows(runs)
    (segmentation,), (generation,) = row.read(Metric.ARI_FG), row.read(Metric.FID)
    assert segmentation.status is Status.LACKING
    assert generation.value == 50.0


def test_a_run_without_files_is_a_failed_seed(runs, write_run):
    write_run("denf", 0, ari_fg=0.9)
    (runs / "clevr6/denf/seed-1").mkdir()
    (runs / "clevr6/denf/.state/seed-2").mkdir(parents=True)  # not a run
    (row,) = load_rows(runs)
    assert row.label == "DENF"
    assert [run.seed for run in row.runs] == [0, 1]
    assert row.read(Metric.ARI_FG)[1].status is Status.NOT_EVALUATED


def test_data_sets_and_experiments_have_separate_rows(runs, write_run):
    write_run("denf", 0, ari_fg=0.9, group="ablation")
    write_run("denf", 0, ari_fg=0.7, dataset="mine")
    write_run("other", 0, ari_fg=0.5, label="DENF")
    rows = load_rows(runs)
    assert [(r.dataset, r.name) for r in rows] == [
        ("clevr6", "denf"),
        ("clevr6", "other"),
        ("mine", "denf"),
    ]
    assert rows[0].group is Group.ABLATION
    assert titles(rows) == ["DENF (denf)", "DENF (other)", "DENF"]


def test_a_listing_selects_rows_and_seeds(runs, write_run):
    write_run("denf", 0, ari_fg=0.9, label="old", tables=[1])
    write_run("denf", 1, ari_fg=0.1, settings={"features": 8})  # left from an earlier listing
    write_run("denf", 0, ari_fg=0.5, dataset="mine")
    write_run("unlisted", 0, ari_fg=0.5)
    now = {"name": "denf", "data": "clevr6", "label": "new", "tables": [1, 3], "seeds": [0, 7]}
    later = {"name": "later", "data": "clevr6", "tables": [3], "seeds": [0]}
    rows = load_rows(runs, [later, {**now, "protocol": "another"}])
    assert [(r.name, r.dataset, r.seeds) for r in rows] == [
        ("later", "clevr6", (0,)),
        ("denf", "clevr6", (0, 7)),
    ]
    assert rows[0].runs == ()
    assert (rows[1].label, rows[1].tables) == ("new", (1, 3))  # an edited label repeats no run
    assert rows[1].protocol == "paper"  # the protocol of the run, not that of the listing
    assert [reading.status for reading in rows[1].read(Metric.ARI_FG)] == [
        Status.VALUE,
        Status.NO_RUN,
    ]
    anywhere = load_rows(runs, [{"name": "denf", "seeds": [0]}])
    assert [row.dataset for row in anywhere] == ["clevr6", "mine"]
    assert load_rows(runs, []) == []


@pytest.mark.parametrize("key", ["protocol", "settings", "training", "method"])
def test_seeds_of_different_settings_are_refused(runs, write_run, key):
    write_run("denf", 0, ari_fg=0.9)
    write_run("denf", 1, ari_fg=0.9, **{key: {"features": 16} if key == "settings" else "other"})
    with pytest.raises(DenfError, match=rf"seed-1/experiment.yaml, {key}: expected"):
        load_rows(runs)


def test_broken_files_are_named(runs, write_run):
    folder = write_run("denf", 0, ari_fg=0.9)
    (folder / "metrics.json").write_text('{"ari_fg": ')
    with pytest.raises(DenfError, match=r"metrics\.json: expected a mapping in JSON"):
        load_rows(runs)
    (folder / "metrics.json").write_text("[]")
    with pytest.raises(DenfError, match="expected a mapping in JSON, got list"):
        load_rows(runs)
    (folder / "metrics.json").write_text(json.dumps({"ari_fg": {"mean": "high"}}))
    (row,) = load_rows(runs)
    with pytest.raises(DenfError, match=r"ari_fg: expected a number.* got 'high'"):
        row.read(Metric.ARI_FG)
    (folder / "metrics.json").unlink()
    (folder / "experiment.yaml").write_text("group: best\n")
    with pytest.raises(DenfError, match="method or ablation or control, got 'best'"):
        load_rows(runs)
