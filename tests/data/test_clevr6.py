"""CLEVR6 from its TFRecord: pixels, labels, filter and splits against a plain reading."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from denf.data import ingest
from denf.data.example import parse_example
from denf.data.multi_objects import prepare_objects
from denf.data.multi_objects_files import CLEVR6, CLEVR10, CLEVR_RANGES
from denf.data.prepared import open_prepared
from denf.data.record_splits import RecordRange
from denf.data.tfrecord import read_records
from denf.data.write_records import example, frame, scene_record, strings
from denf.errors import DenfError

SAMPLE = Path(__file__).parents[3] / "shared/data/clevr_with_masks_sample.tfrecords"
needs_sample = pytest.mark.skipif(not SAMPLE.exists(), reason="the sample file is not here")
SAMPLE_RANGES = {
    "train": RecordRange(0, 20),
    "test": RecordRange(20, 26, scenes=2),
    "val": RecordRange(26),
}


def clevr_record(objects: int, seed: int) -> bytes:
    return scene_record(CLEVR10, objects, np.random.default_rng(seed))


def prepare_clevr6(path: Path, out: Path, size: int = 128, workers: int = 1, **ranges) -> None:
    prepare_objects(CLEVR6, path, out, size=size, workers=workers, ranges=ranges)


@pytest.fixture(scope="module")
def small_file(tmp_path_factory) -> Path:
    """Ten records with 1, 2, … 10 objects."""
    path = tmp_path_factory.mktemp("records") / "clevr.tfrecords"
    data = b"".join(clevr_record(objects, objects) for objects in range(1, 11))
    path.write_bytes(gzip.compress(data, 1))
    return path


def expected_scene(record, size: int) -> tuple[np.ndarray, np.ndarray]:
    features = parse_example(record)
    image = np.frombuffer(features["image"].tobytes(), np.uint8).reshape(240, 320, 3)
    box = (64, 29, 256, 221)
    picture = Image.fromarray(image).crop(box).resize((size, size), Image.Resampling.BILINEAR)
    labels = np.zeros((size, size), np.uint8)
    for k in range(1, 11):
        layer = np.frombuffer(features["mask"].tobytes(), np.uint8).reshape(11, 240, 320)[k]
        small = Image.fromarray(layer).crop(box).resize((size, size), Image.Resampling.NEAREST)
        labels[np.asarray(small) > 0] = k
    return np.asarray(picture), labels


def check_against_plain_reading(path: Path, out: Path, ranges, size: int) -> None:
    records = list(read_records(path))
    for split, chosen in ranges.items():
        part = records[chosen.start : chosen.stop]
        kept = [r for r in part if parse_example(r)["visibility"].sum() - 1 <= 6][: chosen.scenes]
        data = open_prepared(out / split)
        assert len(data) == len(kept) > 0
        assert data.size == size
        for k, record in enumerate(kept):
            image, labels = expected_scene(record, size)
            np.testing.assert_array_equal(data.images[k], image)
            np.testing.assert_array_equal(data.masks[k], labels)
        rows = list(csv.DictReader((out / split / "factors.csv").read_text().splitlines()))
        objects = [int(parse_example(r)["visibility"].sum()) - 1 for r in kept]
        assert len(rows) == sum(objects)
        assert [int(r["record"]) for r in rows if r["object"] == "1"] == [r.index for r in kept]
        last, features = rows[-1], parse_example(kept[-1])
        assert (int(last["scene"]), int(last["object"])) == (len(kept) - 1, objects[-1])
        assert int(last["color"]) == features["color"][objects[-1]]
        assert np.float32(last["x"]) == features["x"][objects[-1]]
        assert np.float32(last["pixel_y"]) == features["pixel_coords"][3 * objects[-1] + 1]


@needs_sample
@pytest.mark.parametrize("workers", [1, 2])
def test_sample_equals_a_plain_reading(tmp_path, workers):
    prepare_clevr6(SAMPLE, tmp_path / "clevr6", workers=workers, **SAMPLE_RANGES)
    check_against_plain_reading(SAMPLE, tmp_path / "clevr6", SAMPLE_RANGES, 128)


@pytest.mark.parametrize("size", [64, 192])
def test_small_file_equals_a_plain_reading(tmp_path, small_file, size):
    ranges = {"train": RecordRange(1, 4), "val": RecordRange(4)}
    prepare_clevr6(small_file, tmp_path / "c", size=size, **ranges, test=None)
    check_against_plain_reading(small_file, tmp_path / "c", ranges, size)
    assert not (tmp_path / "c/test").exists()


def test_description_states_the_rules(tmp_path, small_file):
    ranges = {"train": RecordRange(0, 3), "test": RecordRange(3, 8, scenes=2), "val": None}
    prepare_clevr6(small_file, tmp_path / "c", size=32, **ranges)
    info = open_prepared(tmp_path / "c/test").info
    assert info["split_rule"] == "records 3 to 7, the first 2 scenes kept, before the filter"
    assert info["filter"] == "at most 6 objects, the background not counted"
    assert info["crop"] == "rows 29:221, columns 64:256"
    assert info["resize"] == "images: Pillow bilinear, antialiased; masks: nearest"
    assert info["source"] == (
        "https://storage.googleapis.com/multi-object-datasets/clevr_with_masks/"
        "clevr_with_masks_train.tfrecords"
    )
    assert info["count"] == 2


def test_default_ranges_are_the_documented_ones():
    assert {split: str(records) for split, records in CLEVR_RANGES.items()} == {
        "train": "records 0 to 69999",
        "test": "records 70000 to 84999, the first 320 scenes kept",
        "val": "records 85000 to the end",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:70000", RecordRange(0, 70_000)),
        ("70000:85000:320", CLEVR_RANGES["test"]),
        ("85000:", CLEVR_RANGES["val"]),
        (":5", RecordRange(0, 5)),
    ],
)
def test_ranges_as_text(text, expected):
    assert RecordRange.parse(text) == expected


@pytest.mark.parametrize("text", ["", "5", "a:b", "1:2:3:4", "-1:5"])
def test_ranges_of_another_form_are_refused(text):
    with pytest.raises(DenfError, match="START:STOP"):
        RecordRange.parse(text)


def test_interrupted_preparation_continues_and_equals_the_uninterrupted(
    tmp_path, small_file, monkeypatch
):
    ranges = {"train": RecordRange(0, 5), "val": RecordRange(5), "test": None}
    monkeypatch.setattr(ingest, "_BATCH", 2)
    prepare_clevr6(small_file, tmp_path / "whole", size=32, **ranges)
    add = ingest.SceneWriter.add

    def interrupted(writer, scene):
        if writer.count == 4:
            raise KeyboardInterrupt
        add(writer, scene)

    monkeypatch.setattr(ingest.SceneWriter, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_clevr6(small_file, tmp_path / "c", size=32, **ranges)
    assert (tmp_path / "c/train.partial").exists()
    assert not (tmp_path / "c/train").exists()
    added = []
    monkeypatch.setattr(
        ingest.SceneWriter, "add", lambda writer, scene: (added.append(scene), add(writer, scene))
    )
    prepare_clevr6(small_file, tmp_path / "c", size=32, **ranges)
    assert len(added) == 2  # scenes 4 of train and 0 of val; four were there already
    for split in ("train", "val"):
        whole, resumed = (
            open_prepared(tmp_path / "whole" / split),
            open_prepared(tmp_path / "c" / split),
        )
        assert whole.sha256 == resumed.sha256
        assert (whole.folder / "factors.csv").read_bytes() == (
            resumed.folder / "factors.csv"
        ).read_bytes()


def test_clevr10_is_not_filtered(tmp_path, small_file):
    ranges = {"train": RecordRange(0), "val": None, "test": None}
    prepare_objects(CLEVR10, small_file, tmp_path / "c", size=32, ranges=ranges)
    data = open_prepared(tmp_path / "c/train")
    assert len(data) == 10
    assert (data.info["name"], data.info["filter"]) == ("clevr10", "none")


def test_a_split_finished_before_an_interruption_is_kept(tmp_path, small_file):
    ranges = {"train": RecordRange(0, 3), "val": RecordRange(3, 6), "test": None}
    prepare_clevr6(small_file, tmp_path / "c", size=32, **(ranges | {"val": None}))
    before = (tmp_path / "c/train/images.npy").stat().st_mtime_ns
    prepare_clevr6(small_file, tmp_path / "c", size=32, **ranges)
    assert (tmp_path / "c/train/images.npy").stat().st_mtime_ns == before
    assert len(open_prepared(tmp_path / "c/val")) == 3
    with pytest.raises(DenfError, match="output folder"):
        prepare_clevr6(small_file, tmp_path / "c", size=32, **ranges)
    for change in ({"train": RecordRange(0, 2)}, {"size": 64}):
        with pytest.raises(DenfError, match="other settings"):
            prepare_clevr6(small_file, tmp_path / "c", **({"size": 32} | ranges | change))


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({}, "split train: expected records 0 to 69999, got 6 scenes in a file of 10 records"),
        ({"train": RecordRange(0, 4), "val": RecordRange(3), "test": None}, "do not overlap"),
        ({"train": RecordRange(3, 3), "val": None, "test": None}, "one or more records"),
        ({"train": RecordRange(0, 2), "val": RecordRange(6), "test": None}, "got 0 scenes"),
    ],
)
def test_wrong_ranges_are_refused_and_nothing_remains(tmp_path, small_file, ranges, message):
    with pytest.raises(DenfError, match=message):
        prepare_clevr6(small_file, tmp_path / "c", size=32, **ranges)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_record_is_named_and_nothing_remains(tmp_path):
    good, bad = clevr_record(3, 0), bytearray(clevr_record(4, 1))
    bad[1_000_000] ^= 1
    path = tmp_path / "clevr.tfrecords"
    path.write_bytes(gzip.compress(good + bytes(bad), 1))
    with pytest.raises(DenfError, match=f"record 1 at byte {len(good)} "):
        prepare_clevr6(path, tmp_path / "c", train=RecordRange(0), val=None, test=None)
    assert list(tmp_path.iterdir()) == [path]


def test_another_data_set_is_refused(tmp_path):
    path = tmp_path / "sprites.tfrecords"
    path.write_bytes(frame(example({"image": strings(np.zeros(64 * 64 * 3, np.uint8))})))
    with pytest.raises(DenfError, match=r"record 0 .*'image': '230400 uint8'.*'mask': 'none'"):
        prepare_clevr6(path, tmp_path / "c", train=RecordRange(0), val=None, test=None)
    with pytest.raises(DenfError, match="Fetch it from"):
        prepare_clevr6(tmp_path / "none", tmp_path / "c")
