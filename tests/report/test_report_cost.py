"""The figure of quality and cost: runs, positions of points, and labels without overlap."""

from __future__ import annotations

import json

import numpy as np
import pytest
from matplotlib.text import Annotation

from denf.report.cost import quality_beside_cost
from denf.report.loading import load_rows
from denf.report.style import NothingToDrawError


@pytest.fixture
def trained(write_run):
    """Write a run that was trained for some minutes."""

    def write(name: str, seed: int, minutes: float, parameters: int, **facts: object) -> None:
        folder = write_run(name, seed, seeds=[0, 1], **facts)
        record = json.loads((folder / "run.json").read_text())
        record |= {"steps": 100, "seconds": 60 * minutes, "parameters": parameters}
        (folder / "run.json").write_text(json.dumps(record))

    return write


def test_points_are_means_over_seeds_in_minutes_and_parameters(runs, trained, write_run):
    trained("denf", 0, 2, 1000, ari_fg=0.9)
    trained("denf", 1, 4, 1000, ari_fg=0.7)
    trained("dcgan", 0, 8, 5000, fid=50.0, tables=[2], dataset="traffic")
    write_run("control", 0, ari_fg=0.5, group="control")  # does not train
    figure = quality_beside_cost(load_rows(runs))
    points = [[tuple(line.get_xydata()[0]) for line in axes.lines] for axes in figure.axes]
    assert points == [
        [(pytest.approx(3.0), pytest.approx(80.0))],
        [(1000.0, pytest.approx(80.0))],
        [(pytest.approx(8.0), 50.0)],
        [(5000.0, 50.0)],
    ]


def test_time_includes_the_training_that_gave_the_first_weights(runs, trained):
    trained("denf", 0, 2, 1000, ari_fg=0.9)
    trained("denf", 1, 6, 1000, ari_fg=0.9)
    trained("denf", 0, 100, 1000, ari_fg=0.9, dataset="another")
    trained("denf-plus", 1, 3, 1000, ari_fg=0.8, weights="denf")
    rows = [row for row in load_rows(runs) if row.dataset == "clevr6"]
    minutes = {
        tuple(np.round(line.get_xydata()[0], 6)) for line in quality_beside_cost(rows).axes[0].lines
    }
    assert minutes == {(4.0, 90.0), (9.0, 80.0)}
    (alone,) = quality_beside_cost(rows[1:]).axes[0].lines  # without the row of the first weights
    assert alone.get_xydata()[0][0] == pytest.approx(3.0)


def test_time_includes_every_training_before(runs, trained):
    trained("denf", 0, 2, 1000, ari_fg=0.9)
    trained("denf-longer", 0, 6, 1000, ari_fg=0.9, weights="denf")
    trained("denf-plus", 0, 3, 1000, ari_fg=0.8, weights="denf-longer")
    lines = quality_beside_cost(load_rows(runs)).axes[0].lines
    assert sorted(round(line.get_xdata()[0], 6) for line in lines) == [2, 8, 11]


def test_labels_of_equal_scores_do_not_overlap_and_are_inside_the_panel(runs, trained):
    for k in range(12):
        trained(f"m{k}", 0, 1 + k, 10**3 * (k + 1), ari_fg=0.0 if k < 6 else 1.0)
    axes = quality_beside_cost(load_rows(runs)).axes[1]
    labels = [child for child in axes.get_children() if isinstance(child, Annotation)]
    heights = np.sort([label.xyann[1] for label in labels])
    assert len(labels) == 12
    assert np.diff(heights).min() > 0.05
    assert heights[0] >= 0
    assert heights[-1] <= 1


def test_without_a_trained_run_there_is_nothing_to_draw(runs, write_run):
    write_run("control", 0, ari_fg=0.5, group="control")
    with pytest.raises(NothingToDrawError):
        quality_beside_cost(load_rows(runs))
