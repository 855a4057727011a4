"""Figures: written when their runs are there, of the right shape, with the right contents."""

from __future__ import annotations

import logging

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from denf.errors import DenfError
from denf.report.curves import binned, training_curves
from denf.report.figures import FIGURES, write_figures
from denf.report.loading import load_rows
from denf.report.panels import box_instances, load_panels, present_norm
from denf.report.pictures import backgrounds, decomposition, singles
from denf.report.spread import score_distribution
from denf.report.style import DPI, RC, NothingToDrawError, instance_colours


@pytest.fixture
def drawn(runs, write_run, write_panels):
    """DeNF on both data sets with pictures, histories and scores."""
    rng = np.random.default_rng(0)
    for name, dataset, count in (("denf", "clevr6", 3), ("denf-traffic", "traffic", 2)):
        for seed in (0, 1):
            folder = write_run(name, seed, ari_fg=0.9, dataset=dataset, seeds=[0, 1])
            frame = pd.DataFrame(
                {
                    "step": np.arange(30),
                    "presence_fraction": rng.uniform(0, 1, 30),
                    "foreground_forward": rng.normal(0, 1, 30),
                    "loss": rng.normal(0, 1, 30),
                }
            )
            frame.to_csv(folder / "history.csv", index=False)
            scores = pd.DataFrame({"scene": range(20), "ari_fg": rng.uniform(0, 1, 20)})
            scores.to_csv(folder / "scores.csv", index=False)
        write_panels(runs / dataset / name / "seed-0", n=count)
    return runs


def pictures(figure):
    """Axes of the picture grid as {(row, column): axes}; colour bars left out."""
    cells = {}
    for axes in figure.axes:
        row, column = axes.get_label().split("-")
        if column != "scale":
            cells[int(row), int(column)] = axes
    return cells


def shown(axes):
    return np.asarray(axes.images[0].get_array())


def test_all_figures_are_written_with_the_expected_size(drawn, tmp_path):
    out = tmp_path / "figures"
    written = write_figures(drawn, out)
    assert [p.name for p in written] == [f"{n}.{s}" for n in FIGURES for s in ("png", "pdf")]
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in written)
    assert all(p.read_bytes()[:5] == b"%PDF-" for p in written if p.suffix == ".pdf")
    rows = load_rows(drawn)
    for path in (p for p in written if p.suffix == ".png"):
        with mpl.rc_context(RC):
            width, height = FIGURES[path.stem](rows).get_size_inches()
        with Image.open(path) as image:
            assert image.size == pytest.approx((width * DPI, height * DPI), abs=1.5)
            assert np.asarray(image.convert("L")).std() > 5  # not blank


def test_figure3_has_the_papers_rows_and_shows_the_arrays(drawn):
    panels = load_panels(drawn / "clevr6/denf/seed-0/panels.npz")
    figure = decomposition(load_rows(drawn), "denf", segmentation=True)
    cells = pictures(figure)
    assert set(cells) == {(r, c) for r in range(7) for c in range(3)}
    labels = [text.get_text() for text in figure.texts]
    assert [labels[0], labels[1], labels[2], labels[6]] == [
        *("image", "boxes", "segmentation", "background"),
    ]
    for scene in range(3):
        np.testing.assert_array_equal(shown(cells[0, scene]), panels["image"][scene])
        np.testing.assert_array_equal(shown(cells[6, scene]), panels["background"][scene])
        np.testing.assert_allclose(shown(cells[3, scene]), panels["presence"][scene])
        present = panels["presence"][scene] > 0.5
        for row, key in ((4, "scale"), (5, "loc")):
            norm = np.sqrt((panels[key][scene].astype(float) ** 2).sum(-1))
            array = cells[row, scene].images[0].get_array()
            np.testing.assert_array_equal(np.ma.getmaskarray(array), ~present)
            np.testing.assert_allclose(array[present], norm[present], rtol=1e-5)
        assert len(cells[1, scene].patches) == 2


def test_figure4_has_no_segmentation_and_figure5_two_rows(drawn):
    rows = load_rows(drawn)
    assert len(pictures(decomposition(rows, "denf-traffic", segmentation=False))) == 6 * 2
    assert len(pictures(backgrounds(rows, "denf-traffic"))) == 2 * 2


def test_figure6_shows_one_object_a_column(drawn):
    rows = load_rows(drawn)
    cells = pictures(singles(rows, [("CLEVR6", "denf"), ("Traffic", "denf-traffic")]))
    assert set(cells) == {(r, c) for r in range(5) for c in range(3)}  # 3 + 2 scenes, 2 objects
    traffic = load_panels(drawn / "traffic/denf-traffic/seed-0/panels.npz")
    np.testing.assert_array_equal(shown(cells[4, 2]), traffic["singles"][1, 1])
    only = pictures(singles(rows, [("CLEVR6", "denf"), ("Traffic", "absent")]))
    assert len(only) == 9


