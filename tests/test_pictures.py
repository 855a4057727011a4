"""Pictures through a released model: the interface, and every file that `denf decompose` writes."""

from __future__ import annotations

import doctest
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import denf
from denf.data.prepared import open_prepared
from denf.data.scenes.render import render
from denf.errors import DenfError
from denf.harness.checkpoint import build
from denf.harness.experiment import load_experiment
from denf.harness.method import Method
from denf.overlay import SIDE
from denf.palette import instance_bytes
from denf.pictures.batch import decompose_sources
from denf.pictures.run import BATCH, TrainedRun
from denf.pictures.sources import find_sources

ROOT = Path(__file__).parents[1]
RUN = ROOT / "results/reference/denf-traffic"


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


@pytest.fixture(scope="module")
def run() -> TrainedRun:
    return denf.load(RUN)


@pytest.fixture(scope="module")
def method(run) -> Method:
    return run.method


@pytest.fixture(scope="module")
def scenes(run, tmp_path_factory) -> np.ndarray:
    folder = tmp_path_factory.mktemp("scenes") / "test"
    render("traffic", count=BATCH + 2, size=run.size, seed=7, out=folder, split="test")
    return np.array(open_prepared(folder).images)


@pytest.fixture(scope="module")
def decomposed(run, scenes, tmp_path_factory):
    """One scene as it is, in the middle of a wider picture, and in a picture twice as large."""
    folder, size = tmp_path_factory.mktemp("decomposed"), run.size
    wide = np.full((size, size + 50, 3), 90, np.uint8)
    wide[:, 25:-25] = scenes[0]
    arrays = {"plain": scenes[0], "wide": wide, "large": wide.repeat(2, 0).repeat(2, 1)}
    for name, array in arrays.items():
        Image.fromarray(array).save(folder / f"{name}.png")
    pictures = [folder / f"{name}.png" for name in arrays]
    entries, errors = decompose_sources(run, find_sources(pictures), folder / "out")
    assert errors == []
    return entries


def test_importing_denf_does_not_import_torch():
    code = "import sys, denf; assert 'load' in dir(denf); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    with pytest.raises(AttributeError, match="has no attribute 'lood'"):
        denf.lood  # noqa: B018


def test_the_stub_names_what_the_module_offers():
    stub = Path(denf.__file__).with_suffix(".pyi").read_text()
    for name in denf.__all__:
        assert f"{name} as {name}" in stub
        assert getattr(denf, name).__doc__


def test_a_result_holds_what_was_found(run, method, scenes):
    result = run.decompose(scenes[0])
    count, size = len(result), run.size
    assert count > 1
    assert repr(result) == f"PictureDecomposition({count} objects, {size} × {size} pixels)"
    np.testing.assert_array_equal(result.image, scenes[0])
    assert set(np.unique(result.labels)) == set(range(count + 1))
    assert result.boxes.shape == result.boxes_in_picture.shape == (count, 4)
    assert ((result.scores >= 0.5) & (result.scores <= 1)).all()  # cells are present above a half
    assert result.background.shape == (size, size, 3)
    assert result.objects.shape == (count, size, size, 4)
    for k, cut_out in enumerate(result.objects):
        own = result.labels == k + 1
        np.testing.assert_array_equal(cut_out[..., 3], 255 * own)
        np.testing.assert_array_equal(cut_out[own][:, :3], scenes[0][own])
    assert result.overlay().size == (SIDE, SIDE)
    assert result._repr_png_().startswith(b"\x89PNG")
    images = torch.from_numpy(scenes[:1]).permute(0, 3, 1, 2)
    np.testing.assert_array_equal(method.segment(images).labels[0] > 0, result.labels > 0)


