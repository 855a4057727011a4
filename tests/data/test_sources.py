"""Specifications of data sets: what they check, which splits they name, what they prepare."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from denf.data.multi_objects_files import CLEVR6
from denf.data.prepared import open_prepared
from denf.data.scenes.render import render
from denf.data.sources.published import published_name
from denf.data.write_records import scene_record
from denf.documentation.documents import dataset_types
from denf.errors import DenfError
from denf.harness.protocol import check_protocol, find_dataset, read_protocol

ROOT = Path(__file__).parents[2]
PICTURES = {"train": {"images": "a"}, "test": {"images": "b", "masks": "c"}}
# The least keys of every source beside `id`, `size` and `source`, and the splits that follow.
THREE, TWO = ("train", "val", "test"), ("train", "test")
LEAST = {
    "render": ({"kind": "clevr6", "train": 3, "test": 2}, TWO),
    "folder": (PICTURES, TWO),
    "clevr6": ({"path": "f"}, THREE),
    "clevr10": ({"url": "https://example.org/f"}, THREE),
    "multi-dsprites": ({"path": "f", "variant": "binarized"}, THREE),
    "tetrominoes": ({"path": "f"}, THREE),
    "objects-room": ({"path": "f"}, THREE),
    "clevrtex": ({"path": "f"}, THREE),
    "real-traffic": ({"path": "f"}, TWO),
}


def protocol(**values):
    """A protocol of one data set."""
    data = {"id": "d", "size": 16, **values}
    fid = {"samples": 2, "extractor": "random-conv-v1"}
    return {"protocol": "own", "seeds": [0], "fid": fid, "datasets": {"d": data}}


def dataset(**values):
    return check_protocol(protocol(**values), where="p.yaml").datasets["d"]


def test_protocols_are_checked_without_what_reads_images():
    code = (
        "import sys, denf.harness.protocol\n"
        "print([m for m in ('torch', 'numpy', 'PIL', 'requests') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_source_needs_few_keys():
    assert LEAST.keys() == dataset_types().keys()
    for source, (keys, splits) in LEAST.items():
        found = dataset(source=source, **keys)
        assert found.splits == splits
        assert found.has_masks == (source != "real-traffic")
        assert found.training_images == (3 if source == "render" else None)


@pytest.mark.parametrize("name", ["config", "ci", "paper", "reference"])
def test_data_sets_of_the_protocols_are_found_by_key(name):
    file = ROOT / f"config/{name}.yaml"
    protocol = read_protocol(file)
    for key, values in protocol["datasets"].items():
        found = find_dataset(key, protocol, where=str(file))
        assert (found.id, found.size) == (values["id"], values["size"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "clevr7"}, "expected the key datasets.d.source, one of render, folder, clevr6"),
        ({}, "expected the key datasets.d.source, one of .*, got nothing"),
        ({"source": "render", "kind": "clevr6", "test": 1}, "expected the key datasets.d.train"),
        (
            {"source": "clevrtex", "path": "f", "colour": 1},
            "only the keys id, size, validation, source, path, variant, got datasets.d.colour: 1",
        ),
        ({"source": "clevr6"}, "datasets.d: the key url or the key path is required"),
        ({"source": "clevr6", "path": "f", "train": "5"}, r"datasets\.d\.train: .*pattern"),
        ({"source": "clevr6", "path": "f", "size": 20}, "datasets.d.size: .*multiple of 8"),
        ({"source": "clevrtex", "path": "f", "variant": "outd"}, "a training and a test split"),
        (
            {"source": "real-traffic", "path": "f", "test_videos": 3},
            "train_videos and test_videos are given together or not at all",
        ),
        (
            {"source": "folder", **PICTURES, "test": {"images": "b", "mask": "c"}},
            "only the keys images, masks, first, count, got datasets.d.test.mask: 'c'",
        ),
    ],
)
def test_a_mistake_names_key_value_and_what_is_allowed(changes, message):
    with pytest.raises(DenfError, match=message):
        dataset(**changes)


def test_a_seed_is_given_once():
    with pytest.raises(DenfError, match="seeds: each seed is given once"):
        check_protocol({**protocol(source="clevr6", path="f"), "seeds": [0, 1, 0]}, where="p.yaml")


def test_splits_follow_records_and_variant():
    some = dataset(source="clevr6", path="f", val="none")
    assert some.splits == TWO
    with pytest.raises(DenfError, match="got the splits test"):
        dataset(source="objects-room", path="f", variant="six_objects")
    given = {"variant": "six_objects", "train": "0:5", "test": "5:"}
    assert dataset(source="objects-room", path="f", **given).splits == TWO


def test_validation_scenes_are_rendered_after_those_that_are_trained_on(tmp_path):
    found = dataset(source="render", kind="clevr6", seed=3, train=2, validation=1, test=1)
    assert found.splits == THREE
    found.prepare_split("val", tmp_path / "val")
    render("clevr6", count=3, size=16, seed=6, out=tmp_path / "three")
    made = open_prepared(tmp_path / "val").images
    assert (made == open_prepared(tmp_path / "three").images[2:]).all()


def test_validation_scenes_of_published_sets_are_there_anyway_and_need_masks():
    published = dataset(source="clevr6", path="f", validation=32)
    assert published.content() == dataset(source="clevr6", path="f").content()
    for source in ("folder", "real-traffic"):
        with pytest.raises(DenfError, match="no split `val` with masks"):
            dataset(source=source, **LEAST[source][0], validation=32)


def test_content_does_not_depend_on_where_the_file_lies():
    one = dataset(source="clevr6", url="https://example.org/f", sha256="0" * 64)
    other = dataset(source="clevr6", path="elsewhere", mirror="m", bytes=3)
    assert one.content() == other.content()
    assert one.content() != dataset(source="clevr6", path="f", test="70000:85000").content()


def test_names_of_published_files():
    assert published_name("https://example.org/a/my%20cars.zip?dl=1") == "my cars.zip"


def test_rendered_splits_have_seeds_of_their_own(tmp_path):
    found = dataset(source="render", kind="traffic", seed=3, train=2, test=1)
    found.prepare(tmp_path / "all")
    found.prepare_split("test", tmp_path / "test")
    render("traffic", count=2, size=16, seed=6, out=tmp_path / "train", split="train")
    made = [open_prepared(tmp_path / f"all/{split}") for split in TWO]
    alone = [open_prepared(tmp_path / split) for split in TWO]
    assert [data.sha256 for data in made] == [data.sha256 for data in alone]
    assert [data.info for data in made] == [data.info for data in alone]
    assert [data.info["seed"] for data in made] == [6, 7]
    assert [data.empty is None for data in made] == [True, False]
    with pytest.raises(DenfError, match="expected one of train, test, got val"):
        found.prepare_split("val", tmp_path / "val")
    with pytest.raises(DenfError, match="the source is not a published file"):
        found.located(tmp_path, tmp_path)


def test_own_pictures_have_the_name_of_the_data_set(tmp_path):
    for name, value in (("a", 10), ("b", 20)):
        (tmp_path / name).mkdir()
        for k in range(3):
            Image.new("RGB", (20, 16), (value, k, 0)).save(tmp_path / name / f"{k}.png")
    pictures = {"train": {"images": str(tmp_path / "a"), "first": -2}}
    pictures["test"] = {"images": str(tmp_path / "b"), "count": 1}
    found = dataset(source="folder", licence="CC0", **pictures)
    assert not found.has_masks
    assert found.own_files("test") == [str(tmp_path / "b")]
    found.prepare(tmp_path / "d")
    train, test = (open_prepared(tmp_path / "d" / split) for split in TWO)
    assert (len(train), len(test)) == (2, 1)
    assert train.images[:, 0, 0, 1].tolist() == [1, 2]
    assert {(d.info["name"], d.info["licence"]) for d in (train, test)} == {("d", "CC0")}


def test_a_published_file_is_fetched_where_no_path_is_given(tmp_path):
    rng = np.random.default_rng(0)
    records = b"".join(scene_record(CLEVR6, 2, rng) for _ in range(4))
    (tmp_path / "f.tfrecords").write_bytes(gzip.compress(records, 1))
    found = dataset(
        source="clevr6",
        url="http://127.0.0.1:9/f.tfrecords",  # nobody answers
        mirror=str(tmp_path),
        train="0:3",
        val="none",
        test="3:",
    )
    with pytest.raises(DenfError, match="expected its published file on this machine"):
        found.prepare(tmp_path / "d")
    located = found.located(None, tmp_path / "downloads")
    assert located.path == str(tmp_path / "downloads/d/f.tfrecords")
    assert located.content() == found.content()
    located.prepare(tmp_path / "d", workers=3)
    assert [len(open_prepared(tmp_path / "d" / split)) for split in TWO] == [3, 1]
    assert not (tmp_path / "d/val").exists()
    with pytest.raises(DenfError, match="all its splits are made in one pass"):
        located.prepare_split("train", tmp_path / "e")
    other = found.located(tmp_path / "f.tfrecords", tmp_path / "none")
    assert other.path == str(tmp_path / "f.tfrecords")
