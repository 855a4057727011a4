"""The two scene kinds: their rules, exact masks, pictures without noise and without neighbours."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import ndimage
from test_raycast import first_hit

from denf.data.scenes import clevr6, traffic
from denf.data.scenes.layout import camera, project, stack
from denf.data.scenes.render import draw, scene
from denf.data.scenes.shading import Lamp, labels, pictures

KINDS = ("clevr6", "traffic")
MODULES = {"clevr6": clevr6, "traffic": traffic}


@pytest.fixture(scope="module")
def layouts():
    return {kind: [scene(kind, 3, i) for i in range(40)] for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_counts_cover_the_range(kind, layouts):
    low, high = clevr6.OBJECTS if kind == "clevr6" else traffic.VEHICLES
    counts = {len(layout.factors) for layout in layouts[kind]}
    assert counts == set(range(low, high + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_the_nearest_hit_at_pixel_centres(kind, layouts):
    size, wrong, seen = 20, 0, 0
    for layout in layouts[kind][:3]:
        mask = draw(kind, [layout], size).masks[0]
        left, right, top, bottom = MODULES[kind].LOOK.window
        view = camera(layout.eye, layout.target)
        for i in range(size):
            for j in range(size):
                x = left + (j + 0.5) / size * (right - left)
                y = top + (i + 0.5) / size * (bottom - top)
                ray = view.T @ np.array([x, -y, 1.0])
                ray /= np.linalg.norm(ray)
                hits = [(first_hit(s, layout.eye, ray) or np.inf, s.label) for s in layout.solids]
                depth, label = min(hits)
                wrong += mask[i, j] != (label if depth < np.inf else 0)
                seen += depth < np.inf
    assert seen > 20
    assert wrong <= 1  # a ray within float32 of a silhouette


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [32, 37])
def test_a_scene_alone_equals_the_same_scene_in_a_batch(kind, size, layouts):
    module, batch = MODULES[kind], layouts[kind][:5]
    together = stack(batch)
    images = pictures(together, module.LOOK, size)
    masks = labels(together, module.LOOK.window, size, size)
    for k in (0, 3, 4):
        alone = draw(kind, [scene(kind, 3, k)], size)
        np.testing.assert_array_equal(alone.images[0], images[k])
        np.testing.assert_array_equal(alone.masks[0], masks[k])


@pytest.mark.parametrize("kind", KINDS)
def test_scenes_depend_on_seed_and_index_alone(kind, layouts):
    assert list(scene(kind, 3, 7).factors) == list(layouts[kind][7].factors)
    rows = [scene(kind, *key).factors for key in ((3, 7), (3, 8), (4, 7))]
    assert all(a != b for a, b in pairwise(rows))


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_free_of_noise(kind, layouts):
    first, second = (draw(kind, layouts[kind][:2], 32) for _ in range(2))
    np.testing.assert_array_equal(first.images, second.images)
    assert first.images.std() > 5


@pytest.mark.parametrize("kind", KINDS)
def test_factors_point_at_the_objects(kind, layouts):
    drawn = draw(kind, layouts[kind][:10], 64)
    checked = 0
    for row in drawn.factors:
        mask = drawn.masks[row["scene"]] == row["object"]
        assert mask.sum() == row["pixels"]
        rows, columns = np.nonzero(mask)
        edges = [*rows, *columns]
        if row["pixels"] > 60 and min(edges) > 0 and max(edges) < 63:
            spread = np.hypot(np.ptp(rows), np.ptp(columns))
            middle = np.hypot(
                rows.mean() + 0.5 - row["pixel_y"], columns.mean() + 0.5 - row["pixel_x"]
            )
            assert middle < spread / 2
            checked += 1
    assert checked > 8


def test_clevr_spacing_rules(layouts):
    for layout in layouts["clevr6"]:
        view = camera(layout.eye, layout.target)
        behind = view[2, :2] / np.linalg.norm(view[2, :2])
        rows = layout.factors
        for i, a in enumerate(rows):
            assert max(abs(a["x"]), abs(a["y"])) <= 3
            assert a["z"] == pytest.approx(
                clevr6.SIZES[a["size"]] / (np.sqrt(2) if a["shape"] == "cube" else 1)
            )
            for b in rows[i + 1 :]:
                step = np.array([a["x"] - b["x"], a["y"] - b["y"]])
                # The later object counts with its full size, the earlier one as placed.
                assert np.hypot(*step) - a["z"] - clevr6.SIZES[b["size"]] >= 0.25
                assert abs(step @ view[0, :2]) >= 0.4
                assert abs(step @ behind) >= 0.4


def test_clevr_objects_are_visible_and_jitter_stays_in_range(layouts):
    window = (-160 / 350, 160 / 350, -120 / 350, 120 / 350)
    for layout in layouts["clevr6"][:15]:
        mask = labels(stack([layout]), window, 240, 320)
        for row in layout.factors:
            # The rule is checked on a grid of half the side; allow for its rounding.
            assert (mask == row["object"]).sum() >= 0.9 * clevr6.MIN_PIXELS
        assert np.abs(layout.eye - clevr6.CAMERA).max() <= 0.5
        assert np.abs(layout.lamp - clevr6.LAMPS).max() <= 1.0


def test_clevr_factors_cover_all_values(layouts):
    rows = [row for layout in layouts["clevr6"] for row in layout.factors]
    assert {row["shape"] for row in rows} == set(clevr6.SHAPES)
    assert {row["size"] for row in rows} == set(clevr6.SIZES)
    assert {row["material"] for row in rows} == set(clevr6.MATERIALS)
    assert {row["colour"] for row in rows} == set(clevr6.COLOURS)


def test_traffic_keeps_lanes_and_gaps(layouts):
    directions = set()
    for layout in layouts["traffic"]:
        rows = layout.factors
        for i, a in enumerate(rows):
            directions.add(a["rotation"] > 90)
            assert (a["y"] < 0) == (a["rotation"] < 90)  # right-hand traffic
            for b in rows[i + 1 :]:
                apart = abs(a["x"] - b["x"]) - (a["length"] + b["length"]) / 2
                assert a["lane"] != b["lane"] or apart >= traffic.GAP
                wide = abs(a["y"] - b["y"]) - (a["width"] + b["width"]) / 2
                assert a["lane"] == b["lane"] or wide > 0.3
    assert directions == {False, True}


def test_traffic_background_changes_with_the_sun_alone():
    first, second = (scene("traffic", 0, i) for i in (0, 1))
    np.testing.assert_array_equal(first.eye, second.eye)
    both = draw("traffic", [first, second], 48)
    free = (both.masks == 0).all(0)
    assert (both.images[0][free] != both.images[1][free]).any()
    sun = {k: first.factors[0][k] for k in ("sun", "sky", "sun_azimuth", "sun_elevation")}
    assert all(row[k] == v for row in first.factors for k, v in sun.items())


def test_the_pole_throws_a_shadow_and_is_out_of_sight():
    layout = scene("traffic", 0, 0)
    pole = layout.solids[-1]
    assert pole.label == 0
    for height in np.linspace(0, 2 * pole.half[2], 9):
        x, y = project(layout, np.array([*pole.centre[:2], height]), traffic.LOOK.window, 128)
        assert not (0 <= x < 128 and 0 <= y < 128)
    away = replace(pole, centre=pole.centre + np.array([0.0, 500.0, 0.0]))
    shadow, bare = (
        pictures(stack([replace(layout, solids=[solid])]), traffic.LOOK, 64).int()
        for solid in (pole, away)
    )
    assert (shadow - bare).max() <= 0
    assert ((shadow - bare) < -4).any()


def test_a_wider_lamp_makes_a_softer_shadow():
    layout = scene("clevr6", 0, 0)
    edges = []
    for scale in (0.05, 2.0):
        look = replace(clevr6.LOOK, lamps=tuple(Lamp(scale) for _ in clevr6.LOOK.lamps))
        image = pictures(stack([layout]), look, 96)[0].float().mean(-1)
        ground = labels(stack([layout]), look.window, 96, 96)[0] == 0
        step = (image[:, 1:] - image[:, :-1]).abs()[ground[:, 1:] & ground[:, :-1]]
        edges.append(torch.quantile(step, 0.995).item())
    assert edges[0] > 1.2 * edges[1]


@pytest.mark.parametrize("kind", KINDS)
def test_without_objects_only_the_background_is_left(kind, layouts):
    chosen = layouts[kind][:6]
    drawn = draw(kind, chosen, 64, empty=True)
    bare = [layout.without_objects() for layout in chosen]
    assert {solid.label for layout in bare for solid in layout.solids} <= {0}
    alone = draw(kind, bare, 64)
    np.testing.assert_array_equal(drawn.empty, alone.images)
    assert not alone.masks.any()
    assert alone.factors == []
    assert draw(kind, chosen, 64).empty is None
    together = pictures(stack([*bare, chosen[0]]), MODULES[kind].LOOK, 64)  # padded
    np.testing.assert_array_equal(drawn.empty, together[:-1])
    np.testing.assert_array_equal(drawn.images[0], together[-1])
    change = drawn.images.astype(int) - drawn.empty
    outside = drawn.masks == 0
    untouched = (change == 0).all(-1) & outside
    assert (untouched.sum((1, 2)) > 0.2 * outside.sum((1, 2))).all()
    # What changes outside of objects are their shadows, and the rays of a pixel at an outline.
    inner = np.stack([ndimage.binary_erosion(mask, border_value=1) for mask in outside])
    assert change[inner].max() <= 0
    assert (change[inner] < -10).any()
    covered = np.abs(change[~outside]).max(-1)
    assert (covered > 10).mean() > 0.6


def test_the_shadow_of_the_pole_stays():
    bare = scene("traffic", 0, 0).without_objects()
    assert len(bare.solids) == 1
    image, open_street = (
        pictures(stack([layout]), traffic.LOOK, 64).int()
        for layout in (bare, replace(bare, solids=[]))
    )
    assert (image - open_street).max() <= 0
    assert (image - open_street).min() < -4
