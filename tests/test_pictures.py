"""Pictures through a released model: every file that `denf decompose` writes, opened again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from denf.data.prepared import open_prepared
from denf.data.scenes.render import render
from denf.errors import DenfError
from denf.harness.checkpoint import build, load_run
from denf.harness.experiment import load_experiment
from denf.method import DenfMethod
from denf.overlay import SIDE
from denf.palette import instance_bytes
from denf.pictures import BATCH, decompose_pictures

RUN = Path(__file__).parents[1] / "results/reference/denf-traffic"


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


@pytest.fixture(scope="module")
def method() -> DenfMethod:
    method = load_run(RUN)[0]
    assert isinstance(method, DenfMethod)
    return method


@pytest.fixture(scope="module")
def scenes(method, tmp_path_factory) -> np.ndarray:
    folder = tmp_path_factory.mktemp("scenes") / "test"
    render("traffic", count=BATCH + 2, size=method.trained_size, seed=7, out=folder, split="test")
    return np.array(open_prepared(folder).images)


@pytest.fixture(scope="module")
def decomposed(method, scenes, tmp_path_factory):
    """One scene as it is, in the middle of a wider picture, and in a picture twice as large."""
    folder, size = tmp_path_factory.mktemp("decomposed"), method.trained_size
    wide = np.full((size, size + 50, 3), 90, np.uint8)
    wide[:, 25:-25] = scenes[0]
    arrays = {"plain": scenes[0], "wide": wide, "large": wide.repeat(2, 0).repeat(2, 1)}
    for name, array in arrays.items():
        Image.fromarray(array).save(folder / f"{name}.png")
    pictures = [folder / f"{name}.png" for name in arrays]
    return decompose_pictures(method, pictures, folder / "out")


def test_every_file_agrees_with_the_labels(method, scenes, decomposed):
    entry = decomposed[0]
    folder, objects = Path(entry["folder"]), entry["objects"]
    assert json.loads((folder / "objects.json").read_text()) == entry
    assert len(objects) > 1
    assert [o["number"] for o in objects] == list(range(1, len(objects) + 1))
    assert {path.name for path in folder.iterdir()} == {
        *("input.png", "labels.png", "background.png", "overlay.png", "objects.json"),
        *(o["file"] for o in objects),
    }
    image, labels, background = (
        pixels(folder / f"{name}.png") for name in ("input", "labels", "background")
    )
    np.testing.assert_array_equal(image, scenes[0])
    assert set(np.unique(labels)) == set(range(len(objects) + 1))
    images = torch.from_numpy(scenes[:1]).permute(0, 3, 1, 2)
    with torch.no_grad():
        segments = method.segment(images).labels[0].numpy()
        reconstruction = method.reconstruct(images)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(labels > 0, segments > 0)
    for entry in objects:
        own = labels == entry["number"]
        assert len(np.unique(segments[own])) == 1  # the same object, perhaps of another number
        assert entry["area"] == own.sum()
        assert entry["area_fraction"] == pytest.approx(own.mean(), abs=1e-6)
        assert 0.5 <= entry["score"] <= 1  # cells are present above one half
        single = pixels(folder / entry["file"])
        np.testing.assert_array_equal(single[~own], background[~own])
        whole = (256 * reconstruction[own]).clip(0, 255).astype(np.uint8)
        np.testing.assert_allclose(single[own], whole.astype(int), atol=1)


def test_overlay_and_labels_share_the_palette(decomposed):
    folder, count = Path(decomposed[0]["folder"]), len(decomposed[0]["objects"])
    labels, drawn = pixels(folder / "labels.png"), pixels(folder / "overlay.png")
    colours = instance_bytes(count)
    with Image.open(folder / "labels.png") as picture:
        palette = np.array(picture.getpalette()).reshape(-1, 3)[: count + 1]
    np.testing.assert_array_equal(palette, [[0, 0, 0], *colours.tolist()])
    factor = SIDE // len(labels)
    assert drawn.shape == (SIDE, SIDE, 3)
    ys, xs = np.nonzero((labels[:, 1:] != labels[:, :-1]) & (labels[:, 1:] > 0))
    found = drawn[factor * ys + factor // 2, factor * (xs + 1)]  # left edges of the outlines
    right = (found == colours[labels[ys, xs + 1] - 1]).all(axis=1)
    assert right.mean() > 0.7  # boxes and numbers cover the others


def test_boxes_are_given_in_the_pictures_own_pixels(decomposed):
    plain, wide, large = ([o["box"] for o in entry["objects"]] for entry in decomposed)
    own = [[o["box_in_picture"] for o in entry["objects"]] for entry in decomposed]
    assert plain == wide == own[0]
    margins = np.array([25, 0, 25, 0])
    np.testing.assert_allclose(own[1], np.array(wide) + margins, atol=0.011)
    np.testing.assert_allclose(own[2], 2 * (np.array(large) + margins), atol=0.021)


def test_pictures_are_encoded_once_in_batches(scenes, tmp_path, monkeypatch):
    method = load_run(RUN)[0]
    encode, shown = method.model.encode, []
    monkeypatch.setattr(method.model, "encode", lambda x: shown.append(len(x)) or encode(x))
    pictures = [tmp_path / f"{k:02d}.png" for k in range(len(scenes))]
    for path, scene in zip(pictures, scenes, strict=True):
        Image.fromarray(scene).save(path)
    together = decompose_pictures(method, pictures, tmp_path / "out")
    assert shown == [BATCH, 2]
    (alone,) = decompose_pictures(method, pictures[-1:], tmp_path / "alone")
    assert alone["picture"] == together[-1]["picture"] == str(pictures[-1])
    areas = [[o["area"] for o in entry["objects"]] for entry in (alone, together[-1])]
    assert areas[0] == areas[1]


def test_objects_of_an_earlier_call_go_and_no_temporary_file_stays(method, scenes, tmp_path):
    Image.fromarray(scenes[0]).save(tmp_path / "scene.png")
    folder = tmp_path / "out/scene"
    folder.mkdir(parents=True)
    for name in ("object-99.png", "mine.png"):
        (folder / name).write_bytes(b"earlier")
    (entry,) = decompose_pictures(method, [tmp_path / "scene.png"], tmp_path / "out")
    names = {path.name for path in folder.iterdir()}
    assert "object-99.png" not in names
    assert "mine.png" in names
    assert not any(name.endswith(".tmp") for name in names)
    assert sum(name.startswith("object-") for name in names) == len(entry["objects"])


def test_a_method_that_cannot_inspect_is_refused(tmp_path):
    path = tmp_path / "control.yaml"
    path.write_text("{method: tiles, dataset: own}\n")
    with pytest.raises(DenfError, match="expected a method that can inspect"):
        decompose_pictures(build(load_experiment(path), 0), [], tmp_path / "out")
