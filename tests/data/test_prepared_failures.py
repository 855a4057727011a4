"""A prepared folder on a full disk, and folders that are none."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from denf.data.prepared import open_prepared, open_verified
from denf.data.prepared_writer import PreparedWriter
from denf.errors import DenfError

INFO = {"name": "test", "source": "generated", "licence": "none", "split": "train"}


def scenes(count: int, size: int = 8) -> tuple[np.ndarray, np.ndarray, list[dict[str, int]]]:
    rng = np.random.default_rng(count)
    images = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    masks = rng.integers(0, 4, (count, size, size), dtype=np.uint8)
    return images, masks, [{"scene": k} for k in range(count)]


def test_a_full_disk_closes_every_file_and_can_be_continued(tmp_path, full_disk):
    writer = PreparedWriter(tmp_path / "d", size=8, masks=True, info=INFO)
    with full_disk(2000), pytest.raises(OSError, match="File too large"), writer:
        writer.append(*scenes(4))
        writer.append(*scenes(40))  # the images fit into no more than 2000 bytes
    assert [file.closed for file in writer._files.values()] == [True, True, True]
    assert not (tmp_path / "d").exists()
    with PreparedWriter(tmp_path / "d", size=8, masks=True, info=INFO) as writer:
        assert writer.count == 4
        writer.append(*scenes(40))
    data = open_prepared(tmp_path / "d")
    expected = [np.concatenate(pair) for pair in zip(scenes(4)[:2], scenes(40)[:2], strict=True)]
    np.testing.assert_array_equal(data.images, expected[0])
    np.testing.assert_array_equal(data.masks, expected[1])


def test_files_that_were_opened_are_closed_when_one_cannot_be(tmp_path):
    (tmp_path / "d.partial").mkdir()
    writer = PreparedWriter(tmp_path / "d", size=8, masks=True, info=INFO)
    progress = {"count": 0, "factor_bytes": 0, "fields": [], "objects": {}}
    progress["info"] = writer.info
    (tmp_path / "d.partial/progress.json").write_text(json.dumps(progress))
    (tmp_path / "d.partial/masks.npy").mkdir()
    with pytest.raises(IsADirectoryError):
        writer.__enter__()
    assert writer._files["images.npy"].closed


@pytest.mark.parametrize("damage", ["no description", "no hashes", "empty array", "short", "none"])
def test_a_damaged_folder_is_refused(tmp_path, damage):
    folder = tmp_path / "d"
    with PreparedWriter(folder, size=8, masks=False, info=INFO) as writer:
        if damage != "none":
            writer.append(scenes(2)[0])
    if damage == "no description":
        (folder / "dataset.json").write_text("[]")
    elif damage == "no hashes":
        (folder / "dataset.json").write_text("{}")
    elif damage == "empty array":
        (folder / "images.npy").write_bytes(b"")
    elif damage == "short":
        content = (folder / "images.npy").read_bytes()
        (folder / "images.npy").write_bytes(content[:-10])
    with pytest.raises(DenfError, match=f"{folder}.*: expected .*Prepare"):
        open_prepared(folder)


@pytest.mark.parametrize("name", ["masks.npy", "empty.npy"])
def test_an_array_of_another_shape_than_the_images_is_refused(tmp_path, name):
    folder = tmp_path / "d"
    images, masks, _ = scenes(2)
    with PreparedWriter(folder, size=8, masks=True, info=INFO, empty=True) as writer:
        writer.append(images, masks, (), images)
    np.save(folder / name, np.load(folder / name)[:1])
    with pytest.raises(DenfError, match=rf"{name}: expected uint8 \(2, 8, 8.*got uint8 \(1, 8, 8"):
        open_prepared(folder)


def written(folder):
    with PreparedWriter(folder, size=8, masks=True, info=INFO) as writer:
        writer.append(*scenes(4))
    return folder


def test_changed_arrays_are_noticed_and_verified_once(tmp_path, monkeypatch):
    folder = written(tmp_path / "d")
    open_verified(folder)
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", None)  # nothing is read a second time
        open_verified(folder)
    content = bytearray((folder / "images.npy").read_bytes())
    content[200:264] = bytes(64)
    (folder / "images.npy").write_bytes(content)
    with pytest.raises(DenfError, match=r"images\.npy: expected SHA-256 .*as dataset\.json says"):
        open_verified(folder)


def test_a_missing_and_a_foreign_array_are_named(tmp_path):
    folder = written(tmp_path / "d")
    (folder / "empty.npy").write_bytes((folder / "images.npy").read_bytes())
    with pytest.raises(DenfError, match=r"empty\.npy: expected a checksum in dataset\.json"):
        open_prepared(folder)
    (folder / "empty.npy").unlink()
    (folder / "masks.npy").unlink()
    with pytest.raises(DenfError, match=r"masks\.npy: expected .* got No such file"):
        open_prepared(folder)


@pytest.mark.parametrize("damage", ["short", "garbage", "no count"])
def test_a_partial_folder_that_does_not_fit_its_progress_starts_anew(tmp_path, damage):
    partial = tmp_path / "d.partial"
    with (
        pytest.raises(KeyboardInterrupt),
        PreparedWriter(tmp_path / "d", size=8, masks=True, info=INFO) as writer,
    ):
        writer.append(*scenes(4))
        raise KeyboardInterrupt
    if damage == "short":  # what a power cut leaves of files that are not on the disk yet
        (partial / "images.npy").write_bytes((partial / "images.npy").read_bytes()[:-100])
    elif damage == "garbage":
        (partial / "progress.json").write_bytes(b"\xff\0")
    else:
        (partial / "progress.json").write_text("{}")
    with PreparedWriter(tmp_path / "d", size=8, masks=True, info=INFO) as writer:
        assert writer.count == 0
        writer.append(*scenes(4))
    np.testing.assert_array_equal(open_verified(tmp_path / "d").images, scenes(4)[0])