def test_boxes_have_the_colour_of_their_instance(drawn):
    cells = pictures(decomposition(load_rows(drawn), "denf", segmentation=True))
    panels = load_panels(drawn / "clevr6/denf/seed-0/panels.npz")
    first, second = cells[1, 0].patches
    x0, _, _, _ = panels["boxes"][0, 0]
    assert first.get_x() == x0  # the first box lies on the second instance
    np.testing.assert_allclose(first.get_edgecolor()[:3], instance_colours(2)[1])
    np.testing.assert_allclose(second.get_edgecolor()[:3], instance_colours(2)[0])


def test_a_box_without_an_instance_gets_a_colour_of_its_own():
    labels = np.zeros((20, 20), dtype=int)
    labels[2:6, 2:6] = 3
    boxes = np.array([[10.0, 10, 15, 15], [2, 2, 6, 6]])
    index = box_instances(boxes, labels)
    assert index[1] == 2
    assert index[0] >= 3
    assert list(box_instances(boxes, np.zeros((20, 20), dtype=int))) == [0, 1]


def test_instance_colours_are_stable_and_distinct():
    many = instance_colours(30)
    np.testing.assert_array_equal(instance_colours(4), many[:4])
    assert len(np.unique(many.round(3), axis=0)) == 30
    assert instance_colours(0).shape == (0, 3)


def test_colour_ranges_do_not_need_a_present_cell():
    values = np.array([[0.1, np.nan], [0.3, 9.0]])
    assert present_norm(values, np.array([[True, True], [True, False]])).vmax == pytest.approx(
        0.298
    )
    assert present_norm(values, np.zeros((2, 2), bool)).vmax == 1


def test_figures_without_runs_are_left_out_and_named(runs, write_run, tmp_path, caplog):
    write_run("denf", 0, ari_fg=0.9)
    with caplog.at_level(logging.WARNING):
        assert write_figures(runs, tmp_path / "f") == []
    reasons = {record.args[0]: str(record.args[1]) for record in caplog.records}
    assert set(reasons) == set(FIGURES)
    assert "experiment denf-traffic" in reasons["figure4"]
    assert list((tmp_path / "f").iterdir()) == []


def test_pictures_come_from_a_finished_seed_if_there_is_one(runs, write_run, write_panels, caplog):
    write_panels(write_run("denf", 0, status="diverged"), n=4)
    assert len(pictures(backgrounds(load_rows(runs), "denf"))) == 2 * 4
    assert "seed-0 diverged: its last good state is shown" in caplog.text
    write_panels(write_run("denf", 1), n=3)
    assert len(pictures(backgrounds(load_rows(runs), "denf"))) == 2 * 3


def test_missing_arrays_are_named(drawn):
    file = drawn / "clevr6/denf/seed-0/panels.npz"
    np.savez(file, image=np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(NothingToDrawError, match="has no boxes, presence, scale, loc"):
        decomposition(load_rows(drawn), "denf", segmentation=True)
    np.savez(file, image=np.zeros((2, 8, 8, 3), np.uint8), labels=np.zeros((3, 8, 8)))
    with pytest.raises(DenfError, match="one or more scenes each"):
        load_panels(file)
    np.savez(file)  # a method that cannot segment
    with pytest.raises(NothingToDrawError, match="has no image, background"):
        backgrounds(load_rows(drawn), "denf")
    file.write_bytes(b"PK")
    with pytest.raises(DenfError, match="NumPy archive"):
        load_panels(file)


def test_training_curves_have_a_panel_a_term_and_a_line_a_seed(drawn):
    figure = training_curves(load_rows(drawn))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["loss", "foreground forward", "presence fraction"] * 2
    frame = pd.read_csv(drawn / "clevr6/denf/seed-1/history.csv")
    assert [len(axes.lines) for axes in figure.axes] == [2] * 6
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), frame["loss"])
    np.testing.assert_allclose(figure.axes[0].lines[1].get_xdata(), frame["step"])


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
    figure = score_distribution(load_rows(drawn))
    assert [axes.get_title("left") for axes in figure.axes] == ["clevr6", "traffic"]
    stored = [pd.read_csv(drawn / f"clevr6/denf/seed-{s}/scores.csv")["ari_fg"] for s in (0, 1)]
    everything = 100 * np.concatenate(stored)
    axes = figure.axes[0]
    points = axes.collections[0].get_offsets()
    np.testing.assert_allclose(np.sort(points[:, 0]), np.sort(everything))
    diamonds = next(line for line in axes.lines if line.get_marker() == "D")
    np.testing.assert_allclose(diamonds.get_xdata(), [everything.mean()])


def test_figures_can_be_chosen_and_are_the_same_each_time(drawn, tmp_path):
    state = np.random.get_state()[1].copy()
    names = ["figure5", "ari-distribution"]
    first = [p.read_bytes() for p in write_figures(drawn, tmp_path / "a", names=names)]
    again = [p.read_bytes() for p in write_figures(drawn, tmp_path / "a", names=names)]
    assert len(first) == 4
    assert first == again
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    assert write_figures(drawn, tmp_path / "b", names=names, experiments=[]) == []
    with pytest.raises(ValueError, match="expected some of"):
        write_figures(drawn, tmp_path / "a", names=["figure9"])