def test_every_form_of_a_picture_gives_the_same_result(run, scenes, tmp_path):
    scene, path = scenes[0], tmp_path / "scene.png"
    Image.fromarray(scene).save(path)
    channels_first = torch.from_numpy(scene).permute(2, 0, 1)
    forms = [path, str(path), Image.fromarray(scene), scene, channels_first, channels_first / 255]
    first, *others = run.decompose_all(forms)
    for other in others:
        np.testing.assert_array_equal(other.image, scene)
        np.testing.assert_array_equal(other.labels, first.labels)
        np.testing.assert_allclose(other.boxes, first.boxes, atol=1e-3)


def test_the_lines_in_the_readme_run(run, scenes, tmp_path, monkeypatch):
    (lines,) = re.findall(r"^```pycon\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    example = doctest.DocTestParser().get_doctest(lines, {}, "README.md", None, 0)
    (tmp_path / "results").symlink_to(ROOT / "results")
    Image.fromarray(scenes[0]).save(tmp_path / "scene.png")
    monkeypatch.chdir(tmp_path)
    done = doctest.DocTestRunner().run(example, clear_globs=False)
    assert (done.attempted, done.failed) == (3, 0)
    for name in ("labels", "boxes", "scores", "objects", "background", "overlay"):
        assert hasattr(example.globs["result"], name)


def test_settings_scores_history_and_samples(run):
    assert run.settings.architecture.features == 16
    assert run.experiment.method == "denf"
    assert run.scores["ari_fg"]["mean"] == json.loads((RUN / "metrics.json").read_text())[
        "ari_fg"
    ]["mean"]  # fmt: skip
    assert run.scores["fid"]["samples"] > 0
    assert [row["step"] for row in run.history] == sorted(row["step"] for row in run.history)
    drawn = run.sample(2, seed=3)
    assert drawn.shape == (2, run.size, run.size, 3)
    np.testing.assert_array_equal(drawn, run.sample(2, seed=3))
    assert (drawn != run.sample(2, seed=4)).any()


def test_every_file_agrees_with_the_labels(method, scenes, decomposed):
    entry = decomposed[0]
    folder, objects = Path(entry["folder"]), entry["objects"]
    assert json.loads((folder / "objects.json").read_text()) == entry
    assert len(objects) > 1
    assert [o["number"] for o in objects] == list(range(1, len(objects) + 1))
    assert {path.name for path in folder.iterdir()} == {
        *("input.png", "labels.png", "background.png", "overlay.png", "objects.json"),
        *(o["file"] for o in objects),
        *(o["cut_out"] for o in objects),
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
        cut_out = pixels(folder / entry["cut_out"])
        np.testing.assert_array_equal(cut_out[..., 3], 255 * own)
        np.testing.assert_array_equal(cut_out[own][:, :3], image[own])


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
    run = denf.load(RUN)
    encode, shown = run.method.model.encode, []
    monkeypatch.setattr(run.method.model, "encode", lambda x: shown.append(len(x)) or encode(x))
    pictures = [tmp_path / f"{k:02d}.png" for k in range(len(scenes))]
    for path, scene in zip(pictures, scenes, strict=True):
        Image.fromarray(scene).save(path)
    together, _ = decompose_sources(run, find_sources([tmp_path]), tmp_path / "out")
    assert shown == [BATCH, 2]
    (alone,), _ = decompose_sources(run, find_sources(pictures[-1:]), tmp_path / "alone")
    assert alone["picture"] == together[-1]["picture"] == str(pictures[-1])
    areas = [[o["area"] for o in entry["objects"]] for entry in (alone, together[-1])]
    assert areas[0] == areas[1]


def test_objects_of_an_earlier_call_go_and_no_temporary_file_stays(run, scenes, tmp_path):
    Image.fromarray(scenes[0]).save(tmp_path / "scene.png")
    folder = tmp_path / "out/scene"
    folder.mkdir(parents=True)
    for name in ("object-99.png", "cut-out-99.png", "mine.png"):
        (folder / name).write_bytes(b"earlier")
    sources = find_sources([tmp_path / "scene.png"])
    (entry,), _ = decompose_sources(run, sources, tmp_path / "out")
    names = {path.name for path in folder.iterdir()}
    assert names.isdisjoint({"object-99.png", "cut-out-99.png"})
    assert "mine.png" in names
    assert not any(name.endswith(".tmp") for name in names)
    assert sum(name.startswith("object-") for name in names) == len(entry["objects"])


def test_a_bad_picture_does_not_stop_the_others(run, scenes, tmp_path):
    Image.fromarray(scenes[0]).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:300])  # cut short
    (tmp_path / "c.png").write_bytes(b"nothing")
    Image.fromarray(scenes[1]).save(tmp_path / "d.png")
    sources = find_sources([tmp_path, tmp_path / "none.png"])
    entries, errors = decompose_sources(run, sources, tmp_path / "out")
    assert [Path(entry["picture"]).name for entry in entries] == ["a.png", "d.png"]
    assert [str(error).split(":")[0].rpartition("/")[2] for error in errors] == [
        "b.png", "c.png", "none.png",
    ]  # fmt: skip
    assert {path.name for path in (tmp_path / "out" / tmp_path.name).iterdir()} == {"a", "d"}
    assert not any(" at 0x" in str(error) for error in errors)


