"""Prepared folders: round trip, resume after an interruption, refusal of bad shapes."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from denf.data.prepared import open_prepared
from denf.data.prepared_writer import PreparedWriter
from denf.errors import DenfError

INFO = {"name": "test", "source": "generated", "licence": "none", "split": "train"}


def batch(seed: int, n: int, size: int = 8):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    masks = rng.integers(0, 4, (n, size, size), dtype=np.uint8)
    factors = [{"scene": seed * 100 + i, "x": 0.5 * i} for i in range(n)]
    return images, masks, factors


def test_round_trip(tmp_path):
    first, second = batch(0, 3), batch(1, 5)
    with PreparedWriter(tmp_path / "d", size=8, masks=True, info=INFO) as writer:
        writer.append(*first)
        writer.append(*second)
    data = open_prepared(tmp_path / "d")
    np.testing.assert_array_equal(data.images, np.concatenate([first[0], second[0]]))
    np.testing.assert_array_equal(data.masks, np.concatenate([first[1], second[1]]))
    rows = list(csv.DictReader((tmp_path / "d" / "factors.csv").read_text().splitlines()))
    assert [int(r["scene"]) for r in rows] == [0, 1, 2, 100, 101, 102, 103, 104]
    assert data.info["count"] == 8
    assert set(data.info["sha256"]) == {"images.npy", "masks.npy"}
    assert len(data.sha256) == 64


def test_interrupted_preparation_continues_and_equals_the_uninterrupted(tmp_path):
    with PreparedWriter(tmp_path / "whole", size=8, masks=True, info=INFO) as writer:
        writer.append(*batch(0, 3))
        writer.append(*batch(1, 2))
    with (
        pytest.raises(KeyboardInterrupt),
        PreparedWriter(tmp_path / "d", size=8, masks=True, info=INFO) as writer,
    ):
        writer.append(*batch(0, 3))
        writer._files["images.npy"].write(b"half a scene")
        raise KeyboardInterrupt
    assert not (tmp_path / "d").exists()
    with PreparedWriter(tmp_path / "d", size=8, masks=True, info=INFO) as writer:
        assert writer.count == 3
        writer.append(*batch(1, 2))
    whole, resumed = open_prepared(tmp_path / "whole"), open_prepared(tmp_path / "d")
    assert whole.sha256 == resumed.sha256
    assert (tmp_path / "whole/factors.csv").read_bytes() == (
        tmp_path / "d/factors.csv"
    ).read_bytes()


def test_partial_folder_of_other_settings_is_not_continued(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        PreparedWriter(tmp_path / "d", size=8, masks=True, info=INFO) as writer,
    ):
        writer.append(*batch(0, 3))
        raise KeyboardInterrupt
    with PreparedWriter(tmp_path / "d", size=8, masks=True, info={**INFO, "seed": 1}) as writer:
        assert writer.count == 0


def test_refusals(tmp_path):
    with (
        pytest.raises(ValueError, match=r"expected uint8 \(3, 8, 8, 3\)"),
        PreparedWriter(tmp_path / "d", size=8, masks=False, info=INFO) as writer,
    ):
        writer.append(np.zeros((3, 8, 8, 3), np.float32))
    with pytest.raises(DenfError, match="dataset"):
        open_prepared(tmp_path / "missing")
    (tmp_path / "there").mkdir()
    with (
        pytest.raises(DenfError, match="does not exist"),
        PreparedWriter(tmp_path / "there", size=8, masks=False, info=INFO),
    ):
        pass


def with_empty(seed: int, n: int):
    images, masks, factors = batch(seed, n)
    return images, masks, factors, 255 - images


def test_scenes_without_objects_are_one_more_array(tmp_path):
    options = {"size": 8, "masks": True, "info": INFO}
    with PreparedWriter(tmp_path / "bare", **options) as writer:
        writer.append(*batch(0, 3))
    with PreparedWriter(tmp_path / "whole", **options, empty=True) as writer:
        writer.append(*with_empty(0, 3))
        writer.append(*with_empty(1, 2))
    with (
        pytest.raises(KeyboardInterrupt),
        PreparedWriter(tmp_path / "broken", **options, empty=True) as writer,
    ):
        writer.append(*with_empty(0, 3))
        writer._files["empty.npy"].write(b"half a scene")
        raise KeyboardInterrupt
    with PreparedWriter(tmp_path / "broken", **options, empty=True) as writer:
        assert writer.count == 3
        writer.append(*with_empty(1, 2))
    whole, broken, bare = (open_prepared(tmp_path / n) for n in ("whole", "broken", "bare"))
    np.testing.assert_array_equal(whole.empty, np.subtract(255, whole.images))
    assert whole.info["sha256"].keys() == {"images.npy", "masks.npy", "empty.npy"}
    assert broken.info == whole.info
    names = {path.name for path in whole.folder.iterdir()}
    assert names == {*whole.info["sha256"], "factors.csv", "dataset.json"}
    for name in names:
        assert (whole.folder / name).read_bytes() == (broken.folder / name).read_bytes()
    assert bare.empty is None
    assert "empty" not in bare.info
    assert bare.info["sha256"].keys() == {"images.npy", "masks.npy"}


@pytest.mark.parametrize("empty", [False, True])
def test_arrays_that_were_announced_are_demanded_and_no_others(tmp_path, empty):
    images, masks, factors, bare = with_empty(0, 2)
    options = {"size": 8, "masks": True, "info": INFO, "empty": empty}
    expected = "an array, got none" if empty else "none, got an array"
    with (
        pytest.raises(ValueError, match=f"empty: expected {expected}"),
        PreparedWriter(tmp_path / "d", **options) as writer,
    ):
        writer.append(images, masks, factors, None if empty else bare)
    with (
        pytest.raises(ValueError, match="masks: expected an array, got none"),
        PreparedWriter(tmp_path / "d", **options) as writer,
    ):
        writer.append(images, None, factors, bare if empty else None)
    assert (tmp_path / "d.partial/images.npy").stat().st_size == 128  # nothing of a refused batch
