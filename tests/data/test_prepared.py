"""Prepared folders: round trip, resume after an interruption, refusal of bad shapes."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from denf.data.prepared import PreparedWriter, open_prepared
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
