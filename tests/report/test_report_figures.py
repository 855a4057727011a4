"""Figures: written if their runs exist, with the right size and contents."""

from __future__ import annotations

import logging
import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image

from denf.errors import DenfError
from denf.report.curves import Page, binned, page_of, training_curves
from denf.report.figures import FIGURES, write_figures
from denf.report.loading import load_rows
from denf.report.spread import score_distribution
from denf.report.style import DPI, RC, NothingToDrawError


def test_all_figures_are_written_with_the_expected_size(drawn, tmp_path):
    out = tmp_path / "figures"
    written = write_figures(drawn, out)
    empty = {f"training-curves-{page}" for page in ("table2", "ablations", "others")} | {"cost"}
    drawn_names = [name for name in FIGURES if name not in empty]
    assert [p.name for p in written] == [f"{n}.{s}" for n in drawn_names for s in ("png", "pdf")]
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in written)
    assert all(p.read_bytes()[:5] == b"%PDF-" for p in written if p.suffix == ".pdf")
    rows = load_rows(drawn)
    for path in (p for p in written if p.suffix == ".png"):
        with mpl.rc_context(RC):
            width, height = FIGURES[path.stem](rows).get_size_inches()
        with Image.open(path) as image:
            assert image.size == pytest.approx((width * DPI, height * DPI), abs=1.5)
            assert np.asarray(image.convert("L")).std() > 5  # not blank


def test_no_figure_has_the_label_minus_zero(drawn):
    rows = load_rows(drawn)
    for name, draw in FIGURES.items():
        try:
            figure = draw(rows)
        except NothingToDrawError:
            continue
        figure.draw_without_rendering()
        texts = [text.get_text() for text in figure.findobj(Text)]
        assert not [text for text in texts if re.fullmatch(r"[-−]0(\.0*)?", text)], name


def test_figures_without_runs_are_left_out_and_named(runs, write_run, tmp_path, caplog):
    write_run("denf", 0, ari_fg=0.9)
    with caplog.at_level(logging.WARNING):
        assert write_figures(runs, tmp_path / "f") == []
    reasons = {record.args[0]: str(record.args[1]) for record in caplog.records}
    assert set(reasons) == set(FIGURES)
    assert "experiment denf-traffic" in reasons["figure4"]
    assert list((tmp_path / "f").iterdir()) == []


def test_training_curves_have_one_panel_per_term_and_one_line_per_seed(drawn):
    figure = training_curves(load_rows(drawn))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["loss", "foreground forward", "presence fraction"] * 2
    frame = pd.read_csv(drawn / "clevr6/denf/seed-1/history.csv")
    assert [len(axes.lines) for axes in figure.axes] == [2] * 6
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), frame["loss"])
    np.testing.assert_allclose(figure.axes[0].lines[1].get_xdata(), frame["step"])


def test_foreground_ari_has_a_panel_with_the_scored_steps(runs, write_run):
    folder = write_run("denf", 0, seeds=[0])
    text = "step,loss,validation_ari_fg,presence_fraction\n5,3,,0.1\n10,2,0.25,0.2\n20,1,0.5,0.3\n"
    (folder / "history.csv").write_text(text)
    axes = {axes.get_title(): axes for axes in training_curves(load_rows(runs)).axes}
    assert list(axes) == ["loss", "foreground ARI", "presence fraction"]
    (line,) = axes["foreground ARI"].lines
    np.testing.assert_array_equal(line.get_xydata(), [[10, 0.25], [20, 0.5]])
    assert axes["foreground ARI"].get_ylim() == (-0.03, 1.03)


def test_every_experiment_has_its_page_of_curves(drawn, write_run):
    for name, group, tables in (
        ("dcgan", "method", [2]),
        ("denf-union", "ablation", [1, 3]),
        ("mine", "method", []),
    ):
        folder = write_run(name, 0, group=group, tables=tables, seeds=[0])
        (folder / "history.csv").write_text("step,loss\n1,2.0\n")
    rows = load_rows(drawn)
    pages = {row.name: page_of(row) for row in rows}
    assert pages == {
        "denf": Page.TABLE1,
        "denf-traffic": Page.TABLE1,  # with the tables of `drawn`
        "dcgan": Page.TABLE2,
        "denf-union": Page.ABLATIONS,
        "mine": Page.OTHERS,
    }
    panels = {page: len(training_curves(rows, page).axes) for page in Page}
    assert panels == {Page.TABLE1: 6, Page.TABLE2: 1, Page.ABLATIONS: 1, Page.OTHERS: 1}


def test_a_diverged_run_is_marked_where_it_ended(runs, write_run):
    folder = write_run("denf", 0, status="diverged", evaluated=False, seeds=[0])
    (folder / "history.csv").write_text("step,loss\n0,3.0\n1,2.0\n2,inf\n3,\n")
    (axes,) = training_curves(load_rows(runs)).axes
    curve, mark = axes.lines
    np.testing.assert_array_equal(curve.get_ydata(), [3.0, 2.0])
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (1, 2)


@pytest.mark.parametrize("text", ["", "loss\n1.0\n", "step,loss\n0,high\n"])
def test_broken_histories_are_named(runs, write_run, text):
    folder = write_run("denf", 0)
    (folder / "history.csv").write_text(text)
    with pytest.raises(DenfError, match=r"history\.csv"):
        training_curves(load_rows(runs))


def test_binning_is_the_mean_of_consecutive_lines():
    frame = pd.DataFrame({"step": range(10), "loss": [float(k * k) for k in range(10)]})
    thinned = binned(frame, 4)
    assert list(thinned["step"]) == [1, 4, 7, 9]
    assert list(thinned["loss"]) == [5 / 3, 50 / 3, 149 / 3, 81]
    pd.testing.assert_frame_equal(binned(frame, 10), frame.astype(float), check_names=False)


def test_the_distribution_shows_every_scene_and_the_mean(drawn):
    (drawn / "traffic").rename(drawn / "my-scenes")  # its key in the experiment stays `traffic`
    figure = score_distribution(load_rows(drawn))
    assert [axes.get_title("left") for axes in figure.axes] == ["CLEVR6", "my-scenes"]
    stored = [pd.read_csv(drawn / f"clevr6/denf/seed-{s}/scores.csv")["ari_fg"] for s in (0, 1)]
    everything = 100 * np.concatenate(stored)
    axes = figure.axes[0]
    points = axes.collections[0].get_offsets()
    np.testing.assert_allclose(np.sort(points[:, 0]), np.sort(everything))
    diamonds = next(line for line in axes.lines if line.get_marker() == "D")
    np.testing.assert_allclose(diamonds.get_xdata(), [everything.mean()])


def test_figures_can_be_chosen_and_are_reproducible(drawn, tmp_path):
    state = np.random.get_state()[1].copy()
    names = ["figure5", "ari-distribution"]
    first = [p.read_bytes() for p in write_figures(drawn, tmp_path / "a", names=names)]
    again = [p.read_bytes() for p in write_figures(drawn, tmp_path / "a", names=names)]
    assert len(first) == 4
    assert first == again
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    assert write_figures(drawn, tmp_path / "b", experiments=[]) == []
    explained = write_figures(drawn, tmp_path / "b", names=names, experiments=[])
    assert len(explained) == len(first)
    assert all(path.stat().st_size for path in explained)
    with pytest.raises(DenfError, match="expected some of"):
        write_figures(drawn, tmp_path / "a", names=["figure9"])
