"""The files of Multi-Object Datasets: every layout against a decode of its own, bad files, fuzz."""

from __future__ import annotations

import csv
import gzip
import json
import random
import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from denf.data.bench import bench_clevr6
from denf.data.multi_objects import ObjectsFile, prepare_objects
from denf.data.multi_objects_files import (
    CLEVR6,
    CLEVR10,
    MULTI_DSPRITES,
    OBJECTS_ROOM,
    TETROMINOES,
    Room,
    Sprites,
)
from denf.data.prepared import open_prepared
from denf.data.record_splits import RecordRange
from denf.data.write_records import example, frame, scene_record, strings
from denf.errors import DenfError

SAMPLE = Path(__file__).parents[3] / "shared/data/clevr_with_masks_sample.tfrecords"
FILES = [
    *MULTI_DSPRITES.values(),
    TETROMINOES,
    *OBJECTS_ROOM.values(),
    replace(CLEVR10, rows=(24, 216)),
]
WHOLE = {"train": RecordRange(0), "val": None, "test": None}


def fields(data: bytes) -> list[tuple[int, bytes]]:
    """Numbers and contents of the length-delimited fields of a protobuf message."""
    found, at = [], 0
    while at < len(data):
        match = re.compile(rb"(.)([\x80-\xff]*[\x00-\x7f])", re.DOTALL).match(data, at)
        size = sum((byte & 127) << 7 * k for k, byte in enumerate(match[2]))
        found.append((match[1][0] >> 3, data[match.end() : match.end() + size]))
        at = match.end() + size
    return found


def payloads(path: Path) -> list[bytes]:
    data, found, at = gzip.decompress(path.read_bytes()), [], 0
    while at < len(data):
        size = struct.unpack_from("<Q", data, at)[0]
        found.append(data[at + 12 : at + 12 + size])
        at += 16 + size
    return found


def decode(payload: bytes) -> dict[str, np.ndarray]:
    """Features of an Example, by other means than the reader's."""
    features = {}
    [(_, entries)] = fields(payload)
    for _, entry in fields(entries):
        (_, name), (_, feature) = fields(entry)
        [(kind, values)] = fields(feature)
        if kind == 1:
            values = b"".join(re.findall(rb"\x0a\x01(.)", values, re.DOTALL))
            features[name.decode()] = np.frombuffer(values, np.uint8)
        else:
            features[name.decode()] = np.frombuffer(fields(values)[0][1], "<f4")
    return features


def expected_scene(file: ObjectsFile, features, size: int) -> tuple[np.ndarray, np.ndarray]:
    top, bottom = file.rows or (0, file.height)
    left, right = file.columns or (0, file.width)
    pixels = features["image"].reshape(file.height, file.width, file.channels)
    if file.channels == 1:
        pixels = np.concatenate([pixels] * 3, axis=2)
    picture = Image.fromarray(pixels).crop((left, top, right, bottom))
    labels = np.zeros((size, size), np.uint8)
    for layer in range(file.background, file.layers):
        if file.layers_last:
            mask = features["mask"].reshape(file.height, file.width, file.layers)[:, :, layer]
        else:
            mask = features["mask"].reshape(file.layers, file.height, file.width)[layer]
        small = Image.fromarray(np.ascontiguousarray(mask)).crop((left, top, right, bottom))
        small = small.resize((size, size), Image.Resampling.NEAREST)
        labels[np.asarray(small) > 0] = layer - file.background + 1
    resized = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized), labels


def write(path: Path, file: ObjectsFile, objects: list[int]) -> Path:
    rng = np.random.default_rng(7)
    path.write_bytes(gzip.compress(b"".join(scene_record(file, n, rng) for n in objects), 1))
    return path


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_layout_equals_another_decode(tmp_path, file):
    most = file.layers - file.background
    objects = [most, max(0, most - 1), most]
    path = write(tmp_path / "f", file, objects)
    prepare_objects(file, path, tmp_path / "out", ranges=WHOLE)
    data = open_prepared(tmp_path / "out/train")
    assert (len(data), data.size) == (3, file.size)
    assert (
        data.info["source"] == f"https://storage.googleapis.com/multi-object-datasets/{file.path}"
    )
    decoded = [decode(payload) for payload in payloads(path)]
    for k, features in enumerate(decoded):
        image, labels = expected_scene(file, features, file.size)
        np.testing.assert_array_equal(data.images[k], image)
        np.testing.assert_array_equal(data.masks[k], labels)
    table = data.folder / "factors.csv"
    rows = list(csv.DictReader(table.read_text().splitlines())) if most else []
    assert table.exists() == bool(rows)
    if not file.reals:  # no visibility: objects that are wholly covered do not count
        rows_of_0 = [r for r in rows if r["scene"] == "0"]
        assert {int(r["object"]) for r in rows_of_0} >= set(np.unique(data.masks[0])) - {0}
        return
    assert [int(r["object"]) for r in rows] == [k + 1 for n in objects for k in range(n)]
    last, features = rows[-1], decoded[-1]
    layer = int(last["object"]) + file.background - 1
    for name, columns in file.reals.items():
        for k, column in enumerate(columns):
            assert np.float32(last[column]) == features[name][layer * len(columns) + k]
    for name in file.codes:
        assert int(last[name]) == features[name][layer]


