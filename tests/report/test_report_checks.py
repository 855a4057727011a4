"""Files of runs that were edited, copied or partly replaced are refused by the tables."""

from __future__ import annotations

import json

import pytest

from denf.errors import DenfError
from denf.report.loading import load_rows
from denf.report.markup import code_span, escape_markdown, spreadsheet_text
from denf.report.records import Metric


def edit(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("metric", "value"), [("ari_fg", 17.0), ("ari_fg", -1.5), ("box_iou", 1.2), ("box_iou", -0.1)]
)
def test_numbers_out_of_range_are_refused(runs, write_run, metric, value):
    edit(write_run("denf", 0, ari_fg=0.9) / "metrics.json", **{metric: {"mean": value}})
    [row] = load_rows(runs)
    with pytest.raises(DenfError, match=rf"metrics\.json, {metric}: expected a number within"):
        row.read(Metric(metric))


def test_a_mean_other_than_that_of_the_scores_is_refused(runs, write_run):
    folder = write_run("denf", 0, ari_fg=0.9)
    (folder / "metrics.json").write_text('{"ari_fg": {"mean": 0.5, "std": 0.1, "n": 2}}')
    (folder / "scores.csv").write_text("scene,ari_fg\n0,0.4\n1,0.6\n2,nan\n")
    load_rows(runs)
    edit(folder / "metrics.json", ari_fg={"mean": 0.51})
    with pytest.raises(
        DenfError, match=r"ari_fg: expected the mean of scores\.csv, 0\.5, got 0\.5"
    ):
        load_rows(runs)


def test_scores_of_other_weights_are_refused(runs, write_run):
    folder = write_run("denf", 0, ari_fg=0.9)
    edit(folder / "run.json", weights_sha256="a" * 64)
    edit(folder / "metrics.json", run_weights_sha256="a" * 64)
    load_rows(runs)
    edit(folder / "metrics.json", run_weights_sha256="b" * 64)
    with pytest.raises(DenfError, match=r"run_weights_sha256: expected aaa.* got bbb"):
        load_rows(runs)


def test_scores_at_another_size_are_refused(runs, write_run):
    folder = write_run("denf", 0, ari_fg=0.9)
    edit(folder / "run.json", data={"size": 128})
    edit(folder / "metrics.json", data={"size": 32})
    with pytest.raises(DenfError, match=r"metrics\.json, data\.size: expected 128, .* got 32"):
        load_rows(runs)


def test_seeds_measured_on_different_data_are_refused(runs, write_run):
    write_run("denf", 0, ari_fg=0.9)
    write_run("denf", 1, ari_fg=0.9, data={"sha256": "cd" * 32})
    with pytest.raises(DenfError, match=r"seed-1/metrics\.json, data: expected the data of"):
        load_rows(runs)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        *(
            ("run.json", "parameters", "many"),
            ("run.json", "notes", "one"),
            ("run.json", "data", 1),
        ),
        *(("metrics.json", "data", []), ("run.json", "steps", True)),
    ],
)
def test_values_of_another_type_are_named(runs, write_run, file, key, value):
    edit(write_run("denf", 0, ari_fg=0.9) / file, **{key: value})
    with pytest.raises(DenfError, match=rf"{file}, {key}.*: expected a valid"):
        load_rows(runs)


def test_linked_run_folders_are_read_and_broken_links_named(runs, write_run, tmp_path):
    folder = write_run("denf", 0, ari_fg=0.9)
    (runs / "clevr6").rename(tmp_path / "scratch")
    (runs / "clevr6").symlink_to(tmp_path / "scratch")
    [row] = load_rows(runs)
    assert [run.folder for run in row.runs] == [folder]
    (tmp_path / "scratch").rename(tmp_path / "gone")
    with pytest.raises(DenfError, match=r"clevr6: expected to be listed, got No such file"):
        load_rows(runs)


def test_labels_are_escaped():
    assert escape_markdown("[x](javascript:alert(1))") == r"\[x\](javascript:alert(1))"
    assert escape_markdown("a\x1b[2J\u202eb\x00") == r"a�\[2J�b�"
    assert escape_markdown("<img>`&") == r"&lt;img&gt;\`&amp;"
    for text in ("=1+1", "+1", "-1", "@SUM(A1)", " =1"):
        assert spreadsheet_text(text) == f"'{text}"
    assert spreadsheet_text("0=0.93") == "0=0.93"
    assert code_span("denf train") == "`denf train`"
    assert code_span("a `b` ``c") == "``` a `b` ``c ```"
