"""Specifications of data sets: what they check, which splits they name, what they prepare."""

from __future__ import annotations

import gzip
import os
import re
import shutil
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
        (
            {"source": "clevr6"},
            "datasets.d: the key url, the address of its file, or the key path, got",
        ),
        (
            {"source": "clevr6", "path": "f", "train": "5"},
            r"datasets\.d\.train: START:STOP, START:STOP:SCENES or none",
        ),
        ({"source": "clevr6", "path": "f", "size": 20}, "datasets.d.size: .*multiple of 8"),
        ({"source": "folder", **PICTURES, "size": 5000}, "datasets.d.size: 4096 or less, got 5000"),
        (
            {"source": "render", **LEAST["render"][0], "size": 520},
            "datasets.d.size: 512 or less, got 520",
        ),
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


def test_descriptions_of_sizes_name_the_limits():
    for source, (keys, _) in LEAST.items():
        text = dataset_types()[source].model_fields["size"].description
        least, most = re.search(r"from (\d+) to (\d+)\.", text).groups()
        for size in (least, most):
            assert dataset(source=source, **{**keys, "size": int(size)}).size == int(size)
        for size in (int(least) - 8, int(most) + 8):
            with pytest.raises(DenfError, match=r"datasets\.d\.size"):
                dataset(source=source, **{**keys, "size": size})


def test_a_seed_is_given_once():
    with pytest.raises(DenfError, match="seeds: each seed once"):
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


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six pictures in each of two folders, one of them with masks, and a zip of the first."""
    for name in ("a", "b", "masks"):
        (tmp_path / name / "inner").mkdir(parents=True)
        for k in range(6):
            mode = "L" if name == "masks" else "RGB"
            file = tmp_path / name / ("inner" if k > 3 else "") / f"{k}.png"
            Image.new(mode, (16, 16)).save(file)
    shutil.make_archive(str(tmp_path / "zip of a"), "zip", tmp_path / "a")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/9.png").symlink_to(tmp_path / "a/3.png")
    os.link(tmp_path / "a/2.png", tmp_path / "linked/8.png")
    return tmp_path


def examined(photos: Path, train: dict, test: dict) -> dict[str, int]:
    def under(pictures: dict) -> dict:
        places = {k: str(photos / v) for k, v in pictures.items() if k in ("images", "masks")}
        return {**pictures, **places}

    found = dataset(source="folder", train=under(train), test=under(test))
    return found.examine("p.yaml: datasets.d")


def test_splits_of_own_pictures_that_share_none_are_counted(photos):
    assert examined(photos, {"images": "a"}, {"images": "b", "masks": "masks"}) == {
        "train": 6,
        "test": 6,
    }
    # one folder, parts that do not overlap
    one = {"images": "a", "count": 4}, {"images": "link", "first": -2}
    assert examined(photos, *one) == {"train": 4, "test": 2}
    archive = {"images": "zip of a.zip", "count": 3}, {"images": "zip of a.zip", "first": 3}
    assert examined(photos, *archive) == {"train": 3, "test": 3}


@pytest.mark.parametrize(
    ("train", "test", "shared"),
    [
        ({"images": "a"}, {"images": "a"}, 6),
        ({"images": "a"}, {"images": "link"}, 6),
        ({"images": "a"}, {"images": "a/inner"}, 2),
        ({"images": "link/inner"}, {"images": "a"}, 2),
        ({"images": "a"}, {"images": "linked"}, 2),
        ({"images": "linked", "count": 1}, {"images": "a", "count": 3}, 1),
        ({"images": "a", "count": 4}, {"images": "a", "first": -3}, 1),
        ({"images": "zip of a.zip"}, {"images": "zip of a.zip", "first": 5}, 1),
    ],
)
def test_a_picture_that_is_trained_on_is_not_tested_on(photos, train, test, shared):
    expected = rf"datasets\.d\.test\.images: expected no picture of the .*, got {shared} of them"
    with pytest.raises(DenfError, match=expected):
        examined(photos, train, test)


def test_single_splits_are_not_prepared_of_shared_pictures_either(photos):
    same = {"images": str(photos / "a")}
    found = dataset(source="folder", train=same, test=same)
    with pytest.raises(DenfError, match="expected no picture of the training split, got 6"):
        found.prepare_split("train", photos / "out")
    assert not (photos / "out").exists()


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"images": "none"}, r"datasets\.d\.train\.images: expected a folder or a file, got no su"),
        ({"images": "a", "masks": "no"}, r"datasets\.d\.train\.masks: expected .* Check the path"),
        (
            {"images": "linked", "first": 2},
            r"datasets\.d\.train: pictures of .*: expected a part of",
        ),
        ({"images": "a", "masks": "linked"}, r"datasets\.d\.train: .*: expected one "),
    ],
)
def test_errors_of_own_pictures_name_the_key(photos, train, message):
    with pytest.raises(DenfError, match=rf"^p\.yaml: {message}"):
        examined(photos, train, {"images": "b"})


PUBLISHED = {"source": "clevr6", "url": "https://example.org/f"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "clevr6", "path": "none"}, r"p: d\.path: expected a folder or a file, got no "),
        ({"source": "clevrtex", "path": "none"}, r"p: d\.path: expected a folder or a file"),
        ({"source": "real-traffic", "path": "none.zip"}, r"p: d\.path: .* path: none\.zip\."),
        ({**PUBLISHED, "mirror": "none"}, r"p: d\.mirror: expected a folder, a file or an address"),
        (
            {**PUBLISHED, "train": "0:10", "test": "9:20"},
            r"p: d: split test: .* after those of train",
        ),
        ({**PUBLISHED, "test": "5:3"}, r"p: d: split test: expected one or more records"),
        ({**PUBLISHED, "train": "0:80000"}, r"p: d: split test: .*after those of train"),
    ],
)
def test_sources_on_this_machine_are_looked_for(changes, message):
    with pytest.raises(DenfError, match=message):
        dataset(**changes).examine("p: d")


def test_most_images_of_a_split_follow_from_its_records():
    found = dataset(**PUBLISHED, mirror="https://example.org/m", test="70000:85000:5", val="none")
    assert found.examine("p") == {"train": 70_000, "test": 5}


@pytest.mark.parametrize("url", ["ftp://example.org/f", "f.zip", "https://example.org/", ""])
def test_addresses_that_name_no_file_of_the_web_are_refused(url):
    with pytest.raises(DenfError, match=r"datasets\.d\.url: an address that begins with http"):
        dataset(source="clevr6", url=url)