def test_counts_of_objects_are_those_of_the_masks(tmp_path):
    path = write(tmp_path / "f", CLEVR6, [1, 3, 3, 9])
    prepare_objects(CLEVR6, path, tmp_path / "out", size=16, ranges=WHOLE)
    data = open_prepared(tmp_path / "out/train")
    counts = [len(np.unique(mask[mask > 0])) for mask in data.masks]
    expected = {str(n): counts.count(n) for n in sorted(set(counts))}
    assert data.info["objects_per_scene"] == expected
    assert data.info["count"] == len(counts) == 3


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample file is not here")
def test_a_random_scene_of_the_sample_equals_another_decode(tmp_path):
    prepare_objects(CLEVR6, SAMPLE, tmp_path / "out", ranges=WHOLE)
    rows = csv.DictReader((tmp_path / "out/train/factors.csv").read_text().splitlines())
    records = {int(row["scene"]): int(row["record"]) for row in rows}
    scene = random.randrange(len(records))
    image, labels = expected_scene(CLEVR6, decode(payloads(SAMPLE)[records[scene]]), 128)
    data = open_prepared(tmp_path / "out/train")
    np.testing.assert_array_equal(data.images[scene], image, f"scene {scene}")
    np.testing.assert_array_equal(data.masks[scene], labels, f"scene {scene}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": None}, r"record 1 at byte \d+ .*'mask': '4900 uint8'.* got .*'mask': 'none'"),
        ({"image": np.zeros(3600, np.uint8)}, r"record 1 .*'image': '3675 uint8'.*'3600 uint8'"),
        ({"shape": np.zeros(4, np.uint8)}, r"record 1 .*'shape': '4 float32'.*'4 uint8'"),
    ],
)
def test_a_wrong_feature_is_named_with_record_and_offset(tmp_path, change, message):
    good = scene_record(TETROMINOES, 3, np.random.default_rng(0))
    features = {"mask": strings(np.zeros(4900, np.uint8))}
    features |= {name: strings(v) for name, v in change.items() if v is not None}
    features = {name: value for name, value in features.items() if change.get(name, 0) is not None}
    path = tmp_path / "f"
    path.write_bytes(gzip.compress(good + frame(example(features))))
    with pytest.raises(DenfError, match=message):
        prepare_objects(TETROMINOES, path, tmp_path / "out", ranges=WHOLE)
    assert list(tmp_path.iterdir()) == [path]


SMALL = b"".join(scene_record(TETROMINOES, 3, np.random.default_rng(k)) for k in range(3))
BYTES = {True: gzip.compress(SMALL), False: SMALL}


@st.composite
def damaged(draw, data: bytes) -> bytes:
    """The file with a bit flipped, a part lost, or bytes put in."""
    at = draw(st.integers(0, len(data) - 1) | st.integers(0, 40) | st.just(len(data) - 1))
    match draw(st.sampled_from(["flip", "cut", "lose", "insert"])):
        case "flip":
            return data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
        case "cut":
            return data[:at]
        case "lose":
            return data[:at] + data[at + draw(st.integers(1, 30)) :]
    return data[:at] + draw(st.binary(min_size=1, max_size=30)) + data[at:]


@pytest.mark.parametrize("zipped", [True, False])
@given(data=st.data())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_file_gives_the_same_scenes_or_a_named_error(tmp_path_factory, data, zipped):
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "f"
    path.write_bytes(data.draw(damaged(BYTES[zipped])))
    # a plain file may end between records: only the number of records tells that some are lost
    ranges = {**WHOLE, "train": RecordRange(0, 3)}
    message = None
    try:
        prepare_objects(TETROMINOES, path, folder / "out", size=35, ranges=ranges)
    except DenfError as error:
        message = str(error)
    if message is not None:
        assert str(path) in message
        assert list(folder.iterdir()) == [path]
        return
    prepared = open_prepared(folder / "out/train")
    for k in range(3):
        record = scene_record(TETROMINOES, 3, np.random.default_rng(k))
        image, labels = expected_scene(TETROMINOES, decode(record[12:-4]), 35)
        np.testing.assert_array_equal(prepared.images[k], image)
        np.testing.assert_array_equal(prepared.masks[k], labels)


def test_benchmark_is_json_and_prepares_its_file():
    line = bench_clevr6(records=3, repetitions=1)
    assert json.loads(json.dumps(line)) == line
    assert (line["records"], line["kept"]) == (3, 3)  # of 3, 4 and 5 objects
    assert line["speed_up"] == pytest.approx(line["zcat_seconds"] / line["seconds"])


def test_test_files_are_all_test_and_variants_are_the_published_ones():
    for room in Room:
        assert list(OBJECTS_ROOM[room].ranges) == (
            ["train", "val", "test"] if room is Room.TRAIN else ["test"]
        )
    assert MULTI_DSPRITES[Sprites.COLORED_ON_COLORED].path == (
        "multi_dsprites/multi_dsprites_colored_on_colored.tfrecords"
    )
