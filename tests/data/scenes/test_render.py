"""Rendering to the prepared format: the same bytes from any run."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from denf.cli import app
from denf.data.prepared import open_prepared
from denf.data.scenes import render as module
from denf.data.scenes.render import draw, render, scene
from denf.errors import DenfError

FILES = {"images.npy", "masks.npy", "factors.csv", "dataset.json"}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["clevr6", "traffic"])
def test_prepared_set_holds_the_scenes(kind, tmp_path):
    render(kind, count=5, size=24, seed=1, out=tmp_path / "set", split="val", first=7)
    data = open_prepared(tmp_path / "set")
    assert data.images.shape == (5, 24, 24, 3)
    alone = draw(kind, [scene(kind, 1, 9)], 24)
    np.testing.assert_array_equal(data.images[2], alone.images[0])
    np.testing.assert_array_equal(data.masks[2], alone.masks[0])
    with (tmp_path / "set" / "factors.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {int(row["scene"]) for row in rows} == set(range(5)), "rows of images.npy"
    counts = [len(scene(kind, 1, i).factors) for i in range(7, 12)]
    assert len(rows) == sum(counts)
    info = data.info
    assert (info["name"], info["split"], info["seed"], info["first"]) == (kind, "val", 1, 7)
    assert info["licence"] == "MIT"
    assert info["crop"]
    assert info["resize"]


def test_workers_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 4)
    for workers in (1, 2):
        render("clevr6", count=10, size=16, seed=0, out=tmp_path / str(workers), workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert contents(tmp_path / "1").keys() == FILES


@pytest.mark.parametrize("kind", ["clevr6", "traffic"])
def test_scenes_without_objects_lie_beside_the_same_scenes(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)
    for workers in (1, 2):
        out = tmp_path / str(workers)
        render(kind, count=3, size=16, seed=1, out=out, workers=workers, empty=True)
    render(kind, count=3, size=16, seed=1, out=tmp_path / "plain")
    made, plain = contents(tmp_path / "1"), contents(tmp_path / "plain")
    assert made == contents(tmp_path / "2")
    assert made.keys() == {*FILES, "empty.npy"}
    for name in ("images.npy", "masks.npy", "factors.csv"):
        assert made[name] == plain[name]
    data = open_prepared(tmp_path / "1")
    drawn = draw(kind, [scene(kind, 1, 2).without_objects()], 16)
    np.testing.assert_array_equal(data.empty[2], drawn.images[0])
    assert not drawn.masks.any()


def test_the_command_renders_scenes_without_objects_when_asked(tmp_path):
    for name, options in (("with", ["--empty"]), ("without", [])):
        words = ["data", "render", "traffic", "--count", "1", "--size", "16", "--out"]
        done = CliRunner().invoke(app, [*words, str(tmp_path / name), *options])
        assert done.exit_code == 0, done.output
    assert open_prepared(tmp_path / "with").empty.shape == (1, 16, 16, 3)
    assert open_prepared(tmp_path / "without").empty is None


@pytest.mark.parametrize("empty", [False, True])
def test_an_interrupted_run_continues(tmp_path, monkeypatch, empty):
    monkeypatch.setattr(module, "BATCH", 3)
    options = {"count": 8, "size": 16, "seed": 0, "empty": empty}
    render("traffic", out=tmp_path / "whole", **options)
    made, real = [], module.draw

    def stops(kind, layouts, *rest, **more):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(len(layouts))
        return real(kind, layouts, *rest, **more)

    monkeypatch.setattr(module, "draw", stops)
    with pytest.raises(KeyboardInterrupt):
        render("traffic", out=tmp_path / "broken", **options)
    assert not (tmp_path / "broken").exists()
    progress = json.loads((tmp_path / "broken.partial" / "progress.json").read_text())
    assert progress["count"] == 6
    made.clear()
    made.append(0)
    render("traffic", out=tmp_path / "broken", **options)
    assert made == [0, 2]
    assert contents(tmp_path / "whole") == contents(tmp_path / "broken")


@pytest.mark.parametrize(
    ("name", "value"), [("count", 0), ("size", 8), ("seed", -1), ("workers", 0), ("first", -1)]
)
def test_bad_arguments_are_named(name, value, tmp_path):
    options = {"count": 1, "size": 16, "seed": 0} | {name: value}
    with pytest.raises(DenfError, match=name):
        render("clevr6", out=tmp_path / "set", **options)
    assert not list(tmp_path.iterdir())


def test_unknown_kind_is_named(tmp_path):
    with pytest.raises(DenfError, match="moon"):
        render("moon", count=1, size=16, seed=0, out=tmp_path / "set")