def test_a_folder_of_results_that_cannot_be_written_is_refused_first(run, scenes, tmp_path):
    for name in ("a.png", "b.png"):
        Image.fromarray(scenes[0]).save(tmp_path / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/b").touch()
    with pytest.raises(DenfError, match=r"output folder .*/out/b: .* got a file"):
        decompose_sources(
            run, find_sources([tmp_path / "a.png", tmp_path / "b.png"]), tmp_path / "out"
        )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]


def test_an_empty_folder_does_not_stop_the_others(run, scenes, tmp_path):
    (tmp_path / "empty").mkdir()
    Image.fromarray(scenes[0]).save(tmp_path / "a.png")
    sources = find_sources([tmp_path / "empty", tmp_path / "a.png"])
    entries, (error,) = decompose_sources(run, sources, tmp_path / "out")
    assert [Path(entry["picture"]).name for entry in entries] == ["a.png"]
    assert f"folder {tmp_path}/empty: expected PNG" in str(error)


ONE = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize("one", ["x.png", Path("x.png"), Image.fromarray(ONE), ONE, 5], ids=type)
def test_one_picture_in_place_of_several_is_refused(run, one):
    with pytest.raises(DenfError, match="pictures: expected several pictures, got one "):
        run.decompose_all(one)
    assert len(run.decompose_all(np.zeros((2, 8, 8, 3), np.uint8))) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [*(("count", v) for v in (0, -1, 2.5, "two", True, None, 10**12)),
     *(("seed", v) for v in (-1, "a", 10**20, 1.0))],
)  # fmt: skip
def test_samples_are_refused_for_what_is_no_number_of_them(run, name, value):
    with pytest.raises(DenfError, match=f"^sample, {name}: expected a whole number from "):
        run.sample(**{"count": 1, name: value})


@pytest.mark.parametrize("path", [5, None, b"run"])
def test_a_run_is_a_path(path):
    with pytest.raises(DenfError, match=r"^run folder: expected a path, got "):
        denf.load(path)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", 3.5])
def test_a_device_that_cannot_be_used_is_refused(device):
    with pytest.raises(DenfError, match="expected one that can be used, got "):
        denf.load(RUN, device)


def test_a_method_that_cannot_inspect_is_refused(tmp_path):
    path = tmp_path / "control.yaml"
    path.write_text("{method: tiles, dataset: own}\n")
    experiment = load_experiment(path)
    control = TrainedRun(tmp_path, build(experiment, 0), experiment)
    with pytest.raises(DenfError, match="expected a method that can inspect"):
        decompose_sources(control, [], tmp_path / "out")
    with pytest.raises(DenfError, match="expected a method that can inspect"):
        control.decompose(np.zeros((8, 8, 3), np.uint8))
    assert control.scores == {}
    assert control.history == []
