"""Figures 3 to 6: the arrays of a run's panels at the positions given in the captions."""

from __future__ import annotations

import numpy as np
import pytest

from denf.errors import DenfError
from denf.palette import instance_bytes, instance_colours
from denf.report.loading import load_rows
from denf.report.panels import box_instances, load_panels, present_norm
from denf.report.pictures import backgrounds, decomposition, singles
from denf.report.style import NothingToDrawError


def pictures(figure):
    """Axes of the image grid as {(row, column): axes}, without colour bars."""
    cells = {}
    for axes in figure.axes:
        row, column = axes.get_label().split("-")
        if column != "scale":
            cells[int(row), int(column)] = axes
    return cells


def shown(axes):
    return np.asarray(axes.images[0].get_array())


def test_figure3_has_the_papers_rows_and_shows_the_arrays(drawn):
    panels = load_panels(drawn / "clevr6/denf/seed-0/panels.npz")
    figure = decomposition(load_rows(drawn), "denf")
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


def test_figure4_has_the_rows_of_figure3(drawn):
    figure = decomposition(load_rows(drawn), "denf-traffic")
    assert len(pictures(figure)) == 7 * 2
    assert "segmentation" in [text.get_text() for text in figure.texts]


def test_figure5_shows_one_scene_on_every_background_and_with_subsets_of_its_objects(drawn):
    panels = load_panels(drawn / "traffic/denf-traffic/seed-0/panels.npz")
    figure = backgrounds(load_rows(drawn), "denf-traffic")
    cells = pictures(figure)
    assert set(cells) == {(r, c) for r in range(6) for c in range(3)}
    np.testing.assert_array_equal(shown(cells[0, 0]), panels["image"][0])
    assert not any(cells[row, 0].axison for row in range(2, 6))
    labels, single, background = panels["labels"][0], panels["singles"][0], panels["background"]
    brightness = background.astype(float).mean(axis=-1)
    seen = set()
    for light in range(2):
        column = light + 1
        np.testing.assert_array_equal(shown(cells[0, column]), background[light])
        change = brightness[light] - brightness.mean(axis=0)
        np.testing.assert_allclose(shown(cells[1, column]), change)
        for row in (2, 3, 4, 5):  # every object is shown completely or not at all
            picture, expected = shown(cells[row, column]), background[light].copy()
            kept = [k for k in range(2) if (picture == single[k])[labels == k + 1].all()]
            for k in kept:
                expected[labels == k + 1] = single[k][labels == k + 1]
            np.testing.assert_array_equal(picture, expected)
            if row == 2:
                assert kept == [0, 1]
            else:
                seen.add(tuple(kept))
    assert len(seen) > 1


def test_figure6_shows_the_background_and_one_object_per_column(drawn):
    rows = load_rows(drawn)
    figure = singles(rows, ["denf", "denf-traffic"])
    cells = pictures(figure)
    assert set(cells) == {(r, c) for r in range(5) for c in range(4)}  # 3 + 2 scenes, 2 objects
    traffic = load_panels(drawn / "traffic/denf-traffic/seed-0/panels.npz")
    np.testing.assert_array_equal(shown(cells[4, 1]), traffic["background"][1])
    np.testing.assert_array_equal(shown(cells[4, 3]), traffic["singles"][1, 1])
    only = pictures(singles(rows, ["denf", "absent"]))
    assert len(only) == 12


def test_figure6_shows_how_many_further_objects_there_are(runs, write_run, write_panels):
    write_panels(write_run("denf", 0), n=1, objects=9, size=80)
    street = write_run("denf-traffic", 0, dataset="embedded-traffic")
    write_panels(street, n=1, objects=4, size=80)
    figure = singles(load_rows(runs), ["denf", "denf-traffic"])
    cells = pictures(figure)
    assert set(cells) == {(r, c) for r in range(2) for c in range(8)}
    assert [text.get_text() for text in figure.texts] == [
        "CLEVR6",
        "+3",
        "Street scenes\n(embedded)",
    ]
    blank = [[text.get_text() for text in cells[1, column].texts] for column in (6, 7)]
    assert blank == [["no further\nobject"]] * 2
    assert not cells[1, 6].images


def test_boxes_have_the_colour_of_their_instance(drawn):
    cells = pictures(decomposition(load_rows(drawn), "denf"))
    panels = load_panels(drawn / "clevr6/denf/seed-0/panels.npz")
    first, second = cells[1, 0].patches
    x0, _, _, _ = panels["boxes"][0, 0]
    assert first.get_x() == x0  # the first box is that of the second instance
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
    np.testing.assert_allclose(instance_bytes(30) / 255, many, atol=0.5 / 255)
    assert len(np.unique(instance_bytes(255), axis=0)) == 255


def test_colour_ranges_do_not_need_a_present_cell():
    values = np.array([[0.1, np.nan], [0.3, 9.0]])
    assert present_norm(values, np.array([[True, True], [True, False]])).vmax == pytest.approx(
        0.298
    )
    assert present_norm(values, np.zeros((2, 2), bool)).vmax == 1


def test_images_come_from_a_finished_seed_if_there_is_one(runs, write_run, write_panels, caplog):
    write_panels(write_run("denf", 0, status="diverged"), n=4)
    assert len(pictures(backgrounds(load_rows(runs), "denf"))) == 6 * 5
    assert "seed-0 diverged: its last good state is shown" in caplog.text
    write_panels(write_run("denf", 1), n=3)
    assert len(pictures(backgrounds(load_rows(runs), "denf"))) == 6 * 4


def test_missing_arrays_are_named(drawn):
    file = drawn / "clevr6/denf/seed-0/panels.npz"
    np.savez(file, image=np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(NothingToDrawError, match="has no boxes, labels, presence, scale, loc"):
        decomposition(load_rows(drawn), "denf")
    np.savez(file, image=np.zeros((2, 8, 8, 3), np.uint8), labels=np.zeros((3, 8, 8)))
    with pytest.raises(DenfError, match="one or more scenes each"):
        load_panels(file)
    np.savez(file)  # a method that cannot segment
    with pytest.raises(NothingToDrawError, match="has no image, background"):
        backgrounds(load_rows(drawn), "denf")
    file.write_bytes(b"PK")
    with pytest.raises(DenfError, match="NumPy archive"):
        load_panels(file)
